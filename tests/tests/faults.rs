//! Faults of a cluster under load: whatever happens, what was acknowledged is there, UIDs stay, nothing is done by half;
//! and once all is healed, the cluster serves.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use buzon_tests::cluster::Cluster;
use buzon_tests::disk::Disk;
use buzon_tests::load::endure::Fronts;
use buzon_tests::net::{Net, loopback_up, ran_inside};
use buzon_tests::s3::Mood;
use buzon_tests::seed::{is_long, seed};
use buzon_tests::trial::{CHANGED_WITHIN, PASSWORD, PEOPLE, SIZE, Trial, meanwhile};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What room is left in the log's last file is used up by then.
const LOG_ENDS_WITHIN: Duration = Duration::from_secs(120);

#[test]
fn kill_9_of_any_process_loses_nothing() -> anyhow::Result<()> {
    let (seed, rounds) = (seed("faults"), if is_long() { 60 } else { 8 });
    let mut random = StdRng::seed_from_u64(seed);
    let mut trial = Trial::start(seed)?;
    trial.under_load(|cluster, fronts| {
        for round in 0..rounds {
            meanwhile(random.random_range(300..1500));
            match round % 4 {
                0 | 1 => {
                    let at =
                        if round % 4 == 0 { cluster.leader(1)? } else { random.random_range(0..SIZE.metads) };
                    cluster.metads[at].kill();
                    meanwhile(random.random_range(0..2000));
                    cluster.restart_metad(at)?;
                }
                2 => {
                    let at = random.random_range(0..SIZE.frontends);
                    let gone = fronts.lock().remove(at);
                    drop(gone);
                    cluster.frontends[at].kill();
                    cluster.restart_frontend(at)?;
                    fronts.lock().insert(at, cluster.front(at)?);
                }
                _ => {
                    let at = random.random_range(0..SIZE.metads);
                    cluster.crash_database(at);
                    meanwhile(random.random_range(0..2000));
                    cluster.resume_database(at);
                }
            }
        }
        Ok(())
    })?;
    trial.finish("kill -9")
}

#[test]
fn a_power_cut_of_all_nodes_at_once_loses_nothing() -> anyhow::Result<()> {
    let rounds = if is_long() { 10 } else { 2 };
    let mut trial = Trial::start(seed("all at once"))?;
    trial.under_load(|cluster, _| {
        for _ in 0..rounds {
            meanwhile(1500);
            cluster.metads.iter_mut().for_each(buzon_tests::process::Process::kill);
            (0..SIZE.metads).for_each(|at| cluster.crash_database(at));
            (0..SIZE.metads).for_each(|at| cluster.resume_database(at));
            cluster.metads.iter_mut().try_for_each(buzon_tests::process::Process::start)?;
            for metad in &mut cluster.metads {
                metad.wait_line("ready", Duration::from_secs(120))?;
            }
        }
        Ok(())
    })?;
    trial.finish("all metadata nodes at once")
}

#[test]
fn processes_that_stop_for_a_while_do_no_harm() -> anyhow::Result<()> {
    let mut trial = Trial::start(seed("pauses"))?;
    trial.under_load(|cluster, _| {
        for follower in [false, true] {
            let leader = cluster.leader(1)?;
            let at = if follower { (leader + 1) % SIZE.metads } else { leader };
            cluster.metads[at].signal("STOP")?;
            meanwhile(4000);
            cluster.metads[at].signal("CONT")?;
            meanwhile(1000);
        }
        cluster.frontends[0].signal("STOP")?;
        meanwhile(3000);
        cluster.frontends[0].signal("CONT")?;
        Ok(())
    })?;
    trial.finish("SIGSTOP and SIGCONT")
}

#[test]
fn an_object_store_in_any_mood_loses_nothing() -> anyhow::Result<()> {
    let mut trial = Trial::start(seed("object store"))?;
    trial.under_load(|cluster, _| {
        for mood in [Mood::Flaky, Mood::Forgetful, Mood::Slow, Mood::Down, Mood::Well] {
            cluster.s3.set(mood);
            meanwhile(4000);
        }
        Ok(())
    })?;
    trial.finish("object store down, slow, failing, forgetful")
}

#[test]
fn a_rolling_restart_under_load_loses_nothing_and_drains() -> anyhow::Result<()> {
    let mut trial = Trial::start(seed("rolling restart"))?;
    trial.under_load(|cluster, fronts| {
        for at in 0..SIZE.metads {
            meanwhile(500);
            let ended = cluster.metads[at].terminate()?;
            ensure!(ended.success(), "metad {at} ended with {ended}");
            cluster.restart_metad(at)?;
        }
        for at in 0..SIZE.frontends {
            meanwhile(500);
            let gone = fronts.lock().remove(at);
            drop(gone);
            let ended = cluster.frontends[at].terminate()?;
            ensure!(ended.success(), "front-end {at} ended with {ended}");
            cluster.restart_frontend(at)?;
            fronts.lock().insert(at, cluster.front(at)?);
        }
        Ok(())
    })?;
    trial.finish("rolling restart")
}

#[test]
fn nodes_and_shards_come_and_go_under_load_and_nothing_is_lost() -> anyhow::Result<()> {
    let mut trial = Trial::start(seed("members"))?;
    trial.under_load(|cluster, _| {
        // A fourth node takes its share; the leader of the directory goes for good.
        let new = cluster.add_metad()?;
        cluster.wait_replicas(new)?;
        let (first, gone) = (cluster.leader(1)?, cluster.leader(0)?);
        let id = cluster.ids[gone].to_string();
        let from = if gone == new { first } else { new };
        cluster.ctl(if from == gone { (gone + 1) % 4 } else { from }, &["node", "remove", &id])?;
        ensure!(cluster.metads[gone].terminate()?.success(), "the removed node did not end well");
        // More shards; an account goes there.
        let added = cluster.ctl_anywhere(&["shard", "add", "2"])?;
        ensure!(added["groups"] == serde_json::json!([5, 6]), "{added}");
        let account = cluster.account("new@load.example", PASSWORD)?;
        ensure!(account["shard"] == 5 || account["shard"] == 6, "{account}");
        // And some that are there already, while they are used.
        for number in 0..PEOPLE / 2 {
            let user = format!("p{number}@load.example");
            // On a busy machine one is given up now and then, and the account stays where it is.
            let until = Instant::now() + CHANGED_WITHIN;
            while let Err(error) = cluster.ctl_anywhere(&["account", "move", &user, "--shard", "6"]) {
                ensure!(Instant::now() < until, "{user} is not moved: {error:#}");
                meanwhile(500);
            }
            let moved = cluster.ctl_anywhere(&["account", "show", &user])?;
            ensure!(moved["shard"] == 6, "{moved}");
        }
        // A disk is lost, and with it a vote in every group of the node.
        let lost = (gone + 1) % 3;
        cluster.lose_disk(lost)?;
        cluster.wait_replicas(lost)?;
        // Now the others may go in turn.
        let other = (gone + 2) % 3;
        cluster.metads[other].kill();
        meanwhile(3000);
        cluster.restart_metad(other)
    })?;
    trial.finish("nodes added, removed, replaced; shards added; accounts moved")
}

/// Somebody, or a disk, changes a number in one node's database.
#[test]
fn a_replica_that_differs_is_put_into_quarantine_and_mended() -> anyhow::Result<()> {
    let mut trial = Trial::start(seed("quarantine"))?;
    trial.under_load(|cluster, _| {
        meanwhile(1000);
        let odd = (cluster.leader(1)? + 1) % SIZE.metads;
        cluster.metads[odd].kill();
        let spoilt = cluster.change_database(odd, "UPDATE account SET messages = messages + 5");
        ensure!(spoilt > 0, "the node has no account");
        cluster.restart_metad(odd)?;
        let shard = cluster.ctl_anywhere(&["account", "show", "p0@load.example"])?["shard"].clone();
        let shard = shard.as_u64().context("a shard")?;
        let until = Instant::now() + CHANGED_WITHIN;
        while !cluster.quarantined(odd)?.contains(&shard) {
            ensure!(Instant::now() < until, "the replica of shard {shard} is not found out");
            meanwhile(200);
        }
        // What has accounts there has one more entry for each of them by now.
        meanwhile(3000);
        let id = cluster.ids[odd].to_string();
        let until = Instant::now() + CHANGED_WITHIN;
        loop {
            let groups = cluster.quarantined(odd)?;
            let Some(group) = groups.first() else { break };
            cluster.ctl_anywhere(&["shard", "refill", &group.to_string(), "--node", &id])?;
            ensure!(Instant::now() < until, "{groups:?} stay in quarantine");
            meanwhile(1000);
        }
        let healthy = (0..SIZE.metads).filter(|at| *at != odd);
        for at in healthy {
            ensure!(cluster.quarantined(at)?.is_empty(), "node {at} is in quarantine");
        }
        Ok(())
    })?;
    trial.finish("a database that was changed")
}

#[test]
fn partitions_and_loss_between_nodes_lose_nothing() -> anyhow::Result<()> {
    if ran_inside("partitions_and_loss_between_nodes_lose_nothing")? {
        return Ok(());
    }
    let seed = seed("partitions");
    let mut random = StdRng::seed_from_u64(seed);
    let (cluster, net) = Cluster::start_in(SIZE)?;
    let mut trial = Trial::over(cluster, seed)?;
    trial.under_load(|cluster, _| {
        for round in 0..if is_long() { 42 } else { 7 } {
            let group = random.random_range(0..=SIZE.shards as u64);
            let leader = cluster.leader(group)?;
            let other = (leader + random.random_range(1..SIZE.metads)) % SIZE.metads;
            match round % 7 {
                // A leader alone, which must not acknowledge or serve anything old.
                0 => net.isolate(leader)?,
                1 => net.mute(leader)?,
                2 => net.deafen(leader)?,
                // One wire of three, both ways, or one.
                3 => net.cut(leader, other).and_then(|()| net.cut(other, leader))?,
                4 => net.cut(leader, other)?,
                // Front-ends do not reach a node that the others do.
                5 => net.cut_home(leader)?,
                _ => net.lose(20)?,
            }
            meanwhile(random.random_range(2000..5000));
            if round % 7 == 0 {
                // Else nothing was cut.
                let seen = cluster.ctl(other, &["shard", "list"])?;
                let now = &seen[usize::try_from(group)?]["leader"];
                ensure!(!now.is_null() && *now != cluster.ids[leader], "group {group} is still led: {seen}");
            }
            net.heal()?;
            meanwhile(500);
        }
        Ok(())
    })?;
    trial.finish("partitions and loss")
}

#[test]
fn long_wires_between_nodes_lose_nothing() -> anyhow::Result<()> {
    let seed = seed("long wires");
    let (cluster, wires) = Cluster::start_over(SIZE)?;
    let mut trial = Trial::over(cluster, seed)?;
    trial.under_load(|_, _| {
        // One node far away; all; so far that leaders are given up again and again.
        for (at, milliseconds) in [(0, 100), (1, 500), (2, 1500), (3, 50), (3, 1200)] {
            let moved = wires.iter().enumerate().filter(|(wire, _)| at == SIZE.metads || *wire == at);
            moved.clone().for_each(|(_, wire)| wire.delay(milliseconds));
            meanwhile(4000);
            moved.for_each(|(_, wire)| wire.delay(0));
            meanwhile(500);
        }
        Ok(())
    })?;
    trial.finish("delay")
}

#[test]
fn full_disks_lose_nothing() -> anyhow::Result<()> {
    if ran_inside("full_disks_lose_nothing")? {
        return Ok(());
    }
    loopback_up()?;
    let mut cluster = Cluster::prepare(SIZE)?;
    let log = Disk::at(&cluster.metads[0].data_dir())?;
    cluster.crash_database(1);
    let rows = Disk::at(&cluster.databases[1].data())?;
    cluster.resume_database(1);
    let mut trial = Trial::over(cluster.found(SIZE)?, seed("full disks"))?;
    trial.under_load(|cluster, _| {
        for _ in 0..if is_long() { 10 } else { 2 } {
            log.fill()?;
            let full = Instant::now();
            while cluster.metads[0].is_alive() && full.elapsed() < LOG_ENDS_WITHIN {
                meanwhile(100);
            }
            log.free()?;
            // What cannot write its log does not go on; whatever runs it starts it again.
            ensure!(!cluster.metads[0].is_alive(), "node 1 goes on with a full disk under its log");
            cluster.metads[0].kill();
            cluster.restart_metad(0)?;
            rows.fill()?;
            meanwhile(4000);
            rows.free()?;
            // So with the database, if it cannot write its own log.
            cluster.crash_database(1);
            cluster.resume_database(1);
            if !cluster.metads[1].is_alive() {
                cluster.metads[1].kill();
                cluster.restart_metad(1)?;
            }
        }
        Ok(())
    })?;
    trial.finish("disk full")
}

#[test]
fn wall_clocks_that_jump_lose_nothing() -> anyhow::Result<()> {
    let mut trial = Trial::start(seed("clocks"))?;
    let clock = trial.cluster.scratch().join("clock");
    std::fs::write(&clock, "+0")?;
    trial.under_load(|cluster, _| {
        let leader = cluster.leader(1)?;
        cluster.metads[leader].kill();
        // Read again at every look at the clock; timers keep the machine's own.
        cluster.metads[leader].environment(vec![
            ("LD_PRELOAD".to_owned(), "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1".to_owned()),
            ("FAKETIME_TIMESTAMP_FILE".to_owned(), clock.display().to_string()),
            ("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()),
            ("DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
        ]);
        cluster.restart_metad(leader)?;
        for jump in ["+3600", "-3600", "+3600", "+0"] {
            std::fs::write(&clock, jump)?;
            // Others go in turn, so that it leads and its clock is the one that entries carry.
            meanwhile(4000);
            let other = (leader + 1) % SIZE.metads;
            cluster.metads[other].kill();
            meanwhile(2000);
            cluster.restart_metad(other)?;
        }
        cluster.metads[leader].environment(Vec::new());
        cluster.metads[leader].kill();
        cluster.restart_metad(leader)
    })?;
    trial.finish("clocks that jump")
}

#[test]
fn faults_of_all_kinds_in_any_order_lose_nothing() -> anyhow::Result<()> {
    if ran_inside("faults_of_all_kinds_in_any_order_lose_nothing")? {
        return Ok(());
    }
    let (seed, rounds) = (seed("mixture"), if is_long() { 120 } else { 12 });
    let mut random = StdRng::seed_from_u64(seed);
    let (cluster, net) = Cluster::start_in(SIZE)?;
    let mut trial = Trial::over(cluster, seed)?;
    trial.under_load(|cluster, fronts| {
        let mut hurt = Hurt::default();
        for _ in 0..rounds {
            match random.random_range(0..3) {
                0 => hurt.heal_one(cluster, &net, &mut random)?,
                _ => hurt.one_more(cluster, &net, fronts, &mut random)?,
            }
            meanwhile(random.random_range(200..2500));
        }
        hurt.heal_all(cluster, &net)
    })?;
    trial.finish("a mixture")
}

/// What is broken now: any number of things at once.
#[derive(Default)]
struct Hurt {
    dead: Vec<usize>,
    paused: Vec<usize>,
    crashed: Vec<usize>,
}

impl Hurt {
    fn one_more(
        &mut self,
        cluster: &mut Cluster,
        net: &Net,
        fronts: &Fronts,
        random: &mut StdRng,
    ) -> anyhow::Result<()> {
        let at = random.random_range(0..SIZE.metads);
        // Mostly a majority is left, so that there is something to lose.
        if !random.random_ratio(1, 4) {
            net.heal()?;
            self.heal_processes(cluster)?;
        }
        let is_well = !self.dead.contains(&at) && !self.paused.contains(&at);
        match random.random_range(0..9) {
            0 if is_well => {
                cluster.metads[at].kill();
                self.dead.push(at);
            }
            1 if is_well => {
                cluster.metads[at].signal("STOP")?;
                self.paused.push(at);
            }
            2 if !self.crashed.contains(&at) => {
                cluster.crash_database(at);
                self.crashed.push(at);
            }
            3 => net.isolate(at)?,
            4 => net.cut(at, (at + 1) % SIZE.metads)?,
            5 => net.mute(at)?,
            6 => net.lose(10)?,
            7 => cluster.s3.set([Mood::Flaky, Mood::Forgetful, Mood::Slow][random.random_range(0..3)]),
            _ => {
                let at = random.random_range(0..SIZE.frontends);
                let gone = fronts.lock().remove(at);
                drop(gone);
                cluster.frontends[at].kill();
                // A front-end is ready once it has seen the directory: not before the network is well.
                net.heal()?;
                self.heal_processes(cluster)?;
                cluster.restart_frontend(at)?;
                fronts.lock().insert(at, cluster.front(at)?);
            }
        }
        Ok(())
    }

    fn heal_one(&mut self, cluster: &mut Cluster, net: &Net, random: &mut StdRng) -> anyhow::Result<()> {
        match random.random_range(0..3) {
            0 => net.heal(),
            1 => {
                cluster.s3.set(Mood::Well);
                Ok(())
            }
            _ => self.heal_processes(cluster),
        }
    }

    /// All that was stopped is started; none is waited for, since what it needs may still be broken.
    fn heal_processes(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        self.crashed.drain(..).for_each(|at| cluster.resume_database(at));
        self.dead.drain(..).try_for_each(|at| cluster.metads[at].start())?;
        self.paused.drain(..).try_for_each(|at| cluster.metads[at].signal("CONT"))
    }

    fn heal_all(&mut self, cluster: &mut Cluster, net: &Net) -> anyhow::Result<()> {
        net.heal()?;
        cluster.s3.set(Mood::Well);
        self.heal_processes(cluster)?;
        // What gave up meanwhile is started again, as whatever runs it would.
        for metad in &mut cluster.metads {
            if !metad.is_alive() {
                metad.kill();
                metad.start()?;
            }
        }
        Ok(())
    }
}
