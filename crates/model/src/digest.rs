//! The state digest of a group (DESIGN D10): what all its entries changed, in order, in 128 bits. Replicas that stand at
//! the same index have the same digest, or one of them decided something else.
//!
//! ```text
//! digest of entry n = H(digest of entry n-1, n, changes of entry n)
//! ```
//! It begins when the group is raised to [`crate::limits::FEATURE_LEVEL_DIGEST`] and is stored with the rows, so that it goes where they
//! go. It tells mistakes apart, not attacks: SipHash-1-3 with fixed keys.
//!
//! What goes in must be the same in every version that decides at the same feature level. So a change or a row is fed
//! field by field, never by its layout in memory, and **a field that is added later is fed only when it says something**,
//! after a number of its own.

mod change;
mod row;

use std::hash::Hasher as _;

use buzon_types::id::LogIndex;
use bytes::Bytes;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::change::Change;
use crate::reply::Outcome;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateDigest(pub u128);

/// Where a digest begins.
const SEED: u128 = 0x6275_7a6f_6e20_7374_6174_6520_6469_6765;

impl StateDigest {
    /// Of the entry that raised the group to the level that has digests.
    pub fn first(index: LogIndex) -> Self {
        Self(SEED).after(index, &[], &|_| Bytes::new())
    }

    /// Of the next entry. `encode` gives an outcome the bytes that are stored of it.
    #[must_use]
    pub fn after(self, index: LogIndex, changes: &[Change], encode: &dyn Fn(&Outcome) -> Bytes) -> Self {
        let mut feed = Feed(SipHasher13::new());
        feed.wide(self.0).number(index.0);
        for change in changes {
            change::feed(&mut feed, change, encode);
        }
        Self(feed.0.finish128().as_u128())
    }
}

/// What is being digested. Every value has a length of its own, so that no two sequences look alike by where they are cut.
struct Feed(SipHasher13);

impl Feed {
    fn number(&mut self, number: u64) -> &mut Self {
        self.0.write(&number.to_be_bytes());
        self
    }

    fn signed(&mut self, number: i64) -> &mut Self {
        self.number(number.cast_unsigned())
    }

    fn wide(&mut self, number: u128) -> &mut Self {
        self.0.write(&number.to_be_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.write(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn optional(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(1).number(number),
            None => self.number(0),
        }
    }
}
