//! Bounds that replicas must agree on: they are part of what a feature level means.

/// No log entry touches more messages (DESIGN D3), so that apply never holds up a group for long.
pub const ENTRY_MESSAGES_MAX: u32 = 2_000;
/// No log entry is larger once encoded (DESIGN D3).
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Mailboxes of one account; LIST answers all of them from memory.
pub const MAILBOXES_MAX: usize = 10_000;
/// Subscriptions of one account; names may be subscribed that do not exist (RFC 9051 §6.3.7).
pub const SUBSCRIPTIONS_MAX: usize = 20_000;
/// Answers kept for one client instance: more requests in flight than any front-end has.
pub const RECORDS_PER_INSTANCE_MAX: usize = 65_536;
/// Messages that one COPY may stage; what a mailbox of the largest supported size holds.
pub const STAGED_MESSAGES_MAX: u32 = 1_000_000;
