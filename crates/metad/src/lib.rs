//! The metadata node's services over its raft groups: propose, read, feed; the directory; administration.
//!
//! ```text
//! gRPC ─▶ pb to values ─▶ groups (raft: propose, read at an index) ─▶ values to pb
//!                          └─ cold rows (summaries, tombstones, lists) from the store
//! ```
//! A handler converts, asks its group and answers. Knows nothing of IMAP or of message bodies.

mod admin;
pub mod auth;
pub mod cluster;
mod directory;
mod gauges;
pub mod groups;
mod janitor;
mod mail;
pub mod node;
mod observe;
mod password;
pub mod server;
