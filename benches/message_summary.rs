//! The summary of a message: made once on arrival, read at every FETCH.

use buzon_message::corpus;
use buzon_message::summary::Summary;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

#[divan::bench(args = [4 << 10, 64 << 10, 5 << 20])]
fn derive(bencher: Bencher<'_, '_>, bytes_max: usize) {
    let message = corpus::with_attachment(7, bytes_max);
    bencher.counter(BytesCount::new(message.len())).bench(|| Summary::of(black_box(&message)).encode());
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let encoded = Summary::of(&corpus::reply(7)).encode();
    bencher.bench(|| Summary::decode(black_box(encoded.clone())));
}
