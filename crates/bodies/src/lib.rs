//! Message bodies over object storage (DESIGN D7): immutable, durable when `put` returns, named by a
//! [`BodyRef`](buzon_types::body_ref::BodyRef) and read whole, by range or as a stream.
//!
//! ```text
//! Bodies ── put, writer ─────▶ pack, format (header, bodies, index) ──▶ requests (limit, deadline, count) ──▶ folder | S3
//!        └─ get, range, stream ──▶ cache (segments, read-ahead) ──▶ requests
//! ```
//!
//! Two rules: a name is used once, so nothing rests on conditional writes and a failed put leaves at most
//! garbage; and no reader ever sees a body in part. Knows nothing of mailboxes, IMAP or metadata.

mod backend;
mod bodies;
mod cache;
mod error;
pub mod format;
mod grow;
mod list;
mod metrics;
mod name;
mod options;
mod pack;
mod read;
mod requests;
mod upload;
mod writer;

pub use bodies::Bodies;
pub use error::{BodiesError, Corruption, RequestKind};
pub use list::ListedObject;
pub use options::{Addressing, Backend, Options, S3Options};
pub use writer::BodyWriter;
