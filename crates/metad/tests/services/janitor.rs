//! What a process left behind goes by itself: rows of deleted mailboxes, and copies that were being staged.

use std::future::pending;
use std::sync::atomic::Ordering;

use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::error::WriteOutcome;
use buzon_meta_client::meta::{Meta, Options};
use buzon_metad::groups::Replica;
use buzon_model::command::{Command, ShardCommand, Transfer};
use buzon_types::id::{AccountId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::InstanceId;
use buzon_types::staging::StagingId;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;

use crate::retries::{Hook, append, client, instance};
use crate::world::{SHARD, World, options_fast};

fn owned_by(owner: u64) -> Options {
    Options { owner, ..options_fast() }
}

async fn staged(world: &World) -> Vec<(AccountId, u128)> {
    world.shard.rows().await.unwrap().staged_copies(SHARD, None, 100).await.unwrap()
}

/// Waits until the entries applied so far have brought it about.
async fn until<F: Future<Output = bool>>(world: &World, mut is_so: impl FnMut() -> F) {
    let mut applied = world.shard.applied.subscribe();
    let reached = async {
        while !is_so().await {
            applied.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), reached).await.expect("it comes about");
}

/// A copy of 5,000 messages, in three steps, whose process is gone after the first.
async fn cut_off_copy(
    world: &World,
    of: &AccountHandle,
    source: MailboxKey,
    owner: u64,
) -> (Meta, InstanceId) {
    let (meta, faults) = client(world, owned_by(owner));
    append(&meta, of, source).await.unwrap();
    let before = staged(world).await.len();
    let instance = instance(world).await;
    let uids = UidSet::from(Uid::MIN..=Uid::new(5_000).unwrap());
    let target = world.key(of, "Archive").await.mailbox;
    let dies: Hook = Box::new(|| Box::pin(pending()));
    *faults.meanwhile.lock() = Some(dies);
    faults.lose.store(1, Ordering::SeqCst);
    let (copying, of) = (meta.clone(), of.clone());
    tokio::spawn(async move { copying.copy(&of, Transfer { source, uids, target }).await });
    until(world, || async { staged(world).await.len() > before }).await;
    (meta, instance)
}

#[tokio::test]
async fn rows_of_a_mailbox_whose_removal_was_cut_off_go_after_a_restart() {
    let world = World::new().await;
    let ana = world.account().await;
    let (junk, inbox) = (world.key(&ana, "Junk").await, world.key(&ana, "INBOX").await);
    world.append(&ana, junk, 5_000).await;
    world.append(&ana, inbox, 3).await;
    let name = MailboxName::new("Junk").unwrap();
    // Past the service, which would begin to remove them: the process ends after one step of three.
    for command in
        [ShardCommand::DeleteMailbox { account: ana.account, name }, ShardCommand::PurgeMailbox(junk)]
    {
        world.shard.propose(None, Command::Shard(command)).await.unwrap().1.unwrap();
    }
    assert_eq!(world.shard.rows().await.unwrap().deleting_mailboxes(SHARD, None, 10).await.unwrap(), [junk]);

    let world = world.restart().await;
    let store = world.shard.rows().await.unwrap();
    until(&world, || async { store.deleting_mailboxes(SHARD, None, 10).await.unwrap().is_empty() }).await;
    let all = UidSet::from(Uid::MIN..=Uid::MAX);
    assert_eq!(store.summaries(SHARD, junk, &all).await.unwrap(), []);
    assert_eq!(store.summaries(SHARD, inbox, &all).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_copy_goes_with_the_instance_that_staged_it_and_another_stays() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 5_000).await;
    let (_, gone) = cut_off_copy(&world, &ana, inbox, 7).await;
    let (_, alive) = cut_off_copy(&world, &ana, inbox, 8).await;
    let left = staged(&world).await;
    let of = |instance| left.iter().filter(|it| StagingId(it.1).may_be_of(instance)).count();
    assert_eq!((left.len(), of(gone), of(alive)), (2, 1, 1));

    // Both may still go on: neither the look at the start nor a client of somebody else ends them.
    let world = world.restart().await;
    append(&world.meta, &ana, inbox).await.unwrap();
    assert_eq!(staged(&world).await, left);
    let (next, _) = client(&world, owned_by(7));
    append(&next, &ana, inbox).await.unwrap();
    until(&world, || async { staged(&world).await.len() == 1 }).await;
    assert!(StagingId(staged(&world).await[0].1).may_be_of(alive));
    assert_eq!(world.open(&ana, "Archive").await.uids, UidSet::new());
}

#[tokio::test]
async fn a_copy_whose_instance_was_closed_before_the_restart_goes_at_the_first_look() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    world.append(&ana, inbox, 5_000).await;
    let (_, gone) = cut_off_copy(&world, &ana, inbox, 7).await;
    // Past the service, as if its process had ended before it looked.
    world.shard.propose(None, Command::CloseInstance(gone)).await.unwrap().1.unwrap();
    assert_eq!(staged(&world).await.len(), 1);
    let world = world.restart().await;
    until(&world, || async { staged(&world).await.is_empty() }).await;
}

/// What was staged is dropped while its client lives: half a copy must not be published.
#[tokio::test]
async fn a_copy_whose_instance_is_closed_in_between_copies_nothing() {
    let world = World::new().await;
    let ana = world.account().await;
    let (inbox, archive) = (world.key(&ana, "INBOX").await, world.key(&ana, "Archive").await);
    let uids = world.append(&ana, inbox, 5_000).await;
    let (meta, faults) = client(&world, owned_by(7));
    append(&meta, &ana, inbox).await.unwrap();
    let (shard, closed) = (std::sync::Arc::clone(&world.shard), instance(&world).await);
    let closes: Hook = Box::new(move || {
        Box::pin(async move {
            let staged = shard.rows().await.unwrap().staged_copies(SHARD, None, 10).await.unwrap();
            assert_eq!(staged.len(), 1);
            for (account, staging) in staged {
                let drop = Command::Shard(ShardCommand::DropCopy { account, staging });
                shard.propose(None, Command::CloseInstance(closed)).await.unwrap().1.unwrap();
                shard.propose(None, drop).await.unwrap().1.unwrap();
            }
        })
    });
    *faults.between.lock() = Some((2, closes));
    let transfer = Transfer { source: inbox, uids: uids.clone(), target: archive.mailbox };
    let error = meta.copy(&ana, transfer.clone()).await.unwrap_err();
    assert_eq!(error.outcome(), WriteOutcome::NotApplied, "{error:?}");
    assert_eq!(world.open(&ana, "Archive").await.uids, UidSet::new());
    assert_eq!(staged(&world).await, []);
    let copied = meta.copy(&ana, transfer).await.unwrap();
    assert_eq!(copied.target.len(), 5_000, "under a new instance all of it goes");
}
