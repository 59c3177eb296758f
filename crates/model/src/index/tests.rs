//! The index against a plain list of rows and a plain list of what happened.

use super::*;
use proptest::prelude::*;

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn modseq(value: u64) -> ModSeq {
    ModSeq::new(value).unwrap()
}

fn row(number: u32, at: u64) -> MessageRow {
    MessageRow {
        uid: uid(number),
        flags: SystemFlags::from_bits((number % 32) as u8).unwrap(),
        keywords: KeywordBits(u128::from(number % 7) << 100),
        modseq: modseq(at),
        size: u64::from(number) * 3,
        internal_date: InternalDate { seconds: -i64::from(number), zone_minutes: -330 },
        saved_at: Timestamp(i64::from(number) * 1000),
        body: BodyRef {
            object: ObjectId(u128::from(number) << 90 | 5),
            offset: u64::from(number) << 33,
            length: u64::from(number),
            encoding: Encoding::Plain,
            key: KeyId(number),
        },
    }
}

#[test]
fn a_message_takes_80_bytes() {
    assert_eq!(size_of::<PackedRow>(), 80);
    let rows: Vec<MessageRow> = (1..=10_000).map(|number| row(number, 1)).collect();
    assert!(MailboxIndex::new(&rows, modseq(1)).bytes() < 10_000 * 81);
}

#[test]
fn rows_come_out_as_they_went_in() {
    let rows: Vec<MessageRow> = (1..2_000).step_by(3).map(|number| row(number, 1)).collect();
    let index = MailboxIndex::new(&rows, modseq(1));
    assert_eq!(index.all().collect::<Vec<_>>(), rows);
    assert_eq!(index.get(uid(4)), Some(row(4, 1)));
    assert_eq!(index.get(uid(5)), None);
    assert_eq!(index.get(Uid::MAX), None);
    assert_eq!(MailboxIndex::default().get(uid(1)), None);
}

#[test]
fn the_ring_forgets_the_oldest_and_says_so() {
    let mut index = MailboxIndex::new(&[row(1, 1)], modseq(1));
    for at in 2..RING_CHANGES_MAX as u64 + 2 {
        index.set_flags(uid(1), SystemFlags::SEEN, KeywordBits::NONE, modseq(at));
    }
    assert_eq!(index.expunged_since(modseq(1)), Some(UidSet::new()));
    index.expunge(&UidSet::from(uid(1)..=uid(1)), modseq(9_999));
    assert_eq!(index.expunged_since(modseq(1)), None);
    assert_eq!(index.expunged_since(modseq(2)), Some(UidSet::from(uid(1)..=uid(1))));
}

#[test]
fn an_index_loaded_from_rows_knows_no_earlier_expunges() {
    let index = MailboxIndex::new(&[row(3, 5)], modseq(8));
    assert_eq!(index.expunged_since(modseq(7)), None);
    assert_eq!(index.expunged_since(modseq(8)), Some(UidSet::new()));
    assert_eq!(index.changes_since(modseq(4)), [row(3, 5)]);
    assert_eq!(index.changes_since(modseq(5)), []);
}

#[test]
fn what_arrives_is_put_in_its_place_and_its_past_is_unknown() {
    let mut index = MailboxIndex::default();
    let rows: Vec<MessageRow> = (1..2_000).map(|number| row(number, u64::from(number))).collect();
    assert!(rows.iter().all(|row| index.put(row)));
    let changed = MessageRow { flags: SystemFlags::SEEN, modseq: modseq(2_500), ..row(700, 1) };
    assert!(index.put(&changed));
    index.remove(&UidSet::from(uid(5)..=uid(9)));
    assert!(!index.put(&row(7, 3_000)), "between two that are there");
    let mut expected = rows;
    expected.retain(|row| !(5..=9).contains(&row.uid.get()));
    *expected.iter_mut().find(|row| row.uid == uid(700)).unwrap() = changed;
    assert_eq!(index.all().collect::<Vec<_>>(), expected);
    assert_eq!(index.first_unseen(), MailboxIndex::new(&expected, modseq(9)).first_unseen());
    index.forget_changes(modseq(2_600));
    assert_eq!(index.expunged_since(modseq(2_599)), None);
    assert_eq!(index.expunged_since(modseq(2_600)), Some(UidSet::new()));
    assert_eq!(index.changes_since(modseq(2_400)), [changed]);
}

#[derive(Debug, Clone)]
enum Step {
    Add(u32),
    Flag(u32, u8),
    Expunge(u32, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1u32..900).prop_map(Step::Add),
        (any::<u32>(), 0u8..32).prop_map(|(at, flags)| Step::Flag(at, flags)),
        (any::<u32>(), 1u32..700).prop_map(|(at, count)| Step::Expunge(at, count)),
        (any::<u32>(), 1u32..4).prop_map(|(at, count)| Step::Expunge(at, count)),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_is_a_list_of_rows(steps in steps(), loaded in 0u32..600, since in 0u64..40) {
        let mut naive: Vec<MessageRow> = (0..loaded).map(|it| row(2 * it + 1, 1)).collect();
        let mut index = MailboxIndex::new(&naive, modseq(1));
        let mut expunged: Vec<(u64, Uid)> = Vec::new();
        let mut next = 2 * loaded + 1;
        for (at, step) in steps.iter().enumerate() {
            let now = at as u64 + 2;
            match step {
                Step::Add(count) => for _ in 0..*count {
                    next += if next % 5 == 0 { 3 } else { 1 };
                    naive.push(row(next, now));
                    index.add(&row(next, now));
                },
                Step::Flag(_, _) if naive.is_empty() => {}
                Step::Flag(which, flags) => {
                    let which = *which as usize % naive.len();
                    let flags = SystemFlags::from_bits(*flags).unwrap();
                    let row = &mut naive[which];
                    (row.flags, row.keywords, row.modseq) = (flags, KeywordBits(9), modseq(now));
                    index.set_flags(row.uid, flags, KeywordBits(9), modseq(now));
                }
                Step::Expunge(from, count) => {
                    let from = uid(from % (next + 1) + 1);
                    let last = uid(from.get() + count);
                    let gone = naive.extract_if(.., |row| (from..=last).contains(&row.uid));
                    expunged.extend(gone.map(|row| (now, row.uid)));
                    index.expunge(&UidSet::from(from..=last), modseq(now));
                }
            }
        }
        prop_assert_eq!(index.len(), naive.len());
        prop_assert_eq!(index.all().collect::<Vec<_>>(), naive.clone());
        prop_assert_eq!(index.uids(), naive.iter().map(|row| row.uid).collect());
        let unseen = naive.iter().find(|row| !row.flags.contains(SystemFlags::SEEN));
        prop_assert_eq!(index.first_unseen(), unseen.map(|row| row.uid));
        let some: UidSet = (0..next).filter(|it| it % 7 < 3).filter_map(Uid::new).collect();
        let expected: Vec<_> = naive.iter().copied().filter(|row| some.contains(row.uid)).collect();
        prop_assert_eq!(index.rows(&some).collect::<Vec<_>>(), expected);
        let since = modseq(since);
        let changed: Vec<_> = naive.iter().copied().filter(|row| row.modseq > since).collect();
        prop_assert_eq!(index.changes_since(since), changed);
        if let Some(uids) = index.expunged_since(since) {
            let expected = expunged.iter().filter(|(at, _)| *at > since.get());
            prop_assert_eq!(uids, expected.map(|(_, uid)| *uid).collect::<UidSet>());
        }
        prop_assert!(index.blocks.len() <= 2 + index.len() / (BLOCK_ROWS_MAX / 4), "no trail of tiny blocks");
    }
}
