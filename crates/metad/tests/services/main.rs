//! The services over real rows (SQLite) and a log without raft, asked through the client in process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod admin;
mod chunks;
mod cluster;
mod export;
mod gauges;
mod janitor;
mod mail;
mod network;
mod replica;
mod retries;
mod watch;
mod ways;
mod world;
