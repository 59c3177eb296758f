//! The view against a naive mailbox: many sessions, random changes, a client that believes only what it is told.

use super::recent::Claimed;
use super::*;
use buzon_model::row::{MailboxCounters, MailboxRow, MailboxState};
use buzon_types::id::{AccountId, MailboxId};
use buzon_types::time::Timestamp;
use buzon_types::uid::UidValidity;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// A mailbox as a list of events, each with its own modseq.
#[derive(Default)]
struct Mailbox {
    live: BTreeMap<u32, FlagState>,
    dead: BTreeMap<u32, u64>,
    next: u32,
    modseq: u64,
    /// The last message that somebody claimed.
    recent: u32,
    /// Tombstones at or below are forgotten.
    floor: u64,
}

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn set(values: impl IntoIterator<Item = u32>) -> UidSet {
    values.into_iter().map(uid).collect()
}

fn modseq(value: u64) -> ModSeq {
    ModSeq::new(value).unwrap()
}

impl Mailbox {
    fn add(&mut self) {
        self.modseq += 1;
        self.next += 1;
        let state = FlagState {
            uid: uid(self.next),
            flags: SystemFlags::NONE,
            keywords: KeywordBits::NONE,
            modseq: modseq(self.modseq),
        };
        self.live.insert(self.next, state);
    }

    fn flag(&mut self, at: u32, flags: SystemFlags) {
        self.modseq += 1;
        let state = self.live.get_mut(&at).unwrap();
        (state.flags, state.modseq) = (flags, modseq(self.modseq));
    }

    fn expunge(&mut self, at: u32) -> Advance {
        let before = modseq(self.modseq);
        self.modseq += 1;
        self.live.remove(&at).unwrap();
        self.dead.insert(at, self.modseq);
        Advance { before, after: modseq(self.modseq) }
    }

    fn delta(&self, since: ModSeq) -> MailboxDelta {
        let known = since.get() >= self.floor;
        let dead = self.dead.iter().filter(|(_, at)| **at > since.get()).map(|(uid, _)| *uid);
        MailboxDelta {
            modseq: modseq(self.modseq),
            uid_next: Some(uid(self.next + 1)),
            recent_from: Some(uid(self.recent + 1)),
            keywords: Vec::new(),
            messages: self.live.values().filter(|state| state.modseq > since).copied().collect(),
            expunged: if known { set(dead) } else { UidSet::new() },
            live: (!known).then(|| set(self.live.keys().copied())),
            name: Some(MailboxName::inbox()),
        }
    }

    fn open(&self) -> Selected {
        self.open_for(Access::ReadWrite)
    }

    /// As the log does it.
    fn claim(&mut self, view: &mut Selected) -> Claimed {
        let from = std::mem::replace(&mut self.recent, self.next) + 1;
        view.claimed(Some(uid(from)), Some(uid(self.next + 1)))
    }

    fn open_for(&self, access: Access) -> Selected {
        let key = MailboxKey { account: AccountId(1), mailbox: MailboxId(1) };
        let counters = MailboxCounters {
            uid_next: Some(uid(self.next + 1)),
            recent_from: Some(uid(self.recent + 1)),
            modseq: modseq(self.modseq),
            messages: self.live.len() as u32,
            unseen: 0,
            deleted: 0,
            bytes: 0,
        };
        let row = MailboxRow {
            key,
            name: MailboxName::inbox(),
            state: MailboxState::Live,
            uid_validity: UidValidity::new(7).unwrap(),
            special_use: None,
            keywords: Vec::new(),
            tombstone_floor: ModSeq::ZERO,
            created_at: Timestamp(0),
            counters,
        };
        let opened = OpenedMailbox { row, uids: set(self.live.keys().copied()), first_unseen: None };
        Selected::open(opened, access)
    }
}

/// What a client believes: UIDs by number (learned from the view when EXISTS grows, as FETCH would) and flags.
struct Client {
    view: Selected,
    uids: Vec<u32>,
    flags: BTreeMap<u32, SystemFlags>,
}

impl Client {
    fn connect(mailbox: &Mailbox) -> Self {
        let flags = mailbox.live.iter().map(|(uid, state)| (*uid, state.flags)).collect();
        Self { view: mailbox.open(), uids: mailbox.live.keys().copied().collect(), flags }
    }

    /// Believes the news, and checks that they can be believed.
    fn hear(&mut self, mailbox: &Mailbox, expunges: Expunges) {
        let news = self.view.news(expunges, Arrivals::Told);
        assert!(expunges == Expunges::Told || news.expunged.is_empty(), "no EXPUNGE where it is forbidden");
        for number in &news.expunged {
            let at = number.get() as usize;
            assert!(at <= self.uids.len(), "EXPUNGE {at} of {}", self.uids.len());
            self.flags.remove(&self.uids.remove(at - 1));
        }
        if let Some(exists) = news.exists {
            assert!(exists as usize > self.uids.len(), "EXISTS {exists} after {}", self.uids.len());
            for at in self.uids.len() as u32 + 1..=exists {
                let number = SequenceNumber::new(at).unwrap();
                let new = self.view.numbers.uid_runs(number, number)[0].0.get();
                assert!(self.uids.last().is_none_or(|last| *last < new), "UIDs ascend");
                self.uids.push(new);
                let flags = mailbox.live.get(&new).map_or(SystemFlags::NONE, |state| state.flags);
                self.flags.insert(new, flags);
            }
        }
        for (number, state) in &news.flags {
            assert_eq!(
                self.uids[number.get() as usize - 1],
                state.uid.get(),
                "FETCH is about the right message"
            );
            self.flags.insert(state.uid.get(), state.flags);
        }
    }

    fn check_numbers(&self) {
        for (at, &known) in self.uids.iter().enumerate() {
            let number = NonZeroU32::new(at as u32 + 1).unwrap();
            let range = SequenceRange { first: Position::Number(number), last: Position::Number(number) };
            let found = self.view.resolve(Numbering::Sequence, &SequenceSet::Ranges(vec![range])).unwrap();
            assert_eq!(found, set([known]));
            assert_eq!(self.view.number(uid(known)).unwrap().get(), number.get());
        }
    }
}

fn pick(random: &mut StdRng, mailbox: &Mailbox) -> Option<u32> {
    let live: Vec<u32> = mailbox.live.keys().copied().collect();
    (!live.is_empty()).then(|| live[random.random_range(0..live.len())])
}

fn change(random: &mut StdRng, mailbox: &mut Mailbox, client: &mut Client) {
    match random.random_range(0..10) {
        0..4 => mailbox.add(),
        4..7 => {
            if let Some(at) = pick(random, mailbox) {
                mailbox.flag(at, SystemFlags::from_bits(random.random_range(0..32)).unwrap());
            }
        }
        7..9 => {
            // The client's own EXPUNGE: the short way where nobody else came between.
            if let Some(at) = pick(random, mailbox) {
                let advance = mailbox.expunge(at);
                if client.view.follow(advance) {
                    client.view.lose(&set([at]));
                }
            }
        }
        _ => mailbox.floor = random.random_range(mailbox.floor..=mailbox.modseq),
    }
}

#[test]
fn views_of_many_sessions_stay_true_whatever_happens() {
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("seed: {seed} (set SEED to repeat)");
    let mut random = StdRng::seed_from_u64(seed);
    let mut mailbox = Mailbox::default();
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(&mailbox)).collect();
    for _ in 0..6000 {
        let at = random.random_range(0..clients.len());
        let client = &mut clients[at];
        match random.random_range(0..20) {
            0..12 => change(&mut random, &mut mailbox, client),
            12..14 => client.view.absorb(mailbox.delta(client.view.modseq())),
            14..16 => client.hear(&mailbox, Expunges::Held),
            16..19 => {
                client.view.absorb(mailbox.delta(client.view.modseq()));
                client.hear(&mailbox, Expunges::Told);
                assert_eq!(client.uids, mailbox.live.keys().copied().collect::<Vec<_>>());
                let flags: BTreeMap<u32, SystemFlags> =
                    mailbox.live.iter().map(|(uid, state)| (*uid, state.flags)).collect();
                assert_eq!(client.flags, flags, "the client knows all flags");
            }
            _ => *client = Client::connect(&mailbox),
        }
        // Between absorbing and telling, the client's numbers still mean what it saw.
        clients[at].check_numbers();
    }
}

#[test]
fn numbers_beyond_the_end_are_refused_and_star_is_the_last() {
    let mut mailbox = Mailbox::default();
    let number = |value| Position::Number(NonZeroU32::new(value).unwrap());
    let ranges = |first, last| SequenceSet::Ranges(vec![SequenceRange { first, last }]);
    let empty = mailbox.open();
    assert_eq!(empty.resolve(Numbering::Sequence, &ranges(number(1), Position::Greatest)), Ok(UidSet::new()));
    assert_eq!(empty.resolve(Numbering::Sequence, &ranges(number(1), number(1))), Err(NoSuchNumber));
    (0..5).for_each(|_| mailbox.add());
    mailbox.expunge(2);
    let view = mailbox.open();
    let resolve = |numbering, first, last| view.resolve(numbering, &ranges(first, last));
    assert_eq!(resolve(Numbering::Sequence, Position::Greatest, number(3)), Ok(set([4, 5])));
    assert_eq!(resolve(Numbering::Sequence, number(1), number(5)), Err(NoSuchNumber));
    assert_eq!(resolve(Numbering::Uid, number(1), number(3)), Ok(set([1, 3])));
    assert_eq!(resolve(Numbering::Uid, number(100), Position::Greatest), Ok(set([5])));
}

#[test]
fn a_message_that_comes_and_goes_between_two_tellings_is_never_shown() {
    let mut mailbox = Mailbox::default();
    mailbox.add();
    let mut view = mailbox.open();
    mailbox.add();
    view.absorb(mailbox.delta(view.modseq()));
    mailbox.expunge(2);
    view.absorb(mailbox.delta(view.modseq()));
    let news = view.news(Expunges::Told, Arrivals::Told);
    assert_eq!((news.expunged, news.exists, view.exists()), (vec![], None, 1));
}

#[test]
fn own_replies_are_followed_only_from_where_the_view_stands() {
    let mut mailbox = Mailbox::default();
    (0..3).for_each(|_| mailbox.add());
    let mut view = mailbox.open();
    let advance = mailbox.expunge(1);
    assert!(view.follow(advance));
    view.lose(&set([1]));
    assert_eq!(view.news(Expunges::Held, Arrivals::Told).expunged, []);
    assert_eq!((view.exists(), view.present()), (3, set([2, 3])), "held, and still countable");
    assert_eq!(view.news(Expunges::Told, Arrivals::Told).expunged.len(), 1);
    mailbox.flag(2, SystemFlags::SEEN);
    let advance = mailbox.expunge(3);
    assert!(!view.follow(advance), "another's change lies between");
    view.absorb(mailbox.delta(view.modseq()));
    let news = view.news(Expunges::Told, Arrivals::Told);
    assert_eq!((news.expunged.len(), news.flags.len()), (1, 1));
}

#[test]
fn a_silent_store_still_tells_what_another_changed_on_the_same_message() {
    let mut mailbox = Mailbox::default();
    (0..2).for_each(|_| mailbox.add());
    let mut view = mailbox.open();
    mailbox.flag(1, SystemFlags::FLAGGED);
    view.absorb(mailbox.delta(view.modseq())); // not told yet
    let before = modseq(mailbox.modseq);
    mailbox.flag(1, SystemFlags::FLAGGED | SystemFlags::SEEN);
    mailbox.flag(2, SystemFlags::SEEN);
    assert!(view.follow(Advance { before, after: modseq(mailbox.modseq) }));
    view.note_own_changes(mailbox.live.values().copied().collect(), Telling::OnlyOthers);
    let news = view.news(Expunges::Held, Arrivals::Told);
    assert_eq!(news.flags.len(), 1, "message 2 is the client's own business");
    assert_eq!(news.flags[0].1.flags, SystemFlags::FLAGGED | SystemFlags::SEEN);
}

#[test]
fn what_a_session_claims_is_recent_there_and_nowhere_else() {
    let mut mailbox = Mailbox::default();
    (0..3).for_each(|_| mailbox.add());
    let (mut one, mut two) = (mailbox.open(), mailbox.open());
    assert!(one.has_unclaimed() && two.has_unclaimed());
    assert_eq!(mailbox.claim(&mut one), Claimed::Known);
    assert_eq!(mailbox.claim(&mut two), Claimed::Known);
    assert_eq!((one.tell_recent(), two.tell_recent()), (3, 0));
    assert!(!one.has_unclaimed() && !two.has_unclaimed());
    mailbox.add();
    for view in [&mut one, &mut two] {
        view.absorb(mailbox.delta(view.modseq()));
        assert!(view.has_unclaimed());
    }
    assert_eq!(mailbox.claim(&mut two), Claimed::Known);
    one.absorb(mailbox.delta(one.modseq()));
    assert!(!one.has_unclaimed(), "the delta says that it is taken");
    let news = one.news(Expunges::Told, Arrivals::Told);
    assert_eq!((news.exists, news.recent), (Some(4), Some(3)), "RECENT comes with EXISTS, changed or not");
    let news = two.news(Expunges::Told, Arrivals::Told);
    assert_eq!((news.exists, news.recent), (Some(4), Some(1)));
    assert!(two.is_recent(uid(4)) && !two.is_recent(uid(3)) && one.is_recent(uid(3)));
    assert_eq!(one.recent_uids(), set([1, 2, 3]));
    mailbox.expunge(4);
    two.absorb(mailbox.delta(two.modseq()));
    assert_eq!(two.news(Expunges::Told, Arrivals::Told).recent, Some(0), "with the message goes its flag");
}

#[test]
fn messages_that_wait_for_their_claim_hold_up_nothing_else() {
    let mut mailbox = Mailbox::default();
    (0..2).for_each(|_| mailbox.add());
    let mut view = mailbox.open();
    let _ = mailbox.claim(&mut view);
    view.tell_recent();
    mailbox.add();
    mailbox.flag(1, SystemFlags::SEEN);
    mailbox.expunge(2);
    view.absorb(mailbox.delta(view.modseq()));
    let news = view.news(Expunges::Told, Arrivals::Held);
    assert_eq!((news.exists, news.recent), (None, None));
    assert_eq!((news.expunged.len(), news.flags.len()), (1, 1));
    assert!(view.has_arrivals());
    mailbox.add(); // while it is claimed
    assert_eq!(mailbox.claim(&mut view), Claimed::Beyond);
    view.absorb(mailbox.delta(view.modseq()));
    let news = view.news(Expunges::Told, Arrivals::Told);
    assert_eq!((news.exists, news.recent), (Some(3), Some(3)));
}

#[test]
fn examine_shows_what_is_unclaimed_when_it_is_told_and_claims_nothing() {
    let mut mailbox = Mailbox::default();
    (0..3).for_each(|_| mailbox.add());
    let mut looking = mailbox.open_for(Access::ReadOnly);
    assert_eq!((looking.tell_recent(), looking.has_unclaimed()), (3, false));
    let mut view = mailbox.open();
    let _ = mailbox.claim(&mut view);
    mailbox.add();
    looking.absorb(mailbox.delta(looking.modseq()));
    let news = looking.news(Expunges::Told, Arrivals::Told);
    assert_eq!((news.exists, news.recent), (Some(4), Some(4)));
    mailbox.add();
    view.absorb(mailbox.delta(view.modseq()));
    let _ = mailbox.claim(&mut view);
    looking.absorb(mailbox.delta(looking.modseq()));
    let news = looking.news(Expunges::Told, Arrivals::Told);
    assert_eq!((news.exists, news.recent), (Some(5), Some(4)), "another was first");
    assert_eq!(view.recent_uids(), set(1..=5), "looking takes nothing away");
}

#[test]
fn what_cannot_be_found_out_is_recent() {
    let mut mailbox = Mailbox::default();
    (0..2).for_each(|_| mailbox.add());
    let (mut view, mut other) = (mailbox.open(), mailbox.open());
    view.claim_is_unknown();
    other.another_claim_is_unknown();
    assert_eq!((view.recent_count(), other.recent_count()), (2, 0));
    assert!(!view.has_unclaimed() && !other.has_unclaimed());
}

#[test]
fn a_mailbox_that_has_used_all_uids_can_be_claimed_once_more() {
    let mut mailbox = Mailbox::default();
    (0..2).for_each(|_| mailbox.add());
    let mut view = mailbox.open();
    assert_eq!(view.claimed(Some(uid(1)), None), Claimed::Beyond, "more than the view has heard of");
    assert_eq!((view.recent_count(), view.has_unclaimed()), (2, false));
    let _ = view.claimed(None, None);
    assert_eq!(view.recent_count(), 2);
}

#[test]
fn what_search_saved_loses_what_is_expunged() {
    let mut mailbox = Mailbox::default();
    (0..3).for_each(|_| mailbox.add());
    let mut view = mailbox.open();
    view.save(set([1, 3]));
    mailbox.expunge(3);
    view.absorb(mailbox.delta(view.modseq()));
    assert_eq!(view.resolve(Numbering::Sequence, &SequenceSet::LastSearch), Ok(set([1, 3])));
    view.news(Expunges::Told, Arrivals::Told);
    assert_eq!(view.resolve(Numbering::Uid, &SequenceSet::LastSearch), Ok(set([1])));
}

#[test]
fn keywords_without_a_name_ask_for_a_delta() {
    let view = Mailbox::default().open();
    assert!(view.knows_keywords(KeywordBits::NONE));
    assert!(!view.knows_keywords(KeywordBits::one(0)));
}
