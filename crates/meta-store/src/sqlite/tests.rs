//! How SQLite runs our statements.

use std::ops::ControlFlow;

use crate::cell::{Cells, Value};
use crate::database::{Database as _, Session as _};
use crate::error::StoreError;
use crate::plan::batch_statements;
use crate::remove;
use crate::rows;
use crate::scan::reads;
use crate::sqlite::{Sqlite, SqliteOptions};

/// Without statistics SQLite guesses; a wrong guess would walk through a whole part for each batch.
#[tokio::test]
async fn no_statement_walks_through_a_table() {
    let folder = tempfile::tempdir().expect("make a folder");
    let sqlite = Sqlite::open(&SqliteOptions::new(&folder.path().join("plans"))).await.expect("open");
    let (look_ups, exported) = rows::statements();
    let batches = batch_statements().into_iter().chain(remove::statements()).chain(look_ups);
    let batches = batches.map(|statement| statement.sqlite(8));
    let mut walking = Vec::new();
    for sql in batches.chain(reads()).chain(exported) {
        let mut session = sqlite.read().await.expect("begin");
        let mut steps = Vec::new();
        let mut note = |cells: &dyn Cells| {
            steps.extend(cells.text(3)?.map(str::to_owned));
            Ok(ControlFlow::Continue(()))
        };
        let none: [Value; 0] = [];
        session.each(&format!("EXPLAIN QUERY PLAN {sql}"), &none, &mut note).await.expect("explain");
        // The batch itself and what a step before has gathered may be walked through; tables may not, and the part
        // alone is as good as a whole table.
        let gathered = [
            "SCAN input",
            "SCAN 8 CONSTANT ROWS",
            "SCAN 8-ROW VALUES CLAUSE",
            "SCAN live",
            "SCAN dead",
            "SCAN residue",
        ];
        let walks = |step: &&String| {
            let scan = step.starts_with("SCAN") && !gathered.iter().any(|it| step.starts_with(it));
            scan || step.ends_with("(part=?)")
        };
        if steps.iter().any(|step| walks(&step)) {
            let end: String = sql.chars().rev().take(400).collect();
            walking.push(format!("{}\n{steps:#?}", end.chars().rev().collect::<String>()));
        }
    }
    assert!(walking.is_empty(), "{}", walking.join("\n\n"));
}

/// Rows are read ahead in pieces of 512: whoever has seen enough is shown none of those.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_sees_each_row_once_until_it_has_seen_enough() {
    const ROWS: i64 = 5_000;
    let folder = tempfile::tempdir().expect("make a folder");
    let sqlite = Sqlite::open(&SqliteOptions::new(&folder.path().join("rows"))).await.expect("open");
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT i FROM n"
    );
    let mut session = sqlite.read().await.expect("begin");
    for enough in [1, 511, 512, 513, 1_024, 1_500, 4_999, ROWS, ROWS + 1] {
        for _ in 0..20 {
            let mut seen = Vec::new();
            let mut visit = |cells: &dyn Cells| {
                seen.extend(cells.int(0)?);
                let is_enough = seen.len() as i64 == enough;
                Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            };
            session.each(&sql, &[], &mut visit).await.expect("read");
            assert_eq!(seen, (1..=enough.min(ROWS)).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn writing_goes_on_once_a_full_disk_has_room() {
    let folder = tempfile::tempdir().expect("make a folder");
    let sqlite = Sqlite::open(&SqliteOptions::new(&folder.path().join("full"))).await.expect("open");
    let mut session = sqlite.write().await.expect("begin");
    // As large as it is now; for this connection only.
    session.execute("PRAGMA max_page_count = 1", &[]).await.expect("set a limit");
    let sql = "INSERT INTO group_head (group_id, part, applied, log_id, membership, time, feature_level, next_tenant, \
               next_account) VALUES (1, 1, 0, zeroblob(1000000), zeroblob(1000000), 0, 1, 1, 1)";
    let error = session.execute(sql, &[]).await.expect_err("there is no room");
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    drop(session);
    let mut session = sqlite.write().await.expect("begin again");
    session.execute("PRAGMA max_page_count = 1000000", &[]).await.expect("make room");
    session.execute(sql, &[]).await.expect("write again");
    session.commit().await.expect("commit again");
}
