//! One account: what it is, and changes of it.

use buzon_meta_client::error::MetaError;
use buzon_model::command::{DirectoryCommand, ShardCommand};
use buzon_model::read::{ReadAt, UsageRead};
use buzon_model::reply::Rejection;
use buzon_model::row::{AccountState, PlacementRow, PlacementState, Quota};
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::secret::Secret;

use super::find::address;
use super::{Admin, call_error};

pub(super) async fn get(admin: &Admin, request: pb::GetAccountRequest) -> Result<pb::Account, CallError> {
    let placement = admin.placement(&address(&request.address)?).await?;
    admin.account(&placement).await
}

pub(super) async fn set_password(
    admin: &Admin,
    request: pb::SetPasswordRequest,
) -> Result<pb::Account, CallError> {
    let placement = admin.active(&request.address).await?;
    let credential = admin.hash(request.password).await?;
    let account = placement.account;
    admin.change(&placement, ShardCommand::SetCredential { account, credential }).await
}

pub(super) async fn suspend(
    admin: &Admin,
    request: pb::SuspendAccountRequest,
) -> Result<pb::Account, CallError> {
    set_state(admin, &request.address, AccountState::Suspended).await
}

pub(super) async fn resume(
    admin: &Admin,
    request: pb::ResumeAccountRequest,
) -> Result<pb::Account, CallError> {
    set_state(admin, &request.address, AccountState::Active).await
}

async fn set_state(admin: &Admin, address: &str, state: AccountState) -> Result<pb::Account, CallError> {
    let placement = admin.active(address).await?;
    let account = placement.account;
    admin.change(&placement, ShardCommand::SetAccountState { account, state }).await
}

pub(super) async fn set_quota(admin: &Admin, request: pb::SetQuotaRequest) -> Result<pb::Account, CallError> {
    let placement = admin.active(&request.address).await?;
    let account = placement.account;
    let quota = request.quota.map(Quota::from).unwrap_or_default();
    admin.change(&placement, ShardCommand::SetQuota { account, quota }).await
}

pub(super) async fn add_alias(admin: &Admin, request: pb::AddAliasRequest) -> Result<pb::Account, CallError> {
    let placement = admin.active(&request.address).await?;
    let alias = address(&request.alias)?;
    let what = alias.to_string();
    let command = DirectoryCommand::AddAlias { address: alias, account: placement.account };
    admin.direct(command, &what).await?;
    admin.account(&placement).await
}

pub(super) async fn remove_alias(
    admin: &Admin,
    request: pb::RemoveAliasRequest,
) -> Result<pb::Account, CallError> {
    let alias = address(&request.alias)?;
    let placement = admin.placement(&alias).await?;
    let what = alias.to_string();
    admin.direct(DirectoryCommand::RemoveAlias { address: alias }, &what).await?;
    admin.account(&placement).await
}

impl Admin {
    /// A password's hash; none stays none.
    pub(super) async fn hash(&self, password: Option<String>) -> Result<Option<Secret<String>>, CallError> {
        match password {
            Some(password) => Ok(Some(self.hasher.hash(Secret::new(password)).await?)),
            None => Ok(None),
        }
    }

    /// An account that can be changed.
    async fn active(&self, text: &str) -> Result<PlacementRow, CallError> {
        let placement = self.placement(&address(text)?).await?;
        let todo = match placement.state {
            PlacementState::Active => return Ok(placement),
            PlacementState::Creating => "is half made: create it again to finish it",
            PlacementState::Deleting => "is being deleted",
        };
        Err(CallError::new(ErrorCode::Precondition, format!("account {text} {todo}")))
    }

    async fn change(
        &self,
        placement: &PlacementRow,
        command: ShardCommand,
    ) -> Result<pb::Account, CallError> {
        self.shard(placement.shard, command, &placement.address.to_string()).await?;
        self.account(placement).await
    }

    /// What its shard says of an account; `None` while it is being made or deleted.
    pub(super) async fn usage(&self, placement: &PlacementRow) -> Result<Option<UsageRead>, CallError> {
        match self.meta.usage(&placement.clone().into(), ReadAt::Linearizable).await {
            Ok(usage) => Ok(Some(usage.value)),
            Err(MetaError::Rejected(Rejection::NoSuchAccount)) => Ok(None),
            Err(error) => Err(call_error(error)),
        }
    }

    /// All that is known of an account.
    pub(super) async fn account(&self, placement: &PlacementRow) -> Result<pb::Account, CallError> {
        let row = self.usage(placement).await?;
        let tenant = self.tenant(placement.tenant).await?.name;
        let mut answer = listed(placement, &tenant, row.as_ref().map(|row| row.state));
        answer.aliases = self.aliases(placement).await?;
        if let Some(row) = row {
            answer.quota = Some(row.quota.into());
            answer.bytes = row.counters.bytes;
            answer.messages = row.counters.messages;
        }
        Ok(answer)
    }
}

/// What the directory and the account's state tell.
pub(super) fn listed(placement: &PlacementRow, tenant: &str, state: Option<AccountState>) -> pb::Account {
    let status = match (placement.state, state) {
        (PlacementState::Creating, _) => pb::AccountStatus::Creating,
        (PlacementState::Deleting, _) | (_, Some(AccountState::Deleting)) => pb::AccountStatus::Deleting,
        (PlacementState::Active, Some(AccountState::Suspended)) => pb::AccountStatus::Suspended,
        (PlacementState::Active, Some(AccountState::Active) | None) => pb::AccountStatus::Active,
    };
    pb::Account {
        id: placement.account.0,
        address: placement.address.to_string(),
        tenant_id: placement.tenant.0,
        tenant: tenant.to_owned(),
        shard: placement.shard.0,
        status: status.into(),
        created_at_ms: placement.created_at.0,
        ..Default::default()
    }
}
