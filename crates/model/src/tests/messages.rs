//! APPEND, delivery, STORE, EXPUNGE, COPY, MOVE and `\Recent`.

use buzon_types::flag::{KEYWORDS_MAX, KeywordBits, SystemFlags};
use buzon_types::id::{AccountId, MailboxId};
use buzon_types::uid::Uid;

use crate::change::Change;
use crate::command::{Command, Recipient, ShardCommand, StoreFlags, StoreMode};
use crate::limits::ENTRY_MESSAGES_MAX;
use crate::reply::{Advance, QuotaKind, Rejection, Reply};
use crate::row::{AccountState, Quota};
use crate::scope::Need;
use crate::tests::group::*;

const SEEN: SystemFlags = SystemFlags::SEEN;
const DELETED: SystemFlags = SystemFlags::DELETED;
const NONE: SystemFlags = SystemFlags::NONE;

fn stored(group: &mut Group, store: StoreFlags) -> (Vec<(u32, SystemFlags, u64)>, String, Advance) {
    match group.run(ShardCommand::StoreFlags(store)) {
        Ok(Reply::Stored { messages, modified, advance, .. }) => {
            let messages = messages.iter().map(|it| (it.uid.get(), it.flags, it.modseq.get())).collect();
            (messages, modified.to_string(), advance)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn append_gives_ascending_uids_and_one_modseq() {
    let mut group = Group::shard();
    let messages = vec![message(5, SEEN, &[]), message(6, DELETED, &["$Label"])];
    let Ok(Reply::Appended { uids, advance, uid_validity }) =
        group.run(ShardCommand::Append { mailbox: key(1), messages })
    else {
        panic!()
    };
    assert_eq!((uids.to_string().as_str(), uid_validity.get()), ("1:2", 1_000));
    assert_eq!(advance, Advance { before: modseq(1), after: modseq(2) });
    let row = group.row(key(1));
    assert_eq!(row.keywords, [keyword("$label")]);
    let counters = row.counters;
    assert_eq!((counters.messages, counters.unseen, counters.deleted, counters.bytes), (2, 1, 1, 11));
    assert_eq!(group.rows.accounts[&ANA].counters.bytes, 11);
    let keywords: Vec<_> = group.rows.live(key(1)).map(|row| row.keywords).collect();
    assert_eq!(keywords, [KeywordBits::NONE, KeywordBits::one(0)]);
}

#[test]
fn append_is_all_or_nothing() {
    let mut group = Group::shard();
    let quota = Quota { bytes_max: Some(10), messages_max: Some(2) };
    group.run(ShardCommand::SetQuota { account: ANA, quota }).unwrap();
    let append = |sizes: &[u64]| ShardCommand::Append {
        mailbox: key(1),
        messages: sizes.iter().map(|&size| message(size, NONE, &[])).collect(),
    };
    group.refuse(append(&[6, 5]), Rejection::OverQuota(QuotaKind::Bytes));
    group.refuse(append(&[1, 1, 1]), Rejection::OverQuota(QuotaKind::Messages));
    group.refuse(append(&[u64::MAX, 2]), Rejection::OverQuota(QuotaKind::Bytes));
    assert_eq!(group.uids(key(1)), "");
    group.run(append(&[6, 4])).unwrap();
    assert_eq!(group.uids(key(1)), "1:2", "what fits exactly fits");
    group.run_idle(append(&[])).unwrap();
    let too_many = vec![1; ENTRY_MESSAGES_MAX as usize + 1];
    group.refuse(append(&too_many), Rejection::TooManyMessages);
    let nowhere = ShardCommand::Append { mailbox: key(77), messages: vec![] };
    group.refuse(nowhere, Rejection::NoSuchMailbox);
}

#[test]
fn sizes_that_overflow_are_over_quota_even_without_one() {
    let mut group = Group::shard();
    group.run(append(key(1), 1)).unwrap();
    group.refuse(append(key(1), u64::MAX), Rejection::OverQuota(QuotaKind::Bytes));
}

#[test]
fn the_last_uid_is_used_and_then_none() {
    let mut group = Group::shard();
    let mut row = group.row(key(1)).clone();
    row.counters.uid_next = Uid::new(u32::MAX - 1);
    group.rows.apply(&[Change::PutMailbox(row.clone())]);
    group.state.absorb(&[Change::PutMailbox(row)]);
    let messages = vec![message(1, NONE, &[]); 3];
    group.refuse(ShardCommand::Append { mailbox: key(1), messages }, Rejection::UidsExhausted);
    let messages = vec![message(1, NONE, &[]); 2];
    group.run(ShardCommand::Append { mailbox: key(1), messages }).unwrap();
    assert_eq!(group.uids(key(1)), "4294967294:4294967295");
    group.refuse(append(key(1), 1), Rejection::UidsExhausted);
    let claimed = group.run(ShardCommand::ClaimRecent(key(1)));
    assert_eq!(claimed, Ok(Reply::RecentClaimed { from: Some(uid(1)), below: None }));
    assert_eq!(
        group.run_idle(ShardCommand::ClaimRecent(key(1))),
        Ok(Reply::RecentClaimed { from: None, below: None })
    );
}

#[test]
fn delivery_is_decided_for_each_recipient() {
    let mut group = Group::shard();
    group.run(create_account(BEN, Quota { bytes_max: Some(15), messages_max: None })).unwrap();
    let state = AccountState::Suspended;
    group.run(ShardCommand::SetAccountState { account: BEN, state }).unwrap();
    group.run(create_account(AccountId(3), Quota::default())).unwrap();
    group.run(ShardCommand::DeleteAccount(AccountId(3))).unwrap();
    let lists = group.create("lists");
    let to = |account, mailbox: Option<&str>| Recipient { account, mailbox: mailbox.map(name) };
    let recipients = vec![
        to(ANA, Some("lists")),
        to(BEN, Some("lists")),
        to(AccountId(3), None),
        to(BEN, None),
        to(ANA, None),
        to(AccountId(9), None),
    ];
    let deliver = ShardCommand::Deliver { recipients, message: message(10, NONE, &["k"]) };
    let Ok(Reply::Delivered(results)) = group.run(deliver) else { panic!() };
    let told: Vec<_> = results.iter().map(|it| it.clone().map(|it| (it.mailbox, it.uid.get()))).collect();
    assert_eq!(told[0], Ok((lists.mailbox, 1)));
    assert_eq!(told[1], Ok((MailboxId(1), 1)), "no mailbox of that name, suspended or not: INBOX");
    assert_eq!(told[2], Err(Rejection::NoSuchAccount));
    assert_eq!(told[3], Err(Rejection::OverQuota(QuotaKind::Bytes)), "sees what the one before took");
    assert_eq!(told[4], Ok((MailboxId(1), 1)));
    assert_eq!(told[5], Err(Rejection::NoSuchAccount));
}

#[test]
fn a_refused_recipient_leaves_no_trace() {
    let mut group = Group::shard();
    let quota = Quota { bytes_max: Some(5), messages_max: None };
    group.run(ShardCommand::SetQuota { account: ANA, quota }).unwrap();
    let recipients = vec![Recipient { account: ANA, mailbox: None }];
    let refused = group.run_idle(ShardCommand::Deliver { recipients, message: message(6, NONE, &["new"]) });
    let over_quota = Err(Rejection::OverQuota(QuotaKind::Bytes));
    assert_eq!(refused, Ok(Reply::Delivered(vec![over_quota])));
}

#[test]
fn the_uid_of_the_last_message_is_not_used_again_after_its_expunge() {
    let mut group = Group::shard();
    group.fill(key(1), &[NONE, DELETED]);
    group.run(ShardCommand::Expunge { mailbox: key(1), uids: uids_of("2") }).unwrap();
    group.state.shrink(0);
    group.fill(key(1), &[NONE]);
    assert_eq!(group.uids(key(1)), "1,3");
    group.run(ShardCommand::Move(transfer(key(1), "1,3", key(2)))).unwrap();
    group.fill(key(1), &[NONE]);
    assert_eq!(group.uids(key(1)), "4");
}

#[test]
fn a_small_change_of_a_large_mailbox_writes_small_changes() {
    let mut group = Group::shard();
    for _ in 0..5 {
        group.fill(key(1), &[NONE; 2_000]);
    }
    let commands = [
        append(key(1), 1),
        ShardCommand::StoreFlags(store(key(1), "7", StoreMode::Add, DELETED)),
        ShardCommand::Copy(transfer(key(1), "9999", key(2))),
        ShardCommand::Expunge { mailbox: key(1), uids: uids_of("7") },
    ];
    for command in commands {
        let changes = group.decide(Command::Shard(command), None).changes;
        assert!(changes.len() <= 4, "{changes:?}");
        assert!(!changes.iter().any(|it| matches!(it, Change::PutMailbox(_) | Change::PutAccount(_))));
    }
}

#[test]
fn arrivals_need_no_index() {
    let mut group = Group::shard();
    group.fill(key(1), &[NONE]);
    group.state.shrink(0);
    let recipients = vec![Recipient { account: ANA, mailbox: None }];
    let deliver = ShardCommand::Deliver { recipients, message: message(1, NONE, &[]) };
    for command in [append(key(1), 1), deliver, ShardCommand::ClaimRecent(key(1))] {
        let command = Command::Shard(command);
        assert_eq!(group.state.missing(&command), [Need::Account(ANA)]);
        group.rows.fill(&mut group.state, &command);
        assert!(group.state.mailbox(key(1)).unwrap().index.is_none());
        group.state.shrink(0);
    }
    let store = Command::Shard(ShardCommand::StoreFlags(store(key(1), "1", StoreMode::Add, SEEN)));
    assert_eq!(group.state.missing(&store), [Need::Account(ANA)]);
    group.rows.fill(&mut group.state, &store);
    assert!(group.state.mailbox(key(1)).unwrap().index.is_some());
}

#[test]
fn store_changes_what_differs_and_nothing_else() {
    let mut group = Group::shard();
    group.fill(key(1), &[NONE, SEEN, DELETED]);
    let (messages, modified, advance) = stored(&mut group, store(key(1), "1:9", StoreMode::Add, SEEN));
    assert_eq!(messages, [(1, SEEN, 3), (2, SEEN, 2), (3, SEEN | DELETED, 3)]);
    assert_eq!((modified.as_str(), advance), ("", Advance { before: modseq(2), after: modseq(3) }));
    let (messages, _, advance) = stored(&mut group, store(key(1), "1,3", StoreMode::Remove, DELETED));
    assert_eq!(messages, [(1, SEEN, 3), (3, SEEN, 4)]);
    assert_eq!(advance.after, modseq(4));
    let (messages, _, _) = stored(&mut group, store(key(1), "2", StoreMode::Replace, SystemFlags::DRAFT));
    assert_eq!(messages, [(2, SystemFlags::DRAFT, 5)]);
    assert_eq!(group.row(key(1)).counters.unseen, 1);
}

#[test]
fn store_that_changes_nothing_takes_no_modseq() {
    let mut group = Group::shard();
    group.fill(key(1), &[SEEN]);
    for (mode, flags) in [(StoreMode::Add, SEEN), (StoreMode::Remove, DELETED), (StoreMode::Replace, SEEN)] {
        let outcome = group.run_idle(ShardCommand::StoreFlags(store(key(1), "1:4", mode, flags))).unwrap();
        let Reply::Stored { advance, .. } = outcome else { panic!() };
        assert_eq!(advance, Advance { before: modseq(2), after: modseq(2) });
    }
}

#[test]
fn store_with_stale_unchangedsince_changes_nothing() {
    let mut group = Group::shard();
    group.fill(key(1), &[NONE, NONE]);
    stored(&mut group, store(key(1), "2", StoreMode::Add, SEEN));
    let since = |at| StoreFlags {
        unchanged_since: Some(modseq(at)),
        keywords: vec![keyword("new")],
        ..store(key(1), "1:2", StoreMode::Add, DELETED)
    };
    let outcome = group.run_idle(ShardCommand::StoreFlags(since(0)));
    let Ok(Reply::Stored { messages, modified, keywords, .. }) = outcome else { panic!() };
    assert_eq!((messages.len(), modified.to_string().as_str(), keywords.len()), (0, "1:2", 0));
    let (messages, modified, _) = stored(&mut group, since(2));
    assert_eq!((messages, modified.as_str()), (vec![(1, DELETED, 4)], "2"));
}

#[test]
fn keywords_are_learned_once_in_any_case_and_up_to_a_bound() {
    let mut group = Group::shard();
    group.fill(key(1), &[NONE, NONE]);
    let with = |mode, names: &[String]| {
        let keywords = names.iter().map(|it| keyword(it)).collect();
        ShardCommand::StoreFlags(StoreFlags { keywords, ..store(key(1), "1", mode, NONE) })
    };
    let names: Vec<String> = (0..KEYWORDS_MAX).map(|at| format!("Word{at}")).collect();
    group.run_idle(with(StoreMode::Remove, &names)).unwrap();
    assert_eq!(group.row(key(1)).keywords.len(), 0, "removing teaches nothing");
    group.run(with(StoreMode::Add, &names)).unwrap();
    group.run_idle(with(StoreMode::Add, &["WORD17".into()])).unwrap();
    group.refuse(with(StoreMode::Add, &["one-more".into()]), Rejection::TooManyKeywords);
    group.run(with(StoreMode::Remove, &["word3".into(), "unknown".into()])).unwrap();
    let bits = group.rows.live(key(1)).next().unwrap().keywords;
    assert_eq!(bits, KeywordBits(!(1 << 3)));
    let add = |keywords: &[&str]| ShardCommand::Append {
        mailbox: key(2),
        messages: vec![message(1, NONE, keywords), message(1, NONE, &["x"])],
    };
    group.run(add(&["y"])).unwrap();
    let copy = transfer(key(1), "1", key(2));
    group.refuse(ShardCommand::Copy(copy.clone()), Rejection::TooManyKeywords);
    group.refuse(ShardCommand::Move(copy), Rejection::TooManyKeywords);
}

#[test]
fn expunge_takes_only_deleted_messages() {
    let mut group = Group::shard();
    group.fill(key(1), &[DELETED, NONE, DELETED | SEEN, DELETED]);
    let outcome = group.run(ShardCommand::Expunge { mailbox: key(1), uids: uids_of("1:3,70:90") });
    let advance = Advance { before: modseq(2), after: modseq(3) };
    assert_eq!(outcome, Ok(Reply::Expunged { uids: uids_of("1,3"), advance }));
    assert_eq!(group.uids(key(1)), "2,4");
    let counters = group.row(key(1)).counters;
    assert_eq!((counters.messages, counters.unseen, counters.deleted, counters.bytes), (2, 2, 1, 20));
    assert_eq!(group.rows.tombstones.len(), 2);
    group.run_idle(ShardCommand::Expunge { mailbox: key(1), uids: uids_of("1:3") }).unwrap();
    group.fill(key(1), &[NONE]);
    assert_eq!(group.uids(key(1)), "2,4:5", "the UIDs of expunged messages stay unused");
}

#[test]
fn copies_keep_flags_dates_and_keywords_and_get_new_uids() {
    let mut group = Group::shard();
    let messages = vec![message(3, SEEN, &["a", "b"]), message(4, DELETED, &["b"])];
    group.run(ShardCommand::Append { mailbox: key(1), messages }).unwrap();
    let messages = vec![message(1, NONE, &["b"])];
    group.run(ShardCommand::Append { mailbox: key(2), messages }).unwrap();
    let outcome = group.run(ShardCommand::Copy(transfer(key(1), "1:5", key(2)))).unwrap();
    let Reply::Copied { source, target, uid_validity } = outcome else { panic!() };
    assert_eq!((source, target), (uids_of("1:2"), uids_of("2:3")));
    assert_eq!(uid_validity, group.row(key(2)).uid_validity);
    let copies: Vec<_> = group.rows.live(key(2)).skip(1).collect();
    assert_eq!((copies[0].flags, copies[0].keywords), (SEEN, KeywordBits(0b11)));
    assert_eq!(
        (copies[1].flags, copies[1].keywords),
        (DELETED, KeywordBits(0b01)),
        "b is the target's first"
    );
    assert_eq!(group.row(key(2)).keywords, [keyword("b"), keyword("a")]);
    assert_eq!(group.rows.summaries[&(key(2), uid(2))], group.rows.summaries[&(key(1), uid(1))]);
    assert_eq!(group.uids(key(1)), "1:2");
    group.run_idle(ShardCommand::Copy(transfer(key(1), "50:60", key(2)))).unwrap();
    group.refuse(ShardCommand::Copy(transfer(key(1), "1", key(99))), Rejection::NoSuchMailbox);
    group.run(ShardCommand::Copy(transfer(key(1), "1:2", key(1)))).unwrap();
    assert_eq!(group.uids(key(1)), "1:4", "onto itself");
}

#[test]
fn copy_needs_quota_and_move_does_not() {
    let mut group = Group::shard();
    group.fill(key(1), &[NONE, NONE]);
    let quota = Quota { bytes_max: Some(30), messages_max: None };
    group.run(ShardCommand::SetQuota { account: ANA, quota }).unwrap();
    let both = transfer(key(1), "1:2", key(2));
    group.refuse(ShardCommand::Copy(both.clone()), Rejection::OverQuota(QuotaKind::Bytes));
    let outcome = group.run(ShardCommand::Move(both)).unwrap();
    let Reply::Moved { source, target, advance, .. } = outcome else { panic!() };
    assert_eq!((source, target), (uids_of("1:2"), uids_of("1:2")));
    assert_eq!(advance, Advance { before: modseq(2), after: modseq(3) });
    assert_eq!((group.uids(key(1)), group.uids(key(2))), (String::new(), "1:2".into()));
    group.run_idle(ShardCommand::Move(transfer(key(1), "1:2", key(2)))).unwrap();
}

#[test]
fn move_onto_itself_renumbers_and_no_session_takes_its_reply_for_all() {
    let mut group = Group::shard();
    group.fill(key(1), &[NONE, NONE, NONE]);
    let outcome = group.run(ShardCommand::Move(transfer(key(1), "1:2", key(1)))).unwrap();
    let Reply::Moved { advance, target, .. } = outcome else { panic!() };
    assert_eq!((group.uids(key(1)), target), ("3:5".into(), uids_of("4:5")));
    assert_ne!(advance.before, modseq(2));
}

#[test]
fn no_entry_touches_more_messages_than_it_may() {
    let mut group = Group::shard();
    let many = vec![DELETED; ENTRY_MESSAGES_MAX as usize];
    group.fill(key(1), &many);
    group.fill(key(1), &[NONE]);
    let all = "1:2001";
    group.refuse(ShardCommand::Expunge { mailbox: key(1), uids: uids_of(all) }, Rejection::TooManyMessages);
    group.refuse(
        ShardCommand::StoreFlags(store(key(1), all, StoreMode::Add, SEEN)),
        Rejection::TooManyMessages,
    );
    group.refuse(ShardCommand::Copy(transfer(key(1), all, key(2))), Rejection::TooManyMessages);
    group.refuse(ShardCommand::Move(transfer(key(1), all, key(2))), Rejection::TooManyMessages);
    group.run(ShardCommand::Expunge { mailbox: key(1), uids: uids_of("1:2000,3000:4000000000") }).unwrap();
    assert_eq!(group.uids(key(1)), "2001");
}

#[test]
fn recent_messages_are_claimed_once() {
    let mut group = Group::shard();
    group.fill(key(1), &[NONE, NONE]);
    let claim = ShardCommand::ClaimRecent(key(1));
    let claimed = |from, below| Ok(Reply::RecentClaimed { from: Some(uid(from)), below: Some(uid(below)) });
    assert_eq!(group.run(claim.clone()), claimed(1, 3));
    assert_eq!(group.run_idle(claim.clone()), claimed(3, 3));
    group.fill(key(1), &[NONE]);
    assert_eq!(group.run(claim), claimed(3, 4));
    assert_eq!(group.row(key(1)).counters.modseq, modseq(3), "a claim is no change of a message");
}
