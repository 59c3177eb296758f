//! What makes a repeated request apply once (DESIGN promise 4).

use std::fmt;

/// One client of the log: a front-end process or a tool's run. Opened and closed through the log.
///
/// The upper half names the owner, the lower half is random. A killed process cannot close its instance; the next one
/// of the same owner does, by opening its own. Owner 0 is nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u128);

impl InstanceId {
    /// An instance of that owner.
    pub const fn owned(owner: u64, random: u64) -> Self {
        Self((owner as u128) << 64 | random as u128)
    }

    /// Whose it is; 0 is nobody's.
    pub const fn owner(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).simple().fmt(f)
    }
}

/// Names one mutation; a repetition carries the same instance and sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    /// Who asks.
    pub instance: InstanceId,
    /// Counts the instance's requests to one group, from 1.
    pub sequence: u64,
    /// The instance has the answers to all its requests below this: their records may go.
    pub acknowledged_below: u64,
}
