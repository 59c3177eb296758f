//! Whatever is sent arrives as it was; what is no value of ours is an error; old log entries go on decoding.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod examples;
mod golden;
mod malformed;
mod round_trip;
mod strategy;
