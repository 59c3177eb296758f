//! ENVELOPE as text (RFC 9051 §7.5.2), rendered once when the message arrives.
//!
//! Values are raw, unfolded, encoded words left encoded. The whole is bounded: an address list that does not fit is
//! told up to its last whole address that does, since a summary must stay small whoever writes to ten thousand.

use crate::address::{Address, Entries, Entry};
use crate::header::{Fields, unfold};
use crate::render::{nstring, nstring_whole, string};

/// How long an envelope may get. Some slack for punctuation and escapes comes on top.
pub(crate) struct Limits {
    bytes: usize,
}

/// Of the message itself: a subject and about a hundred recipients.
pub(crate) const TOP: Limits = Limits { bytes: 10 * 1024 };
/// Of a message within it.
pub(crate) const NESTED: Limits = Limits { bytes: 2 * 1024 };
/// Of a message within one that has very many parts.
pub(crate) const BRIEF: Limits = Limits { bytes: 320 };

/// Raw values are read up to here.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Values of the fields in play; those of addresses may come several times, and then are one list.
#[derive(Default)]
struct Values {
    date: Option<Vec<u8>>,
    subject: Option<Vec<u8>>,
    in_reply_to: Option<Vec<u8>>,
    message_id: Option<Vec<u8>>,
    /// From, Sender, Reply-To, To, Cc, Bcc.
    addresses: [Vec<u8>; 6],
}

/// `in-reply-to`, the longest name of them.
const NAME_BYTES_MAX: usize = 11;
const ADDRESS_FIELDS: [&[u8]; 6] = [b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"];

/// The envelope of a raw header, with its parentheses.
pub(crate) fn render(raw_header: &[u8], limits: &Limits) -> Vec<u8> {
    let values = Values::of(raw_header);
    let share = limits.bytes / 16;
    let mut lists: [Vec<u8>; 6] = Default::default();
    for (at, sixteenths) in [(0, 2), (1, 1), (2, 2), (4, 2), (5, 1), (3, 3)] {
        lists[at] = list(&values.addresses[at], share * sixteenths);
    }
    for at in [1, 2] {
        if lists[at].is_empty() {
            lists[at] = lists[0].clone(); // Sender and Reply-To default to From
        }
    }
    let mut out = vec![b'('];
    nstring(&mut out, values.date.as_deref(), share.max(40));
    out.push(b' ');
    nstring(&mut out, values.subject.as_deref(), share * 2);
    for list in &lists {
        out.push(b' ');
        out.extend_from_slice(if list.is_empty() { b"NIL" } else { list });
    }
    out.push(b' ');
    nstring_whole(&mut out, values.in_reply_to.as_deref(), share);
    out.push(b' ');
    nstring_whole(&mut out, values.message_id.as_deref(), share);
    out.push(b')');
    out
}

impl Values {
    fn of(raw_header: &[u8]) -> Self {
        let mut values = Self::default();
        for field in Fields::of(raw_header).filter(|field| field.name.len() <= NAME_BYTES_MAX) {
            let value = || unfold(&field.value[..field.value.len().min(VALUE_BYTES_MAX)]).into_owned();
            let only = match field.name.to_ascii_lowercase().as_slice() {
                b"date" => &mut values.date,
                b"subject" => &mut values.subject,
                b"in-reply-to" => &mut values.in_reply_to,
                b"message-id" => &mut values.message_id,
                name => {
                    if let Some(at) = ADDRESS_FIELDS.iter().position(|known| *known == name) {
                        append_list(&mut values.addresses[at], value());
                    }
                    continue;
                }
            };
            if only.is_none() {
                *only = Some(value());
            }
        }
        values
    }
}

fn append_list(list: &mut Vec<u8>, more: Vec<u8>) {
    if list.is_empty() {
        *list = more;
    } else if list.len() < VALUE_BYTES_MAX {
        list.extend_from_slice(b", ");
        list.extend(more);
    }
}

/// env-to = "(" 1*address ")" / nil; empty for nil.
fn list(value: &[u8], bytes_max: usize) -> Vec<u8> {
    let mut out = vec![b'('];
    let mut in_group = false;
    for entry in Entries::of(value) {
        let (before, was_in_group) = (out.len(), in_group);
        match &entry {
            Entry::Address(address) => mailbox(&mut out, address),
            Entry::GroupStart(name) => group(&mut out, Some(name)),
            Entry::GroupEnd => group(&mut out, None),
        }
        match entry {
            Entry::GroupStart(_) => in_group = true,
            Entry::GroupEnd => in_group = false,
            Entry::Address(_) => {}
        }
        if out.len() > bytes_max && (in_group || !was_in_group) {
            out.truncate(before);
            in_group = was_in_group;
            break;
        }
    }
    if in_group {
        group(&mut out, None);
    }
    if out.len() == 1 {
        return Vec::new();
    }
    out.push(b')');
    out
}

/// Longest name, route, local part or domain in bytes; RFC 5321 §4.5.3.1 has 255 for the longest of them.
const FIELD_BYTES_MAX: usize = 255;

/// address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"
fn mailbox(out: &mut Vec<u8>, address: &Address) {
    out.push(b'(');
    nstring(out, address.name.as_deref(), FIELD_BYTES_MAX);
    out.push(b' ');
    nstring(out, address.route.as_deref(), FIELD_BYTES_MAX);
    out.push(b' ');
    string(out, &address.local, FIELD_BYTES_MAX);
    out.push(b' ');
    string(out, &address.domain, FIELD_BYTES_MAX); // empty, not NIL, which would make it a group
    out.push(b')');
}

/// A group's beginning has its name for a mailbox and no host, its end has neither.
fn group(out: &mut Vec<u8>, name: Option<&[u8]>) {
    out.extend_from_slice(b"(NIL NIL ");
    nstring(out, name, FIELD_BYTES_MAX);
    out.extend_from_slice(b" NIL)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_of_the_rfc_comes_out() {
        // RFC 9051 §8, with Sender and Reply-To from From.
        let header = b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
            From: Terry Gray <gray@cac.washington.edu>\r\n\
            Subject: IMAP4rev2 WG mtg summary and minutes\r\n\
            To: imap@cac.washington.edu\r\n\
            cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
            Message-Id: <B27397-0100000@cac.washington.ed>\r\n\r\n";
        let gray = r#"(("Terry Gray" NIL "gray" "cac.washington.edu"))"#;
        let to = r#"((NIL NIL "imap" "cac.washington.edu"))"#;
        let cc = r#"((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU"))"#;
        let expected = format!(
            r#"("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes" {gray} {gray} {gray} {to} {cc} NIL NIL "<B27397-0100000@cac.washington.ed>")"#
        );
        assert_eq!(String::from_utf8(render(header, &TOP)).unwrap(), expected);
    }

    #[test]
    fn folds_groups_eight_bits_and_emptiness_are_rendered() {
        let header =
            "Subject:\r\n =?utf-8?q?a?=\r\n\tb\r\nTo: g: a@b;\r\nFrom: José <j@x>\r\nIn-Reply-To:\r\n\r\n";
        let jose = "(({5}\r\nJosé NIL \"j\" \"x\"))";
        let group = r#"((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))"#;
        assert_eq!(
            String::from_utf8(render(header.as_bytes(), &TOP)).unwrap(),
            format!("(NIL \"=?utf-8?q?a?=\tb\" {jose} {jose} {jose} {group} NIL NIL \"\" NIL)")
        );
        assert_eq!(render(b"", &TOP), b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
    }

    #[test]
    fn a_list_that_is_too_long_ends_with_a_whole_address_and_a_closed_group() {
        let to = "Name Of Someone <someone@example.com>, ".repeat(5000);
        let header = format!("To: team: {to};\r\nCc: {to}\r\nFrom: {to}\r\n\r\n");
        let rendered = render(header.as_bytes(), &TOP);
        assert!(rendered.len() < TOP.bytes + 200, "{}", rendered.len());
        let text = String::from_utf8(rendered).unwrap();
        assert!(text.contains("(\"Name Of Someone\" NIL \"someone\" \"example.com\")(NIL NIL NIL NIL))"));
    }
}
