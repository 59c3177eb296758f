//! Any bytes, in any portions, through a session with a front end that says OK to everything.
//!
//! Beside not crashing: the events and the output are the same however the bytes were portioned, and no more than a
//! line or a literal ever waits in the buffer. The first bytes of the input choose the state and the portions.
#![no_main]

#[allow(dead_code, reason = "the tests of the crate use all of it")]
#[path = "../../crates/imap/tests/driver/mod.rs"]
mod driver;

use buzon_imap::session::State;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[choice, seed], input)) = data.split_first_chunk::<2>().map(|(head, rest)| (head, rest)) else { return };
    let state = match choice % 3 {
        0 => State::NotAuthenticated,
        1 => State::Authenticated,
        _ => State::Selected,
    };
    let whole = driver::whole(driver::small_limits(), state, input);
    let portioned = driver::portioned(driver::small_limits(), state, input, u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    assert_eq!(whole, portioned);
});
