//! Reads and events of MailService.

use buzon_model::read::{
    AccountEvent, CredentialRead, EventKind, MailboxDelta, MessageRead, OpenedMailbox, ReadAt, UsageRead,
};
use buzon_model::reply::FlagState;
use buzon_model::row::{AccountCounters, MailboxCounters, MailboxRow, MailboxState};
use buzon_types::id::{AccountId, CredentialVersion, GroupId, LogIndex, MailboxId};
use buzon_types::secret::Secret;
use buzon_types::time::Timestamp;

use crate::log::value;
use crate::pb::mail::v1 as pb;
use crate::pb::mail::v1::read_at::At as PbAt;
use crate::wire::{self, Wire, WireError};

impl From<ReadAt> for pb::ReadAt {
    fn from(at: ReadAt) -> Self {
        let at = match at {
            ReadAt::Linearizable => PbAt::Linearizable(pb::Linearizable {}),
            ReadAt::Index(index) => PbAt::Index(index.0),
            ReadAt::Local => PbAt::Local(pb::Local {}),
        };
        Self { at: Some(at) }
    }
}

impl TryFrom<pb::ReadAt> for ReadAt {
    type Error = WireError;

    fn try_from(at: pb::ReadAt) -> Wire<Self> {
        Ok(match wire::required(at.at, "read_at.at")? {
            PbAt::Linearizable(pb::Linearizable {}) => Self::Linearizable,
            PbAt::Index(index) => Self::Index(LogIndex(index)),
            PbAt::Local(pb::Local {}) => Self::Local,
        })
    }
}

/// The answer to Credential.
pub fn credential_response(index: LogIndex, read: &CredentialRead) -> pb::CredentialResponse {
    pb::CredentialResponse {
        index: index.0,
        credential: read.credential.as_ref().map(|credential| credential.expose().clone()),
        version: read.version.0,
        state: read.state as i32,
    }
}

impl TryFrom<pb::CredentialResponse> for CredentialRead {
    type Error = WireError;

    fn try_from(it: pb::CredentialResponse) -> Wire<Self> {
        Ok(Self {
            credential: it.credential.map(Secret::new),
            version: CredentialVersion(it.version),
            state: value::account_state(it.state, "credential_response.state")?,
        })
    }
}

/// The answer to Usage.
pub fn usage_response(index: LogIndex, read: &UsageRead) -> pb::UsageResponse {
    pb::UsageResponse {
        index: index.0,
        modseq: read.counters.modseq.get(),
        bytes: read.counters.bytes,
        messages: read.counters.messages,
        quota: Some(read.quota.into()),
        state: read.state as i32,
    }
}

impl TryFrom<pb::UsageResponse> for UsageRead {
    type Error = WireError;

    fn try_from(it: pb::UsageResponse) -> Wire<Self> {
        Ok(Self {
            counters: AccountCounters {
                modseq: wire::modseq(it.modseq, "usage_response.modseq")?,
                bytes: it.bytes,
                messages: it.messages,
            },
            quota: wire::required(it.quota, "usage_response.quota")?.into(),
            state: value::account_state(it.state, "usage_response.state")?,
        })
    }
}

impl From<&MailboxRow> for pb::MailboxRow {
    fn from(row: &MailboxRow) -> Self {
        Self {
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
}

impl TryFrom<pb::MailboxRow> for MailboxRow {
    type Error = WireError;

    fn try_from(it: pb::MailboxRow) -> Wire<Self> {
        let state = u8::try_from(it.state).ok().and_then(MailboxState::from_number);
        Ok(Self {
            key: wire::convert(it.key, "mailbox_row.key")?,
            name: wire::mailbox_name(&it.name, "mailbox_row.name")?,
            state: wire::required(state, "mailbox_row.state")?,
            uid_validity: wire::uid_validity(it.uid_validity, "mailbox_row.uid_validity")?,
            special_use: value::special_use(it.special_use, "mailbox_row.special_use")?,
            keywords: wire::keywords(&it.keywords, "mailbox_row.keywords")?,
            tombstone_floor: wire::modseq(it.tombstone_floor, "mailbox_row.tombstone_floor")?,
            created_at: Timestamp(it.created_at_ms),
            counters: MailboxCounters {
                uid_next: value::some_uid(it.uid_next),
                recent_from: value::some_uid(it.recent_from),
                modseq: wire::modseq(it.modseq, "mailbox_row.modseq")?,
                messages: it.messages,
                unseen: it.unseen,
                deleted: it.deleted,
                bytes: it.bytes,
            },
        })
    }
}

impl From<&OpenedMailbox> for pb::OpenedMailbox {
    fn from(it: &OpenedMailbox) -> Self {
        Self {
            row: Some((&it.row).into()),
            uids: Some((&it.uids).into()),
            first_unseen: wire::number(it.first_unseen),
        }
    }
}

impl TryFrom<pb::OpenedMailbox> for OpenedMailbox {
    type Error = WireError;

    fn try_from(it: pb::OpenedMailbox) -> Wire<Self> {
        Ok(Self {
            row: wire::convert(it.row, "opened_mailbox.row")?,
            uids: wire::convert(it.uids, "opened_mailbox.uids")?,
            first_unseen: value::some_uid(it.first_unseen),
        })
    }
}

/// The answer to Changes.
pub fn changes_response(index: LogIndex, delta: &MailboxDelta) -> pb::ChangesResponse {
    pb::ChangesResponse {
        index: index.0,
        modseq: delta.modseq.get(),
        uid_next: wire::number(delta.uid_next),
        recent_from: wire::number(delta.recent_from),
        keywords: wire::keyword_names(&delta.keywords),
        messages: delta.messages.iter().map(Into::into).collect(),
        expunged: Some((&delta.expunged).into()),
        live: delta.live.as_ref().map(Into::into),
        name: delta.name.as_ref().map(ToString::to_string),
    }
}

impl TryFrom<pb::ChangesResponse> for MailboxDelta {
    type Error = WireError;

    fn try_from(it: pb::ChangesResponse) -> Wire<Self> {
        let name = it.name.map(|name| wire::mailbox_name(&name, "changes_response.name"));
        Ok(Self {
            modseq: wire::modseq(it.modseq, "changes_response.modseq")?,
            uid_next: value::some_uid(it.uid_next),
            recent_from: value::some_uid(it.recent_from),
            keywords: wire::keywords(&it.keywords, "changes_response.keywords")?,
            messages: it.messages.into_iter().map(FlagState::try_from).collect::<Wire<_>>()?,
            expunged: wire::convert(it.expunged, "changes_response.expunged")?,
            live: it.live.map(TryInto::try_into).transpose()?,
            name: name.transpose()?,
        })
    }
}

impl From<MessageRead> for pb::MessageRead {
    fn from(it: MessageRead) -> Self {
        Self { row: Some((&it.row).into()), expunged: it.expunged, summary: it.summary }
    }
}

impl TryFrom<pb::MessageRead> for MessageRead {
    type Error = WireError;

    fn try_from(it: pb::MessageRead) -> Wire<Self> {
        Ok(Self {
            row: wire::convert(it.row, "message_read.row")?,
            expunged: it.expunged,
            summary: it.summary,
        })
    }
}

impl From<AccountEvent> for pb::AccountEvent {
    fn from(event: AccountEvent) -> Self {
        let mut wire =
            Self { group: event.group.0, index: event.index.0, account: event.account.0, ..Self::default() };
        wire.kind = match event.kind {
            EventKind::Mailbox(mailbox, modseq) => {
                wire.mailbox = mailbox.0;
                wire.modseq = modseq.get();
                pb::EventKind::Mailbox
            }
            EventKind::Tree => pb::EventKind::Tree,
            EventKind::Credential(version) => {
                wire.credential_version = version.0;
                pb::EventKind::Credential
            }
            EventKind::Gap => pb::EventKind::Gap,
        }
        .into();
        wire
    }
}

impl TryFrom<pb::AccountEvent> for AccountEvent {
    type Error = WireError;

    fn try_from(it: pb::AccountEvent) -> Wire<Self> {
        const ERROR: WireError = WireError::new("account_event.kind");
        let kind = match pb::EventKind::try_from(it.kind).map_err(|_| ERROR)? {
            pb::EventKind::Unspecified => return Err(ERROR),
            pb::EventKind::Mailbox => {
                EventKind::Mailbox(MailboxId(it.mailbox), wire::modseq(it.modseq, "account_event.modseq")?)
            }
            pb::EventKind::Tree => EventKind::Tree,
            pb::EventKind::Credential => EventKind::Credential(CredentialVersion(it.credential_version)),
            pb::EventKind::Gap => EventKind::Gap,
        };
        let (group, account) = (GroupId(it.group), AccountId(it.account));
        Ok(Self { group, index: LogIndex(it.index), account, kind })
    }
}

/// Where a page of an account that moves begins; none yet where there are no bytes.
///
/// # Errors
/// If these bytes are no cursor.
pub fn export_cursor(bytes: bytes::Bytes) -> Wire<pb::ExportCursor> {
    prost::Message::decode(bytes).map_err(|_| WireError::new("export_account_request.cursor"))
}

/// The cursor as it travels.
pub fn export_cursor_bytes(cursor: &pb::ExportCursor) -> bytes::Bytes {
    prost::Message::encode_to_vec(cursor).into()
}
