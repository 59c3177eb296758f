//! The log on the library `raft-engine`: append-only files with an index in memory, one record for a batch.
//!
//! Three things the library does not promise, and what is done about each:
//! - It forgets deletions of a key, and "compacted up to here" marks, once the files that hold them are purged, so
//!   that old values come back on restart. Here a key is only ever overwritten, and the bounds of a group's log are
//!   kept in keys (`PURGED`, `END`) and enforced on opening.
//! - It has no truncation: entries go when others are written over them. Until then `END` says where the log ends.
//! - It takes what it finds in its files for durable, though a killed process may have left it in the page cache
//!   only. So on opening every file and the directory are synced before anything is believed.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use buzon_types::id::GroupId;
use bytes::{Buf as _, Bytes};
use parking_lot::Mutex;
use prost::Message as _;
use protobuf::well_known_types::BytesValue;
use raft_engine::env::{DefaultFileSystem, FileSystem, Handle as _, Permission};
use raft_engine::{Command, Config, Engine, LogBatch, MessageExt, ReadableSize};

use super::LogError;
use super::backend::{LogBackend, LogRecord, Operation, StoredGroup, WriteBatch};
use super::identity::LogOwner;
use super::options::LogOptions;
use crate::pb;

/// The region of the library that holds the node's own records.
const NODE_REGION: u64 = 1;
/// Groups follow from here; the gap is for more records of the node.
const FIRST_GROUP_REGION: u64 = 256;

const OWNER: &[u8] = b"owner";
const VOTE: &[u8] = b"vote";
const COMMITTED: &[u8] = b"committed";
const META: &[u8] = b"meta";
/// `pb::Purged`.
const PURGED: &[u8] = b"purged";
/// `pb::LogEnd`: set while the log's end is not pinned by the newest entry written.
const END: &[u8] = b"end";

/// Each entry begins with its index, since the library asks for it.
const INDEX_BYTES: usize = 8;

/// Raft log entries as the library stores them: protobuf bytes that begin with the index.
struct IndexedBytes;

impl MessageExt for IndexedBytes {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        entry.value.as_slice().get_u64()
    }
}

/// See the module.
pub struct RaftEngineLog<F: FileSystem = DefaultFileSystem> {
    engine: Engine<F>,
    /// The groups whose `END` is set, and where to.
    ends: Mutex<HashMap<u64, u64>>,
}

impl RaftEngineLog<DefaultFileSystem> {
    /// Opens the log in `options.directory`, or begins one there.
    ///
    /// # Errors
    /// When the files cannot be read, or are damaged anywhere but at their very end. Not to be retried.
    pub fn open(options: &LogOptions) -> Result<Self, LogError> {
        Self::open_with(options, &Arc::new(DefaultFileSystem))
    }
}

impl<F: FileSystem + 'static> RaftEngineLog<F> {
    /// The same over another file system; for tests.
    pub fn open_with(options: &LogOptions, file_system: &Arc<F>) -> Result<Self, LogError> {
        let engine = guarded("open", || {
            let engine = Engine::open_with_file_system(config(options), Arc::clone(file_system))?;
            sync_all(&options.directory, file_system.as_ref())?;
            Ok(engine)
        })?;
        let log = Self { engine, ends: Mutex::new(HashMap::new()) };
        log.enforce_bounds()?;
        Ok(log)
    }

    /// Drops entries that a restart brought back although they were purged or truncated.
    fn enforce_bounds(&self) -> Result<(), LogError> {
        let mut batch = LogBatch::default();
        for group in self.groups() {
            let region = region(group);
            let held = self.group(group)?.held;
            if let Some(next) = self.stored_end(group)? {
                self.ends.lock().insert(region, next);
            }
            let first = self.engine.first_index(region);
            if held.is_empty() && first.is_some() {
                batch.add_command(region, Command::Compact { index: u64::MAX });
            } else if first.is_some_and(|first| first < held.start) {
                batch.add_command(region, Command::Compact { index: held.start });
            }
        }
        self.write_batch(batch)
    }

    fn stored_end(&self, group: GroupId) -> Result<Option<u64>, LogError> {
        let Some(bytes) = self.engine.get(region(group), END) else { return Ok(None) };
        let end = pb::LogEnd::decode(bytes.as_slice()).map_err(|error| damaged(group, &error))?;
        Ok(end.next)
    }

    fn stored_purged(&self, group: GroupId) -> Result<Option<pb::Purged>, LogError> {
        let Some(bytes) = self.engine.get(region(group), PURGED) else { return Ok(None) };
        pb::Purged::decode(bytes.as_slice()).map(Some).map_err(|error| damaged(group, &error))
    }

    /// The entries that can be read: what the files hold, within the bounds that are kept beside them.
    fn held(&self, group: GroupId, purged: Option<&pb::Purged>) -> Result<Range<u64>, LogError> {
        let end = self.stored_end(group)?.unwrap_or(u64::MAX);
        let floor = purged.map_or(0, |purged| purged.through + 1);
        let region = region(group);
        let (Some(first), Some(last)) = (self.engine.first_index(region), self.engine.last_index(region))
        else {
            return Ok(floor..floor);
        };
        let first = first.max(floor);
        let next = (last + 1).min(end);
        Ok(if next <= first { floor..floor } else { first..next })
    }

    fn add(&self, batch: &mut LogBatch, group: GroupId, operation: &Operation) -> raft_engine::Result<()> {
        let region = region(group);
        match operation {
            Operation::Append(records) => self.add_entries(batch, region, records),
            Operation::Vote(vote) => batch.put(region, VOTE.to_vec(), vote.to_vec()),
            Operation::Committed(marker) => batch.put(region, COMMITTED.to_vec(), marker.to_vec()),
            Operation::Meta(meta) => batch.put(region, META.to_vec(), meta.to_vec()),
            Operation::TruncateAfter { next, held } => {
                self.set_end(batch, region, Some(*next))?;
                if *next <= held.start {
                    batch.add_command(region, Command::Compact { index: u64::MAX });
                }
                Ok(())
            }
            Operation::Purge { through, log_id, held } => {
                let floor = through + 1;
                if floor >= held.end {
                    return self.reset(batch, region, *through, log_id);
                }
                put_purged(batch, region, *through, log_id)?;
                batch.add_command(region, Command::Compact { index: floor });
                Ok(())
            }
            Operation::Reset { through, log_id } => self.reset(batch, region, *through, log_id),
            Operation::Remove => {
                self.ends.lock().remove(&region);
                batch.add_command(region, Command::Clean);
                Ok(())
            }
        }
    }

    fn add_entries(
        &self,
        batch: &mut LogBatch,
        region: u64,
        records: &[LogRecord],
    ) -> raft_engine::Result<()> {
        let entries: Vec<BytesValue> = records.iter().map(to_entry).collect();
        batch.add_entries::<IndexedBytes>(region, &entries)?;
        if self.ends.lock().contains_key(&region) {
            self.set_end(batch, region, None)?;
        }
        Ok(())
    }

    /// The log is empty and goes on after `through`.
    fn reset(
        &self,
        batch: &mut LogBatch,
        region: u64,
        through: u64,
        log_id: &Bytes,
    ) -> raft_engine::Result<()> {
        put_purged(batch, region, through, log_id)?;
        batch.add_command(region, Command::Compact { index: u64::MAX });
        self.set_end(batch, region, Some(through + 1))
    }

    fn set_end(&self, batch: &mut LogBatch, region: u64, next: Option<u64>) -> raft_engine::Result<()> {
        match next {
            Some(next) => self.ends.lock().insert(region, next),
            None => self.ends.lock().remove(&region),
        };
        batch.put(region, END.to_vec(), pb::LogEnd { next }.encode_to_vec())
    }

    fn write_batch(&self, mut batch: LogBatch) -> Result<(), LogError> {
        guarded("write", || Ok(self.engine.write(&mut batch, true).map(|_| ())?))
    }
}

impl<F: FileSystem + 'static> LogBackend for RaftEngineLog<F> {
    fn write(&self, batch: &WriteBatch) -> Result<(), LogError> {
        let mut log_batch = LogBatch::with_capacity(batch.operations.len());
        for (group, operation) in &batch.operations {
            self.add(&mut log_batch, *group, operation)
                .map_err(|error| storage("prepare a write to", error))?;
        }
        self.write_batch(log_batch)
    }

    fn entries(&self, group: GroupId, range: Range<u64>) -> Result<Vec<LogRecord>, LogError> {
        let mut entries = Vec::new();
        guarded("read", || {
            let (from, to) = (range.start, range.end);
            Ok(self.engine.fetch_entries_to::<IndexedBytes>(region(group), from, to, None, &mut entries)?)
        })?;
        if entries.len() as u64 != range.end - range.start {
            let what = format!("{} of the entries {range:?} are there", entries.len());
            return Err(LogError::Damaged { group, what });
        }
        entries.into_iter().zip(range).map(|(entry, index)| to_record(group, entry, index)).collect()
    }

    fn group(&self, group: GroupId) -> Result<StoredGroup, LogError> {
        let get = |key| self.engine.get(region(group), key).map(Bytes::from);
        let purged = self.stored_purged(group)?;
        Ok(StoredGroup {
            vote: get(VOTE),
            committed: get(COMMITTED),
            meta: get(META),
            held: self.held(group, purged.as_ref())?,
            purged: purged.map(|purged| purged.log_id),
        })
    }

    fn groups(&self) -> Vec<GroupId> {
        let regions = self.engine.raft_groups().into_iter();
        let mut groups: Vec<GroupId> = regions.filter_map(group_of).collect();
        groups.sort_unstable();
        groups
    }

    fn owner(&self) -> Result<Option<LogOwner>, LogError> {
        self.engine.get(NODE_REGION, OWNER).map(|bytes| LogOwner::decode(&bytes)).transpose()
    }

    fn claim(&self, owner: &LogOwner) -> Result<(), LogError> {
        let mut batch = LogBatch::default();
        batch
            .put(NODE_REGION, OWNER.to_vec(), owner.encode().to_vec())
            .map_err(|error| storage("claim", error))?;
        self.write_batch(batch)
    }

    fn collect(&self) -> Result<Vec<GroupId>, LogError> {
        let blocking = guarded("purge files of", || Ok(self.engine.purge_expired_files()?))?;
        Ok(blocking.into_iter().filter_map(group_of).collect())
    }
}

fn config(options: &LogOptions) -> Config {
    Config {
        dir: options.directory.to_string_lossy().into_owned(),
        target_file_size: ReadableSize(options.file_bytes),
        purge_threshold: ReadableSize(options.total_bytes),
        ..Config::default()
    }
}

/// The library panics when a sync fails (and so it should: the page cache is not to be trusted then). A panic is
/// turned into an error here, so that the writer can say what happened before it ends the process.
fn guarded<T>(
    action: &'static str,
    work: impl FnOnce() -> Result<T, Box<dyn std::error::Error + Send + Sync>>,
) -> Result<T, LogError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(LogError::Storage { action, source }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let source = text.unwrap_or_else(|| "the storage library panicked".to_owned()).into();
            Err(LogError::Storage { action, source })
        }
    }
}

/// Makes what was found in the files durable, and their names.
fn sync_all<F: FileSystem>(
    directory: &Path,
    file_system: &F,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension != "lock") {
            file_system.open(&path, Permission::ReadWrite)?.sync()?;
        }
    }
    fs::File::open(directory)?.sync_all()?;
    if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn put_purged(batch: &mut LogBatch, region: u64, through: u64, log_id: &Bytes) -> raft_engine::Result<()> {
    let purged = pb::Purged { through, log_id: log_id.clone() };
    batch.put(region, PURGED.to_vec(), purged.encode_to_vec())
}

fn region(group: GroupId) -> u64 {
    group.0.saturating_add(FIRST_GROUP_REGION)
}

fn group_of(region: u64) -> Option<GroupId> {
    region.checked_sub(FIRST_GROUP_REGION).map(GroupId)
}

fn to_entry(record: &LogRecord) -> BytesValue {
    let mut value = Vec::with_capacity(INDEX_BYTES + record.bytes.len());
    value.extend_from_slice(&record.index.to_be_bytes());
    value.extend_from_slice(&record.bytes);
    let mut entry = BytesValue::new();
    entry.set_value(value);
    entry
}

fn to_record(group: GroupId, entry: BytesValue, expected: u64) -> Result<LogRecord, LogError> {
    let mut bytes = Bytes::from(entry.value);
    let index = if bytes.len() < INDEX_BYTES { None } else { Some(bytes.get_u64()) };
    if index != Some(expected) {
        return Err(LogError::Damaged { group, what: format!("entry {index:?} where {expected} should be") });
    }
    Ok(LogRecord { index: expected, bytes })
}

fn damaged(group: GroupId, error: &prost::DecodeError) -> LogError {
    LogError::Damaged { group, what: error.to_string() }
}

fn storage(action: &'static str, error: raft_engine::Error) -> LogError {
    LogError::Storage { action, source: error.into() }
}
