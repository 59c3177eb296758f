//! Steps of moving an account, and the rows on their way.

use buzon_model::command::{
    ArrivePage, ArrivingMessage, ArrivingRecord, ArrivingRows, ArrivingTombstone, BeginArrive, Leaving,
    Relocation, Step,
};
use buzon_model::row::{
    AccountCounters, AccountRow, MailboxCounters, MailboxRow, MailboxState, MessageRow, Place, Tombstone,
};
use buzon_types::id::{AccountId, CredentialVersion, Epoch, GroupId, MailboxId, TenantId};
use buzon_types::request::InstanceId;
use buzon_types::secret::Secret;
use buzon_types::time::Timestamp;
use buzon_types::uid::Uid;

use super::shard::phc;
use super::value;
use crate::pb::log::v1 as pb;
use crate::pb::log::v1::command::Command as Kind;
use crate::wire::{self, Wire, WireError};

pub(super) fn to_wire(step: &Relocation) -> Kind {
    match step {
        Relocation::BeginArrive(it) => Kind::BeginArrive(pb::BeginArrive {
            step: Some(it.step.into()),
            from: it.from.0,
            tenant: it.tenant.0,
            address: it.address.to_string(),
        }),
        Relocation::ArrivePage(it) => Kind::ArrivePage(Box::new(pb::ArrivePage {
            step: Some(it.step.into()),
            number: it.number,
            cursor: it.cursor.clone(),
            rows: Some((&it.rows).into()),
        })),
        Relocation::Freeze(it) => {
            Kind::FreezeAccount(pb::FreezeAccount { step: Some(it.step.into()), to: it.to.0 })
        }
        Relocation::Activate(step) => Kind::ActivateArrived((*step).into()),
        Relocation::FinishLeave(step) => Kind::FinishLeave((*step).into()),
        Relocation::AbortLeave(step) => Kind::AbortLeave((*step).into()),
        Relocation::DropArriving(step) => Kind::DropArriving((*step).into()),
    }
}

pub(super) fn from_wire(kind: Kind) -> Wire<Relocation> {
    Ok(match kind {
        Kind::BeginArrive(it) => Relocation::BeginArrive(BeginArrive {
            step: step(it.step, "begin_arrive.step")?,
            from: GroupId(it.from),
            tenant: TenantId(it.tenant),
            address: wire::address(&it.address, "begin_arrive.address")?,
        }),
        Kind::ArrivePage(it) => Relocation::ArrivePage(Box::new(ArrivePage {
            step: step(it.step, "arrive_page.step")?,
            number: it.number,
            cursor: it.cursor,
            rows: wire::convert(it.rows, "arrive_page.rows")?,
        })),
        Kind::FreezeAccount(it) => {
            Relocation::Freeze(Leaving { step: step(it.step, "freeze_account.step")?, to: GroupId(it.to) })
        }
        Kind::ActivateArrived(step) => Relocation::Activate(step.into()),
        Kind::FinishLeave(step) => Relocation::FinishLeave(step.into()),
        Kind::AbortLeave(step) => Relocation::AbortLeave(step.into()),
        Kind::DropArriving(step) => Relocation::DropArriving(step.into()),
        _ => return Err(WireError::new("command.command")),
    })
}

fn step(it: Option<pb::MoveStep>, field: &'static str) -> Wire<Step> {
    wire::required(it, field).map(Into::into)
}

impl From<Step> for pb::MoveStep {
    fn from(step: Step) -> Self {
        Self { account: step.account.0, epoch: step.epoch.0 }
    }
}

impl From<pb::MoveStep> for Step {
    fn from(it: pb::MoveStep) -> Self {
        Self { account: AccountId(it.account), epoch: Epoch(it.epoch) }
    }
}

impl From<&ArrivingRows> for pb::ArrivingRows {
    fn from(rows: &ArrivingRows) -> Self {
        let message = |it: &ArrivingMessage| pb::ArrivingMessage {
            mailbox: it.mailbox.0,
            row: Some((&it.row).into()),
            summary: it.summary.clone(),
            expunged_at_ms: 0,
        };
        let tombstone = |it: &ArrivingTombstone| pb::ArrivingMessage {
            mailbox: it.mailbox.0,
            row: Some((&it.row.message).into()),
            summary: it.summary.clone(),
            expunged_at_ms: it.row.expunged_at.0,
        };
        Self {
            mailboxes: rows.mailboxes.iter().map(mailbox_to_wire).collect(),
            messages: rows.messages.iter().map(message).collect(),
            tombstones: rows.tombstones.iter().map(tombstone).collect(),
            subscriptions: rows.subscriptions.iter().map(ToString::to_string).collect(),
            records: rows.records.iter().map(record_to_wire).collect(),
            account: rows.account.as_ref().map(account_to_wire),
        }
    }
}

impl TryFrom<pb::ArrivingRows> for ArrivingRows {
    type Error = WireError;

    fn try_from(it: pb::ArrivingRows) -> Wire<Self> {
        let message = |it: pb::ArrivingMessage| -> Wire<ArrivingMessage> {
            let row: MessageRow = wire::convert(it.row, "arriving_message.row")?;
            Ok(ArrivingMessage { mailbox: MailboxId(it.mailbox), row, summary: it.summary })
        };
        let tombstone = |it: pb::ArrivingMessage| -> Wire<ArrivingTombstone> {
            let (at, mailbox) = (Timestamp(it.expunged_at_ms), MailboxId(it.mailbox));
            let message = wire::convert(it.row, "arriving_message.row")?;
            Ok(ArrivingTombstone {
                mailbox,
                row: Tombstone { message, expunged_at: at },
                summary: it.summary,
            })
        };
        let name = |name: String| wire::mailbox_name(&name, "arriving_rows.subscriptions");
        Ok(Self {
            mailboxes: it.mailboxes.iter().map(mailbox).collect::<Wire<_>>()?,
            messages: it.messages.into_iter().map(message).collect::<Wire<_>>()?,
            tombstones: it.tombstones.into_iter().map(tombstone).collect::<Wire<_>>()?,
            subscriptions: it.subscriptions.into_iter().map(name).collect::<Wire<_>>()?,
            records: it.records.into_iter().map(record).collect::<Wire<_>>()?,
            account: it.account.map(account).transpose()?,
        })
    }
}

fn mailbox_to_wire(row: &MailboxRow) -> pb::ArrivingMailbox {
    pb::ArrivingMailbox {
        key: Some(row.key.into()),
        name: row.name.to_string(),
        state: row.state as u32,
        uid_validity: row.uid_validity.get(),
        special_use: value::special_use_number(row.special_use),
        keywords: wire::keyword_names(&row.keywords),
        tombstone_floor: row.tombstone_floor.get(),
        created_at_ms: row.created_at.0,
        uid_next: wire::number(row.counters.uid_next),
        recent_from: wire::number(row.counters.recent_from),
        modseq: row.counters.modseq.get(),
        messages: row.counters.messages,
        unseen: row.counters.unseen,
        deleted: row.counters.deleted,
        bytes: row.counters.bytes,
    }
}

fn mailbox(it: &pb::ArrivingMailbox) -> Wire<MailboxRow> {
    let state = u8::try_from(it.state).ok().and_then(MailboxState::from_number);
    Ok(MailboxRow {
        key: wire::convert(it.key, "arriving_mailbox.key")?,
        name: wire::mailbox_name(&it.name, "arriving_mailbox.name")?,
        state: wire::required(state, "arriving_mailbox.state")?,
        uid_validity: wire::uid_validity(it.uid_validity, "arriving_mailbox.uid_validity")?,
        special_use: value::special_use(it.special_use, "arriving_mailbox.special_use")?,
        keywords: wire::keywords(&it.keywords, "arriving_mailbox.keywords")?,
        tombstone_floor: wire::modseq(it.tombstone_floor, "arriving_mailbox.tombstone_floor")?,
        created_at: Timestamp(it.created_at_ms),
        counters: MailboxCounters {
            uid_next: Uid::new(it.uid_next),
            recent_from: Uid::new(it.recent_from),
            modseq: wire::modseq(it.modseq, "arriving_mailbox.modseq")?,
            messages: it.messages,
            unseen: it.unseen,
            deleted: it.deleted,
            bytes: it.bytes,
        },
    })
}

fn record_to_wire(it: &ArrivingRecord) -> pb::ArrivingRecord {
    pb::ArrivingRecord {
        instance: wire::id_bytes(it.instance.0),
        opened_at_ms: it.opened_at.0,
        forgotten_below: it.forgotten_below,
        sequence: it.sequence,
        accounts: it.accounts.iter().map(|account| account.0).collect(),
        outcome: Some((&it.outcome).into()),
    }
}

fn record(it: pb::ArrivingRecord) -> Wire<ArrivingRecord> {
    Ok(ArrivingRecord {
        instance: InstanceId(wire::id(&it.instance, "arriving_record.instance")?),
        opened_at: Timestamp(it.opened_at_ms),
        forgotten_below: it.forgotten_below,
        sequence: it.sequence,
        accounts: it.accounts.into_iter().map(AccountId).collect(),
        outcome: wire::convert(it.outcome, "arriving_record.outcome")?,
    })
}

fn account_to_wire(row: &AccountRow) -> pb::ArrivingAccount {
    pb::ArrivingAccount {
        account: row.id.0,
        tenant: row.tenant.0,
        address: row.address.to_string(),
        state: row.state as i32,
        credential: phc(row.credential.as_ref()),
        credential_version: row.credential_version.0,
        quota: Some(row.quota.into()),
        last_uid_validity: row.last_uid_validity,
        next_mailbox: row.next_mailbox.0,
        created_at_ms: row.created_at.0,
        modseq: row.counters.modseq.get(),
        bytes: row.counters.bytes,
        messages: row.counters.messages,
    }
}

/// Its epoch and place are the destination's to say.
fn account(it: pb::ArrivingAccount) -> Wire<AccountRow> {
    Ok(AccountRow {
        id: AccountId(it.account),
        tenant: TenantId(it.tenant),
        epoch: Epoch(0),
        address: wire::address(&it.address, "arriving_account.address")?,
        state: value::account_state(it.state, "arriving_account.state")?,
        credential: it.credential.map(Secret::new),
        credential_version: CredentialVersion(it.credential_version),
        quota: wire::required(it.quota, "arriving_account.quota")?.into(),
        last_uid_validity: it.last_uid_validity,
        next_mailbox: MailboxId(it.next_mailbox),
        created_at: Timestamp(it.created_at_ms),
        counters: AccountCounters {
            modseq: wire::modseq(it.modseq, "arriving_account.modseq")?,
            bytes: it.bytes,
            messages: it.messages,
        },
        place: Place::Here,
    })
}
