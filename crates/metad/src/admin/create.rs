//! Making an account: the directory takes its address, the shard makes it, the directory opens it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use buzon_model::command::{CreateAccount, DirectoryCommand, ShardCommand};
use buzon_model::read::ReadAt;
use buzon_model::reply::Reply;
use buzon_model::row::{PlacementRow, PlacementState, Quota};
use buzon_model::state::State;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::address::Address;
use buzon_types::id::{DIRECTORY, GroupId};
use buzon_types::time::Timestamp;

use super::Admin;
use super::find::address;

pub(super) async fn create(
    admin: &Admin,
    request: pb::CreateAccountRequest,
) -> Result<pb::Account, CallError> {
    let address = address(&request.address)?;
    let tenant = match request.tenant.as_str() {
        "" => admin.domain_row(address.domain()).await?.tenant,
        name => admin.tenant_named(name).await?.id,
    };
    let shard = shard_for(admin, &address).await?;
    let credential = admin.hash(request.password).await?;
    let quota = request.quota.map(Quota::from).unwrap_or_default();
    let what = address.to_string();
    let place = DirectoryCommand::PlaceAccount { tenant, address: address.clone(), shard };
    let Reply::AccountPlaced { account, shard, epoch } = admin.direct(place, &what).await? else {
        return Err(CallError::unknown(ErrorCode::Internal, "reply does not fit the command"));
    };
    let state = PlacementState::Creating;
    let created_at = Timestamp::default();
    let placement =
        PlacementRow { account, tenant, address: address.clone(), shard, epoch, state, created_at };
    if admin.usage(&placement).await?.is_some() {
        // An earlier call got this far; this one's password and quota hold.
        admin.shard(shard, ShardCommand::SetCredential { account, credential }, &what).await?;
        admin.shard(shard, ShardCommand::SetQuota { account, quota }, &what).await?;
    } else {
        let uid_validity_seed = seconds_now();
        let create = CreateAccount { account, tenant, epoch, address, credential, quota, uid_validity_seed };
        admin.shard(shard, ShardCommand::CreateAccount(create), &what).await?;
    }
    admin.direct(DirectoryCommand::ActivateAccount(account), &what).await?;
    let placement = admin.placement(&placement.address).await?;
    admin.account(&placement).await
}

/// A cluster's directory chooses by itself. Else accounts are spread over the shards on this node.
async fn shard_for(admin: &Admin, address: &Address) -> Result<GroupId, CallError> {
    let founded = admin.directory()?.read(ReadAt::Linearizable, [], State::is_founded).await?;
    if founded.value {
        return Ok(DIRECTORY);
    }
    let groups = admin.groups.groups();
    let shards: Vec<_> = groups.iter().map(|replica| replica.id()).filter(|id| *id != DIRECTORY).collect();
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    let none = || CallError::new(ErrorCode::Unavailable, "no shard is on this node");
    let at = (hasher.finish() % shards.len().max(1) as u64) as usize;
    shards.get(at).copied().ok_or_else(none)
}

/// A UIDVALIDITY seed: seconds since 1970 fit until 2106.
fn seconds_now() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}
