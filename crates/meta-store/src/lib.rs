//! Rows of the state machine in SQL: SQLite in one process, Postgres on a metadata node (DESIGN D2). Knows rows
//! and changes; nothing of raft, gRPC or IMAP.
//!
//! ```text
//! Changes ─▶ plan: coalesced, in steps ─▶ engine: one transaction ─▶ sqlite | postgres
//! rows    ◀─ codec: cells to values    ◀─ engine: reads            ◀─ (only these two name their libraries)
//! ```
//!
//! A group's rows carry a *part*: a number local to this database. A snapshot is staged under a new part and the
//! group flips to it in one transaction, so that other groups and readers never see half of one.
//!
//! Both databases share the SQL text (`queries/`), the order of columns (`table`) and all of `engine`; they differ
//! in column types and storage options (`migrations/`), in how a batch of rows is handed over (arrays in Postgres,
//! `VALUES` in SQLite), and in how one learns what is on the disk. Unsigned 64-bit numbers are stored as signed ones
//! of the same bits, 128-bit ids as 16 bytes, big end first.

pub mod cell;
mod codec;
pub mod database;
mod digest;
pub mod engine;
pub mod error;
mod export;
mod migrate;
mod page;
mod plan;
pub mod postgres;
mod read;
mod remove;
mod rows;
mod scan;
mod snapshot;
mod span;
pub mod sqlite;
pub mod statement;
pub mod store;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod tracking;
mod write;
