//! CREATE, DELETE, RENAME and subscriptions.

use buzon_types::flag::SystemFlags;
use buzon_types::special_use::SpecialUse;

use crate::command::ShardCommand;
use crate::limits::MAILBOXES_MAX;
use crate::reply::{Rejection, Reply};
use crate::row::MailboxState;
use crate::tests::group::*;

const START: [&str; 6] = ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"];

fn with(more: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = START.iter().chain(more).map(ToString::to_string).collect();
    names.sort();
    names
}

#[test]
fn create_makes_the_levels_above() {
    let mut group = Group::shard();
    let leaf = group.create("a/b/c");
    assert_eq!(group.names(), with(&["a", "a/b", "a/b/c"]));
    assert_eq!(leaf, key(9));
    group.refuse(create_mailbox("a/b"), Rejection::MailboxExists(name("a/b")));
    let validities: Vec<u32> = (1..=9).map(|id| group.row(key(id)).uid_validity.get()).collect();
    assert_eq!(validities, (1_000..1_009).collect::<Vec<_>>(), "UIDVALIDITY is the last plus one");
    assert!((1..=9).all(|id| group.row(key(id)).counters.modseq >= modseq(1)));
}

#[test]
fn uid_validity_follows_the_seed_when_that_is_greater() {
    let mut group = Group::shard();
    let create = |name_of: &str, uid_validity_seed| ShardCommand::CreateMailbox {
        account: ANA,
        name: name(name_of),
        special_use: None,
        uid_validity_seed,
    };
    group.run(create("x", 5_000)).unwrap();
    group.run(create("y", 4_000)).unwrap();
    assert_eq!((group.row(key(7)).uid_validity.get(), group.row(key(8)).uid_validity.get()), (5_000, 5_001));
    group.run(create("z", u32::MAX)).unwrap();
    group.refuse(create("zz", 1), Rejection::NotHere);
}

#[test]
fn inbox_is_neither_made_nor_deleted_nor_nested_in_itself() {
    let mut group = Group::shard();
    for inbox in ["inbox", "INBOX/INBOX", "INBOX/inbox", "INBOX/Inbox/x"] {
        group.refuse(create_mailbox(inbox), Rejection::Inbox);
    }
    group.refuse(delete("INBOX"), Rejection::Inbox);
    group.refuse(rename("Sent", "INBOX"), Rejection::Inbox);
    group.refuse(rename("Sent", "INBOX/INBOX"), Rejection::Inbox);
    group.create("INBOX/news");
    assert_eq!(group.names(), with(&["INBOX/news"]));
    group.create("t/INBOX");
    group.refuse(rename("t", "INBOX"), Rejection::Inbox);
}

#[test]
fn a_special_use_is_given_once() {
    let mut group = Group::shard();
    let create = |name_of: &str| ShardCommand::CreateMailbox {
        account: ANA,
        name: name(name_of),
        special_use: Some(SpecialUse::Sent),
        uid_validity_seed: 0,
    };
    group.refuse(create("mine"), Rejection::SpecialUseTaken(name("Sent")));
    group.run(delete("Sent")).unwrap();
    group.run(create("deep/mine")).unwrap();
    assert_eq!(group.row(key(7)).special_use, None);
    assert_eq!(group.row(key(8)).special_use, Some(SpecialUse::Sent));
}

#[test]
fn a_deleted_mailbox_frees_its_name_and_usage_at_once_and_its_rows_in_steps() {
    let mut group = Group::shard();
    let old = group.create("a");
    group.create("a/b");
    group.fill(old, &[SystemFlags::NONE, SystemFlags::DELETED]);
    group.run(ShardCommand::Expunge { mailbox: old, uids: uids_of("2") }).unwrap();
    group.run(delete("a")).unwrap();
    assert_eq!(group.names(), with(&["a/b"]), "what lies below stays");
    assert_eq!(group.rows.accounts[&ANA].counters.messages, 0);
    assert_eq!(group.row(old).state, MailboxState::Deleting);
    group.refuse(delete("a"), Rejection::NoSuchMailbox);
    group.refuse(append(old, 1), Rejection::NoSuchMailbox);
    let new = group.create("a");
    assert!(new.mailbox > old.mailbox);
    assert!(group.row(new).uid_validity > group.row(old).uid_validity);
    group.refuse(ShardCommand::PurgeMailbox(new), Rejection::NotHere);
    assert_eq!(group.run(ShardCommand::PurgeMailbox(old)), Ok(Reply::Purged { more: false }));
    assert!(!group.rows.mailboxes.contains_key(&old));
    assert!(group.rows.summaries.is_empty() && group.rows.tombstones.is_empty());
    assert_eq!(group.run_idle(ShardCommand::PurgeMailbox(old)), Ok(Reply::Purged { more: false }));
}

#[test]
fn purge_goes_in_bounded_steps() {
    let mut group = Group::shard();
    let old = group.create("a");
    for _ in 0..2 {
        group.fill(old, &vec![SystemFlags::NONE; 2_000]);
    }
    group.run(delete("a")).unwrap();
    for more in [true, true, false] {
        assert_eq!(group.run(ShardCommand::PurgeMailbox(old)), Ok(Reply::Purged { more }));
    }
    assert!(group.rows.messages.is_empty());
}

#[test]
fn rename_takes_the_subtree_and_makes_the_levels_above_the_target() {
    let mut group = Group::shard();
    group.create("a/b");
    group.create("a b");
    group.create("ab");
    let child = key(8);
    group.fill(child, &[SystemFlags::NONE]);
    let before = group.row(child).clone();
    group.run(rename("a", "x/y")).unwrap();
    assert_eq!(group.names(), with(&["a b", "ab", "x", "x/y", "x/y/b"]));
    let after = group.row(child);
    assert_eq!(after.name, name("x/y/b"));
    assert_eq!((after.uid_validity, after.counters), (before.uid_validity, before.counters));
    group.refuse(rename("a", "z"), Rejection::NoSuchMailbox);
    group.refuse(rename("x", "x/y/z"), Rejection::IntoItself);
    group.refuse(rename("x", "Sent"), Rejection::MailboxExists(name("Sent")));
    group.refuse(rename("x", "x"), Rejection::MailboxExists(name("x")));
    let long = "n".repeat(1_021);
    group.refuse(rename("x", &long), Rejection::NameTooLong);
}

#[test]
fn rename_works_where_only_a_level_is() {
    let mut group = Group::shard();
    group.create("a/b");
    group.run(delete("a")).unwrap();
    group.run(rename("a", "c")).unwrap();
    assert_eq!(group.names(), with(&["c/b"]));
    group.create("d/b");
    group.run(delete("d")).unwrap();
    group.refuse(rename("c", "d"), Rejection::MailboxExists(name("d/b")));
    group.refuse(rename("nothing", "there"), Rejection::NoSuchMailbox);
}

#[test]
fn rename_upwards_may_reuse_the_names_it_frees() {
    let mut group = Group::shard();
    group.create("a/b/b/c");
    group.create("a/b/c");
    group.run(delete("a")).unwrap();
    // The rows in maps refuse two live mailboxes of one name, even between two changes.
    group.run(rename("a/b", "a")).unwrap();
    assert_eq!(group.names(), with(&["a", "a/b", "a/b/c", "a/c"]));
}

#[test]
fn rename_of_inbox_leaves_a_new_inbox_and_its_children() {
    let mut group = Group::shard();
    group.create("INBOX/child");
    group.fill(key(1), &[SystemFlags::NONE]);
    let validity = group.row(key(1)).uid_validity;
    group.run(rename("INBOX", "old/mail")).unwrap();
    assert_eq!(group.names(), with(&["INBOX/child", "old", "old/mail"]));
    let moved = group.row(key(1));
    assert_eq!((&moved.name, moved.uid_validity, moved.counters.messages), (&name("old/mail"), validity, 1));
    let inbox = group.state.account(ANA).unwrap().inbox().unwrap();
    assert_ne!(inbox.row.uid_validity, validity);
    assert_eq!(inbox.row.counters.messages, 0);
    group.run(rename("INBOX", "INBOX/older")).unwrap();
}

#[test]
fn there_is_a_bound_to_mailboxes() {
    let mut group = Group::shard();
    for at in 6..MAILBOXES_MAX {
        let entry = group.entry(crate::command::Command::Shard(create_mailbox(&format!("m{at}"))), None);
        group.rows.fill(&mut group.state, &entry.command);
        let decision = crate::decide::decide(&group.state, &entry);
        assert!(decision.outcome.is_ok());
        group.state.absorb(&decision.changes);
    }
    let entry = group.entry(crate::command::Command::Shard(create_mailbox("more")), None);
    let decision = crate::decide::decide(&group.state, &entry);
    assert_eq!(decision.outcome, Err(Rejection::TooManyMailboxes));
}

#[test]
fn subscriptions_are_names() {
    let mut group = Group::shard();
    let subscribe = ShardCommand::Subscribe { account: ANA, name: name("not/there") };
    group.run(subscribe.clone()).unwrap();
    group.run_idle(subscribe).unwrap();
    group.run(rename("Sent", "Posted")).unwrap();
    let account = group.state.account(ANA).unwrap();
    assert!(account.is_subscribed(&name("Sent")) && !account.is_subscribed(&name("Posted")));
    assert_eq!(account.subscriptions().len(), 7);
    let unsubscribe = ShardCommand::Unsubscribe { account: ANA, name: name("not/there") };
    group.run(unsubscribe.clone()).unwrap();
    group.run_idle(unsubscribe).unwrap();
}
