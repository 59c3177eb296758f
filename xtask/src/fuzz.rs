//! Runs the fuzz targets: libFuzzer on the toolchain at hand, coverage from LLVM's own pass, so that neither
//! nightly nor another tool is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::run as start;

/// Coverage instrumentation that libFuzzer reads; without a sanitizer, since safe Rust checks itself.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// Named, so that the flags do not reach build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Each target for so many seconds; new inputs go to the build folder, not into the tree.
pub(crate) fn run(seconds: u32) -> anyhow::Result<()> {
    let build = target_dir()?.join("fuzz");
    start(
        Command::new("cargo")
            .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", TARGET])
            .env("RUSTFLAGS", COVERAGE)
            .env("CARGO_TARGET_DIR", &build),
    )?;
    for entry in fs::read_dir("fuzz/fuzz_targets").context("list the fuzz targets")? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).context("name of a fuzz target")?;
        let found = build.join("corpus").join(name);
        fs::create_dir_all(&found)?;
        let mut target = Command::new(build.join(TARGET).join("release").join(name));
        target
            .arg(format!("-max_total_time={seconds}"))
            .args(["-rss_limit_mb=2048", "-timeout=10", "-verbosity=0", "-print_final_stats=1"])
            .arg(format!("-artifact_prefix={}/{name}-", build.display()));
        let dictionary = format!("fuzz/{name}.dict");
        if Path::new(&dictionary).exists() {
            target.arg(format!("-dict={dictionary}"));
        }
        start(target.arg(&found).arg(format!("fuzz/corpus/{name}")))?;
    }
    Ok(())
}

fn target_dir() -> anyhow::Result<PathBuf> {
    Ok(match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => std::env::current_dir()?.join("target"),
    })
}
