//! The message of an APPEND: handed on in portions as they come, never kept (RFC 9051 §6.3.12, RFC 7888 §4).

use super::line::{Line, split_literal_header};
use super::skip::Skip;
use super::{Event, Mode, Reason, Session, Step};
use crate::command::Tag;
use crate::command::append::{AppendForm, AppendStart};
use crate::response::{Status, write_continuation};
use bytes::BytesMut;

/// A message that is on its way.
#[derive(Debug)]
pub(super) struct Incoming {
    tag: Tag,
    remaining: u64,
    form: AppendForm,
    synchronizing: bool,
}

impl Incoming {
    pub(super) fn new(start: &AppendStart) -> Self {
        Self {
            tag: start.tag.clone(),
            remaining: start.message_bytes,
            form: start.form,
            synchronizing: start.synchronizing,
        }
    }
}

impl Session {
    /// Answers [`Event::AppendStart`]: the message may come. Writes `+ …` where the client waits for it.
    /// Does nothing unless an APPEND waits.
    pub fn accept_append(&mut self, output: &mut BytesMut) {
        match std::mem::replace(&mut self.mode, Mode::Command) {
            Mode::AppendDecision(incoming) => {
                if incoming.synchronizing {
                    write_continuation(output, "go on");
                }
                self.mode = Mode::AppendData(incoming);
            }
            other => self.mode = other,
        }
    }

    /// Answers the APPEND with `status` (tagged NO) before its message came, or was there as a whole. The client sends
    /// no message then, or it is read over; one over [`super::Limits::skip_bytes_max`] ends the connection with
    /// [`Event::Fatal`]. Does nothing unless an APPEND waits or comes in.
    pub fn refuse_append(&mut self, status: &Status, output: &mut BytesMut) {
        self.mode = match std::mem::replace(&mut self.mode, Mode::Command) {
            Mode::AppendDecision(incoming) if incoming.synchronizing => Mode::Command,
            Mode::AppendDecision(incoming) | Mode::AppendData(incoming) | Mode::AppendTail(incoming) => {
                Mode::Skip(Skip::literal(incoming.remaining))
            }
            other => {
                self.mode = other;
                return;
            }
        };
        status.write(output, self.names);
    }

    pub(super) fn append_data(&mut self, input: &mut BytesMut) -> Step {
        let Mode::AppendData(incoming) = &mut self.mode else { return Step::Again };
        if incoming.remaining > 0 && input.is_empty() {
            return Step::Wait;
        }
        if incoming.remaining > 0 {
            let length = usize::try_from(incoming.remaining).unwrap_or(usize::MAX).min(input.len());
            incoming.remaining -= length as u64;
            return Step::Event(Event::AppendChunk(input.split_to(length).freeze()));
        }
        if let Mode::AppendData(incoming) = std::mem::replace(&mut self.mode, Mode::Command) {
            self.mode = Mode::AppendTail(incoming);
        }
        Step::Again
    }

    /// After the message: nothing, or ")" after `UTF8 (~{…}`.
    pub(super) fn append_tail(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Step {
        match self.scanner.next(input, self.line_bytes_max()) {
            Line::Partial => Step::Wait,
            Line::TooLong => {
                let tag = self.take_append_tag();
                self.refuse_line(tag, Reason::LineTooLong, output)
            }
            Line::Whole { length, with_end } => {
                let (text, header) = split_literal_header(&input[..length]);
                let expected: &[u8] = match &self.mode {
                    Mode::AppendTail(Incoming { form: AppendForm::Utf8, .. }) => b")",
                    _ => b"",
                };
                let well_formed = text.trim_ascii() == expected && header.is_none();
                self.scanner.consume(input, with_end);
                let tag = self.take_append_tag();
                if well_formed {
                    return Step::Event(Event::AppendEnd);
                }
                self.refuse(tag, Reason::Arguments("end of APPEND expected"), header, output)
            }
        }
    }

    fn take_append_tag(&mut self) -> Option<Tag> {
        match std::mem::replace(&mut self.mode, Mode::Command) {
            Mode::AppendTail(incoming) => Some(incoming.tag),
            _ => None,
        }
    }
}
