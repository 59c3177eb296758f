//! `decide` and `absorb`: one command's cost must not grow with its mailbox.

use buzon_benches::{INBOX, account_with, entry, message};
use buzon_model::command::{ShardCommand, StoreFlags, StoreMode};
use buzon_model::decide::decide;
use buzon_types::flag::SystemFlags;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

#[divan::bench(args = [1_000, 100_000])]
fn store_one(bencher: Bencher<'_, '_>, messages: usize) {
    let (_, mut state) = account_with(messages);
    let uid = Uid::new(500).expect("not zero");
    let mut mode = StoreMode::Add;
    bencher.bench_local(|| {
        mode = if mode == StoreMode::Add { StoreMode::Remove } else { StoreMode::Add };
        let store = StoreFlags {
            mailbox: INBOX,
            uids: UidSet::from_iter([uid]),
            mode,
            flags: SystemFlags::SEEN,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        let decision = decide(&state, &entry(ShardCommand::StoreFlags(store)));
        state.absorb(&decision.changes);
        black_box(decision.outcome)
    });
}

#[divan::bench(args = [1_000, 100_000])]
fn append_one(bencher: Bencher<'_, '_>, messages: usize) {
    let (_, mut state) = account_with(messages);
    bencher.bench_local(|| {
        let append = entry(ShardCommand::Append { mailbox: INBOX, messages: vec![message()] });
        let decision = decide(&state, &append);
        state.absorb(&decision.changes);
        black_box(decision.outcome)
    });
}

#[divan::bench(args = [1_000, 100_000])]
fn changes_since(bencher: Bencher<'_, '_>, messages: usize) {
    let (_, state) = account_with(messages);
    let mailbox = state.mailbox(INBOX).expect("it was made");
    let (index, since) = (mailbox.index.as_ref().expect("it is loaded"), mailbox.row.counters.modseq);
    bencher.bench(|| index.changes_since(black_box(since)));
}
