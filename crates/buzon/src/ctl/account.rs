//! `buzon ctl account`.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::bail;
use buzon_proto::pb::admin::v1::{
    Account, AccountStatus, AddAliasRequest, CreateAccountRequest, DeleteAccountRequest, GetAccountRequest,
    ListAccountsRequest, MoveAccountRequest, RemoveAliasRequest, ResumeAccountRequest, SetPasswordRequest,
    SetQuotaRequest, SuspendAccountRequest,
};
use buzon_proto::pb::log::v1::Quota;
use serde_json::{Value, json};

use super::connection::Admin;
use super::output::{Output, time};
use super::password;
use crate::cli::{AccountCommand, AliasCommand};

pub(super) async fn run(admin: &mut Admin, command: AccountCommand) -> anyhow::Result<Output> {
    let account = match command {
        AccountCommand::Create { address, password, quota, quota_messages } => {
            let password = Some(password::read(&password)?.expose().clone());
            let quota = Some(Quota { bytes_max: quota, messages_max: quota_messages });
            let ask = CreateAccountRequest { tenant: String::new(), address, password, quota };
            admin.create_account(ask).await?
        }
        AccountCommand::List { tenant } => return list(admin, tenant.unwrap_or_default()).await,
        AccountCommand::Show { address } => admin.get_account(GetAccountRequest { address }).await?,
        AccountCommand::Passwd { address, password } => {
            let password = Some(password::read(&password)?.expose().clone());
            admin.set_password(SetPasswordRequest { address, password }).await?
        }
        AccountCommand::Suspend { address } => {
            admin.suspend_account(SuspendAccountRequest { address }).await?
        }
        AccountCommand::Resume { address } => admin.resume_account(ResumeAccountRequest { address }).await?,
        AccountCommand::Quota { address, bytes, messages } => {
            let quota = Some(Quota { bytes_max: bytes, messages_max: messages });
            admin.set_quota(SetQuotaRequest { address, quota }).await?
        }
        AccountCommand::Alias(command) => return alias(admin, command).await,
        AccountCommand::Move { address, shard } => return relocate(admin, address, shard).await,
        AccountCommand::Delete { address, yes } => return delete(admin, address, yes).await,
    };
    Ok(one(&account.into_inner()))
}

async fn alias(admin: &mut Admin, command: AliasCommand) -> anyhow::Result<Output> {
    match command {
        AliasCommand::Add { address, alias } => {
            Ok(one(&admin.add_alias(AddAliasRequest { address, alias }).await?.into_inner()))
        }
        AliasCommand::List { address } => {
            let account = admin.get_account(GetAccountRequest { address }).await?.into_inner();
            Ok(Output::Rows(&["alias"], account.aliases.into_iter().map(|it| vec![json!(it)]).collect()))
        }
        AliasCommand::Remove { alias } => {
            Ok(one(&admin.remove_alias(RemoveAliasRequest { alias }).await?.into_inner()))
        }
    }
}

async fn list(admin: &mut Admin, tenant: String) -> anyhow::Result<Output> {
    let (mut rows, mut page) = (Vec::new(), String::new());
    loop {
        let ask = ListAccountsRequest { tenant: tenant.clone(), page, rows_max: 1000 };
        let answer = admin.list_accounts(ask).await?.into_inner();
        rows.extend(answer.accounts.iter().map(|it| {
            vec![json!(it.address), json!(it.tenant), status(it), json!(it.shard), time(it.created_at_ms)]
        }));
        page = answer.next_page;
        if page.is_empty() {
            return Ok(Output::Rows(&["address", "tenant", "status", "shard", "created"], rows));
        }
    }
}

/// Asks again for as long as it takes; the move goes on whether or not somebody waits.
async fn relocate(admin: &mut Admin, address: String, shard: u64) -> anyhow::Result<Output> {
    loop {
        let ask = MoveAccountRequest { address: address.clone(), shard };
        if admin.move_account(ask).await?.into_inner().done {
            return Ok(Output::Done(format!("account {address} lives in shard {shard}")));
        }
    }
}

async fn delete(admin: &mut Admin, address: String, yes: bool) -> anyhow::Result<Output> {
    if !yes {
        if !std::io::stdin().is_terminal() {
            bail!("deleting {address} and all its mail needs --yes");
        }
        print!("Delete {address} and all its mail? Type the address again: ");
        std::io::stdout().flush()?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        if line.trim() != address {
            bail!("not deleted");
        }
    }
    admin.delete_account(DeleteAccountRequest { address: address.clone() }).await?;
    Ok(Output::Done(format!("account {address} is deleted")))
}

fn one(account: &Account) -> Output {
    let quota = account.quota.unwrap_or_default();
    Output::One(vec![
        ("address", json!(account.address)),
        ("id", json!(account.id)),
        ("tenant", json!(account.tenant)),
        ("status", status(account)),
        ("aliases", json!(account.aliases)),
        ("messages", json!(account.messages)),
        ("messages_max", json!(quota.messages_max)),
        ("bytes", json!(account.bytes)),
        ("bytes_max", json!(quota.bytes_max)),
        ("shard", json!(account.shard)),
        ("created", time(account.created_at_ms)),
    ])
}

fn status(account: &Account) -> Value {
    json!(match account.status() {
        AccountStatus::Active => "active",
        AccountStatus::Suspended => "suspended",
        AccountStatus::Creating => "creating",
        AccountStatus::Deleting => "deleting",
        AccountStatus::Unspecified => "unknown",
    })
}
