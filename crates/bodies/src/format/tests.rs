//! The layout, byte for byte, and what a reader says of damage.

use super::*;

const OBJECT: ObjectId = ObjectId(0x0198_0000_0000_7000_8000_0000_0000_00ab);

const SEAL: [u8; 4] = [0x13, 0x87, 0xca, 0xcc];
const INDEX_SUM: [u8; 4] = [0xa5, 0xe2, 0x9e, 0x1f];

fn object(bodies: &[&[u8]]) -> (Vec<Entry>, Vec<u8>) {
    let mut bytes = header(OBJECT).to_vec();
    let mut entries = Vec::new();
    for body in bodies {
        let mut frame = Frame::begin(OBJECT, bytes.len() as u64);
        frame.update(body);
        let entry = frame.finish();
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&entry.seal.to_be_bytes());
        entries.push(entry);
    }
    bytes.extend_from_slice(&trailer(OBJECT, &entries));
    (entries, bytes)
}

fn index_of(bytes: &[u8]) -> Result<Vec<Entry>, Corruption> {
    let length = index_bytes(&bytes[bytes.len() - FOOTER_BYTES as usize..])? as usize;
    read_index(OBJECT, &bytes[bytes.len().checked_sub(length).ok_or(Corruption::Index)?..])
}

#[test]
fn version_1_is_these_bytes() {
    let (_, bytes) = object(&[b"hello"]);
    assert_eq!(bytes[..16], *b"BUZN\x01\0\0\0\x80\0\0\0\0\0\0\xab");
    assert_eq!(bytes[16..21], *b"hello");
    let seal = &bytes[21..25];
    assert_eq!(bytes[25..41], *b"\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x05");
    assert_eq!(&bytes[41..45], seal);
    assert_eq!(bytes[45..57], [0; 12]);
    assert_eq!(bytes[57..61], *b"\0\0\0\x01");
    assert_eq!(bytes[65..], *b"\0\0\0\0NZUB");
    // The sums, worked out apart from this code.
    assert_eq!((seal, &bytes[61..65]), (&SEAL[..], &INDEX_SUM[..]));
}

#[test]
fn an_object_tells_its_bodies_without_metadata() {
    let (entries, bytes) = object(&[b"one", b"", b"three"]);
    check_header(OBJECT, &bytes).unwrap();
    assert_eq!(index_of(&bytes).unwrap(), entries);
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let (entries, bytes) = object(&[b"one", b"two!"]);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let bodies_fine = entries.iter().all(|entry| {
            let start = entry.body.offset as usize;
            let end = start + (entry.body.length + SEAL_BYTES) as usize;
            open_sealed(&entry.body, Bytes::copy_from_slice(&damaged[start..end])).is_ok()
        });
        let whole_fine = check_header(OBJECT, &damaged).is_ok() && index_of(&damaged) == Ok(entries.clone());
        // The four reserved bytes of the footer are for later versions and mean nothing in this one.
        let reserved = (bytes.len() - 8..bytes.len() - 4).contains(&(bit / 8));
        assert!(!(bodies_fine && whole_fine) || reserved, "bit {bit}");
    }
}

#[test]
fn bytes_of_another_place_do_not_pass_the_seal() {
    let (entries, bytes) = object(&[b"same", b"same"]);
    let second = entries[1].body.offset as usize;
    let sealed = Bytes::copy_from_slice(&bytes[second..second + 8]);
    assert_eq!(open_sealed(&entries[0].body, sealed), Err(Corruption::Seal));
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let (_, mut bytes) = object(&[b"x"]);
    bytes[4] = 9;
    assert_eq!(check_header(OBJECT, &bytes), Err(Corruption::Version(9)));
    assert_eq!(check_header(OBJECT, b"BUZ"), Err(Corruption::Header));
}
