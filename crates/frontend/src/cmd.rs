//! The commands of IMAP, a file for each: what it means, what it asks of metadata and bodies, what it answers.
//!
//! A command adds its untagged responses to the output and returns the tagged one; what it cannot do it returns as an
//! error, which [`crate::rescue`] puts into words. News of the selected mailbox are told by the dispatcher.

pub(crate) mod append;
pub(crate) mod authenticate;
pub(crate) mod close;
pub(crate) mod copy;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod enable;
pub(crate) mod expunge;
pub(crate) mod fetch;
pub(crate) mod id;
pub(crate) mod idle;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod lsub;
pub(crate) mod namespace;
pub(crate) mod noop;
pub(crate) mod rename;
pub(crate) mod search;
pub(crate) mod select;
pub(crate) mod starttls;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod subscribe;
