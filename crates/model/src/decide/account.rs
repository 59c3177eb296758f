//! Accounts of a shard: made with their mailboxes, suspended, hidden.

use buzon_types::id::{AccountId, CredentialVersion, MailboxId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::secret::Secret;
use buzon_types::special_use::SpecialUse;
use buzon_types::time::Timestamp;

use crate::change::Change;
use crate::command::CreateAccount;
use crate::decide::Decided;
use crate::decide::tree::TreeDraft;
use crate::reply::{Rejection, Reply};
use crate::row::{AccountCounters, AccountRow, AccountState, Place, Quota};
use crate::state::State;

/// What every account starts with besides INBOX: clients that ignore SPECIAL-USE would make their own.
const MAILBOXES: [(&str, SpecialUse); 5] = [
    ("Drafts", SpecialUse::Drafts),
    ("Sent", SpecialUse::Sent),
    ("Junk", SpecialUse::Junk),
    ("Trash", SpecialUse::Trash),
    ("Archive", SpecialUse::Archive),
];

pub(super) fn create(state: &State, at: Timestamp, create: &CreateAccount) -> Decided {
    if let Some(account) = state.account_in_any_state(create.account) {
        // An id is never used again: one that is being deleted does not come back.
        let is_live = account.row.state != AccountState::Deleting;
        return if is_live { Ok((vec![], Reply::Done)) } else { Err(Rejection::NoSuchAccount) };
    }
    let row = AccountRow {
        id: create.account,
        tenant: create.tenant,
        epoch: create.epoch,
        address: create.address.clone(),
        state: AccountState::Active,
        credential: create.credential.clone(),
        credential_version: CredentialVersion(1),
        quota: create.quota,
        last_uid_validity: 0,
        next_mailbox: MailboxId(1),
        created_at: at,
        counters: AccountCounters::default(),
        place: Place::Here,
    };
    let mut tree = TreeDraft::new(row, 0, at, create.uid_validity_seed);
    let special = MAILBOXES.into_iter().map(|(name, special_use)| {
        (MailboxName::new(name).expect("the names above are mailbox names"), Some(special_use))
    });
    for (name, special_use) in [(MailboxName::inbox(), None)].into_iter().chain(special) {
        tree.create(name.clone(), special_use)?;
        tree.push(Change::Subscribe(create.account, name));
    }
    Ok(tree.finish(Reply::Done))
}

/// Its credential goes at once; its rows go by `PurgeAccount`.
pub(super) fn delete(state: &State, id: AccountId) -> Decided {
    let account = state.account_in_any_state(id).ok_or(Rejection::NoSuchAccount)?;
    if account.row.state == AccountState::Deleting {
        return Ok((vec![], Reply::Done));
    }
    let row = AccountRow { state: AccountState::Deleting, credential: None, ..account.row.clone() };
    Ok((vec![Change::PutAccount(with_new_version(row))], Reply::Done))
}

pub(super) fn set_credential(state: &State, id: AccountId, credential: Option<&Secret<String>>) -> Decided {
    let account = state.account(id).ok_or(Rejection::NoSuchAccount)?;
    let row = AccountRow { credential: credential.cloned(), ..account.row.clone() };
    Ok((vec![Change::PutAccount(with_new_version(row))], Reply::Done))
}

pub(super) fn set_state(state: &State, id: AccountId, to: AccountState) -> Decided {
    let account = state.account(id).ok_or(Rejection::NoSuchAccount)?;
    if to == AccountState::Deleting {
        return Err(Rejection::NotHere);
    }
    if account.row.state == to {
        return Ok((vec![], Reply::Done));
    }
    let row = AccountRow { state: to, ..account.row.clone() };
    Ok((vec![Change::PutAccount(with_new_version(row))], Reply::Done))
}

pub(super) fn set_quota(state: &State, id: AccountId, quota: Quota) -> Decided {
    let account = state.account(id).ok_or(Rejection::NoSuchAccount)?;
    if account.row.quota == quota {
        return Ok((vec![], Reply::Done));
    }
    Ok((vec![Change::PutAccount(AccountRow { quota, ..account.row.clone() })], Reply::Done))
}

/// Password checks cached under the old version are void from now on (DESIGN D12).
fn with_new_version(row: AccountRow) -> AccountRow {
    let credential_version = CredentialVersion(row.credential_version.0 + 1);
    AccountRow { credential_version, ..row }
}
