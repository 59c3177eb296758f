//! A small disk that can be filled: a tmpfs in the mount namespace of the test ([`crate::net::ran_inside`]).

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Room for all that a short test writes.
const SIZE: &str = "size=768m";

/// See the module.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Puts one at a path, with what was there. Nothing may have files open there.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let new = path.with_extension("disk");
        std::fs::create_dir_all(path)?;
        std::fs::create_dir_all(&new)?;
        run(Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "none"]).arg(&new))?;
        run(Command::new("cp").arg("-a").arg(path.join(".")).arg(&new))?;
        run(Command::new("mount").arg("--move").arg(&new).arg(path))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Leaves no byte free.
    ///
    /// # Errors
    /// If something else than room is missing.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::create(self.filler())?;
        let mut piece = vec![7; 1 << 20];
        loop {
            match file.write(&piece) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull && piece.len() > 1 => {
                    piece.truncate(piece.len() / 2);
                }
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes room again.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn free(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.filler()).context("remove what fills the disk")
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
