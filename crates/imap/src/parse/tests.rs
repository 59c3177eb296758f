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

mod messages;

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
