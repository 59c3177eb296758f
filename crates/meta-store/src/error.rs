//! What can go wrong below the state machine.

/// What the library of a database says.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Postgres, or the way to it.
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    /// SQLite.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A file, or in tests whatever it may be.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// All connections were in use for too long.
    #[error("no connection was free in time")]
    Busy,
    /// It is being closed, or nobody waits for it any more.
    #[error("database is closed")]
    Closed,
    /// It took longer than anything may.
    #[error("not done in time")]
    Late,
}

/// A database error, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The connection broke, the server restarted or a statement failed: drop caches, reload, replay.
    #[error("database is unavailable")]
    Unavailable(#[source] DatabaseError),
    /// The disk is full: as above, once there is room.
    #[error("disk of the database is full")]
    Full(#[source] DatabaseError),
    /// A read, a write or an fsync failed: what was told to be written may not be, and trying again would believe it.
    /// The process must end; a fresh start reads what is there.
    #[error("disk of the database failed")]
    Disk(#[source] DatabaseError),
    /// A later snapshot of the group took this one's place while it was staged.
    #[error("staged snapshot {part} of group {group} was dropped")]
    StagingGone {
        /// Which group.
        group: u64,
        /// Where it was staged.
        part: i64,
    },
    /// The rows did not come to an end: begin another export.
    #[error("export of group {group} is over: {why}")]
    ExportOver {
        /// Which group.
        group: u64,
        /// What was in its way.
        why: &'static str,
    },
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
    /// The group is not here, or no longer: the server restarted before its first transactions were on the disk. Drop
    /// caches, reload, replay.
    #[error("group {group} has no rows")]
    NoRows {
        /// Which group.
        group: u64,
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
    /// A later version wrote what this one cannot read: refuse to start.
    #[error(
        "database was written by a later version of buzon: it needs one that knows schema {needs}, this one knows {ours}; \
         run that version or a later one"
    )]
    LaterVersion {
        /// The first schema that may read it.
        needs: i64,
        /// This version's.
        ours: i64,
    },
    /// A later version decides what stands in this snapshot; this one does not know how (DESIGN D10).
    #[error(
        "snapshot is of feature level {found}, this version knows levels up to {known}: run a later version of buzon"
    )]
    FeatureLevel {
        /// The snapshot's.
        found: u32,
        /// This version's highest.
        known: u32,
    },
    /// Migrations failed.
    #[error("database schema")]
    Schema(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// By what Postgres says is wrong.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &error else { return Self::Unavailable(error.into()) };
        let code = database.code().unwrap_or_default();
        let trouble = if database.is_unique_violation() { Trouble::Twice } else { postgres_trouble(&code) };
        let message = database.message().to_owned();
        trouble.into_error(message, error.into())
    }
}

/// By what SQLite says is wrong.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map_or(0, |error| error.extended_code);
        let message = error.to_string();
        sqlite_trouble(code).into_error(message, error.into())
    }
}

enum Trouble {
    Passing,
    Full,
    Disk,
    Corrupt,
    /// Not the connection's trouble: some UID or id was given out twice.
    Twice,
}

impl Trouble {
    fn into_error(self, message: String, error: DatabaseError) -> StoreError {
        match self {
            Self::Passing => StoreError::Unavailable(error),
            Self::Full => StoreError::Full(error),
            Self::Disk => StoreError::Disk(error),
            Self::Corrupt => StoreError::Corrupt { what: message },
            Self::Twice => StoreError::Corrupt { what: format!("key is used twice: {message}") },
        }
    }
}

/// `SQLITE_IOERR_SHMSIZE`: no room for the WAL's index, which nothing durable rests on.
const SQLITE_NO_ROOM_FOR_INDEX: i32 = 10 | (19 << 8);

/// `SQLITE_CONSTRAINT_PRIMARYKEY`, `SQLITE_CONSTRAINT_UNIQUE`, `SQLITE_CONSTRAINT_ROWID`.
const SQLITE_TWICE: [i32; 3] = [19 | (6 << 8), 19 | (8 << 8), 19 | (10 << 8)];

/// By <https://www.sqlite.org/rescode.html>; the low byte is the kind.
fn sqlite_trouble(code: i32) -> Trouble {
    match code & 0xff {
        _ if code == SQLITE_NO_ROOM_FOR_INDEX => Trouble::Full,
        _ if SQLITE_TWICE.contains(&code) => Trouble::Twice,
        10 => Trouble::Disk,         // SQLITE_IOERR
        11 | 26 => Trouble::Corrupt, // SQLITE_CORRUPT, SQLITE_NOTADB
        13 => Trouble::Full,         // SQLITE_FULL
        _ => Trouble::Passing,
    }
}

/// A server whose fsync fails panics by itself and replays its WAL, so its disk is no trouble of ours.
fn postgres_trouble(code: &str) -> Trouble {
    match code {
        "53100" => Trouble::Full,              // disk_full
        "XX001" | "XX002" => Trouble::Corrupt, // data_corrupted, index_corrupted
        _ => Trouble::Passing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a write to a file ends with.
    fn write(file: &std::path::Path) -> StoreError {
        let written = rusqlite::Connection::open(file).and_then(|connection| {
            connection.execute_batch("PRAGMA journal_mode = MEMORY")?;
            connection.execute_batch("CREATE TABLE t (a)")
        });
        written.expect_err("nothing can be written").into()
    }

    #[test]
    fn sqlites_errors_are_told_apart() {
        // Takes every write, but no fsync.
        let error = write("/dev/null".as_ref());
        assert!(matches!(error, StoreError::Disk(_)), "{error:?}");
        let error = write("/dev/full".as_ref());
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
        let file = tempfile::NamedTempFile::new().expect("make a file");
        std::fs::write(&file, [b'x'; 8192]).expect("write");
        let error = write(file.path());
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        let connection = rusqlite::Connection::open_in_memory().expect("open");
        let twice = "CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES (1), (1)";
        let error = connection.execute_batch(twice).expect_err("a key is used twice").into();
        assert!(matches!(&error, StoreError::Corrupt { what } if what.contains("twice")), "{error:?}");
    }
}
