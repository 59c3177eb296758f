//! Programs that these tests call, and documents as values.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use buzon_tests::server::binary;
use serde_json::Value;

/// The top of the tree.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Below `deploy/kustomize`.
pub(crate) fn kustomize_dir() -> PathBuf {
    repository().join("deploy/kustomize")
}

/// A program that `cargo xtask test` puts into the target folder.
pub(crate) fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let binary = binary()?; // target/debug/buzon
    let tool = binary.ancestors().nth(2).context("a target folder")?.join("tools").join(name);
    ensure!(tool.exists(), "{} is missing: run `cargo xtask test` once", tool.display());
    Ok(tool)
}

/// Python with the packages that check manifests.
pub(crate) fn python() -> anyhow::Result<Command> {
    Ok(Command::new(tool("python/bin/python")?))
}

/// What a command prints, given its input.
pub(crate) fn output_of(command: &mut Command, input: &str) -> anyhow::Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("its standard input")?;
    let text = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    let written = writing.join().ok().context("the thread that writes")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{error}", output.status);
    written?;
    Ok(String::from_utf8(output.stdout)?)
}

/// What kustomize makes of a folder below `deploy/kustomize`, as text.
pub(crate) fn build(folder: &str) -> anyhow::Result<String> {
    let mut command = Command::new(tool("kubectl")?);
    output_of(command.arg("kustomize").arg(kustomize_dir().join(folder)), "")
}

/// The documents of a YAML text.
pub(crate) fn documents(yaml: &str) -> anyhow::Result<Vec<Value>> {
    const TO_JSON: &str =
        "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    let json = output_of(python()?.args(["-c", TO_JSON]), yaml)?;
    Ok(serde_json::from_str(&json)?)
}

/// What stands at a path of keys; null if there is nothing.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| value.get(key).unwrap_or(&Value::Null))
}

/// A string at a path.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> anyhow::Result<&'a str> {
    at(value, path).as_str().with_context(|| format!("no text at {} in {value}", path.join(".")))
}

/// The items at a path; none if there is no list.
pub(crate) fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}
