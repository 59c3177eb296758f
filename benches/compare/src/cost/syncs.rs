//! Counts a server's waits for its disk: fsync, fdatasync, syncfs and msync of all its processes, by a library that is
//! preloaded into them. `strace` would see the same calls and slow down all others.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

/// The library and the file in which it counts, in a folder of their own.
#[derive(Debug)]
pub(crate) struct Syncs {
    library: PathBuf,
    count: PathBuf,
    _dir: TempDir,
}

impl Syncs {
    /// Builds the library. Every user can enter its folder: databases and Dovecot run as users of their own.
    ///
    /// # Errors
    /// If there is no C compiler.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("buzon-syncs-").tempdir()?;
        let dir = folder.path();
        allow(dir, 0o755)?;
        let (source, library) = (dir.join("sync_count.c"), dir.join("sync_count.so"));
        fs::write(&source, include_str!("sync_count.c"))?;
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()
            .context("run cc (Debian package gcc)")?;
        ensure!(built.status.success(), "cc: {}", String::from_utf8_lossy(&built.stderr));
        let count = dir.join("sync_count");
        fs::write(&count, 0_u64.to_ne_bytes())?;
        allow(&count, 0o666)?;
        Ok(Self { library, count, _dir: folder })
    }

    /// For the environment of each process.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![
            ("LD_PRELOAD".to_owned(), text(&self.library)),
            ("SYNC_COUNT_FILE".to_owned(), text(&self.count)),
        ]
    }

    /// So far.
    ///
    /// # Errors
    /// If the file is gone.
    pub(crate) fn read(&self) -> anyhow::Result<u64> {
        let bytes = fs::read(&self.count)?;
        Ok(u64::from_ne_bytes(bytes.as_slice().try_into().context("eight bytes")?))
    }
}

fn allow(path: &Path, mode: u32) -> anyhow::Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn each_sync_of_a_process_and_of_its_children_counts_once() -> anyhow::Result<()> {
        let syncs = Syncs::build()?;
        let file = syncs._dir.path().join("data");
        let script = format!(
            "dd if=/dev/zero of={0} bs=1 count=1 conv=fsync && (dd if=/dev/zero of={0} bs=1 count=1 conv=fdatasync)",
            file.display()
        );
        let done = Command::new("sh").args(["-c", &script]).envs(syncs.variables()).output()?;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(syncs.read()?, 2);
        Ok(())
    }
}
