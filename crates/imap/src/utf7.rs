//! Modified UTF-7, the encoding of mailbox names before IMAP4rev2 (RFC 3501 §5.1.3).
//!
//! Printable ASCII stands for itself, `&` is `&-`, all else is UTF-16 in base64 (with `,` for `/`, no padding)
//! between `&` and `-`. Decoding is strict: each name has one encoding only, so two mailboxes cannot look alike.

use std::fmt::Write;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// The text is not what [`encode`] would have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not modified UTF-7")]
pub struct Utf7Error;

/// Encodes a name.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    encode_to(name, &mut out).expect("a string takes all that is written to it");
    out
}

/// Encodes a name into `out`.
///
/// # Errors
/// Those of `out`.
pub fn encode_to(name: &str, out: &mut impl Write) -> std::fmt::Result {
    let mut shifted: Option<Bits> = None;
    for character in name.chars() {
        if (' '..='~').contains(&character) {
            if let Some(bits) = shifted.take() {
                bits.finish(out)?;
            }
            out.write_str(if character == '&' { "&-" } else { "" })?;
            if character != '&' {
                out.write_char(character)?;
            }
            continue;
        }
        if shifted.is_none() {
            out.write_char('&')?;
        }
        let bits = shifted.get_or_insert_default();
        for unit in character.encode_utf16(&mut [0; 2]) {
            bits.push(*unit, out)?;
        }
    }
    shifted.map_or(Ok(()), |bits| bits.finish(out))
}

/// Decodes a name.
///
/// # Errors
/// If another name's encoding would be the same, or it is none at all.
pub fn decode(text: &str) -> Result<String, Utf7Error> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        name.push_str(&rest[..at]);
        let (shifted, after) = rest[at + 1..].split_once('-').ok_or(Utf7Error)?;
        if shifted.is_empty() {
            name.push('&');
        } else {
            decode_shifted(shifted.as_bytes(), &mut name)?;
        }
        rest = after;
    }
    name.push_str(rest);
    // What is left of strictness (ASCII in base64, needless shifts, stray bits, 8-bit text) shows in the way back.
    if encode(&name) == text { Ok(name) } else { Err(Utf7Error) }
}

fn decode_shifted(base64: &[u8], name: &mut String) -> Result<(), Utf7Error> {
    let mut units = Vec::with_capacity(base64.len() * 6 / 16);
    let (mut bits, mut count) = (0u32, 0u32);
    for &byte in base64 {
        let value = ALPHABET.iter().position(|&letter| letter == byte).ok_or(Utf7Error)?;
        bits = (bits << 6 | value as u32) & 0x3f_ffff;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push((bits >> count) as u16);
        }
    }
    for character in char::decode_utf16(units) {
        name.push(character.map_err(|_| Utf7Error)?);
    }
    Ok(())
}

/// Bits that do not make a base64 digit yet.
#[derive(Default)]
struct Bits {
    bits: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, unit: u16, out: &mut impl Write) -> std::fmt::Result {
        self.bits = self.bits << 16 | u32::from(unit);
        self.count += 16;
        while self.count >= 6 {
            self.count -= 6;
            out.write_char(digit(self.bits >> self.count))?;
        }
        self.bits &= (1 << self.count) - 1;
        Ok(())
    }

    fn finish(self, out: &mut impl Write) -> std::fmt::Result {
        if self.count > 0 {
            out.write_char(digit(self.bits << (6 - self.count)))?;
        }
        out.write_char('-')
    }
}

fn digit(bits: u32) -> char {
    char::from(ALPHABET[(bits & 63) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_rfc() {
        assert_eq!(encode("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(decode("~peter/mail/&U,BTFw-/&ZeVnLIqe-").unwrap(), "~peter/mail/台北/日本語");
        assert_eq!(encode("Entwürfe & Co"), "Entw&APw-rfe &- Co");
        assert_eq!(decode("Entw&APw-rfe &- Co").unwrap(), "Entwürfe & Co");
        assert_eq!(decode(&encode("😀/a😀")).unwrap(), "😀/a😀");
    }

    #[test]
    fn a_name_has_one_encoding() {
        for text in [
            "&",
            "a&b",
            "&AGE-",
            "&AOk-&AOk-",
            "&AOl-",
            "&2D0-",
            "&A-",
            "é",
            "&&-",
            "&AOk",
            "&AO/k-",
            "\u{7f}",
            "&-AOk-&",
        ] {
            assert_eq!(decode(text), Err(Utf7Error), "{text}");
        }
        // Two superfluous shifts in the RFC's own example of what not to do.
        assert_eq!(decode("&Jjo-!"), Ok("☺!".to_owned()));
        assert_eq!(decode("&U,BTFw-&ZeVnLIqe-"), Err(Utf7Error));
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "\\PC{0,30}|[a-z&é😀-]{0,20}") {
            let text = encode(&name);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(decode(&text), Ok(name.clone()));
            prop_assert_eq!(utf7_imap::encode_utf7_imap(name), text);
        }

        #[test]
        fn what_decodes_is_what_was_encoded(text in "[a-z&A-C,+/-]{0,24}") {
            if let Ok(name) = decode(&text) {
                prop_assert_eq!(encode(&name), text);
            }
        }
    }
}
