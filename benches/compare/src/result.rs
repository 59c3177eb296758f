//! What came out: medians over the rounds of each server, ratios pair by pair against the first Dovecot, and which aims are reached.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::operation::{Goal, Row};
use crate::sample::Sample;

/// A row with what every server did in it.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// The row.
    pub(crate) row: Row,
    /// By server, in the order of the command line.
    pub(crate) servers: Vec<Measured>,
}

/// One server in one row.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// Its name on the command line.
    pub(crate) server: String,
    /// One sample for each round.
    pub(crate) rounds: Vec<Sample>,
    /// Medians over them.
    pub(crate) median: Median,
    /// Against the reference of the run, unless it is that.
    pub(crate) ratio: Option<Ratio>,
    /// What is aimed at, and whether it is reached.
    pub(crate) goals: Vec<Reached>,
}

/// Medians over rounds.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Median {
    pub(crate) rate: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) cpu_us: f64,
    /// The same by role, the object store's too.
    pub(crate) cpu_us_by_role: BTreeMap<&'static str, f64>,
    pub(crate) syncs: f64,
    pub(crate) requests: f64,
    pub(crate) pss_kib: f64,
    pub(crate) generator_share: f64,
    pub(crate) kib_per_connection: Option<f64>,
}

/// Medians of the rounds' ratios: a round's noise is in both of its servers. What took less than Linux counts has none.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ratio {
    pub(crate) rate: Option<f64>,
    pub(crate) cpu: Option<f64>,
    pub(crate) p50: Option<f64>,
}

/// An aim.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reached {
    pub(crate) goal: Goal,
    /// What was measured of it.
    pub(crate) value: f64,
    pub(crate) reached: bool,
}

impl Outcome {
    /// From samples by server and round. `reference` is the place of the server that others are compared with.
    pub(crate) fn of(row: Row, samples: Vec<(String, Vec<Sample>)>, reference: Option<usize>) -> Self {
        let against = reference.and_then(|at| samples.get(at)).map(|(_, rounds)| rounds.clone());
        let servers = samples.into_iter().enumerate().map(|(at, (server, rounds))| {
            let median = Median::of(&rounds);
            let is_reference = reference == Some(at);
            let ratio = against.as_ref().filter(|_| !is_reference).map(|other| Ratio::of(&rounds, other));
            let is_ours = !server.starts_with("dovecot");
            let goals = row.goals.iter().filter(|_| is_ours);
            let goals = goals.filter_map(|goal| reached(*goal, &median, ratio.as_ref())).collect();
            Measured { server, rounds, median, ratio, goals }
        });
        let servers = servers.collect();
        Self { row, servers }
    }

    /// Whether servers answered differently.
    pub(crate) fn answers_differ(&self) -> bool {
        let mut answers = self.servers.iter().flat_map(|it| &it.rounds).map(|sample| sample.answer);
        let first = answers.next();
        answers.any(|answer| Some(answer) != first)
    }
}

impl Median {
    fn of(rounds: &[Sample]) -> Self {
        let of = |value: fn(&Sample) -> f64| median(rounds.iter().map(value).collect());
        let kib: Vec<f64> = rounds.iter().filter_map(|sample| sample.kib_per_connection).collect();
        Self {
            rate: of(Sample::rate),
            p50_us: of(|sample| sample.p50_us),
            p99_us: of(|sample| sample.p99_us),
            cpu_us: of(Sample::cpu_us),
            cpu_us_by_role: by_role(rounds),
            syncs: of(Sample::syncs),
            requests: of(Sample::requests),
            pss_kib: of(|sample| sample.pss_kib as f64),
            generator_share: of(Sample::generator_share),
            kib_per_connection: (!kib.is_empty()).then(|| median(kib)),
        }
    }
}

fn by_role(rounds: &[Sample]) -> BTreeMap<&'static str, f64> {
    let roles = rounds.first().into_iter().flat_map(|sample| sample.cost.seconds.keys());
    let of = |sample: &Sample, role: &&'static str| {
        sample.cost.seconds.get(role).unwrap_or(&0.0) * 1e6 / sample.units.max(1) as f64
    };
    roles.map(|role| (*role, median(rounds.iter().map(|sample| of(sample, role)).collect()))).collect()
}

impl Ratio {
    fn of(rounds: &[Sample], other: &[Sample]) -> Self {
        let of = |value: fn(&Sample) -> f64| {
            let pairs = rounds.iter().zip(other).map(|(own, other)| (value(own), value(other)));
            let counted = pairs.filter(|(own, other)| *own > 0.0 && *other > 0.0);
            let ratios: Vec<f64> = counted.map(|(own, other)| own / other).collect();
            (!ratios.is_empty()).then(|| median(ratios))
        };
        Self { rate: of(Sample::rate), cpu: of(Sample::cpu_us), p50: of(|sample| sample.p50_us) }
    }
}

fn reached(goal: Goal, median: &Median, ratio: Option<&Ratio>) -> Option<Reached> {
    let (value, reached) = match goal {
        Goal::Rate(least) => ratio.and_then(|ratio| ratio.rate).map(|rate| (rate, rate >= least)),
        Goal::Cpu(most) => ratio.and_then(|ratio| ratio.cpu).map(|cpu| (cpu, cpu <= most)),
        Goal::Milliseconds(most) => Some((median.p50_us / 1000.0, median.p50_us / 1000.0 <= most)),
        Goal::Kib(most) => median.kib_per_connection.map(|kib| (kib, kib <= most)),
    }?;
    Some(Reached { goal, value, reached })
}

/// The middle one; of an even number the mean of the two in the middle; of none 0.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count.is_multiple_of(2) => (values[count / 2 - 1] + values[count / 2]) / 2.0,
        count => values[count / 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Cost;

    fn sample(operations: u64, cpu_seconds: f64) -> Sample {
        let cost = Cost { seconds: BTreeMap::from([("x", cpu_seconds)]), ..Cost::default() };
        Sample { operations, units: operations, seconds: 1.0, p50_us: 500.0, cost, ..Sample::default() }
    }

    #[test]
    fn ratios_are_taken_pair_by_pair_and_goals_by_them() {
        let goals = vec![Goal::Rate(2.0), Goal::Cpu(0.5), Goal::Milliseconds(0.4)];
        let row = Row { name: "x", what: "x".into(), unit: "x", goals, grows_from: None };
        // The machine was half as fast in the second round, for both.
        let dovecot = ("dovecot-sdbox".to_owned(), vec![sample(100, 0.5), sample(50, 0.5)]);
        let ours = ("standalone".to_owned(), vec![sample(300, 0.3), sample(150, 0.3)]);
        let outcome = Outcome::of(row, vec![dovecot, ours], Some(0));
        assert!(outcome.servers[0].goals.is_empty() && outcome.servers[0].ratio.is_none());
        let measured = &outcome.servers[1];
        let ratio = measured.ratio.as_ref().expect("a ratio");
        let near = |value: Option<f64>, wanted: f64| value.is_some_and(|it| (it - wanted).abs() < 1e-9);
        assert!(near(ratio.rate, 3.0) && near(ratio.cpu, 0.2), "{ratio:?}");
        let reached: Vec<bool> = measured.goals.iter().map(|goal| goal.reached).collect();
        assert_eq!(reached, [true, true, false]);
        assert!(!outcome.answers_differ());
    }

    #[test]
    fn what_was_too_short_to_be_counted_reaches_nothing() {
        let row =
            Row { name: "x", what: "x".into(), unit: "x", goals: vec![Goal::Cpu(0.5)], grows_from: None };
        let dovecot = ("dovecot-sdbox".to_owned(), vec![sample(1, 0.0)]);
        let outcome =
            Outcome::of(row, vec![dovecot, ("standalone".to_owned(), vec![sample(1, 0.0)])], Some(0));
        assert!(outcome.servers[1].goals.is_empty());
    }
}
