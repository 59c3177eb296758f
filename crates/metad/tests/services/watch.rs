//! The change feed from apply to watchers.

use std::sync::atomic::Ordering;

use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::watch::Watch;
use buzon_model::command::{Command, ShardCommand};
use buzon_model::read::EventKind;
use buzon_model::row::AccountState;
use buzon_types::mailbox_name::MailboxName;

use crate::world::World;

#[tokio::test]
async fn a_watcher_hears_of_changes_after_a_first_gap() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    let watch = world.meta.watch(&ana);
    assert_eq!(watch.changed().await, EventKind::Gap);
    world.append(&ana, inbox, 1).await;
    // The stream's own first gap may come before or instead.
    match watch.changed().await {
        EventKind::Gap => {}
        EventKind::Mailbox(mailbox, modseq) => {
            assert_eq!(mailbox, inbox.mailbox);
            assert_eq!(modseq, world.open(&ana, "INBOX").await.row.counters.modseq);
        }
        other => panic!("{other:?}"),
    }
}

/// Watches until the stream itself is known to be there.
async fn settled(world: &World, of: &AccountHandle) -> Watch {
    let (watch, account) = (world.meta.watch(of), of.account);
    let name = MailboxName::new("probe").unwrap();
    for count in 0.. {
        let name = name.clone();
        let probe = match count % 2 {
            0 => ShardCommand::Subscribe { account, name },
            _ => ShardCommand::Unsubscribe { account, name },
        };
        world.meta.propose(of.shard, Command::Shard(probe)).await.unwrap().1.unwrap();
        if watch.changed().await == EventKind::Tree {
            break;
        }
    }
    watch
}

/// Skips what is told of the probes.
async fn after_the_probes(watch: &Watch) -> EventKind {
    loop {
        match watch.changed().await {
            EventKind::Tree | EventKind::Gap => {}
            kind => return kind,
        }
    }
}

#[tokio::test]
async fn only_the_watched_account_is_heard_and_only_by_its_watchers() {
    let world = World::new().await;
    let ana = world.account().await;
    world.admin().create_account(crate::world::create("bob@example.com")).await.unwrap();
    let bob = world.resolve("bob@example.com").await;
    let (first, second) = (settled(&world, &ana).await, settled(&world, &ana).await);
    let bobs_inbox = world.key(&bob, "INBOX").await;
    world.append(&bob, bobs_inbox, 1).await;
    let state = AccountState::Suspended;
    let suspend = ShardCommand::SetAccountState { account: ana.account, state };
    world.meta.propose(ana.shard, Command::Shard(suspend)).await.unwrap().1.unwrap();
    for watch in [&first, &second] {
        let kind = after_the_probes(watch).await;
        assert!(matches!(kind, EventKind::Credential(_)), "{kind:?}");
        let rest: Vec<_> = std::iter::from_fn(|| watch.take()).collect();
        assert!(!rest.iter().any(|kind| matches!(kind, EventKind::Mailbox(..))), "{rest:?}");
        assert_eq!(watch.index().0, *world.shard.applied.borrow());
    }
}

#[tokio::test]
async fn a_lost_leader_ends_the_stream_and_a_new_one_begins_with_a_gap() {
    let world = World::new().await;
    let ana = world.account().await;
    let watch = settled(&world, &ana).await;
    world.shard.leads.store(false, Ordering::SeqCst);
    world.shard.noticed.notified().await;
    world.shard.leads.store(true, Ordering::SeqCst);
    while watch.changed().await != EventKind::Gap {}
}
