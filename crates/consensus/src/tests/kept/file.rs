//! Files that are kept: read, and added when they are missing and that is asked for.

use std::fs;
use std::path::PathBuf;

use prost::Message;

pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kept")
}

/// Whether it is to be made now.
///
/// # Panics
/// If it is not there and nobody asked to add it.
pub(super) fn is_missing(name: &str) -> bool {
    if folder().join(name).exists() {
        return false;
    }
    let asked = std::env::var_os("BUZON_WRITE_GOLDEN").is_some();
    assert!(
        asked,
        "{name} is not kept: once it is right, run this test with BUZON_WRITE_GOLDEN=1, which adds it"
    );
    true
}

pub(super) fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Writes a file that is not there; the whole of it or nothing, for tests that run at the same time.
pub(super) fn add(name: &str, bytes: &[u8]) {
    let mut new = tempfile::NamedTempFile::new_in(folder()).unwrap();
    std::io::Write::write_all(&mut new, bytes).unwrap();
    // Another test may have added the same.
    let _ = new.persist_noclobber(folder().join(name));
}

/// What is kept under that name.
pub(super) fn kept(name: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    if is_missing(name) {
        add(name, &make());
    }
    read(name)
}

/// One message after the other, each with its length before it.
pub(super) fn framed(messages: &[impl Message]) -> Vec<u8> {
    messages.iter().flat_map(|message| message.encode_length_delimited_to_vec()).collect()
}

/// The opposite of [`framed`].
pub(super) fn unframed<M: Message + Default>(bytes: &[u8]) -> Vec<M> {
    // Slices of one buffer, as in the log.
    let mut rest = bytes::Bytes::copy_from_slice(bytes);
    let mut messages = Vec::new();
    while !rest.is_empty() {
        messages.push(M::decode_length_delimited(&mut rest).unwrap());
    }
    messages
}
