//! A node is asked in bytes or by calling its functions, and lists come as columns or message by message: whichever way,
//! the answers are the same.

use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::meta::Meta;
use buzon_meta_client::transport::Transport;
use buzon_model::read::{Columns, MessageRead, ReadAt, Summaries};
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::pb::mail::v1::mail_service_client::MailServiceClient;
use buzon_types::address::Address;
use buzon_types::flag::SystemFlags;
use buzon_types::id::MailboxKey;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use futures::TryStreamExt;

use crate::mail::add;
use crate::world::{World, options_fast};

async fn messages(meta: &Meta, of: &AccountHandle, mailbox: MailboxKey) -> Vec<MessageRead> {
    let everything = UidSet::from(Uid::MIN..=Uid::MAX);
    let columns = Columns { summaries: Summaries::All };
    let chunks = meta.fetch(of, mailbox.mailbox, &everything, columns, ReadAt::Linearizable).await.unwrap();
    chunks.try_concat().await.unwrap()
}

async fn expunge_first(world: &World, of: &AccountHandle, mailbox: MailboxKey) {
    let first = UidSet::from(Uid::MIN..=Uid::MIN);
    world.meta.store_flags(of, add(mailbox, &first, SystemFlags::DELETED)).await.unwrap();
    world.meta.expunge(of, mailbox, &first).await.unwrap();
}

#[tokio::test]
async fn functions_answer_as_calls_in_bytes_do() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 700).await;
    expunge_first(&world, &ana, inbox).await;
    let transport = Transport::in_process(world.server.internal_routes());
    let remote = Meta::with_transport(transport, options_fast());
    let local = Meta::in_process(world.server.internal_routes(), world.server.local(), options_fast());
    let (name, at) = (MailboxName::inbox(), ReadAt::Linearizable);
    let address = Address::new("ana@example.com").unwrap();
    let of = local.resolve(&address).await.unwrap().unwrap();
    assert_eq!(of, remote.resolve(&address).await.unwrap().unwrap());
    assert_eq!(local.credential(&of, at).await.unwrap(), remote.credential(&of, at).await.unwrap());
    assert_eq!(local.usage(&of, at).await.unwrap(), remote.usage(&of, at).await.unwrap());
    assert_eq!(local.list_mailboxes(&of, at).await.unwrap(), remote.list_mailboxes(&of, at).await.unwrap());
    assert_eq!(local.mailbox(&of, &name, at).await.unwrap(), remote.mailbox(&of, &name, at).await.unwrap());
    let opened = local.open_mailbox(&of, &name, at).await.unwrap();
    assert_eq!(opened, remote.open_mailbox(&of, &name, at).await.unwrap());
    let since = ModSeq::default();
    let changes = local.changes(&of, inbox.mailbox, since, at).await.unwrap();
    assert_eq!(changes, remote.changes(&of, inbox.mailbox, since, at).await.unwrap());
    let deleted = local.deleted_uids(&of, inbox.mailbox, at).await.unwrap();
    assert_eq!(deleted, remote.deleted_uids(&of, inbox.mailbox, at).await.unwrap());
    let read = messages(&local, &of, inbox).await;
    assert_eq!((read.len(), read[0].expunged), (700, true));
    assert_eq!(read, messages(&remote, &of, inbox).await);
    // A refusal is the same refusal.
    let nobody = AccountHandle { account: buzon_types::id::AccountId(99), ..of };
    let refused = local.usage(&nobody, at).await.unwrap_err();
    assert_eq!(format!("{refused:?}"), format!("{:?}", remote.usage(&nobody, at).await.unwrap_err()));
}

#[tokio::test]
async fn a_front_end_that_does_not_know_columns_is_sent_messages() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 3).await;
    expunge_first(&world, &ana, inbox).await;
    let mut client = MailServiceClient::new(Transport::in_process(world.server.internal_routes()));
    let request = pb::FetchRequest {
        group: ana.shard.0,
        mailbox: Some(inbox.into()),
        uids: Some((&UidSet::from(Uid::MIN..=Uid::MAX)).into()),
        summary: true,
        read: Some(ReadAt::Linearizable.into()),
        ..Default::default()
    };
    let answers = client.fetch(request).await.unwrap().into_inner();
    let answers: Vec<pb::FetchResponse> = answers.try_collect().await.unwrap();
    assert!(answers.iter().all(|answer| answer.columns.is_none()));
    let read = answers.into_iter().flat_map(|answer| answer.messages).map(|it| it.try_into().unwrap());
    assert_eq!(read.collect::<Vec<MessageRead>>(), messages(&world.meta, &ana, inbox).await);
}
