//! The Dockerfile, as far as it can be looked at without building it: there is no container engine here.

use std::process::Command;

use anyhow::{Context, ensure};
use buzon_tests::server::binary;

use crate::tools::{output_of, repository};

fn dockerfile() -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(repository().join("deploy/Dockerfile"))?;
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

#[test]
fn the_image_is_built_from_named_bases_and_does_not_run_as_root() -> anyhow::Result<()> {
    let lines = dockerfile()?;
    let bases: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("FROM ")).collect();
    ensure!(bases.len() >= 2 && bases.iter().all(|base| base.starts_with("${")), "{bases:?}");
    let last = lines.iter().rposition(|line| line.starts_with("FROM ")).context("a stage")?;
    let runtime = &lines[last..];
    ensure!(runtime.iter().any(|line| line == "USER 65532:65532"), "the user of the manifests: {runtime:?}");
    ensure!(runtime.iter().any(|line| line.starts_with("ENTRYPOINT [\"/usr/bin/buzon\"]")), "{runtime:?}");
    ensure!(lines.iter().any(|line| line.contains("cargo build")
        && line.contains("--profile dist")
        && line.contains("--locked")));
    Ok(())
}

#[test]
fn what_the_image_copies_exists() -> anyhow::Result<()> {
    for line in dockerfile()? {
        let Some(rest) = line.strip_prefix("COPY ") else { continue };
        if rest.starts_with("--from=") {
            continue;
        }
        let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        let Some((_, sources)) = words.split_last() else { continue };
        for source in sources {
            ensure!(repository().join(source).exists(), "{line}: no {source}");
        }
    }
    Ok(())
}

/// The runtime image has the C library and its helpers, and nothing else is copied into it.
#[test]
fn the_binary_needs_no_library_but_those_of_the_base_image() -> anyhow::Result<()> {
    const IN_IMAGE: [&str; 5] = ["linux-vdso.so.1", "libgcc_s.so.1", "libm.so.6", "libc.so.6", "ld-linux"];
    let libraries = output_of(Command::new("ldd").arg(binary()?), "")?;
    for library in libraries.lines() {
        ensure!(IN_IMAGE.iter().any(|known| library.contains(known)), "{}", library.trim());
    }
    Ok(())
}
