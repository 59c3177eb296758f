//! `buzon ctl mailbox`.

use buzon_proto::pb::admin::v1::ListMailboxesRequest;
use buzon_proto::pb::log::v1::SpecialUse;
use serde_json::{Value, json};

use super::connection::Admin;
use super::output::Output;
use crate::cli::MailboxCommand;

const COLUMNS: &[&str] = &[
    "name",
    "use",
    "messages",
    "unseen",
    "bytes",
    "uid_next",
    "uid_validity",
    "highest_modseq",
    "subscribed",
];

pub(super) async fn run(admin: &mut Admin, command: MailboxCommand) -> anyhow::Result<Output> {
    let MailboxCommand::List { account } = command;
    let answer = admin.list_mailboxes(ListMailboxesRequest { address: account }).await?.into_inner();
    let rows = answer.mailboxes.iter().map(|it| {
        let special_use = match it.special_use() {
            SpecialUse::Unspecified => Value::Null,
            other => json!(other.as_str_name().trim_start_matches("SPECIAL_USE_").to_lowercase()),
        };
        vec![
            json!(it.name),
            special_use,
            json!(it.messages),
            json!(it.unseen),
            json!(it.bytes),
            json!(it.uid_next),
            json!(it.uid_validity),
            json!(it.highest_modseq),
            json!(it.subscribed),
        ]
    });
    Ok(Output::Rows(COLUMNS, rows.collect()))
}
