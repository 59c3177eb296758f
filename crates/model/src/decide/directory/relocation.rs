//! Moves of accounts as the directory knows them. At most one for each account; the commit is the compare-and-set of the
//! placement's epoch, and what happens at the shards lies between these steps.

use buzon_types::id::{AccountId, Epoch, GroupId};
use buzon_types::time::Timestamp;

use crate::change::Change;
use crate::decide::Decided;
use crate::limits::MOVES_MAX;
use crate::reply::{Rejection, Reply};
use crate::row::{MoveRow, MoveState, PlacementRow, PlacementState, ShardRow};
use crate::state::State;

/// Says where it comes from and its epoch; a repetition says the same. `Done` where it is there already.
pub(super) fn begin(state: &State, at: Timestamp, id: AccountId, to: GroupId) -> Decided {
    if !state.is_founded() {
        return Err(Rejection::ClusterNotFounded);
    }
    let placement = state.placement(id).ok_or(Rejection::NoSuchAccount)?;
    if let Some(pending) = state.pending_move(id) {
        return if pending.to == to && pending.state != MoveState::Aborting {
            Ok((vec![], Reply::MoveBegun { from: pending.from, epoch: pending.epoch }))
        } else {
            Err(Rejection::MovePending(pending.to))
        };
    }
    if placement.state != PlacementState::Active {
        return Err(Rejection::NoSuchAccount);
    }
    if state.shard(to).is_none() {
        return Err(Rejection::NoSuchShard(to));
    }
    if placement.shard == to {
        return Ok((vec![], Reply::Done));
    }
    if state.pending_moves().len() >= MOVES_MAX {
        return Err(Rejection::TooManyMoves);
    }
    let (from, epoch) = (placement.shard, Epoch(placement.epoch.0 + 1));
    let row = MoveRow { account: id, from, to, epoch, state: MoveState::Copying, began_at: at };
    Ok((vec![Change::PutMove(row)], Reply::MoveBegun { from, epoch }))
}

/// From here on it lives at the destination.
pub(super) fn commit(state: &State, id: AccountId, epoch: Epoch) -> Decided {
    let pending = pending(state, id, epoch)?;
    match pending.state {
        MoveState::Committed => return Ok((vec![], Reply::Done)),
        MoveState::Aborting => return Err(Rejection::MoveOver),
        MoveState::Copying => {}
    }
    let placement = state.placement(id).ok_or(Rejection::NoSuchAccount)?;
    if placement.epoch.0 + 1 != epoch.0 || placement.shard != pending.from {
        return Err(Rejection::MoveOver);
    }
    let mut changes = vec![
        Change::PutPlacement(PlacementRow { shard: pending.to, epoch, ..placement.clone() }),
        Change::PutMove(MoveRow { state: MoveState::Committed, ..pending.clone() }),
    ];
    let counted = |group, count: fn(u64) -> u64| {
        let row = state.shard(group)?;
        Some(Change::PutShard(ShardRow { accounts: count(row.accounts), ..row.clone() }))
    };
    changes.extend(counted(pending.from, |accounts| accounts.saturating_sub(1)));
    changes.extend(counted(pending.to, |accounts| accounts + 1));
    Ok((changes, Reply::Done))
}

/// It stays where it is, under the epoch of the move, so that the next move has another.
pub(super) fn abort(state: &State, id: AccountId, epoch: Epoch) -> Decided {
    let pending = pending(state, id, epoch)?;
    match pending.state {
        MoveState::Aborting => Ok((vec![], Reply::Done)),
        MoveState::Committed => Err(Rejection::MoveOver),
        MoveState::Copying => {
            let placement = state.placement(id).ok_or(Rejection::NoSuchAccount)?;
            let placed = Change::PutPlacement(PlacementRow { epoch, ..placement.clone() });
            let row = MoveRow { state: MoveState::Aborting, ..pending.clone() };
            Ok((vec![placed, Change::PutMove(row)], Reply::Done))
        }
    }
}

/// The shards have done their part. One that is finished already is finished.
pub(super) fn finish(state: &State, id: AccountId, epoch: Epoch) -> Decided {
    match state.pending_move(id) {
        Some(row) if row.epoch == epoch && row.state == MoveState::Copying => Err(Rejection::NotHere),
        Some(row) if row.epoch == epoch => Ok((vec![Change::RemoveMove(id)], Reply::Done)),
        _ => Ok((vec![], Reply::Done)),
    }
}

fn pending(state: &State, id: AccountId, epoch: Epoch) -> Result<&MoveRow, Rejection> {
    state.pending_move(id).filter(|row| row.epoch == epoch).ok_or(Rejection::MoveOver)
}
