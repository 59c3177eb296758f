//! Debian packages that the tests need: servers and clients that nobody here wrote.

use std::path::Path;
use std::process::Command;

use anyhow::bail;

use crate::{run, succeeds};

/// Package, and a file that says it is there.
const NEEDED: [(&str, &str); 13] = [
    ("postgresql", "/usr/lib/postgresql"),
    // What Buzon is compared with.
    ("dovecot-imapd", "/usr/lib/dovecot/imap"),
    ("dovecot-lmtpd", "/usr/lib/dovecot/lmtp"),
    ("isync", "/usr/bin/mbsync"),
    ("postfix", "/usr/sbin/postfix"),
    ("neomutt", "/usr/bin/neomutt"),
    ("curl", "/usr/bin/curl"),
    ("python3", "/usr/bin/python3"),
    ("g++", "/usr/bin/g++"),
    // Partitions between network namespaces.
    ("iproute2", "/usr/sbin/ip"),
    ("nftables", "/usr/sbin/nft"),
    // A wall clock of its own for one process.
    ("libfaketime", "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"),
    // With promtool.
    ("prometheus", "/usr/bin/prometheus"),
];

/// Installs what is missing.
pub(crate) fn install() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(_, file)| !Path::new(file).exists()).map(|&(package, _)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let root = succeeds(Command::new("sh").args(["-c", "test $(id -u) = 0"]));
    if !root && !succeeds(Command::new("sudo").args(["-n", "true"])) {
        bail!("the tests need Debian packages; as root: apt-get install {}", missing.join(" "));
    }
    let apt = |arguments: &[&str]| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        run(&mut command)
    };
    apt(&["-q", "update"])?;
    let mut install = vec!["-q", "-y", "--no-install-recommends", "install"];
    install.extend(missing);
    apt(&install)
}
