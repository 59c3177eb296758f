//! Transcripts, by the part of the protocol that they are about.

mod append;
mod condstore;
mod cost;
mod fetch;
mod login;
mod mailboxes;
mod news;
mod recent;
mod search;
