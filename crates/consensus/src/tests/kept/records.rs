//! What raft and the log's owner write on disk: one record of each kind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use buzon_types::id::NodeId;
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use openraft::impls::BasicNode;
use openraft::vote::RaftLeaderId as _;
use prost::Message as _;

use super::file;
use crate::log::identity::LogOwner;
use crate::type_config::{Entry, LeaderId, LogCommand, LogId, Membership, StoredMembership, Vote};
use crate::{pb, record};

fn id(index: u64) -> LogId {
    LogId::new(LeaderId::new(70_000, 7), index)
}

/// While members change: two sets of voters, and a learner.
fn membership() -> Membership {
    let nodes = (1..=4).map(|node| (node, BasicNode::new(format!("metad-{node}:7071"))));
    let sets = vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])];
    Membership::new(sets, nodes.collect::<BTreeMap<_, _>>()).unwrap()
}

/// The kept one reads as this value, and this value is written as it.
fn is_as_kept<T: Debug + PartialEq>(kind: &str, value: &T, encoded: &Bytes, read: impl Fn(Bytes) -> T) {
    let kept = file::kept(&format!("record-{kind}.bin"), || encoded.to_vec());
    assert_eq!(read(kept.clone().into()), *value, "{kind}");
    assert_eq!(*encoded, kept, "{kind} is written as before");
}

#[test]
fn old_log_records_read_as_they_were_written() {
    let payloads = [
        ("entry-blank", EntryPayload::Blank),
        ("entry-membership", EntryPayload::Membership(membership())),
        ("entry-normal", EntryPayload::Normal(LogCommand(Bytes::from_static(b"\0command")))),
    ];
    for (kind, payload) in payloads {
        let entry = Entry::new(id(300), payload);
        let encoded = record::encode(&record::entry(&entry));
        is_as_kept(kind, &entry, &encoded, |bytes| record::decode_entry(bytes).unwrap());
    }
    for (kind, vote) in [("vote", Vote::new(4, 2)), ("vote-committed", Vote::new_committed(70_000, 3))] {
        let encoded = record::encode(&record::vote(&vote));
        is_as_kept(kind, &vote, &encoded, |bytes| record::decode_vote(bytes).unwrap());
    }
    let encoded = record::encode(&record::log_id(&id(0)));
    is_as_kept("log-id", &id(0), &encoded, |bytes| record::decode_log_id(bytes).unwrap());
}

#[test]
fn what_is_kept_beside_a_log_reads_as_it_was_written() {
    let stored = StoredMembership::new(Some(id(9)), membership());
    let encoded = record::encode(&record::stored_membership(&stored));
    is_as_kept("stored-membership", &stored, &encoded, |bytes| {
        record::decode_stored_membership(bytes).unwrap()
    });
    let meta = pb::GroupMeta {
        installing: Some(record::log_id(&id(400))),
        membership: Some(record::stored_membership(&stored)),
        removed: true,
        sources: vec![pb::Member { node: 5, address: "metad-5:7071".to_owned() }],
        // Not in what was kept first.
        quarantine: None,
    };
    is_as_kept("group-meta", &meta, &record::encode(&meta), |bytes| pb::GroupMeta::decode(bytes).unwrap());
    let owner = LogOwner { cluster: 7 << 100, node: NodeId(3), incarnation: 9 };
    is_as_kept("log-owner", &owner, &owner.encode(), |bytes| LogOwner::decode(&bytes).unwrap());
    let purged = pb::Purged { through: 300, log_id: record::encode(&record::log_id(&id(300))) };
    is_as_kept("purged", &purged, &record::encode(&purged), |bytes| pb::Purged::decode(bytes).unwrap());
    let end = pb::LogEnd { next: Some(70_000) };
    is_as_kept("log-end", &end, &record::encode(&end), |bytes| pb::LogEnd::decode(bytes).unwrap());
}
