//! Known answers of the commands about messages: STORE, COPY, MOVE, EXPUNGE, FETCH, SEARCH.

use super::*;

#[test]
fn store_copy_move_expunge() {
    let store = |set: &str, mode, silent, flags| Store {
        numbering: Numbering::Sequence,
        set: numbers(set),
        unchanged_since: None,
        mode,
        silent,
        flags,
    };
    let deleted = FlagList { system: SystemFlags::DELETED, ..FlagList::default() };
    let keywords = FlagList { keywords: vec![Keyword::new("$Forwarded").unwrap()], ..deleted };
    for (line, body) in [
        ("STORE 2:4 +FLAGS (\\Deleted)", store("2:4", StoreMode::Add, false, deleted.clone())),
        ("STORE * flags.silent \\deleted $Forwarded", store("*", StoreMode::Replace, true, keywords.clone())),
        (
            "STORE 1 -FLAGS ( $Forwarded \\Deleted $forwarded )",
            store("1", StoreMode::Remove, false, keywords),
        ),
        ("STORE 1 FLAGS ()", store("1", StoreMode::Replace, false, FlagList::default())),
        (
            "STORE 1 -FLAGS.SILENT (\\Recent)",
            store("1", StoreMode::Remove, true, FlagList { names_unsettable: true, ..FlagList::default() }),
        ),
        (
            "STORE 1 (UNCHANGEDSINCE 0) +FLAGS (\\Deleted)",
            Store {
                unchanged_since: Some(ModSeq::ZERO),
                ..store("1", StoreMode::Add, false, deleted.clone())
            },
        ),
    ] {
        assert_eq!(parsed(line), CommandBody::Store(body), "{line}");
    }
    assert_eq!(
        parsed("UID STORE 5:9 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\\Deleted)"),
        CommandBody::Store(Store {
            numbering: Numbering::Uid,
            set: uids("5:9"),
            unchanged_since: ModSeq::new(12),
            mode: StoreMode::Add,
            silent: true,
            flags: deleted,
        })
    );
    let transfer = |numbering, set| Transfer { numbering, set, mailbox: mailbox("MEETING") };
    assert_eq!(parsed("COPY 2:4 MEETING"), CommandBody::Copy(transfer(Numbering::Sequence, numbers("2:4"))));
    assert_eq!(parsed("UID COPY $ MEETING"), CommandBody::Copy(transfer(Numbering::Uid, uids("$"))));
    assert_eq!(parsed("MOVE 2:4 MEETING"), CommandBody::Move(transfer(Numbering::Sequence, numbers("2:4"))));
    assert_eq!(parsed("UID MOVE 0:7 MEETING"), CommandBody::Move(transfer(Numbering::Uid, uids("1:7"))));
    assert_eq!(parsed("UID EXPUNGE 3000:3002"), CommandBody::Expunge(Some(uids("3000:3002"))));
    for line in [
        "STORE 0 FLAGS ()",
        "STORE 1",
        "STORE 1 FLAGS",
        "STORE 1 FOO (\\Seen)",
        "STORE 1 (FOO 1) FLAGS ()",
        "COPY 1",
        "COPY x y",
        "STORE 1 (UNCHANGEDSINCE x) FLAGS ()",
        "UID EXPUNGE",
        "EXPUNGE 1",
        "STORE 1 FLAGS (\\)",
        "STORE 1 FLAGS (\"x\")",
        "STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS ()",
    ] {
        assert!(matches!(refused(line), Reason::Arguments(_)), "{line}");
    }
}

#[test]
fn fetch_items() {
    let section = |numbers: &[u32], text, partial, peek| {
        FetchItem::Section(BodySection { section: Section { part: part(numbers), text }, partial, peek })
    };
    let fields = |not, fields: &[&str]| SectionText::HeaderFields {
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
        not,
    };
    let partial = |offset, length| Some(Partial { offset, length });
    let binary = |numbers: &[u32], partial, peek| {
        FetchItem::Binary(BinarySection { part: part(numbers), partial, peek })
    };
    for (line, items) in [
        ("FAST", vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size]),
        ("all", vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size, FetchItem::Envelope]),
        (
            "FULL",
            vec![
                FetchItem::Flags,
                FetchItem::InternalDate,
                FetchItem::Rfc822Size,
                FetchItem::Envelope,
                FetchItem::Body,
            ],
        ),
        ("(uid BODYSTRUCTURE MODSEQ UID)", vec![FetchItem::Uid, FetchItem::BodyStructure, FetchItem::ModSeq]),
        (
            "(RFC822 RFC822.PEEK RFC822.HEADER RFC822.SIZE RFC822.TEXT)",
            vec![
                FetchItem::Rfc822,
                FetchItem::Rfc822Peek,
                FetchItem::Rfc822Header,
                FetchItem::Rfc822Size,
                FetchItem::Rfc822Text,
            ],
        ),
        ("BODY[]", vec![section(&[], SectionText::Whole, None, false)]),
        ("BODY.PEEK[]<0.65536>", vec![section(&[], SectionText::Whole, partial(0, 65536), true)]),
        ("BODY[TEXT]<5.1>", vec![section(&[], SectionText::Text, partial(5, 1), false)]),
        ("body[3.header]", vec![section(&[3], SectionText::Header, None, false)]),
        ("BODY[4.2.2.1]", vec![section(&[4, 2, 2, 1], SectionText::Whole, None, false)]),
        ("BODY[4.2.2.MIME]", vec![section(&[4, 2, 2], SectionText::Mime, None, false)]),
        (
            "(FLAGS BODY.PEEK[HEADER.FIELDS (DATE From)])",
            vec![FetchItem::Flags, section(&[], fields(false, &["DATE", "From"]), None, true)],
        ),
        (
            "BODY[1.HEADER.FIELDS.NOT (\"x y\")]<1.2>",
            vec![section(&[1], fields(true, &["x y"]), partial(1, 2), false)],
        ),
        ("BINARY[1.2]<7.8>", vec![binary(&[1, 2], partial(7, 8), false)]),
        ("BINARY.PEEK[]", vec![binary(&[], None, true)]),
        ("BINARY.SIZE[3]", vec![FetchItem::BinarySize(part(&[3]))]),
    ] {
        let fetch = Fetch {
            numbering: Numbering::Sequence,
            set: numbers("2:4"),
            items,
            changed_since: None,
            vanished: false,
        };
        assert_eq!(parsed(&format!("FETCH 2:4 {line}")), CommandBody::Fetch(fetch), "{line}");
    }
}

#[test]
fn fetch_modifiers_and_mistakes() {
    let fetch = Fetch {
        numbering: Numbering::Uid,
        set: uids("1:*"),
        items: vec![FetchItem::Flags],
        changed_since: Some(ModSeq::ZERO),
        vanished: false,
    };
    assert_eq!(parsed("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 0)"), CommandBody::Fetch(fetch.clone()));
    assert_eq!(
        parsed("UID FETCH 1:* (FLAGS) (VANISHED CHANGEDSINCE 0)"),
        CommandBody::Fetch(Fetch { vanished: true, ..fetch })
    );
    for arguments in [
        "",
        "1",
        "1 ()",
        "1 FOO",
        "1 (FLAGS",
        "1 FLAGS)",
        "1 (ALL)",
        "1 BODY[",
        "1 BODY[FOO]",
        "1 BODY[MIME]",
        "1 BODY[1.]",
        "1 BODY[0]",
        "1 BODY[1..2]",
        "1 BODY.PEEK",
        "1 BODY[HEADER.FIELDS ()]",
        "1 BODY[HEADER.FIELDS]",
        "1 BODY[]<0>",
        "1 BODY[]<0.0>",
        "1 BODY[]<0.9223372036854775808>",
        "1 BINARY[TEXT]",
        "1 BINARY[1.]",
        "1 BINARY",
        "1 FLAGS (FOO)",
        "1 FLAGS (CHANGEDSINCE)",
        "1 FLAGS (VANISHED)",
        "1 FLAGS (CHANGEDSINCE 1 VANISHED)",
        "1:x FLAGS",
        "0 FLAGS",
        "1 FLAGS[]",
        "1 BODY[TEXT.1]",
        "1 BODY[1TEXT]",
    ] {
        assert!(matches!(refused(&format!("FETCH {arguments}")), Reason::Arguments(_)), "{arguments}");
    }
    let deep = format!("FETCH 1 BODY[{}1]", "1.".repeat(128));
    assert_eq!(refused(&deep), Reason::Arguments("part number too deep"));
}

fn searched(arguments: &str) -> Search {
    match parsed(arguments) {
        CommandBody::Search(search) => search,
        other => panic!("{other:?}"),
    }
}

#[test]
fn search_keys() {
    let text = Bytes::from_static;
    let header = |name: &str, value| SearchKey::Header(name.into(), text(value));
    let date = |field, test, year, month, day| SearchKey::Date(field, test, SearchDate { year, month, day });
    let seen = || SearchKey::Has(SystemFlags::SEEN);
    for (line, key) in [
        ("ALL", SearchKey::All),
        ("answered", SearchKey::Has(SystemFlags::ANSWERED)),
        ("UNDRAFT", SearchKey::HasNot(SystemFlags::DRAFT)),
        ("NEW", SearchKey::New),
        ("OLD", SearchKey::Old),
        ("RECENT", SearchKey::Recent),
        ("FROM \"Smith\"", header("FROM", b"Smith")),
        ("HEADER X-Spam \"\"", header("X-Spam", b"")),
        ("BODY x", SearchKey::Body(text(b"x"))),
        ("TEXT \"\u{fc}\"", SearchKey::Text(text("\u{fc}".as_bytes()))),
        ("KEYWORD $x", SearchKey::Keyword(Keyword::new("$x").unwrap())),
        ("UNKEYWORD x", SearchKey::NotKeyword(Keyword::new("x").unwrap())),
        ("SINCE 1-Feb-1994", date(DateField::Internal, DateTest::Since, 1994, 2, 1)),
        ("ON \"01-feb-1994\"", date(DateField::Internal, DateTest::On, 1994, 2, 1)),
        ("BEFORE 28-Feb-1994", date(DateField::Internal, DateTest::Before, 1994, 2, 28)),
        ("SENTBEFORE 1-Jan-2000", date(DateField::Sent, DateTest::Before, 2000, 1, 1)),
        ("SENTON 1-Jan-2000", date(DateField::Sent, DateTest::On, 2000, 1, 1)),
        ("SENTSINCE 1-Jan-2000", date(DateField::Sent, DateTest::Since, 2000, 1, 1)),
        ("OLDER 3600", SearchKey::Older(3600)),
        ("YOUNGER 259200", SearchKey::Younger(259_200)),
        ("LARGER 0", SearchKey::Larger(0)),
        ("SMALLER 9223372036854775807", SearchKey::Smaller(9_223_372_036_854_775_807)),
        ("UID 0:5", SearchKey::Uid(uids("1:5"))),
        ("UID $", SearchKey::Uid(SequenceSet::LastSearch)),
        ("$", SearchKey::Sequence(SequenceSet::LastSearch)),
        ("2:*,5", SearchKey::Sequence(numbers("2:*,5"))),
        ("MODSEQ 620162338", SearchKey::ModSeq(ModSeq::new(620_162_338).unwrap())),
        ("MODSEQ \"/flags/\\\\draft\" all 0", SearchKey::ModSeq(ModSeq::ZERO)),
        ("NOT SEEN", SearchKey::Not(Box::new(seen()))),
        (
            "OR SEEN (ALL 1)",
            SearchKey::Or(Box::new((
                seen(),
                SearchKey::And(vec![SearchKey::All, SearchKey::Sequence(numbers("1"))]),
            ))),
        ),
        ("( ( seen ) )", SearchKey::And(vec![SearchKey::And(vec![seen()])])),
    ] {
        let search = searched(&format!("SEARCH {line}"));
        assert_eq!((search.keys, search.returns, search.charset), (vec![key], None, None), "{line}");
    }
    assert_eq!(searched("UID SEARCH  SEEN   ALL  ").keys, [seen(), SearchKey::All]);
}

#[test]
fn search_options_and_mistakes() {
    let all = SearchReturn { all: true, ..SearchReturn::default() };
    let save = SearchReturn { save: true, ..SearchReturn::default() };
    let every = SearchReturn { min: true, max: true, all: true, count: true, save: true };
    for (line, returns, charset) in [
        ("SEARCH RETURN () ALL", all, None),
        ("SEARCH RETURN (SAVE) ALL", save, None),
        ("SEARCH RETURN (min max all count save) CHARSET utf-8 ALL", every, Some("UTF-8")),
        ("UID SEARCH RETURN (ALL) CHARSET \"us-ascii\" ALL", all, Some("US-ASCII")),
    ] {
        let search = searched(line);
        assert_eq!((search.returns, search.charset.as_deref()), (Some(returns), charset), "{line}");
    }
    for arguments in [
        "",
        "FOO",
        "FROM",
        "OR SEEN",
        "NOT",
        "()",
        "(SEEN",
        "SEEN)",
        "SINCE 1994",
        "SINCE 31-Feb-1994",
        "UID x",
        "0",
        "1:",
        "LARGER x",
        "KEYWORD",
        "KEYWORD \\Seen",
        "OLDER 0",
        "RETURN (FOO) ALL",
        "RETURN ALL",
        "RETURN () ",
        "CHARSET UTF-8",
        "MODSEQ",
        "MODSEQ x",
        "MODSEQ \"/flags/x\" foo 1",
        "MODSEQ \"/flags/x\" 1",
        "SEENALL",
        "HEADER x",
        "FROM a b",
    ] {
        assert!(matches!(refused(&format!("SEARCH {arguments}")), Reason::Arguments(_)), "{arguments}");
    }
}

#[test]
fn deep_and_long_searches_are_bounded() {
    assert_eq!(searched(&format!("SEARCH {}ALL", "NOT ".repeat(64))).keys.len(), 1);
    for deep in [
        format!("SEARCH {}ALL", "NOT ".repeat(65)),
        format!("SEARCH {}ALL{}", "(".repeat(65), ")".repeat(65)),
        format!("SEARCH {}", "OR ALL ".repeat(10_000)),
        format!("SEARCH {}", "(".repeat(100_000)),
    ] {
        assert_eq!(refused(&deep), Reason::Arguments("search nested too deep"));
    }
    assert_eq!(
        refused(&format!("SEARCH {}", "ALL ".repeat(4097))),
        Reason::Arguments("too many search keys")
    );
}

#[test]
fn uid_sets_of_64_kib_are_read() {
    let set: String = (1..12_000u32).map(|uid| format!("{},", uid * 2)).collect();
    assert!(set.len() > 64 * 1024);
    assert!(matches!(parsed(&format!("UID FETCH {}1 (FLAGS)", set)), CommandBody::Fetch(_)));
}
