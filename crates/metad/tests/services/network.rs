//! The same over HTTP/2, with nodes that do not lead.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use buzon_meta_client::meta::Meta;
use buzon_model::command::{Command, ShardCommand};
use buzon_model::read::{Columns, EventKind, ReadAt, Summaries};
use buzon_model::reply::Reply;
use buzon_proto::status::LeaderHint;
use buzon_types::id::NodeId;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use futures::TryStreamExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};

use crate::world::{World, message, options_fast};

/// Serves a world's internal services; where.
async fn serve(world: &World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = world.server.internal_routes();
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(incoming));
    address
}

fn endpoint(address: SocketAddr) -> Endpoint {
    format!("http://{address}").parse().unwrap()
}

#[tokio::test]
async fn calls_and_streams_find_the_leader() {
    let (follower, leader) = (World::new().await, World::new().await);
    let ana = leader.account().await;
    let inbox = leader.key(&ana, "INBOX").await;
    follower.shard.leads.store(false, Ordering::SeqCst);
    let (first, second) = (serve(&follower).await, serve(&leader).await);
    // A third that nobody listens on lies between them: the hint jumps over it.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    *follower.shard.hint.lock() = Some(LeaderHint { node: NodeId(2), address: second.to_string() });
    let meta = Meta::connect(&[endpoint(first), endpoint(gone), endpoint(second)], options_fast());

    let messages = vec![message(), message()];
    let append = Command::Shard(ShardCommand::Append { mailbox: inbox, messages });
    let (index, outcome) = meta.propose(ana.shard, append).await.unwrap();
    assert!(matches!(outcome, Ok(Reply::Appended { .. })), "{outcome:?}");

    let everything = UidSet::from(Uid::MIN..=Uid::MAX);
    let columns = Columns { summaries: Summaries::All };
    let chunks = meta.fetch(&ana, inbox.mailbox, &everything, columns, ReadAt::Index(index)).await.unwrap();
    assert_eq!(chunks.try_concat().await.unwrap().len(), 2);

    let watch = meta.watch(&ana);
    assert_eq!(watch.changed().await, EventKind::Gap);
    leader.append(&ana, inbox, 1).await;
    let kind = watch.changed().await;
    assert!(matches!(kind, EventKind::Gap | EventKind::Mailbox(..)), "{kind:?}");
}

#[tokio::test]
async fn a_node_that_is_gone_is_passed_over() {
    let world = World::new().await;
    let ana = world.account().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let meta = Meta::connect(&[endpoint(gone), endpoint(serve(&world).await)], options_fast());
    assert_eq!(meta.usage(&ana, ReadAt::Linearizable).await.unwrap().value.counters.messages, 0);
}
