//! Outcomes: replies and rejections.

use buzon_model::reply::{Delivery, FlagState, Outcome, QuotaKind, Rejection, Reply};
use buzon_types::id::{AccountId, Epoch, GroupId, MailboxId, NodeId, TenantId};

use super::value::some_uid;
use crate::pb::log::v1 as pb;
use crate::pb::log::v1::RejectionCode as Code;
use crate::pb::log::v1::outcome::Outcome as Kind;
use crate::wire::{self, Wire, WireError};

impl From<&Outcome> for pb::Outcome {
    fn from(outcome: &Outcome) -> Self {
        let kind = match outcome {
            Ok(reply) => reply_to_wire(reply),
            Err(rejection) => Kind::Rejected(rejection.into()),
        };
        Self { outcome: Some(kind) }
    }
}

impl TryFrom<pb::Outcome> for Outcome {
    type Error = WireError;

    fn try_from(outcome: pb::Outcome) -> Wire<Self> {
        match wire::required(outcome.outcome, "outcome.outcome")? {
            Kind::Rejected(rejection) => Ok(Err(rejection.try_into()?)),
            reply => reply_from_wire(reply).map(Ok),
        }
    }
}

fn reply_to_wire(reply: &Reply) -> Kind {
    match reply {
        Reply::Done => Kind::Done(pb::Done {}),
        Reply::TenantCreated(tenant) => Kind::TenantCreated(tenant.0),
        Reply::AccountPlaced { account, shard, epoch } => {
            Kind::AccountPlaced(pb::AccountPlaced { account: account.0, shard: shard.0, epoch: epoch.0 })
        }
        Reply::MailboxCreated { mailbox, uid_validity } => {
            Kind::MailboxCreated(pb::MailboxCreated { mailbox: mailbox.0, uid_validity: uid_validity.get() })
        }
        Reply::Appended { uid_validity, uids, advance } => Kind::Appended(pb::Appended {
            uid_validity: uid_validity.get(),
            uids: Some(uids.into()),
            advance: Some((*advance).into()),
        }),
        Reply::Delivered(deliveries) => {
            Kind::Delivered(pb::Delivered { deliveries: deliveries.iter().map(Into::into).collect() })
        }
        Reply::Stored { messages, modified, keywords, advance } => Kind::Stored(pb::Stored {
            messages: messages.iter().map(Into::into).collect(),
            modified: Some(modified.into()),
            keywords: wire::keyword_names(keywords),
            advance: Some((*advance).into()),
        }),
        Reply::Expunged { uids, advance } => {
            Kind::Expunged(pb::Expunged { uids: Some(uids.into()), advance: Some((*advance).into()) })
        }
        Reply::Copied { uid_validity, source, target } => Kind::Copied(pb::Copied {
            uid_validity: uid_validity.get(),
            source: Some(source.into()),
            target: Some(target.into()),
        }),
        Reply::Moved { uid_validity, source, target, advance } => Kind::Moved(pb::Moved {
            uid_validity: uid_validity.get(),
            source: Some(source.into()),
            target: Some(target.into()),
            advance: Some((*advance).into()),
        }),
        Reply::Staged { messages } => Kind::Staged(*messages),
        Reply::RecentClaimed { from, below } => {
            Kind::RecentClaimed(pb::RecentClaimed { from: wire::number(*from), below: wire::number(*below) })
        }
        Reply::Purged { more } => Kind::Purged(*more),
        Reply::NodeAdded(node) => Kind::NodeAdded(node.0),
        Reply::ShardsAdded(groups) => {
            Kind::ShardsAdded(pb::ShardsAdded { groups: groups.iter().map(|group| group.0).collect() })
        }
        Reply::MoveBegun { from, epoch } => Kind::MoveBegun(pb::MoveBegun { from: from.0, epoch: epoch.0 }),
        Reply::Arriving { pages, cursor, complete } => {
            Kind::Arriving(pb::Arriving { pages: *pages, cursor: cursor.clone(), complete: *complete })
        }
    }
}

fn reply_from_wire(kind: Kind) -> Wire<Reply> {
    Ok(match kind {
        Kind::Done(pb::Done {}) => Reply::Done,
        Kind::TenantCreated(tenant) => Reply::TenantCreated(TenantId(tenant)),
        Kind::AccountPlaced(it) => Reply::AccountPlaced {
            account: AccountId(it.account),
            shard: GroupId(it.shard),
            epoch: Epoch(it.epoch),
        },
        Kind::MailboxCreated(it) => Reply::MailboxCreated {
            mailbox: MailboxId(it.mailbox),
            uid_validity: wire::uid_validity(it.uid_validity, "mailbox_created.uid_validity")?,
        },
        Kind::Appended(it) => Reply::Appended {
            uid_validity: wire::uid_validity(it.uid_validity, "appended.uid_validity")?,
            uids: wire::convert(it.uids, "appended.uids")?,
            advance: wire::convert(it.advance, "appended.advance")?,
        },
        Kind::Delivered(it) => {
            Reply::Delivered(it.deliveries.into_iter().map(delivery).collect::<Wire<_>>()?)
        }
        Kind::Stored(it) => Reply::Stored {
            messages: it.messages.into_iter().map(FlagState::try_from).collect::<Wire<_>>()?,
            modified: wire::convert(it.modified, "stored.modified")?,
            keywords: wire::keywords(&it.keywords, "stored.keywords")?,
            advance: wire::convert(it.advance, "stored.advance")?,
        },
        Kind::Expunged(it) => Reply::Expunged {
            uids: wire::convert(it.uids, "expunged.uids")?,
            advance: wire::convert(it.advance, "expunged.advance")?,
        },
        Kind::Copied(it) => Reply::Copied {
            uid_validity: wire::uid_validity(it.uid_validity, "copied.uid_validity")?,
            source: wire::convert(it.source, "copied.source")?,
            target: wire::convert(it.target, "copied.target")?,
        },
        Kind::Moved(it) => Reply::Moved {
            uid_validity: wire::uid_validity(it.uid_validity, "moved.uid_validity")?,
            source: wire::convert(it.source, "moved.source")?,
            target: wire::convert(it.target, "moved.target")?,
            advance: wire::convert(it.advance, "moved.advance")?,
        },
        Kind::Staged(messages) => Reply::Staged { messages },
        Kind::RecentClaimed(it) => {
            Reply::RecentClaimed { from: some_uid(it.from), below: some_uid(it.below) }
        }
        Kind::Purged(more) => Reply::Purged { more },
        Kind::NodeAdded(node) => Reply::NodeAdded(NodeId(node)),
        Kind::MoveBegun(it) => Reply::MoveBegun { from: GroupId(it.from), epoch: Epoch(it.epoch) },
        Kind::Arriving(it) => Reply::Arriving { pages: it.pages, cursor: it.cursor, complete: it.complete },
        Kind::ShardsAdded(it) => Reply::ShardsAdded(it.groups.into_iter().map(GroupId).collect()),
        Kind::Rejected(_) => return Err(WireError::new("outcome.outcome")),
    })
}

impl From<&Result<Delivery, Rejection>> for pb::Delivery {
    fn from(delivery: &Result<Delivery, Rejection>) -> Self {
        match delivery {
            Ok(it) => Self {
                rejected: None,
                mailbox: it.mailbox.0,
                uid_validity: it.uid_validity.get(),
                uid: it.uid.get(),
            },
            Err(rejection) => Self { rejected: Some(rejection.into()), ..Self::default() },
        }
    }
}

fn delivery(it: pb::Delivery) -> Wire<Result<Delivery, Rejection>> {
    if let Some(rejection) = it.rejected {
        return Ok(Err(rejection.try_into()?));
    }
    Ok(Ok(Delivery {
        mailbox: MailboxId(it.mailbox),
        uid_validity: wire::uid_validity(it.uid_validity, "delivery.uid_validity")?,
        uid: wire::uid(it.uid, "delivery.uid")?,
    }))
}

/// Code and, where a reason has one, the name of what is in the way.
fn code_and_name(rejection: &Rejection) -> (Code, String) {
    let code = match rejection {
        Rejection::NoSuchAccount => Code::NoSuchAccount,
        Rejection::Moved { .. } => Code::Moved,
        Rejection::Frozen => Code::Frozen,
        Rejection::MoveOver => Code::MoveOver,
        Rejection::MovePending(_) => Code::MovePending,
        Rejection::TooManyMoves => Code::TooManyMoves,
        Rejection::NoSuchMailbox => Code::NoSuchMailbox,
        Rejection::MailboxExists(name) => return (Code::MailboxExists, name.to_string()),
        Rejection::Inbox => Code::Inbox,
        Rejection::IntoItself => Code::IntoItself,
        Rejection::NameTooLong => Code::NameTooLong,
        Rejection::SpecialUseTaken(name) => return (Code::SpecialUseTaken, name.to_string()),
        Rejection::TooManyMailboxes => Code::TooManyMailboxes,
        Rejection::TooManyKeywords => Code::TooManyKeywords,
        Rejection::OverQuota(_) => Code::OverQuota,
        Rejection::UidsExhausted => Code::UidsExhausted,
        Rejection::TooManyMessages => Code::TooManyMessages,
        Rejection::NoSuchStaging => Code::NoSuchStaging,
        Rejection::StagingMismatch => Code::StagingMismatch,
        Rejection::InstanceUnknown => Code::InstanceUnknown,
        Rejection::RequestForgotten => Code::RequestForgotten,
        Rejection::TooManyRequests => Code::TooManyRequests,
        Rejection::NotHere => Code::NotHere,
        Rejection::NoSuchTenant => Code::NoSuchTenant,
        Rejection::TenantExists(name) => return (Code::TenantExists, name.clone()),
        Rejection::NoSuchDomain => Code::NoSuchDomain,
        Rejection::DomainTaken(domain) => return (Code::DomainTaken, domain.to_string()),
        Rejection::NoSuchAddress => Code::NoSuchAddress,
        Rejection::AddressTaken(address) => return (Code::AddressTaken, address.to_string()),
        Rejection::PrimaryAddress => Code::PrimaryAddress,
        Rejection::NotEmpty => Code::NotEmpty,
        Rejection::TenantFull => Code::TenantFull,
        Rejection::ClusterNotFounded => Code::ClusterNotFounded,
        Rejection::ClusterExists => Code::ClusterExists,
        Rejection::NoSuchNode(_) => Code::NoSuchNode,
        Rejection::NodeRemoved(_) => Code::NodeRemoved,
        Rejection::NodeAddressTaken(address, _) => return (Code::NodeAddressTaken, address.to_string()),
        Rejection::NodeExists(_) => Code::NodeExists,
        Rejection::NodeInUse(..) => Code::NodeInUse,
        Rejection::LastActiveNode(_) => Code::LastActiveNode,
        Rejection::NoSuchShard(_) => Code::NoSuchShard,
        Rejection::ShardVotersChanged(_) => Code::ShardVotersChanged,
        Rejection::BadVoters => Code::BadVoters,
        Rejection::ClusterFull => Code::ClusterFull,
    };
    (code, String::new())
}

/// What is in the way, where it has a number.
fn node_and_shard(rejection: &Rejection) -> (u64, u64) {
    match rejection {
        Rejection::NoSuchNode(node)
        | Rejection::NodeRemoved(node)
        | Rejection::NodeAddressTaken(_, node)
        | Rejection::NodeExists(node)
        | Rejection::LastActiveNode(node) => (node.0, 0),
        Rejection::NodeInUse(node, shard) => (node.0, shard.0),
        Rejection::NoSuchShard(shard)
        | Rejection::ShardVotersChanged(shard)
        | Rejection::MovePending(shard)
        | Rejection::Moved { shard, .. } => (0, shard.0),
        _ => (0, 0),
    }
}

impl From<&Rejection> for pb::Rejection {
    fn from(rejection: &Rejection) -> Self {
        let (code, name) = code_and_name(rejection);
        let epoch = if let Rejection::Moved { epoch, .. } = rejection { epoch.0 } else { 0 };
        let quota = match rejection {
            Rejection::OverQuota(QuotaKind::Bytes) => pb::QuotaKind::Bytes,
            Rejection::OverQuota(QuotaKind::Messages) => pb::QuotaKind::Messages,
            _ => pb::QuotaKind::Unspecified,
        };
        let (node, shard) = node_and_shard(rejection);
        Self { code: code.into(), name, epoch, quota: quota.into(), node, shard }
    }
}

impl TryFrom<pb::Rejection> for Rejection {
    type Error = WireError;

    fn try_from(it: pb::Rejection) -> Wire<Self> {
        const ERROR: WireError = WireError::new("rejection.code");
        Ok(match Code::try_from(it.code).map_err(|_| ERROR)? {
            Code::Unspecified => return Err(ERROR),
            Code::NoSuchAccount => Self::NoSuchAccount,
            Code::Moved => Self::Moved { shard: GroupId(it.shard), epoch: Epoch(it.epoch) },
            Code::Frozen => Self::Frozen,
            Code::MoveOver => Self::MoveOver,
            Code::MovePending => Self::MovePending(GroupId(it.shard)),
            Code::TooManyMoves => Self::TooManyMoves,
            Code::NoSuchMailbox => Self::NoSuchMailbox,
            Code::MailboxExists => Self::MailboxExists(wire::mailbox_name(&it.name, "rejection.name")?),
            Code::Inbox => Self::Inbox,
            Code::IntoItself => Self::IntoItself,
            Code::NameTooLong => Self::NameTooLong,
            Code::SpecialUseTaken => Self::SpecialUseTaken(wire::mailbox_name(&it.name, "rejection.name")?),
            Code::TooManyMailboxes => Self::TooManyMailboxes,
            Code::TooManyKeywords => Self::TooManyKeywords,
            Code::OverQuota => Self::OverQuota(quota_kind(it.quota)?),
            Code::UidsExhausted => Self::UidsExhausted,
            Code::TooManyMessages => Self::TooManyMessages,
            Code::NoSuchStaging => Self::NoSuchStaging,
            Code::StagingMismatch => Self::StagingMismatch,
            Code::InstanceUnknown => Self::InstanceUnknown,
            Code::RequestForgotten => Self::RequestForgotten,
            Code::TooManyRequests => Self::TooManyRequests,
            Code::NotHere => Self::NotHere,
            Code::NoSuchTenant => Self::NoSuchTenant,
            Code::TenantExists => Self::TenantExists(it.name),
            Code::NoSuchDomain => Self::NoSuchDomain,
            Code::DomainTaken => Self::DomainTaken(wire::domain(&it.name, "rejection.name")?),
            Code::NoSuchAddress => Self::NoSuchAddress,
            Code::AddressTaken => Self::AddressTaken(wire::address(&it.name, "rejection.name")?),
            Code::PrimaryAddress => Self::PrimaryAddress,
            Code::NotEmpty => Self::NotEmpty,
            Code::TenantFull => Self::TenantFull,
            Code::ClusterNotFounded => Self::ClusterNotFounded,
            Code::ClusterExists => Self::ClusterExists,
            Code::NoSuchNode => Self::NoSuchNode(NodeId(it.node)),
            Code::NodeRemoved => Self::NodeRemoved(NodeId(it.node)),
            Code::NodeAddressTaken => {
                Self::NodeAddressTaken(wire::node_address(&it.name, "rejection.name")?, NodeId(it.node))
            }
            Code::NodeExists => Self::NodeExists(NodeId(it.node)),
            Code::NodeInUse => Self::NodeInUse(NodeId(it.node), GroupId(it.shard)),
            Code::LastActiveNode => Self::LastActiveNode(NodeId(it.node)),
            Code::NoSuchShard => Self::NoSuchShard(GroupId(it.shard)),
            Code::ShardVotersChanged => Self::ShardVotersChanged(GroupId(it.shard)),
            Code::BadVoters => Self::BadVoters,
            Code::ClusterFull => Self::ClusterFull,
        })
    }
}

fn quota_kind(number: i32) -> Wire<QuotaKind> {
    match pb::QuotaKind::try_from(number) {
        Ok(pb::QuotaKind::Bytes) => Ok(QuotaKind::Bytes),
        Ok(pb::QuotaKind::Messages) => Ok(QuotaKind::Messages),
        Ok(pb::QuotaKind::Unspecified) | Err(_) => Err(WireError::new("rejection.quota")),
    }
}
