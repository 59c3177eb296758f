//! The front door: `cargo xtask` lists what can be done. CI calls the same commands.
//!
//! `check` and `test` never write into the tree. `test` installs the Debian packages that the tests need when they
//! are missing and it may (as root, or through `sudo -n`), and tools from PyPI into the target folder.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

mod fuzz;
mod packages;
mod previous;
mod tools;

const HELP: &str = "\
usage: cargo xtask COMMAND

  check           format, clippy, documentation, licences: writes nothing
  fix             formats, and mends what clippy can
  test [--long]   all tests, with the servers and clients they need; --long adds the long fuzzing,
                  crash and model runs
  tools           installs what the tests need, without running them
  previous        builds the commit before this one, for the tests of mixed versions, without running
                  them; with BUZON_PREVIOUS=COMMIT another one
  fuzz [SECONDS]  each fuzz target for so long (60)
  bench [FILTER]  the benchmarks
  compare [--only NAME,...] [--servers SERVER,...] [--quick] [--tls] [--json FILE] [--list]
                  Buzon and Dovecot side by side: what each operation costs (docs/performance.md)
  dev             a cluster on this machine: three metadata nodes, two front-ends, an S3 server
  dev --status | --kill-leader | --kill-frontend | --kill-database | --stop
                  says or does so with the one that runs";

fn main() -> ExitCode {
    // From wherever in the tree it was called.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    if let Err(error) = env::set_current_dir(root) {
        eprintln!("xtask: {}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["check"] => check(),
        ["fix"] => fix(),
        ["test"] => test(false),
        ["test", "--long"] => test(true),
        ["tools"] => tools(),
        ["previous"] => previous::build(true),
        ["fuzz"] => fuzz::run(60),
        ["fuzz", seconds] => seconds.parse().context("SECONDS is a number").and_then(fuzz::run),
        ["bench"] => cargo(&["bench", "-p", "buzon-benches"]),
        ["bench", filter] => cargo(&["bench", "-p", "buzon-benches", "--", filter]),
        ["compare", arguments @ ..] => compare(arguments),
        ["dev"] => packages::install().and_then(|()| dev(None)),
        ["dev", command] if command.starts_with("--") => dev(command.strip_prefix("--")),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    run(Command::new("cargo")
        .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    one_tls_provider()?;
    if !succeeds(Command::new("cargo").args(["deny", "--version"])) {
        cargo(&["install", "--locked", "--quiet", "cargo-deny@0.20.2"])?;
    }
    cargo(&["deny", "--all-features", "check", "licenses", "bans", "sources"])
}

/// `ring` sneaks in through default features of TLS crates; aws-lc-rs is the one provider.
fn one_tls_provider() -> anyhow::Result<()> {
    let tree = Command::new("cargo")
        .args(["tree", "--workspace", "--edges", "normal", "--invert", "ring"])
        .output()
        .context("run cargo tree")?;
    if !tree.stdout.is_empty() {
        bail!("a second TLS provider is in the tree:\n{}", String::from_utf8_lossy(&tree.stdout));
    }
    Ok(())
}

/// Built in release, with Dovecot and Postgres installed.
fn compare(arguments: &[&str]) -> anyhow::Result<()> {
    packages::install()?;
    cargo(&["build", "--release", "--workspace", "--all-features", "--bins"])?;
    let target = env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    run(Command::new(format!("{target}/release/buzon-compare")).args(arguments))
}

/// The cluster, or a word to the one that runs.
fn dev(command: Option<&str>) -> anyhow::Result<()> {
    cargo(&["build", "--workspace", "--all-features", "--bins"])?;
    let target = env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let mut cluster = Command::new(format!("{target}/debug/dev-cluster"));
    cluster.arg(format!("{target}/dev.sock")).args(command);
    run(&mut cluster)
}

fn fix() -> anyhow::Result<()> {
    cargo(&["clippy", "--fix", "--allow-dirty", "--workspace", "--all-targets", "--all-features"])?;
    cargo(&["fmt", "--all"])
}

fn tools() -> anyhow::Result<()> {
    packages::install()?;
    tools::install()
}

fn test(long: bool) -> anyhow::Result<()> {
    tools()?;
    // Before the build of today, so that it is today's binary that lies there in the end.
    if long {
        previous::build(true)?;
    }
    // One command with all features, so that nothing is built twice.
    cargo(&["build", "--workspace", "--all-targets", "--all-features"])?;
    let mut tests = Command::new("cargo");
    tests.args(["test", "--workspace", "--all-features"]);
    if long {
        // The whole binary and the crash tests; random histories and grammars; random sessions.
        tests.env("BUZON_TEST_LONG", "1").env("PROPTEST_CASES", "5000").env("STEPS", "50000");
    }
    let passed = run_counting(&mut tests)?;
    fuzz::run(if long { 600 } else { 20 })?;
    println!("{passed} passed, 0 failed");
    Ok(())
}

/// Runs tests, prints what they print, and counts those that passed over all test binaries.
fn run_counting(tests: &mut Command) -> anyhow::Result<u64> {
    let mut child = tests.stdout(Stdio::piped()).spawn().context("start the tests")?;
    let stdout = child.stdout.take().context("their standard output")?;
    let mut passed = 0;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        passed += line.strip_prefix("test result: ok. ").map_or(0, leading_number);
    }
    let status = child.wait()?;
    if status.success() { Ok(passed) } else { bail!("tests: {status}") }
}

fn leading_number(text: &str) -> u64 {
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    run(Command::new("cargo").args(arguments))
}

/// Runs a command that must succeed, saying what it is.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = format!("{command:?}").replace('"', "");
    eprintln!("xtask: {line}");
    let status = command.status().with_context(|| format!("start {line}"))?;
    if status.success() { Ok(()) } else { bail!("{line}: {status}") }
}

/// Whether a command can be started and succeeds; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
