//! The process itself: memory, open files, time on the processor, from `/proc/self`. Where there is none, the metrics
//! stay away.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::metrics::Meter;

/// Linux tells processor time to programs in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers the metrics; they are read when somebody asks.
pub(crate) fn observe(meter: &Meter) {
    meter
        .u64_observable_gauge("process.resident_memory")
        .with_unit("By")
        .with_description("Memory of the process that is in RAM.")
        .with_callback(|observer| {
            if let Some(bytes) = resident_bytes() {
                observer.observe(bytes, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.open_fds")
        .with_description("Open file descriptors, sockets included.")
        .with_callback(|observer| {
            if let Some(count) = open_files() {
                observer.observe(count, &[]);
            }
        })
        .build();
    meter
        .f64_observable_counter("process.cpu")
        .with_unit("s")
        .with_description("Processor time, user and system.")
        .with_callback(|observer| {
            if let Some(seconds) = processor_seconds() {
                observer.observe(seconds, &[]);
            }
        })
        .build();
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    meter
        .f64_observable_gauge("process.start_time")
        .with_unit("s")
        .with_description("When the process began to count, in seconds since 1970.")
        .with_callback(move |observer| observer.observe(started, &[]))
        .build();
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn open_files() -> Option<u64> {
    // One of them is the folder being read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64)
}

fn processor_seconds() -> Option<f64> {
    processor_seconds_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15 of `stat`; counted after the name of the program, which may hold spaces and parentheses.
fn processor_seconds_of(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_program_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 1000";
        assert_eq!(processor_seconds_of(stat), Some(3.0));
        assert_eq!(processor_seconds_of("nonsense"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_files_and_time() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(open_files().unwrap() >= 3);
        assert!(processor_seconds().unwrap() >= 0.0);
    }
}
