//! Processor time and memory of whole process trees, from /proc.
//!
//! Time is user and system time of every process that lives, and of those children that ended and were waited for
//! (`cutime`, `cstime`): in a tree whose parents wait for their children the sum never goes back, and what a short-lived process
//! took is in it. Memory is PSS: pages that several processes share count once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;

/// What Linux counts processor time in.
const TICKS_PER_SECOND: f64 = 100.0;

/// The first process of a tree, and what part of the server it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Root {
    /// Like `front-ends`; several roots may play one.
    pub(crate) role: &'static str,
    /// Its process.
    pub(crate) pid: u32,
}

/// Seconds of processor time so far, by role.
///
/// # Errors
/// If a root has ended.
pub(crate) fn seconds(roots: &[Root]) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let children = children()?;
    let mut seconds = BTreeMap::new();
    for root in roots {
        let time = times(root.pid).with_context(|| format!("{} has ended", root.role))?;
        // A child that ends between the listing and here is in its parent's time from the next look on.
        let below = below(&children, root.pid).into_iter().filter_map(times);
        let ticks: u64 = below.sum::<u64>() + time;
        *seconds.entry(root.role).or_default() += ticks as f64 / TICKS_PER_SECOND;
    }
    Ok(seconds)
}

/// KiB of memory now: PSS of all processes, and how many there are.
///
/// # Errors
/// If /proc cannot be read.
pub(crate) fn memory(roots: &[Root]) -> anyhow::Result<Memory> {
    let children = children()?;
    let mut memory = Memory::default();
    for root in roots {
        let pids = below(&children, root.pid).into_iter().chain([root.pid]);
        for pid in pids {
            let Some((rss, pss)) = resident(pid) else { continue }; // ended meanwhile
            memory.rss_kib += rss;
            memory.pss_kib += pss;
            memory.processes += 1;
        }
    }
    Ok(memory)
}

/// See [`memory`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Pages in RAM, shared ones counted in each process.
    pub(crate) rss_kib: u64,
    /// Shared ones counted once, in parts.
    pub(crate) pss_kib: u64,
    /// Living processes.
    pub(crate) processes: u64,
}

/// This process's own time, and of it what its first thread took: the load is generated there and nowhere else.
///
/// # Errors
/// If /proc cannot be read.
pub(crate) fn own_seconds() -> anyhow::Result<(f64, f64)> {
    let pid = std::process::id();
    let of = |path: &str| -> anyhow::Result<f64> {
        let stat = fs::read_to_string(path)?;
        let [user, system, ..] = fields(&stat).context("a stat file")?;
        Ok((user + system) as f64 / TICKS_PER_SECOND)
    };
    Ok((of("/proc/self/stat")?, of(&format!("/proc/self/task/{pid}/stat"))?))
}

/// All processes of a tree, its root too.
///
/// # Errors
/// If /proc cannot be read.
pub(crate) fn pids(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut pids = below(&children()?, root);
    pids.push(root);
    Ok(pids)
}

/// Whether a process is there.
pub(crate) fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Processes by their parents.
fn children() -> anyhow::Result<BTreeMap<u32, Vec<u32>>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("list /proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some(parent) = parent(pid) else { continue }; // ended meanwhile
        children.entry(parent).or_default().push(pid);
    }
    Ok(children)
}

fn below(children: &BTreeMap<u32, Vec<u32>>, root: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut left = vec![root];
    while let Some(pid) = left.pop() {
        let own = children.get(&pid).map(Vec::as_slice).unwrap_or_default();
        found.extend_from_slice(own);
        left.extend_from_slice(own);
    }
    found
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Ticks of a process and of the children it waited for.
fn times(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    fields(&stat).map(|times| times.iter().sum())
}

/// `utime`, `stime`, `cutime`, `cstime` (proc(5), fields 14 to 17).
fn fields(stat: &str) -> Option<[u64; 4]> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse().ok();
    Some([next()?, next()?, next()?, next()?])
}

/// RSS and PSS in KiB.
fn resident(pid: u32) -> Option<(u64, u64)> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let of = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    Some((of("Rss:")?, of("Pss:")?))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn time_of_living_and_of_ended_descendants_is_counted_as_ps_counts_it() -> anyhow::Result<()> {
        // Burns in a grandchild that ends, then waits.
        let burn = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo; read line";
        let mut shell =
            Command::new("sh").args(["-c", burn]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut byte = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().expect("its output"), &mut byte)?;
        let root = Root { role: "shell", pid: shell.id() };
        let ours = seconds(&[root])?["shell"];
        let ps = Command::new("ps").args(["-S", "-o", "times=", "-p", &shell.id().to_string()]).output()?;
        let theirs: f64 = String::from_utf8(ps.stdout)?.trim().parse()?;
        drop(shell.stdin.take());
        shell.wait()?;
        assert!(ours > 0.05, "{ours}");
        assert!((ours - theirs).abs() < 1.01, "{ours} against {theirs} whole seconds of ps");
        Ok(())
    }

    #[test]
    fn the_generator_knows_its_own_first_thread() -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_millis(100);
        while Instant::now() < until {} // burns in a thread that is not the first
        let (all, first) = own_seconds()?;
        assert!(all >= first, "{all} {first}");
        assert!(memory(&[Root { role: "own", pid: std::process::id() }])?.pss_kib > 0);
        Ok(())
    }
}
