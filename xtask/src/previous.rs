//! Binaries of earlier commits, for the tests of mixed versions (`tests/tests/versions.rs`), below `previous` in the target
//! folder: `buzon-COMMIT`, and for each role a file that names the commit, or says why there is none.
//!
//! An earlier commit is built into the same target folder, with the same features, so that of its dependencies only those
//! are built that differ. Cargo names the files of a workspace's package by its name and version, wherever the workspace lies:
//! with one version either build would begin anew over the files of the other. So the copy gets a version of its own, which
//! `buzon ctl upgrade status` shows too.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, ensure};

use crate::run;

/// Names a commit to upgrade from, instead of the one before.
const CHOICE: &str = "BUZON_PREVIOUS";
/// The commit whose data must open in every later one; the long tests upgrade from it too.
const OLDEST: &str = "tests/oldest-commit";

/// Builds what is missing.
pub(crate) fn build(long: bool) -> anyhow::Result<()> {
    let folder = target_dir()?.join("previous");
    fs::create_dir_all(&folder)?;
    let mut roles = vec![("previous", previous())];
    if long {
        roles.push(("oldest", oldest()));
    } else {
        let reason = Missing("only the long tests upgrade from it".to_owned());
        roles.push(("oldest", Err(reason)));
    }
    let wanted: Vec<String> =
        roles.iter().filter_map(|(_, it)| it.as_ref().ok()).map(|it| file(it)).collect();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("buzon-") && !wanted.contains(&name) {
            fs::remove_file(entry.path())?; // of a commit that nobody asks for any more
        }
    }
    for (role, commit) in roles {
        let text = match commit {
            Ok(commit) => {
                binary(&folder, &commit).with_context(|| format!("build {commit} to upgrade from"))?;
                commit
            }
            Err(Missing(reason)) => format!("none: {reason}"),
        };
        fs::write(folder.join(role), text)?;
    }
    Ok(())
}

/// Why a commit is not there.
struct Missing(String);

/// The one before what is tested: with changes in the tree that is the one they are made to.
fn previous() -> Result<String, Missing> {
    is_repository()?;
    if let Ok(choice) = env::var(CHOICE) {
        return commit(&choice);
    }
    let is_changed = git(&["status", "--porcelain"])?.lines().next().is_some();
    commit(if is_changed { "HEAD" } else { "HEAD^" })
}

fn oldest() -> Result<String, Missing> {
    is_repository()?;
    let text = fs::read_to_string(OLDEST).map_err(|error| Missing(format!("{OLDEST}: {error}")))?;
    let line = text.lines().find(|line| !line.starts_with('#') && !line.is_empty());
    commit(line.ok_or_else(|| Missing(format!("{OLDEST} names none")))?)
}

fn is_repository() -> Result<(), Missing> {
    // Of a copy without history inside of another repository the commits would be that one's.
    match git(&["rev-parse", "--show-prefix"])?.as_str() {
        "" => Ok(()),
        within => Err(Missing(format!("this is the folder {within} of another repository"))),
    }
}

fn commit(name: &str) -> Result<String, Missing> {
    let wanted = format!("{name}^{{commit}}");
    let found = git(&["rev-parse", "--verify", "--quiet", &wanted]);
    found.map_err(|_| Missing(format!("commit {name} is not in this clone: is it shallow?")))
}

fn git(arguments: &[&str]) -> Result<String, Missing> {
    let output = Command::new("git").args(arguments).output();
    let output = output.map_err(|error| Missing(format!("git: {error}")))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(Missing(format!("(git {}: {})", arguments.join(" "), error.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn file(commit: &str) -> String {
    format!("buzon-{commit}")
}

/// Builds a commit's binary, unless it is there.
fn binary(folder: &Path, commit: &str) -> anyhow::Result<()> {
    let kept = folder.join(file(commit));
    if kept.is_file() {
        return Ok(());
    }
    let (source, new, aside) = (folder.join("src"), folder.join("new"), folder.join("aside"));
    check_out(commit, &source)?;
    rename_version(&source)?;
    // Cargo puts every build's binary there, and whoever tests now may be running the one of today.
    let built = folder.with_file_name("debug").join("buzon");
    let _ = fs::rename(&built, &aside); // it may not be built yet
    let built_it = run(Command::new("cargo")
        // Examples, so that features are those of a build of all targets: else dependencies would be built once more.
        .args(["build", "--workspace", "--all-features", "--bin", "buzon", "--examples"])
        .args(["--config", "profile.dev.debug=false"])
        .current_dir(&source)
        .env("CARGO_TARGET_DIR", folder.parent().context("the target folder")?)
        .env("CARGO_INCREMENTAL", "0"))
    .and_then(|()| fs::copy(&built, &new).context("take its binary"));
    let _ = fs::rename(&aside, &built);
    built_it?;
    fs::remove_dir_all(&source)?;
    fs::rename(new, kept)?;
    Ok(())
}

/// All files of a commit, as new as they are: Cargo compares times.
fn check_out(commit: &str, source: &Path) -> anyhow::Result<()> {
    let _ = fs::remove_dir_all(source); // of an attempt that was cut off
    fs::create_dir_all(source)?;
    let mut archive = Command::new("git").args(["archive", commit]).stdout(Stdio::piped()).spawn()?;
    let packed = archive.stdout.take().context("its standard output")?;
    run(Command::new("tar").args(["-x", "-m", "-C"]).arg(source).stdin(packed))?;
    let ended = archive.wait()?;
    ensure!(ended.success(), "git archive {commit}: {ended}");
    Ok(())
}

/// See the module.
fn rename_version(source: &Path) -> anyhow::Result<()> {
    let manifest = source.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    let (before, package) = text.split_once("[workspace.package]").context("a version for all packages")?;
    let (start, rest) = package.split_once("version = \"").context("their version")?;
    let (version, rest) = rest.split_once('"').context("the end of it")?;
    fs::write(manifest, format!("{before}[workspace.package]{start}version = \"{version}+previous\"{rest}"))?;
    Ok(())
}

fn target_dir() -> anyhow::Result<PathBuf> {
    let binary = env::current_exe()?; // target/debug/xtask
    Ok(binary.ancestors().nth(2).context("a target folder")?.to_owned())
}
