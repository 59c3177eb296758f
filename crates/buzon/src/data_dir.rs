//! The data directory: one process at a time, one identity for good.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::pki::write_secret;

/// Bytes of randomness in the admin token.
const TOKEN_BYTES: usize = 32;

/// Who this node is; log and database carry the same (DESIGN D2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeIdentity {
    /// The cluster; a standalone server is one of its own.
    pub(crate) cluster: u128,
    /// Its raft id.
    pub(crate) node: u64,
    /// New whenever a log or database was lost.
    pub(crate) incarnation: u128,
    /// Its raft groups were founded: without a log it is not new, but has lost it.
    #[serde(default)]
    pub(crate) founded: bool,
}

/// A data directory that is ours while this value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes it if it is not there, and locks it.
    ///
    /// # Errors
    /// If it cannot be written, or another process has it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut make = fs::DirBuilder::new();
        make.recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("data_dir: make {}", path.display()))?;
        let path = path.canonicalize()?;
        flush_names(&path).context("data_dir: flush its name")?;
        let file = File::create(path.join("lock"))
            .with_context(|| format!("data_dir: write to {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _lock: file }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "data_dir: another process runs on {}: stop it, or give another --data-dir",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => Err(error).context("data_dir: lock"),
        }
    }

    /// A place in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Made at the first start, read ever after.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(crate) fn identity(&self) -> anyhow::Result<NodeIdentity> {
        self.identity_or(|| NodeIdentity {
            cluster: random(),
            node: 1,
            incarnation: random(),
            founded: false,
        })
    }

    /// The same for a node that a cluster will give its identity: node 0 until then.
    ///
    /// # Errors
    /// As [`DataDir::identity`].
    pub(crate) fn cluster_identity(&self) -> anyhow::Result<NodeIdentity> {
        self.identity_or(|| NodeIdentity { cluster: 0, node: 0, incarnation: random(), founded: false })
    }

    fn identity_or(&self, new: impl FnOnce() -> NodeIdentity) -> anyhow::Result<NodeIdentity> {
        let file = self.join("node.json");
        match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("read {}", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let identity = new();
                self.set_identity(&identity)?;
                Ok(identity)
            }
            Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
        }
    }

    /// Writes it; durable when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn set_identity(&self, identity: &NodeIdentity) -> anyhow::Result<()> {
        write_secret(&self.join("node.json"), &serde_json::to_string(identity)?)
    }

    /// Notes that the groups are founded.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn set_founded(&self, identity: NodeIdentity) -> anyhow::Result<()> {
        self.set_identity(&NodeIdentity { founded: true, ..identity })
    }

    /// The admin service's token: from the file that the configuration names, or made at the first start.
    ///
    /// # Errors
    /// If it cannot be read or written, or is empty.
    pub(crate) fn admin_token(&self, config: &Config) -> anyhow::Result<String> {
        let file = self.admin_token_file(config);
        if config.admin.token_file.is_none() && !file.exists() {
            let bytes: [u8; TOKEN_BYTES] = rand::rng().random();
            write_secret(&file, &bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())?;
        }
        let token = fs::read_to_string(&file)
            .with_context(|| format!("admin.token_file: read {}", file.display()))?;
        ensure!(!token.trim().is_empty(), "admin.token_file: {} is empty", file.display());
        Ok(token.trim().to_owned())
    }

    /// Where the token is.
    pub(crate) fn admin_token_file(&self, config: &Config) -> PathBuf {
        config.admin.token_file.clone().unwrap_or_else(|| crate::ctl::connection::token_file(&self.path))
    }
}

fn random() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

/// A new folder is durable once the folders above it that may be as new are flushed.
fn flush_names(path: &Path) -> std::io::Result<()> {
    for folder in path.ancestors().skip(1) {
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Ok(()) => {}
            // What this user may not read, this user has not made.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_do_not_share_it_and_its_identity_stays() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let dir = DataDir::open(&path).unwrap();
        assert!(DataDir::open(&path).unwrap_err().to_string().contains("another process"));
        let config = Config::default();
        let (identity, token) = (dir.identity().unwrap(), dir.admin_token(&config).unwrap());
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        drop(dir);
        let dir = DataDir::open(&path).unwrap();
        assert_eq!((dir.identity().unwrap(), dir.admin_token(&config).unwrap()), (identity, token));
    }
}
