//! Values that entries, outcomes and reads share.

use buzon_model::reply::{Advance, FlagState};
use buzon_model::row::{AccountState, MessageRow, NodeState, Quota, TenantLimits};
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::KeywordBits;
use buzon_types::id::{AccountId, MailboxId, MailboxKey};
use buzon_types::special_use::SpecialUse;
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;

use crate::pb::log::v1 as pb;
use crate::wire::{self, Wire, WireError, halves, whole};

impl From<&UidSet> for pb::UidSet {
    fn from(set: &UidSet) -> Self {
        let mut runs = Vec::with_capacity(set.run_count() * 2);
        let mut before = 0;
        for (first, last) in set.runs() {
            runs.push(first.get() - before);
            runs.push(last.get() - first.get());
            before = last.get();
        }
        Self { runs }
    }
}

impl TryFrom<pb::UidSet> for UidSet {
    type Error = WireError;

    fn try_from(set: pb::UidSet) -> Wire<Self> {
        const ERROR: WireError = WireError::new("uid_set.runs");
        if !set.runs.len().is_multiple_of(2) {
            return Err(ERROR);
        }
        let mut before = 0u32;
        let mut runs = Vec::with_capacity(set.runs.len() / 2);
        for run in set.runs.chunks_exact(2) {
            let first = before.checked_add(run[0]).filter(|&first| first > before).ok_or(ERROR)?;
            let last = first.checked_add(run[1]).ok_or(ERROR)?;
            runs.push((wire::uid(first, ERROR.field)?, wire::uid(last, ERROR.field)?));
            before = last;
        }
        Ok(Self::from_runs(runs))
    }
}

impl From<MailboxKey> for pb::MailboxKey {
    fn from(key: MailboxKey) -> Self {
        Self { account: key.account.0, mailbox: key.mailbox.0 }
    }
}

impl TryFrom<pb::MailboxKey> for MailboxKey {
    type Error = WireError;

    fn try_from(key: pb::MailboxKey) -> Wire<Self> {
        Ok(Self { account: AccountId(key.account), mailbox: MailboxId(key.mailbox) })
    }
}

impl From<InternalDate> for pb::InternalDate {
    fn from(date: InternalDate) -> Self {
        Self { seconds: date.seconds, zone_minutes: date.zone_minutes.into() }
    }
}

impl TryFrom<pb::InternalDate> for InternalDate {
    type Error = WireError;

    fn try_from(date: pb::InternalDate) -> Wire<Self> {
        Ok(Self { seconds: date.seconds, zone_minutes: zone_minutes(date.zone_minutes)? })
    }
}

pub(crate) fn zone_minutes(minutes: i32) -> Wire<i16> {
    minutes.try_into().map_err(|_| WireError::new("internal_date.zone_minutes"))
}

pub(crate) fn encoding(number: u32) -> Wire<Encoding> {
    let known = u8::try_from(number).ok().and_then(Encoding::from_number);
    known.ok_or(WireError::new("body_ref.encoding"))
}

impl From<&BodyRef> for pb::BodyRef {
    fn from(body: &BodyRef) -> Self {
        let (object_high, object_low) = halves(body.object.0);
        Self {
            object_high,
            object_low,
            offset: body.offset,
            length: body.length,
            encoding: body.encoding as u32,
            key: body.key.0,
        }
    }
}

impl TryFrom<pb::BodyRef> for BodyRef {
    type Error = WireError;

    fn try_from(body: pb::BodyRef) -> Wire<Self> {
        Ok(Self {
            object: ObjectId(whole(body.object_high, body.object_low)),
            offset: body.offset,
            length: body.length,
            encoding: encoding(body.encoding)?,
            key: KeyId(body.key),
        })
    }
}

impl From<&MessageRow> for pb::MessageRow {
    fn from(row: &MessageRow) -> Self {
        let (keywords_high, keywords_low) = halves(row.keywords.0);
        let (object_high, object_low) = halves(row.body.object.0);
        Self {
            uid: row.uid.get(),
            flags: row.flags.bits().into(),
            keywords_low,
            keywords_high,
            modseq: row.modseq.get(),
            size: row.size,
            internal_date_seconds: row.internal_date.seconds,
            internal_date_zone_minutes: row.internal_date.zone_minutes.into(),
            saved_at_ms: row.saved_at.0,
            object_high,
            object_low,
            offset: row.body.offset,
            length: row.body.length,
            encoding: row.body.encoding as u32,
            key: row.body.key.0,
        }
    }
}

impl TryFrom<pb::MessageRow> for MessageRow {
    type Error = WireError;

    fn try_from(row: pb::MessageRow) -> Wire<Self> {
        Ok(Self {
            uid: wire::uid(row.uid, "message_row.uid")?,
            flags: wire::flags(row.flags, "message_row.flags")?,
            keywords: KeywordBits(whole(row.keywords_high, row.keywords_low)),
            modseq: wire::modseq(row.modseq, "message_row.modseq")?,
            size: row.size,
            internal_date: InternalDate {
                seconds: row.internal_date_seconds,
                zone_minutes: zone_minutes(row.internal_date_zone_minutes)?,
            },
            saved_at: Timestamp(row.saved_at_ms),
            body: BodyRef {
                object: ObjectId(whole(row.object_high, row.object_low)),
                offset: row.offset,
                length: row.length,
                encoding: encoding(row.encoding)?,
                key: KeyId(row.key),
            },
        })
    }
}

impl From<&FlagState> for pb::FlagState {
    fn from(state: &FlagState) -> Self {
        let (keywords_high, keywords_low) = halves(state.keywords.0);
        Self {
            uid: state.uid.get(),
            flags: state.flags.bits().into(),
            keywords_low,
            keywords_high,
            modseq: state.modseq.get(),
        }
    }
}

impl TryFrom<pb::FlagState> for FlagState {
    type Error = WireError;

    fn try_from(state: pb::FlagState) -> Wire<Self> {
        Ok(Self {
            uid: wire::uid(state.uid, "flag_state.uid")?,
            flags: wire::flags(state.flags, "flag_state.flags")?,
            keywords: KeywordBits(whole(state.keywords_high, state.keywords_low)),
            modseq: wire::modseq(state.modseq, "flag_state.modseq")?,
        })
    }
}

impl From<Advance> for pb::Advance {
    fn from(advance: Advance) -> Self {
        Self { before: advance.before.get(), after: advance.after.get() }
    }
}

impl TryFrom<pb::Advance> for Advance {
    type Error = WireError;

    fn try_from(advance: pb::Advance) -> Wire<Self> {
        Ok(Self {
            before: wire::modseq(advance.before, "advance.before")?,
            after: wire::modseq(advance.after, "advance.after")?,
        })
    }
}

impl From<Quota> for pb::Quota {
    fn from(quota: Quota) -> Self {
        Self { bytes_max: quota.bytes_max, messages_max: quota.messages_max }
    }
}

impl From<pb::Quota> for Quota {
    fn from(quota: pb::Quota) -> Self {
        Self { bytes_max: quota.bytes_max, messages_max: quota.messages_max }
    }
}

impl From<TenantLimits> for pb::TenantLimits {
    fn from(limits: TenantLimits) -> Self {
        Self { accounts_max: limits.accounts_max }
    }
}

impl From<pb::TenantLimits> for TenantLimits {
    fn from(limits: pb::TenantLimits) -> Self {
        Self { accounts_max: limits.accounts_max }
    }
}

/// The number on the wire is the stored one.
pub(crate) fn account_state(number: i32, field: &'static str) -> Wire<AccountState> {
    u8::try_from(number).ok().and_then(AccountState::from_number).ok_or(WireError { field })
}

/// The number on the wire is the stored one.
pub(crate) fn node_state(number: i32, field: &'static str) -> Wire<NodeState> {
    u8::try_from(number).ok().and_then(NodeState::from_number).ok_or(WireError { field })
}

/// 0 is none; the other numbers on the wire are the stored ones.
pub(crate) fn special_use(number: i32, field: &'static str) -> Wire<Option<SpecialUse>> {
    if number == 0 {
        return Ok(None);
    }
    u8::try_from(number).ok().and_then(SpecialUse::from_number).map(Some).ok_or(WireError { field })
}

pub(crate) fn special_use_number(special_use: Option<SpecialUse>) -> i32 {
    special_use.map_or(0, |special_use| special_use as i32)
}

/// 0 is none.
pub(crate) fn some_uid(number: u32) -> Option<Uid> {
    Uid::new(number)
}
