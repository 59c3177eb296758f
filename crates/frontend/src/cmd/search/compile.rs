//! Keys made ready: sets resolved against the view, texts decoded, keywords and dates as numbers.

use std::time::SystemTime;

use buzon_imap::command::Numbering;
use buzon_imap::command::search::{DateField, DateTest, SearchDate, SearchKey};
use buzon_message::search::Needle;
use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::time::days_from_civil;
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;

use super::needle;
use crate::rescue::CommandError;
use crate::selected::Selected;

/// What must be known of a message to decide a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Its UID.
    View,
    /// Its index row.
    Row,
    /// Its summary.
    Summary,
    /// Its bytes.
    Body,
}

/// A key.
#[derive(Debug)]
pub(super) enum Key {
    All,
    None,
    And(Vec<Key>),
    Or(Box<(Key, Key)>),
    Not(Box<Key>),
    /// Sequence numbers, UIDs, RECENT.
    In(UidSet),
    Has(SystemFlags),
    /// All of these bits; one.
    Keyword(KeywordBits),
    /// Days since 1970-01-01.
    Internal(DateTest, i64),
    Sent(DateTest, i64),
    /// Seconds since 1970-01-01: INTERNALDATE at or before.
    NotAfter(i64),
    /// INTERNALDATE at or after.
    NotBefore(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(ModSeq),
    Header(String, Needle),
    Body(Needle),
    Text(Needle),
}

impl Key {
    /// The dearest that may be needed.
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::All | Self::None | Self::In(_) => Stage::View,
            Self::And(keys) => keys.iter().map(Self::stage).max().unwrap_or(Stage::View),
            Self::Or(both) => both.0.stage().max(both.1.stage()),
            Self::Not(key) => key.stage(),
            Self::Sent(..) | Self::Header(..) => Stage::Summary,
            Self::Body(_) | Self::Text(_) => Stage::Body,
            _ => Stage::Row,
        }
    }

    /// Messages that can fulfil it at all, as far as sets tell.
    pub(super) fn narrow(&self, among: &UidSet) -> UidSet {
        match self {
            Self::In(uids) => among.intersection(uids),
            Self::None => UidSet::new(),
            Self::And(keys) => keys.iter().fold(among.clone(), |left, key| key.narrow(&left)),
            _ => among.clone(),
        }
    }
}

/// Whether MODSEQ occurs: the answer then tells the greatest one.
pub(super) fn asks_modseq(keys: &[SearchKey]) -> bool {
    keys.iter().any(|key| match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::And(keys) => asks_modseq(keys),
        SearchKey::Not(key) => asks_modseq(std::slice::from_ref(key)),
        SearchKey::Or(both) => {
            asks_modseq(std::slice::from_ref(&both.0)) || asks_modseq(std::slice::from_ref(&both.1))
        }
        _ => false,
    })
}

/// Recursion is bounded by the grammar (`SEARCH_DEPTH_MAX`).
pub(super) fn compile(
    keys: &[SearchKey],
    charset: Option<&str>,
    selected: &Selected,
) -> Result<Key, CommandError> {
    if let Some(charset) = charset {
        needle(Some(charset), b"")?; // an unknown one is refused though no text may come
    }
    let compiler = Compiler { charset, selected };
    compiler.all_of(keys)
}

struct Compiler<'a> {
    charset: Option<&'a str>,
    selected: &'a Selected,
}

impl Compiler<'_> {
    fn all_of(&self, keys: &[SearchKey]) -> Result<Key, CommandError> {
        let keys = keys.iter().map(|key| self.key(key)).collect::<Result<Vec<_>, _>>()?;
        Ok(Key::And(keys))
    }

    fn key(&self, key: &SearchKey) -> Result<Key, CommandError> {
        Ok(match key {
            SearchKey::All => Key::All,
            SearchKey::And(keys) => self.all_of(keys)?,
            SearchKey::Not(key) => Key::Not(Box::new(self.key(key)?)),
            SearchKey::Or(both) => Key::Or(Box::new((self.key(&both.0)?, self.key(&both.1)?))),
            SearchKey::Sequence(set) => Key::In(self.selected.resolve(Numbering::Sequence, set)?),
            SearchKey::Uid(set) => Key::In(self.selected.resolve(Numbering::Uid, set)?),
            SearchKey::Has(flags) => Key::Has(*flags),
            SearchKey::HasNot(flags) => not(Key::Has(*flags)),
            SearchKey::Keyword(keyword) => self.keyword(keyword),
            SearchKey::NotKeyword(keyword) => not(self.keyword(keyword)),
            SearchKey::Recent => Key::In(self.selected.recent_uids()),
            SearchKey::Old => not(Key::In(self.selected.recent_uids())),
            SearchKey::New => {
                Key::And(vec![Key::In(self.selected.recent_uids()), not(Key::Has(SystemFlags::SEEN))])
            }
            SearchKey::Date(DateField::Internal, test, date) => Key::Internal(*test, day(*date)),
            SearchKey::Date(DateField::Sent, test, date) => Key::Sent(*test, day(*date)),
            SearchKey::Older(seconds) => Key::NotAfter(now().saturating_sub(i64::from(*seconds))),
            SearchKey::Younger(seconds) => Key::NotBefore(now().saturating_sub(i64::from(*seconds))),
            SearchKey::Larger(bytes) => Key::Larger(*bytes),
            SearchKey::Smaller(bytes) => Key::Smaller(*bytes),
            SearchKey::Header(name, text) => Key::Header(name.clone(), needle(self.charset, text)?),
            SearchKey::Body(text) => Key::Body(needle(self.charset, text)?),
            SearchKey::Text(text) => Key::Text(needle(self.charset, text)?),
            SearchKey::ModSeq(modseq) => Key::ModSeq(*modseq),
        })
    }

    /// A keyword that no message of the mailbox ever had is on none.
    fn keyword(&self, keyword: &buzon_types::flag::Keyword) -> Key {
        match self.selected.keywords().iter().position(|known| known == keyword) {
            Some(at) => Key::Keyword(KeywordBits::one(at)),
            None => Key::None,
        }
    }
}

fn not(key: Key) -> Key {
    Key::Not(Box::new(key))
}

fn day(date: SearchDate) -> i64 {
    days_from_civil(i32::from(date.year), date.month, date.day)
}

fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64)
}
