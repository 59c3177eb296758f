//! COPY in several entries.

use buzon_types::flag::SystemFlags;

use crate::command::{ShardCommand, Transfer};
use crate::reply::{QuotaKind, Rejection, Reply};
use crate::row::Quota;
use crate::tests::group::*;

fn stage(transfer: Transfer) -> ShardCommand {
    ShardCommand::StageCopy { staging: 5, transfer }
}

fn publish(messages: u32) -> ShardCommand {
    ShardCommand::PublishCopy { account: ANA, staging: 5, messages }
}

fn group() -> Group {
    let mut group = Group::shard();
    let messages = (1..=4).map(|size| message(size, SystemFlags::DELETED, &["k", "l"])).collect();
    group.run(ShardCommand::Append { mailbox: key(1), messages }).unwrap();
    group
        .run(ShardCommand::Append { mailbox: key(2), messages: vec![message(9, SystemFlags::SEEN, &["l"])] })
        .unwrap();
    group
}

#[test]
fn a_staged_copy_shows_up_at_once_and_whole() {
    let mut group = group();
    assert_eq!(group.run(stage(transfer(key(1), "1:2", key(2)))), Ok(Reply::Staged { messages: 2 }));
    assert_eq!(group.uids(key(2)), "1");
    group.state.shrink(0);
    assert_eq!(group.run(stage(transfer(key(1), "4:9", key(2)))), Ok(Reply::Staged { messages: 3 }));
    group.run(ShardCommand::Expunge { mailbox: key(1), uids: uids_of("1") }).unwrap();
    let Ok(Reply::Copied { source, target, .. }) = group.run(publish(3)) else { panic!() };
    assert_eq!((source, target), (uids_of("1:2,4"), uids_of("2:4")));
    let rows: Vec<_> = group.rows.live(key(2)).collect();
    assert_eq!(rows.iter().map(|row| row.size).collect::<Vec<_>>(), [9, 1, 2, 4]);
    assert!(rows[1..].iter().all(|row| row.keywords.0 == 0b11 && row.flags == SystemFlags::DELETED));
    assert_eq!(group.row(key(2)).counters.deleted, 3);
    group.refuse(publish(3), Rejection::NoSuchStaging);
}

#[test]
fn the_target_s_index_stays_true() {
    let mut group = group();
    let store = store(key(2), "1", crate::command::StoreMode::Add, SystemFlags::FLAGGED);
    group.run(ShardCommand::StoreFlags(store)).unwrap();
    group.run(stage(transfer(key(1), "1:4", key(2)))).unwrap();
    group.run(publish(4)).unwrap();
    let index = group.state.mailbox(key(2)).unwrap().index.as_ref().unwrap();
    assert!(index.all().eq(group.rows.live(key(2))));
    assert_eq!(index.changes_since(modseq(4)).len(), 4);
}

#[test]
fn steps_of_one_copy_fit_together() {
    let mut group = group();
    group.run(stage(transfer(key(1), "2", key(2)))).unwrap();
    group.refuse(stage(transfer(key(1), "3", key(3))), Rejection::StagingMismatch);
    group.refuse(stage(transfer(key(2), "1", key(2))), Rejection::StagingMismatch);
    group.refuse(stage(transfer(key(1), "1", key(2))), Rejection::StagingMismatch);
    group.refuse(publish(2), Rejection::TooManyMessages);
    assert_eq!(group.run_idle(stage(transfer(key(1), "90", key(2)))), Ok(Reply::Staged { messages: 1 }));
}

#[test]
fn quota_and_target_are_decided_at_the_end() {
    let mut group = group();
    group.run(stage(transfer(key(1), "1:4", key(2)))).unwrap();
    let quota = Quota { bytes_max: None, messages_max: Some(8) };
    group.run(ShardCommand::SetQuota { account: ANA, quota }).unwrap();
    group.refuse(publish(4), Rejection::OverQuota(QuotaKind::Messages));
    group.run(delete("Drafts")).unwrap();
    group.refuse(publish(4), Rejection::NoSuchMailbox);
    let drop = ShardCommand::DropCopy { account: ANA, staging: 5 };
    group.run(drop.clone()).unwrap();
    group.run_idle(drop).unwrap();
    assert!(group.rows.staged.is_empty());
}
