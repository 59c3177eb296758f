//! The table for people: a block for each row, a line for each server.

use std::fmt::Write as _;

use crate::operation::Goal;
use crate::report::Report;
use crate::result::{Measured, Outcome, Reached};

/// Above this part of a core the generator itself may be what is measured.
const GENERATOR_SHARE_MAX: f64 = 0.8;
/// Of the columns after the server's name.
const WIDTHS: [usize; 9] = [10; 9];
/// How cost may grow.
const GROWTH_MAX: f64 = 1.2;

/// What stands above the rows.
pub(crate) fn head(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "{} · {} cores {} · Linux {} · {} · IMAP in {} · scale {}, {} rounds\n",
        report.date,
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.file_system,
        report.security,
        report.scale.name,
        report.scale.rounds
    );
    for about in &report.servers {
        let _ = writeln!(text, "{:<22}{}", about.server, about.about);
    }
    if !report.is_release {
        text += "A debug build: its figures say nothing about speed.\n";
    }
    text
}

/// One row.
pub(crate) fn row(outcome: &Outcome) -> String {
    let row = &outcome.row;
    let mut text = format!("{} ({}); CPU for each {}\n", row.what, row.name, row.unit);
    let heads = ["rate/s", "p50 ms", "p99 ms", "CPU µs", "PSS MiB", "fsyncs", "requests", "rate ×", "CPU ×"];
    text += &" ".repeat(24);
    for (head, width) in heads.into_iter().zip(WIDTHS) {
        let _ = write!(text, "{head:>width$}");
    }
    text += "  aims\n";
    for measured in &outcome.servers {
        text += &line(measured);
    }
    if outcome.answers_differ() {
        let answers: Vec<String> = outcome
            .servers
            .iter()
            .map(|it| format!("{} {:?}", it.server, it.rounds.first().and_then(|sample| sample.answer)))
            .collect();
        let _ = writeln!(text, "  THE ANSWERS DIFFER: {}", answers.join(", "));
    }
    text
}

fn line(measured: &Measured) -> String {
    let median = &measured.median;
    let ratio = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let held = median.kib_per_connection.map(|kib| format!("{} KiB a connection", number(kib)));
    let goals: Vec<String> = held.into_iter().chain(measured.goals.iter().map(goal)).collect();
    let busy =
        if median.generator_share > GENERATOR_SHARE_MAX { "  (the generator is at its limit)" } else { "" };
    let cells = [
        number(median.rate),
        format!("{:.2}", median.p50_us / 1000.0),
        format!("{:.2}", median.p99_us / 1000.0),
        if median.cpu_us > 0.0 { number(median.cpu_us) } else { "–".to_owned() },
        format!("{:.0}", median.pss_kib / 1024.0),
        format!("{:.2}", median.syncs),
        format!("{:.2}", median.requests),
        ratio(measured.ratio.as_ref().and_then(|ratio| ratio.rate)),
        ratio(measured.ratio.as_ref().and_then(|ratio| ratio.cpu)),
    ];
    let mut text = format!("  {:<22}", measured.server);
    for (cell, width) in cells.into_iter().zip(WIDTHS) {
        let _ = write!(text, "{cell:>width$}");
    }
    let _ = writeln!(text, "  {}{busy}", goals.join(", "));
    let roles = &median.cpu_us_by_role;
    if roles.len() > 1 {
        let parts: Vec<String> = roles.iter().map(|(role, cpu)| format!("{role} {}", number(*cpu))).collect();
        let _ = writeln!(text, "  {:<22}CPU µs by process: {}", "", parts.join(", "));
    }
    text
}

fn goal(reached: &Reached) -> String {
    let verdict = if reached.reached { "reached" } else { "BEHIND" };
    let value = number(reached.value);
    match reached.goal {
        Goal::Rate(least) => format!("rate ≥ {least} ×: {verdict}"),
        Goal::Cpu(most) => format!("CPU ≤ {most} ×: {verdict}"),
        Goal::Milliseconds(most) => format!("median ≤ {most} ms: {value}, {verdict}"),
        Goal::Kib(most) => format!("≤ {most} KiB: {verdict}"),
    }
}

/// How cost grows, and the list of what is behind.
pub(crate) fn summary(report: &Report) -> String {
    let mut text = String::new();
    for outcome in &report.rows {
        let Some(from) = outcome.row.grows_from else { continue };
        let Some(base) = report.rows.iter().find(|it| it.row.name == from) else { continue };
        for measured in &outcome.servers {
            let Some(before) = base.servers.iter().find(|it| it.server == measured.server) else { continue };
            let grown = measured.median.cpu_us / before.median.cpu_us.max(1e-9);
            let verdict = if grown <= GROWTH_MAX { "" } else { "  BEHIND" };
            if text.is_empty() {
                text += "\nHow CPU for one operation grows (at most 1.2 is aimed at):\n";
            }
            let _ = writeln!(text, "  {:<24}{:<22}{grown:>6.2}{verdict}", outcome.row.name, measured.server);
        }
    }
    let behind: Vec<String> = report.rows.iter().flat_map(behind).collect();
    if !behind.is_empty() {
        text += "\nBehind:\n";
        text += &behind.join("");
    }
    text
}

fn behind(outcome: &Outcome) -> Vec<String> {
    let missed = outcome.servers.iter().flat_map(|measured| {
        measured.goals.iter().filter(|goal| !goal.reached).map(move |reached| (measured, reached))
    });
    missed
        .map(|(measured, reached)| {
            format!(
                "  {:<24}{:<22}{:>9}  {}\n",
                outcome.row.name,
                measured.server,
                number(reached.value),
                goal(reached)
            )
        })
        .collect()
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
