//! A database that was lost, or is an old copy, gets its rows from another member before the group's core starts.
//!
//! ```text
//! rows ─▶ R        P ◀─ purged │ the log's entries │ end          R before P: nobody can replay what lies between
//!         └── FetchSnapshot ──▶ rows at P or later ─▶ staged, noted in the log, flipped ─▶ the log fits ─▶ core
//! ```
//! It is a pull, because the leader believes this node to have all that its log acknowledged. Log and vote stay as they
//! are, so nothing that this node promised is forgotten; until the rows are there the group answers nothing here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use buzon_types::id::{GroupId, NodeId};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::apply::{ApplyError, Machine, Staged};
use crate::group_meta::{self, MetaError};
use crate::log::group::GroupLog;
use crate::network::{Peers, fetch_snapshot};
use crate::quarantine;
use crate::record;

/// Members may be starting themselves; asked again soon, and then less often.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Whoever can help is found within this.
const ASK_AGAIN_AFTER_MAX: Duration = Duration::from_secs(5);

/// Why a group cannot be refilled. None of it is mended by waiting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefillError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(
        "{reason}, and its log knows of no other member that could refill it; put back a copy of the database that stands \
         at or past {needed}, or remove this node from its groups and let it join them anew, with an empty log and \
         database and a new node id"
    )]
    Alone { reason: Reason, needed: u64 },
    #[error("look for the members of group {0} in its log")]
    Members(GroupId, #[source] MetaError),
    #[error("the group is stopping")]
    Stopping,
}

/// Why rows are not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error(transparent)]
    Behind(ApplyError),
    #[error("the rows, which stand at {applied}, are not those of the majority")]
    Quarantine { applied: u64 },
}

/// See the module.
pub(crate) struct Refill<'a> {
    pub(crate) machine: &'a Arc<Machine>,
    pub(crate) log: &'a GroupLog,
    pub(crate) peers: &'a Peers,
    pub(crate) me: NodeId,
    /// Groups that are being refilled.
    pub(crate) refilling: &'a Mutex<BTreeSet<GroupId>>,
    pub(crate) stop: &'a CancellationToken,
}

/// Takes the group off the list, however the refill ends.
struct Noted<'a>(&'a Mutex<BTreeSet<GroupId>>, GroupId);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Refill<'_> {
    /// Returns at once if the log can replay what the rows lack. Else it asks members until one has given its rows.
    pub(crate) async fn run(&self) -> Result<(), RefillError> {
        match self.machine.head().await {
            Ok(head) if self.is_asked_for() => {
                self.refill(Reason::Quarantine { applied: head.applied.index }).await?;
                quarantine::note(self.log, None).await.map_err(ApplyError::from)?;
                self.machine.set_quarantine(None);
            }
            Ok(_) => {}
            Err(behind @ ApplyError::Behind { .. }) => self.refill(Reason::Behind(behind)).await?,
            Err(error) => return Err(error.into()),
        }
        Ok(self.machine.fit_log().await?)
    }

    fn is_asked_for(&self) -> bool {
        self.machine.quarantine().is_some_and(|quarantine| quarantine.refill)
    }

    async fn refill(&self, reason: Reason) -> Result<(), RefillError> {
        let group = self.log.group();
        self.refilling.lock().insert(group);
        let _noted = Noted(self.refilling, group);
        let mut wait = ASK_AGAIN_AFTER;
        let mut warned = None;
        loop {
            // Anew each time: others may be told of while this waits.
            let members = self.others().await?;
            if members.is_empty() {
                return Err(RefillError::Alone { reason, needed: self.log.view().held.start });
            }
            if warned.as_ref() != Some(&members) {
                tracing::warn!(%group, %reason, ?members, "refill the group's rows from another member");
            }
            if let Some(staged) = self.ask(&members).await? {
                let index = staged.head.applied.index;
                self.machine.install_staged(staged).await?;
                tracing::warn!(%group, index, "the group's rows are refilled");
                return Ok(());
            }
            warned = Some(members);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(RefillError::Stopping),
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(ASK_AGAIN_AFTER_MAX),
            }
        }
    }

    /// Whom to ask.
    async fn others(&self) -> Result<BTreeMap<NodeId, String>, RefillError> {
        let members = group_meta::members(self.log).await;
        let mut members = members.map_err(|source| RefillError::Members(self.log.group(), source))?;
        members.remove(&self.me);
        Ok(members)
    }

    /// One round through the members.
    async fn ask(&self, members: &BTreeMap<NodeId, String>) -> Result<Option<Staged>, RefillError> {
        for (node, address) in members {
            let fetched = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(RefillError::Stopping),
                fetched = self.fetch(*node, address) => fetched,
            };
            match fetched {
                Ok(staged) => return Ok(Some(staged)),
                Err(status) => {
                    tracing::warn!(group = %self.log.group(), %node, %status, "this member gives no rows");
                }
            }
        }
        Ok(None)
    }

    async fn fetch(&self, node: NodeId, address: &str) -> Result<Staged, Status> {
        let purged = group_meta::purged(self.log).map_err(|error| Status::internal(error.to_string()))?;
        let staged = fetch_snapshot(self.peers, (node, address), self.machine, purged).await?;
        let found = record::read_applied(&staged.head.applied);
        let found = found.map_err(|error| Status::data_loss(error.to_string()))?;
        if found < purged {
            return Err(Status::data_loss("its rows stand before what was asked for"));
        }
        Ok(staged)
    }
}
