//! The bound of what is in memory.

use buzon_types::flag::SystemFlags;
use buzon_types::id::AccountId;

use crate::row::Quota;
use crate::scope::Need;
use crate::state::State;
use crate::tests::group::*;

#[test]
fn shrink_drops_what_was_used_longest_ago() {
    let mut group = Group::shard();
    group.run(create_account(BEN, Quota::default())).unwrap();
    group.fill(key(1), &[SystemFlags::NONE; 1_000]);
    group.fill(key(2), &[SystemFlags::NONE; 1_000]);
    let needs = [Need::Index(key(1)), Need::Index(key(2)), Need::Account(BEN)];
    assert_eq!(group.state.missing_of(&needs), []);
    group.state.touch(key(1));
    let all = group.state.bytes();
    group.state.shrink(all);
    assert_eq!(group.state.missing_of(&needs), [], "within the bound nothing goes");
    group.state.touch(key(2));
    group.state.touch(key(1));
    group.state.shrink(all - 40_000);
    assert!(group.state.bytes() <= all - 40_000);
    let missing = group.state.missing_of(&needs);
    assert!(missing.contains(&Need::Index(key(2))) && !missing.contains(&Need::Index(key(1))), "{missing:?}");
}

#[test]
fn bytes_are_counted_exactly_up_and_down() {
    let mut group = Group::shard();
    group.fill(key(1), &[SystemFlags::DELETED; 1_500]);
    group.run(crate::command::ShardCommand::Expunge { mailbox: key(1), uids: uids_of("1:700") }).unwrap();
    group.run(rename("Sent", "deep/er")).unwrap();
    group.run(delete("Junk")).unwrap();
    group.run(create_account(AccountId(5), Quota::default())).unwrap();
    group.state.shrink(0);
    assert_eq!(group.state.bytes(), 0, "nothing is loaded, so nothing is counted");
}

#[test]
fn bytes_count_loaded_rows() {
    let mut group = Group::shard();
    group.fill(key(1), &[SystemFlags::NONE; 2_000]);
    let mut fresh = State::new(group.state.group(), group.rows.seed());
    for need in [Need::Account(ANA), Need::Index(key(1))] {
        fresh.insert(group.rows.load(&need));
    }
    assert!((160_000..200_000).contains(&fresh.bytes()), "{}", fresh.bytes());
}

/// States are read by many and handed between threads.
#[test]
fn a_state_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<State>();
}
