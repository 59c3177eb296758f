//! Where a message's bytes lie: a range of an immutable object (DESIGN D7).

use std::fmt;

/// The name of an object in the object store: a version 7 UUID, so names are unique and ascend with time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u128);

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).simple().fmt(f)
    }
}

/// How the stored bytes are made from the message's. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// As they came.
    Plain = 0,
}

impl Encoding {
    /// From its stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        (number == 0).then_some(Self::Plain)
    }
}

/// The key that the stored bytes are encrypted under; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyId(pub u32);

/// A body: `length` stored bytes at `offset` of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyRef {
    /// Which object.
    pub object: ObjectId,
    /// Where in it, in bytes.
    pub offset: u64,
    /// How many stored bytes (for [`Encoding::Plain`] without a key the message's size).
    pub length: u64,
    /// What was done to the bytes.
    pub encoding: Encoding,
    /// The key they are encrypted under.
    pub key: KeyId,
}
