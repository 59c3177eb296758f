//! One raft group's log and vote, kept in the shared log: openraft's storage traits over `GroupLog`.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use futures::{Stream, TryStreamExt as _, stream};
use openraft::entry::RaftEntry as _;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};

use crate::apply::Machine;
use crate::log::backend::LogRecord;
use crate::log::group::GroupLog;
use crate::record::{self, decode_entry, decode_log_id, decode_vote, encode};
use crate::type_config::{Entry, LogId, TypeConfig, Vote};

/// What replication reads at a time: a few full entries, thousands of usual ones.
const REPLICATION_BYTES_MAX: usize = 4 << 20;

/// See the module. Clones are the same log.
#[derive(Clone)]
pub(crate) struct RaftLog {
    log: GroupLog,
    /// Whose database says how far the log may be purged; none in openraft's storage suite.
    machine: Option<Arc<Machine>>,
}

impl RaftLog {
    pub(crate) fn new(log: GroupLog, machine: Option<Arc<Machine>>) -> Self {
        Self { log, machine }
    }

    /// Whether the rows up to an entry are on the database's disk: only then may the entry go (DESIGN D2).
    async fn may_purge(&self, through: &LogId) -> io::Result<bool> {
        let Some(machine) = &self.machine else { return Ok(true) };
        let needed = record::position(through).0;
        Ok(machine.durable() >= needed || machine.flush().await? >= needed)
    }

    async fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let records = self.log.read(range, bytes_max).await?;
        records.into_iter().map(|record| Ok(decode_entry(record.bytes)?)).collect()
    }
}

impl RaftLogReader<TypeConfig> for RaftLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.read(bounds(&range), usize::MAX).await
    }

    /// In pieces: what is committed at once may be more than should be in memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let log = self.clone();
        let pieces = stream::try_unfold(bounds(&range), move |range| {
            let log = log.clone();
            async move {
                let piece = log.read(range.clone(), REPLICATION_BYTES_MAX).await?;
                let rest = |last: &Entry| (last.index() + 1)..range.end;
                let rest = piece.last().map(rest);
                Ok::<_, io::Error>(rest.map(|rest| (stream::iter(piece.into_iter().map(Ok)), rest)))
            }
        });
        Box::pin(pieces.try_flatten())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, REPLICATION_BYTES_MAX).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.log.view().vote.map(decode_vote).transpose()?)
    }
}

impl RaftLogStorage<TypeConfig> for RaftLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let view = self.log.view();
        let purged = view.purged.map(decode_log_id).transpose()?;
        let last = match view.held.end.checked_sub(1).filter(|_| !view.held.is_empty()) {
            Some(last) => self.read(last..last + 1, usize::MAX).await?.pop().map(|entry| entry.log_id()),
            None => None,
        };
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        Ok(self.log.save_vote(encode(&record::vote(vote))).await?)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(id) = committed {
            self.log.save_committed(id.index, encode(&record::log_id(&id)));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.log.view().committed.map(decode_log_id).transpose()?)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let to_record =
            |entry: Entry| LogRecord { index: entry.index(), bytes: encode(&record::entry(&entry)) };
        let records = entries.into_iter().map(to_record).collect();
        Ok(self.log.append(records, |result| callback.io_completed(result)).await?)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        Ok(self.log.truncate(last.map_or(0, |id| id.index + 1)).await?)
    }

    async fn purge(&mut self, through: LogId) -> io::Result<()> {
        if !self.may_purge(&through).await? {
            if through.index >= self.log.view().held.end {
                return Err(io::Error::other("the log cannot go on: the snapshot before it is not durable"));
            }
            // It stays longer than openraft thinks, which does no harm.
            tracing::warn!(group = %self.log.group(), index = through.index, "keep log that the database needs");
            return Ok(());
        }
        if let Some(machine) = &self.machine {
            machine.note_members().await?;
        }
        Ok(self.log.purge(through.index, encode(&record::log_id(&through))).await?)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}
