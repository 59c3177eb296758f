//! LIST and LSUB responses (RFC 9051 §7.3.1, RFC 5258 §4).

use super::{NameEncoding, encode};
use buzon_types::special_use::SpecialUse;
use bytes::{BufMut, BytesMut};

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
    /// `SUBSCRIBED`: the only base option that we know (RFC 9051 §9 `list-select-base-opt`).
    Subscribed,
}

impl ListRow {
    /// `(\HasChildren) "/" "name" ("CHILDINFO" ("SUBSCRIBED"))`
    pub(crate) fn write(&self, out: &mut BytesMut, encoding: NameEncoding) {
        out.put_u8(b'(');
        for (at, attribute) in self.attributes.iter().enumerate() {
            if at > 0 {
                out.put_u8(b' ');
            }
            out.put_slice(attribute.name().as_bytes());
        }
        out.put_slice(b") \"/\" ");
        encode::mailbox(out, &self.mailbox, encoding);
        if self.child_info.is_empty() && self.old_name.is_none() {
            return;
        }
        out.put_slice(b" (");
        if !self.child_info.is_empty() {
            self.write_child_info(out);
        }
        if let Some(old_name) = &self.old_name {
            out.put_slice(if self.child_info.is_empty() { &b"\"OLDNAME\" ("[..] } else { b" \"OLDNAME\" (" });
            encode::mailbox(out, old_name, encoding);
            out.put_u8(b')');
        }
        out.put_u8(b')');
    }

    fn write_child_info(&self, out: &mut BytesMut) {
        out.put_slice(b"\"CHILDINFO\" (");
        for (at, info) in self.child_info.iter().enumerate() {
            if at > 0 {
                out.put_u8(b' ');
            }
            match info {
                ChildInfo::Subscribed => out.put_slice(b"\"SUBSCRIBED\""),
            }
        }
        out.put_u8(b')');
    }
}

impl ListAttribute {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NonExistent => "\\NonExistent",
            Self::NoSelect => "\\Noselect",
            Self::NoInferiors => "\\Noinferiors",
            Self::HasChildren => "\\HasChildren",
            Self::HasNoChildren => "\\HasNoChildren",
            Self::Marked => "\\Marked",
            Self::Unmarked => "\\Unmarked",
            Self::Subscribed => "\\Subscribed",
            Self::Remote => "\\Remote",
            Self::Use(special_use) => special_use.name(),
        }
    }
}
