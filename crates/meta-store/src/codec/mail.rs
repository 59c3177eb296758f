//! Accounts, mailboxes and messages. The order of columns is that of `table`.

use buzon_model::row::{
    AccountCounters, AccountRow, AccountState, MailboxCounters, MailboxRow, MailboxState, MessageRow, Quota,
    StagedRow, Tombstone,
};
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{Keyword, KeywordBits, SystemFlags};
use buzon_types::id::{AccountId, CredentialVersion, Epoch, MailboxId, MailboxKey, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::secret::Secret;
use buzon_types::special_use::SpecialUse;
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::{ModSeq, Uid, UidValidity};
use bytes::Bytes;

use super::{
    address, corrupt, list, list_to_bytes, modseq, narrow, place, text, time, uid_or_null, unsigned, wide,
};
use crate::cell::{Cells, RowWriter, Rows};
use crate::error::StoreError;

pub(crate) fn put_account(rows: &mut Rows, row: &AccountRow) {
    let mut writer = rows.row();
    writer
        .unsigned(row.id.0)
        .unsigned(row.tenant.0)
        .unsigned(row.epoch.0)
        .text(row.address.local())
        .text(row.address.domain().as_str())
        .int(row.state as u8)
        .bytes_or_null(
            row.credential.as_ref().map(|secret| Bytes::copy_from_slice(secret.expose().as_bytes())),
        )
        .unsigned(row.credential_version.0)
        .int_or_null(row.quota.bytes_max.map(u64::cast_signed))
        .int_or_null(row.quota.messages_max.map(u64::cast_signed))
        .int(row.last_uid_validity)
        .int(row.next_mailbox.0)
        .int(row.created_at.0);
    put_account_counters(&mut writer, row.counters);
    place::put(&mut writer, &row.place);
}

pub(crate) fn put_account_counters(writer: &mut RowWriter<'_>, counters: AccountCounters) {
    writer.unsigned(counters.modseq.get()).unsigned(counters.bytes).unsigned(counters.messages);
}

pub(crate) fn account(cells: &dyn Cells) -> Result<AccountRow, StoreError> {
    let state: u8 = narrow(cells, 5, "account.state")?;
    let credential = match cells.bytes(6)? {
        Some(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| corrupt("account.credential"))?;
            Some(Secret::new(text.to_owned()))
        }
        None => None,
    };
    Ok(AccountRow {
        id: AccountId(unsigned(cells, 0, "account.id")?),
        tenant: TenantId(unsigned(cells, 1, "account.tenant")?),
        epoch: Epoch(unsigned(cells, 2, "account.epoch")?),
        address: address(cells, 3, "account.address")?,
        state: AccountState::from_number(state).ok_or_else(|| corrupt("account.state"))?,
        credential,
        credential_version: CredentialVersion(unsigned(cells, 7, "account.credential_version")?),
        quota: Quota {
            bytes_max: cells.int(8)?.map(i64::cast_unsigned),
            messages_max: cells.int(9)?.map(i64::cast_unsigned),
        },
        last_uid_validity: narrow(cells, 10, "account.last_uid_validity")?,
        next_mailbox: MailboxId(narrow(cells, 11, "account.next_mailbox")?),
        created_at: time(cells, 12, "account.created_at")?,
        counters: AccountCounters {
            modseq: modseq(cells, 13, "account.modseq")?,
            bytes: unsigned(cells, 14, "account.bytes")?,
            messages: unsigned(cells, 15, "account.messages")?,
        },
        place: place::read(cells, 16)?,
    })
}

pub(crate) fn put_mailbox(rows: &mut Rows, row: &MailboxRow) {
    let keywords: Vec<&str> = row.keywords.iter().map(Keyword::as_str).collect();
    let mut writer = rows.row();
    put_mailbox_key(&mut writer, row.key);
    writer
        .text(row.name.as_str())
        .int(row.state as u8)
        .int(row.uid_validity.get())
        .int_or_null(row.special_use.map(|special_use| i64::from(special_use as u8)))
        .text(&keywords.join(" ")) // atoms hold no space
        .unsigned(row.tombstone_floor.get())
        .int(row.created_at.0);
    put_mailbox_counters(&mut writer, &row.counters);
}

pub(crate) fn put_mailbox_key(writer: &mut RowWriter<'_>, key: MailboxKey) {
    writer.unsigned(key.account.0).int(key.mailbox.0);
}

pub(crate) fn put_mailbox_counters(writer: &mut RowWriter<'_>, counters: &MailboxCounters) {
    let uid = |uid: Option<Uid>| uid.map(|uid| i64::from(uid.get()));
    writer
        .int_or_null(uid(counters.uid_next))
        .int_or_null(uid(counters.recent_from))
        .unsigned(counters.modseq.get())
        .int(counters.messages)
        .int(counters.unseen)
        .int(counters.deleted)
        .unsigned(counters.bytes);
}

pub(crate) fn mailbox(cells: &dyn Cells) -> Result<MailboxRow, StoreError> {
    let state: u8 = narrow(cells, 3, "mailbox.state")?;
    let special_use = match cells.int(5)? {
        Some(number) => {
            let known = u8::try_from(number).ok().and_then(SpecialUse::from_number);
            Some(known.ok_or_else(|| corrupt("mailbox.special_use"))?)
        }
        None => None,
    };
    let keywords = text(cells, 6, "mailbox.keywords")?.split(' ').filter(|keyword| !keyword.is_empty());
    Ok(MailboxRow {
        key: MailboxKey {
            account: AccountId(unsigned(cells, 0, "mailbox.account")?),
            mailbox: MailboxId(narrow(cells, 1, "mailbox.id")?),
        },
        name: MailboxName::new(text(cells, 2, "mailbox.name")?).map_err(|_| corrupt("mailbox.name"))?,
        state: MailboxState::from_number(state).ok_or_else(|| corrupt("mailbox.state"))?,
        uid_validity: UidValidity::new(narrow(cells, 4, "mailbox.uid_validity")?)
            .ok_or_else(|| corrupt("mailbox.uid_validity"))?,
        special_use,
        keywords: keywords
            .map(Keyword::new)
            .collect::<Result<_, _>>()
            .map_err(|_| corrupt("mailbox.keywords"))?,
        tombstone_floor: modseq(cells, 7, "mailbox.tombstone_floor")?,
        created_at: time(cells, 8, "mailbox.created_at")?,
        counters: MailboxCounters {
            uid_next: uid_or_null(cells, 9, "mailbox.uid_next")?,
            recent_from: uid_or_null(cells, 10, "mailbox.recent_from")?,
            modseq: modseq(cells, 11, "mailbox.modseq")?,
            messages: narrow(cells, 12, "mailbox.messages")?,
            unseen: narrow(cells, 13, "mailbox.unseen")?,
            deleted: narrow(cells, 14, "mailbox.deleted")?,
            bytes: unsigned(cells, 15, "mailbox.bytes")?,
        },
    })
}

/// The columns from `uid` to `body_key`.
pub(crate) fn put_message(writer: &mut RowWriter<'_>, row: &MessageRow) {
    writer.int(row.uid.get()).unsigned(row.modseq.get());
    put_flags(writer, row.flags, row.keywords);
    writer
        .unsigned(row.size)
        .int(row.internal_date.seconds)
        .int(row.internal_date.zone_minutes)
        .int(row.saved_at.0)
        .wide(row.body.object.0)
        .unsigned(row.body.offset)
        .unsigned(row.body.length)
        .int(row.body.encoding as u8)
        .int(row.body.key.0);
}

pub(crate) fn put_flags(writer: &mut RowWriter<'_>, flags: SystemFlags, keywords: KeywordBits) {
    let (low, high) = (keywords.0 as u64, (keywords.0 >> 64) as u64);
    writer.int(flags.bits()).unsigned(low).unsigned(high);
}

/// Reads what [`put_message`] wrote, from a column on. What a mailbox's index is loaded with: a few dozen nanoseconds count.
pub(crate) fn message(cells: &dyn Cells, at: usize) -> Result<MessageRow, StoreError> {
    let (mut own, mut body) = ([0; 9], [0; 4]);
    cells.ints(at, &mut own)?;
    cells.ints(at + 10, &mut body)?;
    let [uid, modseq, flags, low, high, size, seconds, zone_minutes, saved_at] = own;
    let [offset, length, encoding, key] = body;
    let flags = u8::try_from(flags).ok().and_then(SystemFlags::from_bits);
    let encoding = u8::try_from(encoding).ok().and_then(Encoding::from_number);
    let keywords = u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned());
    Ok(MessageRow {
        uid: u32::try_from(uid).ok().and_then(Uid::new).ok_or_else(|| corrupt("message.uid"))?,
        modseq: ModSeq::new(modseq.cast_unsigned()).ok_or_else(|| corrupt("message.modseq"))?,
        flags: flags.ok_or_else(|| corrupt("message.flags"))?,
        keywords: KeywordBits(keywords),
        size: size.cast_unsigned(),
        internal_date: InternalDate {
            seconds,
            zone_minutes: zone_minutes.try_into().map_err(|_| corrupt("message.zone_minutes"))?,
        },
        saved_at: Timestamp(saved_at),
        body: BodyRef {
            object: ObjectId(wide(cells, at + 9, "message.body_object")?),
            offset: offset.cast_unsigned(),
            length: length.cast_unsigned(),
            encoding: encoding.ok_or_else(|| corrupt("message.body_encoding"))?,
            key: KeyId(key.try_into().map_err(|_| corrupt("message.body_key"))?),
        },
    })
}

/// A tombstone: a message's columns, then when it was expunged.
pub(crate) fn tombstone(cells: &dyn Cells) -> Result<Tombstone, StoreError> {
    Ok(Tombstone { message: message(cells, 0)?, expunged_at: time(cells, 14, "tombstone.expunged_at")? })
}

/// A staged message: ordinal, source mailbox, then a message's columns.
pub(crate) fn staged(cells: &dyn Cells) -> Result<StagedRow, StoreError> {
    let message = message(cells, 2)?;
    Ok(StagedRow {
        ordinal: narrow(cells, 0, "staged.ordinal")?,
        source: (MailboxId(narrow(cells, 1, "staged.source_mailbox")?), message.uid),
        message,
    })
}

/// Account ids of a record.
pub(crate) fn accounts_to_bytes(accounts: &[AccountId]) -> Bytes {
    list_to_bytes(accounts.iter().map(|account| account.0))
}

pub(crate) fn accounts(cells: &dyn Cells, at: usize) -> Result<Vec<AccountId>, StoreError> {
    Ok(list(cells, at, "record.accounts")?.into_iter().map(AccountId).collect())
}
