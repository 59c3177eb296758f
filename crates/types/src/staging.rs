//! The name of a staged copy (`StageCopy`), which says whose it is: so what a killed client left can be found.
//!
//! ```text
//! 48 bits of the instance │ 8 │ 12 more │ 10 │ 62 random bits        a UUID of version 8 (RFC 9562 §5.8)
//! ```

use crate::request::InstanceId;

/// Names a copy among those of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StagingId(pub u128);

/// Where version and variant stand in a UUID.
const MARK_BITS: u128 = 0xf << 76 | 0b11 << 62;
/// Version 8, the variant of RFC 9562.
const MARK: u128 = 0x8 << 76 | 0b10 << 62;

impl StagingId {
    /// A copy that this instance stages: all its steps must be sent under that one.
    pub const fn of(instance: InstanceId, random: u64) -> Self {
        Self(owner_bits(instance) | MARK | (random as u128 & ((1 << 62) - 1)))
    }

    /// Whether it was made by [`StagingId::of`]: any other name may be anybody's.
    pub const fn names_an_owner(self) -> bool {
        self.0 & MARK_BITS == MARK
    }

    /// Whether it may be that instance's: always true for its own, and by a chance of 2⁻⁶⁰ for another's.
    pub const fn may_be_of(self, instance: InstanceId) -> bool {
        let owner = !((1 << 64) - 1) & !MARK_BITS;
        !self.names_an_owner() || self.0 & owner == owner_bits(instance)
    }
}

/// 60 of the random bits of an instance, around the version.
const fn owner_bits(instance: InstanceId) -> u128 {
    let random = instance.0 & ((1 << 64) - 1);
    (random >> 16) << 80 | (random >> 4 & 0xfff) << 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        let ours = InstanceId::owned(7, 0x0123_4567_89ab_cdef);
        let staging = StagingId::of(ours, u64::MAX);
        assert_eq!(format!("{:032x}", staging.0), "0123456789ab8cdebfffffffffffffff");
        assert!(staging.names_an_owner() && staging.may_be_of(ours));
        assert!(!staging.may_be_of(InstanceId::owned(7, 0x0123_4567_89ab_cdff)));
        assert!(!staging.may_be_of(InstanceId::owned(7, 0x1123_4567_89ab_cdef)));
        assert_ne!(staging, StagingId::of(ours, 1));
    }

    #[test]
    fn a_name_from_elsewhere_may_be_anybodys() {
        let random = StagingId(0xf47a_c10b_58cc_4372_a567_0e02_b2c3_d479);
        assert!(!random.names_an_owner() && random.may_be_of(InstanceId(1)));
    }
}
