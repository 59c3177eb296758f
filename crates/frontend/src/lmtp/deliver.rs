//! A message and its recipients → one reply for each of them (RFC 2033 §4.2, enhanced codes of RFC 3463).
//!
//! The body is put once, whoever gets it; then each shard is asked once for all of its recipients.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use buzon_meta_client::account::AccountHandle;
use buzon_model::command::{Command, NewMessage, Recipient, ShardCommand};
use buzon_model::reply::{Outcome, Rejection, Reply};
use buzon_types::flag::SystemFlags;
use buzon_types::id::GroupId;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::time::InternalDate;
use bytes::Bytes;
use jiff::Timestamp;

use super::command::Mail;
use super::{Options, Services};
use crate::incoming::keep;

/// Who gets a message.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The account.
    pub(super) account: AccountHandle,
    /// The mailbox that the address names, if it exists.
    pub(super) mailbox: Option<MailboxName>,
}

const DELIVERED: &str = "250 2.1.5 Delivered";
const NO_STORE: &str = "451 4.3.0 Storage is not available, try again";
const NO_METADATA: &str = "451 4.3.0 Mailbox is not available, try again";
const UNKNOWN_ACCOUNT: &str = "550 5.1.1 No such mailbox here";

/// Delivers to all; one reply for each, in order.
pub(super) async fn deliver(services: &Services, targets: &[Target], message: Bytes) -> Vec<&'static str> {
    let kept = match keep(&services.dependencies.bodies, message).await {
        Ok(kept) => kept,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "put body");
            return vec![NO_STORE; targets.len()];
        }
    };
    let internal_date = InternalDate { seconds: Timestamp::now().as_second(), zone_minutes: 0 };
    let message = NewMessage {
        flags: SystemFlags::NONE,
        keywords: Vec::new(),
        internal_date,
        size: kept.size,
        body: kept.body,
        summary: kept.summary,
    };
    let mut shards: BTreeMap<GroupId, Vec<usize>> = BTreeMap::new();
    for (at, target) in targets.iter().enumerate() {
        shards.entry(target.account.shard).or_default().push(at);
    }
    let proposals = shards.into_iter().map(|(shard, members)| {
        let recipients = recipients_of(targets, &members);
        let message = message.clone();
        async move { (propose(services, shard, &recipients, message).await, recipients, members) }
    });
    let mut replies = vec![NO_METADATA; targets.len()];
    for (results, recipients, members) in futures::future::join_all(proposals).await {
        for at in members {
            let mine = recipients.iter().position(|it| same(it, &targets[at]));
            replies[at] = mine.and_then(|mine| results.get(mine)).copied().unwrap_or(NO_METADATA);
        }
    }
    replies
}

/// Each account and mailbox once, though several addresses may lead there.
fn recipients_of(targets: &[Target], members: &[usize]) -> Vec<Recipient> {
    let mut recipients: Vec<Recipient> = Vec::with_capacity(members.len());
    for target in members.iter().map(|&at| &targets[at]) {
        if !recipients.iter().any(|it| same(it, target)) {
            recipients.push(Recipient { account: target.account.account, mailbox: target.mailbox.clone() });
        }
    }
    recipients
}

fn same(recipient: &Recipient, target: &Target) -> bool {
    recipient.account == target.account.account && recipient.mailbox == target.mailbox
}

/// One reply for each recipient of a shard.
async fn propose(
    services: &Services,
    shard: GroupId,
    recipients: &[Recipient],
    message: NewMessage,
) -> Vec<&'static str> {
    let command = Command::Shard(ShardCommand::Deliver { recipients: recipients.to_vec(), message });
    let outcome: Outcome = match services.dependencies.meta.propose(shard, command).await {
        Ok((_, outcome)) => outcome,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, %shard, "propose delivery");
            return vec![NO_METADATA; recipients.len()];
        }
    };
    match outcome {
        Ok(Reply::Delivered(results)) => results
            .iter()
            .map(|result| result.as_ref().map_or_else(|it| refusal(it, &services.options), |_| DELIVERED))
            .collect(),
        Ok(other) => {
            tracing::error!(?other, "a delivery was answered with something else");
            vec![NO_METADATA; recipients.len()]
        }
        Err(rejection) => vec![refusal(&rejection, &services.options); recipients.len()],
    }
}

fn refusal(rejection: &Rejection, options: &Options) -> &'static str {
    match rejection {
        Rejection::OverQuota(_) => over_quota(options),
        Rejection::NoSuchAccount => UNKNOWN_ACCOUNT,
        Rejection::UidsExhausted => "552 5.2.0 Mailbox can take no more messages",
        _ => NO_METADATA,
    }
}

/// As the operator wants it said.
pub(super) fn over_quota(options: &Options) -> &'static str {
    if options.over_quota_defers { "452 4.2.2 Mailbox is full" } else { "552 5.2.2 Mailbox is full" }
}

/// `Return-Path` and `Received` (RFC 5321 §4.4); protocol names of RFC 3848 and RFC 6531 §4.3.
pub(super) fn trace_headers(
    host: &str,
    client: &str,
    peer: SocketAddr,
    mail: &Mail,
    encrypted: bool,
) -> String {
    let protocol = match (mail.utf8, encrypted) {
        (false, false) => "LMTP",
        (false, true) => "LMTPS",
        (true, false) => "UTF8LMTP",
        (true, true) => "UTF8LMTPS",
    };
    let client: String = client.chars().filter(|c| c.is_alphanumeric() || "-._:[]".contains(*c)).collect();
    let address = match peer.ip().to_canonical() {
        std::net::IpAddr::V4(v4) => v4.to_string(),
        std::net::IpAddr::V6(v6) => format!("IPv6:{v6}"),
    };
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
    let id: u64 = rand::random();
    format!(
        "Return-Path: <{}>\r\nReceived: from {client} ([{address}])\r\n\tby {host} with {protocol} id {id:016x};\r\n\t{date}\r\n",
        mail.from
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_headers_cannot_be_broken_by_the_client() {
        let mail = Mail { from: "a@b.example".into(), size: None, utf8: false };
        let headers = trace_headers("mx", "evil\r\nX: (y) <z>", "[::1]:9".parse().unwrap(), &mail, true);
        assert_eq!(headers.lines().count(), 4);
        assert!(headers.starts_with(
            "Return-Path: <a@b.example>\r\nReceived: from evilX:yz ([IPv6:::1])\r\n\tby mx with LMTPS id "
        ));
    }
}
