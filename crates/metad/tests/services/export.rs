//! The rows of an account that moves, page by page, as its source gives them.

use std::collections::BTreeSet;

use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::error::MetaError;
use buzon_meta_client::export::ExportedPage;
use buzon_metad::groups::Replica as _;
use buzon_model::command::{Command, Leaving, Relocation, ShardCommand, Step, StoreFlags, StoreMode};
use buzon_model::limits::FEATURE_LEVEL_MOVES;
use buzon_model::read::ReadAt;
use buzon_model::reply::{Outcome, Rejection};
use buzon_model::row::MailboxState;
use buzon_types::flag::SystemFlags;
use buzon_types::id::{Epoch, GroupId, MailboxKey};
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use crate::world::{SHARD, World};

const TO: GroupId = GroupId(2);

struct Source {
    world: World,
    ana: AccountHandle,
    inbox: MailboxKey,
    step: Step,
}

impl Source {
    async fn new(messages: u32) -> Self {
        let world = World::new().await;
        let ana = world.account().await;
        let raise = Command::RaiseFeatureLevel(FEATURE_LEVEL_MOVES);
        world.meta.propose_repeatable(SHARD, raise).await.unwrap().1.unwrap();
        let inbox = world.key(&ana, "INBOX").await;
        world.append(&ana, inbox, messages).await;
        let step = Step { account: ana.account, epoch: Epoch(2) };
        Self { world, ana, inbox, step }
    }

    async fn relocate(&self, step: Relocation) -> Outcome {
        let command = Command::Shard(ShardCommand::Relocate(step));
        self.world.meta.propose_repeatable(SHARD, command).await.unwrap().1
    }

    async fn page(&self, cursor: &Bytes) -> ExportedPage {
        self.world.meta.export_account(SHARD, self.step, cursor.clone()).await.unwrap()
    }

    /// Pages to the end of a round; where the next begins.
    async fn round(&self, mut cursor: Bytes) -> (Vec<ExportedPage>, Bytes) {
        let mut pages = Vec::new();
        for _ in 0..1_000 {
            let page = self.page(&cursor).await;
            cursor = page.cursor.clone();
            let is_end = page.round_messages.is_some() || page.rows.account.is_some();
            pages.push(page);
            if is_end {
                return (pages, cursor);
            }
        }
        panic!("the round does not end");
    }

    async fn expunge(&self, first: u32, last: u32) {
        let uids = UidSet::from(Uid::new(first).unwrap()..=Uid::new(last).unwrap());
        let (mailbox, flags) = (self.inbox, SystemFlags::DELETED);
        let (mode, keywords) = (StoreMode::Add, Vec::new());
        let store = StoreFlags { mailbox, uids: uids.clone(), mode, flags, keywords, unchanged_since: None };
        self.world.meta.store_flags(&self.ana, store).await.unwrap();
        self.world.meta.expunge(&self.ana, mailbox, &uids).await.unwrap();
    }
}

fn messages(pages: &[ExportedPage]) -> BTreeSet<u32> {
    pages.iter().flat_map(|page| &page.rows.messages).map(|it| it.row.uid.get()).collect()
}

fn tombstones(pages: &[ExportedPage]) -> BTreeSet<u32> {
    pages.iter().flat_map(|page| &page.rows.tombstones).map(|it| it.row.message.uid.get()).collect()
}

#[tokio::test]
async fn a_round_has_all_that_changed_since_the_one_before() {
    let source = Source::new(5_000).await;
    source.expunge(11, 600).await;
    let (pages, cursor) = source.round(Bytes::new()).await;
    assert!(pages.iter().all(|page| page.rows.is_bounded()) && pages.len() > 2);
    let live: BTreeSet<u32> = (1..=5_000).filter(|uid| !(11..=600).contains(uid)).collect();
    assert_eq!((messages(&pages), tombstones(&pages)), (live, (11..=600).collect()));
    assert_eq!(pages.last().unwrap().round_messages, Some(5_000));
    let mailboxes = pages.iter().flat_map(|page| &page.rows.mailboxes);
    assert!(
        mailboxes.clone().count() > 1 && mailboxes.clone().all(|row| row.state == MailboxState::Deleting)
    );

    source.expunge(700, 701).await;
    source.world.append(&source.ana, source.inbox, 3).await;
    let (pages, cursor) = source.round(cursor).await;
    assert_eq!((messages(&pages), tombstones(&pages)), ([5_001, 5_002, 5_003].into(), [700, 701].into()));
    let (pages, _) = source.round(cursor).await;
    assert_eq!(pages.last().unwrap().round_messages, Some(0));
}

#[tokio::test]
async fn the_account_itself_comes_only_after_a_round_that_began_frozen() {
    let source = Source::new(3).await;
    let mut cursor = Bytes::new();
    for _ in 0..5 {
        let (pages, next) = source.round(cursor).await;
        assert!(pages.iter().all(|page| page.rows.account.is_none() && page.rows.subscriptions.is_empty()));
        cursor = next;
    }
    source.world.append(&source.ana, source.inbox, 1).await;
    let freeze = Relocation::Freeze(Leaving { step: source.step, to: TO });
    source.relocate(freeze).await.unwrap();
    let (pages, cursor) = source.round(cursor).await;
    assert_eq!(messages(&pages), [4].into());
    assert!(pages.iter().all(|page| page.rows.account.is_none()));
    let (pages, _) = source.round(cursor.clone()).await;
    let last = &pages.last().unwrap().rows;
    assert_eq!(last.account.as_ref().unwrap().counters.messages, 4);
    let names = pages.iter().map(|page| page.rows.subscriptions.len()).sum::<usize>();
    let live = pages.iter().flat_map(|page| &page.rows.mailboxes).filter(|it| it.state == MailboxState::Live);
    assert_eq!((names, live.count()), (6, 6));
    // The client's own records go along.
    assert!(pages.iter().any(|page| !page.rows.records.is_empty()));

    // Thawed, the cursor is good for nothing.
    source.relocate(Relocation::AbortLeave(source.step)).await.unwrap();
    let refused = source.world.meta.export_account(SHARD, source.step, cursor).await.unwrap_err();
    assert!(matches!(refused, MetaError::Internal { .. }), "{refused:?}");
}

#[tokio::test]
async fn an_account_that_went_is_looked_for_where_it_went() {
    let source = Source::new(3).await;
    source.relocate(Relocation::Freeze(Leaving { step: source.step, to: TO })).await.unwrap();
    // Reads go on.
    assert_eq!(source.world.open(&source.ana, "INBOX").await.row.counters.messages, 3);
    source.relocate(Relocation::FinishLeave(source.step)).await.unwrap();
    // This client has no shard 2: it went there, and says so.
    let error = source.world.meta.usage(&source.ana, ReadAt::Linearizable).await.unwrap_err();
    assert!(matches!(error, MetaError::Unavailable { .. }), "{error:?}");
    let subscribe = ShardCommand::Subscribe {
        account: source.ana.account,
        name: buzon_types::mailbox_name::MailboxName::inbox(),
    };
    let there = source.world.shard.propose(None, Command::Shard(subscribe)).await.unwrap().1;
    assert_eq!(there, Err(Rejection::Moved { shard: TO, epoch: Epoch(2) }));
}
