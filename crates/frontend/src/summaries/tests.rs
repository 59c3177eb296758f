//! The cache gives back what was read, and asks for nothing twice.

use buzon_model::row::MessageRow;
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::id::AccountId;
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::ModSeq;
use opentelemetry::global;

use super::*;

const KEY: MailboxKey = MailboxKey { account: AccountId(1), mailbox: MailboxId(2) };

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn set(runs: &[(u32, u32)]) -> UidSet {
    UidSet::from_runs(runs.iter().map(|(first, last)| (uid(*first), uid(*last))))
}

fn text(number: u32) -> Bytes {
    Bytes::from(format!("{number}").repeat(number as usize % 5))
}

fn message(number: u32, has_summary: bool) -> MessageRead {
    let body =
        BodyRef { object: ObjectId(1), offset: 0, length: 0, encoding: Encoding::Plain, key: KeyId(0) };
    let row = MessageRow {
        uid: uid(number),
        flags: SystemFlags::default(),
        keywords: KeywordBits::default(),
        modseq: ModSeq::default(),
        size: 0,
        internal_date: InternalDate { seconds: 0, zone_minutes: 0 },
        saved_at: Timestamp(0),
        body,
    };
    MessageRead { row, expunged: false, summary: has_summary.then(|| text(number)) }
}

#[tokio::test]
async fn what_came_is_there_the_next_time_and_nothing_else() {
    let cache = SummaryCache::new(1 << 20, &global::meter("test"));
    let read = [1, 2, 63, 64, 65, 128, 700];
    let mut messages: Vec<_> = read.iter().map(|number| message(*number, true)).collect();
    assert_eq!(cache.complete(KEY, &mut messages).await, UidSet::new());
    // A second reading brings others of the same pages.
    let mut more = vec![message(3, true), message(127, true)];
    assert_eq!(cache.complete(KEY, &mut more).await, UidSet::new());

    let missing = cache.missing(KEY, &set(&[(1, 130), (699, 700)])).await;
    assert_eq!(missing, set(&[(4, 62), (66, 126), (129, 130), (699, 699)]));
    let mut again: Vec<_> = [1, 2, 3, 4, 64, 127, 700].map(|number| message(number, false)).into();
    assert_eq!(cache.complete(KEY, &mut again).await, set(&[(4, 4)]));
    for found in again.iter().filter(|message| message.row.uid != uid(4)) {
        assert_eq!(found.summary, Some(text(found.row.uid.get())));
    }
    let other = MailboxKey { mailbox: MailboxId(3), ..KEY };
    assert_eq!(cache.missing(other, &set(&[(1, 3)])).await, set(&[(1, 3)]));
}

#[tokio::test]
async fn a_cache_that_is_off_keeps_nothing() {
    let cache = SummaryCache::new(0, &global::meter("test"));
    cache.complete(KEY, &mut [message(1, true)]).await;
    cache.pages.run_pending_tasks().await;
    assert_eq!(cache.missing(KEY, &set(&[(1, 1)])).await, set(&[(1, 1)]));
}
