//! The wire: generated messages and services, and their conversions from and to model values. A received message
//! is checked once, here (`TryFrom`, an error names the field); sending cannot fail (`From`).
//!
//! Knows nothing of tasks, storage or who talks to whom. The contracts themselves are told in `proto/`.

pub mod columns;
pub mod directory;
pub mod log;
pub mod mail;
pub mod pb;
mod secret;
pub mod status;
pub mod wire;
