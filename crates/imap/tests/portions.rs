//! However the bytes are portioned, a session says the same; and no bytes make it panic.

#[allow(dead_code, unreachable_pub, reason = "shared with other tests and the fuzz target")]
mod driver;
#[allow(unreachable_pub, reason = "shared by two tests")]
mod grammar;

use buzon_imap::session::{Limits, State};
use proptest::prelude::*;
use proptest::sample::select;

fn state() -> impl Strategy<Value = State> {
    select(vec![State::NotAuthenticated, State::Authenticated, State::Selected])
}

/// Commands of which some are cut, doubled or spoilt.
fn traffic() -> impl Strategy<Value = Vec<u8>> {
    let append = (0usize..30, select(vec!["", "+"]), select(vec!["INBOX", "{2+}\r\nab", "x (\\Seen $y)"]))
        .prop_map(|(length, plus, name)| {
            format!("APPEND {name} {{{length}{plus}}}\r\n{}", "m".repeat(length))
        });
    let special = select(vec![
        "IDLE\r\nDONE",
        "IDLE\r\nx NOOP",
        "AUTHENTICATE PLAIN\r\nAGEAYg==",
        "AUTHENTICATE X\r\n*",
        "LOGIN {1}\r\na b",
        "ENABLE IMAP4rev2",
        "LOGIN a b",
        "STARTTLS",
        "DELETE {101+}\r\n",
        "APPEND x UTF8 (~{3+}\r\nabc)",
        "\r\n",
        "SEARCH TEXT {20}\r\n",
        "CREATE {30+}\r\n012345678901234567890123456789 {40+}\r\n",
    ]);
    let line = prop_oneof![4 => grammar::command(), 2 => append, 2 => special.prop_map(str::to_owned), 1 => "[ -~]{0,700}"];
    let spoilt = (line, select(vec!["\r\n", "\n", "  \r\n", ""]), 0usize..60, any::<bool>());
    prop::collection::vec(spoilt, 1..8).prop_map(|lines| {
        let mut bytes = Vec::new();
        for (line, end, cut, cuts) in lines {
            let mut line = line.into_bytes();
            if cuts && cut < 20 {
                line.truncate(cut);
            }
            bytes.extend_from_slice(b"t ");
            bytes.extend_from_slice(&line);
            bytes.extend_from_slice(end.as_bytes());
        }
        bytes
    })
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
    fn portions_make_no_difference(state in state(), input in traffic(), seed in any::<u64>()) {
        let whole = driver::whole(driver::small_limits(), state, &input);
        prop_assert_eq!(driver::portioned(driver::small_limits(), state, &input, seed), whole);
        let whole = driver::whole(Limits::default(), state, &input);
        prop_assert_eq!(driver::portioned(Limits::default(), state, &input, seed), whole);
    }

    #[test]
    fn any_bytes_are_answered(state in state(), input in prop::collection::vec(any::<u8>(), 0..300), seed in any::<u64>()) {
        let whole = driver::whole(driver::small_limits(), state, &input);
        prop_assert_eq!(driver::portioned(driver::small_limits(), state, &input, seed), whole);
    }
}

#[test]
fn a_large_message_streams_in_linear_time() {
    let message = vec![b'x'; 50 * 1024 * 1024];
    let mut driver = driver::Driver::new(Limits::default(), State::Authenticated);
    driver.feed(format!("a APPEND x {{{}+}}\r\n", message.len()).as_bytes());
    for portion in message.chunks(16 * 1024) {
        driver.feed(portion);
        driver.forget_chunks();
    }
    driver.feed(b"\r\n");
    assert!(matches!(driver.finish().events.last(), Some(buzon_imap::session::Event::AppendEnd)));
}
