//! Patterns of LIST: `*` matches anything, `%` anything but the separator (RFC 9051 §6.3.9).
//!
//! All places in the pattern that the name read so far could have reached are followed at once, as bits of a set.
//! So a hostile pattern (`*a*a*a*…`) costs no more than length times length over 64.

use buzon_types::mailbox_name::SEPARATOR;
use smallvec::{SmallVec, smallvec};

const SEPARATOR_BYTE: u8 = SEPARATOR as u8;
const INBOX: &[u8] = b"INBOX";

type Set = SmallVec<[u64; 2]>;

/// A pattern, made ready to be matched with many names.
#[derive(Debug, Clone)]
pub struct ListPattern {
    /// Bit `n`: place `n` is `*`.
    any: Set,
    /// Bit `n`: place `n` is `*` or `%`.
    wild: Set,
    /// Per byte which of `places` it is; 0 is none.
    class: Box<[u8; 256]>,
    /// Bit `n`: place `n` is that byte.
    places: Vec<Set>,
    /// How many places; the bit after the last is the match.
    length: usize,
}

/// Whether `name` matches `pattern`. For many names make a [`ListPattern`] once.
pub fn list_match(pattern: &str, name: &str) -> bool {
    ListPattern::new("", pattern).matches(name)
}

impl ListPattern {
    /// The pattern that `reference` and `pattern` make together: one after the other (RFC 9051 §6.3.9).
    pub fn new(reference: &str, pattern: &str) -> Self {
        let mut places: Vec<u8> = Vec::with_capacity(reference.len() + pattern.len());
        for byte in reference.bytes().chain(pattern.bytes()) {
            match (places.last(), byte) {
                // Neighbouring wildcards are one: the stronger.
                (Some(b'*'), b'*' | b'%') | (Some(b'%'), b'%') => {}
                (Some(b'%'), b'*') => {
                    places.pop();
                    places.push(b'*');
                }
                _ => places.push(byte),
            }
        }
        let empty: Set = smallvec![0; places.len() / 64 + 1];
        let mut compiled = Self {
            any: empty.clone(),
            wild: empty.clone(),
            class: Box::new([0; 256]),
            places: vec![empty.clone()],
            length: places.len(),
        };
        for (at, &byte) in places.iter().enumerate() {
            if byte == b'*' {
                set(&mut compiled.any, at);
            }
            if matches!(byte, b'*' | b'%') {
                set(&mut compiled.wild, at);
                continue;
            }
            let class = &mut compiled.class[usize::from(byte)];
            if *class == 0 {
                // UTF-8 has fewer than 255 different bytes.
                *class = compiled.places.len() as u8;
                compiled.places.push(empty.clone());
            }
            set(&mut compiled.places[usize::from(*class)], at);
        }
        compiled
    }

    /// Whether the pattern matches the name. `INBOX` as first level matches in any case.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let inbox = match name.strip_prefix(INBOX) {
            Some([] | [SEPARATOR_BYTE, ..]) => INBOX.len(),
            _ => 0,
        };
        let mut reached: Set = smallvec![0; self.any.len()];
        reached[0] = 1;
        self.skip_wildcards(&mut reached);
        for (at, &byte) in name.iter().enumerate() {
            let other_case = if at < inbox { byte.to_ascii_lowercase() } else { byte };
            if !self.step(&mut reached, byte, other_case) {
                return false;
            }
        }
        reached[self.length / 64] >> (self.length % 64) & 1 == 1
    }

    /// Reads one byte of the name; false once no place is left.
    fn step(&self, reached: &mut Set, byte: u8, other_case: u8) -> bool {
        let here = &self.places[usize::from(self.class[usize::from(byte)])];
        let also = &self.places[usize::from(self.class[usize::from(other_case)])];
        let stay = if byte == SEPARATOR_BYTE { &self.any } else { &self.wild };
        let mut carry = 0;
        let mut left = 0;
        for (word, now) in reached.iter_mut().enumerate() {
            let moved = *now & (here[word] | also[word]);
            *now = *now & stay[word] | moved << 1 | carry;
            carry = moved >> 63;
            left |= *now;
        }
        self.skip_wildcards(reached);
        left != 0
    }

    /// A wildcard may match nothing; two never stand side by side, so one pass is enough.
    fn skip_wildcards(&self, reached: &mut Set) {
        let mut carry = 0;
        for (word, now) in reached.iter_mut().enumerate() {
            // The carry of the word below may itself reach a wildcard at bit 0.
            *now |= carry;
            let skipped = *now & self.wild[word];
            *now |= skipped << 1;
            carry = skipped >> 63;
        }
    }
}

fn set(bits: &mut Set, at: usize) {
    bits[at / 64] |= 1 << (at % 64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards_match_as_the_rfc_says() {
        for (pattern, name, matches) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("%/%", "a/b", true),
            ("a%", "abc", true),
            ("a%", "abc/d", false),
            ("a*d", "abc/d", true),
            ("*%*", "x/y/z", true),
            ("%*", "x/y/z", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a/%/c", "a/b/c", true),
            ("a/%/c", "a/b/b/c", false),
            ("Büch%", "Bücher", true),
            ("*/b", "b", false),
        ] {
            assert_eq!(list_match(pattern, name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn inbox_matches_in_any_case_as_first_level_only() {
        assert!(list_match("inbox", "INBOX"));
        assert!(list_match("iNb%", "INBOX"));
        assert!(list_match("inbox/a", "INBOX/a"));
        assert!(!list_match("inbox/a", "INBOX/A"));
        assert!(!list_match("inboxes", "INBOXES"));
        assert!(!list_match("a/inbox", "a/INBOX"));
    }

    #[test]
    fn long_hostile_patterns_are_matched_at_once() {
        let pattern = "*a%".repeat(340);
        let name = "a".repeat(1000);
        for _ in 0..100 {
            assert!(list_match(&pattern, &name));
            assert!(!list_match(&format!("{pattern}b"), &name));
        }
    }

    #[test]
    fn the_reference_comes_first() {
        assert!(ListPattern::new("a/", "%").matches("a/b"));
        assert!(!ListPattern::new("a/", "%").matches("b"));
    }

    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| naive(rest, &name[at..])),
            Some((b'%', rest)) => (0..=name.len())
                .take_while(|&at| at == 0 || name[at - 1] != b'/')
                .any(|at| naive(rest, &name[at..])),
            Some((byte, rest)) => name.first() == Some(byte) && naive(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(pattern in "[ab/*%]{0,9}", name in "[ab/]{0,9}", pad in 0usize..70) {
            prop_assert_eq!(list_match(&pattern, &name), naive(pattern.as_bytes(), name.as_bytes()));
            // The same across the border of a word.
            let pad = "c".repeat(pad);
            prop_assert_eq!(list_match(&format!("{pad}{pattern}"), &format!("{pad}{name}")), naive(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
