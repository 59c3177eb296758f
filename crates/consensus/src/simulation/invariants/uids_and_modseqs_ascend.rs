//! Promise 2: a UID names one message of its mailbox for ever, UIDs ascend, modseqs rise, UIDVALIDITY stays. Seen in what the
//! log comes to, and in what clients are told.

use std::collections::BTreeMap;

use buzon_model::change::Change;
use buzon_model::reply::Reply;
use buzon_types::id::{AccountId, MailboxId, MailboxKey};
use buzon_types::request::RequestId;
use buzon_types::uid::{ModSeq, Uid, UidValidity};

use super::{Invariant, ensure};
use crate::simulation::history::{Decided, History};
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check {
    last: BTreeMap<MailboxKey, Uid>,
    modseqs: BTreeMap<AccountId, ModSeq>,
    validities: BTreeMap<MailboxKey, UidValidity>,
    /// By UIDVALIDITY and UID: which request a client was told to have made it.
    told: BTreeMap<Place, Option<(u128, u64)>>,
}

type Place = (AccountId, MailboxId, UidValidity, Uid);

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "uids_and_modseqs_ascend"
    }

    fn observe(&mut self, event: &Event<'_>, history: &History) -> Result<(), String> {
        match event {
            Event::Decided { entry } => self.decided(entry),
            Event::Answered { request, index, outcome: Ok(reply), .. } => {
                let Some(decree) = history.at(*index).and_then(|entry| entry.decree.as_ref()) else {
                    return Ok(());
                };
                self.answered(request.as_ref(), &decree.command.accounts(), reply)
            }
            _ => Ok(()),
        }
    }
}

impl Check {
    fn decided(&mut self, entry: &Decided) -> Result<(), String> {
        let before = self.modseqs.clone();
        for change in &entry.changes {
            match change {
                Change::AddMessage { mailbox, row, .. } => {
                    self.added(*mailbox, row.uid, row.uid)?;
                    self.moved(&before, mailbox.account, row.modseq)?;
                }
                Change::Publish { target, first, messages, modseq, .. } => {
                    let last = Uid::new(first.get() + messages - 1).unwrap_or(Uid::MAX);
                    self.added(*target, *first, last)?;
                    self.moved(&before, target.account, *modseq)?;
                }
                Change::SetFlags { mailbox, modseq, .. } | Change::Expunge { mailbox, modseq, .. } => {
                    self.moved(&before, mailbox.account, *modseq)?;
                }
                Change::PutMailbox(row) => {
                    let known = *self.validities.entry(row.key).or_insert(row.uid_validity);
                    ensure(known == row.uid_validity, || {
                        format!("UIDVALIDITY of {} went from {known:?} to {:?}", row.key, row.uid_validity)
                    })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn added(&mut self, key: MailboxKey, first: Uid, last: Uid) -> Result<(), String> {
        let before = self.last.insert(key, last);
        ensure(before.is_none_or(|before| before < first), || {
            format!("UID {first} came to {key} after {before:?}")
        })
    }

    /// Several changes of one entry share a modseq.
    fn moved(
        &mut self,
        before: &BTreeMap<AccountId, ModSeq>,
        account: AccountId,
        to: ModSeq,
    ) -> Result<(), String> {
        let from = before.get(&account).copied();
        let now = self.modseqs.entry(account).or_insert(to);
        *now = (*now).max(to);
        ensure(from.is_none_or(|from| from < to), || {
            format!("modseq {to} of account {account} comes after {from:?}")
        })
    }

    fn answered(
        &mut self,
        request: Option<&RequestId>,
        accounts: &[AccountId],
        reply: &Reply,
    ) -> Result<(), String> {
        let by = request.map(|request| (request.instance.0, request.sequence));
        if let (Reply::Delivered(deliveries), [account]) = (reply, accounts) {
            for delivery in deliveries.iter().flatten() {
                let key = (*account, delivery.mailbox, delivery.uid_validity, delivery.uid);
                let known = *self.told.entry(key).or_insert(by);
                ensure(known == by, || format!("{known:?} and {by:?} were both told to have made {key:?}"))?;
            }
        }
        Ok(())
    }
}
