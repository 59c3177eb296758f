//! Every statement says which tables it writes; where spans lie.

use std::collections::BTreeSet;

use buzon_model::change::Change;
use buzon_types::id::{AccountId, MailboxId, MailboxKey};
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid};

use super::*;
use crate::plan::{batch_statements, plan};
use crate::table::{MESSAGE, RECORD, STAGED};
use crate::testing::NoOutcomes;

/// The tables that a text of SQL writes.
fn written(sql: &str) -> BTreeSet<String> {
    let words: Vec<&str> = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .flat_map(str::split_whitespace)
        .collect();
    let verbs: [&[&str]; 3] = [&["INSERT", "INTO"], &["DELETE", "FROM"], &["UPDATE"]];
    let mut tables = BTreeSet::new();
    for at in 0..words.len() {
        for verb in verbs {
            // `DO UPDATE SET …` names no table: its own was named before.
            if words[at..].starts_with(verb) && words.get(at + verb.len()).is_some_and(|it| *it != "SET") {
                tables.insert(words[at + verb.len()].to_owned());
            }
        }
    }
    tables
}

#[test]
fn every_statement_over_a_batch_says_which_tables_it_writes() {
    for statement in batch_statements() {
        let said = statement.touches.iter().map(|touch| match touch {
            Touch::Key(table) | Touch::Rows { table, .. } => table.name.to_owned(),
        });
        assert_eq!(said.collect::<BTreeSet<_>>(), written(&statement.body), "{}", statement.body);
    }
}

#[test]
fn every_single_statement_says_which_tables_it_writes() {
    let (account, staging) = (AccountId(1), 5);
    let target = MailboxKey { account, mailbox: MailboxId(2) };
    let (first, modseq, saved_at) = (Uid::MIN, ModSeq::ZERO, Timestamp(0));
    let changes = [
        Change::Publish { account, staging, target, first, messages: 3, modseq, saved_at },
        Change::DropStaged { account, staging },
        Change::RemoveAccount(account),
    ];
    let plan = plan(&changes, &NoOutcomes);
    let mut seen = 0;
    for step in &plan.steps {
        let Step::One { sql, touches, .. } = step else { continue };
        let said: BTreeSet<_> = touches.iter().map(|span| span.table().name.to_owned()).collect();
        assert_eq!(said, written(sql), "{sql}");
        seen += 1;
    }
    assert_eq!(seen, 3 + 1 + 4);
}

#[test]
fn a_span_is_after_a_key_when_all_its_rows_are() {
    let key = [3i64, 4, 5].map(Value::from);
    let span = |prefix: &[i64], run| {
        let prefix = prefix.iter().map(|it| (*it).into()).collect();
        Span { run, ..Span::of(&MESSAGE, prefix) }
    };
    assert!(!span(&[3, 4, 5], None).is_after(&key));
    assert!(span(&[3, 4, 6], None).is_after(&key));
    assert!(!span(&[3], None).is_after(&key));
    assert!(span(&[4], None).is_after(&key));
    assert!(span(&[3, 4], Some((6, 9))).is_after(&key));
    assert!(!span(&[3, 4], Some((5, 9))).is_after(&key));
    assert!(!Span::of(&STAGED, vec![Value::from(-1i64)]).is_after(&key), "numbers with their sign");
    let before = Span { run: Some((i64::MIN, 8)), ..Span::of(&RECORD, vec![7u128.into()]) };
    assert!(!before.is_after(&[7u128.into(), Value::from(2i64)]));
}
