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

/// 1,500 cases, or as many as PROPTEST_CASES says.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: ProptestConfig::default().cases.max(1500),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

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

    #[test]
    fn what_they_accept_spoilt_we_accept_too(
        command in grammar::command(),
        at in any::<prop::sample::Index>(),
        with in prop::sample::select(vec!["", " ", "(", ")", "\"", "a", "1", "*", ":", ",", "]", "\\", "NIL", ".", "{0+}\r\n"]),
        instead in any::<bool>(),
    ) {
        let mut line = format!("t1 {command}");
        let at = at.index(line.len() - 3) + 3;
        line.replace_range(at..at + usize::from(instead), with);
        line.push_str("\r\n");
        if let Some(rewritten) = theirs(line.as_bytes()) {
            let understood = ours(line.as_bytes());
            prop_assert!(understood.is_some(), "we refuse {line:?}");
            // imap-codec sorts and merges sets.
            if !format!("{understood:?}").contains("SequenceRange") {
                prop_assert_eq!(ours(&rewritten), understood, "{:?} {:?}", line, String::from_utf8_lossy(&rewritten));
            }
        }
    }
}
