//! What a run tells: a table for people, JSON, a picture.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::result::Outcome;
use crate::scale::Scale;

mod picture;
pub(crate) mod table;

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// When it began, UTC.
    pub(crate) date: String,
    /// What it ran on.
    pub(crate) machine: Machine,
    /// `plain text` or `TLS`, for IMAP on all servers.
    pub(crate) security: &'static str,
    /// How much.
    pub(crate) scale: Scale,
    /// Debug builds say nothing about speed.
    pub(crate) is_release: bool,
    /// Each server: version and what was set.
    pub(crate) servers: Vec<About>,
    /// Row by row.
    pub(crate) rows: Vec<Outcome>,
    /// What the servers' logs complained of.
    pub(crate) complaints: Vec<String>,
}

/// A server of the run.
#[derive(Debug, Serialize)]
pub(crate) struct About {
    pub(crate) server: String,
    pub(crate) about: String,
}

/// The machine.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_kib: u64,
    pub(crate) kernel: String,
    /// Of the folder in which servers keep their data.
    pub(crate) file_system: String,
}

impl Machine {
    /// This one.
    ///
    /// # Errors
    /// If data would be kept in memory, or /proc cannot be read.
    pub(crate) fn look() -> anyhow::Result<Self> {
        let value = |file: &str, name: &str| -> anyhow::Result<String> {
            let text = fs::read_to_string(file).with_context(|| format!("read {file}"))?;
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
            Ok(value.unwrap_or("unknown").to_owned())
        };
        let memory = value("/proc/meminfo", "MemTotal")?;
        Ok(Self {
            processor: value("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism()?.get(),
            memory_kib: memory.trim_end_matches(" kB").parse().unwrap_or_default(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            file_system: crate::server::file_system_of_data(&std::env::temp_dir())?,
        })
    }
}

impl Report {
    /// Writes JSON, and the picture beside it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn write(&self, json: &Path) -> anyhow::Result<()> {
        if let Some(dir) = json.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(json, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("write {}", json.display()))?;
        fs::write(json.with_extension("svg"), picture::draw(self))?;
        Ok(())
    }
}
