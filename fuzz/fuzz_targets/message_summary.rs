//! Any bytes are a message: its summary keeps every invariant (grammar, nesting, bounds, encoding and back).
#![no_main]

libfuzzer_sys::fuzz_target!(|message: &[u8]| {
    buzon_message::testing::invariants::check(message);
});
