//! A group's rows for another node while the group goes on: short transactions, none of which is open while a page is
//! on its way.
//!
//! ```text
//! scan, table by table in the order of keys ─────────────────────▶
//!      rounds: what was sent and written since, once more ─▶ ─▶ ─▶ the last one finds nothing that it leaves
//! ```
//! The snapshot is as of the head that the last transaction saw. What was written meanwhile is known from the commits
//! themselves ([`crate::tracking`]), so rows that nobody touches are read once.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use buzon_types::id::GroupId;

use crate::database::Database;
use crate::error::StoreError;
use crate::page::{self, Means};
use crate::read::{StoredHead, known_head};
use crate::remove::Removed;
use crate::rows::{Budget, ROW_BYTES, by_keys, in_span};
use crate::snapshot::head_page;
use crate::span::Span;
use crate::store::{Export, Exported, GroupHead, Page};
use crate::table::TABLES;
use crate::tracking::{Exports, Sent, Tracked};

/// Begins an export.
pub(crate) async fn begin<D: Database>(
    database: &Arc<D>,
    exports: &Arc<Exports>,
    group: GroupId,
    page_rows: usize,
) -> Result<GroupExport<D>, StoreError> {
    // First: a crash of the server after this is noticed at the end.
    let server = database.server_incarnation().await?;
    let tracked = exports.begin(group);
    tracked.settled().await;
    let stored = known_head(&mut database.read().await?, group).await?;
    Ok(GroupExport {
        database: Arc::clone(database),
        tracked,
        group,
        server,
        part: stored.part,
        // A receiver that does not know the group's level refuses it before it stages anything.
        ready: VecDeque::from([head_page(&stored)]),
        end: None,
        sent: Sent { table: 0, key: None },
        page_rows,
        row_bytes: ROW_BYTES,
        mixed: BTreeSet::new(),
        is_round_due: false,
        over: None,
    })
}

/// See the module.
pub(crate) struct GroupExport<D> {
    database: Arc<D>,
    tracked: Tracked,
    group: GroupId,
    server: u64,
    part: i64,
    /// Read and not yet handed out.
    ready: VecDeque<Page>,
    /// After those, if that is all.
    end: Option<GroupHead>,
    sent: Sent,
    /// Rows that one transaction reads; what is noted before the scan lets a round go first, too.
    page_rows: usize,
    /// What a row of the table that is being scanned takes, as last seen.
    row_bytes: usize,
    /// Tables of which rounds have sent rows, maybe some that the scan comes to later.
    mixed: BTreeSet<usize>,
    is_round_due: bool,
    /// Why there can be no more. While something is read, too: what was taken for it would be lost.
    over: Option<&'static str>,
}

#[async_trait]
impl<D: Database> Export for GroupExport<D> {
    async fn next(&mut self) -> Result<Exported, StoreError> {
        loop {
            self.check(self.over)?;
            if let Some(page) = self.ready.pop_front() {
                return Ok(Exported::Page(page));
            }
            if let Some(head) = self.end.take() {
                return Ok(Exported::End(head));
            }
            self.over = Some("a page could not be read");
            self.read_on().await?;
            self.over = None;
        }
    }
}

impl<D: Database> GroupExport<D> {
    fn check(&self, why: Option<&'static str>) -> Result<(), StoreError> {
        why.map_or(Ok(()), |why| Err(StoreError::ExportOver { group: self.group.0, why }))
    }

    /// One transaction.
    async fn read_on(&mut self) -> Result<(), StoreError> {
        let mut budget = Budget::new(self.page_rows);
        let scans = !self.is_scanned();
        if scans {
            self.tracked.reads_on();
        }
        let rounds = !scans || self.is_round_due;
        let due = if rounds { self.tracked.take() } else { BTreeSet::new() };
        let mut session = self.database.read().await?;
        // The view of the database is taken here.
        let stored = known_head(&mut session, self.group).await?;
        if stored.part != self.part {
            return self.check(Some("the group's rows were replaced"));
        }
        let is_current =
            if rounds { self.round(&mut session, &mut budget, due).await? } else { self.tracked.is_clean() };
        if scans {
            self.scan(&mut session, &mut budget).await?;
            self.tracked.has_sent(self.sent.clone());
            // By turns, so that neither keeps the other from its end.
            self.is_round_due = !rounds && self.tracked.noted() >= self.page_rows;
        }
        drop(session);
        self.check(self.tracked.broken())?;
        if is_current && self.is_scanned() {
            self.finish(&stored).await?;
        }
        Ok(())
    }

    fn is_scanned(&self) -> bool {
        self.sent.table == TABLES.len()
    }

    /// All that this view shows has been read.
    async fn finish(&mut self, stored: &StoredHead) -> Result<(), StoreError> {
        // Pages may hold what a server that crashed has lost again since.
        if self.database.server_incarnation().await? != self.server {
            return self.check(Some("the database restarted"));
        }
        self.ready.push_back(head_page(stored));
        self.end = Some(stored.head.clone());
        Ok(())
    }

    /// The next rows that were never read, as many as there is room for.
    async fn scan(&mut self, session: &mut D::Session, budget: &mut Budget) -> Result<(), StoreError> {
        budget.row_bytes = self.row_bytes;
        while let Some(table) = TABLES.get(self.sent.table)
            && !budget.is_spent()
        {
            let span = Span { after: self.sent.key.clone(), ..Span::of(table, Vec::new()) };
            let found = in_span(session, self.part, &span, budget).await?;
            if !found.rows.is_empty() {
                let is_mixed = self.mixed.contains(&self.sent.table);
                let means = if is_mixed { Means::Replaces } else { Means::Adds };
                self.ready.push_back(page::encode_as(means, table.name, table.columns, &found.rows));
            }
            self.sent = match found.last {
                Some(key) => Sent { table: self.sent.table, key: Some(key) },
                None => {
                    budget.row_bytes = ROW_BYTES;
                    Sent { table: self.sent.table + 1, key: None }
                }
            };
        }
        self.row_bytes = budget.row_bytes;
        Ok(())
    }

    /// Rows that were sent and written since, as many as there is room for; whether there was room for all.
    async fn round(
        &mut self,
        session: &mut D::Session,
        budget: &mut Budget,
        mut due: BTreeSet<Span>,
    ) -> Result<bool, StoreError> {
        due.extend(self.tracked.in_doubt());
        let mut spans: VecDeque<Span> = due.into_iter().collect();
        while let Some(first) = spans.front()
            && !budget.is_spent()
        {
            let table = first.table;
            let of_table = spans.iter().take_while(|span| span.table == table).count();
            let rest = spans.split_off(of_table);
            let left =
                self.round_of_table(session, budget, table, std::mem::replace(&mut spans, rest)).await?;
            for span in left.into_iter().rev() {
                spans.push_front(span);
            }
        }
        let is_all = spans.is_empty();
        self.tracked.put_back(spans);
        Ok(is_all)
    }

    /// Spans of one table; what there was no room for.
    async fn round_of_table(
        &mut self,
        session: &mut D::Session,
        budget: &mut Budget,
        place: usize,
        mut spans: VecDeque<Span>,
    ) -> Result<VecDeque<Span>, StoreError> {
        let table = TABLES[place];
        let mut removed = Removed::default();
        let mut found = Vec::new();
        while let Some(span) = spans.pop_front() {
            if budget.is_spent() {
                spans.push_front(span);
                break;
            }
            if span.is_key() {
                let mut keys = vec![span];
                while keys.len() < budget.keys_at_once() && spans.front().is_some_and(Span::is_key) {
                    keys.extend(spans.pop_front());
                }
                let looked = by_keys(session, self.part, table, keys, budget).await?;
                looked.gone.iter().for_each(|span| removed.add(span));
                found.push(looked.rows);
                looked.left.into_iter().rev().for_each(|span| spans.push_front(span));
            } else {
                if span.after.is_none() {
                    removed.add(&span);
                    budget.row();
                }
                let part = in_span(session, self.part, &span, budget).await?;
                found.push(part.rows);
                if part.last.is_some() {
                    spans.push_front(Span { after: part.last, ..span });
                }
            }
        }
        self.mixed.insert(place);
        self.ready.extend(removed.pages());
        for rows in found.into_iter().filter(|rows| !rows.is_empty()) {
            self.ready.push_back(page::encode_as(Means::Replaces, table.name, table.columns, &rows));
        }
        Ok(spans)
    }
}
