//! What an operator may set about a metadata node's raft log.

use std::path::Path;

use anyhow::ensure;
use buzon_consensus::log::options::LogOptions;
use serde::{Deserialize, Serialize};

/// Each file costs a sync of its directory: with smaller ones that would be most of the work.
const FILE_BYTES_MIN: u64 = 64 << 10;
/// With fewer files none could be given back before the log is at its limit.
const FILES_MIN: u64 = 4;

/// The log that all groups of a node share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Raft {
    /// Size of one file of the log.
    pub(crate) log_file_bytes: u64,
    /// Beyond this much log, old files are given back, and whoever was away for longer gets a snapshot instead; half as much
    /// more is kept for a follower that is slow, but heard. Not a hard bound: what is not on the database's disk stays. The
    /// disk should hold twice as much.
    pub(crate) log_bytes_max: u64,
}

impl Default for Raft {
    fn default() -> Self {
        let LogOptions { file_bytes, total_bytes, .. } = LogOptions::new("");
        Self { log_file_bytes: file_bytes, log_bytes_max: total_bytes }
    }
}

impl Raft {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        let Self { log_file_bytes, log_bytes_max } = *self;
        ensure!(
            log_file_bytes >= FILE_BYTES_MIN,
            "raft.log_file_bytes is {log_file_bytes}: give at least {FILE_BYTES_MIN}"
        );
        ensure!(
            log_bytes_max / FILES_MIN >= log_file_bytes,
            "raft.log_bytes_max is {log_bytes_max}: it must hold {FILES_MIN} files of raft.log_file_bytes ({log_file_bytes})"
        );
        Ok(())
    }

    /// For a log in this directory.
    pub(crate) fn log(&self, directory: &Path) -> LogOptions {
        LogOptions {
            file_bytes: self.log_file_bytes,
            total_bytes: self.log_bytes_max,
            bytes_max: self.log_bytes_max.saturating_add(self.log_bytes_max / 2),
            ..LogOptions::new(directory)
        }
    }
}
