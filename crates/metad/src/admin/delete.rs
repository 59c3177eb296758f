//! Deleting an account: the directory closes it, the shard removes its rows in steps, the directory forgets it.

use buzon_model::command::{Command, DirectoryCommand, ShardCommand};
use buzon_model::reply::{Rejection, Reply};
use buzon_model::row::PlacementState;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};

use super::find::address;
use super::refusal::refused;
use super::{Admin, call_error};

pub(super) async fn delete(
    admin: &Admin,
    request: pb::DeleteAccountRequest,
) -> Result<pb::DeleteAccountResponse, CallError> {
    let address = address(&request.address)?;
    let placement = admin.placement(&address).await?;
    if placement.address != address {
        let message =
            format!("{address} is an alias: delete the account by its address {}", placement.address);
        return Err(CallError::new(ErrorCode::Precondition, message));
    }
    let (account, what) = (placement.account, address.to_string());
    if placement.state != PlacementState::Deleting {
        admin.direct(DirectoryCommand::BeginDeleteAccount(account), &what).await?;
    }
    let delete = Command::Shard(ShardCommand::DeleteAccount(account));
    match admin.meta.propose(placement.shard, delete).await.map_err(call_error)?.1 {
        // Never made, or hidden by an earlier call.
        Ok(_) | Err(Rejection::NoSuchAccount) => {}
        Err(rejection) => return Err(refused(&rejection, &what)),
    }
    // Ends: each step removes rows.
    let purge = || admin.shard(placement.shard, ShardCommand::PurgeAccount(account), &what);
    while let Reply::Purged { more: true } = purge().await? {}
    admin.direct(DirectoryCommand::FinishDeleteAccount(account), &what).await?;
    Ok(pb::DeleteAccountResponse {})
}
