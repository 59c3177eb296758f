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

/// The number of a cached name, in any case.
pub(crate) fn number(name: &[u8]) -> Option<u32> {
    let at = NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
    Some(at as u32)
}
