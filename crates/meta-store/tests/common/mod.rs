//! Shared by the suites: a naive mirror of the rows, random changes, and a codec for outcomes.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "each suite uses its part")]

pub mod check;
pub mod generate;
pub mod mirror;

use buzon_meta_store::store::OutcomeCodec;
use buzon_model::reply::{Outcome, Rejection, Reply};

/// Knows the outcomes that [`generate`] makes.
pub struct Codec;

impl OutcomeCodec for Codec {
    fn encode(&self, outcome: &Outcome) -> Vec<u8> {
        match outcome {
            Ok(Reply::Staged { messages }) => messages.to_be_bytes().to_vec(),
            Ok(_) => vec![0],
            Err(_) => vec![1],
        }
    }

    fn decode(&self, bytes: &[u8]) -> Option<Outcome> {
        match bytes {
            [0] => Some(Ok(Reply::Done)),
            [1] => Some(Err(Rejection::NoSuchMailbox)),
            bytes => {
                let messages = u32::from_be_bytes(bytes.try_into().ok()?);
                Some(Ok(Reply::Staged { messages }))
            }
        }
    }
}

/// A small generator of random numbers (splitmix64): the same on every machine for a seed.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.below(all.len().max(1) as u64) as usize;
        all.get(at)
    }
}

/// A seed from `BUZON_TEST_SEED`, or a fixed one: print it with every failure.
pub fn seed() -> u64 {
    std::env::var("BUZON_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_260)
}

/// Whether the long runs are wanted.
pub fn long() -> bool {
    std::env::var("BUZON_TEST_LONG").is_ok_and(|value| value == "1")
}
