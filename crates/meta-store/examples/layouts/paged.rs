//! Blobs of 256 messages: one with what never changes, one with flags and modseq.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use buzon_meta_store::testing::TestPostgres;
use buzon_model::row::MessageRow;
use buzon_types::flag::SystemFlags;
use buzon_types::uid::ModSeq;
use rusqlite::Connection;
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::narrow::plain;
use crate::{FlagChange, Layout};

const PAGE: u32 = 256;
/// Size, date, saved-at, object, offset, length: kept as they would be, 8 + 8 + 8 + 16 + 8 + 8.
const COLD_BYTES: usize = 56;
/// Modseq, flags and a reference to the page's keyword sets: 8 + 1 + 2.
const HOT_BYTES: usize = 11;

type PageKey = (u64, u32);

enum Place {
    File(PathBuf, Option<Connection>),
    Server(TestPostgres, Option<PgConnection>),
}

pub(crate) struct Paged {
    place: Place,
    /// The columns in memory that D4 keeps anyway.
    hot: BTreeMap<PageKey, Vec<u8>>,
    cold: BTreeMap<PageKey, Vec<u8>>,
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS page (part bigint, account bigint, mailbox bigint, page bigint, cold bytea, \
                     PRIMARY KEY (part, account, mailbox, page))";
const HOT_TABLE: &str = "CREATE TABLE IF NOT EXISTS hot (part bigint, account bigint, mailbox bigint, page bigint, hot bytea, \
                         PRIMARY KEY (part, account, mailbox, page))";

pub(crate) async fn sqlite(folder: &Path) -> anyhow::Result<Paged> {
    paged(Place::File(folder.join("paged.sqlite"), None)).await
}

pub(crate) async fn postgres(server: TestPostgres) -> anyhow::Result<Paged> {
    paged(Place::Server(server, None)).await
}

async fn paged(place: Place) -> anyhow::Result<Paged> {
    let mut paged = Paged { place, hot: BTreeMap::new(), cold: BTreeMap::new() };
    paged.connect().await?;
    match &mut paged.place {
        Place::File(_, Some(connection)) => {
            connection.execute_batch(TABLE)?;
            connection.execute_batch(HOT_TABLE)?;
        }
        Place::Server(_, Some(connection)) => {
            sqlx::query(TABLE).execute(&mut *connection).await?;
            sqlx::query(HOT_TABLE).execute(&mut *connection).await?;
            // Without compression and with room for the next version: the best that Postgres can do for it.
            sqlx::query("ALTER TABLE hot ALTER hot SET STORAGE PLAIN").execute(&mut *connection).await?;
            sqlx::query("ALTER TABLE hot SET (fillfactor = 50)").execute(connection).await?;
        }
        _ => anyhow::bail!("not connected"),
    }
    Ok(paged)
}

fn place_of(uid: u32) -> (u32, usize) {
    ((uid - 1) / PAGE, ((uid - 1) % PAGE) as usize)
}

impl Paged {
    async fn connect(&mut self) -> anyhow::Result<()> {
        match &mut self.place {
            Place::File(path, connection) => {
                let fresh = Connection::open(path)?;
                fresh.execute_batch(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000",
                )?;
                *connection = Some(fresh);
            }
            Place::Server(server, connection) => {
                let mut fresh = plain(&server.options()).await?;
                for setting in
                    ["SET synchronous_commit = off", "SET enable_seqscan = off", "SET enable_hashjoin = off"]
                {
                    sqlx::query(setting).execute(&mut fresh).await?;
                }
                *connection = Some(fresh);
            }
        }
        Ok(())
    }

    /// Writes pages whole, in one transaction.
    async fn write(&mut self, pages: &BTreeSet<PageKey>, too_cold: bool) -> anyhow::Result<()> {
        let tables: &[(&str, &BTreeMap<PageKey, Vec<u8>>)] =
            if too_cold { &[("hot", &self.hot), ("cold", &self.cold)] } else { &[("hot", &self.hot)] };
        match &mut self.place {
            Place::File(_, Some(connection)) => {
                let transaction = connection.transaction()?;
                for (column, map) in tables {
                    for key in pages {
                        let mut put = transaction.prepare_cached(put_one(column))?;
                        put.execute((key.0.cast_signed(), i64::from(key.1), &map[key]))?;
                    }
                }
                transaction.commit()?;
            }
            Place::Server(_, Some(connection)) => {
                let mut transaction = connection.begin().await?;
                for (column, map) in tables {
                    let accounts: Vec<i64> = pages.iter().map(|key| key.0.cast_signed()).collect();
                    let numbers: Vec<i64> = pages.iter().map(|key| i64::from(key.1)).collect();
                    let blobs: Vec<&[u8]> = pages.iter().map(|key| map[key].as_slice()).collect();
                    let query = sqlx::query(put_many(column)).bind(accounts).bind(numbers).bind(blobs);
                    query.execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }
            _ => anyhow::bail!("not connected"),
        }
        Ok(())
    }
}

fn put_one(column: &str) -> &'static str {
    match column {
        "hot" => "INSERT INTO hot VALUES (1, $1, 1, $2, $3) ON CONFLICT DO UPDATE SET hot = excluded.hot",
        _ => "INSERT INTO page VALUES (1, $1, 1, $2, $3) ON CONFLICT DO UPDATE SET cold = excluded.cold",
    }
}

fn put_many(column: &str) -> &'static str {
    match column {
        "hot" => {
            "INSERT INTO hot SELECT 1, a, 1, p, b FROM UNNEST($1::bigint[], $2::bigint[], $3::bytea[]) AS x(a, p, b) \
             ON CONFLICT (part, account, mailbox, page) DO UPDATE SET hot = excluded.hot"
        }
        _ => {
            "INSERT INTO page SELECT 1, a, 1, p, b FROM UNNEST($1::bigint[], $2::bigint[], $3::bytea[]) AS x(a, p, b) \
             ON CONFLICT (part, account, mailbox, page) DO UPDATE SET cold = excluded.cold"
        }
    }
}

fn put_hot(page: &mut [u8], at: usize, modseq: ModSeq, flags: SystemFlags) {
    let cell = &mut page[at * HOT_BYTES..][..HOT_BYTES];
    cell[..8].copy_from_slice(&modseq.get().to_be_bytes());
    cell[8] = flags.bits();
}

#[async_trait::async_trait]
impl Layout for Paged {
    async fn add(&mut self, account: u64, rows: &[MessageRow]) -> anyhow::Result<()> {
        let mut pages = BTreeSet::new();
        for row in rows {
            let (page, at) = place_of(row.uid.get());
            pages.insert((account, page));
            let hot = self.hot.entry((account, page)).or_default();
            hot.resize(hot.len().max((at + 1) * HOT_BYTES), 0);
            put_hot(hot, at, row.modseq, row.flags);
            let cold = self.cold.entry((account, page)).or_default();
            cold.extend(row.size.to_be_bytes());
            cold.extend(row.internal_date.seconds.to_be_bytes());
            cold.extend(row.saved_at.0.to_be_bytes());
            cold.extend(row.body.object.0.to_be_bytes());
            cold.extend(row.body.offset.to_be_bytes());
            cold.extend(row.body.length.to_be_bytes());
        }
        self.write(&pages, true).await
    }

    async fn change(&mut self, changes: &[FlagChange]) -> anyhow::Result<()> {
        let mut pages = BTreeSet::new();
        for change in changes {
            let (page, at) = place_of(change.uid);
            pages.insert((change.account, page));
            let hot = self.hot.get_mut(&(change.account, page)).expect("filled before");
            put_hot(hot, at, change.modseq, change.flags);
        }
        self.write(&pages, false).await
    }

    async fn cool(&mut self) -> anyhow::Result<()> {
        match &mut self.place {
            Place::File(_, connection) => drop(connection.take()),
            Place::Server(server, connection) => {
                if let Some(connection) = connection {
                    sqlx::query("CHECKPOINT").execute(connection).await?;
                }
                drop(connection.take());
                server.crash();
                server.resume().await;
            }
        }
        self.connect().await
    }

    async fn load(&mut self, account: u64) -> anyhow::Result<Vec<MessageRow>> {
        let sql = "SELECT page.page, cold, hot FROM page JOIN hot ON page.part = hot.part AND page.account = hot.account \
                   AND page.mailbox = hot.mailbox AND page.page = hot.page \
                   WHERE page.part = 1 AND page.account = $1 AND page.mailbox = 1 ORDER BY page.page";
        let query_account = account.cast_signed();
        let blobs: Vec<(i64, Vec<u8>, Vec<u8>)> = match &mut self.place {
            Place::File(_, Some(connection)) => {
                let mut select = connection.prepare_cached(sql)?;
                let rows =
                    select.query_map([query_account], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                rows.collect::<Result<_, _>>()?
            }
            Place::Server(_, Some(connection)) => {
                let rows = sqlx::query(sql).bind(query_account).fetch_all(connection).await?;
                rows.iter()
                    .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
                    .collect::<Result<_, sqlx::Error>>()?
            }
            _ => anyhow::bail!("not connected"),
        };
        let mut rows = Vec::new();
        for (page, cold, hot) in blobs {
            for (at, (cold, hot)) in cold.chunks(COLD_BYTES).zip(hot.chunks(HOT_BYTES)).enumerate() {
                let uid = u32::try_from(page)? * PAGE + u32::try_from(at)? + 1;
                rows.push(decode(uid, cold, hot)?);
            }
        }
        Ok(rows)
    }

    async fn size(&mut self) -> anyhow::Result<(u64, String)> {
        match &mut self.place {
            Place::File(path, _) => {
                let wal = std::fs::metadata(path.with_extension("sqlite-wal")).map_or(0, |it| it.len());
                Ok((std::fs::metadata(path)?.len(), format!("and {:.0} MB of WAL", wal as f64 / 1e6)))
            }
            Place::Server(_, Some(connection)) => {
                let sql = "SELECT pg_total_relation_size('hot') + pg_total_relation_size('page'), pg_total_relation_size('hot'), \
                           COALESCE(100 * n_tup_hot_upd / NULLIF(n_tup_upd, 0), 0), autovacuum_count, \
                           pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint \
                           FROM pg_stat_user_tables WHERE relname = 'hot'";
                let row = sqlx::query(sql).fetch_one(connection).await?;
                let (total, hot, share, vacuums, wal): (i64, i64, i64, i64, i64) =
                    sqlx::FromRow::from_row(&row)?;
                let [hot, wal] = [hot, wal].map(|bytes| bytes as f64 / 1e6);
                let remark =
                    format!("(flags {hot:.0} MB; HOT {share}%, {vacuums} autovacuums, WAL {wal:.0} MB)");
                Ok((total.cast_unsigned(), remark))
            }
            Place::Server(_, None) => anyhow::bail!("not connected"),
        }
    }
}

fn decode(uid: u32, cold: &[u8], hot: &[u8]) -> anyhow::Result<MessageRow> {
    let number = |bytes: &[u8]| -> anyhow::Result<u64> { Ok(u64::from_be_bytes(bytes.try_into()?)) };
    let mut row = crate::message(&mut crate::Random(0), uid);
    row.size = number(&cold[..8])?;
    row.internal_date.seconds = number(&cold[8..16])?.cast_signed();
    row.saved_at.0 = number(&cold[16..24])?.cast_signed();
    row.body.object.0 = u128::from_be_bytes(cold[24..40].try_into()?);
    row.body.offset = number(&cold[40..48])?;
    row.body.length = number(&cold[48..56])?;
    row.modseq = ModSeq::new(number(&hot[..8])?).ok_or_else(|| anyhow::anyhow!("modseq"))?;
    row.flags = SystemFlags::from_bits(hot[8]).ok_or_else(|| anyhow::anyhow!("flags"))?;
    Ok(row)
}
