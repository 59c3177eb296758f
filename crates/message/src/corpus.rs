//! Messages for tests: varied ones that poke at every corner, and realistic ones as people get them. From a seed, so
//! that a failing one is named by a number; the same seed gives the same bytes on every machine.

mod broken;
mod realistic;
mod varied;

pub use realistic::{newsletter, realistic, reply, with_attachment};
pub use varied::message;

/// Numbers from a seed (SplitMix64): small, and never changes with a library's version.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x6275_7A6F_6E00_0001)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// Words as prose has them.
    pub(crate) fn words(&mut self, count: usize) -> String {
        const WORDS: [&str; 24] = [
            "the",
            "meeting",
            "tomorrow",
            "we",
            "please",
            "attached",
            "invoice",
            "and",
            "draft",
            "of",
            "review",
            "thanks",
            "server",
            "Monday",
            "for",
            "number",
            "to",
            "changes",
            "you",
            "report",
            "is",
            "late",
            "ma\u{f1}ana",
            "B\u{fc}cher",
        ];
        let words: Vec<&str> = (0..count).map(|_| self.pick(&WORDS)).collect();
        words.join(" ")
    }

    /// Words in ASCII only.
    pub(crate) fn ascii_words(&mut self, count: usize) -> String {
        self.words(count).replace("ma\u{f1}ana", "later").replace("B\u{fc}cher", "books")
    }

    /// A Date field's value.
    pub(crate) fn date(&mut self) -> String {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (day, month, year) = (1 + self.below(28), self.pick(&MONTHS), 1995 + self.below(31));
        let (hour, minute, second) = (self.below(24), self.below(60), self.below(60));
        let zone = self.pick(&["+0000", "-0700", "+0530", "+0200", "GMT", "-0000", "EST"]);
        format!("{day} {month} {year} {hour:02}:{minute:02}:{second:02} {zone}")
    }
}

/// Base64 in lines of 76.
pub(crate) fn base64(bytes: &[u8], line_end: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() / 57 * 78 + 80);
    for line in bytes.chunks(57) {
        for group in line.chunks(3) {
            let bits = group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte))
                << (8 * (3 - group.len()));
            for digit in 0..4 {
                let value = (bits >> (18 - 6 * digit)) as usize & 63;
                text.push(if digit > group.len() { '=' } else { char::from(DIGITS[value]) });
            }
        }
        text.push_str(line_end);
    }
    text
}

/// Quoted-printable with soft line breaks.
pub(crate) fn quoted_printable(bytes: &[u8], line_end: &str) -> String {
    let mut text = String::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let mut column = 0;
        for &byte in line {
            let piece = match byte {
                b'=' | 0..=31 | 127.. => format!("={byte:02X}"),
                _ => char::from(byte).to_string(),
            };
            if column + piece.len() > 75 {
                text.push('=');
                text.push_str(line_end);
                column = 0;
            }
            column += piece.len();
            text.push_str(&piece);
        }
        text.push_str(line_end);
    }
    text
}
