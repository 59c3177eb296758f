//! LIST and LSUB responses (RFC 9051 §7.3.1, RFC 5258 §4).

use buzon_types::special_use::SpecialUse;

/// A line of LIST or LSUB.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListRow {
    /// The name; empty in the answer to `LIST "" ""`.
    pub mailbox: String,
    /// In this order.
    pub attributes: Vec<ListAttribute>,
    /// `CHILDINFO ("SUBSCRIBED" …)`: what some name below fulfils; empty for none.
    pub child_info: Vec<ChildInfo>,
    /// `OLDNAME`: what it was called before.
    pub old_name: Option<String>,
}

/// An attribute of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListAttribute {
    /// `\NonExistent`; implies `\Noselect`.
    NonExistent,
    /// `\Noselect`
    NoSelect,
    /// `\Noinferiors`
    NoInferiors,
    /// `\HasChildren`
    HasChildren,
    /// `\HasNoChildren`
    HasNoChildren,
    /// `\Marked`
    Marked,
    /// `\Unmarked`
    Unmarked,
    /// `\Subscribed`
    Subscribed,
    /// `\Remote`
    Remote,
    /// `\Sent` and such.
    Use(SpecialUse),
}

/// A selection option that a name below fulfils.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChildInfo {
    /// `SUBSCRIBED`
    Subscribed,
    /// `SPECIAL-USE`
    SpecialUse,
}
