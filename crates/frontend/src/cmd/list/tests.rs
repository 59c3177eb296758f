//! LIST against the hierarchies of RFC 9051 §6.3.9.8.

use super::*;
use buzon_model::row::{MailboxCounters, MailboxState};
use buzon_types::id::{AccountId, MailboxId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::special_use::SpecialUse;
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, UidValidity};

fn account(mailboxes: &[&str], subscriptions: &[&str]) -> MailboxList {
    let mut names: Vec<_> = mailboxes.iter().map(|name| MailboxName::new(name).unwrap()).collect();
    names.sort();
    let row = |(at, name): (usize, MailboxName)| MailboxRow {
        key: MailboxKey { account: AccountId(1), mailbox: MailboxId(at as u32 + 1) },
        special_use: (name.as_str() == "Sent").then_some(SpecialUse::Sent),
        name,
        state: MailboxState::Live,
        uid_validity: UidValidity::MIN,
        keywords: Vec::new(),
        tombstone_floor: ModSeq::ZERO,
        created_at: Timestamp(0),
        counters: MailboxCounters {
            uid_next: None,
            recent_from: None,
            modseq: ModSeq::ZERO,
            messages: 0,
            unseen: 0,
            deleted: 0,
            bytes: 0,
        },
    };
    let mailboxes = names.into_iter().enumerate().map(row).collect();
    let subscriptions = subscriptions.iter().map(|name| MailboxName::new(name).unwrap()).collect();
    MailboxList { mailboxes, subscriptions }
}

fn list(select: ListSelect, reference: &str, patterns: &[&str]) -> List {
    List {
        select,
        reference: reference.to_owned(),
        patterns: patterns.iter().map(ToString::to_string).collect(),
        returns: ListReturn::default(),
        extended: true,
    }
}

fn told(list: &MailboxList, body: &List) -> Vec<String> {
    rows(list, body).into_iter().map(|(row, _)| line(&row)).collect()
}

fn line(row: &ListRow) -> String {
    let mut bytes = bytes::BytesMut::new();
    Response::List(row.clone()).write(&mut bytes, buzon_imap::response::NameEncoding::Utf8);
    String::from_utf8(bytes.to_vec()).unwrap().trim_end().trim_start_matches("* LIST ").to_owned()
}

#[test]
fn levels_without_a_mailbox_are_told_as_such() {
    let names = account(&["INBOX", "music/rock", "Sent"], &[]);
    let body = list(ListSelect::default(), "", &["%"]);
    let told = told(&names, &body);
    assert_eq!(told.len(), 3);
    assert!(told[0].contains("INBOX") && told[0].contains("\\HasNoChildren"), "{told:?}");
    assert!(told[1].contains("\\Sent"), "{told:?}");
    assert!(told[2].contains("\\NonExistent") && told[2].contains("\\HasChildren"), "{told:?}");
}

#[test]
fn the_reference_comes_before_the_pattern() {
    let names = account(&["INBOX", "a/b", "a/b/c", "x"], &[]);
    assert_eq!(told(&names, &list(ListSelect::default(), "a/", &["%"])).len(), 1);
    assert_eq!(told(&names, &list(ListSelect::default(), "a/", &["*"])).len(), 2);
    assert_eq!(told(&names, &list(ListSelect::default(), "", &["inbox", "x", ""])).len(), 2);
}

#[test]
fn subscribed_names_need_not_exist() {
    let names = account(&["INBOX", "Fruit", "Fruit/Banana"], &["Fruit/Banana", "Fruit/Peach"]);
    let select = ListSelect { subscribed: true, ..ListSelect::default() };
    let told = told(&names, &list(select, "", &["*"]));
    assert_eq!(told.len(), 2);
    assert!(told[0].contains("\\Subscribed") && !told[0].contains("\\NonExistent"), "{told:?}");
    assert!(told[1].contains("\\Subscribed") && told[1].contains("\\NonExistent"), "{told:?}");
}

#[test]
fn recursive_match_tells_parents_for_what_is_not_told_itself() {
    let mailboxes =
        ["foo2", "foo2/bar1", "foo2/bar2", "baz2", "baz2/bar2", "eps2", "eps2/mamba", "qux2/bar2"];
    let names =
        account(&mailboxes, &["foo2/bar1", "foo2/bar2", "baz2/bar2", "eps2", "eps2/mamba", "qux2/bar2"]);
    let select = ListSelect { subscribed: true, recursive_match: true, ..ListSelect::default() };
    let told = told(&names, &list(select, "", &["*2"]));
    let with_info: Vec<_> = told.iter().filter(|line| line.contains("CHILDINFO")).collect();
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(with_info.len(), 2, "{told:?}");
    assert!(with_info[0].contains("eps2") && with_info[1].contains("foo2"), "{told:?}");
}

#[test]
fn special_uses_can_be_asked_for() {
    let names = account(&["INBOX", "Sent", "x"], &[]);
    let select = ListSelect { special_use: true, ..ListSelect::default() };
    assert_eq!(told(&names, &list(select, "", &["*"])).len(), 1);
}
