//! Power cuts under a mixed load: after each, only what was synced is left on the disk, and nothing that was
//! acknowledged is missing. First, that such a test can fail: what a program does not sync is lost.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use buzon_tests::load::Crowd;
use buzon_tests::load::check::Bodies;
use buzon_tests::power_cut::PowerCut;
use buzon_tests::seed::{is_long, seed};
use buzon_tests::server::{Server, Start};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const PEOPLE: u64 = 3;
/// As for kills, and more often: bodies are what a missing fsync loses.
const AGAIN_ONE_IN: u32 = 10;

#[test]
fn what_was_acknowledged_survives_power_cuts() -> anyhow::Result<()> {
    let cuts = if is_long() { 150 } else { 30 };
    let seed = seed("power_cut");
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Server::prepare()?;
    let scratch = server.scratch().canonicalize()?;
    let power = PowerCut::new(&scratch, &server.data_dir())?;
    server.start_as(power.with(Start::default()));
    server.restart()?;
    let mut crowd = Crowd::new(&server, PEOPLE, seed)?;
    for cut in 0..cuts {
        let work = Duration::from_millis(random.random_range(150..1200));
        crowd.work(&mut server, work, |server| {
            server.kill();
            Ok(())
        })?;
        power.restore()?;
        if random.random_ratio(1, 5) {
            server.start_and_kill(Duration::from_millis(random.random_range(0..600)))?; // cut again while it recovers
            power.restore()?;
        }
        server.restart()?;
        let bodies = if cut + 1 == cuts { Bodies::All } else { Bodies::Some(AGAIN_ONE_IN) };
        crowd.check(&server, bodies).with_context(|| format!("after cut {cut}"))?;
    }
    println!("{cuts} cuts: {}", crowd.summary());
    assert_eq!(server.complaints(), Vec::<String>::new());
    Ok(())
}

/// One cut under load of a server that syncs nothing below `name`.
fn cut_without_syncs_of(name: &str) -> anyhow::Result<()> {
    let mut server = Server::prepare()?;
    let power = PowerCut::new(&server.scratch().canonicalize()?, &server.data_dir())?;
    server.start_as(power.forgetting(name, Start::default()));
    server.restart()?;
    let mut crowd = Crowd::new(&server, 1, seed("power_cut"))?;
    crowd.work(&mut server, Duration::from_secs(2), |server| {
        server.kill();
        Ok(())
    })?;
    power.restore()?;
    server.restart().context("start")?;
    crowd.check(&server, Bodies::All)
}

#[test]
fn a_server_that_does_not_sync_its_bodies_or_its_log_is_found_out() -> anyhow::Result<()> {
    for name in ["bodies", "log"] {
        let Err(found) = cut_without_syncs_of(name) else {
            bail!("{name} is not synced, and nobody notices")
        };
        println!("{name}: {found:#}");
    }
    Ok(())
}

/// Writes files with and without the calls that make them durable, then dies.
const PROGRAM: &str = include_str!("power_cut/program.c");

#[test]
fn a_program_that_does_not_sync_loses_its_data_and_one_that_does_keeps_it() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let dir = dir.path().canonicalize()?;
    let data = dir.join("data");
    std::fs::create_dir(&data)?;
    let power = PowerCut::new(&dir, &data)?;
    let (source, program) = (dir.join("program.c"), dir.join("program"));
    std::fs::write(&source, PROGRAM)?;
    let built = Command::new("cc").arg("-o").args([&program, &source]).output()?;
    ensure!(built.status.success(), "cc: {}", String::from_utf8_lossy(&built.stderr));
    let start = power.with(Start::default());
    let ended = Command::new(&program).current_dir(&data).envs(start.environment).status()?;
    ensure!(!ended.success(), "it kills itself");
    assert_eq!(read(&data, "not-synced")?.as_deref(), Some("lost"), "before the cut all is there");
    power.restore()?;
    let expected = [
        ("synced", Some("kept")),
        ("not-synced", None),
        ("half-synced", Some("kept")),
        ("overwritten", Some("kept")),
        ("renamed", Some("kept")),
        ("renamed-without-folder", None),
        ("before-rename", Some("kept")),
        ("removed", None),
        ("removed-without-folder", Some("kept")),
        ("in/a/folder", Some("kept")),
    ];
    for (name, content) in expected {
        assert_eq!(read(&data, name)?.as_deref(), content, "{name}");
    }
    Ok(())
}

fn read(data: &Path, name: &str) -> anyhow::Result<Option<String>> {
    let path = data.join(name);
    if path.exists() { Ok(Some(std::fs::read_to_string(path)?)) } else { Ok(None) }
}
