//! What an import must remember to go on after an interruption: its id, and how far the server has answered.
//!
//! Kept in the user's state folder, under a name made from what is imported where; gone when the import is done.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::maildir::Planned;
use crate::pki::write_secret;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Names the import to the server.
    pub(super) import_id: u128,
    /// All messages below are answered.
    pub(super) answered_below: u64,
    /// A maildir's files as they were at the start: mail that comes meanwhile must not shift them.
    pub(super) plan: Vec<Planned>,
    #[serde(skip)]
    path: PathBuf,
}

impl State {
    /// The one left by an interrupted run, if there is one.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub(super) fn resume(key: &[&str]) -> anyhow::Result<Option<Self>> {
        let path = path(key)?;
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let state = serde_json::from_str(&text);
        let mut state: Self =
            state.with_context(|| format!("read {}: remove it to start over", path.display()))?;
        state.path = path;
        Ok(Some(state))
    }

    /// A new import.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn begin(key: &[&str], plan: Vec<Planned>) -> anyhow::Result<Self> {
        let path = path(key)?;
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).context("make the state folder")?;
        let state = Self { import_id: uuid::Uuid::new_v4().as_u128(), answered_below: 0, plan, path };
        state.save()?;
        Ok(state)
    }

    /// Writes it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn save(&self) -> anyhow::Result<()> {
        write_secret(&self.path, &serde_json::to_string(self)?)
    }

    /// Nothing is left to resume.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn path(key: &[&str]) -> anyhow::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let dir = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let dir = dir.context("neither XDG_STATE_HOME nor HOME is set: no place for the import's state")?;
    Ok(dir.join("buzon").join(format!("import-{:016x}.json", hasher.finish())))
}
