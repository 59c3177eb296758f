//! Bounds that replicas must agree on: they are part of what a feature level means.

use buzon_types::id::FeatureLevel;

/// What every group does from its first entry on.
pub const FEATURE_LEVEL_FIRST: FeatureLevel = FeatureLevel(1);
/// The highest that this program knows (DESIGN D10).
pub const FEATURE_LEVEL_MAX: FeatureLevel = FeatureLevel(1);
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
/// Longest name of a tenant, in bytes: it stands in operators' tables.
pub const TENANT_NAME_BYTES_MAX: usize = 255;
