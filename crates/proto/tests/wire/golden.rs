//! Old log entries replay: one encoded entry of each kind of command is kept as a file.
//!
//! A new kind: add it to `examples.rs` and run the test once with `BUZON_WRITE_GOLDEN=1`. An existing file is never
//! written again: when this test fails, the format is broken, not the file.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use buzon_proto::log::{decode_entry, decode_outcome, encode_entry, encode_outcome};

use crate::examples;

fn file(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{kind}.bin"))
}

fn golden(kind: &str, encoded: &[u8]) -> Vec<u8> {
    let path = file(kind);
    if !path.exists() && std::env::var_os("BUZON_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, encoded).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn old_entries_decode_to_the_same_values() {
    for (kind, entry) in examples::entries() {
        let kept = golden(kind, &encode_entry(&entry));
        assert_eq!(decode_entry(kept.clone().into()).unwrap(), entry, "{kind}");
        assert_eq!(encode_entry(&entry), kept, "{kind} is written as before");
    }
}

#[test]
fn old_outcomes_decode_to_the_same_values() {
    for (kind, outcome) in examples::outcomes() {
        let kept = golden(kind, &encode_outcome(&outcome));
        assert_eq!(decode_outcome(kept.into()).unwrap(), outcome, "{kind}");
    }
}

#[test]
fn every_kind_is_kept_and_none_is_forgotten() {
    let examples = examples::entries().into_iter().map(|(kind, _)| kind);
    let known: BTreeSet<_> = examples.chain(examples::outcomes().into_iter().map(|(kind, _)| kind)).collect();
    let kinds: BTreeSet<_> = examples::entries()
        .into_iter()
        .map(|(_, entry)| {
            std::mem::discriminant(
                &buzon_proto::pb::log::v1::Entry::from(&entry).command.unwrap().command.unwrap(),
            )
        })
        .map(|kind| format!("{kind:?}"))
        .collect();
    assert_eq!(kinds.len(), COMMAND_KINDS, "one example of each kind of command");
    for path in fs::read_dir(file("x").parent().unwrap()).unwrap() {
        let path = path.unwrap().path();
        let kind = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(known.contains(kind.as_str()), "{kind} has a file but no example");
    }
}

/// As many as the oneof in log.proto has.
const COMMAND_KINDS: usize = 54;
