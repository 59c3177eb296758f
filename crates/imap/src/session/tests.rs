//! Transcripts of framing: literals, states, IDLE, AUTHENTICATE, APPEND, refusals.

use super::*;
use crate::command::CommandBody;
use crate::command::append::AppendForm;

struct Talk {
    session: Session,
    input: BytesMut,
    output: BytesMut,
}

impl Talk {
    fn new(state: State) -> Self {
        let mut session = Session::new(Limits::default());
        session.set_state(state);
        Self { session, input: BytesMut::new(), output: BytesMut::new() }
    }

    fn limited(state: State, limits: Limits) -> Self {
        Self { session: Session { limits, ..Self::new(state).session }, ..Self::new(state) }
    }

    /// What the client sends.
    fn c(&mut self, text: &str) -> &mut Self {
        self.input.extend_from_slice(text.as_bytes());
        self
    }

    fn event(&mut self) -> Option<Event> {
        self.session.next_event(&mut self.input, &mut self.output)
    }

    fn command(&mut self) -> Command {
        match self.event() {
            Some(Event::Command(command)) => command,
            other => panic!("{other:?}"),
        }
    }

    fn tag(&mut self) -> String {
        self.command().tag.to_string()
    }

    fn bad(&mut self) -> Reason {
        match self.event() {
            Some(Event::Bad(bad)) => bad.reason,
            other => panic!("{other:?}"),
        }
    }

    fn append(&mut self) -> AppendStart {
        match self.event() {
            Some(Event::AppendStart(start)) => start,
            other => panic!("{other:?}"),
        }
    }

    /// What the server sent since last time.
    fn s(&mut self, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&self.output.split()), expected);
    }

    fn waits(&mut self) {
        assert_eq!(self.event(), None);
    }
}

#[test]
fn pipelined_commands_come_one_by_one() {
    let mut talk = Talk::new(State::Authenticated);
    talk.c("\r\na NOOP\r\n   \r\n\nb noop \nc  CAPABILITY\r\nd NO");
    assert_eq!([talk.tag(), talk.tag(), talk.tag()], ["a", "b", "c"]);
    talk.waits();
    talk.c("OP\r\n");
    assert_eq!(talk.tag(), "d");
    talk.waits();
    talk.s("");
}

#[test]
fn a_literal_is_asked_for_and_its_bytes_are_not_looked_at() {
    let mut talk = Talk::new(State::NotAuthenticated);
    talk.c("a LOGIN {11}\r\n").waits();
    talk.s("+ go on\r\n");
    talk.c("FRED {5}\r\nX {7+}\r\nsec").waits();
    talk.s("");
    talk.c("ret!\r\n");
    match talk.command().body {
        CommandBody::Login(login) => {
            assert_eq!(
                (login.user.as_str(), &login.password.expose()[..]),
                ("FRED {5}\r\nX", &b"secret!"[..])
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_state_is_refused_before_the_literal_comes() {
    let mut talk = Talk::new(State::NotAuthenticated);
    talk.c("a SELECT {5}\r\n");
    assert_eq!(talk.bad(), Reason::State);
    talk.s("a BAD command not allowed in this state\r\n");
    talk.c("b SELECT {5+}\r\nINBOX\r\nc FETCH 1 FLAGS\r\nd NOOP\r\n");
    assert_eq!([talk.bad(), talk.bad()], [Reason::State, Reason::State]);
    assert_eq!(talk.session.bad_commands(), 3);
    assert_eq!(talk.tag(), "d");
    assert_eq!(talk.session.bad_commands(), 0);
    talk.session.set_state(State::Authenticated);
    talk.c("e LOGIN a b\r\nf SELECT x\r\ng EXPUNGE\r\n");
    assert_eq!(talk.bad(), Reason::State);
    assert_eq!(talk.tag(), "f");
    assert_eq!(talk.bad(), Reason::State);
    assert_eq!(talk.session.bad_commands(), 1);
}

#[test]
fn what_has_no_tag_is_answered_untagged() {
    let mut talk = Talk::new(State::Authenticated);
    talk.c("+ NOOP\r\n\"x\" NOOP\r\n\u{1}\r\nGET / HTTP/1.1\r\n");
    assert_eq!(
        [talk.bad(), talk.bad(), talk.bad(), talk.bad()],
        [Reason::Tag, Reason::Tag, Reason::Tag, Reason::UnknownCommand]
    );
    talk.s("* BAD tag expected\r\n* BAD tag expected\r\n* BAD tag expected\r\nGET BAD unknown command\r\n");
}

#[test]
fn append_streams_its_message() {
    let mut talk = Talk::new(State::Authenticated);
    talk.c("A003 APPEND saved-messages (\\Seen $x) \"17-Jul-1996 02:44:25 -0700\" {310}\r\n");
    let start = talk.append();
    assert_eq!(
        (start.mailbox.as_str(), start.message_bytes, start.form),
        ("saved-messages", 310, AppendForm::Literal)
    );
    assert!(start.synchronizing && start.date.is_some() && start.flags.keywords.len() == 1);
    talk.waits();
    talk.s("");
    talk.session.accept_append(&mut talk.output);
    talk.s("+ go on\r\n");
    talk.c(&"x".repeat(300));
    assert_eq!(talk.event(), Some(Event::AppendChunk(Bytes::from(vec![b'x'; 300]))));
    talk.waits();
    talk.c("0123456789");
    assert_eq!(talk.event(), Some(Event::AppendChunk(Bytes::from_static(b"0123456789"))));
    talk.waits();
    talk.c("\r\nb NOOP\r\n");
    assert_eq!(talk.event(), Some(Event::AppendEnd));
    assert_eq!(talk.tag(), "b");
}

#[test]
fn append_takes_every_form_of_literal() {
    let mut talk = Talk::new(State::Selected);
    talk.c("a APPEND {5+}\r\nINBOX {3+}\r\nabc\r\nb APPEND x ~{3+}\r\na\0c\r\nc APPEND x UTF8 (~{3+}\r\nabc)\r\nd APPEND x {0+}\r\n\r\n");
    for (name, form, bytes) in [
        ("INBOX", AppendForm::Literal, 3),
        ("x", AppendForm::Literal8, 3),
        ("x", AppendForm::Utf8, 3),
        ("x", AppendForm::Literal, 0),
    ] {
        let start = talk.append();
        assert_eq!((start.mailbox.as_str(), start.form, start.message_bytes), (name, form, bytes));
        talk.session.accept_append(&mut talk.output);
        if bytes > 0 {
            assert!(matches!(talk.event(), Some(Event::AppendChunk(_))));
        }
        assert_eq!(talk.event(), Some(Event::AppendEnd));
    }
    talk.waits();
    talk.s("");
    talk.c("e APPEND {5}\r\n").waits();
    talk.s("+ go on\r\n");
}

#[test]
fn a_refused_message_is_not_sent_or_read_over() {
    let mut talk = Talk::new(State::Authenticated);
    talk.c("a APPEND x {3}\r\n");
    let no =
        |start: &AppendStart| Status::no(&start.tag, "too big").with(crate::response::code::Code::TooBig);
    let start = talk.append();
    talk.session.refuse_append(&no(&start), &mut talk.output);
    talk.s("a NO [TOOBIG] too big\r\n");
    talk.c("b NOOP\r\nc APPEND x {8+}\r\n");
    assert_eq!(talk.tag(), "b");
    let start = talk.append();
    talk.session.refuse_append(&no(&start), &mut talk.output);
    talk.c("c NO").waits();
    talk.c("OP\r\n {6+}\r\nd NOOP {3}\r\ne NOOP\r\n");
    assert_eq!(talk.tag(), "e");
    talk.s("c NO [TOOBIG] too big\r\n");
}

#[test]
fn an_append_can_be_refused_while_it_comes() {
    let mut talk = Talk::new(State::Authenticated);
    talk.c("a APPEND x {8+}\r\n1234");
    let start = talk.append();
    talk.session.accept_append(&mut talk.output);
    assert!(matches!(talk.event(), Some(Event::AppendChunk(_))));
    talk.session.refuse_append(&Status::no(&start.tag, "disk full"), &mut talk.output);
    talk.c("5678\r\nb NOOP\r\n");
    assert_eq!(talk.tag(), "b");
    talk.s("a NO disk full\r\n");
}

#[test]
fn a_malformed_append_is_refused_around_its_message() {
    let mut talk = Talk::new(State::Authenticated);
    for line in [
        "a APPEND",
        "a APPEND x",
        "a APPEND x y",
        "a APPEND x \"1-Jan-2000\" {1}",
        "a APPEND x (\\Seen {1}",
        "a APPEND x UTF8 ({1}",
        "a APPEND ~{1}",
    ] {
        talk.c(line).c("\r\n");
        let event = talk.event();
        if line == "a APPEND ~{1}" {
            // Nobody can tell before the literal came whether it is the name: it is, so it may not be binary.
            assert_eq!(event, None);
            talk.c("x {1}\r\n");
            assert!(matches!(talk.bad(), Reason::Arguments(_)));
        } else {
            assert!(
                matches!(event, Some(Event::Bad(Bad { reason: Reason::Arguments(_), .. }))),
                "{line} {event:?}"
            );
        }
    }
    talk.c("b APPEND x {1+}\r\ny (\\Seen) {2+}\r\nzz\r\nc NOOP\r\n");
    talk.append();
    talk.session.accept_append(&mut talk.output);
    assert!(matches!(talk.event(), Some(Event::AppendChunk(_))));
    assert!(matches!(talk.bad(), Reason::Arguments(_)));
    assert_eq!(talk.tag(), "c");
}

#[test]
fn lines_and_literals_over_the_limits_are_refused_and_read_over() {
    let limits =
        Limits { line_bytes_max: 40, literal_bytes_max: 10, skip_bytes_max: 200, ..Limits::default() };
    let mut talk = Talk::limited(State::Authenticated, limits);
    talk.c(&format!("a DELETE {}", "x".repeat(50)));
    assert_eq!(talk.bad(), Reason::LineTooLong);
    talk.s("a BAD command line too long\r\n");
    talk.c("xxx {4+}\r\nabcd {3}\r\nb DELETE {11}\r\nc DELETE {11+}\r\n01234567890 {1+}\r\nx\r\nd DELETE {10+}\r\n0123456789\r\n");
    assert_eq!([talk.bad(), talk.bad()], [Reason::LiteralTooLarge, Reason::LiteralTooLarge]);
    assert_eq!(talk.tag(), "d");
    talk.c("e RENAME {5+}\r\naaaaa {6+}\r\nbbbbbb\r\n");
    assert_eq!(talk.bad(), Reason::LiteralTooLarge);
    talk.c("f DELETE {201+}\r\n");
    assert_eq!(talk.bad(), Reason::LiteralTooLarge);
    assert_eq!(talk.event(), Some(Event::Fatal(Reason::TooMuchToSkip)));
    assert!(talk.output.ends_with(b"* BYE [TOOBIG] too much data behind a refused command\r\n"));
    talk.c("g NOOP\r\n").waits();
    assert!(talk.input.is_empty());
}

#[test]
fn an_endless_line_ends_the_connection() {
    let limits = Limits { line_bytes_max: 40, skip_bytes_max: 200, ..Limits::default() };
    let mut talk = Talk::limited(State::Authenticated, limits);
    talk.c(&"x".repeat(100));
    assert_eq!(talk.bad(), Reason::LineTooLong);
    talk.waits();
    talk.c(&"x".repeat(101));
    assert!(matches!(talk.event(), Some(Event::Fatal(_))));
}

#[test]
fn too_many_literals_are_refused() {
    let mut talk = Talk::new(State::Selected);
    talk.c("a SEARCH");
    for _ in 0..=LITERALS_MAX {
        talk.c(" TEXT {1+}\r\nx");
    }
    talk.c("\r\nb NOOP\r\n");
    assert_eq!(talk.bad(), Reason::TooManyLiterals);
    assert_eq!(talk.tag(), "b");
}

#[test]
fn idle_ends_with_done_in_any_case() {
    let mut talk = Talk::new(State::Selected);
    talk.c("a IDLE\r\ndone\r\nb NOOP\r\n");
    let tag = talk.command().tag;
    talk.session.start_idle(tag, &mut talk.output);
    assert_eq!(talk.event(), Some(Event::IdleDone));
    assert_eq!(talk.tag(), "b");
    talk.s("+ idling\r\n");
    talk.c("c IDLE\r\n");
    let tag = talk.command().tag;
    talk.session.start_idle(tag, &mut talk.output);
    talk.waits();
    talk.c("d NOOP\r\ne NOOP\r\n");
    assert_eq!(talk.bad(), Reason::DoneExpected);
    assert_eq!(talk.tag(), "e");
    talk.s("+ idling\r\nc BAD DONE expected\r\n");
}

#[test]
fn authenticate_exchanges_base64() {
    let mut talk = Talk::new(State::NotAuthenticated);
    talk.c("a AUTHENTICATE LOGIN\r\n");
    let tag = talk.command().tag;
    talk.session.challenge(tag.clone(), b"User Name\0", &mut talk.output);
    talk.s("+ VXNlciBOYW1lAA==\r\n");
    talk.c("YW5h\r\n");
    assert_eq!(talk.event(), Some(Event::SaslResponse(Secret::new(Bytes::from_static(b"ana")))));
    for (line, reason) in [("*", Reason::AuthenticationCancelled), ("!", Reason::Base64)] {
        talk.session.challenge(tag.clone(), b"", &mut talk.output);
        talk.c(line).c("\r\n");
        assert_eq!(talk.bad(), reason);
    }
    talk.s("+ \r\na BAD authentication cancelled\r\n+ \r\na BAD base64 expected\r\n");
    talk.session.challenge(tag, b"", &mut talk.output);
    talk.c("\r\nb NOOP\r\n");
    assert_eq!(talk.event(), Some(Event::SaslResponse(Secret::new(Bytes::new()))));
    assert_eq!(talk.tag(), "b");
}

#[test]
fn nothing_sent_in_plaintext_reaches_the_encrypted_session() {
    let mut talk = Talk::new(State::NotAuthenticated);
    talk.c("a STARTTLS\r\nb LOGIN evil evil\r\nc NO");
    assert_eq!(talk.command().body, CommandBody::StartTls);
    talk.session.reset_for_tls(&mut talk.input);
    talk.c("d NOOP\r\n");
    assert_eq!(talk.tag(), "d");
    talk.waits();
}

#[test]
fn after_logout_nothing_is_read() {
    let mut talk = Talk::new(State::Selected);
    talk.c("a LOGOUT\r\nb NOOP\r\n");
    assert_eq!(talk.command().body, CommandBody::Logout);
    talk.session.set_state(State::Logout);
    talk.waits();
    assert!(talk.input.is_empty());
}

#[test]
fn a_session_takes_little_memory() {
    // Thousands of them are idle at a time.
    assert!(std::mem::size_of::<Session>() <= 256, "{}", std::mem::size_of::<Session>());
}
