//! Values that several responses share: flags and namespaces.

use super::{NameEncoding, encode};
use buzon_types::flag::{Keyword, SystemFlags};
use bytes::{BufMut, BytesMut};

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

impl FlagNames {
    /// `(\Seen $Forwarded)`
    pub(crate) fn write(&self, out: &mut BytesMut) {
        write_flags(out, self.system, self.extra, &self.keywords);
    }
}

/// A flag list.
pub(crate) fn write_flags<'a>(
    out: &mut BytesMut,
    system: SystemFlags,
    extra: ExtraFlag,
    keywords: impl IntoIterator<Item = &'a Keyword>,
) {
    out.put_u8(b'(');
    let start = out.len();
    let mut flag = |name: &str| {
        if out.len() > start {
            out.put_u8(b' ');
        }
        out.put_slice(name.as_bytes());
    };
    system.names().for_each(&mut flag);
    keywords.into_iter().for_each(|keyword| flag(keyword.as_str()));
    match extra {
        ExtraFlag::None => {}
        ExtraFlag::Recent => flag("\\Recent"),
        ExtraFlag::AnyKeyword => flag("\\*"),
    }
    out.put_u8(b')');
}

impl Namespaces {
    /// `(("" "/")) NIL NIL`
    pub(crate) fn write(&self, out: &mut BytesMut, encoding: NameEncoding) {
        for (at, namespaces) in [&self.personal, &self.other_users, &self.shared].into_iter().enumerate() {
            if at > 0 {
                out.put_u8(b' ');
            }
            if namespaces.is_empty() {
                out.put_slice(b"NIL");
                continue;
            }
            out.put_u8(b'(');
            for namespace in namespaces {
                out.put_u8(b'(');
                encode::mailbox(out, &namespace.prefix, encoding);
                out.put_slice(b" \"/\")");
            }
            out.put_u8(b')');
        }
    }
}
