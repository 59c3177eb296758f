//! Known answers: every command, with the examples of the RFCs where they have one.

use crate::command::fetch::{
    BinarySection, BodySection, Fetch, FetchItem, PartPath, Partial, Section, SectionText,
};
use crate::command::flags::FlagList;
use crate::command::list::{List, ListReturn, ListSelect, Lsub};
use crate::command::search::{DateField, DateTest, Search, SearchDate, SearchKey, SearchReturn};
use crate::command::select::{Qresync, Select};
use crate::command::status::{Status, StatusItem};
use crate::command::store::{Store, StoreMode};
use crate::command::{
    Authenticate, CommandBody, Create, Login, MailboxArg, Numbering, Rename, Transfer, UseAttribute,
};
use crate::sequence_set::SequenceSet;
use crate::session::{Bad, Event, Limits, Reason, Session, State};
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::secret::Secret;
use buzon_types::special_use::SpecialUse;
use buzon_types::uid::{ModSeq, UidValidity};
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

fn event(state: State, arguments: &str) -> Event {
    let mut session = Session::new(Limits::default());
    session.set_state(state);
    let mut input = BytesMut::from(format!("a1 {arguments}\r\n").as_str());
    let event = session.next_event(&mut input, &mut BytesMut::new()).expect("a whole command is there");
    assert!(input.is_empty(), "{} bytes left", input.len());
    event
}

fn parsed_in(state: State, arguments: &str) -> CommandBody {
    match event(state, arguments) {
        Event::Command(command) => {
            assert_eq!(command.tag.as_str(), "a1");
            command.body
        }
        other => panic!("{arguments}: {other:?}"),
    }
}

fn parsed(arguments: &str) -> CommandBody {
    parsed_in(State::Selected, arguments)
}

fn refused(arguments: &str) -> Reason {
    match event(State::Selected, arguments) {
        Event::Bad(Bad { tag: Some(_), reason }) => reason,
        other => panic!("{arguments}: {other:?}"),
    }
}

fn mailbox(name: &str) -> MailboxArg {
    MailboxArg(name.into())
}

fn numbers(text: &str) -> SequenceSet {
    SequenceSet::parse(text.as_bytes(), Numbering::Sequence).unwrap()
}

fn uids(text: &str) -> SequenceSet {
    SequenceSet::parse(text.as_bytes(), Numbering::Uid).unwrap()
}

fn part(numbers: &[u32]) -> PartPath {
    PartPath(SmallVec::from_slice(numbers))
}

#[test]
fn commands_without_arguments() {
    for (line, body) in [
        ("CAPABILITY", CommandBody::Capability),
        ("noop", CommandBody::Noop),
        ("Logout ", CommandBody::Logout),
        ("NAMESPACE", CommandBody::Namespace),
        ("IDLE", CommandBody::Idle),
        ("CLOSE", CommandBody::Close),
        ("UNSELECT", CommandBody::Unselect),
        ("CHECK", CommandBody::Check),
        ("EXPUNGE", CommandBody::Expunge(None)),
    ] {
        assert_eq!(parsed(line), body, "{line}");
    }
    assert_eq!(parsed_in(State::NotAuthenticated, "STARTTLS"), CommandBody::StartTls);
    assert_eq!(refused("NOOP x"), Reason::Arguments("end of command expected"));
    for line in [
        "FOO",
        "UID",
        "UID NOOP",
        "UID UID FETCH 1 FLAGS",
        "AUTHENTICATEX PLAIN",
        "",
        "(",
        "UIDFETCH 1 FLAGS",
    ] {
        assert_eq!(refused(line), Reason::UnknownCommand, "{line}");
    }
}

#[test]
fn login_and_authenticate() {
    let login = |user: &str, password: &'static [u8]| {
        CommandBody::Login(Login { user: user.into(), password: Secret::new(Bytes::from_static(password)) })
    };
    for (line, body) in [
        ("LOGIN SMITH SESAME", login("SMITH", b"SESAME")),
        ("login  \"sm\\\"ith\"   \"pass\\\\word\" ", login("sm\"ith", b"pass\\word")),
        ("LOGIN a \"\"", login("a", b"")),
        ("LOGIN a p]x", login("a", b"p]x")),
    ] {
        assert_eq!(parsed_in(State::NotAuthenticated, line), body, "{line}");
    }
    let authenticate = |mechanism: &str, initial: Option<&'static [u8]>| {
        let initial_response = initial.map(|bytes| Secret::new(Bytes::from_static(bytes)));
        CommandBody::Authenticate(Authenticate { mechanism: mechanism.into(), initial_response })
    };
    for (line, body) in [
        ("AUTHENTICATE plain", authenticate("PLAIN", None)),
        ("AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=", authenticate("PLAIN", Some(b"test\0test\0test"))),
        ("AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q", authenticate("PLAIN", Some(b"test\0test\0test"))),
        ("AUTHENTICATE EXTERNAL =", authenticate("EXTERNAL", Some(b""))),
        ("AUTHENTICATE SCRAM-SHA-256", authenticate("SCRAM-SHA-256", None)),
    ] {
        assert_eq!(parsed_in(State::NotAuthenticated, line), body, "{line}");
    }
    for line in [
        "LOGIN a",
        "LOGIN",
        "LOGIN a b c",
        "LOGIN \"a b",
        "LOGIN a \"b\\c\"",
        "AUTHENTICATE",
        "AUTHENTICATE PLAIN ***",
    ] {
        assert!(matches!(event(State::NotAuthenticated, line), Event::Bad(_)), "{line}");
    }
}

#[test]
fn enable_and_id() {
    assert_eq!(
        parsed("ENABLE condstore UTF8=Accept X-GOOD"),
        CommandBody::Enable(vec!["CONDSTORE".into(), "UTF8=ACCEPT".into(), "X-GOOD".into()])
    );
    assert_eq!(parsed("ID nil"), CommandBody::Id(None));
    assert_eq!(
        parsed("ID (\"name\" \"sodr\" \"version\" NIL)"),
        CommandBody::Id(Some(vec![("name".into(), Some("sodr".into())), ("version".into(), None)]))
    );
    assert_eq!(parsed("ID ()"), CommandBody::Id(Some(Vec::new())));
    for line in ["ENABLE", "ID", "ID (\"name\")", "ID \"name\""] {
        assert!(matches!(refused(line), Reason::Arguments(_)), "{line}");
    }
}

#[test]
fn select_with_parameters() {
    let plain = |name: &str| Select { mailbox: mailbox(name), condstore: false, qresync: None };
    assert_eq!(parsed("SELECT INBOX"), CommandBody::Select(plain("INBOX")));
    assert_eq!(parsed("EXAMINE \"blurdy bloop\""), CommandBody::Examine(plain("blurdy bloop")));
    assert_eq!(
        parsed("SELECT INBOX (CONDSTORE)"),
        CommandBody::Select(Select { condstore: true, ..plain("INBOX") })
    );
    let qresync = Qresync {
        uid_validity: UidValidity::new(67_890_007).unwrap(),
        modseq: ModSeq::new(20_050_715_194_045_000).unwrap(),
        known_uids: Some(uids("41,43:211,214:541")),
        sequence_match: Some((numbers("1:3"), uids("5,7,9"))),
    };
    assert_eq!(
        parsed("SELECT INBOX (CONDSTORE QRESYNC (67890007 20050715194045000 41,43:211,214:541 (1:3 5,7,9)))"),
        CommandBody::Select(Select { condstore: true, qresync: Some(qresync), ..plain("INBOX") })
    );
    for line in [
        "SELECT",
        "SELECT a b",
        "SELECT a (FOO)",
        "SELECT a (QRESYNC)",
        "SELECT a (QRESYNC ())",
        "SELECT a (QRESYNC (0 1))",
        "SELECT a (QRESYNC (1 1 1:*))",
        "SELECT a (QRESYNC (1 1 1 2))",
        "SELECT a (QRESYNC (1 1 (1)))",
        "SELECT a (CONDSTORE",
        "SELECT a (QRESYNC (1 1 (1 2 3)))",
        "SELECT a (QRESYNC (1 1 (1 2) 3))",
        "SELECT \"\u{1}\r\"",
    ] {
        assert!(matches!(refused(line), Reason::Arguments(_)), "{line}");
    }
}

#[test]
fn mailbox_names_are_decoded() {
    for (line, name) in [
        ("DELETE blurdybloop", "blurdybloop"),
        ("DELETE \"\"", ""),
        ("DELETE foo/", "foo/"),
        ("DELETE ~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
        ("DELETE \"a & b\"", "a & b"),
        ("DELETE a&-b", "a&b"),
        ("DELETE \"Entwürfe\"", "Entwürfe"),
        ("DELETE Entwürfe", "Entwürfe"),
        ("DELETE a]b", "a]b"),
    ] {
        assert_eq!(parsed(line), CommandBody::Delete(mailbox(name)), "{line}");
    }
    assert_eq!(parsed("SUBSCRIBE x"), CommandBody::Subscribe(mailbox("x")));
    assert_eq!(parsed("UNSUBSCRIBE x"), CommandBody::Unsubscribe(mailbox("x")));
    assert_eq!(
        parsed("RENAME blurdybloop \"sarasoop\""),
        CommandBody::Rename(Rename { from: mailbox("blurdybloop"), to: mailbox("sarasoop") })
    );
    for line in ["DELETE", "DELETE *", "DELETE a%", "RENAME a", "DELETE (a)"] {
        assert!(matches!(refused(line), Reason::Arguments(_)), "{line}");
    }
}

#[test]
fn names_are_taken_as_utf8_once_enabled() {
    let mut session = Session::new(Limits::default());
    session.set_state(State::Authenticated);
    session.set_name_encoding(crate::response::NameEncoding::Utf8);
    let mut input = BytesMut::from("a DELETE &U,BTFw-\r\nb DELETE \"\u{fc}&\"\r\n");
    for name in ["&U,BTFw-", "\u{fc}&"] {
        match session.next_event(&mut input, &mut BytesMut::new()) {
            Some(Event::Command(command)) => assert_eq!(command.body, CommandBody::Delete(mailbox(name))),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn create_with_special_use() {
    let create =
        |name: &str, special_use| CommandBody::Create(Create { mailbox: mailbox(name), special_use });
    assert_eq!(parsed("CREATE owatagusiam/"), create("owatagusiam/", Vec::new()));
    assert_eq!(
        parsed("CREATE MySpecial (USE (\\Drafts \\sent \\Foo))"),
        create(
            "MySpecial",
            vec![
                UseAttribute::Known(SpecialUse::Drafts),
                UseAttribute::Known(SpecialUse::Sent),
                UseAttribute::Unknown("\\Foo".into())
            ]
        )
    );
    assert_eq!(parsed("CREATE x (USE ())"), create("x", Vec::new()));
    assert!(matches!(refused("CREATE x (FOO (\\Sent))"), Reason::Arguments(_)));
}

#[test]
fn status_items() {
    let status = |items: &[StatusItem]| {
        CommandBody::Status(Status { mailbox: mailbox("blurdybloop"), items: items.to_vec() })
    };
    assert_eq!(
        parsed("STATUS blurdybloop (UIDNEXT MESSAGES)"),
        status(&[StatusItem::UidNext, StatusItem::Messages])
    );
    assert_eq!(
        parsed(
            "status blurdybloop ( messages recent uidnext uidvalidity unseen deleted size highestmodseq )"
        ),
        status(&StatusItem::ALL)
    );
    assert_eq!(parsed("STATUS blurdybloop (SIZE SIZE)"), status(&[StatusItem::Size]));
    for line in ["STATUS x", "STATUS x ()", "STATUS x (FOO)", "STATUS x MESSAGES"] {
        assert!(matches!(refused(line), Reason::Arguments(_)), "{line}");
    }
}

#[test]
fn list_plain_and_extended() {
    let plain = |reference: &str, pattern: &str| List {
        select: ListSelect::default(),
        reference: reference.into(),
        patterns: vec![pattern.into()],
        returns: ListReturn::default(),
        extended: false,
    };
    let subscribed = ListSelect { subscribed: true, ..ListSelect::default() };
    let recursive = ListSelect { recursive_match: true, remote: true, ..subscribed };
    let two = vec!["INBOX".to_owned(), "Sent/%".to_owned()];
    let status = vec![StatusItem::Messages, StatusItem::Unseen];
    for (line, list) in [
        ("LIST \"\" \"\"", plain("", "")),
        ("LIST \"~/Mail/\" %", plain("~/Mail/", "%")),
        ("LIST \"\" *", plain("", "*")),
        ("LIST \"\" \"&U,BTFw-/*\"", plain("", "台北/*")),
        ("LIST (SUBSCRIBED) \"\" \"*\"", List { select: subscribed, extended: true, ..plain("", "*") }),
        ("LIST () \"\" \"*\"", List { extended: true, ..plain("", "*") }),
        (
            "LIST (REMOTE SUBSCRIBED RECURSIVEMATCH) \"\" \"*\"",
            List { select: recursive, extended: true, ..plain("", "*") },
        ),
        (
            "LIST \"\" (\"INBOX\" \"Sent/%\") RETURN (children)",
            List {
                patterns: two,
                returns: ListReturn { children: true, ..ListReturn::default() },
                extended: true,
                ..plain("", "")
            },
        ),
        (
            "LIST \"\" % RETURN (SUBSCRIBED SPECIAL-USE STATUS (MESSAGES UNSEEN))",
            List {
                returns: ListReturn { subscribed: true, special_use: true, children: false, status },
                extended: true,
                ..plain("", "%")
            },
        ),
        (
            "LIST (SPECIAL-USE) \"\" \"*\" RETURN ()",
            List {
                select: ListSelect { special_use: true, ..ListSelect::default() },
                extended: true,
                ..plain("", "*")
            },
        ),
    ] {
        assert_eq!(parsed(line), CommandBody::List(list), "{line}");
    }
    assert_eq!(
        parsed("LSUB \"#news.\" \"comp.mail.*\""),
        CommandBody::Lsub(Lsub { reference: "#news.".into(), pattern: "comp.mail.*".into() })
    );
    for line in [
        "LIST",
        "LIST \"\"",
        "LIST (RECURSIVEMATCH) \"\" *",
        "LIST (REMOTE RECURSIVEMATCH) \"\" *",
        "LIST (FOO) \"\" *",
        "LIST \"\" * RETURN",
        "LIST \"\" * RETURN (FOO)",
        "LIST \"\" * RETURN (STATUS)",
        "LIST \"\" * FOO",
        "LSUB \"\"",
    ] {
        assert!(matches!(refused(line), Reason::Arguments(_)), "{line}");
    }
    assert!(matches!(
        refused(&format!("LIST \"\" {}", "x".repeat(1025))),
        Reason::Arguments("pattern too long")
    ));
}

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
