//! Operations over more messages than one log entry may touch.

use buzon_model::command::Transfer;
use buzon_model::read::{Columns, ReadAt, Summaries};
use buzon_types::flag::SystemFlags;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use futures::TryStreamExt;

use crate::mail::add;
use crate::world::World;

const COUNT: u32 = 5_000;

#[tokio::test]
async fn five_thousand_are_flagged_and_expunged() {
    let world = World::new().await;
    let ana = world.account().await;
    let inbox = world.key(&ana, "INBOX").await;
    let uids = world.append(&ana, inbox, COUNT).await;
    let before = world.open(&ana, "INBOX").await.row.counters.modseq;

    let stored = world.meta.store_flags(&ana, add(inbox, &uids, SystemFlags::DELETED)).await.unwrap();
    assert_eq!(stored.messages.iter().map(|it| it.uid).collect::<UidSet>(), uids);
    assert!(stored.messages.is_sorted_by_key(|it| it.uid));
    assert_eq!((stored.advance.before, stored.modified.len()), (before, 0));

    let expunged = world.meta.expunge(&ana, inbox, &uids).await.unwrap();
    assert_eq!(expunged.uids, uids);
    assert_eq!(expunged.advance.before, stored.advance.after);
    let opened = world.open(&ana, "INBOX").await;
    assert_eq!((opened.row.counters.messages, opened.uids.len()), (0, 0));

    // Older than any ring: from the tombstones.
    let delta = world.meta.changes(&ana, inbox.mailbox, before, ReadAt::Index(expunged.index)).await.unwrap();
    assert_eq!((delta.value.expunged, delta.value.live), (uids, None));
}

#[tokio::test]
async fn five_thousand_are_copied_at_once() {
    let world = World::new().await;
    let ana = world.account().await;
    let (inbox, archive) = (world.key(&ana, "INBOX").await, world.key(&ana, "Archive").await);
    world.append(&ana, archive, 3).await;
    let uids = world.append(&ana, inbox, COUNT).await;
    let transfer = Transfer { source: inbox, uids: uids.clone(), target: archive.mailbox };

    let copied = world.meta.copy(&ana, transfer).await.unwrap();
    assert_eq!(copied.source, uids);
    assert_eq!(copied.target, UidSet::from(Uid::new(4).unwrap()..=Uid::new(COUNT + 3).unwrap()));
    let opened = world.open(&ana, "Archive").await;
    assert_eq!((opened.row.counters.messages, opened.row.uid_validity), (COUNT + 3, copied.uid_validity));
    let (columns, at) = (Columns { summaries: Summaries::All }, ReadAt::Index(copied.index));
    let chunks = world.meta.fetch(&ana, archive.mailbox, &copied.target, columns, at).await.unwrap();
    let messages = chunks.try_concat().await.unwrap();
    assert_eq!(messages.len(), COUNT as usize);
    assert!(messages.iter().all(|it| it.summary.as_deref() == Some(b"summary")));
}

#[tokio::test]
async fn five_thousand_are_moved() {
    let world = World::new().await;
    let ana = world.account().await;
    let (inbox, trash) = (world.key(&ana, "INBOX").await, world.key(&ana, "Trash").await);
    let uids = world.append(&ana, inbox, COUNT).await;
    let transfer = Transfer { source: inbox, uids: uids.clone(), target: trash.mailbox };
    let moved = world.meta.move_messages(&ana, transfer).await.unwrap();
    assert_eq!((moved.source, moved.target.len()), (uids, u64::from(COUNT)));
    assert_eq!(world.open(&ana, "INBOX").await.row.counters.messages, 0);
    assert_eq!(world.open(&ana, "Trash").await.row.counters.messages, COUNT);
}

#[tokio::test]
async fn nothing_is_copied_of_messages_that_do_not_exist() {
    let world = World::new().await;
    let ana = world.account().await;
    let (inbox, trash) = (world.key(&ana, "INBOX").await, world.key(&ana, "Trash").await);
    let uids = UidSet::from(Uid::new(1).unwrap()..=Uid::new(COUNT).unwrap());
    let transfer = Transfer { source: inbox, uids, target: trash.mailbox };
    let copied = world.meta.copy(&ana, transfer).await.unwrap();
    assert!(copied.source.is_empty() && copied.target.is_empty());
}
