//! What is going on in a group on this node: who waits, when it was last used, and whether it rests (`rest`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::rest::Standing;
use crate::type_config::Raft;

/// See the module. Shared by the group's handles and its ways to its peers.
pub(crate) struct Pulse {
    /// Linearizable reads that wait for a round of heartbeats.
    readers: AtomicUsize,
    born: Instant,
    /// After `born`.
    last_use_ms: AtomicU64,
    /// Whether it rests as leader: a copy of what `rest` says, for those who use the group.
    leads_at_rest: AtomicBool,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    state: State,
    /// When it last ceased to rest as leader.
    led_until: Option<Instant>,
    /// By then all members had agreed to a list that was sent at this time.
    agreed_until: Option<Instant>,
    /// By member: what it last agreed to while this node led, and when it was asked.
    agreed: BTreeMap<u64, (Standing, Instant)>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Openraft's clock ticks: heartbeats are sent, or missed.
    #[default]
    Awake,
    /// This node leads, and its lists stand for heartbeats.
    Leads,
    /// The leader's node last listed the group at `listed`; elections begin when nothing comes until `until`.
    Follows { listed: Instant, until: Instant },
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            readers: AtomicUsize::new(0),
            born: Instant::now(),
            last_use_ms: AtomicU64::new(0),
            leads_at_rest: AtomicBool::new(false),
            rest: Mutex::default(),
        }
    }

    /// A read waits for a round of heartbeats until what is returned is dropped: the round must not linger.
    pub(crate) fn reader(&self) -> Reader<'_> {
        self.readers.fetch_add(1, Ordering::SeqCst);
        Reader(self)
    }

    /// Whether somebody waits for the next round of heartbeats.
    pub(crate) fn is_hurried(&self) -> bool {
        self.readers.load(Ordering::SeqCst) > 0
    }

    /// Somebody uses the group: if this node leads, it is awake after this. A follower has nothing to do for it.
    pub(crate) fn touch(&self, raft: &Raft) {
        self.last_use_ms.store(self.age_ms(), Ordering::SeqCst);
        if self.leads_at_rest.load(Ordering::SeqCst) {
            self.wake(raft);
        }
    }

    /// How long nobody has used the group.
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.age_ms().saturating_sub(self.last_use_ms.load(Ordering::SeqCst)))
    }

    /// Lets openraft's clock tick again: heartbeats go out, or elections begin, at its next tick.
    pub(crate) fn wake(&self, raft: &Raft) {
        self.last_use_ms.store(self.age_ms(), Ordering::SeqCst);
        let mut rest = self.rest.lock();
        self.enter(&mut rest, State::Awake, raft);
        rest.agreed.clear();
    }

    /// The leader goes to rest, or stays there, if nobody has used the group for so long.
    pub(crate) fn rest_as_leader(&self, raft: &Raft, rest_after: Duration) {
        let mut rest = self.rest.lock();
        self.enter(&mut rest, State::Leads, raft);
        // Who came before the line above saw no rest; who comes after it wakes the group.
        if self.idle() < rest_after {
            self.enter(&mut rest, State::Awake, raft);
        }
    }

    /// The leader's node has listed the group: it goes to rest, or stays there until then.
    pub(crate) fn rest_as_follower(&self, raft: &Raft, until: Instant) {
        let state = State::Follows { listed: Instant::now(), until };
        self.enter(&mut self.rest.lock(), state, raft);
    }

    fn enter(&self, rest: &mut Rest, state: State, raft: &Raft) {
        if rest.state == State::Leads && state != State::Leads {
            rest.led_until = Some(Instant::now());
            rest.agreed_until = rest.all_agreed_at();
        }
        rest.state = state;
        self.leads_at_rest.store(state == State::Leads, Ordering::SeqCst);
        raft.runtime_config().tick(state == State::Awake);
    }

    /// Whether the group rests.
    pub(crate) fn rests(&self) -> bool {
        self.rest.lock().state != State::Awake
    }

    /// Whether this node leads the group at rest.
    pub(crate) fn leads_at_rest(&self) -> bool {
        self.leads_at_rest.load(Ordering::SeqCst)
    }

    /// Whether rest stands for openraft's lease: while this node leads at rest, and for so long after it, until heartbeats
    /// are answered; or while it follows at rest and its leader's node was heard within this time.
    pub(crate) fn holds_lease(&self, lease: Duration) -> bool {
        let rest = self.rest.lock();
        match rest.state {
            State::Leads => true,
            State::Follows { listed, .. } => listed.elapsed() < lease,
            State::Awake => rest.led_until.is_some_and(|until| until.elapsed() < lease),
        }
    }

    /// Whether the group follows at rest and its leader's node was not heard for too long.
    pub(crate) fn is_left_alone(&self) -> bool {
        matches!(self.rest.lock().state, State::Follows { until, .. } if until <= Instant::now())
    }

    /// A member agrees to rest there; it was asked then.
    pub(crate) fn note_agreed(&self, member: u64, standing: Standing, asked: Instant) {
        self.rest.lock().agreed.insert(member, (standing, asked));
    }

    /// Whether these members agreed to rest there, asked no longer ago than this.
    pub(crate) fn all_agreed<'a>(
        &self,
        mut members: impl Iterator<Item = &'a u64>,
        standing: &Standing,
        fresh: Duration,
    ) -> bool {
        let rest = self.rest.lock();
        members.all(|member| {
            let agreed = rest.agreed.get(member);
            agreed.is_some_and(|(agreed, asked)| agreed == standing && asked.elapsed() < fresh)
        })
    }

    /// How long ago all members last agreed to rest, if they did while this node led.
    pub(crate) fn all_agreed_ago(&self) -> Option<Duration> {
        let rest = self.rest.lock();
        let at = if rest.state == State::Leads { rest.all_agreed_at() } else { rest.agreed_until };
        at.map(|at| at.elapsed())
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Rest {
    /// While it rests as leader: when the first of the last lists was sent that all agreed to.
    fn all_agreed_at(&self) -> Option<Instant> {
        self.agreed.values().map(|(_, asked)| *asked).min()
    }
}

/// See [`Pulse::reader`].
pub(crate) struct Reader<'pulse>(&'pulse Pulse);

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
    }
}
