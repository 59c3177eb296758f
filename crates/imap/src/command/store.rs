//! STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

use super::Numbering;
use super::flags::FlagList;
use crate::sequence_set::SequenceSet;
use buzon_types::uid::ModSeq;

/// STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// What the numbers are.
    pub numbering: Numbering,
    /// Which messages.
    pub set: SequenceSet,
    /// Only messages that did not change since; 0 fails for every message.
    pub unchanged_since: Option<ModSeq>,
    /// What to do with the flags.
    pub mode: StoreMode,
    /// `.SILENT`: no FETCH replies for what this command changes.
    pub silent: bool,
    /// The flags.
    pub flags: FlagList,
}

/// What STORE does with its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}
