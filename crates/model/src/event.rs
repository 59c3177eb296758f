//! What the change feed says about changes (DESIGN D9): that something happened, and how far it got. Sessions ask
//! for the rest, so one event may stand for many changes, and one too many does no harm.

use std::collections::BTreeMap;

use buzon_types::id::{AccountId, CredentialVersion, MailboxId, MailboxKey};
use buzon_types::uid::ModSeq;

use crate::change::Change;
use crate::read::EventKind;
use crate::row::{MailboxState, Place};

#[derive(Default)]
struct Happened {
    mailboxes: BTreeMap<MailboxId, ModSeq>,
    tree: bool,
    gap: bool,
    credential: Option<CredentialVersion>,
}

/// Events of changes: for each account its mailboxes with the greatest modseq, then its tree, then its credential.
pub fn events(changes: &[Change]) -> Vec<(AccountId, EventKind)> {
    let mut accounts: BTreeMap<AccountId, Happened> = BTreeMap::new();
    for change in changes {
        note(&mut accounts, change);
    }
    let mut events = Vec::new();
    for (account, happened) in accounts {
        events.extend(happened.gap.then_some((account, EventKind::Gap)));
        let mailboxes = happened.mailboxes.into_iter().map(|(id, modseq)| EventKind::Mailbox(id, modseq));
        events.extend(mailboxes.map(|kind| (account, kind)));
        events.extend(happened.tree.then_some((account, EventKind::Tree)));
        events.extend(happened.credential.map(|version| (account, EventKind::Credential(version))));
    }
    events
}

fn note(accounts: &mut BTreeMap<AccountId, Happened>, change: &Change) {
    let mut messages = |key: MailboxKey, modseq: ModSeq| {
        let mailboxes = &mut accounts.entry(key.account).or_default().mailboxes;
        let seen = mailboxes.entry(key.mailbox).or_default();
        *seen = (*seen).max(modseq);
    };
    match change {
        Change::AddMessage { mailbox, row, .. } => messages(*mailbox, row.modseq),
        Change::SetFlags { mailbox, modseq, .. } | Change::Expunge { mailbox, modseq, .. } => {
            messages(*mailbox, *modseq);
        }
        Change::Publish { target, modseq, .. } => messages(*target, *modseq),
        Change::PutMailbox(row) => {
            // Sessions that have a deleted mailbox open listen to the mailbox, not to the tree.
            if row.state == MailboxState::Deleting {
                messages(row.key, row.counters.modseq);
            }
            accounts.entry(row.key.account).or_default().tree = true;
        }
        Change::Subscribe(account, _) | Change::Unsubscribe(account, _) => {
            accounts.entry(*account).or_default().tree = true;
        }
        Change::PutAccount(row) => {
            let happened = accounts.entry(row.id).or_default();
            // Sessions look at everything, and learn that the account is elsewhere.
            happened.gap |= matches!(row.place, Place::Gone { .. });
            happened.credential = Some(row.credential_version);
        }
        _ => {}
    }
}
