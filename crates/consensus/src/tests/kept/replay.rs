//! Applies kept entries as a node does, and notes what they come to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::MetaStore;
use buzon_types::id::GroupId;
use bytes::Bytes;
use openraft::EntryPayload;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::cluster::Outcomes;
use crate::apply::budget::Budget;
use crate::apply::{Machine, MachineParts};
use crate::log::shared::AbortProcess;
use crate::type_config::Entry;

/// The digest is noted whenever so many more entries are applied: what went wrong lies between two of them.
pub(super) const DIGEST_EVERY: usize = 50;
/// Small, so that rows are forgotten and loaded again on the way.
const CACHE_BYTES: usize = 20_000;

/// A group over a database of its own.
pub(super) struct Bench {
    pub(super) machine: Machine,
    _folder: TempDir,
}

impl Bench {
    pub(super) async fn new(group: GroupId) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("rows.sqlite")).await;
        Self { machine: machine(group, store), _folder: folder }
    }
}

pub(super) async fn open(path: &Path) -> Arc<dyn MetaStore> {
    Arc::new(SqliteStore::open(path, Arc::new(Outcomes)).await.unwrap())
}

pub(super) fn machine(group: GroupId, store: Arc<dyn MetaStore>) -> Machine {
    Machine::new(MachineParts {
        group,
        store,
        log: None,
        budget: Budget::new(CACHE_BYTES),
        fatal: Arc::new(AbortProcess),
        stop: CancellationToken::new(),
    })
}

/// What entries came to: each its encoded outcome, as it stands in a record, and digests by how many were applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    outcomes: BTreeMap<usize, String>,
    pub(super) digests: BTreeMap<usize, String>,
}

/// Applies entries from where the rows stand, in batches of at most so many.
pub(super) async fn replay(machine: &Machine, entries: &[Entry], batch: usize) -> Told {
    let mut told = Told::default();
    let mut at = usize::try_from(machine.head().await.unwrap().applied.index).unwrap();
    while at < entries.len() {
        let end = (at + batch).min(entries.len()).min((at / DIGEST_EVERY + 1) * DIGEST_EVERY);
        for outcome in machine.apply(&entries[at..end]).await.unwrap() {
            let encoded =
                outcome.map_or_else(|| "-".to_owned(), |it| hex(&buzon_proto::log::encode_outcome(&it)));
            told.outcomes.insert(at, encoded);
            at += 1;
        }
        if at.is_multiple_of(DIGEST_EVERY) {
            told.digests.insert(at, digest(machine).await);
        }
    }
    told
}

pub(super) async fn digest(machine: &Machine) -> String {
    format!("{:032x}", machine.store().digest(machine.group()).await.unwrap())
}

impl Told {
    /// A line for each entry, and for each digest.
    pub(super) fn text(&self) -> String {
        let outcomes = self.outcomes.iter().map(|(at, outcome)| format!("{at} {outcome}\n"));
        outcomes.chain(self.digests.iter().map(|(at, digest)| format!("digest {at} {digest}\n"))).collect()
    }

    pub(super) fn read(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            let (to, line) = match line.strip_prefix("digest ") {
                Some(line) => (&mut told.digests, line),
                None => (&mut told.outcomes, line),
            };
            let (at, what) = line.split_once(' ').unwrap();
            to.insert(at.parse().unwrap(), what.to_owned());
        }
        told
    }

    /// Of what was told here, all must be as expected.
    pub(super) fn compare(&self, expected: &Self, entries: &[Entry], what: &str) {
        for (at, outcome) in &self.outcomes {
            let (was, is) = (&expected.outcomes[at], outcome);
            assert_eq!(readable(is), readable(was), "{what}: entry {at}, {}", command(&entries[*at]));
            assert_eq!(is, was, "{what}: the outcome of entry {at} is written as before");
        }
        for (at, digest) in &self.digests {
            let from = at - DIGEST_EVERY;
            assert_eq!(
                *digest,
                expected.digests[at],
                "{what}: rows after one of the entries {from} to {}",
                at - 1
            );
        }
        assert!(
            self.outcomes.keys().next_back() == expected.outcomes.keys().next_back(),
            "{what}: all are applied"
        );
    }
}

fn command(entry: &Entry) -> String {
    match &entry.payload {
        EntryPayload::Normal(command) => {
            format!("{:?}", buzon_proto::log::decode_entry(command.0.clone()).unwrap())
        }
        other => format!("{other:?}"),
    }
}

fn readable(outcome: &str) -> String {
    let bytes = (0..outcome.len() / 2).map(|at| u8::from_str_radix(&outcome[2 * at..2 * at + 2], 16));
    match bytes.collect::<Result<Vec<u8>, _>>() {
        Ok(bytes) if outcome != "-" => format!("{:?}", buzon_proto::log::decode_outcome(Bytes::from(bytes))),
        _ => outcome.to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
