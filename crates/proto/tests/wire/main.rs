//! Whatever is sent arrives as it was; what is no value of ours is an error; old log entries go on decoding.

mod examples;
mod golden;
mod malformed;
mod round_trip;
mod strategy;
