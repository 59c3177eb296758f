//! Raft's values as protobuf and back: on disk and on the wire. Additive fields only; see `raft.proto`.

use std::collections::{BTreeMap, BTreeSet};

use buzon_meta_store::store::Applied;
use buzon_types::id::LogIndex;
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use openraft::impls::BasicNode;
use openraft::vote::{RaftLeaderId as _, RaftVote as _};
use prost::Message;

use crate::pb;
use crate::type_config::{Entry, LeaderId, LogCommand, LogId, Membership, StoredMembership, Vote};

/// A record that is not what we write.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("decode a raft record")]
    Encoding(#[from] prost::DecodeError),
    #[error("a raft record lacks its {0}")]
    Missing(&'static str),
    #[error("a raft record holds a membership that cannot be: {0}")]
    Membership(String),
}

impl From<RecordError> for std::io::Error {
    fn from(error: RecordError) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// Encodes any record.
pub(crate) fn encode(record: &impl Message) -> Bytes {
    record.encode_to_vec().into()
}

pub(crate) fn log_id(id: &LogId) -> pb::LogId {
    let leader = id.committed_leader_id();
    pb::LogId { term: leader.term, node: leader.node_id, index: id.index }
}

pub(crate) fn read_log_id(id: pb::LogId) -> LogId {
    LogId::new(LeaderId::new(id.term, id.node), id.index)
}

pub(crate) fn decode_log_id(bytes: Bytes) -> Result<LogId, RecordError> {
    Ok(read_log_id(pb::LogId::decode(bytes)?))
}

/// Positions in the project count from 1, so that 0 is before the first entry; openraft counts from 0.
pub(crate) fn position(id: &LogId) -> LogIndex {
    LogIndex(id.index + 1)
}

/// How far a group is applied, as its database keeps it.
pub(crate) fn applied(id: &LogId) -> Applied {
    Applied { index: position(id).0, log_id: encode(&log_id(id)) }
}

/// The opposite of [`applied`]; none before the first entry.
pub(crate) fn read_applied(applied: &Applied) -> Result<Option<LogId>, RecordError> {
    if applied.index == 0 { Ok(None) } else { decode_log_id(applied.log_id.clone()).map(Some) }
}

pub(crate) fn vote(vote: &Vote) -> pb::Vote {
    let leader = vote.leader_id();
    pb::Vote { term: leader.term, node: leader.node_id, committed: vote.is_committed() }
}

pub(crate) fn read_vote(vote: pb::Vote) -> Vote {
    Vote::from_leader_id(LeaderId::new(vote.term, vote.node), vote.committed)
}

pub(crate) fn decode_vote(bytes: Bytes) -> Result<Vote, RecordError> {
    Ok(read_vote(pb::Vote::decode(bytes)?))
}

pub(crate) fn membership(membership: &Membership) -> pb::Membership {
    let sets = membership.get_joint_config().iter();
    let member = |(id, node): (&u64, &BasicNode)| pb::Member { node: *id, address: node.addr.clone() };
    pb::Membership {
        voters: sets.map(|set| pb::VoterSet { nodes: set.iter().copied().collect() }).collect(),
        members: membership.nodes().map(member).collect(),
    }
}

pub(crate) fn read_membership(record: pb::Membership) -> Result<Membership, RecordError> {
    let sets = record.voters.into_iter().map(|set| set.nodes.into_iter().collect::<BTreeSet<u64>>());
    let member = |member: pb::Member| (member.node, BasicNode { addr: member.address });
    let members: BTreeMap<u64, BasicNode> = record.members.into_iter().map(member).collect();
    let sets: Vec<_> = sets.collect();
    if sets.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(sets, members).map_err(|error| RecordError::Membership(error.to_string()))
}

pub(crate) fn stored_membership(stored: &StoredMembership) -> pb::StoredMembership {
    pb::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id),
        membership: Some(membership(stored.membership())),
    }
}

pub(crate) fn read_stored_membership(record: pb::StoredMembership) -> Result<StoredMembership, RecordError> {
    let membership = record.membership.ok_or(RecordError::Missing("membership"))?;
    Ok(StoredMembership::new(record.log_id.map(read_log_id), read_membership(membership)?))
}

pub(crate) fn decode_stored_membership(bytes: Bytes) -> Result<StoredMembership, RecordError> {
    if bytes.is_empty() {
        return Ok(StoredMembership::default());
    }
    read_stored_membership(pb::StoredMembership::decode(bytes)?)
}

pub(crate) fn entry(entry: &Entry) -> pb::Entry {
    use pb::entry::Payload;
    let payload = match &entry.payload {
        EntryPayload::Blank => Payload::Blank(pb::Empty {}),
        EntryPayload::Membership(change) => Payload::Membership(membership(change)),
        EntryPayload::Normal(command) => Payload::Normal(command.0.clone()),
    };
    pb::Entry { log_id: Some(log_id(&entry.log_id)), payload: Some(payload) }
}

pub(crate) fn read_entry(record: pb::Entry) -> Result<Entry, RecordError> {
    use pb::entry::Payload;
    let log_id = record.log_id.ok_or(RecordError::Missing("log id"))?;
    let payload = match record.payload.ok_or(RecordError::Missing("payload"))? {
        Payload::Blank(_) => EntryPayload::Blank,
        Payload::Membership(membership) => EntryPayload::Membership(read_membership(membership)?),
        Payload::Normal(bytes) => EntryPayload::Normal(LogCommand(bytes)),
    };
    Ok(Entry::new(read_log_id(log_id), payload))
}

pub(crate) fn decode_entry(bytes: Bytes) -> Result<Entry, RecordError> {
    read_entry(pb::Entry::decode(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u64) -> LogId {
        LogId::new(LeaderId::new(3, 7), index)
    }

    #[test]
    fn entries_of_every_kind_read_back_as_written() {
        let nodes = BTreeMap::from([(1, BasicNode::new("a:1")), (2, BasicNode::new("b:2"))]);
        let membership = Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2])], nodes).unwrap();
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Membership(membership.clone()),
            EntryPayload::Normal(LogCommand(Bytes::from_static(b"\0command"))),
            EntryPayload::Normal(LogCommand(Bytes::new())),
        ];
        for (index, payload) in payloads.into_iter().enumerate() {
            let entry = Entry::new(id(index as u64), payload);
            assert_eq!(decode_entry(encode(&super::entry(&entry))).unwrap(), entry);
        }
        let stored = StoredMembership::new(Some(id(9)), membership);
        let record = stored_membership(&stored);
        assert_eq!(read_stored_membership(record).unwrap(), stored);
    }

    #[test]
    fn votes_and_log_ids_read_back_as_written() {
        for vote in [Vote::new(4, 2), Vote::new_committed(5, 3)] {
            assert_eq!(decode_vote(encode(&super::vote(&vote))).unwrap(), vote);
        }
        assert_eq!(decode_log_id(encode(&log_id(&id(12)))).unwrap(), id(12));
    }

    #[test]
    fn an_entry_without_its_parts_is_refused() {
        assert!(decode_entry(Bytes::new()).is_err());
        assert!(decode_entry(encode(&pb::Entry { log_id: Some(log_id(&id(1))), payload: None })).is_err());
        assert!(decode_entry(Bytes::from_static(b"\xff\xff")).is_err());
    }
}
