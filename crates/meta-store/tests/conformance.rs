//! One suite, both databases: what was written is read back, row for row, whatever the order and the batches.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::postgres::{PostgresOptions, PostgresStore};
use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::{Applied, Batch, GroupHead, Identity, MetaStore, Page};
use buzon_meta_store::testing::TestPostgres;
use buzon_model::change::Change;
use buzon_model::digest::StateDigest;
use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_model::scope::Need;
use buzon_types::id::{AccountId, DIRECTORY, FeatureLevel, GroupId, TenantId};
use buzon_types::time::Timestamp;
use bytes::Bytes;

use common::check::check;
use common::generate::Generator;
use common::{Codec, long, seed};

const GROUP: GroupId = GroupId(3);

type Store = Arc<dyn MetaStore>;

struct SqliteFile(tempfile::TempDir);

impl SqliteFile {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Store {
        let store = SqliteStore::open(&self.0.path().join("rows.sqlite"), Arc::new(Codec)).await.unwrap();
        Arc::new(store.with_large_mailboxes_of(5))
    }
}

async fn postgres(options: &PostgresOptions) -> Store {
    Arc::new(PostgresStore::connect(options, Arc::new(Codec)).await.unwrap().with_large_mailboxes_of(5))
}

async fn commit(store: &Store, group: GroupId, at: u64, changes: &[Change]) -> Result<(), StoreError> {
    let log_id = Bytes::from(format!("log {}", at + 1));
    let applied = Applied { index: at + 1, log_id };
    let membership = at.is_multiple_of(3).then(|| Bytes::from(format!("members {at}")));
    store.commit(Batch { group, expected_index: at, applied, membership, changes, digest: None }).await
}

/// Writes so many random batches, then checks all rows.
async fn write_random(store: &Store, group: GroupId, generator: &mut Generator, from: u64, batches: u64) {
    for at in from..from + batches {
        let changes = generator.batch();
        commit(store, group, at, &changes)
            .await
            .unwrap_or_else(|error| panic!("{error:?} at {at}: {changes:#?}"));
    }
    check(&**store, group, &generator.mirror).await;
}

async fn rows_written_are_rows_read(store: &Store) {
    let seeds = if long() { 20 } else { 2 };
    for seed in seed()..seed() + seeds {
        println!("seed {seed}");
        let group = GroupId(seed);
        store.create_group(group).await.unwrap();
        let mut generator = Generator::new(seed);
        write_random(store, group, &mut generator, 0, 50).await;
        write_random(store, group, &mut generator, 50, 70).await;
    }
}

async fn a_batch_for_another_index_changes_nothing(store: &Store) {
    store.create_group(GROUP).await.unwrap();
    let mut generator = Generator::new(1);
    write_random(store, GROUP, &mut generator, 0, 5).await;
    let digest = store.digest(GROUP).await.unwrap();
    let changes = [Change::SetTime(Timestamp(1 << 40))];
    for at in [0, 4, 6] {
        let error = commit(store, GROUP, at, &changes).await.unwrap_err();
        assert!(
            matches!(error, StoreError::AppliedMismatch { found: 5, expected, .. } if expected == at),
            "{error:?}"
        );
    }
    assert_eq!(store.digest(GROUP).await.unwrap(), digest);
    check(&**store, GROUP, &generator.mirror).await;
}

/// As after a server's restart that lost a new group: whoever has it in memory is told, and makes it anew.
async fn a_group_that_is_not_there_has_no_rows(store: &Store) {
    let group = GroupId(92);
    let answers = [
        commit(store, group, 0, &[]).await,
        store.seed(group).await.map(drop),
        store.load(group, &Need::Account(AccountId(1))).await.map(drop),
    ];
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(matches!(error, StoreError::NoRows { group: 92 }), "{error:?}");
    }
    store.create_group(group).await.unwrap();
    commit(store, group, 0, &[]).await.unwrap();
}

/// A statement in the middle of the batch fails: nothing of it stays, not even the index.
async fn a_uid_used_twice_fails_the_whole_batch(store: &Store) {
    let group = GroupId(91);
    store.create_group(group).await.unwrap();
    let mut generator = Generator::new(6);
    let mut again = Vec::new();
    for at in 0..30 {
        let changes = generator.batch();
        commit(store, group, at, &changes).await.unwrap();
        again.extend(changes.into_iter().find(|change| {
            matches!(change, Change::AddMessage { mailbox, row, .. }
            if generator.mirror.messages.contains_key(&(*mailbox, row.uid)))
        }));
    }
    again.retain(|change| {
        matches!(change, Change::AddMessage { mailbox, row, .. }
        if generator.mirror.messages.contains_key(&(*mailbox, row.uid)))
    });
    let changes = [Change::SetTime(Timestamp(1 << 50)), again.pop().expect("some message lives")];
    let error = commit(store, group, 30, &changes).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert_eq!(store.head(group).await.unwrap().unwrap().applied.index, 30);
    check(&**store, group, &generator.mirror).await;
}

async fn groups_do_not_see_each_other(store: &Store) {
    let (left, right) = (GroupId(101), GroupId(102));
    let mut generators = [Generator::new(8), Generator::new(9)];
    store.create_group(left).await.unwrap();
    store.create_group(right).await.unwrap();
    store.create_group(right).await.unwrap(); // safe to repeat
    for at in [0, 20] {
        write_random(store, left, &mut generators[0], at, 20).await;
        write_random(store, right, &mut generators[1], at, 20).await;
        check(&**store, left, &generators[0].mirror).await;
    }
    let heads = store.groups().await.unwrap();
    let indexes: Vec<u64> =
        heads.iter().filter(|it| it.group == left || it.group == right).map(|it| it.applied.index).collect();
    assert_eq!(indexes, [40, 40]);
    assert_eq!(store.head(GroupId(777)).await.unwrap(), None);
}

async fn a_head_holds_what_the_last_batch_said(store: &Store) {
    let group = GroupId(111);
    store.create_group(group).await.unwrap();
    let empty = GroupHead { group, applied: Applied::default(), membership: Bytes::new() };
    assert_eq!(store.head(group).await.unwrap(), Some(empty));
    for at in 0..5 {
        commit(store, group, at, &[]).await.unwrap();
    }
    let applied = Applied { index: 5, log_id: Bytes::from_static(b"log 5") };
    let head = GroupHead { group, applied, membership: Bytes::from_static(b"members 3") };
    assert_eq!(store.head(group).await.unwrap(), Some(head));
}

async fn a_database_has_one_owner(store: &Store) {
    let ours = Identity { cluster: 1 << 100, node: u64::MAX, incarnation: 3 };
    store.claim(&ours).await.unwrap();
    store.claim(&ours).await.unwrap();
    let error = store.claim(&Identity { incarnation: 4, ..ours }).await.unwrap_err();
    assert!(matches!(error, StoreError::Identity { .. }), "{error:?}");
}

async fn a_flush_makes_everything_durable(store: &Store) {
    let group = GroupId(121);
    store.create_group(group).await.unwrap();
    for at in 0..7 {
        commit(store, group, at, &[Change::SetTime(Timestamp(1))]).await.unwrap();
        assert!(store.durable_index(group, false).await.unwrap() <= at + 1);
    }
    assert_eq!(store.durable_index(group, true).await.unwrap(), 7);
    assert_eq!(store.durable_index(group, false).await.unwrap(), 7);
    assert_eq!(store.server_incarnation().await.unwrap(), store.server_incarnation().await.unwrap());
}

async fn listings_come_in_pages(store: &Store) {
    store.create_group(DIRECTORY).await.unwrap();
    let mut generator = Generator::new(12);
    write_random(store, DIRECTORY, &mut generator, 0, 400).await;
    let mirror = &generator.mirror;
    let mut tenants: Vec<_> = mirror.tenants.values().cloned().collect();
    tenants.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(tenants.len() > 2 && mirror.domains.len() > 1, "too few rows to page");
    assert_eq!(store.tenants(None, 2).await.unwrap(), tenants[..2]);
    assert_eq!(store.tenants(Some(&tenants[1].name), 100).await.unwrap(), tenants[2..]);
    let domains: Vec<_> = mirror.domains.values().cloned().collect();
    assert_eq!(store.domains(None, None, 100).await.unwrap(), domains);
    let after = store.domains(None, Some(domains[0].domain.as_str()), 1).await.unwrap();
    assert_eq!(after, domains[1..2]);
    let placements: Vec<_> = mirror.placements.values().cloned().collect();
    assert_eq!(store.placements(None, None, 100).await.unwrap(), placements);
    for tenant in (1..6).map(TenantId) {
        let of_tenant: Vec<_> = domains.iter().filter(|row| row.tenant == tenant).cloned().collect();
        assert_eq!(store.domains(Some(tenant), None, 100).await.unwrap(), of_tenant);
        let of_tenant: Vec<_> = placements
            .iter()
            .filter(|row| row.tenant == tenant && row.account > AccountId(1))
            .cloned()
            .collect();
        assert_eq!(store.placements(Some(tenant), Some(AccountId(1)), 100).await.unwrap(), of_tenant);
    }
    let (nodes, shards) = (store.nodes().await.unwrap(), store.shards().await.unwrap());
    assert!(nodes.len() > 2 && shards.len() > 2, "too few of them");
    assert_eq!(nodes, mirror.nodes.values().cloned().collect::<Vec<_>>());
    assert_eq!(shards, mirror.shards.values().cloned().collect::<Vec<_>>());
    for account in (1..6).map(AccountId) {
        let expected: Vec<_> =
            mirror.addresses.values().filter(|row| row.account == account).cloned().collect();
        let mut found = store.addresses(account).await.unwrap();
        found.sort_by(|a, b| a.address.cmp(&b.address));
        assert_eq!(found, expected);
    }
}

async fn export(store: &Store, group: GroupId) -> (GroupHead, Vec<Page>) {
    let mut pages = Vec::new();
    let mut visit = |page| {
        pages.push(page);
        ControlFlow::Continue(())
    };
    let head = store.export(group, &mut visit).await.unwrap();
    (head, pages)
}

async fn a_snapshot_replaces_a_group(from: &Store, to: &Store) {
    let group = GroupId(131);
    let mut generator = Generator::new(77);
    from.create_group(group).await.unwrap();
    write_random(from, group, &mut generator, 0, 60).await;
    let (head, pages) = export(from, group).await;
    assert_eq!(head.applied.index, 60);

    // What was there before goes, and an install that was never finished leaves nothing.
    to.create_group(group).await.unwrap();
    let mut old = Generator::new(78);
    write_random(to, group, &mut old, 0, 30).await;
    let unfinished = to.begin_install(group).await.unwrap();
    unfinished.page(pages[0].clone()).await.unwrap();
    unfinished.page(pages[1].clone()).await.unwrap();
    let install = to.begin_install(group).await.unwrap();
    for page in &pages {
        install.page(page.clone()).await.unwrap();
    }
    check(&**to, group, &old.mirror).await; // nothing is seen before the end
    install.finish(head.clone()).await.unwrap();
    install.finish(head.clone()).await.unwrap(); // safe to repeat
    assert_eq!(to.head(group).await.unwrap(), Some(head));
    check(&**to, group, &generator.mirror).await;
    assert_eq!(to.digest(group).await.unwrap(), from.digest(group).await.unwrap());
    write_random(to, group, &mut generator, 60, 10).await;
}

async fn a_snapshot_overtaken_by_another_is_refused_and_harms_nothing(store: &Store) {
    let (source, group) = (GroupId(151), GroupId(152));
    let mut generators = [Generator::new(15), Generator::new(16)];
    store.create_group(source).await.unwrap();
    write_random(store, source, &mut generators[0], 0, 30).await;
    store.create_group(group).await.unwrap();
    write_random(store, group, &mut generators[1], 0, 10).await;
    let (head, pages) = export(store, source).await;
    let head = GroupHead { group, ..head };

    let overtaken = store.begin_install(group).await.unwrap();
    for page in &pages {
        overtaken.page(page.clone()).await.unwrap();
    }
    let install = store.begin_install(group).await.unwrap();
    let error = overtaken.finish(head.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::StagingGone { .. }), "{error:?}");
    let error = overtaken.page(pages[1].clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::StagingGone { .. }), "{error:?}");
    check(&**store, group, &generators[1].mirror).await;

    for page in &pages {
        install.page(page.clone()).await.unwrap();
    }
    install.finish(head.clone()).await.unwrap();
    drop(store.begin_install(group).await.unwrap());
    overtaken.finish(head.clone()).await.unwrap_err();
    assert_eq!(store.head(group).await.unwrap(), Some(head));
    check(&**store, group, &generators[0].mirror).await;
}

async fn a_removed_group_is_gone_and_may_come_back(store: &Store) {
    let (gone, other) = (GroupId(171), GroupId(172));
    let mut generators = [Generator::new(17), Generator::new(18)];
    for (group, generator) in [gone, other].into_iter().zip(&mut generators) {
        store.create_group(group).await.unwrap();
        write_random(store, group, generator, 0, 40).await;
    }
    let staged = store.begin_install(gone).await.unwrap();
    let (head, pages) = export(store, other).await;
    assert_eq!(store.durable_index(gone, true).await.unwrap(), 40);
    store.remove_group(gone).await.unwrap();
    store.remove_group(gone).await.unwrap(); // safe to repeat
    assert_eq!(store.head(gone).await.unwrap(), None);
    assert!(store.groups().await.unwrap().iter().all(|head| head.group != gone));
    assert!(matches!(staged.page(pages[1].clone()).await, Err(StoreError::StagingGone { .. })));
    check(&**store, other, &generators[1].mirror).await;

    store.create_group(gone).await.unwrap();
    let mut anew = Generator::new(19);
    write_random(store, gone, &mut anew, 0, 10).await;
    assert!(store.durable_index(gone, false).await.unwrap() <= 10);
    assert_eq!(store.durable_index(gone, true).await.unwrap(), 10);
    assert_eq!(store.head(other).await.unwrap(), Some(head));
}

async fn an_export_can_be_stopped(store: &Store) {
    let mut seen = 0;
    let mut visit = |_| {
        seen += 1;
        ControlFlow::Break(())
    };
    store.export(GROUP, &mut visit).await.unwrap();
    assert_eq!(seen, 1);
}

async fn a_snapshot_without_its_head_is_refused(store: &Store) {
    let group = GroupId(141);
    let install = store.begin_install(group).await.unwrap();
    let head = GroupHead { group, applied: Applied::default(), membership: Bytes::new() };
    assert!(matches!(install.finish(head).await.unwrap_err(), StoreError::Corrupt { .. }));
    assert!(install.page(Page(Bytes::from_static(b"nonsense"))).await.is_err());
    assert_eq!(store.head(group).await.unwrap(), None);
}

async fn a_snapshot_of_a_later_feature_level_is_refused(store: &Store) {
    let (source, group) = (GroupId(181), GroupId(182));
    store.create_group(source).await.unwrap();
    let level = FeatureLevel(FEATURE_LEVEL_MAX.0 + 1);
    commit(store, source, 0, &[Change::SetFeatureLevel(level)]).await.unwrap();
    let (_, pages) = export(store, source).await;
    let install = store.begin_install(group).await.unwrap();
    let error = install.page(pages[0].clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::FeatureLevel { found, .. } if found == level.0), "{error:?}");
    assert_eq!(store.head(group).await.unwrap(), None);
}

async fn a_digest_is_kept_and_goes_with_the_rows(store: &Store) {
    let (source, copy) = (GroupId(191), GroupId(192));
    store.create_group(source).await.unwrap();
    assert_eq!(store.seed(source).await.unwrap().digest, None);
    let without = store.digest(source).await.unwrap();
    let digest = Some(StateDigest(1 << 127 | 7));
    let commit = async |at: u64, digest| {
        let applied = Applied { index: at + 1, log_id: Bytes::new() };
        let (group, membership, changes) = (source, None, &[][..]);
        store
            .commit(Batch { group, expected_index: at, applied, membership, changes, digest })
            .await
            .unwrap();
    };
    commit(0, digest).await;
    commit(1, None).await;
    assert_eq!(store.seed(source).await.unwrap().digest, digest);
    assert_ne!(store.digest(source).await.unwrap(), without);
    let (head, pages) = export(store, source).await;
    let install = store.begin_install(copy).await.unwrap();
    for page in pages {
        install.page(page).await.unwrap();
    }
    install.finish(GroupHead { group: copy, ..head }).await.unwrap();
    assert_eq!(store.seed(copy).await.unwrap().digest, digest);
}

async fn suite(store: &Store) {
    rows_written_are_rows_read(store).await;
    a_batch_for_another_index_changes_nothing(store).await;
    a_group_that_is_not_there_has_no_rows(store).await;
    a_uid_used_twice_fails_the_whole_batch(store).await;
    groups_do_not_see_each_other(store).await;
    a_head_holds_what_the_last_batch_said(store).await;
    a_database_has_one_owner(store).await;
    a_flush_makes_everything_durable(store).await;
    listings_come_in_pages(store).await;
    a_snapshot_overtaken_by_another_is_refused_and_harms_nothing(store).await;
    a_removed_group_is_gone_and_may_come_back(store).await;
    an_export_can_be_stopped(store).await;
    a_snapshot_without_its_head_is_refused(store).await;
    a_snapshot_of_a_later_feature_level_is_refused(store).await;
    a_digest_is_kept_and_goes_with_the_rows(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_conforms() {
    let file = SqliteFile::new();
    let store = file.open().await;
    suite(&store).await;
    let digests = [store.digest(GROUP).await.unwrap(), store.digest(DIRECTORY).await.unwrap()];
    drop(store);
    let store = file.open().await;
    assert_eq!([store.digest(GROUP).await.unwrap(), store.digest(DIRECTORY).await.unwrap()], digests);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_goes_from_sqlite_to_sqlite() {
    let (from, to) = (SqliteFile::new(), SqliteFile::new());
    a_snapshot_replaces_a_group(&from.open().await, &to.open().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_conforms() {
    let server = TestPostgres::start().await;
    let store = postgres(&server.options()).await;
    suite(&store).await;
    let digests = [store.digest(GROUP).await.unwrap(), store.digest(DIRECTORY).await.unwrap()];
    drop(store);
    let store = postgres(&server.options()).await;
    assert_eq!([store.digest(GROUP).await.unwrap(), store.digest(DIRECTORY).await.unwrap()], digests);
    assert!(server.data().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_goes_between_sqlite_and_postgres() {
    let server = TestPostgres::start().await;
    let file = SqliteFile::new();
    let (left, right) = (server.database("left").await, server.database("right").await);
    a_snapshot_replaces_a_group(&file.open().await, &postgres(&left).await).await;
    a_snapshot_replaces_a_group(&postgres(&right).await, &SqliteFile::new().open().await).await;
}
