//! SEARCH and ESEARCH responses (RFC 9051 §7.3.4, RFC 4731, RFC 7162 §3.1.5 and §3.1.10).

use super::encode;
use crate::command::{Numbering, Tag};
use buzon_types::uid::ModSeq;
use bytes::{BufMut, BytesMut};

/// SEARCH: what rev1 clients without RETURN get. No hits is an empty list, and still to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchNumbers {
    /// Sequence numbers or UIDs.
    pub numbers: Vec<u32>,
    /// The greatest of the hits, where MODSEQ was searched for; not sent without hits.
    pub modseq: Option<ModSeq>,
}

/// ESEARCH. Without hits MIN, MAX and ALL are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Esearch {
    /// The command it answers.
    pub tag: Tag,
    /// What the numbers are.
    pub numbering: Numbering,
    /// MIN
    pub min: Option<u32>,
    /// MAX
    pub max: Option<u32>,
    /// ALL as ascending runs; empty is left out.
    pub all: Vec<(u32, u32)>,
    /// COUNT
    pub count: Option<u32>,
    /// MODSEQ, where MODSEQ was searched for.
    pub modseq: Option<ModSeq>,
}

impl SearchNumbers {
    /// ` 2 84 882 (MODSEQ 917)`
    pub(crate) fn write(&self, out: &mut BytesMut) {
        for &value in &self.numbers {
            out.put_u8(b' ');
            encode::number(out, value.into());
        }
        if let (Some(modseq), false) = (self.modseq, self.numbers.is_empty()) {
            out.put_slice(b" (MODSEQ ");
            encode::number(out, modseq.get());
            out.put_u8(b')');
        }
    }
}

impl Esearch {
    /// ` (TAG "a1") UID MIN 2 COUNT 3 ALL 2,10:11`
    pub(crate) fn write(&self, out: &mut BytesMut) {
        out.put_slice(b" (TAG ");
        encode::string(out, self.tag.as_str().as_bytes());
        out.put_slice(if self.numbering == Numbering::Uid { &b") UID"[..] } else { b")" });
        let mut field = |name: &[u8], value: Option<u64>| {
            if let Some(value) = value {
                out.put_slice(name);
                encode::number(out, value);
            }
        };
        field(b" MIN ", self.min.map(u64::from));
        field(b" MAX ", self.max.map(u64::from));
        field(b" COUNT ", self.count.map(u64::from));
        field(b" MODSEQ ", self.modseq.map(ModSeq::get));
        if !self.all.is_empty() {
            out.put_slice(b" ALL ");
            encode::runs(out, self.all.iter().copied());
        }
    }
}
