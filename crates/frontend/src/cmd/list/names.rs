//! The names of an account as a tree: mailboxes, subscriptions, and the levels above them.

use std::collections::BTreeMap;
use std::ops::Bound;

use buzon_model::read::MailboxList;
use buzon_model::row::MailboxRow;
use buzon_types::mailbox_name::SEPARATOR;
use buzon_types::special_use::SpecialUse;

/// One name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Name<'a> {
    /// The mailbox of that name, if there is one.
    pub(crate) mailbox: Option<&'a MailboxRow>,
    pub(crate) subscribed: bool,
    /// Whether a mailbox lies somewhere below.
    pub(crate) is_level: bool,
}

impl Name<'_> {
    pub(crate) fn special_use(&self) -> Option<SpecialUse> {
        self.mailbox.and_then(|row| row.special_use)
    }
}

/// All names, in order.
pub(crate) struct Names<'a> {
    names: BTreeMap<String, Name<'a>>,
}

impl<'a> Names<'a> {
    pub(crate) fn of(list: &'a MailboxList) -> Self {
        let mut names: BTreeMap<String, Name<'a>> = BTreeMap::new();
        for row in &list.mailboxes {
            names.entry(row.name.to_string()).or_default().mailbox = Some(row);
            for level in row.name.ancestors() {
                names.entry(level.to_string()).or_default().is_level = true;
            }
        }
        for name in &list.subscriptions {
            names.entry(name.to_string()).or_default().subscribed = true;
            for level in name.ancestors() {
                names.entry(level.to_string()).or_default();
            }
        }
        Self { names }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Name<'a>)> {
        self.names.iter().map(|(text, name)| (text.as_str(), name))
    }

    /// Everything below a name.
    pub(crate) fn below(&self, text: &str) -> impl Iterator<Item = (&str, &Name<'a>)> {
        let prefix = format!("{text}{SEPARATOR}");
        let range = (Bound::Excluded(prefix.clone()), Bound::Unbounded);
        let following = self.names.range::<String, _>(range);
        following
            .take_while(move |(name, _)| name.starts_with(&prefix))
            .map(|(text, name)| (text.as_str(), name))
    }

    /// Whether a mailbox lies somewhere below.
    pub(crate) fn has_children(&self, text: &str) -> bool {
        self.names.get(text).is_some_and(|name| name.is_level)
    }
}
