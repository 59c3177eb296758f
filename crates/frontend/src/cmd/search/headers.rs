//! Header keys that the fields of cached summaries decide: they become sets, and what is not found is never read.

use std::borrow::Cow;

use buzon_message::search::Needle;
use buzon_types::id::MailboxKey;
use buzon_types::uid_set::UidSet;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::compile::{All, Key, either, negate};
use crate::ctx::Ctx;
use crate::rescue::CommandError;
use crate::summaries::{HeaderMatches, SummaryCache, Turn};

/// Runs of all sets together that stand beside other keys. Header keys beyond are decided message by message.
const RUNS_MAX: usize = 200_000;
/// Others get their turn after a set of so many runs was worked on.
const RUNS_TOGETHER_MAX: usize = 1_000;

/// The key, with sets for as much as is known of `among`, which are the messages that are still searched; and whether that
/// is anything.
pub(super) async fn decide(ctx: &Ctx, key: Key, among: &UidSet) -> Result<(Key, bool), CommandError> {
    let mut deciding = Deciding {
        summaries: &ctx.services.summaries,
        mailbox: ctx.selected()?.key,
        turn: Turn::default(),
        runs: 0,
        has_decided: false,
    };
    let key = deciding.key(key, among).await;
    Ok((key, deciding.has_decided))
}

struct Deciding<'a> {
    summaries: &'a SummaryCache,
    mailbox: MailboxKey,
    turn: Turn,
    /// In the sets that came of keys so far.
    runs: usize,
    has_decided: bool,
}

impl Deciding<'_> {
    /// Recursion is bounded as in compiling.
    fn key<'k>(&'k mut self, key: Key, among: &'k UidSet) -> BoxFuture<'k, Key> {
        async move {
            match key {
                Key::And(keys) => self.all(keys, among).await,
                Key::Or(both) => {
                    let (one, two) = *both;
                    let (one, two) = (self.key(one, among).await, self.key(two, among).await);
                    others_turn(among).await;
                    either(one, two, among)
                }
                Key::Not(key) => {
                    let key = self.key(*key, among).await;
                    others_turn(among).await;
                    negate(key, among)
                }
                Key::Header(name, needle) => self.header(name, needle, among).await,
                other => other,
            }
        }
        .boxed()
    }

    /// What a key refuses the next ones do not look at.
    async fn all(&mut self, keys: Vec<Key>, among: &UidSet) -> Key {
        let (mut all, mut left) = (All::default(), Cow::Borrowed(among));
        for key in keys {
            let key = self.key(key, &left).await;
            if let Some(uids) = limits(&key) {
                others_turn(uids).await;
                left = Cow::Owned(left.intersection(uids));
            }
            all.add(key);
        }
        all.into_key()
    }

    async fn header(&mut self, name: String, needle: Needle, among: &UidSet) -> Key {
        if self.runs > RUNS_MAX {
            return Key::Header(name, needle);
        }
        let known = self.summaries.search_header(self.mailbox, among, (&name, &needle), &mut self.turn).await;
        let HeaderMatches { found, open } = known;
        if open == *among {
            return Key::Header(name, needle);
        }
        self.has_decided = true;
        self.runs += found.run_count() + open.run_count();
        if open.is_empty() {
            return Key::In(found);
        }
        let may = UidSet::from_runs(found.runs().chain(open.runs()));
        let holds = Key::Or(Box::new((Key::In(found), Key::Header(name, needle))));
        Key::And(vec![Key::In(may), holds])
    }
}

/// The messages outside of which none fulfils a key, if it says so.
fn limits(key: &Key) -> Option<&UidSet> {
    match key {
        Key::In(uids) => Some(uids),
        Key::And(keys) => keys.first().and_then(limits),
        _ => None,
    }
}

async fn others_turn(uids: &UidSet) {
    if uids.run_count() > RUNS_TOGETHER_MAX {
        tokio::task::yield_now().await;
    }
}
