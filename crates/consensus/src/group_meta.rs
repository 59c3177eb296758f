//! What is kept beside a group's log and outlives its database: a snapshot that is being installed, and whom to ask for
//! rows if they are lost. One record, changed in place, durable like the vote.

use std::collections::BTreeMap;

use buzon_types::id::NodeId;
use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use prost::Message as _;

use crate::log::LogError;
use crate::log::group::GroupLog;
use crate::pb;
use crate::record::{self, RecordError};
use crate::type_config::{LogId, Membership};

/// Log read at once while memberships are looked for.
const SEARCH_BYTES: usize = 4 << 20;

/// What is kept now; empty for a new group.
pub(crate) fn read(log: &GroupLog) -> Result<pb::GroupMeta, RecordError> {
    let meta = log.view().meta.map(pb::GroupMeta::decode).transpose()?;
    Ok(meta.unwrap_or_default())
}

/// Changes it; durable when this returns, and nothing is written if it is the same.
pub(crate) async fn change(log: &GroupLog, change: impl FnOnce(&mut pb::GroupMeta)) -> Result<(), LogError> {
    let damaged =
        |error: prost::DecodeError| LogError::Damaged { group: log.group(), what: error.to_string() };
    log.change_meta(|found| {
        let before = found.map(pb::GroupMeta::decode).transpose().map_err(damaged)?.unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        Ok((after != before).then(|| record::encode(&after)))
    })
    .await
}

/// The id of the entry just before the log's first one; none if it begins at the beginning.
pub(crate) fn purged(log: &GroupLog) -> Result<Option<LogId>, RecordError> {
    log.view().purged.map(record::decode_log_id).transpose()
}

/// The id of the log's last entry, or of the one that it was purged up to; none if there never was one.
pub(crate) async fn last(log: &GroupLog) -> Result<Option<LogId>, MetaError> {
    let held = log.view().held;
    match held.end.checked_sub(1).filter(|_| !held.is_empty()) {
        None => Ok(purged(log)?),
        Some(last) => {
            let entry = log.read(last..last + 1, usize::MAX).await?.pop();
            let entry = entry.map(|entry| record::decode_entry(entry.bytes)).transpose()?;
            Ok(entry.map(|entry| entry.log_id()))
        }
    }
}

/// The group's members and their addresses as the log knows them, whatever became of the database, and who else may
/// have its rows.
pub(crate) async fn members(log: &GroupLog) -> Result<BTreeMap<NodeId, String>, MetaError> {
    let pb::GroupMeta { membership, sources, .. } = read(log)?;
    let stored = membership.map(record::read_stored_membership).transpose()?;
    let mut members = stored.map(|stored| addresses(stored.membership())).unwrap_or_default();
    let held = log.view().held;
    let mut from = held.start;
    while from < held.end {
        let records = log.read(from..held.end, SEARCH_BYTES).await?;
        let Some(last) = records.last() else { break };
        from = last.index + 1;
        for entry in records {
            if let EntryPayload::Membership(membership) = record::decode_entry(entry.bytes)?.payload {
                members = addresses(&membership);
            }
        }
    }
    members.extend(sources.into_iter().map(|member| (NodeId(member.node), member.address)));
    Ok(members)
}

/// Why a log cannot tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetaError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Log(#[from] LogError),
}

fn addresses(membership: &Membership) -> BTreeMap<NodeId, String> {
    membership.nodes().map(|(id, node)| (NodeId(*id), node.addr.clone())).collect()
}
