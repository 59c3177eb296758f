//! TLS: certificates that follow their files, and mutual TLS between the nodes of a cluster.
//!
//! ```text
//! PEM files ─▶ Certificate ─▶ listeners for mail clients
//! PEM files ─▶ Mutual ─┬▶ connect: channels to other nodes
//!                      └▶ listen: connections of other nodes, with the role that their certificate gives them
//! ```
//! aws-lc-rs is the only provider of cryptography. Knows nothing of what is said over a connection.

pub mod certificate;
pub mod connect;
mod expiry;
mod files;
pub mod listen;
pub mod mutual;
pub mod peer;
#[cfg(test)]
mod tests;
