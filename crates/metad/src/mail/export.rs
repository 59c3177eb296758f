//! ExportAccount: the rows of an account that moves, page by page (docs/decisions/0008-moving-accounts.md).
//!
//! ```text
//! round: by mailbox ─ messages above a modseq ─ tombstones above it ─┐
//!    ▲───────────────── the next one, above the modseq of its start ─┘ frozen? ─▶ mailboxes, subscriptions, records, account
//! ```
//! Where a page begins stands in its cursor, which the destination keeps: nothing is remembered here. The account's own row,
//! which makes it whole there, comes only after a round that began when the account was frozen.

use std::collections::HashMap;
use std::sync::Arc;

use buzon_model::command::{ArrivingMessage, ArrivingRows, ArrivingTombstone, Step};
use buzon_model::limits::ENTRY_MESSAGES_MAX;
use buzon_model::read::{At, ReadAt};
use buzon_model::row::{AccountRow, MailboxRow, MailboxState, MessageRow, Place, Tombstone};
use buzon_model::scope::Need;
use buzon_model::state::Account;
use buzon_proto::log::encode_outcome;
use buzon_proto::mail::{export_cursor, export_cursor_bytes};
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::pb::mail::v1::ExportPart as Part;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_proto::wire::WireError;
use buzon_types::id::{GroupId, LogIndex, MailboxId, MailboxKey};
use buzon_types::request::InstanceId;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use super::fetch::existed;
use super::{Mail, no_such_account, replica};
use crate::cluster::read_id;
use crate::groups::{Replica, cold};

/// A page that has as much is sent: with one more summary of the largest size and 2,000 rows it fits a log entry.
const PAGE_BYTES: usize = 512 << 10;
/// Messages whose summaries are read at once: one too many of the largest size costs little.
const CHUNK_MESSAGES: u32 = 250;
/// Reads for one page: a page of little is sent before its caller loses patience.
const PAGE_READS_MAX: u32 = 60;
/// What a row takes beside its texts, at most.
const ROW_BYTES: usize = 128;

struct Exporter {
    replica: Arc<dyn Replica>,
    step: Step,
    /// All reads of the page are of this state or a later one.
    index: LogIndex,
    account: AccountRow,
    is_frozen: bool,
    cursor: pb::ExportCursor,
    rows: ArrivingRows,
    bytes: usize,
    reads: u32,
    round_messages: Option<u64>,
}

pub(super) async fn export(
    mail: &Mail,
    request: pb::ExportAccountRequest,
) -> Result<pb::ExportAccountResponse, CallError> {
    let step: Step = request.step.ok_or(WireError::new("export_account_request.step"))?.into();
    let cursor = export_cursor(request.cursor)?;
    let replica = replica(&*mail.groups, GroupId(request.group))?;
    let needs = [Need::Account(step.account)];
    let found =
        replica.read(ReadAt::Linearizable, &needs, |state| Some(state.account(step.account)?.row.clone()));
    let At { index, value } = found.await?;
    let account = value.ok_or_else(no_such_account)?;
    let is_frozen = matches!(account.place, Place::Frozen { epoch, .. } if epoch == step.epoch);
    if cursor.frozen && !is_frozen {
        return Err(CallError::new(ErrorCode::Precondition, "the account is no longer frozen for this move"));
    }
    let mut exporter = Exporter {
        replica,
        step,
        index,
        account,
        is_frozen,
        cursor,
        rows: ArrivingRows::default(),
        bytes: 0,
        reads: 0,
        round_messages: None,
    };
    exporter.fill().await?;
    let Exporter { cursor, rows, round_messages, .. } = exporter;
    let cursor = export_cursor_bytes(&cursor);
    Ok(pb::ExportAccountResponse { rows: Some((&rows).into()), cursor, round_messages })
}

impl Exporter {
    /// Adds to the page until it is full, or a round or all is at its end.
    async fn fill(&mut self) -> Result<(), CallError> {
        while self.room() > 0 && self.reads < PAGE_READS_MAX {
            self.reads += 1;
            match self.cursor.part() {
                Part::Unspecified if self.cursor.frozen => self.go_on(Part::Mailboxes),
                Part::Unspecified => self.begin_round(),
                Part::Messages => match self.changed_mailbox().await? {
                    Some(mailbox) => self.messages(mailbox).await?,
                    None => {
                        self.round_messages = Some(self.cursor.messages);
                        self.go_on(Part::Unspecified);
                        return Ok(());
                    }
                },
                Part::Tombstones => self.tombstones().await?,
                Part::Mailboxes => self.mailboxes().await?,
                Part::Subscriptions => self.subscriptions().await?,
                Part::Records => self.records().await?,
                Part::Account => {
                    self.rows.account = Some(self.account.clone());
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn begin_round(&mut self) {
        let upto = self.account.counters.modseq.get();
        self.cursor = pb::ExportCursor {
            since: self.cursor.upto,
            upto,
            frozen: self.is_frozen,
            part: Part::Messages.into(),
            ..Default::default()
        };
    }

    /// The next part, from its beginning.
    fn go_on(&mut self, part: Part) {
        let pb::ExportCursor { since, upto, frozen, messages, .. } = std::mem::take(&mut self.cursor);
        self.cursor =
            pb::ExportCursor { since, upto, frozen, messages, part: part.into(), ..Default::default() };
    }

    /// How many messages the page still takes.
    fn room(&self) -> usize {
        let messages = self.rows.messages.len() + self.rows.tombstones.len();
        if self.bytes >= PAGE_BYTES { 0 } else { (ENTRY_MESSAGES_MAX as usize).saturating_sub(messages) }
    }

    fn key(&self, mailbox: u32) -> MailboxKey {
        MailboxKey { account: self.step.account, mailbox: MailboxId(mailbox) }
    }

    fn since(&self) -> Result<ModSeq, CallError> {
        Ok(ModSeq::new(self.cursor.since).ok_or(WireError::new("export_cursor.since"))?)
    }

    async fn look<T: Send>(
        &self,
        needs: &[Need],
        look: impl FnOnce(&Account) -> T + Send,
    ) -> Result<T, CallError> {
        let id = self.step.account;
        let found = self.replica.read(ReadAt::Index(self.index), needs, |state| state.account(id).map(look));
        found.await?.value.ok_or_else(no_such_account)
    }

    /// The mailbox at or after the cursor's in which something changed since the round before.
    async fn changed_mailbox(&mut self) -> Result<Option<MailboxRow>, CallError> {
        let (since, from) = (self.since()?, MailboxId(self.cursor.mailbox));
        let needs = [Need::Account(self.step.account)];
        let found = self.look(&needs, |account| {
            let live = account.mailboxes_in_any_state().filter(|it| it.row.state == MailboxState::Live);
            let mut changed = live.filter(|it| it.row.key.mailbox >= from && it.row.counters.modseq > since);
            changed.next().map(|mailbox| mailbox.row.clone())
        });
        let found = found.await?;
        if let Some(row) = found.as_ref().filter(|row| row.key.mailbox != from) {
            (self.cursor.mailbox, self.cursor.uid) = (row.key.mailbox.0, 0);
        }
        Ok(found)
    }

    async fn messages(&mut self, mailbox: MailboxRow) -> Result<(), CallError> {
        let (key, since, after) = (mailbox.key, self.since()?, Uid::new(self.cursor.uid));
        let needs = [Need::Account(key.account), Need::Index(key)];
        let most = self.room().min(CHUNK_MESSAGES as usize);
        let found = self.look(&needs, |account| {
            let index = account.mailbox(key.mailbox).and_then(|mailbox| mailbox.index.as_ref());
            index.map(|index| index.changed_after(since, after, most)).unwrap_or_default()
        });
        let found: Vec<MessageRow> = found.await?;
        let is_last = found.len() < most;
        let uids: UidSet = found.iter().map(|row| row.uid).collect();
        let mut summaries = self.summaries(key, &uids).await?;
        self.announce(&mailbox, !found.is_empty());
        for row in found {
            if self.room() == 0 {
                return Ok(());
            }
            let summary = summary(&mut summaries, row.uid)?;
            self.count(row.uid, &summary);
            self.rows.messages.push(ArrivingMessage { mailbox: key.mailbox, row, summary });
        }
        if is_last {
            (self.cursor.part, self.cursor.uid) = (Part::Tombstones.into(), 0);
        }
        Ok(())
    }

    async fn tombstones(&mut self) -> Result<(), CallError> {
        let (key, since) = (self.key(self.cursor.mailbox), self.since()?);
        let needs = [Need::Account(key.account), Need::Index(key)];
        let found = self.look(&needs, |account| {
            let mailbox = account.mailbox(key.mailbox)?;
            let index = mailbox.index.as_ref()?;
            // At first everything that is gone; later the index of tombstones by modseq tells.
            let all = || existed(mailbox.row.counters.uid_next).difference(&index.uids());
            Some((mailbox.row.clone(), (since == ModSeq::ZERO).then(all)))
        });
        let next_mailbox = self.cursor.mailbox + 1;
        let Some((row, all)) = found.await? else {
            self.go_on(Part::Messages);
            self.cursor.mailbox = next_mailbox;
            return Ok(());
        };
        let mut gone = match all {
            Some(all) => all,
            None => self.replica.expunged_since(self.index, key, since).await?,
        };
        if let Some(after) = Uid::new(self.cursor.uid) {
            gone = gone.difference(&UidSet::from(Uid::MIN..=after));
        }
        // Those whose tombstones are gone too cost a look and no room.
        let Some(gone) = gone.chunks(CHUNK_MESSAGES.min(self.room() as u32)).into_iter().next() else {
            self.go_on(Part::Messages);
            self.cursor.mailbox = next_mailbox;
            return Ok(());
        };
        let found = self.replica.tombstones(self.index, key, &gone).await?;
        let found: Vec<Tombstone> = found.into_iter().filter(|it| it.message.modseq > since).collect();
        let uids: UidSet = found.iter().map(|it| it.message.uid).collect();
        let mut summaries = self.summaries(key, &uids).await?;
        self.announce(&row, !found.is_empty());
        for row in found {
            if self.room() == 0 {
                return Ok(());
            }
            let summary = summary(&mut summaries, row.message.uid)?;
            self.count(row.message.uid, &summary);
            self.rows.tombstones.push(ArrivingTombstone { mailbox: key.mailbox, row, summary });
        }
        self.cursor.uid = gone.last().map_or(self.cursor.uid, Uid::get);
        Ok(())
    }

    /// The mailbox comes before what is in it, and hidden.
    fn announce(&mut self, row: &MailboxRow, is_wanted: bool) {
        if is_wanted && self.rows.mailboxes.last().is_none_or(|last| last.key != row.key) {
            self.push_mailbox(MailboxRow { state: MailboxState::Deleting, ..row.clone() });
        }
    }

    fn push_mailbox(&mut self, row: MailboxRow) {
        let keywords: usize = row.keywords.iter().map(|keyword| keyword.as_str().len() + 2).sum();
        self.bytes += ROW_BYTES + row.name.as_str().len() + keywords;
        self.rows.mailboxes.push(row);
    }

    fn count(&mut self, uid: Uid, summary: &Bytes) {
        self.bytes += ROW_BYTES + summary.len();
        self.cursor.uid = uid.get();
        self.cursor.messages += 1;
    }

    async fn summaries(&self, key: MailboxKey, uids: &UidSet) -> Result<HashMap<Uid, Bytes>, CallError> {
        if uids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.replica.rows().await?.summaries(self.replica.id(), key, uids).await;
        Ok(found.map_err(cold)?.into_iter().collect())
    }

    async fn mailboxes(&mut self) -> Result<(), CallError> {
        let (after, needs) = (self.cursor.mailbox, [Need::Account(self.step.account)]);
        let found = self.look(&needs, |account| {
            let live = account.mailboxes_in_any_state().filter(|it| it.row.state == MailboxState::Live);
            let next = live.filter(|it| it.row.key.mailbox.0 > after).take(CHUNK_MESSAGES as usize);
            next.map(|it| it.row.clone()).collect::<Vec<_>>()
        });
        let found = found.await?;
        if found.is_empty() {
            self.go_on(Part::Subscriptions);
        }
        for row in found {
            if self.room() == 0 || self.rows.mailboxes.len() == ENTRY_MESSAGES_MAX as usize {
                self.bytes = PAGE_BYTES;
                break;
            }
            self.cursor.mailbox = row.key.mailbox.0;
            self.push_mailbox(row);
        }
        Ok(())
    }

    /// A frozen account's subscriptions stay as they are: counting them tells which have come.
    async fn subscriptions(&mut self) -> Result<(), CallError> {
        let (count, needs) = (self.cursor.count as usize, [Need::Account(self.step.account)]);
        let found = self.look(&needs, |account| {
            account.subscriptions().skip(count).take(CHUNK_MESSAGES as usize).cloned().collect::<Vec<_>>()
        });
        let found = found.await?;
        if found.is_empty() {
            self.go_on(Part::Records);
        }
        for name in found {
            if self.room() == 0 || self.rows.subscriptions.len() == ENTRY_MESSAGES_MAX as usize {
                self.bytes = PAGE_BYTES;
                break;
            }
            self.cursor.count += 1;
            self.bytes += name.as_str().len() + 2;
            self.rows.subscriptions.push(name);
        }
        Ok(())
    }

    async fn records(&mut self) -> Result<(), CallError> {
        let account = self.step.account;
        let after = match &self.cursor.instance[..] {
            [] => None,
            bytes => Some((InstanceId(read_id(bytes, "export_cursor.instance")?), self.cursor.count)),
        };
        let needs = [Need::Account(account)];
        let found = self.replica.read(ReadAt::Index(self.index), &needs, |state| {
            state.requests().records_of(account, after).take(CHUNK_MESSAGES as usize).collect::<Vec<_>>()
        });
        let found = found.await?.value;
        if found.is_empty() {
            self.go_on(Part::Account);
        }
        for record in found {
            if self.room() == 0 || self.rows.records.len() == ENTRY_MESSAGES_MAX as usize {
                self.bytes = PAGE_BYTES;
                break;
            }
            self.cursor.instance = Bytes::copy_from_slice(&record.instance.0.to_be_bytes());
            self.cursor.count = record.sequence;
            self.bytes += ROW_BYTES + encode_outcome(&record.outcome).len();
            self.rows.records.push(record);
        }
        Ok(())
    }
}

/// Every message came with one: without it the database is behind its state, or the mailbox is being removed.
fn summary(summaries: &mut HashMap<Uid, Bytes>, uid: Uid) -> Result<Bytes, CallError> {
    let behind = || CallError::new(ErrorCode::Unavailable, "database is behind its state");
    summaries.remove(&uid).ok_or_else(behind)
}
