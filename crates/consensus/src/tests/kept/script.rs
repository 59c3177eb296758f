//! Writes a log as it comes to be kept: with clocks, terms, request ids and retries as a cluster makes them.

use std::collections::{BTreeMap, BTreeSet};

use buzon_model::command::{Command, Entry as LogEntry};
use buzon_types::id::{FeatureLevel, GroupId};
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::Timestamp;
use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use openraft::impls::BasicNode;
use openraft::vote::RaftLeaderId as _;

use super::replay::DIGEST_EVERY;
use crate::type_config::{Entry, LeaderId, LogCommand, LogId, Membership};

/// Whoever sends most of it; later instances of the same owner take its place.
const OWNER: u64 = 7;
/// Requests that the sender has not acknowledged, at most.
const UNACKNOWLEDGED: u64 = 8;

pub(super) struct Script {
    pub(super) entries: Vec<Entry>,
    /// Where the commands that leave something in every table end, and those at random begin.
    pub(super) middle: usize,
    pub(super) random: Random,
    at: i64,
    term: u64,
    instance: InstanceId,
    sequence: u64,
    last: Option<LogEntry>,
}

impl Script {
    /// Of a group with three voters, of whom the first leads.
    pub(super) fn new(group: GroupId) -> Self {
        let mut script = Self {
            entries: Vec::new(),
            middle: 0,
            random: Random(group.0 + 1),
            at: 1_700_000_000_000,
            term: 1,
            instance: InstanceId::owned(OWNER, 1),
            sequence: 0,
            last: None,
        };
        script.voters(&[&[1, 2, 3]]);
        script.raw(EntryPayload::Blank);
        script.unasked(Command::OpenInstance(script.instance));
        script
    }

    fn raw(&mut self, payload: EntryPayload<LogCommand, u64, BasicNode>) {
        let id = LogId::new(LeaderId::new(self.term, 1 + self.term % 3), self.entries.len() as u64);
        self.entries.push(Entry::new(id, payload));
    }

    /// More than one set while they change.
    pub(super) fn voters(&mut self, sets: &[&[u64]]) {
        let sets: Vec<BTreeSet<u64>> = sets.iter().map(|set| set.iter().copied().collect()).collect();
        let nodes: BTreeMap<u64, BasicNode> =
            sets.iter().flatten().map(|node| (*node, BasicNode::new(format!("metad-{node}:7071")))).collect();
        self.raw(EntryPayload::Membership(Membership::new(sets, nodes).unwrap()));
    }

    /// Another node leads, whose clock is behind.
    pub(super) fn new_leader(&mut self) {
        self.term += 1;
        self.at -= 5_000;
        self.raw(EntryPayload::Blank);
    }

    fn entry(&mut self, entry: LogEntry) {
        let encoded = buzon_proto::log::encode_entry(&entry);
        self.last = Some(entry);
        self.raw(EntryPayload::Normal(LogCommand(encoded)));
    }

    /// With a new request id.
    pub(super) fn send(&mut self, command: Command) {
        (self.at, self.sequence) = (self.at + 170, self.sequence + 1);
        let acknowledged_below = self.sequence.saturating_sub(UNACKNOWLEDGED);
        let request = RequestId { instance: self.instance, sequence: self.sequence, acknowledged_below };
        self.entry(LogEntry { at: Timestamp(self.at), request: Some(request), command });
    }

    /// The same once more, as after a lost answer.
    pub(super) fn again(&mut self) {
        let last = self.last.clone().unwrap();
        self.entry(last);
    }

    /// Under a request id that nobody will hear of.
    pub(super) fn send_as(&mut self, instance: InstanceId, sequence: u64, command: Command) {
        let request = Some(RequestId { instance, sequence, acknowledged_below: 0 });
        self.entry(LogEntry { at: Timestamp(self.at), request, command });
    }

    /// Without a request id.
    pub(super) fn unasked(&mut self, command: Command) {
        self.at += 170;
        self.entry(LogEntry { at: Timestamp(self.at), request: None, command });
    }

    /// A late repetition of a request that was acknowledged; one of somebody unknown; somebody who comes, asks and goes;
    /// and the next life of whoever sends.
    pub(super) fn requests(&mut self, command: &Command) {
        let (other, next) = (InstanceId::owned(OWNER + 1, 5), InstanceId::owned(OWNER, 2));
        self.send_as(self.instance, 1, command.clone());
        self.send_as(other, 1, command.clone());
        self.unasked(Command::OpenInstance(other));
        self.unasked(Command::OpenInstance(other));
        self.send_as(other, 1, command.clone());
        self.again();
        self.unasked(Command::CloseInstance(other));
        self.send_as(other, 2, command.clone());
        self.unasked(Command::OpenInstance(next));
        self.send_as(self.instance, self.sequence, command.clone());
        (self.instance, self.sequence) = (next, 0);
    }

    /// One after the other, as upgrades are finalized.
    pub(super) fn raise(&mut self, level: u32) {
        for level in 2..=level {
            self.unasked(Command::RaiseFeatureLevel(FeatureLevel(level)));
            self.again();
        }
        self.unasked(Command::RaiseFeatureLevel(FeatureLevel(1)));
    }

    /// The next ones are at random.
    pub(super) fn now_at_random(&mut self) {
        self.pad();
        self.middle = self.entries.len();
    }

    /// Up to where a digest is noted.
    pub(super) fn pad(&mut self) {
        while !self.entries.len().is_multiple_of(DIGEST_EVERY) {
            self.raw(EntryPayload::Blank);
        }
    }
}

/// A small generator of random numbers (splitmix64): the same on every machine for a seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// Below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
