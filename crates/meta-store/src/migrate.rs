//! The schema, one statement a file, the same steps for both databases. Released files never change; new steps
//! come after.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::error::StoreError;

/// One step: its name and its text.
type Step = (&'static str, &'static str);

macro_rules! steps {
    ($database:literal, $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../migrations/", $database, "/", $name, ".sql")))),+]
    };
}

const SQLITE: &[Step] = steps![
    "sqlite",
    "0001_node",
    "0002_node_row",
    "0003_part",
    "0004_group_head",
    "0005_account",
    "0006_mailbox",
    "0007_subscription",
    "0008_message",
    "0009_summary",
    "0010_tombstone",
    "0011_tombstone_by_modseq",
    "0012_staged",
    "0013_instance",
    "0014_record",
    "0015_tenant",
    "0016_tenant_by_name",
    "0017_domain",
    "0018_domain_by_tenant",
    "0019_placement",
    "0020_placement_by_tenant",
    "0021_address",
    "0022_address_by_account",
    "0023_mailbox_deleting",
    "0024_staged_first",
    "0025_cluster_node",
    "0026_cluster_shard",
    "0027_head_next_node",
    "0028_head_next_group",
    "0029_head_voters_per_shard",
];

const POSTGRES: &[Step] = steps![
    "postgres",
    "0001_node",
    "0002_node_row",
    "0003_part",
    "0004_group_head",
    "0005_account",
    "0006_mailbox",
    "0007_subscription",
    "0008_message",
    "0009_summary",
    "0010_tombstone",
    "0011_tombstone_by_modseq",
    "0012_staged",
    "0013_instance",
    "0014_record",
    "0015_tenant",
    "0016_tenant_by_name",
    "0017_domain",
    "0018_domain_by_tenant",
    "0019_placement",
    "0020_placement_by_tenant",
    "0021_address",
    "0022_address_by_account",
    "0023_crash_canary",
    "0024_mailbox_deleting",
    "0025_staged_first",
    "0026_cluster_node",
    "0027_cluster_shard",
    "0028_head_next_node",
    "0029_head_next_group",
    "0030_head_voters_per_shard",
];

/// For SQLite.
pub(crate) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

/// For Postgres; takes an advisory lock while it runs.
pub(crate) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

/// A database that a later version wrote, or a step that failed.
pub(crate) fn failed(error: MigrateError) -> StoreError {
    StoreError::Schema(Box::new(error))
}

fn migrator(steps: &'static [Step]) -> Migrator {
    let migrations = steps.iter().zip(1..).map(|((name, sql), version)| {
        let kind = MigrationType::Simple;
        Migration::new(version, Cow::Borrowed(*name), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}
