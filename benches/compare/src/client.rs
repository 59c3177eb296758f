//! Clients of the load generator: asynchronous, TCP_NODELAY, a kept buffer for each connection and direction.

pub(crate) mod imap;
pub(crate) mod lmtp;
pub(crate) mod reader;
pub(crate) mod stream;
