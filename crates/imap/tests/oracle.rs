//! Our grammar against imap-codec, an independent parser: what it accepts we accept, and its own way of writing the
//! command means the same to us. Its parser of responses reads ours.

#[allow(dead_code, unreachable_pub, reason = "shared with other tests and the fuzz target")]
mod driver;
#[allow(unreachable_pub, reason = "shared by two tests")]
mod grammar;

use buzon_imap::command::{Command, CommandBody};
use buzon_imap::session::{Event, Limits, State};
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::encode::Encoder;
use proptest::prelude::*;

fn ours(line: &[u8]) -> Option<CommandBody> {
    let outcome = driver::whole(Limits::default(), State::Selected, line);
    match <[Event; 1]>::try_from(outcome.events) {
        Ok([Event::Command(Command { body, .. })]) => Some(body),
        _ => None,
    }
}

/// The command as imap-codec writes it after reading it.
fn theirs(line: &[u8]) -> Option<Vec<u8>> {
    let codec = CommandCodec::default();
    let (rest, command) = codec.decode(line).ok()?;
    rest.is_empty().then(|| codec.encode(&command).dump())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn both_understand_the_same(command in grammar::command()) {
        let line = format!("t1 {command}\r\n");
        let understood = ours(line.as_bytes());
        prop_assert!(understood.is_some(), "we refuse {line:?}");
        let rewritten = theirs(line.as_bytes());
        prop_assert!(rewritten.is_some(), "imap-codec refuses {line:?}");
        let rewritten = rewritten.unwrap_or_default();
        prop_assert_eq!(ours(&rewritten), understood, "{:?} {:?}", line, String::from_utf8_lossy(&rewritten));
    }
}
