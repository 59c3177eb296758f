//! What is in the database, moved by records of its write-ahead log only.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use buzon_meta_store::store::{Applied, GroupHead, Identity};
use buzon_model::change::Change;
use buzon_model::digest::StateDigest;
use buzon_model::testing::Rows;
use buzon_types::id::{GroupId, LogIndex};
use bytes::Bytes;

use super::pages::{self, Piece};
use crate::simulation::oracle;

/// All of it.
#[derive(Clone, Default)]
pub(super) struct Tables {
    pub(super) identity: Option<Identity>,
    pub(super) groups: BTreeMap<GroupId, Stored>,
    /// Snapshots that are not whole, by where they are staged.
    pub(super) staged: BTreeMap<GroupId, (i64, Rows)>,
    /// Where a group's rows were staged that it has now.
    pub(super) parts: BTreeMap<GroupId, i64>,
    pub(super) next_part: i64,
}

/// One group.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) head: GroupHead,
    pub(super) rows: Rows,
}

/// One transaction.
#[derive(Clone)]
pub(super) enum Record {
    Claim(Identity),
    Create(GroupId),
    Remove(GroupId),
    Commit {
        group: GroupId,
        applied: Applied,
        membership: Option<Bytes>,
        changes: Vec<Change>,
        digest: Option<StateDigest>,
    },
    Stage {
        group: GroupId,
        part: i64,
    },
    Page {
        group: GroupId,
        part: i64,
        piece: Arc<Piece>,
    },
    Flip {
        head: GroupHead,
        part: i64,
    },
}

impl Tables {
    pub(super) fn heads(&self) -> impl Iterator<Item = (GroupId, LogIndex)> + '_ {
        self.groups.iter().map(|(group, stored)| (*group, LogIndex(stored.head.applied.index)))
    }

    /// Carries out a transaction that was checked.
    ///
    /// # Errors
    /// Which constraint refuses it: nobody writes such rows.
    pub(super) fn carry_out(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Claim(identity) => self.identity = Some(identity.clone()),
            Record::Create(group) => {
                let (applied, membership) = (Applied::default(), Bytes::new());
                let head = GroupHead { group: *group, applied, membership };
                self.groups.entry(*group).or_insert_with(|| Stored { head, rows: Rows::default() });
            }
            Record::Remove(group) => {
                self.groups.remove(group);
                self.staged.remove(group);
                self.parts.remove(group);
            }
            Record::Commit { group, applied, membership, changes, digest } => {
                let stored = self.groups.get_mut(group).ok_or("a commit to a group that is not there")?;
                let applies = catch_unwind(AssertUnwindSafe(|| stored.rows.apply(changes)));
                applies.map_err(|panic| oracle::text(panic.as_ref()))?;
                stored.head.applied = applied.clone();
                stored.rows.digest = digest.or(stored.rows.digest);
                if let Some(membership) = membership {
                    stored.head.membership = membership.clone();
                }
            }
            Record::Stage { group, part } => {
                self.next_part = part + 1;
                self.staged.insert(*group, (*part, Rows::default()));
            }
            Record::Page { group, part, piece } => {
                if let Some((at, staged)) = self.staged.get_mut(group).filter(|(at, _)| at == part) {
                    debug_assert_eq!(at, part);
                    pages::merge(staged, piece);
                }
            }
            Record::Flip { head, part } => {
                if let Some((_, rows)) = self.staged.remove(&head.group) {
                    self.groups.insert(head.group, Stored { head: head.clone(), rows });
                    self.parts.insert(head.group, *part);
                }
            }
        }
        Ok(())
    }
}
