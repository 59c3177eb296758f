//! A replica whose rows are not those of the majority serves nobody until another member's rows have taken their place
//! (DESIGN D10). Its log is as good as before: it goes on to acknowledge entries, to vote and to apply.
//!
//! What is known of it is kept beside the log, so that a restart does not make it forgotten.

use buzon_model::digest::StateDigest;
use buzon_types::id::LogIndex;
use bytes::Bytes;

use crate::log::LogError;
use crate::log::group::GroupLog;
use crate::pb;
use crate::record::RecordError;
use crate::{group_meta, group_meta::read};

/// In what a replica differs from the majority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// After this entry, or before it.
    pub index: LogIndex,
    /// The replica's digest there.
    pub found: StateDigest,
    /// The majority's.
    pub expected: StateDigest,
    /// Whether its rows are to be replaced when the group starts on its node.
    pub(crate) refill: bool,
}

impl Quarantine {
    pub(crate) fn new(index: LogIndex, found: StateDigest, expected: StateDigest) -> Self {
        Self { index, found, expected, refill: false }
    }
}

pub(crate) fn encode_digest(digest: StateDigest) -> Bytes {
    Bytes::copy_from_slice(&digest.0.to_be_bytes())
}

/// None for what is no digest.
pub(crate) fn decode_digest(bytes: &[u8]) -> Option<StateDigest> {
    bytes.try_into().ok().map(u128::from_be_bytes).map(StateDigest)
}

pub(crate) fn encode(quarantine: &Quarantine) -> pb::Quarantine {
    pb::Quarantine {
        position: quarantine.index.0,
        found: encode_digest(quarantine.found),
        expected: encode_digest(quarantine.expected),
        refill: quarantine.refill,
    }
}

pub(crate) fn decode(record: &pb::Quarantine) -> Option<Quarantine> {
    Some(Quarantine {
        index: LogIndex(record.position),
        found: decode_digest(&record.found)?,
        expected: decode_digest(&record.expected)?,
        refill: record.refill,
    })
}

/// What was noted of a group.
///
/// # Errors
/// When the note is damaged.
pub(crate) fn noted(log: &GroupLog) -> Result<Option<Quarantine>, RecordError> {
    let noted = read(log)?.quarantine;
    noted.map(|noted| decode(&noted).ok_or(RecordError::Missing("digest"))).transpose()
}

/// Notes it, or that it is over; durable when this returns.
///
/// # Errors
/// When the log fails.
pub(crate) async fn note(log: &GroupLog, quarantine: Option<&Quarantine>) -> Result<(), LogError> {
    let quarantine = quarantine.map(encode);
    group_meta::change(log, |meta| meta.quarantine = quarantine).await
}
