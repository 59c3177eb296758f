//! FETCH responses into the output buffer: cost of 1,000 messages.

use buzon_imap::response::data::ExtraFlag;
use buzon_imap::response::fetch::FetchWriter;
use buzon_message::corpus;
use buzon_message::summary::Summary;
use buzon_types::flag::SystemFlags;
use buzon_types::uid::{ModSeq, SequenceNumber, Uid};
use bytes::BytesMut;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const MESSAGES: u32 = 1000;

fn main() {
    divan::main();
}

fn numbers() -> impl Iterator<Item = (SequenceNumber, Uid)> {
    (1..=MESSAGES).filter_map(|at| Some((SequenceNumber::new(at)?, Uid::new(at * 3)?)))
}

#[divan::bench]
fn uid_and_flags(bencher: Bencher<'_, '_>) {
    let mut out = BytesMut::with_capacity(1 << 20);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        out.clear();
        for (number, uid) in numbers() {
            let mut fetch = FetchWriter::begin(&mut out, number);
            fetch.uid(uid);
            fetch.flags(SystemFlags::SEEN | SystemFlags::ANSWERED, ExtraFlag::None, []);
            fetch.modseq(ModSeq::new(77_123).expect("63 bits"));
            fetch.end();
        }
        black_box(out.len())
    });
}

#[divan::bench]
fn envelope_from_encoded_summaries(bencher: Bencher<'_, '_>) {
    let encoded: Vec<_> =
        (0..u64::from(MESSAGES)).map(|seed| Summary::of(&corpus::reply(seed)).encode()).collect();
    let mut out = BytesMut::with_capacity(4 << 20);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        out.clear();
        for ((number, uid), summary) in numbers().zip(&encoded) {
            let summary = Summary::decode(summary.clone()).expect("we encoded it");
            let mut fetch = FetchWriter::begin(&mut out, number);
            fetch.uid(uid);
            fetch.envelope(summary.envelope());
            fetch.end();
        }
        black_box(out.len())
    });
}
