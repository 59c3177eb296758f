//! A whole cluster on this machine: deliveries and FETCH through one, two and three front-ends, deliveries with 1, 4 and 16
//! shards; how many a second, and how much of a core each process took for one. All processes, the clients too, share the
//! machine's cores, so that the rate says little and the cost much. Build the binary in release first:
//! `cargo build --release -p buzon`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use buzon_benches::asked_for;
use buzon_tests::cluster::{Cluster, Size};
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
use buzon_tests::load::person::Addresses;

const CLIENTS: usize = 8;
const LASTS: Duration = Duration::from_secs(8);
const PASSWORD: &str = "bench";
/// What Linux counts processor time in.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> anyhow::Result<()> {
    if !asked_for("cluster") {
        return Ok(());
    }
    println!("{CLIENTS} clients, 1 KB messages, {LASTS:?} each; milliseconds of a core per operation");
    for frontends in [1, 2, 3] {
        let bench = Bench::start(Size { metads: 3, frontends, shards: 4 })?;
        bench.measure(&format!("deliver, {frontends} front-ends, 4 shards"), deliver)?;
        bench.measure(&format!("fetch a body, {frontends} front-ends, 4 shards"), fetch)?;
    }
    for shards in [1, 4, 16] {
        let bench = Bench::start(Size { metads: 3, frontends: 2, shards })?;
        bench.measure(&format!("deliver, 2 front-ends, {shards} shards"), deliver)?;
    }
    Ok(())
}

struct Bench {
    cluster: Cluster,
    fronts: Vec<Addresses>,
}

/// One client's work: its number, where it goes, when it ends, what it has done.
type Work = fn(usize, &Addresses, &AtomicBool, &AtomicU64) -> anyhow::Result<()>;

impl Bench {
    fn start(size: Size) -> anyhow::Result<Self> {
        let cluster = Cluster::start(size)?;
        for number in 0..CLIENTS {
            cluster.account(&user(number), PASSWORD)?;
        }
        let fronts = (0..size.frontends).map(|at| cluster.front(at)).collect::<anyhow::Result<Vec<_>>>()?;
        for number in 0..CLIENTS {
            let mut lmtp = Lmtp::connect(fronts[0].lmtp)?;
            for _ in 0..100 {
                lmtp.deliver("a@example.net", &[&user(number)], &mail())?;
            }
        }
        Ok(Self { cluster, fronts })
    }

    fn measure(&self, what: &str, work: Work) -> anyhow::Result<()> {
        let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
        let before = self.cores()?;
        let began = Instant::now();
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (front, stop, done) = (&self.fronts[number % self.fronts.len()], &stop, &done);
                    scope.spawn(move || work(number, front, stop, done))
                })
                .collect();
            std::thread::sleep(LASTS);
            stop.store(true, Ordering::Release);
            clients
                .into_iter()
                .try_for_each(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
        })?;
        let (took, done) = (began.elapsed().as_secs_f64(), done.load(Ordering::Acquire) as f64);
        let costs: Vec<String> = self
            .cores()?
            .into_iter()
            .map(|(role, ticks)| {
                let used = (ticks - before[role]) / TICKS_PER_SECOND * 1000.0 / done;
                format!("{role} {used:.3}")
            })
            .collect();
        println!("{what}: {:.0} a second; {}", done / took, costs.join(", "));
        Ok(())
    }

    /// Processor time so far, by role.
    fn cores(&self) -> anyhow::Result<BTreeMap<&'static str, f64>> {
        let mut ticks = BTreeMap::new();
        for (role, processes) in [("front-ends", &self.cluster.frontends), ("metads", &self.cluster.metads)] {
            let pids = processes.iter().filter_map(buzon_tests::process::Process::pid);
            ticks.insert(role, pids.map(of_process).sum::<anyhow::Result<f64>>()?);
        }
        let mut databases = 0.0;
        for database in &self.cluster.databases {
            let file = fs::read_to_string(database.data().join("postmaster.pid"))?;
            let pid = file.lines().next().context("a postmaster")?.parse()?;
            databases += of_process(pid)?;
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            for child in children.split_whitespace() {
                databases += of_process(child.parse()?).unwrap_or(0.0); // it may have ended
            }
        }
        ticks.insert("databases", databases);
        Ok(ticks)
    }
}

/// User and system time, in ticks (proc(5), fields 14 and 15).
fn of_process(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').context("a name in parentheses")?.1;
    fields.split_whitespace().skip(11).take(2).map(|field| Ok(field.parse::<f64>()?)).sum()
}

fn deliver(number: usize, at: &Addresses, stop: &AtomicBool, done: &AtomicU64) -> anyhow::Result<()> {
    let mut lmtp = Lmtp::connect(at.lmtp)?;
    while !stop.load(Ordering::Acquire) {
        lmtp.deliver("a@example.net", &[&user(number)], &mail())?;
        done.fetch_add(1, Ordering::AcqRel);
    }
    Ok(())
}

fn fetch(number: usize, at: &Addresses, stop: &AtomicBool, done: &AtomicU64) -> anyhow::Result<()> {
    let mut imap = Imap::login(at.imaps, &at.ca, &user(number), PASSWORD)?;
    imap.ok("EXAMINE INBOX")?;
    for message in (1..=100).cycle() {
        if stop.load(Ordering::Acquire) {
            break;
        }
        imap.ok(&format!("FETCH {message} (BODY.PEEK[])"))?;
        done.fetch_add(1, Ordering::AcqRel);
    }
    Ok(())
}

fn user(number: usize) -> String {
    format!("bench{number}@example.org")
}

fn mail() -> Vec<u8> {
    format!("From: a@example.org\r\nSubject: bench\r\n\r\n{}\r\n", "0123456789\r\n".repeat(80)).into_bytes()
}
