//! An account moves between two shards: tables for each step, then random histories with a mover that is cut off anywhere,
//! steps that come twice or late, and moves that are aborted, against a shard whose account never moves.

use std::collections::BTreeMap;

use buzon_types::address::{Address, Domain};
use buzon_types::flag::SystemFlags;
use buzon_types::id::{
    AccountId, DIRECTORY, Epoch, GroupId, Incarnation, MailboxId, MailboxKey, NodeId, TenantId,
};
use buzon_types::node::NodeAddress;
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid};
use bytes::Bytes;
use proptest::prelude::*;

use crate::command::{
    ArrivePage, ArrivingMessage, ArrivingRecord, ArrivingRows, ArrivingTombstone, BeginArrive,
    ClusterCommand, Command, DirectoryCommand, Entry, FoundCluster, FoundingNode, FoundingShard, Leaving,
    Recipient, Relocation, ShardCommand, Step, StoreMode,
};
use crate::index::MailboxIndex;
use crate::invariants;
use crate::limits::FEATURE_LEVEL_MOVES;
use crate::read::EventKind;
use crate::reply::{Outcome, Rejection, Reply};
use crate::row::{
    AccountRow, MailboxRow, MailboxState, MessageRow, MoveState, Place, Quota, TenantLimits, Tombstone,
};
use crate::tests::group::*;
use crate::tests::random;

const LEFT: GroupId = GroupId(1);
const RIGHT: GroupId = GroupId(2);
const FRONT: InstanceId = InstanceId(77);

/// Where a page begins: as the exporter does it, on rows in maps and row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cursor {
    since: ModSeq,
    upto: ModSeq,
    /// The mailboxes' rows before this one have come in this round.
    after: Option<(MailboxId, bool, Uid)>,
    frozen: bool,
    in_round: bool,
}

struct World {
    directory: Group,
    shards: BTreeMap<GroupId, Group>,
    /// Takes every change that was accepted, and never moves.
    still: Group,
    cursors: Vec<Cursor>,
    /// All steps ever sent to a shard.
    sent: Vec<(GroupId, Relocation)>,
    at: i64,
    moves_done: u32,
    page_rows: usize,
}

fn raised(group: &mut Group) {
    group.decide(Command::RaiseFeatureLevel(FEATURE_LEVEL_MOVES), None).outcome.unwrap();
}

fn direct(group: &mut Group, command: DirectoryCommand) -> Outcome {
    group.decide(Command::Directory(command), None).outcome
}

/// A directory with two shards that knows ana, who lives on the left one.
fn directory() -> Group {
    let mut group = Group::new(DIRECTORY);
    raised(&mut group);
    let node = FoundingNode {
        id: NodeId(1),
        address: NodeAddress::new("n1:1").unwrap(),
        zone: None,
        incarnation: Incarnation(1),
    };
    let shards = [LEFT, RIGHT].map(|group| FoundingShard { group, voters: vec![NodeId(1)] }).to_vec();
    let found = FoundCluster { nodes: vec![node], voters_per_shard: 1, shards };
    group.decide(Command::Cluster(ClusterCommand::FoundCluster(found)), None).outcome.unwrap();
    let tenant = DirectoryCommand::CreateTenant { name: "acme".into(), limits: TenantLimits::default() };
    direct(&mut group, tenant).unwrap();
    let domain = Domain::new("example.com").unwrap();
    direct(&mut group, DirectoryCommand::AddDomain { tenant: TenantId(1), domain }).unwrap();
    let address = Address::new("a1@example.com").unwrap();
    let place = DirectoryCommand::PlaceAccount { tenant: TenantId(1), address, shard: LEFT };
    let placed = Reply::AccountPlaced { account: ANA, shard: LEFT, epoch: Epoch(1) };
    assert_eq!(direct(&mut group, place), Ok(placed));
    direct(&mut group, DirectoryCommand::ActivateAccount(ANA)).unwrap();
    group
}

impl World {
    fn new(page_rows: usize) -> Self {
        let group = |id| {
            let mut group = Group::new(id);
            raised(&mut group);
            group
        };
        let mut world = Self {
            directory: directory(),
            shards: [LEFT, RIGHT].map(|id| (id, group(id))).into(),
            still: group(GroupId(9)),
            cursors: vec![Cursor::default()],
            sent: Vec::new(),
            at: 10_000,
            moves_done: 0,
            page_rows,
        };
        world.client(LEFT, create_account(ANA, Quota::default())).unwrap();
        world
    }

    fn shard(&mut self, id: GroupId) -> &mut Group {
        self.shards.get_mut(&id).unwrap()
    }

    fn row(&self, id: GroupId) -> Option<&AccountRow> {
        self.shards[&id].rows.accounts.get(&ANA)
    }

    /// Where clients find the account: at most in one shard.
    fn home(&self) -> Option<GroupId> {
        let holds = |id: &GroupId| self.shards[id].state.account(ANA).is_some();
        let homes: Vec<GroupId> = [LEFT, RIGHT].into_iter().filter(holds).collect();
        assert!(homes.len() <= 1, "the account is served by two shards");
        homes.first().copied()
    }

    /// A client's change, asked of one shard; what is accepted happens to the account that stands still too.
    fn client(&mut self, at: GroupId, command: ShardCommand) -> Outcome {
        self.at += 1;
        let entry = Entry { at: Timestamp(self.at), request: None, command: Command::Shard(command) };
        let group = self.shard(at);
        let outcome = group.rows.step(&mut group.state, &entry).outcome;
        invariants::check(&group.state).unwrap();
        let elsewhere =
            matches!(outcome, Err(Rejection::Frozen | Rejection::Moved { .. } | Rejection::NoSuchAccount));
        if !elsewhere {
            let still = self.still.rows.step(&mut self.still.state, &entry).outcome;
            assert_eq!(outcome, still, "{entry:?}");
        }
        outcome
    }

    fn send(&mut self, to: GroupId, step: Relocation) -> Outcome {
        self.sent.push((to, step.clone()));
        self.shard(to).run(ShardCommand::Relocate(step))
    }

    fn direct(&mut self, command: DirectoryCommand) -> Outcome {
        direct(&mut self.directory, command)
    }

    /// One step of the pending move, from what stands in the rows alone: whoever takes it up goes on so.
    fn advance(&mut self) {
        let Some(row) = self.directory.rows.moves.get(&ANA).cloned() else { return };
        let step = Step { account: ANA, epoch: row.epoch };
        match row.state {
            MoveState::Copying => self.copy(step, row.from, row.to),
            MoveState::Committed => {
                self.send(row.from, Relocation::FinishLeave(step)).unwrap();
                self.send(row.to, Relocation::Activate(step)).unwrap();
                if self.shard(row.from).run(ShardCommand::PurgeAccount(ANA))
                    == Ok(Reply::Purged { more: false })
                {
                    self.direct(DirectoryCommand::FinishMove(step)).unwrap();
                    self.moves_done += 1;
                }
            }
            MoveState::Aborting => {
                self.send(row.from, Relocation::AbortLeave(step)).unwrap();
                self.send(row.to, Relocation::DropArriving(step)).unwrap();
                if self.shard(row.to).run(ShardCommand::PurgeAccount(ANA))
                    == Ok(Reply::Purged { more: false })
                {
                    self.direct(DirectoryCommand::FinishMove(step)).unwrap();
                }
            }
        }
    }

    fn copy(&mut self, step: Step, from: GroupId, to: GroupId) {
        let address = Address::new("a1@example.com").unwrap();
        let begin = BeginArrive { step, from, tenant: TenantId(1), address };
        let (pages, cursor, complete) = match self.send(to, Relocation::BeginArrive(begin)).unwrap() {
            Reply::Arriving { pages, cursor, complete } => (pages, cursor, complete),
            _ => return drop(self.shard(to).run(ShardCommand::PurgeAccount(ANA)).unwrap()),
        };
        if complete {
            self.direct(DirectoryCommand::CommitMove(step)).unwrap();
            return;
        }
        let cursor = match &cursor[..] {
            [] => Cursor::default(),
            bytes => self.cursors[usize::from_be_bytes(bytes.try_into().unwrap())],
        };
        if !cursor.in_round && cursor.upto > ModSeq::ZERO && !cursor.frozen {
            self.send(from, Relocation::Freeze(Leaving { step, to })).unwrap();
        }
        let (rows, next) = self.export(from, cursor);
        self.cursors.push(next);
        let cursor = Bytes::copy_from_slice(&(self.cursors.len() - 1).to_be_bytes());
        let page = ArrivePage { step, number: pages + 1, cursor, rows };
        self.send(to, Relocation::ArrivePage(Box::new(page))).unwrap();
    }

    /// The rows of a page, and where the next one begins.
    fn export(&self, from: GroupId, cursor: Cursor) -> (ArrivingRows, Cursor) {
        let rows = &self.shards[&from].rows;
        let account = rows.accounts[&ANA].clone();
        let live = |row: &&MailboxRow| row.state == MailboxState::Live && row.key.account == ANA;
        if cursor.frozen && !cursor.in_round {
            let mailboxes = rows.mailboxes.values().filter(live).cloned().collect();
            let subscriptions = rows.subscriptions.iter().map(|(_, name)| name.clone()).collect();
            let all = ArrivingRows { mailboxes, subscriptions, account: Some(account), ..Default::default() };
            return (all, cursor);
        }
        let mut next = cursor;
        if !cursor.in_round {
            let frozen = matches!(account.place, Place::Frozen { .. });
            (next.since, next.upto) = (cursor.upto, account.counters.modseq);
            (next.frozen, next.in_round, next.after) = (frozen, true, None);
        }
        let mut changed: Vec<(MailboxId, bool, Uid)> = Vec::new();
        for mailbox in rows.mailboxes.values().filter(live) {
            let key = mailbox.key;
            let range = (key, Uid::MIN)..=(key, Uid::MAX);
            let new = rows.messages.range(range.clone()).filter(|(_, row)| row.modseq > next.since);
            changed.extend(new.map(|((_, uid), _)| (key.mailbox, false, *uid)));
            let gone = rows.tombstones.range(range).filter(|(_, row)| row.message.modseq > next.since);
            changed.extend(gone.map(|((_, uid), _)| (key.mailbox, true, *uid)));
        }
        changed.retain(|at| next.after.is_none_or(|after| *at > after));
        let mut page = ArrivingRows::default();
        for (mailbox, is_dead, uid) in changed.iter().take(self.page_rows).copied() {
            let key = MailboxKey { account: ANA, mailbox };
            if page.mailboxes.last().is_none_or(|row| row.key != key) {
                page.mailboxes
                    .push(MailboxRow { state: MailboxState::Deleting, ..rows.mailboxes[&key].clone() });
            }
            let summary = rows.summaries[&(key, uid)].clone();
            if is_dead {
                let row = rows.tombstones[&(key, uid)];
                page.tombstones.push(ArrivingTombstone { mailbox, row, summary });
            } else {
                let row = rows.messages[&(key, uid)];
                page.messages.push(ArrivingMessage { mailbox, row, summary });
            }
        }
        if changed.len() <= self.page_rows {
            (next.in_round, next.after) = (false, None);
        } else {
            next.after = Some(changed[self.page_rows - 1]);
        }
        (page, next)
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.directory.rows.moves.is_empty() {
                return;
            }
            self.advance();
        }
        panic!("the move does not end");
    }

    /// Everything that clients can see is what it would be if the account had never moved.
    fn assert_nothing_is_lost(&self) {
        let home = self.home().expect("somebody serves the account");
        assert_eq!(self.directory.rows.placements[&ANA].shard, home);
        assert_eq!(self.directory.rows.placements[&ANA].epoch, self.row(home).unwrap().epoch);
        assert_eq!(seen(&self.shards[&home]), seen(&self.still));
        self.assert_memory_is_true(home);
    }

    /// Indexes that were kept while they came are those that the rows give.
    fn assert_memory_is_true(&self, home: GroupId) {
        let group = &self.shards[&home];
        for mailbox in group.state.account(ANA).expect("it is served").mailboxes() {
            let Some(index) = &mailbox.index else { continue };
            let key = mailbox.key();
            let range = (key, Uid::MIN)..=(key, Uid::MAX);
            let rows: Vec<MessageRow> = group.rows.messages.range(range).map(|(_, row)| *row).collect();
            assert_eq!(index.all().collect::<Vec<_>>(), rows);
            let loaded = MailboxIndex::new(&rows, mailbox.row.counters.modseq);
            assert_eq!(index.first_unseen(), loaded.first_unseen());
            for since in (0..=mailbox.row.counters.modseq.get()).filter_map(ModSeq::new) {
                assert_eq!(index.changes_since(since), loaded.changes_since(since), "since {since}");
            }
        }
    }
}

type Seen = (
    AccountRow,
    Vec<MailboxRow>,
    Vec<buzon_types::mailbox_name::MailboxName>,
    Vec<(MailboxKey, MessageRow, Bytes)>,
    Vec<(MailboxKey, Tombstone, Bytes)>,
);

fn seen(group: &Group) -> Seen {
    let rows = &group.rows;
    let account = AccountRow { epoch: Epoch(0), place: Place::Here, ..rows.accounts[&ANA].clone() };
    let live = |key: &MailboxKey| rows.mailboxes.get(key).is_some_and(|row| row.state == MailboxState::Live);
    let summary = |at: &(MailboxKey, Uid)| rows.summaries[at].clone();
    (
        account,
        rows.mailboxes.values().filter(|row| live(&row.key)).cloned().collect(),
        rows.subscriptions.iter().map(|(_, name)| name.clone()).collect(),
        rows.messages
            .iter()
            .filter(|(at, _)| live(&at.0))
            .map(|(at, row)| (at.0, *row, summary(at)))
            .collect(),
        rows.tombstones
            .iter()
            .filter(|(at, _)| live(&at.0))
            .map(|(at, row)| (at.0, *row, summary(at)))
            .collect(),
    )
}

fn step(epoch: u64) -> Step {
    Step { account: ANA, epoch: Epoch(epoch) }
}

fn begin(to: GroupId) -> DirectoryCommand {
    DirectoryCommand::BeginMove { account: ANA, to }
}

/// A world whose pending move to the right has copied everything and is not committed.
fn copied() -> World {
    let mut world = World::new(3);
    world.client(LEFT, append(key(1), 10)).unwrap();
    world.client(LEFT, append(key(1), 11)).unwrap();
    world.direct(begin(RIGHT)).unwrap();
    for _ in 0..100 {
        if matches!(&world.row(RIGHT).map(|row| &row.place), Some(Place::Arriving(it)) if it.complete) {
            return world;
        }
        world.advance();
    }
    panic!("the copy does not end");
}

#[test]
fn moves_need_their_feature_level() {
    let mut shard = Group::shard();
    shard.refuse(ShardCommand::Relocate(Relocation::AbortLeave(step(2))), Rejection::NotHere);
    let mut directory = Group::directory();
    assert_eq!(direct(&mut directory, begin(RIGHT)), Err(Rejection::NotHere));
}

#[test]
fn an_account_moves_there_and_back() {
    let mut world = World::new(2);
    for size in 10..20 {
        world.client(LEFT, append(key(1), size)).unwrap();
    }
    for (there, epoch) in [(RIGHT, 2), (LEFT, 3), (RIGHT, 4)] {
        let from = world.home().unwrap();
        assert_eq!(world.direct(begin(there)), Ok(Reply::MoveBegun { from, epoch: Epoch(epoch) }));
        world.settle();
        assert_eq!(world.home(), Some(there));
        world.assert_nothing_is_lost();
        // A forwarding record is all that is left.
        let left = &world.shards[&from];
        assert_eq!(left.rows.accounts[&ANA].place, Place::Gone { to: there, epoch: Epoch(epoch) });
        assert!(
            left.rows.mailboxes.is_empty() && left.rows.messages.is_empty() && left.rows.summaries.is_empty()
        );
        world.client(there, append(key(1), 30)).unwrap();
    }
    assert_eq!(world.direct(begin(RIGHT)), Ok(Reply::Done));
    let accounts: Vec<u64> = world.directory.rows.shards.values().map(|row| row.accounts).collect();
    assert_eq!(accounts, [0, 1]);
}

/// Whoever writes first after a move of a large mailbox does not wait for all of it to be loaded.
#[test]
fn what_came_is_in_memory_when_the_account_is_activated() {
    let mut world = World::new(3);
    for size in 10..20 {
        world.client(LEFT, append(key(1), size)).unwrap();
    }
    world.direct(begin(RIGHT)).unwrap();
    for size in 20..25 {
        world.advance();
        let flags = store(key(1), "1:9", StoreMode::Add, SystemFlags::SEEN);
        let _ = world.client(LEFT, ShardCommand::StoreFlags(flags));
        let _ = world.client(LEFT, append(key(1), size));
        let _ = world.client(LEFT, ShardCommand::Expunge { mailbox: key(1), uids: uids_of("2,13") });
    }
    world.settle();
    let flags =
        Command::Shard(ShardCommand::StoreFlags(store(key(1), "1", StoreMode::Add, SystemFlags::DRAFT)));
    assert_eq!(world.shard(RIGHT).state.missing(&flags), []);
    world.assert_nothing_is_lost();
}

#[test]
fn a_page_that_comes_twice_or_late_changes_nothing() {
    let mut world = World::new(3);
    for size in 10..20 {
        world.client(LEFT, append(key(1), size)).unwrap();
    }
    world.direct(begin(RIGHT)).unwrap();
    let mut repeated = 0;
    for _ in 0..100 {
        if world.directory.rows.moves[&ANA].state != MoveState::Copying {
            break;
        }
        world.advance();
        // What changes meanwhile is what an old page would undo.
        let _ = world.client(
            LEFT,
            ShardCommand::StoreFlags(store(key(1), "1:4", StoreMode::Add, SystemFlags::DELETED)),
        );
        let _ = world.client(LEFT, ShardCommand::Expunge { mailbox: key(1), uids: uids_of("2") });
        let is_page = |it: &&(GroupId, Relocation)| matches!(it.1, Relocation::ArrivePage(_));
        for (to, page) in world.sent.iter().filter(is_page).cloned().collect::<Vec<_>>() {
            let before = world.shards[&to].rows.clone();
            world.send(to, page).unwrap();
            let after = &mut world.shards.get_mut(&to).unwrap().rows;
            after.time = before.time;
            assert_eq!(*after, before);
            world.sent.pop();
            repeated += 1;
        }
    }
    assert!(repeated > 10);
    world.settle();
    world.assert_nothing_is_lost();
}

#[test]
fn a_frozen_account_is_read_and_not_changed_and_the_refusal_is_not_recorded() {
    let mut world = copied();
    let request = RequestId { instance: FRONT, sequence: 1, acknowledged_below: 1 };
    let left = world.shard(LEFT);
    left.decide(Command::OpenInstance(FRONT), None).outcome.unwrap();
    let append = Command::Shard(append(key(1), 12));
    assert!(left.state.account(ANA).is_some());
    assert_eq!(left.decide(append.clone(), Some(request)).outcome, Err(Rejection::Frozen));
    assert_eq!(left.state.requests().outcome(FRONT, 1), None);
    // Also a delivery that others would get.
    let to = |account| Recipient { account, mailbox: None };
    let message = message(5, SystemFlags::NONE, &[]);
    let deliver = ShardCommand::Deliver { recipients: vec![to(BEN), to(ANA)], message };
    assert_eq!(left.run(deliver), Err(Rejection::Frozen));
    // Thawed, the same request applies.
    world.direct(DirectoryCommand::AbortMove(step(2))).unwrap();
    world.settle();
    assert!(matches!(world.shard(LEFT).decide(append, Some(request)).outcome, Ok(Reply::Appended { .. })));
}

#[test]
fn where_it_went_is_told_and_recorded() {
    let mut world = copied();
    let left = world.shard(LEFT);
    left.decide(Command::OpenInstance(FRONT), None).outcome.unwrap();
    world.settle();
    let moved = Rejection::Moved { shard: RIGHT, epoch: Epoch(2) };
    let request = RequestId { instance: FRONT, sequence: 1, acknowledged_below: 1 };
    let left = world.shard(LEFT);
    left.run(create_account(BEN, Quota::default())).unwrap();
    let command = Command::Shard(append(key(1), 12));
    assert_eq!(left.decide(command, Some(request)).outcome, Err(moved.clone()));
    assert_eq!(left.state.requests().outcome(FRONT, 1), Some(&Err(moved.clone())));
    let to = |account| Recipient { account, mailbox: None };
    let message = message(5, SystemFlags::NONE, &[]);
    let deliver = ShardCommand::Deliver { recipients: vec![to(ANA), to(BEN), to(AccountId(8))], message };
    let Ok(Reply::Delivered(results)) = left.run(deliver) else { panic!("not delivered") };
    assert_eq!(results[0], Err(moved));
    assert!(results[1].is_ok());
    assert_eq!(results[2], Err(Rejection::NoSuchAccount));
}

#[test]
fn sessions_are_told_to_look_when_the_account_goes() {
    let mut world = copied();
    world.direct(DirectoryCommand::CommitMove(step(2))).unwrap();
    let leave = Command::Shard(ShardCommand::Relocate(Relocation::FinishLeave(step(2))));
    let decision = world.shard(LEFT).decide(leave, None);
    assert!(crate::event::events(&decision.changes).contains(&(ANA, EventKind::Gap)));
}

#[test]
fn an_aborted_move_is_never_activated() {
    let mut world = copied();
    world.direct(DirectoryCommand::AbortMove(step(2))).unwrap();
    assert_eq!(world.direct(DirectoryCommand::CommitMove(step(2))), Err(Rejection::MoveOver));
    world.settle();
    for late in [Relocation::Activate(step(2)), Relocation::FinishLeave(step(2))] {
        for shard in [LEFT, RIGHT] {
            let outcome = world.send(shard, late.clone());
            assert!(matches!(outcome, Ok(Reply::Done) | Err(Rejection::MoveOver)), "{outcome:?}");
            assert_eq!(world.home(), Some(LEFT));
        }
    }
    let freeze = Relocation::Freeze(Leaving { step: step(2), to: RIGHT });
    assert_eq!(world.send(LEFT, freeze), Err(Rejection::MoveOver));
    world.assert_nothing_is_lost();
    // The next one has another epoch, and goes through.
    assert_eq!(world.direct(begin(RIGHT)), Ok(Reply::MoveBegun { from: LEFT, epoch: Epoch(3) }));
    world.settle();
    assert_eq!(world.home(), Some(RIGHT));
}

#[test]
fn half_an_account_is_not_activated() {
    let mut world = World::new(1);
    world.client(LEFT, append(key(1), 10)).unwrap();
    world.direct(begin(RIGHT)).unwrap();
    world.advance();
    assert_eq!(world.send(RIGHT, Relocation::Activate(step(2))), Err(Rejection::NotHere));
    assert_eq!(world.home(), Some(LEFT));
}

#[test]
fn a_committed_move_only_goes_forwards_and_is_the_only_one() {
    let mut world = copied();
    assert_eq!(world.direct(begin(RIGHT)), Ok(Reply::MoveBegun { from: LEFT, epoch: Epoch(2) }));
    assert_eq!(world.direct(begin(LEFT)), Err(Rejection::MovePending(RIGHT)));
    assert_eq!(world.direct(DirectoryCommand::BeginDeleteAccount(ANA)), Err(Rejection::MovePending(RIGHT)));
    assert_eq!(world.direct(DirectoryCommand::FinishMove(step(2))), Err(Rejection::NotHere));
    assert_eq!(world.direct(DirectoryCommand::CommitMove(step(3))), Err(Rejection::MoveOver));
    world.direct(DirectoryCommand::CommitMove(step(2))).unwrap();
    assert_eq!(world.direct(DirectoryCommand::CommitMove(step(2))), Ok(Reply::Done));
    assert_eq!(world.direct(DirectoryCommand::AbortMove(step(2))), Err(Rejection::MoveOver));
    // Nobody takes changes in between.
    for shard in [LEFT, RIGHT] {
        assert_eq!(world.client(shard, append(key(1), 1)), Err(Rejection::Frozen));
    }
    world.settle();
    world.assert_nothing_is_lost();
    assert_eq!(world.direct(DirectoryCommand::FinishMove(step(2))), Ok(Reply::Done));
    let missing = GroupId(7);
    assert_eq!(world.direct(begin(missing)), Err(Rejection::NoSuchShard(missing)));
}

#[test]
fn what_was_answered_is_known_where_the_account_went() {
    let mut world = copied();
    let record = |instance, sequence| ArrivingRecord {
        instance,
        opened_at: Timestamp(5),
        forgotten_below: 2,
        sequence,
        accounts: vec![ANA],
        outcome: Ok(Reply::Staged { messages: 7 }),
    };
    world.direct(DirectoryCommand::AbortMove(step(2))).unwrap();
    world.settle();
    world.direct(begin(RIGHT)).unwrap();
    world.advance();
    // Known here with a mark above: what lies below stays forgotten.
    let known = InstanceId(78);
    let right = world.shard(RIGHT);
    right.decide(Command::OpenInstance(known), None).outcome.unwrap();
    let request = RequestId { instance: known, sequence: 9, acknowledged_below: 9 };
    let idle = ShardCommand::Subscribe { account: BEN, name: name("x") };
    let _ = right.decide(Command::Shard(idle.clone()), Some(request));
    let Some(Place::Arriving(arrival)) = world.row(RIGHT).map(|row| row.place.clone()) else {
        panic!("arriving")
    };
    let records =
        vec![record(FRONT, 2), record(FRONT, 3), record(known, 8), record(known, 9), record(known, 10)];
    let rows = ArrivingRows { records, ..Default::default() };
    let page = ArrivePage { step: step(3), number: arrival.pages + 1, cursor: arrival.cursor, rows };
    world.send(RIGHT, Relocation::ArrivePage(Box::new(page))).unwrap();
    let right = world.shard(RIGHT);
    let told = |sequence| right.state.requests().outcome(known, sequence).cloned();
    assert_eq!((told(8), told(9)), (None, Some(Err(Rejection::NoSuchAccount))));
    assert_eq!(told(10), Some(Ok(Reply::Staged { messages: 7 })));
    // Asked again under the old id, the new shard gives the first answer.
    let again = RequestId { instance: FRONT, sequence: 3, acknowledged_below: 0 };
    assert_eq!(
        right.decide(Command::Shard(idle.clone()), Some(again)).outcome,
        Ok(Reply::Staged { messages: 7 })
    );
    let forgotten = RequestId { instance: FRONT, sequence: 1, acknowledged_below: 0 };
    assert_eq!(right.decide(Command::Shard(idle), Some(forgotten)).outcome, Err(Rejection::RequestForgotten));
}

#[test]
fn what_a_late_step_left_is_cleared_by_the_next_move() {
    let mut world = copied();
    let begun = world.sent.iter().find(|(_, it)| matches!(it, Relocation::BeginArrive(_))).cloned().unwrap();
    world.direct(DirectoryCommand::AbortMove(step(2))).unwrap();
    world.settle();
    // The shard forgets that it ever knew the account, as one that never took a page does.
    world.shards.insert(RIGHT, Group::new(RIGHT));
    raised(world.shard(RIGHT));
    world.send(RIGHT, begun.1).unwrap();
    assert_eq!(world.home(), Some(LEFT));
    world.direct(begin(RIGHT)).unwrap();
    world.settle();
    assert_eq!(world.home(), Some(RIGHT));
    world.assert_nothing_is_lost();
}

/// What happens next in a random history.
#[derive(Debug, Clone)]
enum Act {
    Client(random::Step, bool),
    Begin(bool),
    Advance(u8),
    Late(u16),
    Abort,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let client = (random::steps(2), any::<bool>()).prop_map(|(steps, wrong)| Act::Client(steps[0], wrong));
    let act = prop_oneof![
        8 => client,
        1 => any::<bool>().prop_map(Act::Begin),
        6 => (1u8..4).prop_map(Act::Advance),
        2 => any::<u16>().prop_map(Act::Late),
        1 => prop::bool::weighted(0.3).prop_map(|it| if it { Act::Abort } else { Act::Advance(2) }),
    ];
    prop::collection::vec(act, 40..120)
}

/// Runs a history to its end; how many moves were made.
fn run(acts: &[Act], page_rows: usize) -> u32 {
    let mut world = World::new(page_rows);
    for act in acts {
        match act {
            Act::Client(step, wrong) => {
                let command = random::command(&step.of_ana());
                // Staged copies do not move, and what is purged nobody sees; a delivery names others too.
                let is_out = matches!(
                    command,
                    ShardCommand::StageCopy { .. }
                        | ShardCommand::PublishCopy { .. }
                        | ShardCommand::DropCopy { .. }
                        | ShardCommand::PurgeMailbox(_)
                );
                let placed = world.directory.rows.placements[&ANA].shard;
                let at = if placed == LEFT && !wrong { LEFT } else { RIGHT };
                let holds = world.shards[&at].rows.accounts.contains_key(&ANA);
                if !is_out && (holds || !matches!(command, ShardCommand::Deliver { .. })) {
                    let command = to_ana_alone(command);
                    world.client_or_elsewhere(at, command);
                }
            }
            Act::Begin(right) => drop(world.direct(begin(if *right { RIGHT } else { LEFT }))),
            Act::Advance(times) => (0..*times).for_each(|_| world.advance()),
            Act::Late(at) if !world.sent.is_empty() => {
                // Every other time one of those that are not long ago.
                let back = if at % 2 == 0 { world.sent.len() } else { world.sent.len().min(6) };
                let (to, step) = world.sent[world.sent.len() - 1 - usize::from(*at) % back].clone();
                let _ = world.send(to, step);
            }
            Act::Late(_) => {}
            Act::Abort => {
                if let Some(row) = world.directory.rows.moves.get(&ANA).cloned() {
                    let _ =
                        world.direct(DirectoryCommand::AbortMove(Step { account: ANA, epoch: row.epoch }));
                }
            }
        }
        world.home();
    }
    world.settle();
    world.assert_nothing_is_lost();
    // A last change goes through: nothing stays frozen.
    let home = world.home().unwrap();
    let outcome = world.client(home, ShardCommand::Subscribe { account: ANA, name: name("the end") });
    assert_eq!(outcome, Ok(Reply::Done));
    world.moves_done
}

fn to_ana_alone(command: ShardCommand) -> ShardCommand {
    match command {
        ShardCommand::Deliver { recipients, message } => {
            let recipients = recipients.into_iter().filter(|it| it.account == ANA).collect();
            ShardCommand::Deliver { recipients, message }
        }
        other => other,
    }
}

impl World {
    /// A delivery to where the account was is answered recipient by recipient, and changes nothing there.
    fn client_or_elsewhere(&mut self, at: GroupId, command: ShardCommand) {
        let is_gone = matches!(self.row(at).map(|row| &row.place), Some(Place::Gone { .. }));
        if is_gone && matches!(command, ShardCommand::Deliver { .. }) {
            let outcome = self.shard(at).run(command);
            let Ok(Reply::Delivered(results)) = outcome else { panic!("{outcome:?}") };
            assert!(results.iter().all(|it| matches!(it, Err(Rejection::Moved { .. }))));
            return;
        }
        let _ = self.client(at, command);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn moves_that_are_cut_off_anywhere_lose_nothing(acts in acts(), page_rows in 1usize..6) {
        run(&acts, page_rows);
    }
}

#[test]
fn random_moves_are_made() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let moves: u32 = (0..20).map(|_| run(&acts().new_tree(&mut runner).unwrap().current(), 3)).sum();
    assert!(moves >= 20, "only {moves} moves in 20 histories");
}
