//! Upgrades: a cluster that an earlier commit founded serves while its processes are started again with today's binary, one
//! after the other, and back; then the operator finalizes, and what the new level brings is used.
//!
//! ```text
//!              front-end 1  front-end 2  metad 1  metad 2  metad 3
//! founded          old          old        old      old      old
//!                  NEW          old        old      old      old
//!                  NEW          old        NEW      old      old
//! the way back     NEW          old        old      old      old
//!                  NEW          old        NEW      old      old
//!                  NEW          old        NEW      NEW      old
//!                  NEW          old        NEW      NEW      NEW with an empty database: the log replays
//!                  NEW          NEW        NEW      NEW      NEW      then `upgrade finalize`
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buzon_tests::cluster::Cluster;
use buzon_tests::load::endure::Fronts;
use buzon_tests::load::tour::Tour;
use buzon_tests::previous::Previous;
use buzon_tests::seed::{is_long, seed};
use buzon_tests::server::binary;
use buzon_tests::trial::{PASSWORD, SIZE, Trial, meanwhile};
use serde_json::{Value, json};

/// Leaders come back to a node within this, every node has heard of a new level, and what was away for now is there again: some
/// seconds, with room for a busy machine.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);
/// Accounts move between shards from this feature level on.
const LEVEL_MOVES: u64 = 3;

#[test]
fn the_commit_before_is_upgraded_under_load_and_nothing_is_lost() -> anyhow::Result<()> {
    let test = "the_commit_before_is_upgraded_under_load_and_nothing_is_lost";
    let Some(old) = Previous::find("previous", test)? else { return Ok(()) };
    (0..if is_long() { 3 } else { 1 }).try_for_each(|_| upgrade(&old))
}

#[test]
fn the_oldest_commit_is_upgraded_under_load_and_nothing_is_lost() -> anyhow::Result<()> {
    let test = "the_oldest_commit_is_upgraded_under_load_and_nothing_is_lost";
    let Some(old) = Previous::find("oldest", test)? else { return Ok(()) };
    upgrade(&old)
}

fn upgrade(old: &Previous) -> anyhow::Result<()> {
    let new = binary()?;
    let cluster = Cluster::prepare_from(SIZE, old.binary.clone())?.found(SIZE)?;
    cluster.account("tour@load.example", PASSWORD)?;
    let mut world = World {
        old: &old.binary,
        new: &new,
        tour: Tour::new("tour@load.example", PASSWORD),
        states: 0,
        asked: 0,
    };
    let mut trial = Trial::over(cluster, seed("versions"))?;
    trial.under_load(|cluster, fronts| {
        world.serves(cluster, "all are old")?;
        let level = possible(cluster)?;
        world.front_end(cluster, fronts, 0, &new)?;
        world.serves(cluster, "one front-end is new")?;
        world.metad(cluster, 0, &new)?;
        world.serves(cluster, "and one metad")?;
        world.way_back(cluster, 0)?;
        world.metad(cluster, 1, &new)?;
        world.serves(cluster, "one metad is old, and one front-end")?;
        cluster.metads[2].kill();
        cluster.lose_database(2)?;
        world.start(cluster, 2, &new)?;
        world.serves(cluster, "one front-end is old, and one metad replays its log")?;
        world.front_end(cluster, fronts, 1, &new)?;
        world.serves(cluster, "all are new")?;
        finalize(cluster, level)?;
        world.serves(cluster, "the upgrade is final")?;
        new_things(cluster, "p0@load.example")?;
        if possible(cluster)? > level {
            world.refuses_the_old(cluster, 1)?;
        }
        Ok(())
    })?;
    trial.finish(&format!("upgraded from {}", old.commit))
}

struct World<'a> {
    old: &'a Path,
    new: &'a Path,
    tour: Tour,
    /// How many states were looked at: names of what is made in each.
    states: u32,
    /// Which metad was asked last.
    asked: usize,
}

impl World<'_> {
    fn metad(&self, cluster: &mut Cluster, at: usize, binary: &Path) -> anyhow::Result<()> {
        let ended = cluster.metads[at].terminate()?;
        ensure!(ended.success(), "metad {at} ended with {ended}");
        self.start(cluster, at, binary)
    }

    /// Starts it, and waits until it leads: it does not only look on.
    fn start(&self, cluster: &mut Cluster, at: usize, binary: &Path) -> anyhow::Result<()> {
        cluster.metads[at].run_binary(binary.to_owned());
        cluster.restart_metad(at)?;
        let until = Instant::now() + SETTLES_WITHIN;
        while !leads(cluster, at)? {
            ensure!(Instant::now() < until, "node {} leads nothing, though it is back", cluster.ids[at]);
            meanwhile(200); // there is no event to wait for
        }
        Ok(())
    }

    fn front_end(
        &self,
        cluster: &mut Cluster,
        fronts: &Fronts,
        at: usize,
        binary: &Path,
    ) -> anyhow::Result<()> {
        drop(fronts.lock().remove(at));
        let ended = cluster.frontends[at].terminate()?;
        ensure!(ended.success(), "front-end {at} ended with {ended}");
        cluster.frontends[at].run_binary(binary.to_owned());
        cluster.restart_frontend(at)?;
        fronts.lock().insert(at, cluster.front(at)?);
        Ok(())
    }

    /// Before the upgrade is final, a node may go back to the old version, unless a migration says otherwise.
    fn way_back(&mut self, cluster: &mut Cluster, at: usize) -> anyhow::Result<()> {
        let back = self.metad(cluster, at, self.old);
        if cluster.metads[at].log().contains("was written by a later version") {
            eprintln!("NOT RUN: the way back: a migration raised reader_min");
            cluster.metads[at].kill();
        } else {
            back.context("go back to the old version")?;
            self.serves(cluster, "one metad went back")?;
            ensure!(cluster.metads[at].terminate()?.success(), "it ends well");
        }
        self.start(cluster, at, self.new)
    }

    /// Mail by every front-end, administration with old and new tools, while the load goes on.
    fn serves(&mut self, cluster: &mut Cluster, what: &str) -> anyhow::Result<()> {
        self.states += 1;
        println!("{what}");
        meanwhile(500);
        let (first, second) = (cluster.front(0)?, cluster.front(1)?);
        self.tour.go(&first, &second).with_context(|| what.to_owned())?;
        self.tour.go(&second, &first).with_context(|| what.to_owned())?;
        for (tool, binary) in [("old", self.old), ("new", self.new)] {
            cluster.run_binary(binary);
            // Each tool comes to each node: there are more states than nodes.
            self.asked = (self.asked + 1) % SIZE.metads;
            let name = format!("{tool}-{}", self.states);
            administer(cluster, self.asked, &name)
                .with_context(|| format!("{what}, {tool} ctl at metad {}", self.asked))?;
        }
        Ok(())
    }

    /// What the groups do now is not known to it: it must not even look on.
    fn refuses_the_old(&self, cluster: &mut Cluster, at: usize) -> anyhow::Result<()> {
        ensure!(cluster.metads[at].terminate()?.success(), "it ends well");
        cluster.metads[at].run_binary(self.old.to_owned());
        let refusal = "run a version of buzon that knows it";
        let before = cluster.metads[at].log().matches(refusal).count();
        cluster.metads[at].start()?;
        let until = Instant::now() + SETTLES_WITHIN;
        while cluster.metads[at].log().matches(refusal).count() == before {
            ensure!(Instant::now() < until, "a version that is too old does not say so");
            meanwhile(200); // there is no event to wait for
        }
        ensure!(!leads(cluster, at)?, "a version that is too old leads");
        cluster.metads[at].kill();
        self.start(cluster, at, self.new)
    }
}

/// Whether a node leads any shard, as any node says.
fn leads(cluster: &Cluster, at: usize) -> anyhow::Result<bool> {
    let shards = cluster.ctl_anywhere(&["shard", "list"]).unwrap_or_default();
    Ok(shards.as_array().into_iter().flatten().any(|shard| shard["leader"] == cluster.ids[at]))
}

/// `ctl` says so of what is away for now: leaders change while processes come and go.
fn is_away(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("exit status: 5")
}

/// Asks any node, and again what is away for now.
fn ask(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<Value> {
    let until = Instant::now() + SETTLES_WITHIN;
    loop {
        match cluster.ctl_anywhere(arguments) {
            Err(error) if is_away(&error) && Instant::now() < until => meanwhile(500),
            done => return done,
        }
    }
}

/// Every kind of order once, at one node; anew, with another account, if it was away for now.
fn administer(cluster: &Cluster, at: usize, name: &str) -> anyhow::Result<()> {
    let until = Instant::now() + SETTLES_WITHIN;
    let mut attempt = 0;
    loop {
        attempt += 1;
        match administer_once(cluster, at, &format!("{name}-{attempt}@load.example")) {
            Err(error) if is_away(&error) && Instant::now() < until => meanwhile(500),
            done => return done,
        }
    }
}

fn administer_once(cluster: &Cluster, at: usize, user: &str) -> anyhow::Result<()> {
    let made = cluster.ctl_with(at, &["account", "create", user], PASSWORD)?;
    ensure!(made["shard"].as_u64().is_some_and(|shard| shard > 0), "{made}");
    cluster.ctl_with(at, &["account", "passwd", user], "another word")?;
    cluster.ctl(at, &["account", "quota", user, "--messages", "77"])?;
    cluster.ctl(at, &["account", "suspend", user])?;
    cluster.ctl(at, &["account", "alias", "add", user, &format!("alias-{user}")])?;
    let shown = cluster.ctl(at, &["account", "show", user])?;
    ensure!(shown["status"] == "suspended" && shown["address"] == user, "{shown}");
    cluster.ctl(at, &["account", "delete", "--yes", user])?;
    let nodes = cluster.ctl(at, &["node", "list"])?;
    ensure!(nodes.as_array().map(Vec::len) == Some(SIZE.metads), "{nodes}");
    let shards = cluster.ctl(at, &["shard", "list"])?;
    ensure!(shards.as_array().map(Vec::len) == Some(SIZE.shards + 1), "{shards}");
    cluster.ctl(at, &["status"]).map(drop)
}

fn status(cluster: &Cluster) -> anyhow::Result<Value> {
    ask(cluster, &["upgrade", "status"])
}

/// The level that all nodes know. They tell each other once in a while.
fn possible(cluster: &Cluster) -> anyhow::Result<u64> {
    let until = Instant::now() + SETTLES_WITHIN;
    loop {
        let status = status(cluster)?;
        let all =
            status["nodes"].as_array().into_iter().flatten().all(|node| node["reachable"] == json!(true));
        if let Some(level) = status["level_possible"].as_u64().filter(|_| all) {
            return Ok(level);
        }
        ensure!(Instant::now() < until, "not every node says what it knows: {status}");
        meanwhile(200); // there is no event to wait for
    }
}

/// Nothing is raised before the operator says so; then everything.
fn finalize(cluster: &Cluster, old_level: u64) -> anyhow::Result<()> {
    let before = status(cluster)?;
    println!("{before}");
    ensure!(before["level_greatest"] == old_level, "raised by itself: {before}");
    let level = possible(cluster)?;
    let groups = before["groups"].as_u64().context("a number of groups")?;
    let waiting = if level > old_level { groups } else { 0 };
    ensure!(before["groups_to_raise"] == waiting, "{before}");
    let done = ask(cluster, &["upgrade", "finalize"])?;
    println!("finalize: {done}");
    ensure!(done["level"] == level, "{done}");
    let until = Instant::now() + SETTLES_WITHIN;
    loop {
        let after = status(cluster)?;
        if after["level_least"] == level && after["groups_to_raise"] == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < until, "not all groups are raised: {after}");
        meanwhile(200); // there is no event to wait for
    }
}

/// What came with the levels above the second, which every cluster has: a level that is new belongs here.
fn new_things(cluster: &Cluster, user: &str) -> anyhow::Result<()> {
    if possible(cluster)? >= LEVEL_MOVES {
        let from = ask(cluster, &["account", "show", user])?["shard"].as_u64().context("its shard")?;
        let to = 1 + from % SIZE.shards as u64;
        ask(cluster, &["account", "move", user, "--shard", &to.to_string()])?;
        let moved = ask(cluster, &["account", "show", user])?;
        ensure!(moved["shard"] == to, "{moved}");
    }
    Ok(())
}
