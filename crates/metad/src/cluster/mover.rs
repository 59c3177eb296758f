//! Moves accounts between shards, as the directory's rows of pending moves want it. Runs on the node that leads the directory.
//!
//! ```text
//! source: export a page ─▶ destination: take it ─ … ─▶ freeze ─▶ the last pages ─▶ directory: commit
//!                                                        ─▶ source forwards ─▶ destination serves ─▶ source purged
//! ```
//! Nothing is remembered here that the rows do not tell: whoever leads the directory next goes on from the cursor that the
//! destination keeps, and two who believe to lead do no harm (docs/decisions/0008-moving-accounts.md).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_client::error::MetaError;
use buzon_meta_client::meta::Meta;
use buzon_model::command::{
    ArrivePage, BeginArrive, Command, DirectoryCommand, Leaving, Relocation, ShardCommand, Step,
};
use buzon_model::read::ReadAt;
use buzon_model::reply::{Rejection, Reply};
use buzon_model::row::{MoveRow, MoveState, PlacementRow};
use buzon_model::scope::Need;
use buzon_proto::mail::export_cursor;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{AccountId, DIRECTORY, GroupId};
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::admin::call_error;
use crate::groups::Groups;
use crate::mail::replica;

/// Looks at rows in memory, on one node: whoever asked for a move waits no longer than this for its beginning.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Moves at a time: each reads and writes as fast as its shards let it.
const AT_ONCE_MAX: usize = 4;
/// A round of so many changes or fewer is followed by the freeze: as many more take a page or two.
const LAST_ROUND_MESSAGES: u64 = 1_000;
/// An account that changes faster than it is copied is frozen after so many rounds all the same.
const ROUNDS_MAX: u32 = 6;
/// Writes wait no longer; what is not committed by then is aborted.
const FROZEN_MAX: Duration = Duration::from_secs(2);
/// Before a step is tried again while the account is frozen: an election takes longer, so that the next try may succeed.
const FROZEN_PAUSE: Duration = Duration::from_millis(50);
/// Steps of a purge in a row: of 2,000 messages each, more than the largest account needs.
const PURGE_STEPS_MAX: u32 = 100_000;

/// See the module.
#[derive(Clone)]
pub struct Mover {
    groups: Arc<dyn Groups>,
    meta: Meta,
}

/// How far the destination is.
struct Progress {
    pages: u64,
    cursor: Bytes,
    complete: bool,
}

impl Mover {
    /// For this node's directory; `meta` reaches all shards.
    pub fn new(groups: Arc<dyn Groups>, meta: Meta) -> Self {
        Self { groups, meta }
    }

    /// Looks for ever; the work ends when this is dropped.
    pub async fn run(self) {
        let mut working: JoinSet<AccountId> = JoinSet::new();
        let mut accounts: BTreeSet<AccountId> = BTreeSet::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                Some(done) = working.join_next() => {
                    match done {
                        Ok(account) => drop(accounts.remove(&account)),
                        // Which one it was is not known: all are looked at again once the others are done.
                        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "a move panicked"),
                    }
                    if working.is_empty() {
                        accounts.clear();
                    }
                    continue;
                }
            }
            for row in self.pending().await {
                if working.len() < AT_ONCE_MAX && accounts.insert(row.account) {
                    let mover = self.clone();
                    working.spawn(async move {
                        mover.work(row.account).await;
                        row.account
                    });
                }
            }
        }
    }

    /// The pending moves, if this node leads the directory.
    async fn pending(&self) -> Vec<MoveRow> {
        let Some(directory) = self.groups.group(DIRECTORY) else { return Vec::new() };
        if directory.status().leader != Some(self.groups.node()) {
            return Vec::new();
        }
        let found = directory.read(ReadAt::Local, [], |state| state.pending_moves().cloned().collect());
        found.await.map_or_else(|_| Vec::new(), |found| found.value)
    }

    /// One move as far as it goes now. What stops it for a while is tried again at the next look.
    async fn work(&self, account: AccountId) {
        loop {
            match self.go_on(account).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::info!(%account, %error, "a move is stopped for a moment");
                    return tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// One state of a move; whether there may be another.
    async fn go_on(&self, account: AccountId) -> Result<bool, CallError> {
        let directory = replica(&*self.groups, DIRECTORY)?;
        let needs = [Need::Placement(account)];
        let found = directory.read(ReadAt::Linearizable, &needs, |state| {
            Some((state.pending_move(account)?.clone(), state.placement(account)?.clone()))
        });
        let Some((row, placement)) = found.await?.value else { return Ok(false) };
        let step = Step { account, epoch: row.epoch };
        match row.state {
            MoveState::Copying => match self.copy(&row, &placement).await {
                Ok(()) => {
                    self.direct(DirectoryCommand::CommitMove(step)).await?;
                    tracing::info!(%account, from = %row.from, to = %row.to, epoch = %row.epoch, "a move is committed");
                }
                Err(Stop::ForNow(error)) => return Err(error),
                Err(Stop::Abort(why)) => {
                    tracing::warn!(%account, from = %row.from, to = %row.to, why, "a move is aborted");
                    self.direct(DirectoryCommand::AbortMove(step)).await?;
                }
            },
            MoveState::Committed => {
                // In this order, so that nobody reads at the source what was changed at the destination.
                self.relocate(row.from, Relocation::FinishLeave(step)).await?;
                self.relocate(row.to, Relocation::Activate(step)).await?;
                self.purge(row.from, account).await?;
                self.direct(DirectoryCommand::FinishMove(step)).await?;
            }
            MoveState::Aborting => {
                self.relocate(row.from, Relocation::AbortLeave(step)).await?;
                self.relocate(row.to, Relocation::DropArriving(step)).await?;
                self.purge(row.to, account).await?;
                self.direct(DirectoryCommand::FinishMove(step)).await?;
            }
        }
        Ok(true)
    }

    /// Until all of it is at the destination, and the source frozen.
    async fn copy(&self, row: &MoveRow, placement: &PlacementRow) -> Result<(), Stop> {
        let step = Step { account: row.account, epoch: row.epoch };
        let mut progress = self.begin(row, placement).await?;
        tracing::info!(account = %row.account, from = %row.from, to = %row.to, pages = progress.pages, "a move is copied");
        let mut rounds = 0;
        while !progress.is_last_round() && rounds < ROUNDS_MAX {
            rounds += 1;
            match self.round(row, &mut progress).await? {
                Some(messages) if messages > LAST_ROUND_MESSAGES => {}
                _ => break,
            }
        }
        // From here on somebody may be waiting to write: what goes wrong is tried again at once, or not at all.
        let frozen = async {
            while let Err(stop) = self.last_round(step, row, &mut progress).await {
                match stop {
                    Stop::ForNow(error) => {
                        tracing::info!(account = %row.account, %error, "the last round is repeated")
                    }
                    abort @ Stop::Abort(_) => return Err(abort),
                }
                tokio::time::sleep(FROZEN_PAUSE).await;
                progress = self.begin(row, placement).await?;
            }
            Ok(())
        };
        let late = Err(Stop::Abort("the last changes could not be copied in time"));
        tokio::time::timeout_at(Instant::now() + FROZEN_MAX, frozen).await.unwrap_or(late)
    }

    async fn last_round(&self, step: Step, row: &MoveRow, progress: &mut Progress) -> Result<(), Stop> {
        self.relocate(row.from, Relocation::Freeze(Leaving { step, to: row.to })).await?;
        while self.round(row, progress).await?.is_some() {}
        Ok(())
    }

    async fn begin(&self, row: &MoveRow, placement: &PlacementRow) -> Result<Progress, Stop> {
        let step = Step { account: row.account, epoch: row.epoch };
        let (tenant, address) = (placement.tenant, placement.address.clone());
        loop {
            let begin = BeginArrive { step, from: row.from, tenant, address: address.clone() };
            match self.relocate(row.to, Relocation::BeginArrive(begin)).await? {
                // Rows of an earlier stay.
                Reply::Purged { .. } => self.purge(row.to, row.account).await?,
                reply => return progress(reply),
            }
        }
    }

    /// Copies pages to the end of a round, and tells how many messages it had; `None` once all is there.
    async fn round(&self, row: &MoveRow, progress: &mut Progress) -> Result<Option<u64>, Stop> {
        let step = Step { account: row.account, epoch: row.epoch };
        while !progress.complete {
            let page = self.meta.export_account(row.from, step, progress.cursor.clone()).await;
            let page = page.map_err(call_error)?;
            let (number, cursor) = (progress.pages + 1, page.cursor);
            let is_taken = cursor.clone();
            let page_of = ArrivePage { step, number, cursor, rows: page.rows };
            *progress =
                self::progress(self.relocate(row.to, Relocation::ArrivePage(Box::new(page_of))).await?)?;
            let is_mine = progress.pages == number && progress.cursor == is_taken;
            if let Some(messages) = page.round_messages.filter(|_| is_mine) {
                return Ok(Some(messages));
            }
        }
        Ok(None)
    }

    async fn purge(&self, shard: GroupId, account: AccountId) -> Result<(), CallError> {
        for _ in 0..PURGE_STEPS_MAX {
            let purge = Command::Shard(ShardCommand::PurgeAccount(account));
            let (_, outcome) = self.meta.propose_repeatable(shard, purge).await.map_err(call_error)?;
            match outcome {
                Ok(Reply::Purged { more: true }) => {}
                Ok(_) => return Ok(()),
                Err(rejection) => return Err(refused(&rejection)),
            }
        }
        Ok(())
    }

    async fn relocate(&self, shard: GroupId, step: Relocation) -> Result<Reply, CallError> {
        let command = Command::Shard(ShardCommand::Relocate(step));
        let proposed: Result<_, MetaError> = self.meta.propose_repeatable(shard, command).await;
        proposed.map_err(call_error)?.1.map_err(|rejection| refused(&rejection))
    }

    async fn direct(&self, command: DirectoryCommand) -> Result<(), CallError> {
        let directory = replica(&*self.groups, DIRECTORY)?;
        let (_, outcome) = directory.propose(None, Command::Directory(command)).await?;
        outcome.map(drop).map_err(|rejection| refused(&rejection))
    }
}

impl Progress {
    /// Whether the account was frozen when the round began in which the next page lies.
    fn is_last_round(&self) -> bool {
        self.complete || export_cursor(self.cursor.clone()).is_ok_and(|cursor| cursor.frozen)
    }
}

/// Why a copy does not go on.
enum Stop {
    /// Later it may.
    ForNow(CallError),
    /// It shall not.
    Abort(&'static str),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        // What is refused now is refused for ever; what was merely not answered is asked again.
        match error.code {
            ErrorCode::Precondition | ErrorCode::Invalid | ErrorCode::Limit | ErrorCode::NotFound => {
                tracing::warn!(%error, "a step of a move is refused");
                Self::Abort("a step was refused")
            }
            _ => Self::ForNow(error),
        }
    }
}

/// A step that a state machine refuses does not become right by repeating it.
fn refused(rejection: &Rejection) -> CallError {
    CallError::new(ErrorCode::Precondition, rejection.to_string())
}

fn progress(reply: Reply) -> Result<Progress, Stop> {
    match reply {
        Reply::Arriving { pages, cursor, complete } => Ok(Progress { pages, cursor, complete }),
        _ => Err(Stop::Abort("the destination answered with something else")),
    }
}
