//! A power cut: `kill -9`, and then everything in the data directory that was not synced is thrown away.
//!
//! `shim.c` keeps, beside the data, a copy of what was synced; after the kill the data directory is rebuilt from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::server::Start;

/// The shim and what it has kept so far.
#[derive(Debug)]
pub struct PowerCut {
    shim: PathBuf,
    durable: PathBuf,
    data: PathBuf,
}

impl PowerCut {
    /// Builds the shim in `dir`, for a server whose data will be in `data`.
    ///
    /// # Errors
    /// If there is no C compiler.
    pub fn new(dir: &Path, data: &Path) -> anyhow::Result<Self> {
        let (source, shim, durable) = (dir.join("shim.c"), dir.join("shim.so"), dir.join("durable"));
        fs::write(&source, include_str!("power_cut/shim.c"))?;
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&shim, &source])
            .arg("-ldl")
            .output()?;
        ensure!(built.status.success(), "cc: {}", String::from_utf8_lossy(&built.stderr));
        fs::create_dir_all(durable.join("objects"))?;
        Ok(Self { shim, durable, data: data.to_owned() })
    }

    /// Adds the shim to how a server starts.
    pub fn with(&self, mut start: Start) -> Start {
        let text = |path: &Path| path.display().to_string();
        start.environment.push(("LD_PRELOAD".into(), text(&self.shim)));
        start.environment.push(("POWER_CUT_ROOT".into(), text(&self.data)));
        start.environment.push(("POWER_CUT_DURABLE".into(), text(&self.durable)));
        start
    }

    /// As [`PowerCut::with`], and every sync below `name` in the data directory does nothing: a server with a fault,
    /// which tests must find.
    pub fn forgetting(&self, name: &str, start: Start) -> Start {
        let mut start = self.with(start);
        start.environment.push(("POWER_CUT_FORGOTTEN".into(), name.to_owned()));
        start
    }

    /// Replaces the data directory by what was durable. The server must be dead. Answers how many files there are.
    ///
    /// # Errors
    /// If the shim's notes cannot be read.
    pub fn restore(&self) -> anyhow::Result<usize> {
        let names = self.names()?;
        fs::remove_dir_all(&self.data).context("remove the data directory")?;
        fs::create_dir_all(&self.data)?;
        let mut inodes = BTreeMap::new();
        for (name, inode) in &names {
            let (path, object) = (self.data.join(name), self.object(*inode));
            fs::create_dir_all(path.parent().context("a parent")?)?;
            // A file whose content was never synced has a name at most.
            if object.exists() {
                fs::copy(&object, &path).map(drop)?
            } else {
                fs::write(&path, [])?
            }
            private_if_key(&path)?;
            inodes.insert(name.clone(), path);
        }
        // The files have new inodes: what is durable is what is there.
        fs::remove_dir_all(&self.durable)?;
        fs::create_dir_all(self.durable.join("objects"))?;
        let mut log = String::new();
        for (name, path) in &inodes {
            let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(path)?);
            fs::copy(path, self.object(inode))?;
            log.push_str(&format!("link {inode} {name}\n"));
        }
        fs::write(self.durable.join("names"), log)?;
        Ok(names.len())
    }

    fn object(&self, inode: u64) -> PathBuf {
        self.durable.join("objects").join(inode.to_string())
    }

    /// Replays the log of names. A folder's listing that was cut off does not count.
    fn names(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let log = fs::read_to_string(self.durable.join("names"))?;
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        let mut listing: Option<(String, BTreeMap<String, u64>)> = None;
        for line in log.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(verb), Some(inode), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let inode: u64 = inode.parse()?;
            match verb {
                "link" => drop(names.insert(name.to_owned(), inode)),
                "unlink" if names.get(name) == Some(&inode) => drop(names.remove(name)),
                "unlink" => {}
                "folder" => listing = Some((name.to_owned(), BTreeMap::new())),
                "entry" => {
                    if let Some((_, entries)) = &mut listing {
                        entries.insert(name.to_owned(), inode);
                    }
                }
                "end" => {
                    if let Some((folder, entries)) = listing.take() {
                        names.retain(|name, _| {
                            name.rsplit_once('/').map_or("", |(parent, _)| parent) != folder
                        });
                        names.retain(|_, inode| !entries.values().any(|other| other == inode));
                        names.extend(entries);
                    }
                }
                other => bail!("the shim wrote {other}"),
            }
        }
        Ok(names)
    }
}

/// Copies lose the mode; the server refuses keys that others can read.
fn private_if_key(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).context("set the mode")
}
