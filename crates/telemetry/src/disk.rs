//! How full the disk is that the process cannot do without.

use std::path::Path;

use opentelemetry::metrics::Meter;
use rustix::fs::{StatVfs, statvfs};

/// Registers metrics of the file system that `folder` is on; they are read when somebody asks. Where it cannot be
/// looked at, they stay away.
pub(crate) fn observe(meter: &Meter, folder: &Path) {
    let available = |disk: &StatVfs| disk.f_bavail * disk.f_frsize;
    gauge(
        meter,
        folder,
        "buzon.disk.available",
        "What the process may still write to its data directory.",
        available,
    );
    let size = |disk: &StatVfs| disk.f_blocks * disk.f_frsize;
    gauge(meter, folder, "buzon.disk.size", "Size of the file system of the data directory.", size);
}

fn gauge(
    meter: &Meter,
    folder: &Path,
    name: &'static str,
    description: &'static str,
    read: fn(&StatVfs) -> u64,
) {
    let folder = folder.to_owned();
    meter
        .u64_observable_gauge(name)
        .with_unit("By")
        .with_description(description)
        .with_callback(move |observer| {
            if let Ok(disk) = statvfs(&folder) {
                observer.observe(read(&disk), &[]);
            }
        })
        .build();
}
