//! Commands from bytes: what each costs before anything is done.

use buzon_imap::session::{Limits, Session, State};
use bytes::BytesMut;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

#[divan::bench(args = [
    "a1 NOOP\r\n",
    "a2 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE SUBJECT FROM TO CC)])\r\n",
    "a3 UID STORE 5:9 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\\Seen $Work)\r\n",
    "a4 SEARCH RETURN (MIN MAX COUNT) OR FROM \"ana\" (SUBJECT {4+}\r\nfour SINCE 1-Feb-2026) NOT DELETED\r\n",
])]
fn command(bencher: Bencher<'_, '_>, line: &str) {
    let mut session = Session::new(Limits::default());
    session.set_state(State::Selected);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    bencher.bench_local(|| {
        input.extend_from_slice(line.as_bytes());
        let event = session.next_event(&mut input, &mut output);
        assert!(event.is_some());
        output.clear();
        black_box(event)
    });
}

/// A client that names every second of 10,000 UIDs.
#[divan::bench]
fn long_uid_set(bencher: Bencher<'_, '_>) {
    let set: Vec<String> = (1..10_000).step_by(2).map(|uid| uid.to_string()).collect();
    let line = format!("a UID FETCH {} (FLAGS)\r\n", set.join(","));
    command(bencher, &line);
}
