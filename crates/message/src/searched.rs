//! What SEARCH looks at in a stored summary, read alone: fields that no key asks for are passed over, which for a
//! mailbox of many messages is most of the work.

use bytes::Bytes;
use prost::Message as _;

use crate::cached;
use crate::summary::SummaryError;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Searched {
    stored: Stored,
}

/// Some fields of a stored [`Summary`](crate::summary::Summary), with its tags.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(uint64, tag = "3")]
    header_end: u64,
    #[prost(bytes = "bytes", tag = "7")]
    headers: Bytes,
    #[prost(uint32, tag = "8")]
    names_known: u32,
    #[prost(uint64, tag = "9")]
    names_left_out: u64,
    #[prost(sint64, optional, tag = "10")]
    sent_seconds: Option<i64>,
    #[prost(sint32, tag = "11")]
    sent_zone_minutes: i32,
}

impl Searched {
    /// From a summary as it was stored.
    ///
    /// # Errors
    /// If it is no summary.
    pub fn decode(summary: Bytes) -> Result<Self, SummaryError> {
        Ok(Self { stored: Stored::decode(summary)? })
    }

    /// How long the message's header is, its blank line included.
    pub fn header_end(&self) -> u64 {
        self.stored.header_end
    }

    /// Raw header lines that certainly hold every field of this name: what they lack the message lacks. `None` when only
    /// the header itself can tell.
    pub fn header_lines(&self, name: &[u8]) -> Option<&Bytes> {
        let Stored { names_known, names_left_out, .. } = self.stored;
        cached::is_whole(name, names_known, names_left_out).then_some(&self.stored.headers)
    }

    /// A number for each name whose fields summaries hold, the same for any case; `None` for others, of which
    /// [`Self::header_lines`] tells nothing.
    pub fn field_number(name: &[u8]) -> Option<u32> {
        cached::number(name)
    }

    /// The day of the Date field since 1970-01-01, for SENTBEFORE, SENTON and SENTSINCE, disregarding time and zone as
    /// RFC 9051 §6.4.4 wants; `None` if it is missing or unreadable.
    pub fn sent_day(&self) -> Option<i64> {
        let zone_seconds = i64::from(self.stored.sent_zone_minutes) * 60;
        Some(self.stored.sent_seconds?.saturating_add(zone_seconds).div_euclid(86_400))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;
    use crate::summary::Summary;

    #[test]
    fn it_is_what_the_summary_says() {
        for seed in 0..500 {
            let message = corpus::message(seed);
            let summary = Summary::of(&message);
            let searched = Searched::decode(summary.encode()).unwrap();
            assert_eq!(searched.header_end(), summary.header_end());
            let day = summary.sent_date().map(|date| {
                date.seconds.saturating_add(i64::from(date.zone_minutes) * 60).div_euclid(86_400)
            });
            assert_eq!(searched.sent_day(), day);
            for name in cached::NAMES {
                let fields = searched.header_lines(name.as_bytes());
                let fields = fields.map(|lines| crate::header::select(lines, &[name]));
                assert_eq!(fields, summary.header_fields(&[name]), "{name}");
            }
        }
    }
}
