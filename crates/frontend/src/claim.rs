//! Claiming `\Recent` for messages that a session is about to tell (RFC 3501 §2.3.2, DESIGN D13).
//!
//! ```text
//! new messages ─ begin ─▶ ClaimRecent, one on its way for each mailbox ─▶ answer ─ take ─▶ EXISTS, RECENT, FLAGS
//!                                   └─ no answer in time ─▶ EXISTS now, RECENT when the answer comes
//! ```
//! A claim takes all of a mailbox that nobody claimed, so sessions of this process that tell of the same mail share one log
//! entry: the first begins it and gets the messages, the others wait for it and hear that they are not theirs. Sessions of
//! other processes are ordered by the log.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_client::error::WriteOutcome;
use buzon_model::command::{Command, ShardCommand};
use buzon_model::reply::Reply;
use buzon_telemetry::storm::Storm;
use buzon_types::id::{GroupId, LogIndex, MailboxKey};
use buzon_types::uid::Uid;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::ctx::Ctx;
use crate::meta_api::MetaApi;
use crate::selected::Selected;
use crate::selected::recent::Claimed;

/// New mail waits so long for its `\Recent`: longer than an election takes, and little for somebody who waits for mail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// While the log is away every claim fails: one line tells it.
static AWAY: Storm = Storm::new(Duration::from_secs(10));

/// What a claim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Messages with `from <= UID < below` are those of the session that began it.
    Claimed { from: Option<Uid>, below: Option<Uid>, index: LogIndex },
    /// Nothing was claimed; it may be tried again.
    Failed,
    /// Nobody knows.
    Unknown,
}

type Answers = watch::Receiver<Option<Answer>>;

/// The claims of this process that are on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    running: Arc<Mutex<HashMap<MailboxKey, Answers>>>,
}

/// A session's part in a claim.
#[derive(Debug)]
pub(crate) struct Claim {
    whose: Whose,
    answer: Answers,
    patient_until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Anothers,
}

impl Claims {
    /// Claims, or joins a claim of the same mailbox. It goes on to its end even if nobody waits for it any more.
    fn begin(&self, meta: &Arc<dyn MetaApi>, shard: GroupId, mailbox: MailboxKey) -> Claim {
        let patient_until = Instant::now() + PATIENCE;
        let mut running = self.running.lock();
        if let Some(answer) = running.get(&mailbox) {
            return Claim { whose: Whose::Anothers, answer: answer.clone(), patient_until };
        }
        let (sender, answer) = watch::channel(None);
        running.insert(mailbox, answer.clone());
        let ended = Ended { claims: self.clone(), mailbox };
        let meta = Arc::clone(meta);
        let claim = async move {
            let answer = propose(&*meta, shard, mailbox).await;
            // Whoever hears the answer and has more to claim begins anew.
            drop(ended);
            sender.send_replace(Some(answer));
        };
        tokio::spawn(claim.in_current_span());
        Claim { whose: Whose::Ours, answer, patient_until }
    }
}

/// Removes a claim from those that run, whatever ends it.
struct Ended {
    claims: Claims,
    mailbox: MailboxKey,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let mut running = self.claims.running.lock();
        running.remove(&self.mailbox);
        if running.is_empty() {
            *running = HashMap::new();
        }
    }
}

async fn propose(meta: &dyn MetaApi, shard: GroupId, mailbox: MailboxKey) -> Answer {
    match meta.propose(shard, Command::Shard(ShardCommand::ClaimRecent(mailbox))).await {
        Ok((index, Ok(Reply::RecentClaimed { from, below }))) => Answer::Claimed { from, below, index },
        Ok((_, outcome)) => {
            // The mailbox is gone: the next delta says so.
            tracing::debug!(?outcome, "recent messages are not claimed");
            Answer::Failed
        }
        Err(error) => {
            if let Some(silenced) = AWAY.pass() {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, silenced, "recent messages cannot be claimed");
            }
            if error.outcome() == WriteOutcome::Unknown { Answer::Unknown } else { Answer::Failed }
        }
    }
}

impl Claim {
    /// Whether new messages still wait for the answer.
    fn is_patient(&self) -> bool {
        Instant::now() < self.patient_until
    }

    /// The answer, if it is here or comes in time.
    async fn in_time(&mut self) -> Option<Answer> {
        let waited = timeout_at(self.patient_until, self.answer.wait_for(Option::is_some)).await;
        match waited {
            Ok(Ok(answer)) => *answer,
            // The task that claimed is gone.
            Ok(Err(_)) => Some(Answer::Unknown),
            Err(_) => None,
        }
    }

    /// The answer, if it is here.
    fn now(&self) -> Option<Answer> {
        let answer = *self.answer.borrow();
        answer.or_else(|| self.answer.has_changed().is_err().then_some(Answer::Unknown))
    }

    async fn is_to_be_looked_at(&mut self) {
        if self.is_patient() {
            self.in_time().await;
        } else {
            let _ = self.answer.wait_for(Option::is_some).await;
        }
    }
}

/// How long to wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A little.
    InTime,
    /// A little, if messages are about to be told; those that the client knows of can become recent later.
    WithArrivals,
    /// Not at all.
    No,
}

/// Claims what the session counts and nobody has claimed, and takes what a claim came to. Costs nothing where there is
/// nothing to claim. Whether new messages are to wait for an answer is asked of [`holds_arrivals`].
pub(crate) async fn claim(ctx: &mut Ctx, wait: Wait) -> Claimed {
    loop {
        begin(ctx);
        let Some(claim) = &mut ctx.claim else { return Claimed::Known };
        let waits = match wait {
            Wait::InTime => true,
            Wait::WithArrivals => ctx.selected.as_ref().is_some_and(Selected::has_arrivals),
            Wait::No => false,
        };
        let answer = if waits { claim.in_time().await } else { claim.now() };
        let (whose, Some(answer)) = (claim.whose, answer) else { return Claimed::Known };
        ctx.claim = None;
        let claimed = take(ctx, whose, answer);
        // What another's claim left may be claimed now; what failed is for later.
        if whose == Whose::Ours || answer == Answer::Failed {
            return claimed;
        }
    }
}

/// Whether an answer is expected for which new messages wait.
pub(crate) fn holds_arrivals(ctx: &Ctx) -> bool {
    ctx.claim.as_ref().is_some_and(Claim::is_patient)
}

/// Waits until [`claim`] has something to do: an answer, or patience that is at its end. Safe to cancel.
pub(crate) async fn looked_for(claim: &mut Option<Claim>) {
    match claim {
        Some(claim) => claim.is_to_be_looked_at().await,
        None => pending().await,
    }
}

/// For a session without IMAP4rev2 that counts messages which nobody has claimed.
fn begin(ctx: &mut Ctx) {
    let (Some(account), Some(selected)) = (&ctx.account, &ctx.selected) else { return };
    if ctx.claim.is_none() && !ctx.enabled.rev2 && selected.has_unclaimed() {
        let services = &ctx.services;
        ctx.claim = Some(services.claims.begin(&services.meta, account.handle.shard, selected.key));
    }
}

fn take(ctx: &mut Ctx, whose: Whose, answer: Answer) -> Claimed {
    let Some(selected) = &mut ctx.selected else { return Claimed::Known };
    match (whose, answer) {
        (Whose::Ours, Answer::Claimed { from, below, index }) => {
            let claimed = selected.claimed(from, below);
            ctx.saw(index);
            return claimed;
        }
        (Whose::Anothers, Answer::Claimed { below, .. }) => selected.claimed_elsewhere(below),
        (Whose::Ours, Answer::Unknown) => selected.claim_is_unknown(),
        (Whose::Anothers, Answer::Unknown) => selected.another_claim_is_unknown(),
        (_, Answer::Failed) => {}
    }
    Claimed::Known
}
