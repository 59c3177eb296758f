//! Snapshots that earlier versions sent: installed in both databases, and gone on from.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use buzon_meta_store::postgres::PostgresStore;
use buzon_meta_store::store::{GroupHead, MetaStore, Page};
use buzon_meta_store::testing::{TestPostgres, table_names};
use buzon_model::limits::FEATURE_LEVEL_MAX;
use prost::Message;

use super::super::cluster::Outcomes;
use super::replay::{self, Bench, replay};
use super::{Kept, file};
use crate::pb::snapshot_part::Part;
use crate::pb::{self, SnapshotEnd, SnapshotMeta, SnapshotPart};
use crate::record;

/// As much of a page as says whose rows it holds.
#[derive(Clone, PartialEq, Message)]
struct Table {
    #[prost(string, tag = "1")]
    name: String,
}

impl Kept {
    /// Up to where its snapshot stands.
    pub(super) async fn middle(self) -> usize {
        match self.snapshot().await.pop().and_then(|part| part.part) {
            Some(Part::End(end)) => end.meta.and_then(|meta| meta.last).unwrap().index as usize + 1,
            other => panic!("{other:?} is no end"),
        }
    }

    async fn snapshot(self) -> Vec<SnapshotPart> {
        let name = self.name("snapshot");
        if file::is_missing(&name) {
            let bench = Bench::new(self.group).await;
            replay(&bench.machine, &self.entries()[..self.script().middle], 1000).await;
            file::add(&name, &file::framed(&export(bench.machine.store().as_ref(), self).await));
        }
        file::unframed(&file::read(&name))
    }
}

async fn export(store: &dyn MetaStore, kept: Kept) -> Vec<SnapshotPart> {
    let mut pages = Vec::new();
    let mut visit = |page: Page| {
        pages.push(Part::Page(page.0));
        ControlFlow::Continue(())
    };
    let head = store.export(kept.group, &mut visit).await.unwrap();
    let last = record::read_applied(&head.applied).unwrap();
    let membership = record::decode_stored_membership(head.membership).unwrap();
    let meta = SnapshotMeta {
        last: last.as_ref().map(record::log_id),
        membership: Some(record::stored_membership(&membership)),
    };
    let end = Part::End(SnapshotEnd { pages: pages.len() as u64, meta: Some(meta) });
    pages.into_iter().chain([end]).map(|part| SnapshotPart { part: Some(part) }).collect()
}

/// As a node does with what comes over the wire; how many entries it stands for.
async fn install(store: &dyn MetaStore, kept: Kept, parts: &[SnapshotPart]) -> usize {
    let install = store.begin_install(kept.group).await.unwrap();
    for part in parts {
        match part.part.clone().unwrap() {
            Part::Page(page) => install.page(Page(page)).await.unwrap(),
            Part::End(end) => {
                assert_eq!(end.pages as usize, parts.len() - 1);
                let pb::SnapshotMeta { last, membership } = end.meta.unwrap();
                let last = record::read_log_id(last.unwrap());
                let membership = record::read_stored_membership(membership.unwrap()).unwrap();
                let applied = record::applied(&last);
                let membership = record::encode(&record::stored_membership(&membership));
                let index = applied.index as usize;
                install.finish(GroupHead { group: kept.group, applied, membership }).await.unwrap();
                return index;
            }
            Part::Begin(_) | Part::Session(_) => panic!("kept without its first part"),
        }
    }
    panic!("broken off")
}

/// What it holds is what the log had come to there, and the log goes on from it.
async fn is_taken(store: Arc<dyn MetaStore>, kept: Kept) {
    let (entries, expected) = (kept.entries(), kept.outcomes().await);
    let index = install(store.as_ref(), kept, &kept.snapshot().await).await;
    let machine = replay::machine(kept.group, store);
    assert_eq!(replay::digest(&machine).await, expected.digests[&index], "{kept:?} at {index}");
    assert!(index < entries.len());
    replay(&machine, &entries, 9).await.compare(&expected, &entries, &format!("{kept:?} after its snapshot"));
}

#[tokio::test]
async fn old_snapshots_are_taken_by_sqlite() {
    for kept in Kept::all() {
        let folder = tempfile::tempdir().unwrap();
        is_taken(replay::open(&folder.path().join("rows.sqlite")).await, kept).await;
    }
}

#[tokio::test]
async fn old_snapshots_are_taken_by_postgres() {
    let server = TestPostgres::start().await;
    for kept in Kept::all() {
        let options = server.database(&kept.name("database")).await;
        let store = PostgresStore::connect(&options, Arc::new(Outcomes)).await.unwrap();
        is_taken(Arc::new(store), kept).await;
    }
}

#[tokio::test]
async fn the_snapshots_of_the_last_level_hold_rows_of_every_table() {
    let mut filled = BTreeSet::new();
    for kept in Kept::all().filter(|kept| kept.level == FEATURE_LEVEL_MAX.0) {
        for part in kept.snapshot().await {
            if let Some(Part::Page(page)) = part.part {
                filled.insert(Table::decode(page).unwrap().name);
            }
        }
    }
    let missing: Vec<&str> = table_names().filter(|table| !filled.contains(*table)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
