//! Lists of accounts, and of one account's mailboxes.

use std::collections::HashSet;

use buzon_meta_client::error::MetaError;
use buzon_model::read::ReadAt;
use buzon_model::reply::Rejection;
use buzon_model::row::MailboxRow;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::CallError;
use buzon_types::id::AccountId;

use super::account::listed;
use super::domain::Names;
use super::find::{address, page_rows};
use super::refusal::{invalid, not_found};
use super::{Admin, call_error};
use crate::groups::cold;

pub(super) async fn accounts(
    admin: &Admin,
    request: pb::ListAccountsRequest,
) -> Result<pb::ListAccountsResponse, CallError> {
    let tenant = match request.tenant.as_str() {
        "" => None,
        name => Some(admin.tenant_named(name).await?.id),
    };
    let after = match request.page.as_str() {
        "" => None,
        page => Some(page.parse::<AccountId>().map_err(|error| invalid("page", page, error))?),
    };
    let directory = admin.directory()?;
    directory.read(ReadAt::Linearizable, [], |_| ()).await?;
    let rows_max = page_rows(request.rows_max);
    let rows = directory.rows().await?.placements(tenant, after, rows_max).await.map_err(cold)?;
    let is_full = rows.len() == rows_max as usize;
    let next_page = rows.last().filter(|_| is_full).map(|row| row.account.to_string()).unwrap_or_default();
    let mut names = Names::default();
    let mut accounts = Vec::with_capacity(rows.len());
    for row in &rows {
        let state = admin.usage(row).await?.map(|row| row.state);
        accounts.push(listed(row, names.of(admin, row.tenant).await?, state));
    }
    Ok(pb::ListAccountsResponse { accounts, next_page })
}

pub(super) async fn mailboxes(
    admin: &Admin,
    request: pb::ListMailboxesRequest,
) -> Result<pb::ListMailboxesResponse, CallError> {
    let placement = admin.placement(&address(&request.address)?).await?;
    let listed = admin.meta.list_mailboxes(&placement.into(), ReadAt::Linearizable).await;
    let listed = listed.map_err(|error| match error {
        MetaError::Rejected(Rejection::NoSuchAccount) => not_found("account", &request.address),
        error => call_error(error),
    })?;
    let subscribed: HashSet<_> = listed.value.subscriptions.iter().collect();
    let answer = |row: &MailboxRow| mailbox(row, subscribed.contains(&row.name));
    Ok(pb::ListMailboxesResponse { mailboxes: listed.value.mailboxes.iter().map(answer).collect() })
}

fn mailbox(row: &MailboxRow, subscribed: bool) -> pb::Mailbox {
    pb::Mailbox {
        id: row.key.mailbox.0,
        name: row.name.to_string(),
        special_use: row.special_use.map_or(0, |special_use| special_use as i32),
        uid_validity: row.uid_validity.get(),
        uid_next: row.counters.uid_next.map_or(0, |uid| uid.get()),
        highest_modseq: row.counters.modseq.get(),
        messages: row.counters.messages,
        unseen: row.counters.unseen,
        deleted: row.counters.deleted,
        bytes: row.counters.bytes,
        subscribed,
    }
}
