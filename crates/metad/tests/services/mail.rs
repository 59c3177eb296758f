//! Reads and writes of one account through the client.

use buzon_meta_client::error::MetaError;
use buzon_model::command::{Command, ShardCommand, StoreFlags, StoreMode};
use buzon_model::read::{Columns, MessageRead, ReadAt, Summaries};
use buzon_model::reply::{Rejection, Reply};
use buzon_types::address::Address;
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::id::{AccountId, MailboxId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use futures::TryStreamExt;

use crate::world::World;

fn uids(values: &[u32]) -> UidSet {
    values.iter().map(|&value| Uid::new(value).unwrap()).collect()
}

fn numbers(messages: &[MessageRead]) -> Vec<u32> {
    messages.iter().map(|message| message.row.uid.get()).collect()
}

pub(crate) fn add(mailbox: MailboxKey, uids: &UidSet, flags: SystemFlags) -> StoreFlags {
    let (mode, keywords) = (StoreMode::Add, vec![Keyword::new("$Label").unwrap()]);
    StoreFlags { mailbox, uids: uids.clone(), mode, flags, keywords, unchanged_since: None }
}

#[tokio::test]
async fn a_new_account_logs_in_and_has_its_mailboxes() {
    let world = World::new().await;
    let ana = world.account().await;
    let credential = world.meta.credential(&ana, ReadAt::Linearizable).await.unwrap().value;
    assert!(credential.credential.unwrap().expose().starts_with("$argon2id$"));
    let list = world.meta.list_mailboxes(&ana, ReadAt::Linearizable).await.unwrap().value;
    let names: Vec<_> = list.mailboxes.iter().map(|row| row.name.to_string()).collect();
    assert_eq!(names, ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]);
    assert_eq!(list.subscriptions.len(), 6);
    let usage = world.meta.usage(&ana, ReadAt::Linearizable).await.unwrap().value;
    assert_eq!((usage.counters.messages, usage.counters.bytes), (0, 0));
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_so() {
    let world = World::new().await;
    let ana = world.account().await;
    assert!(world.meta.resolve(&Address::new("bob@example.com").unwrap()).await.unwrap().is_none());
    let name = MailboxName::new("nothing").unwrap();
    assert!(world.meta.open_mailbox(&ana, &name, ReadAt::Linearizable).await.unwrap().value.is_none());
    let nobody = buzon_meta_client::account::AccountHandle { account: AccountId(99), ..ana };
    let error = world.meta.usage(&nobody, ReadAt::Linearizable).await.unwrap_err();
    assert!(matches!(error, MetaError::Rejected(Rejection::NoSuchAccount)), "{error:?}");
    let error = world.meta.open_mailbox(&nobody, &name, ReadAt::Linearizable).await.unwrap_err();
    assert!(matches!(error, MetaError::Rejected(Rejection::NoSuchAccount)), "{error:?}");
}

#[tokio::test]
async fn one_mailbox_is_read_by_its_name() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 2).await;
    let name = |text| MailboxName::new(text).unwrap();
    let row = world.meta.mailbox(&ana, &name("inbox"), ReadAt::Linearizable).await.unwrap().value.unwrap();
    assert_eq!((row.key, row.counters.messages, row.counters.deleted), (inbox, 2, 0));
    assert!(world.meta.mailbox(&ana, &name("nothing"), ReadAt::Linearizable).await.unwrap().value.is_none());
    let deleted = world.meta.deleted_uids(&ana, inbox.mailbox, ReadAt::Linearizable).await.unwrap().value;
    assert!(deleted.is_empty());
    let elsewhere = world.meta.deleted_uids(&ana, MailboxId(999), ReadAt::Linearizable).await.unwrap().value;
    assert!(elsewhere.is_empty());
    let nobody = buzon_meta_client::account::AccountHandle { account: AccountId(99), ..ana };
    for error in [
        world.meta.mailbox(&nobody, &name("INBOX"), ReadAt::Linearizable).await.unwrap_err(),
        world.meta.deleted_uids(&nobody, inbox.mailbox, ReadAt::Linearizable).await.unwrap_err(),
    ] {
        assert!(matches!(error, MetaError::Rejected(Rejection::NoSuchAccount)), "{error:?}");
    }
}

#[tokio::test]
async fn messages_come_change_and_go() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    assert_eq!(world.append(&ana, inbox, 5).await, uids(&[1, 2, 3, 4, 5]));
    let opened = world.open(&ana, "INBOX").await;
    assert_eq!((opened.row.counters.messages, opened.first_unseen), (5, Some(Uid::MIN)));
    let since = opened.row.counters.modseq;

    let stored =
        world.meta.store_flags(&ana, add(inbox, &uids(&[2, 3]), SystemFlags::DELETED)).await.unwrap();
    assert_eq!((stored.messages.len(), stored.advance.before), (2, since));
    assert_eq!(stored.keywords, [Keyword::new("$label").unwrap()]);
    let deleted = world.meta.deleted_uids(&ana, inbox.mailbox, ReadAt::Index(stored.index)).await.unwrap();
    assert_eq!(deleted.value, uids(&[2, 3]));
    let expunged = world.meta.expunge(&ana, inbox, &uids(&[1, 2])).await.unwrap();
    assert_eq!(expunged.uids, uids(&[2]));

    let at = ReadAt::Index(expunged.index);
    let delta = world.meta.changes(&ana, inbox.mailbox, since, at).await.unwrap().value;
    assert_eq!((delta.modseq, &delta.expunged), (expunged.advance.after, &uids(&[2])));
    assert_eq!(delta.messages.iter().map(|it| it.uid.get()).collect::<Vec<_>>(), [3]);
    assert_eq!(delta.name, Some(MailboxName::inbox()));

    // A session that still sees 2 still reads it.
    let columns = Columns { summaries: Summaries::All };
    let chunks = world.meta.fetch(&ana, inbox.mailbox, &uids(&[1, 2, 3, 77]), columns, at).await.unwrap();
    let messages = chunks.try_concat().await.unwrap();
    assert_eq!(numbers(&messages), [1, 2, 3]);
    assert_eq!(messages.iter().map(|it| it.expunged).collect::<Vec<_>>(), [false, true, false]);
    assert!(messages.iter().all(|it| it.summary.as_deref() == Some(b"summary")));
    // One that has some summaries already asks for the others, live or expunged.
    let columns = Columns { summaries: Summaries::Of(uids(&[2, 3, 9])) };
    let chunks = world.meta.fetch(&ana, inbox.mailbox, &uids(&[1, 2, 3]), columns, at).await.unwrap();
    let messages = chunks.try_concat().await.unwrap();
    assert_eq!(messages.iter().map(|it| it.summary.is_some()).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test]
async fn a_fetch_of_everything_comes_in_ascending_chunks() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 1_700).await;
    let everything = UidSet::from(Uid::MIN..=Uid::MAX);
    let columns = Columns::default();
    let chunks = world.meta.fetch(&ana, inbox.mailbox, &everything, columns, ReadAt::Linearizable).await;
    let chunks: Vec<_> = chunks.unwrap().try_collect().await.unwrap();
    assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 500, 200]);
    assert_eq!(numbers(&chunks.concat()), (1..=1_700).collect::<Vec<_>>());
    assert!(chunks.concat().iter().all(|message| message.summary.is_none()));
}

#[tokio::test]
async fn changes_since_the_beginning_come_in_pages() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 12_000).await;
    let delta = world.meta.changes(&ana, inbox.mailbox, ModSeq::ZERO, ReadAt::Linearizable).await.unwrap();
    let found: Vec<_> = delta.value.messages.iter().map(|it| it.uid.get()).collect();
    assert_eq!(found, (1..=12_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_deleted_mailbox_has_no_name_and_its_rows_go() {
    let world = World::new().await;
    let ana = world.account().await;
    let junk = world.key(&ana, "Junk").await;
    world.append(&ana, junk, 3_000).await;
    let mut applied = world.shard.applied.subscribe();
    let name = MailboxName::new("Junk").unwrap();
    let delete = ShardCommand::DeleteMailbox { account: ana.account, name };
    world.meta.propose(ana.shard, Command::Shard(delete)).await.unwrap().1.unwrap();
    let delta = world.meta.changes(&ana, junk.mailbox, ModSeq::ZERO, ReadAt::Linearizable).await.unwrap();
    assert_eq!(delta.value.name, None);
    // Two steps of 2,000 messages, taken by nobody's order but the deletion's.
    use buzon_metad::groups::Replica;
    let store = world.shard.rows().await.unwrap();
    let all = UidSet::from(Uid::MIN..=Uid::MAX);
    while !store.summaries(ana.shard, junk, &all).await.unwrap().is_empty() {
        applied.changed().await.unwrap();
    }
}

#[tokio::test]
async fn refusals_are_outcomes_and_in_helpers_errors() {
    let world = World::new().await;
    let ana = world.account().await;
    let nowhere = ana.mailbox(MailboxId(99));
    let append = ShardCommand::Append { mailbox: nowhere, messages: vec![crate::world::message()] };
    let outcome = world.meta.propose(ana.shard, Command::Shard(append)).await.unwrap().1;
    assert_eq!(outcome, Err(Rejection::NoSuchMailbox));
    let error = world.meta.expunge(&ana, nowhere, &uids(&[1])).await.unwrap_err();
    assert!(matches!(error, MetaError::Rejected(Rejection::NoSuchMailbox)), "{error:?}");
}

#[tokio::test]
async fn recent_messages_are_claimed_once() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 2).await;
    let claim = || Command::Shard(ShardCommand::ClaimRecent(inbox));
    let unclaimed = async || {
        let delta = world.meta.changes(&ana, inbox.mailbox, ModSeq::ZERO, ReadAt::Linearizable).await;
        delta.unwrap().value.recent_from
    };
    assert_eq!(unclaimed().await, Uid::new(1));
    let first = world.meta.propose(ana.shard, claim()).await.unwrap().1.unwrap();
    assert_eq!(first, Reply::RecentClaimed { from: Uid::new(1), below: Uid::new(3) });
    let second = world.meta.propose(ana.shard, claim()).await.unwrap().1.unwrap();
    assert_eq!(unclaimed().await, Uid::new(3), "a delta says that they are taken");
    assert!(!matches!(second, Reply::RecentClaimed { from: Some(from), below: Some(below) } if from < below));
}
