//! What goes wrong, from the seed. Whatever is begun here ends by itself or is healed; nothing begins after that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buzon_types::id::{GroupId, NodeId};

use super::cluster::{World, address, on};
use super::network::Weather;
use super::oracle::Event;
use crate::group::Member;
use crate::keep::Room;

/// A change of members that takes longer is given up; what it has begun is for the next one.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Faults {
    world: Arc<World>,
    /// One change of members at a time.
    changing: Arc<AtomicBool>,
    /// Whose database was lost: one only, since two may take what a majority had acknowledged.
    lost: Option<u64>,
}

impl Faults {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), changing: Arc::default(), lost: None }
    }

    pub(crate) fn next(&mut self) {
        let random = &self.world.random;
        let id = 1 + random.below(self.world.plan.nodes());
        match random.below(100) {
            0..14 => self.crash(id),
            14..17 => self.crash_leader(),
            17 => self.restart(id),
            18..20 => (1..=self.world.plan.nodes()).for_each(|id| self.crash(id)),
            20..27 => self.pause(id),
            27..45 => self.partition(),
            45..55 => self.world.network.mend(),
            55..61 => self.weather(),
            61..67 => self.slow_disk(id),
            67..77 => self.database(id),
            77..79 => self.lose_database(id),
            79..84 => self.transfer(id),
            84..91 => self.change_members(),
            91..96 => self.snapshot(id),
            96..98 => self.world.jump(id),
            _ => self.fail_disk(id),
        }
    }

    /// Everything is well from now on.
    pub(crate) fn heal(&mut self) {
        let world = &self.world;
        world.network.set_weather(Weather::fine());
        world.network.mend();
        for (id, machine) in &world.machines {
            machine.disk.sync_takes(0..3);
            machine.disk.fail_next(false);
            machine.database.statements_take(0..2);
            machine.database.statements_fail(0);
            if let Some(life) = world.life(*id) {
                life.pause(false);
            }
            world.start(*id);
        }
    }

    fn note(&self, what: &'static str, line: impl FnOnce() -> String) {
        self.world.oracle.count(what);
        self.world.oracle.trace(|| format!("FAULT {what}: {}", line()));
    }

    fn later(&self, after: Duration, work: impl FnOnce(&Arc<World>) + Send + 'static) {
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            work(&world);
        });
    }

    fn crash(&self, id: u64) {
        let (power, after) = (self.world.random.permille(600), self.world.random.millis(1..3_000));
        self.note("crashes", || format!("node {id}, power {power}, for {after:?}"));
        self.world.end(id, power);
        self.later(after, move |world| world.start(id));
    }

    fn crash_leader(&self) {
        let group = self.any_group();
        if let Some((id, _)) = self.world.leader(group) {
            self.crash(id);
        }
    }

    fn any_group(&self) -> GroupId {
        *self.world.random.pick(&self.world.plan.groups).expect("there are groups")
    }

    fn pause(&self, id: u64) {
        let Some(life) = self.world.life(id).filter(|life| !life.is_paused()) else { return };
        let after = self.world.random.millis(20..4_000);
        self.note("pauses", || format!("node {id} for {after:?}"));
        life.pause(true);
        self.later(after, move |_| life.pause(false));
    }

    /// One node is alone, one way or both; or some are on one side and some on the other; clients too.
    fn partition(&self) {
        let random = &self.world.random;
        let nodes: Vec<u64> = self.world.machines.keys().copied().collect();
        let clients = (0..=self.world.plan.clients).map(|number| 1_000 + number);
        let all: Vec<u64> = nodes.iter().copied().chain(clients).collect();
        let alone = nodes[random.below(nodes.len() as u64) as usize];
        let kind = random.below(4);
        let side: BTreeSet<u64> = match kind {
            3 => all.iter().copied().filter(|_| random.permille(500)).collect(),
            _ => BTreeSet::from([alone]),
        };
        let mut cut = Vec::new();
        for from in &all {
            for to in all.iter().filter(|to| side.contains(from) != side.contains(to)) {
                let goes = match kind {
                    // Nothing reaches it; nothing comes from it.
                    0 => side.contains(to),
                    1 => side.contains(from),
                    _ => true,
                };
                // Clients still reach it now and then, so that it shows what it believes.
                let by_client = *from >= 1_000 || *to >= 1_000;
                if goes && (kind == 3 || !by_client || random.permille(300)) {
                    cut.push((*from, *to));
                }
            }
        }
        self.note("partitions", || format!("kind {kind}, {side:?}"));
        cut.into_iter().for_each(|(from, to)| self.world.network.cut(from, to));
        if random.permille(700) {
            self.later(random.millis(50..5_000), |world| world.network.mend());
        }
    }

    fn weather(&self) {
        let random = &self.world.random;
        let slow = 1_000 + random.below(*random.pick(&[2_000, 20_000, 200_000]).unwrap_or(&1));
        let weather = Weather {
            delay: 1_000..slow + 1_000,
            broken: *random.pick(&[0, 0, 20, 200]).unwrap_or(&0),
            twice: *random.pick(&[0, 50, 300]).unwrap_or(&0),
        };
        self.note("weathers", || format!("{weather:?}"));
        self.world.network.set_weather(weather);
    }

    fn slow_disk(&self, id: u64) {
        let most = *self.world.random.pick(&[10, 100, 1_000]).unwrap_or(&10);
        self.note("slow disks", || format!("node {id}: {most} ms"));
        self.world.machines[&id].disk.sync_takes(0..most);
        let after = self.world.random.millis(100..4_000);
        self.later(after, move |world| world.machines[&id].disk.sync_takes(0..3));
    }

    fn fail_disk(&self, id: u64) {
        self.note("failed disks", || format!("node {id}"));
        self.world.machines[&id].disk.fail_next(true);
        let after = self.world.random.millis(200..3_000);
        self.later(after, move |world| {
            world.machines[&id].disk.fail_next(false);
            // Its process has ended, if it wrote anything.
            world.start(id);
        });
    }

    fn database(&self, id: u64) {
        let (random, database) = (&self.world.random, Arc::clone(&self.world.machines[&id].database));
        match random.below(4) {
            0 | 1 => {
                let after = if random.permille(500) { Duration::ZERO } else { random.millis(1..2_000) };
                self.note("database restarts", || format!("node {id}, down for {after:?}"));
                database.restart(after);
            }
            2 => {
                let permille = *random.pick(&[30, 200, 700]).unwrap_or(&30);
                self.note("database errors", || format!("node {id}: {permille} of a thousand"));
                database.statements_fail(permille);
                self.later(random.millis(50..2_000), move |_| database.statements_fail(0));
            }
            _ => {
                let most = *random.pick(&[10, 100, 400]).unwrap_or(&10);
                self.note("slow databases", || format!("node {id}: {most} ms"));
                database.statements_take(0..most);
                self.later(random.millis(50..2_000), move |_| database.statements_take(0..2));
            }
        }
    }

    fn lose_database(&mut self, id: u64) {
        self.world.machines[&id].database.back_up();
        if self.world.plan.founders < 3 || self.lost.is_some_and(|lost| lost != id) {
            return;
        }
        self.lost = Some(id);
        let (world, after) = (&self.world, self.world.random.millis(1..3_000));
        self.note("lost databases", || format!("node {id}"));
        world.end(id, true);
        for group in &world.plan.groups {
            world.oracle.observe(*group, &Event::DatabaseLost { node: NodeId(id) });
        }
        world.machines[&id].database.lose();
        self.later(after, move |world| world.start(id));
    }

    /// An operator's restart: the node closes its groups and its log before it ends.
    fn restart(&self, id: u64) {
        let Some(listener) = self.world.network.listener(id) else { return };
        let after = self.world.random.millis(1..2_000);
        self.note("restarts", || format!("node {id}, for {after:?}"));
        let (life, node) = (listener.life, listener.node);
        life.spawn(async move { node.close().await });
        self.later(after, move |world| {
            // Not another process, which a crash has made meanwhile.
            if world.life(id).is_some_and(|now| now.count() == life.count()) {
                world.end(id, false);
            }
            world.start(id);
        });
    }

    fn transfer(&self, to: u64) {
        let group = self.any_group();
        let Some((id, leader)) = self.world.leader(group) else { return };
        self.note("transfers", || format!("group {group} from {id} to {to}"));
        on(&self.world, id, async move { drop(leader.transfer_leader(NodeId(to)).await) });
    }

    fn snapshot(&self, id: u64) {
        let group = self.any_group();
        let Some(replica) = self.world.group(id, group) else { return };
        let room =
            self.world.random.pick(&[Room::Enough, Room::Little, Room::None]).copied().unwrap_or_default();
        self.note("snapshots", || format!("group {group} on node {id}, room for the log: {room:?}"));
        on(&self.world, id, async move { drop(replica.relieve_log(room).await) });
    }

    /// Other members; who is none any more forgets the group, or keeps what it has.
    fn change_members(&self) {
        let (world, random, group) = (&self.world, &self.world.random, self.any_group());
        let Some((leader_id, leader)) = world.leader(group) else { return };
        if self.changing.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut nodes: Vec<u64> = world.machines.keys().copied().collect();
        let least = world.plan.founders.min(3) as usize;
        while nodes.len() > least && random.permille(600) {
            nodes.remove(random.below(nodes.len() as u64) as usize);
        }
        let voters = nodes.len() - (nodes.len() > least && random.permille(300)) as usize;
        let member = |(place, id): (usize, &u64)| {
            (NodeId(*id), Member { address: address(*id), votes: place < voters })
        };
        let members: BTreeMap<NodeId, Member> = nodes.iter().enumerate().map(member).collect();
        self.note("changes of members", || format!("group {group}: {nodes:?}, {voters} vote"));
        world.ensure(group, &members.keys().map(|id| id.0).collect());
        let (changing, world_) = (Arc::clone(&self.changing), Arc::clone(world));
        let changed = on(world, leader_id, async move {
            tokio::time::timeout(CHANGE_TIME_MAX, leader.set_members(&members))
                .await
                .is_ok_and(|it| it.is_ok())
        });
        let removes = random.permille(500);
        tokio::spawn(async move {
            let changed = match changed {
                Some(changed) => changed.await.unwrap_or(false),
                None => false,
            };
            world_.oracle.trace(|| format!("group {group}: members changed: {changed}"));
            if changed {
                world_.oracle.count("members changed");
            }
            let gone = world_.machines.keys().copied().filter(|id| !nodes.contains(id));
            for id in gone.filter(|_| changed && removes) {
                let Some(listener) = world_.network.listener(id) else { continue };
                world_.forget_ensured(id, group);
                let removed =
                    listener.life.spawn(async move { listener.node.remove_group(group).await.is_ok() });
                let removed = removed.await.unwrap_or(false);
                world_.oracle.trace(|| format!("group {group} removed from node {id}: {removed}"));
                if removed {
                    world_.oracle.count("groups removed");
                }
            }
            changing.store(false, Ordering::SeqCst);
        });
    }
}
