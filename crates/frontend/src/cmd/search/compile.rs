//! Keys made ready: sets resolved against the view, texts decoded, keywords and dates as numbers.
//!
//! What the view alone decides is worked out here, with sets instead of messages: `NOT 1 NOT 2 …` over a mailbox of
//! 100,000 becomes one set, and what is left of the tree holds none but those that stand beside other keys.

use std::time::SystemTime;

use buzon_imap::command::Numbering;
use buzon_imap::command::search::{DateField, DateTest, SearchDate, SearchKey};
use buzon_imap::response::code::Code;
use buzon_message::search::Needle;
use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::time::days_from_civil;
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::needle;
use crate::rescue::CommandError;
use crate::selected::Selected;

#[cfg(test)]
mod tests;

/// All sets of a search together, as runs of eight bytes. Even a hundred lists of every second of 10,000 messages have
/// less; a client can repeat such a list four thousand times.
const RUNS_MAX: usize = 1_000_000;
/// Others get their turn after a set of so many runs was worked on.
const RUNS_TOGETHER_MAX: usize = 1_000;

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
    And(Vec<Key>),
    Or(Box<(Key, Key)>),
    Not(Box<Key>),
    /// Sequence numbers, UIDs, RECENT, and what these come to together.
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
            Self::All | Self::In(_) => Stage::View,
            Self::And(keys) => keys.iter().map(Self::stage).max().unwrap_or(Stage::View),
            Self::Or(both) => both.0.stage().max(both.1.stage()),
            Self::Not(key) => key.stage(),
            Self::Sent(..) | Self::Header(..) => Stage::Summary,
            Self::Body(_) | Self::Text(_) => Stage::Body,
            _ => Stage::Row,
        }
    }

    /// Whether going through index rows before what is dearer may decide something. Sets that all messages must be in
    /// do not count: by these the search was narrowed already.
    pub(super) fn asks_rows(&self) -> bool {
        match self {
            Self::In(_) => false,
            Self::And(keys) => keys.iter().any(Self::asks_rows),
            key => key.has_row_key(),
        }
    }

    /// Whether any key in it is decided by rows, or by UIDs.
    fn has_row_key(&self) -> bool {
        match self {
            Self::And(keys) => keys.iter().any(Self::has_row_key),
            Self::Or(both) => both.0.has_row_key() || both.1.has_row_key(),
            Self::Not(key) => key.has_row_key(),
            key => key.stage() <= Stage::Row,
        }
    }

    /// How many keys it is made of that look at a message.
    pub(super) fn leaves(&self) -> usize {
        match self {
            Self::And(keys) => keys.iter().map(Self::leaves).sum(),
            Self::Or(both) => both.0.leaves() + both.1.leaves(),
            Self::Not(key) => key.leaves(),
            Self::In(_) => 0,
            _ => 1,
        }
    }

    /// Messages that can fulfil it at all, as far as sets tell.
    pub(super) fn narrow(&self, among: &UidSet) -> UidSet {
        match self {
            Self::In(uids) => among.intersection(uids),
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
///
/// # Errors
/// If a number is of no message, a charset is not known, or there are too many sets.
pub(super) async fn compile(
    keys: &[SearchKey],
    charset: Option<&str>,
    selected: &Selected,
) -> Result<Key, CommandError> {
    if let Some(charset) = charset {
        needle(Some(charset), b"")?; // an unknown one is refused though no text may come
    }
    let mut compiler = Compiler { charset, selected, present: selected.present(), kept_runs: 0 };
    compiler.all_of(keys).await
}

/// One of two keys, as a set of those that are searched if it comes to one.
pub(super) fn either(one: Key, two: Key, present: &UidSet) -> Key {
    match (one, two) {
        (Key::All, _) | (_, Key::All) => Key::All,
        (Key::In(one), Key::In(two)) => {
            let neither = present.difference(&one).difference(&two);
            Key::In(present.difference(&neither))
        }
        (one, two) => Key::Or(Box::new((one, two))),
    }
}

/// What does not fulfil a key, as a set of those that are searched if it comes to one.
pub(super) fn negate(key: Key, present: &UidSet) -> Key {
    match key {
        Key::All => Key::In(UidSet::new()),
        Key::In(uids) => Key::In(present.difference(&uids)),
        key => not(key),
    }
}

/// Keys that must all be fulfilled.
#[derive(Default)]
pub(super) struct All {
    among: Option<UidSet>,
    others: Vec<Key>,
}

impl All {
    pub(super) fn add(&mut self, key: Key) {
        match key {
            Key::All => {}
            Key::In(uids) => {
                self.among = Some(match self.among.take() {
                    Some(among) => among.intersection(&uids),
                    None => uids,
                });
            }
            other => self.others.push(other),
        }
    }

    pub(super) fn into_key(self) -> Key {
        let Self { among, mut others } = self;
        match among {
            None if others.is_empty() => Key::All,
            None => Key::And(others),
            Some(among) if others.is_empty() => Key::In(among),
            Some(among) => {
                others.insert(0, Key::In(among));
                Key::And(others)
            }
        }
    }
}

struct Compiler<'a> {
    charset: Option<&'a str>,
    selected: &'a Selected,
    /// The messages that are searched: a set stands for those of them that it holds.
    present: UidSet,
    /// In the sets that stay.
    kept_runs: usize,
}

impl Compiler<'_> {
    async fn all_of(&mut self, keys: &[SearchKey]) -> Result<Key, CommandError> {
        let mut all = All::default();
        for key in keys {
            all.add(self.key(key).await?);
        }
        self.keep(all.into_key())
    }

    /// Counts the sets that stand beside other keys.
    fn keep(&mut self, key: Key) -> Result<Key, CommandError> {
        let runs = |key: &Key| if let Key::In(uids) = key { uids.run_count() } else { 0 };
        self.kept_runs += match &key {
            Key::And(keys) => keys.iter().map(runs).sum(),
            Key::Or(both) => runs(&both.0) + runs(&both.1),
            _ => 0,
        };
        if self.kept_runs > RUNS_MAX {
            return Err(CommandError::no(Code::Limit, "too many sets in one search"));
        }
        Ok(key)
    }

    async fn set(&mut self, uids: UidSet) -> Key {
        let uids = self.present.intersection(&uids);
        if self.present.run_count() + uids.run_count() > RUNS_TOGETHER_MAX {
            tokio::task::yield_now().await;
        }
        Key::In(uids)
    }

    fn key<'k>(&'k mut self, key: &'k SearchKey) -> BoxFuture<'k, Result<Key, CommandError>> {
        self.compiled(key).boxed()
    }

    async fn compiled(&mut self, key: &SearchKey) -> Result<Key, CommandError> {
        Ok(match key {
            SearchKey::All => Key::All,
            SearchKey::And(keys) => self.all_of(keys).await?,
            SearchKey::Not(key) => {
                let key = self.key(key).await?;
                negate(key, &self.present)
            }
            SearchKey::Or(both) => {
                let (one, two) = (self.key(&both.0).await?, self.key(&both.1).await?);
                self.keep(either(one, two, &self.present))?
            }
            SearchKey::Sequence(set) => self.set(self.selected.resolve(Numbering::Sequence, set)?).await,
            SearchKey::Uid(set) => self.set(self.selected.resolve(Numbering::Uid, set)?).await,
            SearchKey::Recent => self.set(self.selected.recent_uids()).await,
            SearchKey::Old => {
                let recent = self.set(self.selected.recent_uids()).await;
                negate(recent, &self.present)
            }
            SearchKey::New => {
                let recent = self.set(self.selected.recent_uids()).await;
                self.keep(Key::And(vec![recent, not(Key::Has(SystemFlags::SEEN))]))?
            }
            other => self.of_message(other)?,
        })
    }

    /// Keys that the view does not decide.
    fn of_message(&self, key: &SearchKey) -> Result<Key, CommandError> {
        Ok(match key {
            SearchKey::Has(flags) => Key::Has(*flags),
            SearchKey::HasNot(flags) => not(Key::Has(*flags)),
            SearchKey::Keyword(keyword) => self.keyword(keyword),
            SearchKey::NotKeyword(keyword) => negate(self.keyword(keyword), &self.present),
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
            SearchKey::All
            | SearchKey::And(_)
            | SearchKey::Not(_)
            | SearchKey::Or(_)
            | SearchKey::Sequence(_)
            | SearchKey::Uid(_)
            | SearchKey::Recent
            | SearchKey::Old
            | SearchKey::New => return Err(CommandError::State),
        })
    }

    /// A keyword that no message of the mailbox ever had is on none.
    fn keyword(&self, keyword: &buzon_types::flag::Keyword) -> Key {
        match self.selected.keywords().iter().position(|known| known == keyword) {
            Some(at) => Key::Keyword(KeywordBits::one(at)),
            None => Key::In(UidSet::new()),
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
