//! How Postgres runs our statements.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use crate::cell::Kind;
use crate::plan::batch_statements;
use crate::testing::TestPostgres;

/// A mailbox that makes most of its part, as one of a million messages does, with statistics that say so.
const FILL: [&str; 5] = [
    "INSERT INTO message SELECT 1, 1, 1, uid, 1, 0, 0, 9, 9, 9, 0, 9, 0, 0, 0, 0, 'object'
     FROM generate_series(1, 60000) uid",
    "INSERT INTO summary SELECT 1, 1, 1, uid, convert_to(repeat('x', 300), 'UTF8') FROM generate_series(1, 100000) uid",
    "INSERT INTO summary SELECT 2, 1, 1, uid, convert_to(repeat('x', 1200), 'UTF8') FROM generate_series(1, 30000) uid",
    "INSERT INTO tombstone (part, account, mailbox, uid, modseq, flags, keywords_low, keywords_high, size,
         internal_seconds, zone_minutes, saved_at, body_object, body_offset, body_length, body_encoding, body_key,
         expunged_at)
     SELECT 1, 1, 1, uid, 1, 0, 0, 0, 9, 9, 0, 9, 'object', 0, 9, 0, 0, 9 FROM generate_series(1, 60000) uid",
    "ANALYZE",
];

/// It would cost in proportion to the mailbox, whatever was asked of it.
#[tokio::test]
async fn no_statement_walks_through_a_large_mailbox() {
    let server = TestPostgres::start().await;
    let options = server.options();
    let pool = sqlx::PgPool::connect_with(options.connect_options()).await.expect("connect");
    crate::migrate::postgres(&pool).await.expect("make the schema");
    for sql in FILL {
        pool.execute(sql).await.expect(sql);
    }
    pool.close().await;
    let mut walking = Vec::new();
    // A whole account, and a whole mailbox, is all that there is in this part: it may be walked through.
    let runs = crate::remove::statements().into_iter().filter(|statement| statement.columns.len() > 3);
    let exports = crate::rows::statements().0.into_iter().chain(runs);
    for statement in batch_statements().into_iter().chain(exports) {
        let (mut kinds, mut values) = ("bigint".to_owned(), "1".to_owned());
        for (_, kind) in &*statement.columns {
            let (kind, value) = match kind {
                Kind::Int => (", bigint[]", ", '{1}'"),
                Kind::Text => (", text[]", ", '{a}'"),
                Kind::Bytes => (", bytea[]", ", '{a}'"),
            };
            kinds.push_str(kind);
            values.push_str(value);
        }
        let mut connection = options.connect_options().connect().await.expect("connect");
        let sql = statement.postgres();
        let prepare = format!("PREPARE it({kinds}) AS {sql}");
        connection.execute(AssertSqlSafe(prepare)).await.expect("prepare");
        let explain = format!("EXPLAIN EXECUTE it({values})");
        let steps = connection.fetch_all(AssertSqlSafe(explain)).await.expect("explain");
        let steps: Vec<String> = steps.iter().map(|step| step.get(0)).collect();
        // The part alone is as good as a whole table. The other tables are empty: how those are read says nothing.
        let is_large =
            |step: &str| [" on message", " on summary", " on tombstone"].iter().any(|it| step.contains(it));
        let walks = |pair: &[String]| {
            let bad = pair[1].ends_with("Cond: (part = $1)") || pair[0].contains("Seq Scan");
            is_large(&pair[0]) && bad || pair[0].contains("Gather")
        };
        if steps.windows(2).any(walks) {
            walking.push(format!("{sql}\n{}", steps.join("\n")));
        }
        connection.close().await.expect("close");
    }
    assert!(walking.is_empty(), "{}", walking.join("\n\n"));
}
