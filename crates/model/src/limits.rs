//! Bounds that replicas must agree on: they are part of what a feature level means.

use buzon_types::id::FeatureLevel;

/// What every group does from its first entry on.
pub const FEATURE_LEVEL_FIRST: FeatureLevel = FeatureLevel(1);
/// Several nodes: rows of nodes and shards in the directory, placement on the least loaded shard.
pub const FEATURE_LEVEL_CLUSTER: FeatureLevel = FeatureLevel(2);
/// Accounts move between shards.
pub const FEATURE_LEVEL_MOVES: FeatureLevel = FeatureLevel(3);
/// Groups keep a digest of what their entries changed ([`crate::digest`]).
pub const FEATURE_LEVEL_DIGEST: FeatureLevel = FeatureLevel(4);
/// The highest that this program knows (DESIGN D10).
pub const FEATURE_LEVEL_MAX: FeatureLevel = FEATURE_LEVEL_DIGEST;
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
/// Replicas of one shard that vote: with five, two may fail at once, and more only wait for each other.
pub const VOTERS_MAX: usize = 5;
/// Shards of a cluster. All their rows are in memory on every node, and one entry may touch them all.
pub const SHARDS_MAX: usize = 4_096;
/// Moves of accounts that are pending at a time: all their rows are in memory, and a node works at few of them at once.
pub const MOVES_MAX: usize = 1_024;
/// Nodes of a cluster, those that were removed too: their rows stay, so that their ids and incarnations are known.
pub const NODES_MAX: usize = 4_096;
