//! Rows of the state machine in SQL: SQLite in one process, Postgres on a metadata node (DESIGN D2). Knows rows
//! and changes; nothing of raft, gRPC or IMAP.
//!
//! A group's rows carry a *part*: a number local to this database. A snapshot is staged under a new part and the
//! group flips to it in one transaction, so that other groups and readers never see half of one.

pub mod error;
pub mod store;
