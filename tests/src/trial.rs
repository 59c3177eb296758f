//! A cluster with people at work, whatever is done to it meanwhile: afterwards all that was acknowledged is there, and replicas
//! hold the same rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};

use crate::cluster::{Cluster, Size};
use crate::load::check::Bodies;
use crate::load::endure::Fronts;
use crate::load::person::Person;

/// How large its cluster is.
pub const SIZE: Size = Size { metads: 3, frontends: 2, shards: 4 };
/// How many work.
pub const PEOPLE: u64 = 4;
/// What they log in with.
pub const PASSWORD: &str = "load test";
/// Full service, and all that was unknown settled, so soon after everything is healed: ten seconds, and twice that for a
/// build without optimisations, which shares its cores with all processes of the cluster and the load.
pub const HEALED_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 10 });
/// What operators do takes longer: rows are copied. With room for a debug build on a busy machine.
pub const CHANGED_WITHIN: Duration = Duration::from_secs(60);
/// Messages of each account that are read once more through the other front-ends: one in so many.
const AGAIN_ONE_IN: u32 = 10;

/// See the module.
#[derive(Debug)]
pub struct Trial {
    /// What they work with.
    pub cluster: Cluster,
    fronts: Arc<Fronts>,
    people: Vec<Person>,
}

impl Trial {
    /// On a new cluster.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(seed: u64) -> anyhow::Result<Self> {
        Self::over(Cluster::start(SIZE)?, seed)
    }

    /// On a cluster of that size that serves.
    ///
    /// # Errors
    /// If the accounts cannot be made.
    pub fn over(cluster: Cluster, seed: u64) -> anyhow::Result<Self> {
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            let user = format!("p{number}@load.example");
            cluster.account(&user, PASSWORD)?;
            people.push(Person::new(&user, PASSWORD, seed.wrapping_mul(1000) + number));
        }
        let fronts = (0..SIZE.frontends).map(|at| cluster.front(at)).collect::<anyhow::Result<_>>()?;
        Ok(Self { cluster, fronts: Arc::new(Fronts::new(fronts)), people })
    }

    /// Has everybody work while `trouble` comes and goes; then all must be settled, in time.
    ///
    /// # Errors
    /// A broken promise, or what `trouble` says; with what the processes complain of.
    pub fn under_load(
        &mut self,
        trouble: impl FnOnce(&mut Cluster, &Fronts) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (stop, fronts, cluster) = (AtomicBool::new(false), &self.fronts, &mut self.cluster);
        let people = &mut self.people;
        std::thread::scope(|scope| {
            let endure = |person| {
                let (stop, fronts) = (&stop, Arc::clone(fronts));
                scope.spawn(move || Person::endure(person, &fronts, stop))
            };
            let threads: Vec<_> = people.iter_mut().map(endure).collect();
            let troubled = trouble(cluster, fronts);
            let healed = Instant::now();
            stop.store(true, Ordering::Release);
            let mut settled = Ok(());
            for thread in threads {
                let done = thread.join().map_err(|_| anyhow!("a thread of the load panicked"));
                settled = settled.and(done.and_then(|it| it));
            }
            let logs = || format!("what the processes complain of:\n{}", cluster.complaints().join("\n"));
            settled.and(troubled).with_context(logs)?;
            ensure!(
                healed.elapsed() < HEALED_WITHIN,
                "settled only {:?} after all was healed",
                healed.elapsed()
            );
            println!("settled {:?} after all was healed", healed.elapsed());
            Ok(())
        })
    }

    /// Every account, whole, through every front-end; and what each did.
    ///
    /// # Errors
    /// If something is lost, or replicas differ.
    pub fn finish(mut self, what: &str) -> anyhow::Result<()> {
        let fronts = self.fronts.lock().clone();
        for person in &mut self.people {
            person.check(&fronts[0], Bodies::All).context(what.to_owned())?;
            for front in &fronts[1..] {
                person.check(front, Bodies::Some(AGAIN_ONE_IN)).context(what.to_owned())?;
            }
        }
        let sum = |of: fn(&Person) -> u64| -> u64 { self.people.iter().map(of).sum() };
        let acknowledged = sum(|person| person.acknowledged);
        println!(
            "{what}: {acknowledged} acknowledged changes; sessions broke or were told to wait {} times; of the unanswered \
             changes {} were done, {} not",
            sum(|person| person.interrupted),
            sum(|person| person.unknown[0]),
            sum(|person| person.unknown[1])
        );
        ensure!(acknowledged > 0, "nothing was acknowledged");
        self.cluster.replicas_agree().context(what.to_owned())
    }
}

/// Lets the load run on: the time is the point.
pub fn meanwhile(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}
