//! Objects in a folder that grow: what comes next is added to a file that is there already, with one flush, where a
//! new file takes two and a name.
//!
//! ```text
//! header │ bodies, seals │ index of them │ bodies, seals │ index of all │ …
//! ```
//! Each addition ends with an index of the whole object, so that it can be read like any other at any time. Only what is
//! flushed is named, and nothing that was written is ever touched again: an addition that is torn takes nothing along
//! (docs/decisions/0014-objects-that-grow.md).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use buzon_types::body_ref::ObjectId;
use bytes::Bytes;

use crate::format::{self, Entry, Frame, SEAL_BYTES};
use crate::name;

/// An object with so many bytes takes no more: what is in it is collected together.
const OBJECT_BYTES_FULL: u64 = 4 << 20;
/// With each addition an index of all bodies is written: what that takes grows with the square.
const ADDITIONS_MAX: u32 = 64;
/// For the same reason: 8 KiB of index.
const BODIES_MAX: usize = 256;
/// References to old objects are refused, and old objects without references are collected: this is neither.
const AGE_MAX: Duration = Duration::from_secs(10);

/// The folder, and the object in it that takes bodies.
#[derive(Debug)]
pub(crate) struct Growing {
    root: PathBuf,
    open: tokio::sync::Mutex<Option<Growth>>,
}

#[derive(Debug)]
struct Growth {
    object: ObjectId,
    file: File,
    end: u64,
    entries: Vec<Entry>,
    additions: u32,
    since: Instant,
}

impl Growing {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, open: tokio::sync::Mutex::default() }
    }

    /// Nothing is added to this object any more.
    pub(crate) async fn end(&self, object: ObjectId) {
        drop(self.open.lock().await.take_if(|growth| growth.object == object));
    }

    /// Adds bodies; where each lies, once they are on the disk. What fails is in no object: later ones begin another.
    pub(crate) async fn add(&self, bodies: Vec<(Frame, Bytes)>) -> io::Result<Vec<Entry>> {
        let mut open = self.open.lock().await;
        let growth = open.take().filter(Growth::takes_more);
        let root = self.root.clone();
        let written = tokio::task::spawn_blocking(move || {
            let mut growth = match growth {
                Some(growth) => growth,
                None => Growth::begin(&root)?,
            };
            let entries = growth.add(&bodies)?;
            Ok::<_, io::Error>((growth, entries))
        });
        let (growth, entries) = written.await.map_err(io::Error::other)??;
        *open = Some(growth);
        Ok(entries)
    }
}

impl Growth {
    fn begin(root: &std::path::Path) -> io::Result<Self> {
        let object = name::fresh();
        let path = root.join(name::path(object).as_ref());
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        if let Some(folder) = path.parent() {
            // Before anything in it is named; the file's own flush follows.
            File::open(folder)?.sync_all()?;
        }
        let (end, entries) = (0, Vec::new());
        Ok(Self { object, file, end, entries, additions: 0, since: Instant::now() })
    }

    fn takes_more(&self) -> bool {
        let has_room = self.end < OBJECT_BYTES_FULL && self.entries.len() < BODIES_MAX;
        has_room && self.additions < ADDITIONS_MAX && self.since.elapsed() < AGE_MAX
    }

    fn add(&mut self, bodies: &[(Frame, Bytes)]) -> io::Result<Vec<Entry>> {
        let content: usize = bodies.iter().map(|(_, bytes)| bytes.len() + SEAL_BYTES as usize).sum();
        let mut out = Vec::with_capacity(content + (1 + self.entries.len() + bodies.len()) * 40);
        if self.end == 0 {
            out.extend_from_slice(&format::header(self.object));
        }
        let at = self.end + out.len() as u64;
        let framed = bodies.iter().map(|(frame, bytes)| (frame.clone(), bytes));
        let added = format::put_bodies(&mut out, self.object, at, framed);
        self.entries.extend_from_slice(&added);
        out.extend_from_slice(&format::trailer(self.object, &self.entries));
        self.file.write_all(&out)?;
        if self.additions == 0 {
            self.file.sync_all()?;
        } else {
            // With the file's length, which is needed to read what was written (fdatasync(2)).
            self.file.sync_data()?;
        }
        self.end += out.len() as u64;
        self.additions += 1;
        Ok(added)
    }
}
