//! Nodes and shards as the services show them, and replicas that do not lead.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buzon_meta_client::topology::topology;
use buzon_meta_client::transport::Transport;
use buzon_metad::groups::Replica as _;
use buzon_model::command::{ClusterCommand, Command, FoundCluster, FoundingNode, FoundingShard, NewShard};
use buzon_model::limits::FEATURE_LEVEL_CLUSTER;
use buzon_model::read::ReadAt;
use buzon_model::reply::{Outcome, Reply};
use buzon_proto::pb::directory::v1::ResolveRequest;
use buzon_proto::pb::directory::v1::directory_service_client::DirectoryServiceClient;
use buzon_proto::pb::mail::v1::ProposeRequest;
use buzon_proto::pb::mail::v1::mail_service_client::MailServiceClient;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{DIRECTORY, GroupId, Incarnation, NodeId};
use buzon_types::node::NodeAddress;

use crate::world::{SHARD, World, create};

const DEADLINE: Duration = Duration::from_secs(5);

async fn found(world: &World) -> Outcome {
    let raise = Command::RaiseFeatureLevel(FEATURE_LEVEL_CLUSTER);
    world.meta.propose_repeatable(DIRECTORY, raise).await.unwrap().1.unwrap();
    let node = FoundingNode {
        id: NodeId(1),
        address: NodeAddress::new("127.0.0.1:7071").unwrap(),
        zone: None,
        incarnation: Incarnation(5),
    };
    let shard = FoundingShard { group: SHARD, voters: vec![NodeId(1)] };
    let cluster = FoundCluster { nodes: vec![node], voters_per_shard: 1, shards: vec![shard] };
    let command = Command::Cluster(ClusterCommand::FoundCluster(cluster));
    world.meta.propose_repeatable(DIRECTORY, command).await.unwrap().1
}

#[tokio::test]
async fn one_node_founds_itself_with_the_accounts_it_has() {
    let world = World::new().await;
    world.account().await;
    let transport = || Transport::in_process(world.server.internal_routes());
    let before = topology(transport(), ReadAt::Linearizable, DEADLINE).await.unwrap().value;
    assert_eq!((before.nodes.len(), before.shards.len(), before.voters_per_shard), (0, 0, 0));

    assert_eq!(found(&world).await, Ok(Reply::Done));
    assert_eq!(found(&world).await, Ok(Reply::Done));
    let of_two = create("ben@example.com");
    world.admin().create_account(of_two).await.unwrap();
    let after = topology(transport(), ReadAt::Linearizable, DEADLINE).await.unwrap().value;
    assert_eq!((after.shards[0].group, after.shards[0].accounts, after.next_group), (SHARD, 2, GroupId(2)));
    assert_eq!(after.nodes[0].address.as_str(), "127.0.0.1:7071");
    assert_eq!(world.directory.rows().await.unwrap().nodes().await.unwrap(), after.nodes);
    assert_eq!(world.directory.rows().await.unwrap().shards().await.unwrap(), after.shards);
}

#[tokio::test]
async fn a_replica_that_does_not_lead_answers_what_it_has() {
    let world = World::new().await;
    world.account().await;
    found(&world).await.unwrap();
    world.directory.leads.store(false, Ordering::SeqCst);
    let transport = || Transport::in_process(world.server.internal_routes());
    let error = topology(transport(), ReadAt::Linearizable, DEADLINE).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotLeader);
    let local = topology(transport(), ReadAt::Local, DEADLINE).await.unwrap();
    assert_eq!(local.value.shards[0].accounts, 1);

    let mut client = DirectoryServiceClient::new(transport());
    let mut resolve = ResolveRequest { address: "ana@example.com".into(), read: Some(ReadAt::Local.into()) };
    let answer = client.resolve(resolve.clone()).await.unwrap().into_inner();
    assert_eq!(answer.placement.unwrap().shard, SHARD.0);
    resolve.read = Some(ReadAt::Linearizable.into());
    let error = CallError::from(&client.resolve(resolve).await.unwrap_err());
    assert_eq!(error.code, ErrorCode::NotLeader);
}

#[tokio::test]
async fn a_shard_without_a_number_is_added_only_under_a_request_id() {
    let world = World::new().await;
    found(&world).await.unwrap();
    let add = |group| {
        let shard = NewShard { group, voters: vec![NodeId(1)] };
        Command::Cluster(ClusterCommand::AddShards(vec![shard]))
    };
    let mut client = MailServiceClient::new(Transport::in_process(world.server.internal_routes()));
    let request = ProposeRequest { group: 0, request: None, command: Some((&add(None)).into()) };
    let error = CallError::from(&client.propose(request).await.unwrap_err());
    assert_eq!(error.code, ErrorCode::Invalid);
    let numbered = add(Some(GroupId(7)));
    for _ in 0..2 {
        let outcome = world.meta.propose_repeatable(DIRECTORY, numbered.clone()).await.unwrap().1;
        assert_eq!(outcome, Ok(Reply::ShardsAdded(vec![GroupId(7)])));
    }
    let outcome = world.meta.propose(DIRECTORY, add(None)).await.unwrap().1;
    assert_eq!(outcome, Ok(Reply::ShardsAdded(vec![GroupId(8)])));
}
