//! What the rest of the program may rely on, shown on a folder and on a real S3 server in this process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claims;
mod faults;
mod growing;
mod packing;
mod requests;
mod support;
