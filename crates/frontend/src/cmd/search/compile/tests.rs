//! What sets come to, and that they stay bounded.

use super::*;
use crate::selected::Access;
use buzon_imap::sequence_set::SequenceSet;
use buzon_model::read::OpenedMailbox;
use buzon_model::row::{MailboxCounters, MailboxRow, MailboxState};
use buzon_types::id::{AccountId, MailboxId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::time::Timestamp;
use buzon_types::uid::{Uid, UidValidity};

/// Every second UID: as many runs as messages.
fn selected(messages: u32) -> Selected {
    let row = MailboxRow {
        key: MailboxKey { account: AccountId(1), mailbox: MailboxId(1) },
        name: MailboxName::inbox(),
        state: MailboxState::Live,
        uid_validity: UidValidity::new(7).unwrap(),
        special_use: None,
        keywords: Vec::new(),
        tombstone_floor: ModSeq::ZERO,
        created_at: Timestamp(0),
        counters: MailboxCounters {
            uid_next: Uid::new(messages * 2 + 1),
            recent_from: None,
            modseq: ModSeq::new(1).unwrap(),
            messages,
            unseen: 0,
            deleted: 0,
            bytes: 0,
        },
    };
    let uids = (1..=messages).map(|number| Uid::new(number * 2).unwrap()).collect();
    let opened = OpenedMailbox { row, uids, first_unseen: None };
    Selected::open(opened, Access::ReadOnly)
}

fn numbers(text: &str) -> SearchKey {
    SearchKey::Sequence(SequenceSet::parse(text.as_bytes(), Numbering::Sequence).unwrap())
}

#[tokio::test]
async fn what_the_view_decides_becomes_one_set() {
    let selected = selected(1_000);
    let mut keys: Vec<_> =
        (1..=900).map(|number| SearchKey::Not(Box::new(numbers(&number.to_string())))).collect();
    keys.push(SearchKey::Or(Box::new((numbers("1:950"), numbers("990:*")))));
    keys.push(numbers(&vec!["1:*"; 1_000].join(",")));
    let key = compile(&keys, None, &selected).await.unwrap();
    let Key::In(uids) = key else { panic!("{key:?}") };
    assert_eq!(
        (uids.len(), uids.first().map(Uid::get), uids.last().map(Uid::get)),
        (61, Some(1802), Some(2000))
    );
}

#[tokio::test]
async fn sets_beside_other_keys_are_bounded() {
    let selected = selected(1_000);
    let either = || SearchKey::Or(Box::new((numbers("1:*"), SearchKey::Has(SystemFlags::SEEN))));
    let keys = |count: usize| (0..count).map(|_| either()).collect::<Vec<_>>();
    assert_eq!(compile(&keys(900), None, &selected).await.unwrap().stage(), Stage::Row);
    let refused = compile(&keys(1_100), None, &selected).await.unwrap_err();
    assert!(matches!(refused, CommandError::Refused { code: Some(Code::Limit), .. }), "{refused:?}");
}
