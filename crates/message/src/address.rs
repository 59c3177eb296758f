//! Address lists (RFC 5322 §3.4), read forgivingly: old routes, names in comments, semicolons for commas, missing
//! brackets. Linear and without recursion; what makes no sense becomes an address without a domain.

use crate::mime::quoted;

/// One thing of an address list. Texts are raw: encoded words stay encoded, quotes are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A mailbox.
    Address(Address),
    /// `name:`, what follows belongs to the group.
    GroupStart(Vec<u8>),
    /// `;`, or the end of the list.
    GroupEnd,
}

/// A mailbox with its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// The display name, or the comment that stands for it.
    pub name: Option<Vec<u8>>,
    /// `@a,@b`, the obsolete source route.
    pub route: Option<Vec<u8>>,
    /// Before the `@`.
    pub local: Vec<u8>,
    /// After it; may be empty.
    pub domain: Vec<u8>,
}

/// Iterates over an unfolded value.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    rest: &'a [u8],
    in_group: bool,
}

impl<'a> Entries<'a> {
    /// Of an unfolded value.
    pub fn of(value: &'a [u8]) -> Self {
        Self { rest: value, in_group: false }
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            let Some(&first) = self.rest.first() else {
                return std::mem::take(&mut self.in_group).then_some(Entry::GroupEnd);
            };
            if first == b',' || first == b';' {
                self.rest = &self.rest[1..];
                if first == b';' && std::mem::take(&mut self.in_group) {
                    return Some(Entry::GroupEnd);
                }
                continue;
            }
            let element = Element::scan(self.rest, !self.in_group);
            let text = &self.rest[..element.end];
            if self.rest.get(element.end) == Some(&b':') {
                self.rest = &self.rest[element.end + 1..];
                self.in_group = true;
                return Some(Entry::GroupStart(phrase(text)));
            }
            self.rest = &self.rest[element.end..];
            if let Some(address) = element.address(text) {
                return Some(Entry::Address(address));
            }
        }
    }
}

/// The extent of one element, and where its angle brackets are.
struct Element {
    end: usize,
    angle: Option<(usize, usize)>,
}

impl Element {
    /// Ends before `,`, `;` and, where a group may begin, `:`.
    fn scan(text: &[u8], may_be_group: bool) -> Self {
        let mut angle = None;
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            match byte {
                b',' | b';' => break,
                b':' if may_be_group && angle.is_none() => break,
                b'"' => at += quoted_bytes(&text[at..]),
                b'(' => at += comment_bytes(&text[at..]),
                b'[' => at += until(&text[at..], b"],"),
                b'<' if angle.is_none() => {
                    let length = angle_bytes(&text[at..]);
                    angle = Some((at, at + length));
                    at += length;
                }
                _ => at += 1,
            }
        }
        Self { end: at, angle }
    }

    fn address(&self, text: &[u8]) -> Option<Address> {
        let mut address = match self.angle {
            Some((start, end)) => {
                let inner = text[start + 1..end].strip_suffix(b">").unwrap_or(&text[start + 1..end]);
                let mut address = spec(inner);
                address.name = Some(phrase(&text[..start])).filter(|name| !name.is_empty());
                address
            }
            None => bare(text),
        };
        if address.name.is_none() {
            address.name = comment(text);
        }
        let is_empty = address.local.is_empty() && address.domain.is_empty() && address.name.is_none();
        (!is_empty).then_some(address)
    }
}

/// An address without brackets. `John Doe john@x` has its name before it, though no grammar says so.
fn bare(text: &[u8]) -> Address {
    let mut address = spec(text);
    let plain = without_comments(text);
    let plain = plain.trim_ascii();
    let Some(at_sign) = memchr::memrchr(b'@', plain) else {
        address.local = phrase(text); // keep the spaces of what is no address
        return address;
    };
    let before = plain[..at_sign].trim_ascii_end();
    if !before.contains(&b'"')
        && let Some(space) = before.iter().rposition(u8::is_ascii_whitespace)
    {
        address.local = before[space + 1..].to_vec();
        address.name = Some(phrase(&before[..space]));
    }
    address
}

/// addr-spec, perhaps with a route before it.
fn spec(text: &[u8]) -> Address {
    let plain = without_comments(text);
    let mut plain = plain.trim_ascii();
    let mut address = Address::default();
    if plain.starts_with(b"@")
        && let Some(colon) = memchr::memchr(b':', plain)
    {
        address.route = Some(squeezed(&plain[..colon]));
        plain = &plain[colon + 1..];
    }
    match last_at_sign(plain) {
        Some(at_sign) => {
            address.local = squeezed(&plain[..at_sign]);
            address.domain = squeezed(&plain[at_sign + 1..]);
        }
        None => address.local = squeezed(plain),
    }
    address
}

/// The last `@` outside quotes.
fn last_at_sign(text: &[u8]) -> Option<usize> {
    let (mut at, mut found) = (0, None);
    while let Some(&byte) = text.get(at) {
        if byte == b'@' {
            found = Some(at);
        }
        at += if byte == b'"' { quoted_bytes(&text[at..]) } else { 1 };
    }
    found
}

/// Without white space outside quotes, and without the quotes.
fn squeezed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'"' {
            let (value, after) = quoted(rest);
            out.extend_from_slice(&value);
            rest = after;
        } else {
            if !byte.is_ascii_whitespace() {
                out.push(byte);
            }
            rest = after;
        }
    }
    out
}

/// Words with single spaces between them; quotes removed, comments dropped.
fn phrase(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' => {
                let (value, after) = quoted(rest);
                out.extend_from_slice(&value);
                after
            }
            b'(' => &rest[comment_bytes(rest)..],
            _ if byte.is_ascii_whitespace() => {
                if out.last().is_some_and(|last| *last != b' ') {
                    out.push(b' ');
                }
                after
            }
            _ => {
                out.push(byte);
                after
            }
        };
    }
    out.truncate(out.trim_ascii_end().len());
    out
}

/// The text of the first comment, which old mail has for a name.
fn comment(text: &[u8]) -> Option<Vec<u8>> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at += quoted_bytes(&text[at..]),
            b'(' => {
                let whole = &text[at..at + comment_bytes(&text[at..])];
                let inner = whole[1..].strip_suffix(b")").unwrap_or(&whole[1..]);
                let name = unescaped(inner.trim_ascii());
                return Some(name).filter(|name| !name.is_empty());
            }
            _ => at += 1,
        }
    }
    None
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.iter().copied();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.extend(if byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    out
}

fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let length = match byte {
            b'"' => quoted_bytes(&text[at..]),
            b'(' => {
                at += comment_bytes(&text[at..]);
                out.push(b' ');
                continue;
            }
            _ => 1,
        };
        out.extend_from_slice(&text[at..at + length]);
        at += length;
    }
    out
}

/// Length of the quoted-string that `text` begins with; never closed, it takes all.
fn quoted_bytes(text: &[u8]) -> usize {
    text.len() - quoted(text).1.len()
}

/// Length of the comment that `text` begins with; comments nest.
fn comment_bytes(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

/// Length of `<…>`; without its end, up to the next comma (a route's commas come before its colon).
fn angle_bytes(text: &[u8]) -> usize {
    let is_route = text[1..].trim_ascii_start().starts_with(b"@");
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'>' => return at + 1,
            b',' | b';' if !is_route => return at,
            b'"' => at += quoted_bytes(&text[at..]),
            _ => at += 1,
        }
    }
    text.len()
}

/// Through the first of `ends`.
fn until(text: &[u8], ends: &[u8]) -> usize {
    match text.iter().position(|byte| ends.contains(byte)) {
        Some(at) if text[at] == b']' => at + 1,
        Some(at) => at,
        None => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name|route|local|domain`, `[group` and `]`.
    fn shown(value: &str) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let entries = Entries::of(value.as_bytes()).map(|entry| match entry {
            Entry::Address(a) => format!(
                "{}|{}|{}|{}",
                a.name.map_or("-".into(), |name| text(&name)),
                a.route.map_or("-".into(), |route| text(&route)),
                text(&a.local),
                text(&a.domain)
            ),
            Entry::GroupStart(name) => format!("[{}", text(&name)),
            Entry::GroupEnd => "]".into(),
        });
        entries.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn addresses_of_the_rfc_are_read() {
        assert_eq!(shown("John Doe <jdoe@machine.example>"), "John Doe|-|jdoe|machine.example");
        assert_eq!(
            shown("\"Joe Q. Public\" <john.q.public@example.com>"),
            "Joe Q. Public|-|john.q.public|example.com"
        );
        assert_eq!(
            shown("Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>"),
            "Mary Smith|-|mary|x.test -|-|jdoe|example.org Who?|-|one|y.test"
        );
        assert_eq!(
            shown("<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <s@e.net>"),
            "-|-|boss|nil.test Giant; \"Big\" Box|-|s|e.net"
        );
        assert_eq!(
            shown("A Group:Ed Jones <c@a.test>,joe@where.test;"),
            "[A Group Ed Jones|-|c|a.test -|-|joe|where.test ]"
        );
        assert_eq!(shown("Undisclosed recipients:;"), "[Undisclosed recipients ]");
        assert_eq!(
            shown("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
            "Pete|-|pete|silly.test"
        );
        assert_eq!(
            shown("Mary <@machine.tld,@b:mary@example.net>, , jdoe@test  . example"),
            "Mary|@machine.tld,@b|mary|example.net -|-|jdoe|test.example"
        );
    }

    #[test]
    fn addresses_of_the_wild_are_read() {
        assert_eq!(shown("jdoe@x.test (John (J) Doe)"), "John (J) Doe|-|jdoe|x.test");
        assert_eq!(shown("a@b; c@d;"), "-|-|a|b -|-|c|d");
        assert_eq!(shown("foo@bar.test <foo@bar.test>"), "foo@bar.test|-|foo|bar.test");
        assert_eq!(shown("John Doe john@x.test"), "John Doe|-|john|x.test");
        assert_eq!(shown("\"john doe\"@x.test"), "-|-|john doe|x.test");
        assert_eq!(shown("root"), "-|-|root|");
        assert_eq!(shown("list: a@b"), "[list -|-|a|b ]");
        assert_eq!(shown("Ana <ana@x, bo@y"), "Ana|-|ana|x -|-|bo|y");
        assert_eq!(shown("u@[IPv6:::1], <>, \"open <a@b>"), "-|-|u|[IPv6:::1] -|-|open <a@b>|");
    }
}
