//! A message's bytes to its summary; sections, partials and search text.
//!
//! ```text
//! bytes ──index──▶ part tree ──render──▶ ENVELOPE, BODYSTRUCTURE ─┐
//!   │                                                             ├─▶ Summary ──encode──▶ stored once, on arrival
//!   └──fields──▶ cached header lines, sent date, preview ─────────┘
//! Summary + section ──plan──▶ bytes at hand, or one range of the body to read
//! ```
//!
//! A message is parsed once (DESIGN D6): FETCH and SEARCH use the summary and byte ranges of the body. Nothing here
//! waits, stores, or knows an IMAP session; any bytes are a message, and what goes in is never changed.

pub mod address;
pub mod binary;
mod cached;
pub mod charset;
#[cfg(any(test, feature = "corpus"))]
pub mod corpus;
pub mod date;
pub mod encoded_word;
mod envelope;
pub mod header;
mod html;
mod index;
mod mime;
pub mod part;
mod preview;
mod render;
pub mod search;
pub mod searched;
pub mod section;
mod structure;
pub mod summary;
#[cfg(any(test, feature = "corpus"))]
pub mod testing;

pub use section::{Partial, Section, SectionKind, SectionPlan};
pub use summary::{Summary, SummaryError};
