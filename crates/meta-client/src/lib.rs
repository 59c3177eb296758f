//! Typed calls to the metadata nodes: deadlines, routing to leaders, retries that apply once, change streams.
//!
//! ```text
//! Meta ──▶ router (which node leads the group) ──▶ calls ──▶ transport: a channel, or the services in this process
//!   └──▶ session per group: instance, sequence numbers, what is acknowledged
//! ```
//!
//! Holds no state that a reconnect would miss, and knows nothing of storage, raft or IMAP.

pub mod account;
mod calls;
pub mod chunk;
pub mod error;
pub mod export;
pub mod fetch;
mod follow;
mod homes;
pub mod meta;
mod read;
mod retry;
mod router;
mod session;
pub mod topology;
pub mod transport;
pub mod watch;
