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

#[test]
fn pages_have_each_uid_once() {
    let runs: &[&[(u32, u32)]] = &[
        &[],
        &[(1, 1)],
        &[(63, 64)],
        &[(1, 3), (5, 5), (60, 200), (255, 255), (257, 320)],
        &[(u32::MAX - 70, u32::MAX - 2), (u32::MAX, u32::MAX)],
    ];
    for uids in runs.iter().map(|runs| set(runs)) {
        let pages: Vec<_> = pages(&uids).collect();
        assert!(pages.iter().all(|(_, bits)| *bits != 0) && pages.is_sorted_by(|one, next| one.0 < next.0));
        assert_eq!(pages.iter().flat_map(|(number, bits)| uids_of(*number, *bits)).collect::<UidSet>(), uids);
    }
}

/// With a subject that tells its number; 5 is damaged, and 6 has more of a field than summaries keep.
fn letter(number: u32) -> MessageRead {
    let references = "<x@y> ".repeat(if number == 6 { 1_000 } else { 1 });
    let header = format!("Subject: no. {number};\r\nReferences: {references}\r\n\r\n");
    let summary = buzon_message::summary::Summary::of(header.as_bytes()).encode();
    let summary = if number == 5 { Bytes::from_static(b"\xff\xff") } else { summary };
    MessageRead { summary: Some(summary), ..message(number, false) }
}

#[tokio::test]
async fn headers_are_searched_as_far_as_summaries_are_here() {
    let cache = SummaryCache::new(1 << 20, &global::meter("test"));
    let mut letters: Vec<_> = (1..=70).map(letter).collect();
    cache.complete(KEY, &mut letters).await;
    let search = async |name: &str, text: &str| {
        let needle = buzon_message::search::Needle::new(text);
        let HeaderMatches { found, open } =
            cache.search_header(KEY, &set(&[(2, 130)]), (name, &needle), &mut Turn::default()).await;
        (found, open)
    };
    let rest = [(5, 5), (71, 130)];
    for _ in 0..2 {
        assert_eq!(search("SUBJECT", "no. 7").await, (set(&[(7, 7), (70, 70)]), set(&rest)));
        assert_eq!(search("subject", "NO. 1;").await, (set(&[]), set(&rest)), "1 was not asked about");
        assert_eq!(search("Subject", "").await, (set(&[(2, 4), (6, 70)]), set(&rest)));
        let (found, open) = search("references", "x@y").await;
        assert_eq!((found, open), (set(&[(2, 4), (7, 70)]), set(&[(5, 6), (71, 130)])));
        assert_eq!(search("x-own", "x").await, (set(&[]), set(&[(2, 130)])));
    }
    cache.complete(KEY, &mut [letter(77)]).await;
    let known = (set(&[(7, 7), (70, 70), (77, 77)]), set(&[(5, 5), (71, 76), (78, 130)]));
    assert_eq!(search("subject", "no. 7").await, known);
    let other = MailboxKey { mailbox: MailboxId(3), ..KEY };
    let needle = buzon_message::search::Needle::new("no");
    let elsewhere =
        cache.search_header(other, &set(&[(1, 9)]), ("subject", &needle), &mut Turn::default()).await;
    assert_eq!(elsewhere.open, set(&[(1, 9)]));
}

#[tokio::test]
async fn others_get_their_turn_however_many_searches_there_are() {
    use futures::FutureExt;
    let cache = SummaryCache::new(1 << 20, &global::meter("test"));
    cache.complete(KEY, &mut (1..=70).map(letter).collect::<Vec<_>>()).await;
    let (uids, needle) = (set(&[(1, 70)]), buzon_message::search::Needle::new("no"));
    cache.search_header(KEY, &uids, ("subject", &needle), &mut Turn::default()).await;
    let mut turn = Turn::default();
    let mut waits = 0;
    for _ in 0..1_000 {
        let search = cache.search_header(KEY, &uids, ("subject", &needle), &mut turn);
        waits += u32::from(search.now_or_never().is_none());
    }
    assert!((2..100).contains(&waits), "{waits}");
}

#[tokio::test]
async fn fields_stay_within_their_share() {
    let cache = SummaryCache::new(64 << 10, &global::meter("test"));
    let needle = buzon_message::search::Needle::new("no");
    for first in (1..6_400).step_by(64) {
        cache.complete(KEY, &mut (first..first + 64).map(letter).collect::<Vec<_>>()).await;
        cache
            .search_header(KEY, &set(&[(first, first + 63)]), ("subject", &needle), &mut Turn::default())
            .await;
    }
    cache.fields.run_pending_tasks().await;
    cache.pages.run_pending_tasks().await;
    assert!(cache.fields.weighted_size() <= 8 << 10 && cache.pages.weighted_size() <= 56 << 10);
    assert!(cache.fields.entry_count() > 0);
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
