//! Batches of seeds, and seeds that failed once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Outcome, run};

/// One seed to look at, with its trace: `BUZON_TEST_SEED=17 cargo test … one_seed -- --nocapture`.
const SEED: &str = "BUZON_TEST_SEED";
/// Seeds of the batch that CI runs: a seed takes about two seconds of one processor in a debug build.
const BATCH: u64 = 48;
/// Seeds of a long run: hours.
const LONG: u64 = 5_000;

fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn check(seed: u64, outcome: &Outcome) {
    let Some(violation) = &outcome.violation else { return };
    panic!("{SEED}={seed}: {} does not hold: {}", violation.invariant, violation.what);
}

/// Runs seeds on all processors.
fn batch(first: u64, count: u64, each: impl Fn(u64, Outcome) + Sync) {
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + count {
                        return;
                    }
                    each(seed, run(seed, false));
                }
            });
        }
    });
}

/// What each found is in `docs/decisions/0011-simulation.md`.
#[test]
fn seeds_that_failed_once_hold() {
    for seed in [1013, 1016, 1021, 1035, 1103, 1114] {
        check(seed, &run(seed, false));
    }
}

#[test]
fn invariants_hold_whatever_happens() {
    let usual = if given("BUZON_TEST_LONG") == Some(1) { LONG } else { BATCH };
    let count = given("BUZON_SIMULATION_SEEDS").unwrap_or(usual);
    let first = given(SEED).unwrap_or_else(|| rand::random::<u32>().into());
    println!("simulation: {SEED}={first} and {count} seeds from there");
    let began = Instant::now();
    let failed = Mutex::new(Vec::new());
    let counts = Mutex::new(std::collections::BTreeMap::<&'static str, u64>::new());
    let took = Mutex::new(Duration::ZERO);
    batch(first, count, |seed, outcome| {
        *took.lock() += outcome.took;
        for (what, number) in &outcome.counts {
            *counts.lock().entry(what).or_default() += number;
        }
        if let Some(violation) = outcome.violation {
            println!("{SEED}={seed}: {}: {}", violation.invariant, violation.what);
            failed.lock().push(seed);
        }
    });
    println!(
        "{count} seeds in {:?}, {:?} of virtual time: {:?}",
        began.elapsed(),
        took.lock(),
        counts.lock()
    );
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "{} of {count} seeds fail: {failed:?}", failed.len());
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 1..3 {
        let (first, second) = (run(seed, true), run(seed, true));
        let differ = first.lines.iter().zip(&second.lines).position(|(a, b)| a != b);
        if let Some(at) = differ {
            for line in at.saturating_sub(10)..(at + 3).min(first.lines.len().min(second.lines.len())) {
                println!("{}\n{}", first.lines[line], second.lines[line]);
            }
        }
        assert_eq!((first.trace, differ), (second.trace, None), "seed {seed}");
    }
}

/// For whoever looks at a seed.
#[test]
fn one_seed() {
    let Some(seed) = given(SEED) else { return };
    let outcome = run(seed, true);
    outcome.lines.iter().for_each(|line| println!("{line}"));
    println!("{:?} {:?} {:?}", outcome.trace, outcome.took, outcome.counts);
    check(seed, &outcome);
}
