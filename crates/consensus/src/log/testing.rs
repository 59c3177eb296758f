//! A file system that fails and loses power, for tests of what is durable.
//!
//! Files are real files, so that the log library can list its directory; beside each the content at its last sync
//! is kept. At a power cut everything stops; [`FaultyFileSystem::lose_power`] then takes every file back to what
//! was synced, or lets a random part of the rest survive, torn at sector borders. Creating, renaming and deleting
//! files counts as durable at once: a test of those needs a whole-process tool.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use raft_engine::env::{FileSystem, Handle, Permission, WriteExt};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// What a power cut leaves of bytes that were never synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// Nothing.
    Lost,
    /// Sectors chosen by this seed.
    Torn(u64),
}

/// See the module. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultyFileSystem {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Default)]
struct Disk {
    /// The content of each file at its last sync.
    synced: HashMap<PathBuf, Vec<u8>>,
    /// Changes of files left until the power goes; none: it stays on.
    changes_left: Option<u64>,
    /// Changes after the power went are ignored, not refused: nobody is there to see the answer.
    abandoned: bool,
    syncs_fail: bool,
    sync_takes: Duration,
    syncs: u64,
}

impl Disk {
    /// Counts one change and says whether it happens; an error once the power is gone.
    fn change(&mut self) -> io::Result<bool> {
        match &mut self.changes_left {
            None => Ok(true),
            Some(0) if self.abandoned => Ok(false),
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
        }
    }
}

impl FaultyFileSystem {
    /// A disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The power goes after this many more writes, syncs and other changes.
    pub fn cut_power_after(&self, changes: u64) {
        let mut disk = self.disk.lock();
        disk.changes_left = Some(changes);
        disk.abandoned = false;
    }

    /// The same, but the program goes on in vain and hears of no error: for a cut while the log is being opened,
    /// where the log library would take an error that it cannot report for a reason to abort the process.
    pub fn cut_power_quietly_after(&self, changes: u64) {
        let mut disk = self.disk.lock();
        disk.changes_left = Some(changes);
        disk.abandoned = true;
    }

    /// Whether the power is gone.
    pub fn is_off(&self) -> bool {
        self.disk.lock().changes_left == Some(0)
    }

    /// From now on the running program may do what it likes, without effect: it can be shut down in order.
    pub fn abandon(&self) {
        self.cut_power_quietly_after(0);
    }

    /// Every sync fails from now on, or none does.
    pub fn fail_syncs(&self, fail: bool) {
        self.disk.lock().syncs_fail = fail;
    }

    /// Every sync takes at least this long from now on, as on a disk.
    pub fn sync_takes(&self, time: Duration) {
        self.disk.lock().sync_takes = time;
    }

    /// Syncs that succeeded so far.
    pub fn syncs(&self) -> u64 {
        self.disk.lock().syncs
    }

    /// Takes all files back to what survives a power cut, and switches the power on again. Nobody may have the
    /// files open.
    pub fn lose_power(&self, unsynced: Unsynced) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.changes_left = None;
        disk.abandoned = false;
        disk.syncs_fail = false;
        for (path, synced) in &mut disk.synced {
            let now = std::fs::read(path)?;
            let after = match unsynced {
                Unsynced::Lost => synced.clone(),
                Unsynced::Torn(seed) => torn(synced, &now, seed),
            };
            if after != now {
                std::fs::write(path, &after)?;
            }
            *synced = after;
        }
        Ok(())
    }

    fn handle(&self, path: &Path, file: File) -> FaultyFile {
        FaultyFile { path: path.to_owned(), file, disk: Arc::clone(&self.disk) }
    }
}

/// `synced` with some sectors of `now` written over it, and either of the two lengths or one between.
fn torn(synced: &[u8], now: &[u8], seed: u64) -> Vec<u8> {
    let mut random = seed | 1;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (short, long) = (synced.len().min(now.len()), synced.len().max(now.len()));
    let sectors = (long - short) / SECTOR + 1;
    let mut after = synced.to_vec();
    after.resize((short + usize::try_from(next()).unwrap_or(0) % sectors * SECTOR).min(long), 0);
    for from in (0..after.len()).step_by(SECTOR) {
        let to = (from + SECTOR).min(after.len()).min(now.len());
        if from < to && next().is_multiple_of(2) {
            after[from..to].copy_from_slice(&now[from..to]);
        }
    }
    after
}

/// An open file of a [`FaultyFileSystem`].
pub struct FaultyFile {
    path: PathBuf,
    file: File,
    disk: Arc<Mutex<Disk>>,
}

impl Handle for FaultyFile {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        // The disk stays locked while a change is made, so that a cut comes before or after it, for all files.
        let mut disk = self.disk.lock();
        if !disk.change()? { Ok(()) } else { self.file.set_len(offset as u64) }
    }

    fn file_size(&self) -> io::Result<usize> {
        usize::try_from(self.file.metadata()?.len()).map_err(io::Error::other)
    }

    fn sync(&self) -> io::Result<()> {
        let takes = self.disk.lock().sync_takes;
        if !takes.is_zero() {
            std::thread::sleep(takes);
        }
        let mut disk = self.disk.lock();
        if disk.syncs_fail {
            return Err(io::Error::other("the disk is broken"));
        }
        if !disk.change()? {
            return Ok(());
        }
        disk.syncs += 1;
        let mut content = vec![0; self.file_size()?];
        self.file.read_exact_at(&mut content, 0)?;
        disk.synced.insert(self.path.clone(), content);
        Ok(())
    }
}

/// Reads and writes a [`FaultyFile`] at its own place.
pub struct FaultyCursor {
    file: Arc<FaultyFile>,
    offset: u64,
}

impl Read for FaultyCursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl Write for FaultyCursor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.file.disk.lock();
        let count = if disk.change()? { self.file.file.write_at(bytes, self.offset)? } else { bytes.len() };
        self.offset += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for FaultyCursor {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let (base, by) = match position {
            SeekFrom::Start(offset) => (offset, 0),
            SeekFrom::Current(by) => (self.offset, by),
            SeekFrom::End(by) => (self.file.file.metadata()?.len(), by),
        };
        self.offset = base.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}

impl WriteExt for FaultyCursor {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.file.truncate(offset)?;
        self.offset = offset as u64;
        Ok(())
    }

    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        let mut disk = self.file.disk.lock();
        if !disk.change()? {
            return Ok(());
        }
        let length = self.file.file.metadata()?.len();
        self.file.file.set_len(length.max((offset + size) as u64))
    }
}

impl FileSystem for FaultyFileSystem {
    type Handle = FaultyFile;
    type Reader = FaultyCursor;
    type Writer = FaultyCursor;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<FaultyFile> {
        let mut disk = self.disk.lock();
        if !disk.change()? {
            return Err(io::Error::other("the power is gone"));
        }
        let path = path.as_ref();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        disk.synced.entry(path.to_owned()).or_default();
        drop(disk);
        Ok(self.handle(path, file))
    }

    fn open<P: AsRef<Path>>(&self, path: P, permission: Permission) -> io::Result<FaultyFile> {
        let write = permission == Permission::ReadWrite;
        let file = OpenOptions::new().read(true).write(write).open(path.as_ref())?;
        Ok(self.handle(path.as_ref(), file))
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if !disk.change()? {
            return Ok(());
        }
        std::fs::remove_file(path.as_ref())?;
        disk.synced.remove(path.as_ref());
        Ok(())
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if !disk.change()? {
            return Ok(());
        }
        std::fs::rename(from.as_ref(), to.as_ref())?;
        let synced = disk.synced.remove(from.as_ref()).unwrap_or_default();
        disk.synced.insert(to.as_ref().to_owned(), synced);
        Ok(())
    }

    fn new_reader(&self, handle: Arc<FaultyFile>) -> io::Result<FaultyCursor> {
        Ok(FaultyCursor { file: handle, offset: 0 })
    }

    fn new_writer(&self, handle: Arc<FaultyFile>) -> io::Result<FaultyCursor> {
        Ok(FaultyCursor { file: handle, offset: 0 })
    }
}
