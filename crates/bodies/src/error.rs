//! What can go wrong, said by what the caller can do about it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use buzon_types::body_ref::{KeyId, ObjectId};

/// Failures of the body store.
///
/// A failed write needs no "was it applied?": its object was never named to anybody, and a repetition makes a new
/// one. So every operation may be repeated when [`BodiesError::is_retryable`] says so.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BodiesError {
    /// The store answers, and has no such object: lost, or removed after its retention.
    #[error("object {object} does not exist")]
    NotFound {
        /// Which one.
        object: ObjectId,
    },
    /// The store did not do it within the deadline, or refused; later it may.
    #[error("object store cannot {request} now")]
    Unavailable {
        /// What was asked.
        request: RequestKind,
        /// What it said; none when the deadline passed first.
        #[source]
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// The bytes are not those that were put. A human must look.
    #[error("object {object} is corrupt: {what}")]
    Corrupt {
        /// Which one.
        object: ObjectId,
        /// How it shows.
        what: Corruption,
    },
    /// The caller asked for bytes outside the body.
    #[error("range {}..{} is outside a body of {length} bytes", range.start, range.end)]
    OutOfRange {
        /// What was asked.
        range: Range<u64>,
        /// What there is.
        length: u64,
    },
    /// The body is encrypted under a key that this process does not hold.
    #[error("key {} of object {object} is not known", key.0)]
    KeyMissing {
        /// The object.
        object: ObjectId,
        /// The key.
        key: KeyId,
    },
    /// The options cannot be used; nothing was opened.
    #[error("open object store: {reason}")]
    Options {
        /// Which and why.
        reason: String,
        /// The cause, if one was told.
        #[source]
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
}

impl BodiesError {
    /// Whether the same call may succeed later without anybody's doing.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The kinds of request, as metrics and errors name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestKind {
    /// One object in one request.
    Put,
    /// Start of an object in parts.
    MultipartStart,
    /// One part.
    MultipartPart,
    /// The parts become the object.
    MultipartComplete,
    /// The parts are dropped.
    MultipartAbort,
    /// Some bytes of an object.
    GetRange,
    /// Size of an object.
    Head,
    /// Removal.
    Delete,
    /// A page of names.
    List,
}

impl RequestKind {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::MultipartStart => "multipart_start",
            Self::MultipartPart => "multipart_part",
            Self::MultipartComplete => "multipart_complete",
            Self::MultipartAbort => "multipart_abort",
            Self::GetRange => "get_range",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a damaged object shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// The object ends before the body does.
    #[error("it is shorter than its reference says")]
    Truncated,
    /// The body's bytes do not match their seal.
    #[error("a body does not match its checksum")]
    Seal,
    /// The object does not begin as ours do.
    #[error("its header is not ours or names another object")]
    Header,
    /// A newer program wrote it.
    #[error("its format version {0} is not known")]
    Version(u8),
    /// The index at its end cannot be read.
    #[error("its index is damaged")]
    Index,
}
