//! What earlier versions wrote is kept as files and goes on meaning the same: what a released feature level does never
//! changes (DESIGN D10).
//!
//! ```text
//! tests/kept/GROUP-LEVEL.entries    a log from its first entry, as raft keeps it
//!            GROUP-LEVEL.outcomes   what each entry came to, and the digests of the rows on the way
//!            GROUP-LEVEL.snapshot   the rows in the middle, as they go from node to node
//!            schema-STEPS.sqlite    the same rows of both groups, in a database
//!            record-KIND.bin        what raft itself writes
//! ```
//! `BUZON_WRITE_GOLDEN=1` adds files that are missing: a level or a schema that is new. A file that is there is never
//! written again: where one of these tests fails, the version is broken, not the file.

mod database;
mod directory;
mod file;
mod records;
mod replay;
mod script;
mod shard;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};
use std::path::PathBuf;

use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_types::id::{DIRECTORY, GroupId};
use bytes::Bytes;
use openraft::EntryPayload;
use prost::Message as _;

use self::replay::{Told, replay};
use self::script::Script;
use crate::type_config::Entry;

type Kind = Discriminant<buzon_proto::pb::log::v1::command::Command>;

/// The shard whose log is kept.
const SHARD: GroupId = GroupId(1);

/// One log that is kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    group: GroupId,
    level: u32,
}

impl Kept {
    fn all() -> impl Iterator<Item = Self> {
        let levels = 1..=FEATURE_LEVEL_MAX.0;
        levels.flat_map(|level| [DIRECTORY, SHARD].map(|group| Self { group, level }))
    }

    fn name(self, what: &str) -> String {
        let group = if self.group == DIRECTORY { "directory" } else { "shard" };
        format!("{group}-{}.{what}", self.level)
    }

    /// How its files are made. Those that are kept may have been made otherwise.
    fn script(self) -> Script {
        if self.group == DIRECTORY { directory::script(self.level) } else { shard::script(self.level) }
    }

    fn entries(self) -> Vec<Entry> {
        let make =
            || file::framed(&self.script().entries.iter().map(crate::record::entry).collect::<Vec<_>>());
        let records = file::unframed(&file::kept(&self.name("entries"), make));
        records.into_iter().map(|record| crate::record::read_entry(record).unwrap()).collect()
    }

    /// What all of it comes to; kept when that is asked for and missing.
    async fn outcomes(self) -> Told {
        let name = self.name("outcomes");
        if file::is_missing(&name) {
            let machine = replay::Bench::new(self.group).await;
            file::add(&name, replay(&machine.machine, &self.entries(), 1).await.text().as_bytes());
        }
        Told::read(&String::from_utf8(file::read(&name)).unwrap())
    }
}

#[tokio::test]
async fn old_logs_replay_to_the_same_outcomes_and_rows() {
    for kept in Kept::all() {
        let (entries, expected) = (kept.entries(), kept.outcomes().await);
        for batch in [1, 7, 1000] {
            let bench = replay::Bench::new(kept.group).await;
            let told = replay(&bench.machine, &entries, batch).await;
            told.compare(&expected, &entries, &format!("{kept:?} in batches of {batch}"));
        }
    }
}

#[tokio::test]
async fn every_command_that_is_kept_was_applied_in_the_log_of_the_last_level() {
    let mut applied: BTreeSet<String> = BTreeSet::new();
    for kept in Kept::all().filter(|kept| kept.level == FEATURE_LEVEL_MAX.0) {
        let bench = replay::Bench::new(kept.group).await;
        let entries = kept.entries();
        let outcomes = bench.machine.apply(&entries).await.unwrap();
        let accepted = entries.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, Some(Ok(_))));
        applied.extend(accepted.filter_map(|(entry, _)| match &entry.payload {
            EntryPayload::Normal(command) => Some(format!("{:?}", kind(&command.0))),
            _ => None,
        }));
    }
    let missing: Vec<String> = kinds()
        .into_iter()
        .filter(|(_, kind)| !applied.contains(&format!("{kind:?}")))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "kept as single entries, and never applied");
}

fn kind(entry: &Bytes) -> Kind {
    let entry = buzon_proto::pb::log::v1::Entry::decode(entry.clone()).unwrap();
    discriminant(&entry.command.unwrap().command.unwrap())
}

/// Each kind of command by the name of the file that the wire crate keeps of it.
fn kinds() -> BTreeMap<String, Kind> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../proto/tests/golden");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path));
    let entries = named.filter(|(name, _)| !name.starts_with("outcome_"));
    entries.map(|(name, path)| (name, kind(&std::fs::read(path).unwrap().into()))).collect()
}
