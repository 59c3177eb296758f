//! Promise 4: a retry applies once.

use buzon_types::id::GroupId;
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::Timestamp;

use crate::change::Change;
use crate::command::{Command, Entry, ShardCommand};
use crate::decide::{Decision, decide};
use crate::limits::RECORDS_PER_INSTANCE_MAX;
use crate::reply::{Rejection, Reply};
use crate::state::State;
use crate::testing::Rows;
use crate::tests::group::*;

const FRONT: InstanceId = InstanceId(7);

fn request(sequence: u64, acknowledged_below: u64) -> Option<RequestId> {
    Some(RequestId { instance: FRONT, sequence, acknowledged_below })
}

fn group() -> Group {
    let mut group = Group::shard();
    assert_eq!(group.decide(Command::OpenInstance(FRONT), None).outcome, Ok(Reply::Done));
    group
}

fn append_as(group: &mut Group, request: Option<RequestId>) -> Decision {
    group.decide(Command::Shard(append(key(1), 10)), request)
}

#[test]
fn a_repeated_request_gets_the_first_outcome_and_changes_nothing() {
    let mut group = group();
    let first = append_as(&mut group, request(1, 0));
    assert!(first.outcome.is_ok());
    append_as(&mut group, request(2, 0)).outcome.unwrap();
    let again = append_as(&mut group, request(1, 0));
    assert_eq!(again, Decision { changes: vec![], outcome: first.outcome });
    assert_eq!(group.uids(key(1)), "1:2");
}

#[test]
fn a_refusal_is_repeated_too() {
    let mut group = group();
    let create = Command::Shard(create_mailbox("a/b"));
    let delete = Command::Shard(delete("a/b"));
    let refused = group.decide(delete.clone(), request(1, 0)).outcome;
    assert_eq!(refused, Err(Rejection::NoSuchMailbox));
    group.decide(create, request(2, 0)).outcome.unwrap();
    assert_eq!(group.decide(delete, request(1, 0)).outcome, refused);
}

#[test]
fn the_mark_rises_only_and_what_lies_below_is_refused() {
    let mut group = group();
    for sequence in 1..=3 {
        append_as(&mut group, request(sequence, 0)).outcome.unwrap();
    }
    let decision = append_as(&mut group, request(4, 3));
    assert!(decision.changes.contains(&Change::ForgetBelow { instance: FRONT, sequence: 3 }));
    assert_eq!(append_as(&mut group, request(2, 0)).outcome, Err(Rejection::RequestForgotten));
    assert!(append_as(&mut group, request(3, 1)).changes.is_empty(), "an old mark moves nothing");
    let repeated = append_as(&mut group, request(4, 4));
    assert_eq!(repeated.changes, [Change::ForgetBelow { instance: FRONT, sequence: 4 }]);
    assert_eq!(repeated.outcome, decision.outcome);
    let own = append_as(&mut group, request(5, 99));
    assert!(own.changes.contains(&Change::ForgetBelow { instance: FRONT, sequence: 5 }), "never its own");
    assert_eq!(append_as(&mut group, request(5, 99)).outcome, own.outcome);
    assert_eq!(group.uids(key(1)), "1:5");
}

#[test]
fn unknown_and_closed_instances_are_refused() {
    let mut group = group();
    append_as(&mut group, request(1, 0)).outcome.unwrap();
    group.decide(Command::CloseInstance(FRONT), None).outcome.unwrap();
    let refused = append_as(&mut group, request(1, 0));
    assert_eq!(refused, Decision { changes: vec![], outcome: Err(Rejection::InstanceUnknown) });
    assert!(group.rows.records.is_empty());
    assert_eq!(group.decide(Command::CloseInstance(FRONT), None).outcome, Ok(Reply::Done));
}

#[test]
fn opening_again_keeps_the_records() {
    let mut group = group();
    let first = append_as(&mut group, request(1, 0)).outcome;
    assert_eq!(group.decide(Command::OpenInstance(FRONT), None).outcome, Ok(Reply::Done));
    assert_eq!(append_as(&mut group, request(1, 0)).outcome, first);
}

#[test]
fn a_restart_keeps_the_records() {
    let mut group = group();
    let first = append_as(&mut group, request(1, 0)).outcome;
    append_as(&mut group, request(2, 2)).outcome.unwrap();
    group.state = State::new(group.state.group(), group.rows.seed());
    assert_eq!(append_as(&mut group, request(1, 0)).outcome, Err(Rejection::RequestForgotten));
    let second = append_as(&mut group, request(2, 0));
    assert!(second.changes.is_empty() && second.outcome.is_ok() && first.is_ok());
}

#[test]
fn records_name_the_accounts_they_move_with() {
    let mut group = group();
    let decision = append_as(&mut group, request(1, 0));
    let Some(Change::Record { accounts, sequence: 1, .. }) = decision.changes.last() else {
        panic!("{decision:?}")
    };
    assert_eq!(accounts, &[ANA]);
}

#[test]
fn there_is_a_bound_to_unacknowledged_requests() {
    let mut seed = Group::shard().rows.seed();
    let full = RECORDS_PER_INSTANCE_MAX as u64;
    seed.instances = vec![(FRONT, Timestamp(1), 1)];
    seed.records = (1..=full).map(|it| (FRONT, it, vec![], Ok(Reply::Done))).collect();
    let state = State::new(buzon_types::id::GroupId(1), seed);
    let ask = |request| {
        let command = Command::Shard(ShardCommand::DeleteAccount(ANA));
        decide(&state, &Entry { at: Timestamp(9), request, command }).outcome
    };
    assert_eq!(ask(request(full + 1, 1)), Err(Rejection::TooManyRequests));
    assert_eq!(ask(request(5, 1)), Ok(Reply::Done), "a repetition is answered all the same");
    assert_eq!(ask(request(full + 1, 2)), Err(Rejection::NoSuchAccount), "the mark makes room");
}

#[test]
fn a_new_instance_closes_those_its_owner_left_behind() {
    let mut rows = Rows::default();
    let mut state = State::new(GroupId(1), rows.seed());
    let (old, new) = (InstanceId::owned(7, 1), InstanceId::owned(7, 2));
    let (other, nobodys) = (InstanceId::owned(8, 1), InstanceId::owned(0, 1));
    for id in [old, other, nobodys, InstanceId::owned(0, 2), new, new] {
        let command = Command::OpenInstance(id);
        rows.step(&mut state, &Entry { at: Timestamp(1), request: None, command });
    }
    let open: Vec<InstanceId> = state.requests().instances().map(|(id, _)| id).collect();
    assert_eq!(open, [nobodys, InstanceId::owned(0, 2), new, other]);
}
