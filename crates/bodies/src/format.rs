//! How bytes lie in an object. Version 1; numbers are big-endian; once released, an object stays readable for ever.
//!
//! ```text
//! header  16   "BUZN", version u8, flags u8 (0), reserved u16 (0), low 8 bytes of the object's id
//! body    n    the stored bytes, raw: BodyRef { offset, length } points here
//! seal    4    crc32 over the stored bytes, object id (16), offset (8), length (8)
//! ...          more bodies, each with its seal
//! entry   32   per body: offset u64, length u64, crc32 u32 (the seal), key u32, encoding u8, reserved 7 × 0
//! ...
//! footer  16   count of entries u32, crc32 over header, entries and count u32, reserved u32 (0), "NZUB"
//! ```
//!
//! - A whole body is read with its seal in one request, so that each such read is verified, and the seal binds the
//!   bytes to their place: a server that answers with another object's bytes is caught.
//! - A part of a body is one range read of these bytes, **not verified** (transport and disk have their own sums).
//! - The index at the end lets an object be understood without metadata (collection, salvage). Reading a body never
//!   needs it, nor the header.
//! - In a folder an object may have more bodies after an index, and another index, of all, at its end (`grow`).
//! - Packing (`pack`) puts more bodies in one object; encryption changes the stored bytes and fills `key`; neither
//!   changes the layout. A layout that must change gets a new version; unknown flags mean "not for this version".

use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use bytes::{BufMut, Bytes, BytesMut};

use crate::error::Corruption;

/// Bytes before the first body.
pub const HEADER_BYTES: u64 = 16;
/// Bytes after each body.
pub const SEAL_BYTES: u64 = 4;
/// Bytes of one index entry.
pub const ENTRY_BYTES: u64 = 32;
/// Bytes at the very end.
pub const FOOTER_BYTES: u64 = 16;

const MAGIC: &[u8; 4] = b"BUZN";
const END_MAGIC: &[u8; 4] = b"NZUB";
const VERSION: u8 = 1;

/// One body as the object's own index tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub body: BodyRef,
    /// Its seal.
    pub seal: u32,
}

/// The first bytes of an object.
pub(crate) fn header(object: ObjectId) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES as usize);
    out.put_slice(MAGIC);
    out.put_u8(VERSION);
    out.put_u8(0);
    out.put_u16(0);
    out.put_u64(object.0 as u64);
    out.freeze()
}

/// A body on its way into an object, or out of it: counts and sums what goes by.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    object: ObjectId,
    offset: u64,
    length: u64,
    sum: crc32fast::Hasher,
}

impl Frame {
    /// Of the body that begins at `offset`.
    pub(crate) fn begin(object: ObjectId, offset: u64) -> Self {
        Self { object, offset, length: 0, sum: crc32fast::Hasher::new() }
    }

    /// The next stored bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.sum.update(bytes);
    }

    /// The same bytes at another place: where, only the seal knows.
    pub(crate) fn moved_to(self, object: ObjectId, offset: u64) -> Self {
        Self { object, offset, ..self }
    }

    /// Stored bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The body is complete.
    pub(crate) fn finish(mut self) -> Entry {
        self.sum.update(&self.object.0.to_be_bytes());
        self.sum.update(&self.offset.to_be_bytes());
        self.sum.update(&self.length.to_be_bytes());
        let body = BodyRef {
            object: self.object,
            offset: self.offset,
            length: self.length,
            encoding: Encoding::Plain,
            key: KeyId(0),
        };
        Entry { body, seal: self.sum.finalize() }
    }
}

/// Bodies one after another from `at` on, each with its seal; where each lies.
pub(crate) fn put_bodies<'a>(
    out: &mut impl BufMut,
    object: ObjectId,
    mut at: u64,
    bodies: impl Iterator<Item = (Frame, &'a Bytes)>,
) -> Vec<Entry> {
    let put = |(frame, bytes): (Frame, &Bytes)| {
        let entry = frame.moved_to(object, at).finish();
        out.put_slice(bytes);
        out.put_u32(entry.seal);
        at += entry.body.length + SEAL_BYTES;
        entry
    };
    bodies.map(put).collect()
}

/// The size of an object that holds one body.
pub(crate) fn bytes_with_one(body_bytes: u64) -> u64 {
    HEADER_BYTES + body_bytes + SEAL_BYTES + ENTRY_BYTES + FOOTER_BYTES
}

/// What follows the last body's seal.
pub(crate) fn trailer(object: ObjectId, entries: &[Entry]) -> Bytes {
    let mut out = BytesMut::with_capacity(entries.len() * ENTRY_BYTES as usize + FOOTER_BYTES as usize);
    for entry in entries {
        out.put_u64(entry.body.offset);
        out.put_u64(entry.body.length);
        out.put_u32(entry.seal);
        out.put_u32(entry.body.key.0);
        out.put_u8(entry.body.encoding as u8);
        out.put_bytes(0, 7);
    }
    out.put_u32(entries.len() as u32);
    let sum = index_sum(&header(object), &out);
    out.put_u32(sum);
    out.put_u32(0);
    out.put_slice(END_MAGIC);
    out.freeze()
}

/// Takes the seal off the end of a whole body and checks it.
pub(crate) fn open_sealed(body: &BodyRef, mut sealed: Bytes) -> Result<Bytes, Corruption> {
    if sealed.len() as u64 != body.length + SEAL_BYTES {
        return Err(Corruption::Truncated);
    }
    let seal = sealed.split_off(body.length as usize);
    let mut frame = Frame::begin(body.object, body.offset);
    frame.update(&sealed);
    check_seal(frame, &seal)?;
    Ok(sealed)
}

/// Whether what went by the frame matches the seal that was read after it.
pub(crate) fn check_seal(frame: Frame, seal: &[u8]) -> Result<(), Corruption> {
    if frame.finish().seal.to_be_bytes() == seal { Ok(()) } else { Err(Corruption::Seal) }
}

/// Checks an object's first bytes.
///
/// # Errors
/// Not ours, of another object, or of a version that is not known.
pub fn check_header(object: ObjectId, bytes: &[u8]) -> Result<(), Corruption> {
    let known = header(object);
    match bytes.get(..HEADER_BYTES as usize) {
        Some(found) if found == &known[..] => Ok(()),
        Some(found) if found.starts_with(MAGIC) && found[4] != VERSION => Err(Corruption::Version(found[4])),
        _ => Err(Corruption::Header),
    }
}

/// How many bytes at the object's end the index takes, from the footer alone.
///
/// # Errors
/// The footer is damaged.
pub fn index_bytes(footer: &[u8]) -> Result<u64, Corruption> {
    let footer: &[u8; FOOTER_BYTES as usize] = footer.try_into().map_err(|_| Corruption::Index)?;
    if &footer[12..] != END_MAGIC {
        return Err(Corruption::Index);
    }
    Ok(u64::from(u32_at(footer, 0)) * ENTRY_BYTES + FOOTER_BYTES)
}

/// Reads the index: the last [`index_bytes`] of an object.
///
/// # Errors
/// It is damaged or belongs to another object.
pub fn read_index(object: ObjectId, tail: &[u8]) -> Result<Vec<Entry>, Corruption> {
    let split = tail.len().checked_sub(FOOTER_BYTES as usize).ok_or(Corruption::Index)?;
    if index_bytes(&tail[split..])? != tail.len() as u64 {
        return Err(Corruption::Index);
    }
    let sum = index_sum(&header(object), &tail[..split + 4]);
    if sum != u32_at(tail, split + 4) {
        return Err(Corruption::Index);
    }
    tail[..split].chunks_exact(ENTRY_BYTES as usize).map(|entry| read_entry(object, entry)).collect()
}

fn read_entry(object: ObjectId, entry: &[u8]) -> Result<Entry, Corruption> {
    let encoding = Encoding::from_number(entry[24]).ok_or(Corruption::Index)?;
    let key = KeyId(u32_at(entry, 20));
    let body = BodyRef { object, offset: u64_at(entry, 0), length: u64_at(entry, 8), encoding, key };
    Ok(Entry { body, seal: u32_at(entry, 16) })
}

fn index_sum(header: &[u8], entries_and_count: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(header);
    sum.update(entries_and_count);
    sum.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes were sliced"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes were sliced"))
}

#[cfg(test)]
mod tests;
