//! Sections: which bytes `BODY[…]<…>` asks for (RFC 9051 §6.4.5).
//!
//! A section resolves against the summary alone, to bytes at hand or to one range of the message; a partial narrows the
//! range before anything is read.

use crate::header;
use crate::part::{Part, PartTree};
use crate::summary::{Summary, SummaryError};
use std::ops::Range;

/// What stands between the brackets of `BODY[…]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// Part numbers, `2.1`; empty for the message itself.
    pub path: Vec<u32>,
    /// What of that part.
    pub kind: SectionKind,
}

/// What of a part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SectionKind {
    /// `BODY[]`, `BODY[2]`: the message, or the part's body.
    #[default]
    Whole,
    /// The header of the message, or of the message that the part holds.
    Header,
    /// Only these fields of that header.
    HeaderFields(Vec<String>),
    /// All but these.
    HeaderFieldsNot(Vec<String>),
    /// The body of the message, or of the message that the part holds.
    Text,
    /// The part's own header.
    Mime,
}

/// How to answer a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionPlan {
    /// These bytes, without reading anything.
    Ready(Vec<u8>),
    /// This range of the message.
    Range(Range<u64>),
    /// Read this range, a header, and pass it through [`FieldFilter::apply`].
    Fields {
        /// The header's place in the message.
        range: Range<u64>,
        /// What to keep of it.
        filter: FieldFilter,
    },
    /// There is no such part: answer NIL.
    Missing,
}

/// Which fields of a header to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldFilter {
    /// Those named.
    Only(Vec<String>),
    /// Those not named.
    Not(Vec<String>),
}

impl FieldFilter {
    /// The fields as they stand, in order, folded lines kept, then the blank line if the header has one.
    pub fn apply(&self, raw_header: &[u8]) -> Vec<u8> {
        match self {
            Self::Only(names) => header::select(raw_header, names),
            Self::Not(names) => header::select_not(raw_header, names),
        }
    }
}

/// `<origin.count>`: a window of what a section gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// The first byte wanted.
    pub origin: u64,
    /// How many at most.
    pub count: u64,
}

impl Partial {
    /// The window of a range of the message; empty when it begins beyond the end.
    pub fn of_range(self, range: &Range<u64>) -> Range<u64> {
        let start = range.start.saturating_add(self.origin).min(range.end);
        start..start.saturating_add(self.count).min(range.end)
    }

    /// The window of bytes at hand.
    pub fn of_bytes(self, bytes: &[u8]) -> &[u8] {
        let range = self.of_range(&(0..bytes.len() as u64));
        &bytes[range.start as usize..range.end as usize]
    }
}

impl Section {
    /// Where the answer comes from.
    ///
    /// # Errors
    /// If the summary's part tree is damaged.
    pub fn plan(&self, summary: &Summary) -> Result<SectionPlan, SummaryError> {
        if self.path.is_empty() {
            return Ok(self.plan_top(summary));
        }
        let tree = summary.parts()?;
        Ok(self.plan_part(&tree).unwrap_or(SectionPlan::Missing))
    }

    /// Without a part number the part tree need not be decoded.
    fn plan_top(&self, summary: &Summary) -> SectionPlan {
        let header = 0..summary.header_end();
        match &self.kind {
            SectionKind::Whole => SectionPlan::Range(0..summary.size()),
            SectionKind::Header => SectionPlan::Range(header),
            SectionKind::Text => SectionPlan::Range(summary.header_end()..summary.size()),
            SectionKind::HeaderFields(names) => match summary.header_fields(names) {
                Some(lines) => SectionPlan::Ready(lines),
                None => SectionPlan::Fields { range: header, filter: FieldFilter::Only(names.clone()) },
            },
            SectionKind::HeaderFieldsNot(names) => {
                SectionPlan::Fields { range: header, filter: FieldFilter::Not(names.clone()) }
            }
            SectionKind::Mime => SectionPlan::Missing, // no grammar rule leads here
        }
    }

    fn plan_part(&self, tree: &PartTree) -> Option<SectionPlan> {
        let part = tree.find(&self.path)?;
        let inner = || tree.message_in(part);
        let fields = |held: &Part, filter| SectionPlan::Fields { range: held.header.clone(), filter };
        Some(match &self.kind {
            SectionKind::Whole => SectionPlan::Range(tree.part(part).body.clone()),
            SectionKind::Mime => SectionPlan::Range(tree.part(part).header.clone()),
            SectionKind::Header => SectionPlan::Range(inner()?.header.clone()),
            SectionKind::Text => SectionPlan::Range(inner()?.body.clone()),
            SectionKind::HeaderFields(names) => fields(inner()?, FieldFilter::Only(names.clone())),
            SectionKind::HeaderFieldsNot(names) => fields(inner()?, FieldFilter::Not(names.clone())),
        })
    }
}

#[cfg(test)]
mod tests;
