//! A front end that says OK to everything: drives a session from bytes and writes down what happened.
//! The fuzz target `imap_session` includes this file too.

use buzon_imap::command::CommandBody;
use buzon_imap::response::{NameEncoding, Status};
use buzon_imap::session::{Event, Limits, Session, State};
use bytes::{Bytes, BytesMut};

/// Small limits, so that short inputs reach them.
pub fn small_limits() -> Limits {
    Limits {
        line_bytes_max: 600,
        literal_bytes_max: 100,
        line_bytes_max_unauthenticated: 200,
        literal_bytes_max_unauthenticated: 40,
        skip_bytes_max: 2000,
    }
}

/// What came of it all.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Chunks of one message are joined.
    pub events: Vec<Event>,
    pub output: BytesMut,
    pub state: State,
    pub bad_commands: u32,
}

pub struct Driver {
    session: Session,
    input: BytesMut,
    events: Vec<Event>,
    output: BytesMut,
    input_bytes_max: usize,
}

impl Driver {
    pub fn new(limits: Limits, state: State) -> Self {
        let input_bytes_max = limits.line_bytes_max.max(limits.literal_bytes_max) + 2;
        let mut session = Session::new(limits);
        session.set_state(state);
        Self { session, input: BytesMut::new(), events: Vec::new(), output: BytesMut::new(), input_bytes_max }
    }

    /// Feeds a portion and handles all events that it brings.
    pub fn feed(&mut self, portion: &[u8]) {
        self.input.extend_from_slice(portion);
        while let Some(event) = self.session.next_event(&mut self.input, &mut self.output) {
            self.answer(&event);
            self.keep(event);
        }
        assert!(self.input.len() <= self.input_bytes_max, "{} bytes wait", self.input.len());
    }

    /// Drops the part of a message that came so far.
    pub fn forget_chunks(&mut self) {
        self.events.retain(|event| !matches!(event, Event::AppendChunk(_)));
    }

    pub fn finish(self) -> Outcome {
        assert!(self.output.is_empty() || self.output.ends_with(b"\r\n"));
        Outcome {
            events: self.events,
            output: self.output,
            state: self.session.state(),
            bad_commands: self.session.bad_commands(),
        }
    }

    fn keep(&mut self, event: Event) {
        match (self.events.last_mut(), event) {
            (Some(Event::AppendChunk(message)), Event::AppendChunk(more)) => {
                assert!(!more.is_empty());
                *message = Bytes::from([message.as_ref(), more.as_ref()].concat());
            }
            (_, event) => self.events.push(event),
        }
    }

    fn answer(&mut self, event: &Event) {
        match event {
            Event::Command(command) => {
                let session = &mut self.session;
                match &command.body {
                    CommandBody::Login(_) => session.set_state(State::Authenticated),
                    CommandBody::Select(_) | CommandBody::Examine(_) => session.set_state(State::Selected),
                    CommandBody::Close | CommandBody::Unselect => session.set_state(State::Authenticated),
                    CommandBody::Enable(_) => session.set_name_encoding(NameEncoding::Utf8),
                    CommandBody::Idle => return session.start_idle(command.tag.clone(), &mut self.output),
                    CommandBody::Authenticate(authenticate) if authenticate.initial_response.is_none() => {
                        return session.challenge(command.tag.clone(), b"who?", &mut self.output);
                    }
                    CommandBody::Logout => session.set_state(State::Logout),
                    _ => {}
                }
                Status::ok(&command.tag, "done").write(&mut self.output, self.session.name_encoding());
            }
            Event::AppendStart(start) if start.message_bytes % 7 == 3 => {
                self.session.refuse_append(&Status::no(&start.tag, "too big"), &mut self.output);
            }
            Event::AppendStart(_) => self.session.accept_append(&mut self.output),
            Event::IdleDone | Event::AppendEnd | Event::SaslResponse(_) => {
                self.output.extend_from_slice(b"x OK done\r\n")
            }
            Event::AppendChunk(_) | Event::Bad(_) | Event::Fatal(_) => {}
        }
    }
}

/// All at once.
pub fn whole(limits: Limits, state: State, input: &[u8]) -> Outcome {
    let mut driver = Driver::new(limits, state);
    // The buffer of a real connection is no larger than what one read brings.
    driver.input_bytes_max = usize::MAX;
    driver.feed(input);
    driver.finish()
}

/// In portions whose sizes follow from `seed`: mostly small ones.
pub fn portioned(limits: Limits, state: State, input: &[u8], seed: u64) -> Outcome {
    let mut driver = Driver::new(limits, state);
    let mut random = seed | 1;
    let mut rest = input;
    while !rest.is_empty() {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let size = (random % [1, 2, 7, 40, 300][(random >> 32) as usize % 5] + 1) as usize;
        let (portion, after) = rest.split_at(size.min(rest.len()));
        driver.feed(portion);
        rest = after;
    }
    driver.finish()
}
