//! Tests of decisions: tables for each command, then random histories against a naive model.

mod accounts;
mod cache;
mod cluster;
mod dedup;
mod digest;
mod directory;
mod events;
mod group;
mod messages;
mod naive;
mod random;
mod relocation;
mod staging;
mod tree;
