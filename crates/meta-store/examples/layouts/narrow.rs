//! One row for each message: the store itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use buzon_meta_store::postgres::{PostgresOptions, PostgresStore};
use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::{Applied, Batch, MetaStore};
use buzon_meta_store::testing::{NoOutcomes, TestPostgres};
use buzon_model::change::{Change, SummarySource};
use buzon_model::row::MessageRow;
use buzon_model::scope::{Loaded, Need};
use buzon_types::flag::KeywordBits;
use buzon_types::id::{GroupId, MailboxId};
use buzon_types::uid::Uid;
use bytes::Bytes;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::{FlagChange, Layout, key};

const GROUP: GroupId = GroupId(1);

enum Place {
    File(PathBuf),
    Server(TestPostgres),
}

pub(crate) struct Narrow {
    place: Place,
    store: Option<Arc<dyn MetaStore>>,
    index: u64,
}

pub(crate) async fn sqlite(folder: &Path) -> anyhow::Result<Narrow> {
    narrow(Place::File(folder.join("narrow.sqlite"))).await
}

pub(crate) async fn postgres(server: TestPostgres) -> anyhow::Result<Narrow> {
    narrow(Place::Server(server)).await
}

async fn narrow(place: Place) -> anyhow::Result<Narrow> {
    let store = open(&place).await?;
    store.create_group(GROUP).await?;
    Ok(Narrow { place, store: Some(store), index: 0 })
}

async fn open(place: &Place) -> anyhow::Result<Arc<dyn MetaStore>> {
    Ok(match place {
        Place::File(path) => Arc::new(SqliteStore::open(path, Arc::new(NoOutcomes)).await?),
        Place::Server(server) => {
            Arc::new(PostgresStore::connect(&server.options(), Arc::new(NoOutcomes)).await?)
        }
    })
}

/// A plain connection for questions about sizes.
pub(crate) async fn plain(options: &PostgresOptions) -> anyhow::Result<PgConnection> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&options.host)
        .port(options.port)
        .username(&options.user)
        .database(&options.database);
    Ok(PgConnection::connect_with(&options).await?)
}

impl Narrow {
    async fn commit(&mut self, changes: &[Change]) -> anyhow::Result<()> {
        let applied = Applied { index: self.index + 1, log_id: Bytes::new() };
        let batch = Batch {
            group: GROUP,
            expected_index: self.index,
            applied,
            membership: None,
            changes,
            digest: None,
        };
        self.store.as_ref().expect("open").commit(batch).await?;
        self.index += 1;
        Ok(())
    }
}

#[async_trait::async_trait]
impl Layout for Narrow {
    async fn add(&mut self, account: u64, rows: &[MessageRow]) -> anyhow::Result<()> {
        // All share one empty summary that is not there: summaries are no part of this.
        let summary = SummarySource::SameAs(MailboxId(9), Uid::MIN);
        let add = |row: &MessageRow| Change::AddMessage {
            mailbox: key(account),
            row: *row,
            summary: summary.clone(),
        };
        self.commit(&rows.iter().map(add).collect::<Vec<_>>()).await
    }

    async fn change(&mut self, changes: &[FlagChange]) -> anyhow::Result<()> {
        let set = |change: &FlagChange| Change::SetFlags {
            mailbox: key(change.account),
            uid: Uid::new(change.uid).expect("from one"),
            flags: change.flags,
            keywords: KeywordBits::NONE,
            modseq: change.modseq,
        };
        self.commit(&changes.iter().map(set).collect::<Vec<_>>()).await
    }

    async fn cool(&mut self) -> anyhow::Result<()> {
        // A killed server loses what it has not flushed, and no log replays it here.
        self.store.as_ref().expect("open").durable_index(GROUP, true).await?;
        self.store = None;
        if let Place::Server(server) = &mut self.place {
            server.crash();
            server.resume().await;
        }
        self.store = Some(open(&self.place).await?);
        Ok(())
    }

    async fn load(&mut self, account: u64) -> anyhow::Result<Vec<MessageRow>> {
        match self.store.as_ref().expect("open").load(GROUP, &Need::Index(key(account))).await? {
            Loaded::Index(_, rows) => Ok(rows),
            other => anyhow::bail!("not an index: {other:?}"),
        }
    }

    async fn size(&mut self) -> anyhow::Result<(u64, String)> {
        match &self.place {
            Place::File(path) => {
                let wal = std::fs::metadata(path.with_extension("sqlite-wal")).map_or(0, |it| it.len());
                Ok((std::fs::metadata(path)?.len(), format!("and {:.0} MB of WAL", wal as f64 / 1e6)))
            }
            Place::Server(server) => {
                let mut connection = plain(&server.options()).await?;
                let sql = "SELECT pg_total_relation_size('message'), pg_relation_size('message'), \
                           COALESCE(100 * n_tup_hot_upd / NULLIF(n_tup_upd, 0), 0), autovacuum_count, \
                           pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint \
                           FROM pg_stat_user_tables WHERE relname = 'message'";
                let row = sqlx::query(sql).fetch_one(&mut connection).await?;
                let (total, heap, hot, vacuums, wal): (i64, i64, i64, i64, i64) =
                    sqlx::FromRow::from_row(&row)?;
                let [heap, wal] = [heap, wal].map(|bytes| bytes as f64 / 1e6);
                let remark =
                    format!("(heap {heap:.0} MB; HOT {hot}%, {vacuums} autovacuums, WAL {wal:.0} MB)");
                Ok((total.cast_unsigned(), remark))
            }
        }
    }
}
