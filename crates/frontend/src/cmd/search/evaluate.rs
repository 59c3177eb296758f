//! Whether a message fulfils a key, by what is known of it so far: yes, no, or not yet.

use buzon_imap::command::search::DateTest;
use buzon_message::search::Needle;
use buzon_message::searched::Searched;
use buzon_message::summary::Summary;
use buzon_model::row::MessageRow;
use buzon_types::uid::Uid;
use tokio::time::Instant;

use super::compile::Key;

/// What is known of a message.
pub(super) struct Known<'a> {
    uid: Uid,
    row: Option<&'a MessageRow>,
    summary: Option<&'a Searched>,
    header: Option<&'a [u8]>,
    /// All of it, and where its parts are.
    message: Option<(&'a [u8], &'a Summary)>,
    /// What takes long is not begun after this: nobody waits for it any more.
    until: Option<Instant>,
}

impl<'a> Known<'a> {
    pub(super) fn row(row: &'a MessageRow) -> Self {
        Self { uid: row.uid, row: Some(row), summary: None, header: None, message: None, until: None }
    }

    pub(super) fn summary(row: &'a MessageRow, summary: &'a Searched) -> Self {
        Self { summary: Some(summary), ..Self::row(row) }
    }

    /// The message's first bytes, its header at least.
    pub(super) fn bytes(row: &'a MessageRow, summary: &'a Searched, bytes: &'a [u8], until: Instant) -> Self {
        let header = &bytes[..bytes.len().min(summary.header_end() as usize)];
        Self { header: Some(header), until: Some(until), ..Self::summary(row, summary) }
    }

    /// These bytes are all of it.
    pub(super) fn whole(self, bytes: &'a [u8], parts: &'a Summary) -> Self {
        Self { message: Some((bytes, parts)), ..self }
    }

    fn has_time(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// Whether reading the header may decide more.
pub(super) fn wants_header(key: &Key, known: &Known<'_>) -> bool {
    match key {
        Key::And(keys) => keys.iter().any(|key| wants_header(key, known)),
        Key::Or(both) => wants_header(&both.0, known) || wants_header(&both.1, known),
        Key::Not(key) => wants_header(key, known),
        Key::Header(..) => evaluate(key, known).is_none(),
        _ => false,
    }
}

/// `None`: more must be known.
pub(super) fn evaluate(key: &Key, known: &Known<'_>) -> Option<bool> {
    let row = known.row;
    match key {
        Key::All => Some(true),
        Key::And(keys) => all(keys.iter().map(|key| evaluate(key, known))),
        Key::Or(both) => {
            let neither = [&both.0, &both.1].into_iter().map(|key| evaluate(key, known).map(|holds| !holds));
            all(neither).map(|neither| !neither)
        }
        Key::Not(key) => evaluate(key, known).map(|holds| !holds),
        Key::In(uids) => Some(uids.contains(known.uid)),
        Key::Has(flags) => row.map(|row| row.flags.contains(*flags)),
        Key::Keyword(bits) => row.map(|row| row.keywords.0 & bits.0 == bits.0),
        Key::Internal(test, day) => row.map(|row| compare(*test, internal_day(row), *day)),
        Key::Sent(test, day) => {
            let sent = known.summary.map(Searched::sent_day)?;
            Some(sent.is_some_and(|sent| compare(*test, sent, *day)))
        }
        Key::NotAfter(seconds) => row.map(|row| row.internal_date.seconds <= *seconds),
        Key::NotBefore(seconds) => row.map(|row| row.internal_date.seconds >= *seconds),
        Key::Larger(bytes) => row.map(|row| row.size > *bytes),
        Key::Smaller(bytes) => row.map(|row| row.size < *bytes),
        Key::ModSeq(modseq) => row.map(|row| row.modseq >= *modseq),
        Key::Header(name, needle) => header(name, needle, known),
        Key::Body(needle) => text(known, |body, summary| needle.matches_body(body, summary)),
        Key::Text(needle) => text(known, |body, summary| needle.matches_text(body, summary)),
    }
}

/// One "no" decides, whatever is not known yet.
fn all(mut holds: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut open = false;
    let refused = holds.any(|holds| {
        open |= holds.is_none();
        holds == Some(false)
    });
    if refused { Some(false) } else { (!open).then_some(true) }
}

fn compare(test: DateTest, day: i64, wanted: i64) -> bool {
    match test {
        DateTest::Before => day < wanted,
        DateTest::On => day == wanted,
        DateTest::Since => day >= wanted,
    }
}

/// In the zone that the date was given in: time and zone are disregarded (RFC 9051 §6.4.4).
fn internal_day(row: &MessageRow) -> i64 {
    let date = row.internal_date;
    date.seconds.saturating_add(i64::from(date.zone_minutes) * 60).div_euclid(86_400)
}

fn header(name: &str, needle: &Needle, known: &Known<'_>) -> Option<bool> {
    let summary = known.summary?;
    let cached = needle.matches_cached_header(summary, name.as_bytes());
    cached.or_else(|| {
        let header = known.header.filter(|_| known.has_time())?;
        Some(needle.matches_header(header, name.as_bytes()))
    })
}

/// A summary whose part tree is damaged was reported when it was read; nothing is found in it.
fn text(
    known: &Known<'_>,
    matches: impl Fn(&[u8], &Summary) -> Result<bool, buzon_message::SummaryError>,
) -> Option<bool> {
    let (bytes, parts) = known.message.filter(|_| known.has_time())?;
    Some(matches(bytes, parts).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_no_decides_whatever_is_open() {
        assert_eq!(all([None, Some(false)].into_iter()), Some(false));
        assert_eq!(all([Some(true), None].into_iter()), None);
        assert_eq!(all([Some(true), Some(true)].into_iter()), Some(true));
    }
}
