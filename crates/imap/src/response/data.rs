//! Values that several responses share: flags and namespaces.

use buzon_types::flag::{Keyword, SystemFlags};

/// Flags as they are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagNames {
    /// Flags every mailbox has.
    pub system: SystemFlags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// A flag beyond these.
    pub extra: ExtraFlag,
}

/// A flag that no message stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExtraFlag {
    /// None.
    #[default]
    None,
    /// `\Recent`, in FETCH for rev1.
    Recent,
    /// `\*`, in PERMANENTFLAGS: new keywords can be made.
    AnyKeyword,
}

/// NAMESPACE (RFC 9051 §6.3.10). An empty list is `NIL`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// Own mailboxes.
    pub personal: Vec<Namespace>,
    /// Other people's.
    pub other_users: Vec<Namespace>,
    /// Shared by all.
    pub shared: Vec<Namespace>,
}

/// One namespace; its separator is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// What its names begin with, separator and all.
    pub prefix: String,
}
