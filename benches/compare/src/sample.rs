//! One turn of one operation on one server, and how it is taken: a closed loop over connections until time or number is reached,
//! each operation's time kept (so that percentiles are exact), counters read before and after.

use std::cell::{Cell, RefCell};
use std::fs;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use serde::Serialize;

use crate::cost::tree::Memory;
use crate::cost::{Cost, Reading, tree};
use crate::server::Server;

/// See the module.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Sample {
    /// Operations done.
    pub(crate) operations: u64,
    /// What cost is divided by: operations, or messages that they touched.
    pub(crate) units: u64,
    /// From the first to the last.
    pub(crate) seconds: f64,
    /// Half of the operations took at most so long.
    pub(crate) p50_us: f64,
    /// All but one in a hundred.
    pub(crate) p99_us: f64,
    /// What was spent.
    pub(crate) cost: Cost,
    /// Memory of the server afterwards, what processes share counted in each.
    pub(crate) rss_kib: u64,
    /// The same, counted once.
    pub(crate) pss_kib: u64,
    /// Its processes then.
    pub(crate) processes: u64,
    /// The machine's load average, to see whether others worked.
    pub(crate) load: f64,
    /// What the server answered, reduced to a number: alike on all servers.
    pub(crate) answer: Option<u64>,
    /// Memory for each connection that was opened.
    pub(crate) kib_per_connection: Option<f64>,
}

impl Sample {
    /// Operations a second.
    pub(crate) fn rate(&self) -> f64 {
        self.operations as f64 / self.seconds.max(1e-9)
    }

    /// Microseconds of the server's processor time for each unit.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cost.server_seconds() * 1e6 / self.units.max(1) as f64
    }

    /// Waits for the disk for each operation.
    pub(crate) fn syncs(&self) -> f64 {
        self.cost.syncs as f64 / self.operations.max(1) as f64
    }

    /// Requests to the object store for each operation.
    pub(crate) fn requests(&self) -> f64 {
        self.cost.requests as f64 / self.operations.max(1) as f64
    }

    /// What part of one core the generator took: near 1 it is the generator that was measured. A moment is too short to say.
    pub(crate) fn generator_share(&self) -> f64 {
        self.cost.generator / self.seconds.max(0.5)
    }
}

/// When a turn ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// No operation begins later.
    pub(crate) time: Duration,
    /// Nor after so many.
    pub(crate) operations: u64,
    /// What a server does behind its answers is waited for so long, and is in the cost.
    pub(crate) settle: Duration,
    /// Whether each worker does one operation before anything is measured.
    pub(crate) warm: bool,
}

/// Runs `step` over and over for each worker at the same time. A step answers how many units it was.
///
/// # Errors
/// If a step fails, or the server is gone.
pub(crate) async fn take<W>(
    server: &dyn Server,
    workers: &mut [W],
    limits: Limits,
    step: impl AsyncFn(&mut W) -> anyhow::Result<u64>,
) -> anyhow::Result<Sample> {
    if limits.warm {
        all(workers.iter_mut().map(|worker| step(worker))).await?;
    }
    let before = Reading::take(server)?;
    let times = RefCell::new(Vec::with_capacity(limits.operations.min(1 << 16) as usize));
    let (begun, units) = (Cell::new(0), Cell::new(0));
    let start = Instant::now();
    all(workers.iter_mut().map(|worker| {
        let (step, times, begun, units) = (&step, &times, &begun, &units);
        async move {
            while start.elapsed() < limits.time && begun.get() < limits.operations {
                begun.set(begun.get() + 1);
                let began = Instant::now();
                let some = step(&mut *worker).await?;
                times.borrow_mut().push(began.elapsed());
                units.set(units.get() + some);
            }
            anyhow::Ok(())
        }
    }))
    .await?;
    let seconds = start.elapsed().as_secs_f64();
    tokio::time::sleep(limits.settle).await;
    let cost = before.until(&Reading::take(server)?);
    finish(server, times.into_inner(), units.get(), seconds, cost)
}

/// Runs all until the last has ended, or one fails. Each is polled when it is woken, not when any is.
async fn all<T>(work: impl Iterator<Item = impl Future<Output = anyhow::Result<T>>>) -> anyhow::Result<()> {
    let mut running: FuturesUnordered<_> = work.collect();
    while running.try_next().await?.is_some() {}
    Ok(())
}

/// Percentiles, and what memory and the machine are like now.
///
/// # Errors
/// If /proc cannot be read.
pub(crate) fn finish(
    server: &dyn Server,
    mut times: Vec<Duration>,
    units: u64,
    seconds: f64,
    cost: Cost,
) -> anyhow::Result<Sample> {
    times.sort_unstable();
    let Memory { rss_kib, pss_kib, processes } = tree::memory(&server.roots()?)?;
    Ok(Sample {
        operations: times.len() as u64,
        units,
        seconds,
        p50_us: percentile(&times, 0.50),
        p99_us: percentile(&times, 0.99),
        cost,
        rss_kib,
        pss_kib,
        processes,
        load: load(),
        answer: None,
        kib_per_connection: None,
    })
}

/// Of sorted times, in microseconds: the least that so large a part does not exceed.
fn percentile(times: &[Duration], part: f64) -> f64 {
    let at = (times.len() as f64 * part).ceil() as usize;
    times.get(at.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_micros).collect();
        assert!((percentile(&times, 0.5) - 100.0).abs() < 1e-6);
        assert!((percentile(&times, 0.99) - 198.0).abs() < 1e-6);
        assert!((percentile(&times[..1], 0.99) - 1.0).abs() < 1e-6);
        assert!(percentile(&[], 0.5).abs() < 1e-6);
    }
}
