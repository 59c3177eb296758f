//! Log entries and outcomes as bytes: the format of the log and of the records' rows.

mod cluster;
mod command;
mod outcome;
mod relocation;
mod shard;
pub(crate) mod value;

use buzon_model::command::Entry;
use buzon_model::reply::Outcome;
use bytes::Bytes;
use prost::Message;

use crate::pb::log::v1 as pb;
use crate::wire::WireError;

/// Bytes that are no entry or outcome that this version knows.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DecodeError {
    /// No protobuf message of that kind.
    #[error("malformed protobuf")]
    Malformed(#[from] prost::DecodeError),
    /// A field holds what it may not, or a command is not known here.
    #[error("unknown or impossible value")]
    Value(#[from] WireError),
}

/// The entry as it stands in the log. The caller holds it to [`buzon_model::limits::ENTRY_BYTES_MAX`].
pub fn encode_entry(entry: &Entry) -> Bytes {
    pb::Entry::from(entry).encode_to_vec().into()
}

/// The entry; its summaries are slices of `bytes`.
///
/// # Errors
/// If it is none, or one of a later version: it must then not be skipped.
pub fn decode_entry(bytes: Bytes) -> Result<Entry, DecodeError> {
    Ok(pb::Entry::decode(bytes)?.try_into()?)
}

/// The outcome as it stands in a record's row.
pub fn encode_outcome(outcome: &Outcome) -> Bytes {
    pb::Outcome::from(outcome).encode_to_vec().into()
}

/// The outcome.
///
/// # Errors
/// If it is none, or one of a later version.
pub fn decode_outcome(bytes: Bytes) -> Result<Outcome, DecodeError> {
    Ok(pb::Outcome::decode(bytes)?.try_into()?)
}

/// How many bytes a command takes in an entry.
pub fn command_bytes(command: &pb::Command) -> usize {
    command.encoded_len()
}
