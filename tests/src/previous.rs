//! The binary of an earlier commit, as `cargo xtask test` (or `previous`) has built it.

use std::path::PathBuf;

use anyhow::Context;

use crate::server::binary;

/// See the module.
#[derive(Debug)]
pub struct Previous {
    /// Its commit.
    pub commit: String,
    /// Where it is.
    pub binary: PathBuf,
}

impl Previous {
    /// By its role: `previous` or `oldest`. None where there is no such commit, which is said on standard error with the name of
    /// the test.
    ///
    /// # Errors
    /// If the binary is gone.
    pub fn find(role: &str, test: &str) -> anyhow::Result<Option<Self>> {
        let folder = binary()?.ancestors().nth(2).context("a target folder")?.join("previous");
        let noted = std::fs::read_to_string(folder.join(role));
        let noted = noted.unwrap_or_else(|_| "none: `cargo xtask previous` builds it".to_owned());
        if let Some(reason) = noted.strip_prefix("none: ") {
            // Said where everybody sees it, since nothing was tested.
            eprintln!("NOT RUN: {test}: {reason}");
            return Ok(None);
        }
        let commit = noted.trim().to_owned();
        let binary = folder.join(format!("buzon-{commit}"));
        anyhow::ensure!(binary.is_file(), "{} is gone: run `cargo xtask previous`", binary.display());
        println!("upgraded from commit {commit}");
        Ok(Some(Self { commit, binary }))
    }
}
