//! UID, UIDVALIDITY, modseq: the numbers clients trust (RFC 9051 §2.3.1, RFC 7162 §3.1).

use std::fmt;
use std::num::NonZeroU32;

macro_rules! nonzero {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// The smallest.
            pub const MIN: Self = Self(NonZeroU32::MIN);
            /// The largest.
            pub const MAX: Self = Self(NonZeroU32::MAX);

            /// `None` for zero, which the protocol does not know.
            pub const fn new(value: u32) -> Option<Self> {
                match NonZeroU32::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The number itself.
            pub const fn get(self) -> u32 {
                self.0.get()
            }

            /// The one after it; `None` once all are used.
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

nonzero! {
    /// A message's number for ever, strictly ascending within a mailbox's UIDVALIDITY.
    Uid
}
nonzero! {
    /// Says whether UIDs known from before still mean the same messages.
    UidValidity
}
nonzero! {
    /// A message's place in one session's view, from 1. Never to be mixed up with a [`Uid`].
    SequenceNumber
}

/// A modification sequence: one counter per account, of at most 63 bits (RFC 7162 §7). 0 is "before any change".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ModSeq(u64);

impl ModSeq {
    /// Before any change.
    pub const ZERO: Self = Self(0);
    /// The largest that the protocol can carry.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// `None` above 63 bits.
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    ///
    /// # Panics
    /// After 2^63 changes of one account, which takes longer than any disk lasts.
    #[must_use]
    pub const fn next(self) -> Self {
        assert!(self.0 < Self::MAX.0, "modseq exhausted");
        Self(self.0 + 1)
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
