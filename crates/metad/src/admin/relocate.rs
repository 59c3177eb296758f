//! Moving an account to another shard: the directory notes it, and whoever leads the directory does it
//! ([`crate::cluster::mover`]).

use std::time::Duration;

use buzon_model::command::DirectoryCommand;
use buzon_model::limits::FEATURE_LEVEL_MOVES;
use buzon_model::read::ReadAt;
use buzon_model::reply::Reply;
use buzon_model::row::MoveState;
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::GroupId;
use tokio::time::Instant;

use super::Admin;
use super::find::address;

/// A call waits so long for the end of a move: well below what connections and proxies live without a word.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Between two looks at rows in memory.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn relocate(
    admin: &Admin,
    request: pb::MoveAccountRequest,
) -> Result<pb::MoveAccountResponse, CallError> {
    let placement = admin.placement(&address(&request.address)?).await?;
    let (account, to) = (placement.account, GroupId(request.shard));
    let directory = admin.directory()?;
    let level = directory.read(ReadAt::Linearizable, [], State::feature_level).await?.value;
    if level < FEATURE_LEVEL_MOVES {
        let message = format!(
            "the cluster's feature level is {level}, and accounts move from {FEATURE_LEVEL_MOVES} on: once every node runs a \
             version that knows it, raise it with `buzon ctl upgrade finalize`"
        );
        return Err(CallError::new(ErrorCode::Precondition, message));
    }
    let begin = DirectoryCommand::BeginMove { account, to };
    if admin.direct(begin, &request.address).await? == Reply::Done {
        return Ok(pb::MoveAccountResponse { done: true, committed: true });
    }
    let until = Instant::now() + WAIT_MAX;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let found = directory.read(ReadAt::Linearizable, [Need::Placement(account)], |state| {
            let pending = state.pending_move(account).map(|row| row.state);
            (pending, state.placement(account).map(|row| row.shard))
        });
        let (pending, shard) = found.await?.value;
        match pending {
            None if shard == Some(to) => return Ok(pb::MoveAccountResponse { done: true, committed: true }),
            None | Some(MoveState::Aborting) => {
                let message = format!(
                    "{}: the move to shard {to} was given up, the account stays where it is; repeat it",
                    request.address
                );
                return Err(CallError::new(ErrorCode::Precondition, message));
            }
            Some(state) if Instant::now() >= until => {
                let committed = state == MoveState::Committed;
                return Ok(pb::MoveAccountResponse { done: false, committed });
            }
            Some(_) => {}
        }
    }
}
