//! Buzon and Dovecot side by side: started in one run, filled with the same messages, loaded in turns, A B A B; and for each operation
//! rate, latency, processor time of all the server's processes, memory, waits for the disk, requests to the object store.
//!
//! ```text
//! arguments ─▶ servers started ─▶ for each row: prepare all ─▶ rounds of turns ─▶ table, JSON, picture
//!                                   (operation/)                (sample, cost)      (report/)
//! ```
//! How and what is told in `docs/performance.md`. Load goes to loopback only.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;

use arguments::Arguments;
use bench::Bench;
use operation::Operation;
use report::{About, Machine, Report, table};
use result::Outcome;
use server::Security;

mod arguments;
mod bench;
mod client;
mod cost;
mod messages;
mod operation;
mod report;
mod result;
mod sample;
mod scale;
mod server;

/// Lines of a server's log that are told.
const COMPLAINTS_MAX: usize = 5;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for operation in operation::all() {
            let row = operation.row();
            println!("{:<24}{}", row.name, row.what);
        }
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let operations = operation::all();
    let operations: Vec<_> = operations.into_iter().filter(|it| arguments.wants(it.row().name)).collect();
    ensure!(!operations.is_empty(), "no row begins so; --list names them");
    let (scale, security) = (arguments.scale(), arguments.security());
    let machine = Machine::look()?;
    let mut benches = Vec::new();
    for kind in &arguments.servers {
        eprintln!("compare: starting {kind}");
        benches.push(Bench::start(*kind, scale, security)?);
    }
    let about = benches
        .iter()
        .map(|bench| anyhow::Ok(About { server: bench.kind.to_string(), about: bench.server.about()? }));
    let mut report = Report {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        machine,
        security: if security == Security::Tls { "TLS" } else { "plain text" },
        scale,
        is_release: !cfg!(debug_assertions),
        servers: about.collect::<Result<_, _>>()?,
        rows: Vec::new(),
        complaints: Vec::new(),
    };
    println!("{}", table::head(&report));
    for operation in &operations {
        let name = operation.row().name;
        let outcome = measure(operation.as_ref(), &mut benches).with_context(|| name.to_owned())?;
        if outcome.servers.is_empty() {
            continue; // it can be asked of none of them
        }
        println!("{}", table::row(&outcome));
        report.rows.push(outcome);
        report.write(&arguments.json)?; // a run that is cut off leaves what it has
    }
    for bench in &benches {
        let complaints = bench.server.complaints();
        let more = complaints.len().saturating_sub(COMPLAINTS_MAX);
        let some = complaints.into_iter().take(COMPLAINTS_MAX);
        report.complaints.extend(some.map(|line| format!("{}: {line}", bench.kind)));
        if more > 0 {
            report.complaints.push(format!("{}: and {more} more", bench.kind));
        }
    }
    println!("{}", table::summary(&report));
    for line in &report.complaints {
        println!("complaint: {line}");
    }
    report.write(&arguments.json)?;
    println!("{} and .svg", arguments.json.display());
    Ok(())
}

/// All servers prepared, then turn by turn.
fn measure(operation: &dyn Operation, benches: &mut [Bench]) -> anyhow::Result<Outcome> {
    let row = operation.row();
    let mut taking: Vec<&mut Bench> = benches.iter_mut().filter(|bench| operation.applies(bench)).collect();
    for bench in &mut taking {
        eprintln!("compare: {}: preparing {}", row.name, bench.kind);
        operation.prepare(bench).with_context(|| format!("prepare {}", bench.kind))?;
    }
    let rounds = taking.first().map_or(0, |bench| bench.scale.rounds);
    let mut samples: Vec<(String, Vec<_>)> =
        taking.iter().map(|bench| (bench.kind.to_string(), Vec::new())).collect();
    for _ in 0..rounds {
        for (bench, (_, samples)) in taking.iter_mut().zip(&mut samples) {
            samples.push(operation.measure(bench).with_context(|| bench.kind.to_string())?);
        }
    }
    let reference = taking.iter().position(|bench| bench.kind.is_dovecot());
    Ok(Outcome::of(row, samples, reference))
}
