//! IMAP and LMTP front-end: TLS, connections, commands, selected mailboxes.
//!
//! ```text
//! listener ─▶ imap ─▶ connection ─▶ dispatch ─▶ cmd/… ─▶ meta_api (metadata), bodies
//!                        │  ▲            └▶ selected: the view, what is told
//!                        └──┴─ feed: what others did
//! ```
//! Keeps nothing that a reconnect would miss (DESIGN D8).

mod auth;
mod capability;
mod claim;
mod cmd;
mod connection;
mod ctx;
mod dispatch;
mod enabled;
mod feed;
mod hearing;
pub mod imap;
pub mod incoming;
pub mod limits;
pub mod listener;
pub mod lmtp;
pub mod meta_api;
mod metrics;
pub mod options;
mod rescue;
mod selected;
mod summaries;
mod sync;
#[cfg(test)]
mod tests;
mod wire;

pub use wire::{Io, Stream};
