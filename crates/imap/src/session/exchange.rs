//! Commands that go on in lines of their own: IDLE and AUTHENTICATE (RFC 9051 §6.3.13, §6.2.2).

use super::line::Line;
use super::{Event, Mode, Reason, Session, Step};
use crate::command::Tag;
use crate::parse;
use crate::response::write_continuation;
use base64::Engine;
use bytes::{BufMut, BytesMut};

impl Session {
    /// Answers [`crate::command::CommandBody::Idle`]: writes `+ idling`. Then [`Event::IdleDone`] comes, or [`Event::Bad`].
    pub fn start_idle(&mut self, tag: Tag, output: &mut BytesMut) {
        write_continuation(output, "idling");
        self.mode = Mode::Idle(tag);
    }

    /// Writes a challenge of AUTHENTICATE. Then [`Event::SaslResponse`] comes, or [`Event::Bad`] if the client gave up;
    /// after a response the caller sends the next challenge or answers the command.
    pub fn challenge(&mut self, tag: Tag, challenge: &[u8], output: &mut BytesMut) {
        output.put_slice(b"+ ");
        output.put_slice(base64::engine::general_purpose::STANDARD.encode(challenge).as_bytes());
        output.put_slice(b"\r\n");
        self.mode = Mode::Sasl(tag);
    }

    pub(super) fn idle_line(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Step {
        match self.scanner.next(input, self.line_bytes_max()) {
            Line::Partial => Step::Wait,
            Line::TooLong => {
                let tag = self.take_waiting_tag();
                self.refuse_line(tag, Reason::LineTooLong, output)
            }
            Line::Whole { length, with_end } => {
                let line = input[..length].trim_ascii();
                let (empty, done) = (line.is_empty(), line.eq_ignore_ascii_case(b"DONE"));
                self.scanner.consume(input, with_end);
                if empty {
                    return Step::Again;
                }
                let tag = self.take_waiting_tag();
                if done { Step::Event(Event::IdleDone) } else { self.bad(tag, Reason::DoneExpected, output) }
            }
        }
    }

    pub(super) fn sasl_line(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Step {
        match self.scanner.next(input, self.limits.line_bytes_max_unauthenticated) {
            Line::Partial => Step::Wait,
            Line::TooLong => {
                let tag = self.take_waiting_tag();
                self.refuse_line(tag, Reason::LineTooLong, output)
            }
            Line::Whole { length, with_end } => {
                let response = match input[..length].trim_ascii() {
                    b"*" => Err(Reason::AuthenticationCancelled),
                    line => parse::session::base64(line),
                };
                self.scanner.consume(input, with_end);
                let tag = self.take_waiting_tag();
                match response {
                    Ok(response) => Step::Event(Event::SaslResponse(response)),
                    Err(reason) => self.bad(tag, reason, output),
                }
            }
        }
    }

    /// Leaves IDLE or AUTHENTICATE.
    fn take_waiting_tag(&mut self) -> Option<Tag> {
        match std::mem::replace(&mut self.mode, Mode::Command) {
            Mode::Idle(tag) | Mode::Sasl(tag) => Some(tag),
            _ => None,
        }
    }
}
