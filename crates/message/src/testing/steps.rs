//! Counts the bytes that line scanning and delimiter comparison look at, so that a test can demand linear work without a clock.

use std::cell::Cell;

thread_local! {
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// So many more.
pub(crate) fn add(steps: usize) {
    STEPS.with(|all| all.set(all.get() + steps));
}

/// How many `work` takes.
pub(crate) fn of(work: impl FnOnce()) -> usize {
    let before = STEPS.with(Cell::get);
    work();
    STEPS.with(Cell::get) - before
}
