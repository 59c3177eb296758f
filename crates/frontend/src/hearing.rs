//! What the change feed tells a connection, heard all the time: while it waits, while a command runs, and while a slow
//! client takes its output. A session whose password or account changed ends within five seconds (DESIGN D12).
//!
//! ```text
//! feed ─▶ credential: newer than ours? ─▶ over
//!      ├▶ gap ─▶ noted, and the credential is read on the side ─▶ over, or nothing
//!      └▶ all else ─▶ noted
//! ```

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::error::MetaError;
use buzon_model::read::{EventKind, ReadAt};
use buzon_model::row::AccountState;
use buzon_types::id::{CredentialVersion, LogIndex};
use futures::future::BoxFuture;

use crate::ctx::Account;
use crate::feed::Feed;
use crate::meta_api::{MetaApi, Watching};

/// A credential that could not be read is tried again after this.
const RECHECK_AFTER: Duration = Duration::from_secs(2);
/// Why a session ends.
const CHANGED: &str = "password or account changed, please log in again";

/// The session is over; say this first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over(pub(crate) &'static str);

/// One session's ear.
pub(crate) struct Hearing {
    watch: Box<dyn Watching>,
    feed: Arc<Feed>,
    meta: Arc<dyn MetaApi>,
    account: AccountHandle,
    version: CredentialVersion,
    /// What the session saw when it began.
    seen: LogIndex,
    /// After a gap: what it may have told of the credential is read.
    checking: Option<BoxFuture<'static, Option<Over>>>,
}

impl Hearing {
    pub(crate) fn new(
        watch: Box<dyn Watching>,
        account: &Account,
        feed: Arc<Feed>,
        meta: Arc<dyn MetaApi>,
    ) -> Self {
        let Account { handle, version, seen } = account;
        Self { watch, feed, meta, account: handle.clone(), version: *version, seen: *seen, checking: None }
    }

    /// The next news: noted, or the end of the session. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<(), Over> {
        loop {
            let kind = tokio::select! {
                kind = self.watch.changed() => kind,
                over = checked(&mut self.checking) => {
                    self.checking = None;
                    match over {
                        Some(over) => return Err(over),
                        None => continue,
                    }
                }
            };
            let index = self.watch.index();
            match kind {
                EventKind::Credential(new) if new > self.version => return Err(Over(CHANGED)),
                EventKind::Gap => {
                    let at = ReadAt::Index(self.seen.max(index));
                    let check = check(Arc::clone(&self.meta), self.account.clone(), self.version, at);
                    self.checking = Some(Box::pin(check));
                }
                _ => {}
            }
            self.feed.note(kind, index);
            return Ok(());
        }
    }
}

/// Does something to its end, unless the session is over before.
pub(crate) async fn unless_over<F: Future>(
    hearing: &mut Option<Hearing>,
    work: F,
) -> Result<F::Output, Over> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            output = &mut work => return Ok(output),
            news = next(hearing) => news?,
        }
    }
}

/// As [`Hearing::next`]; before login there are none.
pub(crate) async fn next(hearing: &mut Option<Hearing>) -> Result<(), Over> {
    match hearing {
        Some(hearing) => hearing.next().await,
        None => pending().await,
    }
}

async fn checked(checking: &mut Option<BoxFuture<'static, Option<Over>>>) -> Option<Over> {
    match checking {
        Some(check) => check.await,
        None => pending().await,
    }
}

/// Asks until there is an answer.
async fn check(
    meta: Arc<dyn MetaApi>,
    account: AccountHandle,
    version: CredentialVersion,
    at: ReadAt,
) -> Option<Over> {
    loop {
        match meta.credential(&account, at).await {
            Ok(read) => {
                let same = read.value.version == version && read.value.state == AccountState::Active;
                return (!same).then_some(Over(CHANGED));
            }
            Err(MetaError::Rejected(_)) => {
                return Some(Over("account is no longer here, please log in again"));
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "credential cannot be checked");
            }
        }
        tokio::time::sleep(RECHECK_AFTER).await;
    }
}
