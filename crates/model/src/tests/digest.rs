//! Digests are the same wherever they are made, and different when anything is.

use buzon_types::flag::SystemFlags;
use buzon_types::id::{AccountId, GroupId, LogIndex};
use buzon_types::request::InstanceId;
use buzon_types::secret::Secret;
use buzon_types::time::Timestamp;
use bytes::Bytes;

use crate::change::{Change, SummarySource};
use crate::command::{Command, ShardCommand, StoreMode};
use crate::digest::StateDigest;
use crate::reply::{Outcome, Rejection, Reply};
use crate::row::{AccountRow, MailboxRow, MessageRow, Place, Quota};
use crate::tests::group::*;

fn encode(outcome: &Outcome) -> Bytes {
    format!("{outcome:?}").into()
}

fn digest(changes: &[Change]) -> StateDigest {
    StateDigest::first(LogIndex(7)).after(LogIndex(8), changes, &encode)
}

/// What the definition gives for what many kinds of entries change. If this test fails, the definition has changed:
/// replicas of this version and of earlier ones would take each other for broken.
#[test]
fn what_was_defined_stays_so() {
    let mut group = Group::shard();
    let mut digest = StateDigest::first(LogIndex(1));
    let mut index = 1;
    let mut run = |group: &mut Group, command: ShardCommand| {
        let decision = group.decide(Command::Shard(command), None);
        decision.outcome.unwrap();
        index += 1;
        digest = digest.after(LogIndex(index), &decision.changes, &encode);
        digest
    };
    let messages = vec![message(10, SystemFlags::SEEN, &["$A"]), message(12, SystemFlags::NONE, &[])];
    run(&mut group, ShardCommand::Append { mailbox: key(1), messages });
    run(&mut group, ShardCommand::StoreFlags(store(key(1), "1:2", StoreMode::Add, SystemFlags::FLAGGED)));
    run(&mut group, ShardCommand::Subscribe { account: ANA, name: name("Sent") });
    run(&mut group, ShardCommand::Copy(transfer(key(1), "1:2", key(6))));
    run(&mut group, ShardCommand::Expunge { mailbox: key(1), uids: uids_of("1:2") });
    let last = run(&mut group, ShardCommand::SetQuota { account: ANA, quota: Quota::default() });
    assert_eq!(format!("{:032x}", last.0), "124ee1a0ec21b6cfa6f9df9ddbe365be");
}

#[test]
fn order_index_and_history_count() {
    let (one, other) = (Change::RemoveAccount(AccountId(1)), Change::RemoveAccount(AccountId(2)));
    let both = digest(&[one.clone(), other.clone()]);
    assert_eq!(both, digest(&[one.clone(), other.clone()]));
    assert_ne!(both, digest(&[other.clone(), one.clone()]));
    let first = StateDigest::first(LogIndex(7));
    assert_ne!(both, first.after(LogIndex(9), &[one.clone(), other.clone()], &encode));
    assert_ne!(
        both,
        StateDigest::first(LogIndex(6)).after(LogIndex(8), &[one.clone(), other.clone()], &encode)
    );
    let apart = first.after(LogIndex(8), &[one], &encode).after(LogIndex(9), &[other], &encode);
    assert_ne!(both, apart);
}

/// Each of these differs from `base` in one field.
fn all_differ<T: Clone>(base: &T, make: impl Fn(T) -> Change, edits: &[fn(&mut T)]) {
    let mut digests = vec![digest(&[make(base.clone())])];
    for edit in edits {
        let mut edited = base.clone();
        edit(&mut edited);
        digests.push(digest(&[make(edited)]));
    }
    for (at, digest) in digests.iter().enumerate() {
        assert!(!digests[..at].contains(digest), "edit {at} is not told apart");
    }
}

#[test]
fn every_field_of_a_message_counts() {
    let mut group = Group::shard();
    let inbox = key(1);
    group.fill(inbox, &[SystemFlags::SEEN]);
    let row = group.rows.live(inbox).next().unwrap();
    let given = SummarySource::Given(Bytes::new());
    let add = |row: MessageRow| Change::AddMessage { mailbox: inbox, row, summary: given.clone() };
    all_differ(
        &row,
        add,
        &[
            |it| it.uid = uid(9),
            |it| it.flags = SystemFlags::NONE,
            |it| it.keywords.0 = 1 << 100,
            |it| it.modseq = modseq(99),
            |it| it.size += 1,
            |it| it.internal_date.seconds += 1,
            |it| it.internal_date.zone_minutes = -60,
            |it| it.saved_at.0 += 1,
            |it| it.body.object.0 ^= 1 << 100,
            |it| it.body.offset += 1,
            |it| it.body.length += 1,
            |it| it.body.key.0 += 1,
        ],
    );
}

#[test]
fn every_counter_and_name_counts() {
    let group = Group::shard();
    let account: AccountRow = group.rows.accounts[&ANA].clone();
    all_differ(
        &account,
        Change::PutAccount,
        &[
            |it| it.id = BEN,
            |it| it.epoch.0 += 1,
            |it| it.credential = Some(Secret::new("x".to_owned())),
            |it| it.credential_version.0 += 1,
            |it| it.quota.bytes_max = Some(0),
            |it| it.quota.messages_max = Some(0),
            |it| it.last_uid_validity += 1,
            |it| it.next_mailbox.0 += 1,
            |it| it.created_at.0 += 1,
            |it| it.counters.modseq = modseq(77),
            |it| it.counters.bytes += 1,
            |it| it.counters.messages += 1,
            |it| it.place = Place::Gone { to: GroupId(2), epoch: it.epoch },
            |it| it.place = Place::Frozen { to: GroupId(2), epoch: it.epoch },
        ],
    );
    let mailbox: MailboxRow = group.rows.mailboxes.values().next().unwrap().clone();
    all_differ(
        &mailbox,
        Change::PutMailbox,
        &[
            |it| it.name = name("other"),
            |it| it.keywords.push(keyword("k")),
            |it| it.tombstone_floor = modseq(9),
            |it| it.counters.uid_next = None,
            |it| it.counters.recent_from = Some(uid(3)),
            |it| it.counters.modseq = modseq(77),
            |it| it.counters.messages += 1,
            |it| it.counters.unseen += 1,
            |it| it.counters.deleted += 1,
            |it| it.counters.bytes += 1,
        ],
    );
}

#[test]
fn what_a_request_came_to_counts() {
    let record = |outcome: Outcome| {
        digest(&[Change::Record { instance: InstanceId(3), sequence: 4, accounts: vec![ANA], outcome }])
    };
    assert_eq!(record(Ok(Reply::Done)), record(Ok(Reply::Done)));
    assert_ne!(record(Ok(Reply::Done)), record(Err(Rejection::NotHere)));
    assert_ne!(digest(&[Change::SetTime(Timestamp(1))]), digest(&[Change::SetTime(Timestamp(2))]));
}
