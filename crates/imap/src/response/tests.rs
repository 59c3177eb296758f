//! Known answers: each response as it stands on the wire, and whether imap-codec, an independent parser, reads it.

use super::*;
use crate::command::Numbering;
use crate::command::fetch::{BinarySection, BodySection, PartPath, Partial, Section, SectionText};
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::special_use::SpecialUse;
use buzon_types::time::InternalDate;
use buzon_types::uid::UidValidity;
use data::{ExtraFlag, Namespace};
use fetch::{FetchWriter, Rfc822};
use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder;
use list::{ChildInfo, ListAttribute};

fn written(response: impl Into<Response>) -> String {
    let mut out = BytesMut::new();
    response.into().write(&mut out, NameEncoding::ModifiedUtf7);
    String::from_utf8(out.to_vec()).unwrap()
}

fn assert_read_by_imap_codec(text: &str) {
    match ResponseCodec::default().decode(text.as_bytes()) {
        Ok((rest, response)) => {
            let shown = format!("{response:?}");
            assert!(rest.is_empty(), "{text}");
            assert!(!shown.contains("CodeOther"), "{text} {shown}");
        }
        Err(error) => panic!("{text}: {error:?}"),
    }
}

fn tag(text: &str) -> Tag {
    Tag(text.into())
}

fn uids(text: &str) -> UidSet {
    let set = crate::sequence_set::SequenceSet::parse(text.as_bytes(), Numbering::Uid).unwrap();
    set.uids(Uid::MAX).unwrap()
}

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn number(value: u32) -> SequenceNumber {
    SequenceNumber::new(value).unwrap()
}

fn modseq(value: u64) -> ModSeq {
    ModSeq::new(value).unwrap()
}

fn seen(extra: ExtraFlag) -> FlagNames {
    FlagNames { system: SystemFlags::SEEN, keywords: vec![Keyword::new("$Forwarded").unwrap()], extra }
}

#[test]
fn status_responses() {
    for (status, text) in [
        (Status::ok(&tag("a1"), "done"), "a1 OK done\r\n"),
        (Status::no(&tag("a1"), ""), "a1 NO -\r\n"),
        (Status::bad(&tag("a1"), "[x] y"), "a1 BAD (x] y\r\n"),
        (Status::untagged(Condition::Bye, "bye\r\nx"), "* BYE bye  x\r\n"),
        (Status::untagged(Condition::No, "é"), "* NO ?\r\n"),
    ] {
        let line = written(status);
        assert_eq!(line, text);
        assert_read_by_imap_codec(&line);
    }
    // Only a greeting, which is not a response to imap-codec.
    assert_eq!(written(Status::untagged(Condition::PreAuth, "hello")), "* PREAUTH hello\r\n");
}

#[test]
fn response_codes() {
    let validity = UidValidity::new(38505).unwrap();
    for (code, text) in [
        (Code::Alert, "ALERT"),
        (Code::BadCharset(Vec::new()), "BADCHARSET"),
        (Code::BadCharset(vec!["UTF-8".into(), "US-ASCII".into()]), "BADCHARSET (UTF-8 US-ASCII)"),
        (Code::Capability(vec!["IMAP4rev1".into(), "IDLE".into()]), "CAPABILITY IMAP4rev1 IDLE"),
        (Code::Parse, "PARSE"),
        (Code::PermanentFlags(seen(ExtraFlag::AnyKeyword)), "PERMANENTFLAGS (\\Seen $Forwarded \\*)"),
        (Code::ReadOnly, "READ-ONLY"),
        (Code::ReadWrite, "READ-WRITE"),
        (Code::TryCreate, "TRYCREATE"),
        (Code::UidNext(uid(4392)), "UIDNEXT 4392"),
        (Code::UidValidity(validity), "UIDVALIDITY 38505"),
        (Code::Unseen(number(17)), "UNSEEN 17"),
        (Code::AppendUid(validity, uids("3955")), "APPENDUID 38505 3955"),
        (
            Code::CopyUid { uid_validity: validity, from: uids("304,319:320"), to: uids("3956:3958") },
            "COPYUID 38505 304,319:320 3956:3958",
        ),
        (Code::UidNotSticky, "UIDNOTSTICKY"),
        (Code::HighestModSeq(modseq(715_194_045_007)), "HIGHESTMODSEQ 715194045007"),
        (Code::NoModSeq, "NOMODSEQ"),
        (Code::ModifiedUids(uids("7,9")), "MODIFIED 7,9"),
        (Code::ModifiedNumbers(vec![(number(7), number(7)), (number(9), number(12))]), "MODIFIED 7,9:12"),
        (Code::Closed, "CLOSED"),
        (Code::TooBig, "TOOBIG"),
        (Code::UnknownCte, "UNKNOWN-CTE"),
    ] {
        let line = written(Status::untagged(Condition::Ok, "x").with(code));
        assert_eq!(line, format!("* OK [{text}] x\r\n"));
        assert_read_by_imap_codec(&line);
    }
    // What imap-codec takes for "some other code".
    for (code, text) in [
        (Code::AlreadyExists, "ALREADYEXISTS"),
        (Code::AuthenticationFailed, "AUTHENTICATIONFAILED"),
        (Code::AuthorizationFailed, "AUTHORIZATIONFAILED"),
        (Code::Cannot, "CANNOT"),
        (Code::ClientBug, "CLIENTBUG"),
        (Code::ContactAdmin, "CONTACTADMIN"),
        (Code::Corruption, "CORRUPTION"),
        (Code::Expired, "EXPIRED"),
        (Code::ExpungeIssued, "EXPUNGEISSUED"),
        (Code::HasChildren, "HASCHILDREN"),
        (Code::InUse, "INUSE"),
        (Code::Limit, "LIMIT"),
        (Code::NonExistent, "NONEXISTENT"),
        (Code::NoPerm, "NOPERM"),
        (Code::NotSaved, "NOTSAVED"),
        (Code::OverQuota, "OVERQUOTA"),
        (Code::PrivacyRequired, "PRIVACYREQUIRED"),
        (Code::ServerBug, "SERVERBUG"),
        (Code::Unavailable, "UNAVAILABLE"),
        (Code::UseAttr, "USEATTR"),
    ] {
        assert_eq!(written(Status::no(&tag("a"), "x").with(code)), format!("a NO [{text}] x\r\n"));
    }
}

fn row(mailbox: &str, attributes: &[ListAttribute]) -> ListRow {
    ListRow { mailbox: mailbox.to_owned(), attributes: attributes.to_vec(), ..ListRow::default() }
}

#[test]
fn mailbox_data() {
    let status = vec![(StatusItem::Messages, 231), (StatusItem::UidNext, 44292), (StatusItem::Size, 1 << 40)];
    for (response, text) in [
        (
            Response::Capability(vec!["IMAP4rev2".into(), "AUTH=PLAIN".into()]),
            "CAPABILITY IMAP4rev2 AUTH=PLAIN",
        ),
        (Response::Enabled(vec!["CONDSTORE".into()]), "ENABLED CONDSTORE"),
        (Response::Id(Vec::new()), "ID NIL"),
        (
            Response::Id(vec![("name".into(), "Buzon".into()), ("os".into(), "a\"b".into())]),
            r#"ID ("name" "Buzon" "os" "a\"b")"#,
        ),
        (Response::Flags(seen(ExtraFlag::None)), "FLAGS (\\Seen $Forwarded)"),
        (Response::List(row("", &[ListAttribute::NoSelect])), r#"LIST (\Noselect) "/" """#),
        (
            Response::List(row(
                "Entwürfe",
                &[ListAttribute::HasNoChildren, ListAttribute::Use(SpecialUse::Drafts)],
            )),
            r#"LIST (\HasNoChildren \Drafts) "/" "Entw&APw-rfe""#,
        ),
        (Response::Lsub(row("a \"b\" \\c", &[])), r#"LSUB () "/" "a \"b\" \\c""#),
        (
            Response::MailboxStatus { mailbox: "blurdybloop".into(), values: status },
            "STATUS \"blurdybloop\" (MESSAGES 231 UIDNEXT 44292 SIZE 1099511627776)",
        ),
        (Response::Search(SearchNumbers { numbers: vec![2, 84, 882], modseq: None }), "SEARCH 2 84 882"),
        (Response::Search(SearchNumbers { numbers: Vec::new(), modseq: Some(modseq(5)) }), "SEARCH"),
        (
            Response::Search(SearchNumbers { numbers: vec![2, 5], modseq: Some(modseq(917_162_488)) }),
            "SEARCH 2 5 (MODSEQ 917162488)",
        ),
        (Response::Exists(172), "172 EXISTS"),
        (Response::Recent(0), "0 RECENT"),
        (Response::Expunge(number(3)), "3 EXPUNGE"),
        (Response::Vanished { earlier: true, uids: uids("300:310,405") }, "VANISHED (EARLIER) 300:310,405"),
        (Response::Vanished { earlier: false, uids: uids("7") }, "VANISHED 7"),
        (
            Response::FetchFlags {
                number: number(7),
                uid: Some(uid(9)),
                modseq: Some(modseq(320_162_350)),
                flags: seen(ExtraFlag::Recent),
            },
            "7 FETCH (UID 9 MODSEQ (320162350) FLAGS (\\Seen $Forwarded \\Recent))",
        ),
        (
            Response::FetchFlags { number: number(7), uid: None, modseq: None, flags: FlagNames::default() },
            "7 FETCH (FLAGS ())",
        ),
    ] {
        let line = written(response);
        assert_eq!(line, format!("* {text}\r\n"));
        assert_read_by_imap_codec(&line);
    }
}

#[test]
fn what_imap_codec_does_not_know() {
    let extended = ListRow {
        child_info: vec![ChildInfo::Subscribed],
        old_name: Some("Vorlagen ü".into()),
        ..row("Foo", &[ListAttribute::NonExistent, ListAttribute::Subscribed])
    };
    let only_old = ListRow { old_name: Some("x".into()), ..row("Foo", &[]) };
    let esearch = Esearch {
        tag: tag("A282"),
        numbering: Numbering::Uid,
        min: Some(2),
        max: Some(15),
        all: vec![(2, 2), (10, 15)],
        count: Some(7),
        modseq: Some(modseq(99)),
    };
    let nothing = Esearch {
        tag: tag("A283"),
        numbering: Numbering::Sequence,
        min: None,
        max: None,
        all: Vec::new(),
        count: Some(0),
        modseq: None,
    };
    let personal = vec![Namespace { prefix: String::new() }];
    let shared = vec![Namespace { prefix: "Geteilt/ü/".into() }, Namespace { prefix: "#news/".into() }];
    for (response, text) in [
        (
            Response::List(extended),
            r#"LIST (\NonExistent \Subscribed) "/" "Foo" ("CHILDINFO" ("SUBSCRIBED") "OLDNAME" ("Vorlagen &APw-"))"#,
        ),
        (Response::List(only_old), r#"LIST () "/" "Foo" ("OLDNAME" ("x"))"#),
        (Response::Esearch(esearch), "ESEARCH (TAG \"A282\") UID MIN 2 MAX 15 COUNT 7 MODSEQ 99 ALL 2,10:15"),
        (Response::Esearch(nothing), "ESEARCH (TAG \"A283\") COUNT 0"),
        (
            Response::Namespace(Namespaces { personal, other_users: Vec::new(), shared }),
            r##"NAMESPACE (("" "/")) NIL (("Geteilt/&APw-/" "/")("#news/" "/"))"##,
        ),
    ] {
        assert_eq!(written(response), format!("* {text}\r\n"));
    }
}

#[test]
fn names_go_out_as_utf8_to_those_who_enabled_it() {
    let mut out = BytesMut::new();
    Response::List(row("Entwürfe & Co", &[])).write(&mut out, NameEncoding::Utf8);
    assert_eq!(out, "* LIST () \"/\" \"Entwürfe & Co\"\r\n".as_bytes());
}

fn fetched(write: impl FnOnce(&mut FetchWriter<'_>)) -> String {
    let mut out = BytesMut::new();
    let mut fetch = FetchWriter::begin(&mut out, number(12));
    write(&mut fetch);
    fetch.end();
    String::from_utf8(out.to_vec()).unwrap()
}

fn part(numbers: &[u32]) -> PartPath {
    PartPath(smallvec::SmallVec::from_slice(numbers))
}

fn section(numbers: &[u32], text: SectionText, partial: Option<Partial>) -> BodySection {
    BodySection { section: Section { part: part(numbers), text }, partial, peek: true }
}

#[test]
fn fetch_items_in_the_order_written() {
    let line = fetched(|fetch| {
        fetch.uid(uid(4_827_313));
        fetch.flags(SystemFlags::SEEN, ExtraFlag::None, []);
        fetch.modseq(modseq(624_140_003));
        fetch.internal_date(InternalDate::from_civil((1996, 7, 17), (2, 44, 25), -420));
        fetch.rfc822_size(4286);
        fetch.envelope(b"(NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL)");
        fetch.body(b"(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 3028 92)");
        fetch.body_structure(b"(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 3028 92 NIL NIL NIL NIL)");
        fetch.binary_size(&part(&[1, 2]), 77);
    });
    assert_eq!(
        line,
        "* 12 FETCH (UID 4827313 FLAGS (\\Seen) MODSEQ (624140003) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" \
         RFC822.SIZE 4286 ENVELOPE (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL) \
         BODY (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 3028 92) \
         BODYSTRUCTURE (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 3028 92 NIL NIL NIL NIL) BINARY.SIZE[1.2] 77)\r\n"
    );
    assert_read_by_imap_codec(&line);
}

#[test]
fn sections_are_named_as_they_were_asked() {
    let fields = |not| SectionText::HeaderFields { fields: vec!["Date".into(), "x y".into()], not };
    let partial = Some(Partial { offset: 5, length: 9 });
    for (section, text) in [
        (section(&[], SectionText::Whole, None), "BODY[]"),
        (section(&[], SectionText::Text, partial), "BODY[TEXT]<5>"),
        (section(&[4, 2], SectionText::Whole, None), "BODY[4.2]"),
        (section(&[4, 2], SectionText::Mime, None), "BODY[4.2.MIME]"),
        (section(&[3], SectionText::Header, None), "BODY[3.HEADER]"),
        (section(&[], fields(false), None), "BODY[HEADER.FIELDS (Date \"x y\")]"),
        (section(&[1], fields(true), partial), "BODY[1.HEADER.FIELDS.NOT (Date \"x y\")]<5>"),
    ] {
        let line = fetched(|fetch| fetch.section(&section, b"ab)\r\n"));
        assert_eq!(line, format!("* 12 FETCH ({text} {{5}}\r\nab)\r\n)\r\n"));
        assert_read_by_imap_codec(&line);
        let line = fetched(|fetch| fetch.section_nil(&section));
        assert_eq!(line, format!("* 12 FETCH ({text} NIL)\r\n"));
        assert_read_by_imap_codec(&line);
    }
}

#[test]
fn bodies_can_be_streamed_between_flushes() {
    let mut out = BytesMut::new();
    let mut fetch = FetchWriter::begin(&mut out, number(1));
    fetch.rfc822_literal(Rfc822::Header, 4);
    fetch.raw(b"a: b");
    fetch.rfc822_literal(Rfc822::Message, 6);
    let flushed = out.split();
    out.extend_from_slice(b"x\0yyyy");
    let mut fetch = FetchWriter::resume(&mut out);
    let binary = BinarySection { part: part(&[1]), partial: None, peek: false };
    fetch.binary(&binary, b"\0\r");
    fetch.binary_nil(&BinarySection { partial: Some(Partial { offset: 3, length: 1 }), ..binary });
    fetch.rfc822_literal(Rfc822::Text, 0);
    fetch.end();
    assert_eq!(flushed, &b"* 1 FETCH (RFC822.HEADER {4}\r\na: b RFC822 {6}\r\n"[..]);
    assert_eq!(out, &b"x\0yyyy BINARY[1] ~{2}\r\n\0\r BINARY[1]<3> NIL RFC822.TEXT {0}\r\n)\r\n"[..]);
}

#[test]
fn continuations() {
    let mut out = BytesMut::new();
    write_continuation(&mut out, "idling\r\n");
    assert_eq!(out, &b"+ idling  \r\n"[..]);
}
