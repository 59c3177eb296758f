//! What can go wrong below the state machine.

/// A database error, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The connection broke, the server restarted or a statement failed: drop caches, reload, replay.
    #[error("database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// `last_applied` is not where the batch says it must be: drop caches, reload, replay.
    #[error("group {group} stands at {found}, not at {expected}")]
    AppliedMismatch {
        /// Which group.
        group: u64,
        /// In the batch.
        expected: u64,
        /// In the database.
        found: u64,
    },
    /// A row holds what no code of ours writes: a human must look.
    #[error("row cannot be read: {what}")]
    Corrupt {
        /// Table and value.
        what: String,
    },
    /// The database belongs to somebody else: refuse to start.
    #[error("database belongs to {found}, this node is {expected}")]
    Identity {
        /// In the database.
        found: String,
        /// Ours.
        expected: String,
    },
    /// Migrations failed, or a later version wrote this database.
    #[error("database schema")]
    Schema(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A key used twice is no trouble of the connection: some UID or id was given out twice.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                Self::Corrupt { what: format!("key is used twice: {}", database.message()) }
            }
            _ => Self::Unavailable(error),
        }
    }
}
