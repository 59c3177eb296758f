//! The services over real rows (SQLite) and a log without raft, asked through the client in process.

mod admin;
mod chunks;
mod mail;
mod replica;
mod retries;
mod watch;
mod world;
