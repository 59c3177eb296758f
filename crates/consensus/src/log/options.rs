//! What an operator may set about the log.

use std::path::PathBuf;
use std::time::Duration;

/// Where the log is and how much it may hold.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The directory; its parent must exist.
    pub directory: PathBuf,
    /// Size at which a new file is begun.
    pub file_bytes: u64,
    /// Files beyond this total are given back once their groups have moved on.
    pub total_bytes: u64,
    /// Files beyond this total are not kept for followers that are slow, either.
    pub bytes_max: u64,
    /// How often expired files are looked for.
    pub collect_every: Duration,
    /// Recent entries kept in memory for each group, so that replication and apply do not read from disk.
    /// Entries that are not yet flushed come on top.
    pub tail_bytes_max: usize,
}

/// 64 MiB: an fsync of the header and a directory at most every 64 MiB of log, and files that are quick to replay.
const FILE_BYTES: u64 = 64 << 20;
/// 1 GiB holds minutes of the heaviest write load, so that a node that restarts catches up by log.
const TOTAL_BYTES: u64 = 1 << 30;
/// Half as much more for a follower that is slow.
const BYTES_MAX: u64 = TOTAL_BYTES + TOTAL_BYTES / 2;
/// Files are given back in steps of whole files, so seconds are soon enough.
const COLLECT_EVERY: Duration = Duration::from_secs(10);
/// 2 MiB for each of some hundred groups stay within 1 % of a usual node's memory.
const TAIL_BYTES_MAX: usize = 2 << 20;

impl LogOptions {
    /// The defaults, in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            file_bytes: FILE_BYTES,
            total_bytes: TOTAL_BYTES,
            bytes_max: BYTES_MAX,
            collect_every: COLLECT_EVERY,
            tail_bytes_max: TAIL_BYTES_MAX,
        }
    }
}
