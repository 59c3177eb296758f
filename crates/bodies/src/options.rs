//! What the operator chooses. Plain values: the binary reads them from its configuration.

use std::path::PathBuf;
use std::time::Duration;

use buzon_types::secret::Secret;

/// How bodies are stored and how hard the store may be pressed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the objects lie.
    pub backend: Backend,
    /// Requests on their way at one time, of all kinds; more wait their turn.
    pub requests_in_flight_max: usize,
    /// The longest a request may take with its retries and its waiting; after that it is `Unavailable`.
    pub deadline: Duration,
    /// Memory for bytes that were read lately; 0 switches the cache off.
    pub cache_bytes_max: u64,
    /// How far a partial read may reach ahead of what was asked.
    pub read_ahead_bytes: u64,
}

impl Options {
    /// The defaults over this back end.
    pub fn new(backend: Backend) -> Self {
        Self {
            backend,
            // Enough to keep a store of 20 ms answering 3,000 requests a second; few enough for its limits.
            requests_in_flight_max: 64,
            // Less than the least patient peer: an IMAP client gives up after a minute or so.
            deadline: Duration::from_secs(30),
            cache_bytes_max: 64 << 20,
            read_ahead_bytes: 1 << 20,
        }
    }

    /// Objects as files below `path`.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::new(Backend::Folder { path: path.into() })
    }
}

/// The kinds of object store.
#[derive(Debug, Clone)]
pub enum Backend {
    /// Files below a folder, flushed before a put returns.
    Folder {
        /// Made if missing.
        path: PathBuf,
    },
    /// A bucket of an S3-compatible store.
    S3(S3Options),
}

/// A bucket and the way to it.
///
/// The key may put, get, delete and list objects. The bucket should have a rule that removes unfinished multipart
/// uploads after a day or so: those of a process that was killed have nobody else to remove them.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// `https://host[:port]`, without the bucket; none means AWS's own for the region.
    pub endpoint: Option<String>,
    /// The bucket; it must exist.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret<String>,
    /// Whether plain HTTP will do: for a test server or a private wire.
    pub allow_http: bool,
    /// How the bucket is named in requests.
    pub addressing: Addressing,
}

/// Where the bucket's name stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// In the path: what most servers other than AWS speak.
    #[default]
    Path,
    /// In the host name.
    VirtualHost,
}
