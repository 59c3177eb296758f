//! Sessions as clients see them: whole connections over pipes, metadata in memory.

mod backend;
mod client;
mod harness;
mod random;
mod sockets;
mod transcripts;
