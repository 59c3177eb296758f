//! The header fields that clients ask for in lists, kept in the summary as raw lines.
//!
//! What mutt, Thunderbird, Apple Mail, K-9, Roundcube and Outlook put into `HEADER.FIELDS` for a mailbox's list. Whether the
//! cache can answer is certain: each name has a number, and the summary says how many numbers were known and which
//! fields were left out.

use crate::header::{Fields, blank_line};

/// Names in lower case. A name's place is stored, so the list only grows at its end, to 64 at most.
pub(crate) const NAMES: [&str; 50] = [
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "reply-to",
    "sender",
    "content-type",
    "list-id",
    "list-post",
    "list-unsubscribe",
    "x-priority",
    "priority",
    "importance",
    "disposition-notification-to",
    "delivered-to",
    "return-path",
    "newsgroups",
    "x-spam-flag",
    "x-spam-status",
    "mime-version",
    "content-transfer-encoding",
    "autocrypt",
    "content-description",
    "content-disposition",
    "content-language",
    "content-id",
    "lines",
    "list-subscribe",
    "list-unsubscribe-post",
    "x-label",
    "x-original-to",
    "mail-followup-to",
    "mail-reply-to",
    "x-draft-info",
    "x-uniform-type-identifier",
    "x-universally-unique-identifier",
    "resent-from",
    "resent-to",
    "resent-date",
    "followup-to",
    "x-mailer",
    "user-agent",
    "x-k9mail-identity",
    "auto-submitted",
    "x-forwarded-message-id",
];

/// One field's lines; Autocrypt keys, long References and To lists of a hundred still fit.
const FIELD_BYTES_MAX: usize = 4 * 1024;
/// All of them, so that they leave room in the summary's 64 KiB.
pub(crate) const LINES_BYTES_MAX: usize = 10 * 1024;

/// The lines of the cached fields.
pub(crate) struct CachedHeaders {
    /// In the message's order, then its blank line.
    pub lines: Vec<u8>,
    /// Bit `n`: at least one field of name `n` is not there.
    pub left_out: u64,
}

impl CachedHeaders {
    pub(crate) fn of(header: &[u8]) -> Self {
        let blank = blank_line(header);
        let mut cached = Self { lines: Vec::new(), left_out: 0 };
        for field in Fields::of(header) {
            let Some(at) = number(field.name) else { continue };
            let room = LINES_BYTES_MAX - blank.len() - cached.lines.len();
            if field.raw.len() <= FIELD_BYTES_MAX.min(room) {
                cached.lines.extend_from_slice(field.raw);
            } else {
                cached.left_out |= 1 << at;
            }
        }
        cached.lines.extend_from_slice(blank);
        cached
    }
}

/// Bit `n`: some cached name has `n` bytes. Most fields of a hostile header end here.
const NAME_LENGTHS: u64 = {
    let (mut lengths, mut at) = (0, 0);
    while at < NAMES.len() {
        lengths |= 1 << NAMES[at].len();
        at += 1;
    }
    lengths
};

/// The number of a cached name, in any case.
pub(crate) fn number(name: &[u8]) -> Option<u32> {
    if name.len() > 63 || NAME_LENGTHS & (1 << name.len()) == 0 {
        return None;
    }
    let at = NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
    Some(at as u32)
}

/// Whether all fields of a name are among the lines: `known` is how many names were known when they were written.
pub(crate) fn is_whole(name: &[u8], known: u32, left_out: u64) -> bool {
    number(name).is_some_and(|at| at < known && left_out & (1 << at) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::searched::Searched;
    use crate::summary::Summary;

    #[test]
    fn what_was_left_out_or_is_not_cached_is_not_answered() {
        let long = "x".repeat(FIELD_BYTES_MAX);
        let header = format!("Subject: s\r\nReferences: {long}\r\nX-Own: o\r\n\r\n");
        let summary = Summary::of(header.as_bytes());
        assert_eq!(summary.header_fields(&["SUBJECT", "cc"]).unwrap(), b"Subject: s\r\n\r\n");
        assert_eq!(summary.header_fields(&["subject", "references"]), None);
        assert_eq!(summary.header_fields(&["x-own"]), None);
        let searched = Searched::decode(summary.encode()).unwrap();
        assert_eq!(searched.header_lines(b"references"), None);
    }

    #[test]
    fn names_are_distinct_and_fit_the_bits() {
        for (at, name) in NAMES.iter().enumerate() {
            assert_eq!(number(name.to_ascii_uppercase().as_bytes()), Some(at as u32));
        }
        assert!(NAMES.len() <= 64);
    }
}
