//! Header fields as raw lines (RFC 5322 §2.2), and picking some of them out byte for byte (RFC 9051 §6.4.5).
//!
//! A header may be anything: lines without a colon are fields without a name, a lone CR is a byte like others, and a
//! line ends at LF whether or not a CR stands before it.

use memchr::{memchr, memchr3};
use std::borrow::Cow;

/// One field with the lines it folds over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// All its bytes, the last line end included.
    pub raw: &'a [u8],
    /// Before the colon, without trailing white space; empty if there is no colon.
    pub name: &'a [u8],
    /// After the colon, still folded, without the last line end.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    fn of(raw: &'a [u8]) -> Self {
        let text = without_line_end(raw);
        match memchr(b':', text) {
            Some(colon) => Self { raw, name: text[..colon].trim_ascii_end(), value: &text[colon + 1..] },
            None => Self { raw, name: &[], value: text },
        }
    }

    /// Whether it has this name, in any case.
    pub fn is(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.name.eq_ignore_ascii_case(name)
    }
}

/// The fields of a raw header, in order, up to the blank line or the end.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of a header, with or without its blank line.
    pub fn of(raw_header: &'a [u8]) -> Self {
        Self { rest: raw_header }
    }

    /// What is left: after the last field the blank line, if there is one.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's bytes.
    fn next_raw(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() || is_blank(&self.rest[..line_end(self.rest)]) {
            return None;
        }
        let mut end = line_end(self.rest);
        while let Some(b' ' | b'\t') = self.rest.get(end) {
            end += line_end(&self.rest[end..]);
        }
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(raw)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        self.next_raw().map(Field::of)
    }
}

/// The values of all fields of this name, in any case: those that [`Fields`] finds, without a look into the others.
pub fn values<'a>(raw_header: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    // No field has such a name.
    let nobodys = name.is_empty() || name.contains(&b':') || name.trim_ascii_end() != name;
    let mut fields = Fields::of(if nobodys { &[] } else { raw_header });
    std::iter::from_fn(move || fields.next_raw()).filter_map(move |raw| {
        let (begin, rest) = raw.split_at_checked(name.len())?;
        let value =
            begin.eq_ignore_ascii_case(name).then(|| rest.trim_ascii_start().strip_prefix(b":"))??;
        Some(without_line_end(value))
    })
}

/// How long the first line is, its line end included.
pub(crate) fn line_end(bytes: &[u8]) -> usize {
    let end = memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
    #[cfg(test)]
    crate::testing::steps::add(end);
    end
}

/// Whether a line is empty but for its line end.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line == b"\n" || line == b"\r\n"
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The blank line that ends a header; empty if it has none.
pub fn blank_line(raw_header: &[u8]) -> &[u8] {
    if raw_header.ends_with(b"\r\n\r\n") || raw_header == b"\r\n" || raw_header.ends_with(b"\n\r\n") {
        b"\r\n"
    } else if raw_header.ends_with(b"\n\n") || raw_header == b"\n" {
        b"\n"
    } else {
        b""
    }
}

/// `HEADER.FIELDS (names)`: the fields that have one of the names, then the blank line if the header has one.
pub fn select<N: AsRef<[u8]>>(raw_header: &[u8], names: &[N]) -> Vec<u8> {
    keep(raw_header, |field| names.iter().any(|name| field.is(name.as_ref())))
}

/// `HEADER.FIELDS.NOT (names)`: the fields that have none of them, then the blank line if the header has one.
pub fn select_not<N: AsRef<[u8]>>(raw_header: &[u8], names: &[N]) -> Vec<u8> {
    keep(raw_header, |field| !names.iter().any(|name| field.is(name.as_ref())))
}

fn keep(raw_header: &[u8], wanted: impl Fn(&Field<'_>) -> bool) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut fields = Fields::of(raw_header);
    for field in fields.by_ref() {
        if wanted(&field) {
            kept.extend_from_slice(field.raw);
        }
    }
    kept.extend_from_slice(&fields.rest()[..line_end(fields.rest())]);
    kept
}

/// A value on one line: line ends, and with them folds, removed (RFC 5322 §2.2.3), as are NULs, which IMAP cannot
/// carry; white space around it trimmed.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr3(b'\r', b'\n', 0, value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"From: a@b\r\nSubject: one\r\n\ttwo\r\nno colon\r\nto : x\r\n\r\nbody: no\r\n";

    #[test]
    fn fields_end_at_the_blank_line_and_keep_folds() {
        let fields: Vec<_> = Fields::of(HEADER).collect();
        assert_eq!(fields.len(), 4);
        assert_eq!(fields[1].raw, b"Subject: one\r\n\ttwo\r\n");
        assert_eq!(unfold(fields[1].value).as_ref(), b"one\ttwo");
        assert_eq!((fields[2].name, fields[2].value), (&b""[..], &b"no colon"[..]));
        assert!(fields[3].is(b"TO"));
    }

    #[test]
    fn values_are_those_of_the_fields() {
        let odd = b"a: 1\r\nA : 2\r\na\r\n : 3\r\nab: 4\r\na b: 5\r\n:6\r\na\r\na:\r\n\t7\r\na:8\n\na: 9";
        for header in [HEADER, odd, b"", b"a", b"a:", b"\r\na: 1"] {
            for name in ["a", "A", "to", "subject", "no", "a b", "a:", "a ", "", ":", "no colon", "a\r\n"] {
                let name = name.as_bytes();
                let fields = Fields::of(header).filter(|field| field.is(name)).map(|field| field.value);
                assert!(values(header, name).eq(fields), "{:?}", name.escape_ascii());
            }
        }
    }

    #[test]
    fn selection_is_exact_and_has_the_blank_line() {
        assert_eq!(select(HEADER, &["SUBJECT", "x"]), b"Subject: one\r\n\ttwo\r\n\r\n");
        assert_eq!(select_not(HEADER, &["subject", "To"]), b"From: a@b\r\nno colon\r\n\r\n");
        assert_eq!(select(HEADER, &["absent"]), b"\r\n");
        assert_eq!(
            select(b"A: b", &["absent"]),
            b"",
            "no body and no blank line: nothing (RFC 9051 section 6.4.5)"
        );
        assert_eq!(select(b"A: b\nC: d\n\n", &["c"]), b"C: d\n\n", "bare line feeds stay bare");
        assert_eq!(select(b"", &["c"]), b"");
    }
}
