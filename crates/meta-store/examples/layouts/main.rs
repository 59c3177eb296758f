//! Measures two layouts of message rows on both databases (docs/decisions/0002-message-rows.md):
//!
//! - *narrow*: one row for each message, as the store has it;
//! - *paged*: blobs of 256 messages, what changes (flags, modseq) apart from what does not; the writer has the
//!   columns in memory anyway (DESIGN D4), so a change writes a page without reading it first.
//!
//! `cargo run --release -p buzon-meta-store --example layouts --features testing -- [SECONDS] [CHANGES] [RUN]`
//! `RUN` is the beginning of a run's name, as `postgres n`. Each of the four runs fills ten mailboxes of 100,000 messages, loads one cold, changes flags of random messages
//! until so many changes (10 million) or seconds (90) have passed, then of whole runs of messages for a quarter of
//! that time, and loads again.

mod narrow;
mod paged;

use std::time::{Duration, Instant};

use buzon_meta_store::testing::TestPostgres;
use buzon_model::row::MessageRow;
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::id::{AccountId, MailboxId, MailboxKey};
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::{ModSeq, Uid};

/// Mailboxes, one for each account.
pub(crate) const MAILBOXES: u64 = 10;
/// Messages in each.
pub(crate) const MESSAGES: u32 = 100_000;
/// Changes in one transaction.
const BATCH: usize = 500;

/// One message's new flags.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlagChange {
    pub(crate) account: u64,
    pub(crate) uid: u32,
    pub(crate) flags: SystemFlags,
    pub(crate) modseq: ModSeq,
}

/// What is measured.
#[async_trait::async_trait]
pub(crate) trait Layout: Send {
    /// Adds messages of one mailbox, in one transaction.
    async fn add(&mut self, account: u64, rows: &[MessageRow]) -> anyhow::Result<()>;
    /// Changes flags, in one transaction.
    async fn change(&mut self, changes: &[FlagChange]) -> anyhow::Result<()>;
    /// Forgets connections and caches.
    async fn cool(&mut self) -> anyhow::Result<()>;
    /// Reads all messages of a mailbox.
    async fn load(&mut self, account: u64) -> anyhow::Result<Vec<MessageRow>>;
    /// Bytes of tables and indexes, and a remark.
    async fn size(&mut self) -> anyhow::Result<(u64, String)>;
}

pub(crate) fn key(account: u64) -> MailboxKey {
    MailboxKey { account: AccountId(account), mailbox: MailboxId(1) }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn message(random: &mut Random, uid: u32) -> MessageRow {
    MessageRow {
        uid: Uid::new(uid).expect("from one"),
        flags: SystemFlags::NONE,
        keywords: KeywordBits::NONE,
        modseq: ModSeq::new(u64::from(uid)).expect("small"),
        size: random.next() % 100_000,
        internal_date: InternalDate { seconds: 1_700_000_000 + i64::from(uid), zone_minutes: 60 },
        saved_at: Timestamp(1_700_000_000_000 + i64::from(uid)),
        body: BodyRef {
            object: ObjectId(u128::from(random.next()) << 64 | u128::from(random.next())),
            offset: random.next() % (1 << 30),
            length: random.next() % 100_000,
            encoding: Encoding::Plain,
            key: KeyId(0),
        },
    }
}

/// Messages spread over everything: the worst for pages.
fn scattered(random: &mut Random, modseq: ModSeq) -> Vec<FlagChange> {
    let one = |random: &mut Random| FlagChange {
        account: 1 + random.next() % MAILBOXES,
        uid: 1 + (random.next() % u64::from(MESSAGES)) as u32,
        flags: SystemFlags::from_bits((random.next() % 32) as u8).expect("below 32"),
        modseq,
    };
    (0..BATCH).map(|_| one(random)).collect()
}

/// Neighbours, as in "mark all as read": the best for pages.
fn neighbours(random: &mut Random, modseq: ModSeq) -> Vec<FlagChange> {
    let account = 1 + random.next() % MAILBOXES;
    let first = 1 + (random.next() % u64::from(MESSAGES - BATCH as u32)) as u32;
    let flags = SystemFlags::from_bits((random.next() % 32) as u8).expect("below 32");
    (first..).take(BATCH).map(|uid| FlagChange { account, uid, flags, modseq }).collect()
}

struct Limits {
    time: Duration,
    changes: usize,
}

/// Changes until a limit; how many, and how long it took.
async fn churn(
    layout: &mut dyn Layout,
    (random, modseq): (&mut Random, &mut u64),
    limits: &Limits,
    pick: fn(&mut Random, ModSeq) -> Vec<FlagChange>,
) -> anyhow::Result<(usize, Duration)> {
    let begun = Instant::now();
    let mut done = 0;
    while done < limits.changes && begun.elapsed() < limits.time {
        *modseq += 1;
        layout.change(&pick(random, ModSeq::new(*modseq).expect("small"))).await?;
        done += BATCH;
    }
    Ok((done, begun.elapsed()))
}

async fn cold_load(layout: &mut dyn Layout) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for account in [2, 5, 8] {
        layout.cool().await?;
        let begun = Instant::now();
        let rows = layout.load(account).await?;
        times.push(begun.elapsed());
        anyhow::ensure!(rows.len() == MESSAGES as usize, "{} rows", rows.len());
    }
    times.sort();
    Ok(times[1])
}

async fn measure(name: &str, layout: &mut dyn Layout, limits: &Limits) -> anyhow::Result<()> {
    let mut random = Random(7);
    let begun = Instant::now();
    for account in 1..=MAILBOXES {
        for first in (1..=MESSAGES).step_by(2_000) {
            let rows: Vec<_> = (first..first + 2_000).map(|uid| message(&mut random, uid)).collect();
            layout.add(account, &rows).await?;
        }
    }
    println!("{name}: filled {} messages in {:.1?}", MAILBOXES * u64::from(MESSAGES), begun.elapsed());
    let (bytes, remark) = layout.size().await?;
    println!("{name}: {:.0} MB {remark}", bytes as f64 / 1e6);
    println!("{name}: cold load of {MESSAGES} in {:.0?}", cold_load(layout).await?);

    let mut modseq = u64::from(MESSAGES);
    let (done, time) = churn(layout, (&mut random, &mut modseq), limits, scattered).await?;
    println!("{name}: {done} scattered changes in {time:.1?}, {:.0}/s", done as f64 / time.as_secs_f64());
    let (bytes, remark) = layout.size().await?;
    println!("{name}: {:.0} MB after {remark}", bytes as f64 / 1e6);
    let shorter = Limits { time: limits.time / 4, changes: limits.changes / 4 };
    let (done, time) = churn(layout, (&mut random, &mut modseq), &shorter, neighbours).await?;
    println!("{name}: {done} neighbouring changes in {time:.1?}, {:.0}/s", done as f64 / time.as_secs_f64());
    let (bytes, remark) = layout.size().await?;
    println!("{name}: {:.0} MB after {remark}", bytes as f64 / 1e6);
    println!("{name}: cold load of {MESSAGES} in {:.0?}", cold_load(layout).await?);
    Ok(())
}

/// As on a metadata node: everything on the disk that Postgres wants there, autovacuum as shipped.
async fn server() -> TestPostgres {
    let settings = ["fsync=on", "shared_buffers=512MB", "max_wal_size=4GB"];
    TestPostgres::start_with(&settings).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(90), |text| text.parse())?;
    let changes: usize = arguments.next().map_or(Ok(10_000_000), |text| text.parse())?;
    let limits = Limits { time: Duration::from_secs(seconds), changes };

    let only = arguments.next().unwrap_or_default();
    let wanted = |name: &str| name.starts_with(&only);

    let folder = tempfile::tempdir()?;
    if wanted("sqlite narrow") {
        measure("sqlite narrow", &mut narrow::sqlite(folder.path()).await?, &limits).await?;
    }
    if wanted("sqlite paged") {
        measure("sqlite paged", &mut paged::sqlite(folder.path()).await?, &limits).await?;
    }
    if wanted("postgres narrow") {
        measure("postgres narrow", &mut narrow::postgres(server().await).await?, &limits).await?;
    }
    if wanted("postgres paged") {
        measure("postgres paged", &mut paged::postgres(server().await).await?, &limits).await?;
    }
    Ok(())
}
