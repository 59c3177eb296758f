//! Dovecot from Debian's packages, on a folder of its own and free ports; nothing of the machine's configuration is used.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use buzon_tests::pki::Certificate;
use tempfile::TempDir;

use super::{Account, PASSWORD, Security, Server};
use crate::cost::syncs::Syncs;
use crate::cost::tree::{self, Root};

const BINARY: &str = "/usr/sbin/dovecot";
const CONFIGURATION: &str = include_str!("dovecot.conf");
/// It starts in less than a second.
const START_MAX: Duration = Duration::from_secs(30);
/// Between two looks at what has no event.
const POLL: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub(super) struct Dovecot {
    dir: TempDir,
    master: Option<Child>,
    syncs: Syncs,
    certificate: Certificate,
    /// IMAP, IMAP over TLS, LMTP.
    ports: [u16; 3],
    owner: Owner,
    format: &'static str,
    fsync: &'static str,
}

/// Who owns mail: a user of the system if we are root, else ourselves.
#[derive(Debug, Clone)]
struct Owner {
    name: String,
    uid: u32,
    gid: u32,
    is_root: bool,
}

impl Dovecot {
    /// With a storage format and a value of `mail_fsync`.
    ///
    /// # Errors
    /// If it is not installed or does not start; with its log.
    pub(super) fn start(format: &'static str, fsync: &'static str) -> anyhow::Result<Self> {
        ensure!(Path::new(BINARY).exists(), "Dovecot is not installed: `cargo xtask tools` installs it");
        let dir = tempfile::Builder::new().prefix("buzon-dovecot-").tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let owner = Owner::find()?;
        fs::create_dir(dir.path().join("home"))?;
        if owner.is_root {
            chown(dir.path().join("home"), Some(owner.uid), Some(owner.gid))?;
        }
        fs::write(dir.path().join("users"), "")?;
        let certificate = Certificate::write(dir.path(), "dovecot")?;
        let (syncs, ports) = (Syncs::build()?, free_ports()?);
        let mut dovecot = Self { dir, master: None, syncs, certificate, ports, owner, format, fsync };
        fs::write(dovecot.path("dovecot.conf"), dovecot.configuration())?;
        dovecot.launch()?;
        Ok(dovecot)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configuration(&self) -> String {
        let variables = self.syncs.variables();
        let environment: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let owner = &self.owner.name;
        // Without root there is one user for everything, and no chroot.
        let (internal_users, unchrooted) = if self.owner.is_root {
            (String::new(), "")
        } else {
            let users = format!(
                "default_internal_user = {owner}\ndefault_internal_group = {owner}\ndefault_login_user = {owner}"
            );
            (users, "chroot =")
        };
        [
            ("dir", self.dir.path().display().to_string()),
            ("environment", environment.join(" ")),
            ("user", owner.clone()),
            ("internal_users", internal_users),
            ("unchrooted", unchrooted.to_owned()),
            ("format", self.format.to_owned()),
            ("fsync", self.fsync.to_owned()),
            ("certificate", self.certificate.certificate.display().to_string()),
            ("key", self.certificate.key.display().to_string()),
            ("cores", cores.to_string()),
            ("imap_port", self.ports[0].to_string()),
            ("imaps_port", self.ports[1].to_string()),
            ("lmtp_port", self.ports[2].to_string()),
        ]
        .into_iter()
        .fold(CONFIGURATION.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), &value))
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.path("stderr"))?;
        let mut command = Command::new(BINARY);
        command.arg("-F").arg("-c").arg(self.path("dovecot.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.master = Some(command.spawn().context("start dovecot")?);
        let until = Instant::now() + START_MAX;
        for port in self.ports {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                let ended = self.master.as_mut().is_some_and(|it| !matches!(it.try_wait(), Ok(None)));
                if ended || Instant::now() > until {
                    bail!("Dovecot does not start; it said:\n{}", self.log());
                }
                std::thread::sleep(POLL);
            }
        }
        Ok(())
    }

    /// SIGTERM; returns when all its processes are gone and its ports free.
    fn stop(&mut self) -> anyhow::Result<()> {
        let mut master = self.master.take().context("it does not run")?;
        let all = tree::pids(master.id())?;
        let sent = Command::new("kill").args(["-TERM", &master.id().to_string()]).status()?;
        ensure!(sent.success(), "kill -TERM: {sent}");
        master.wait()?;
        let until = Instant::now() + START_MAX;
        while all.iter().any(|pid| tree::is_alive(*pid)) {
            ensure!(Instant::now() < until, "processes of Dovecot do not end");
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.path(name)).unwrap_or_default();
        format!("{}{}", read("stderr"), read("log"))
    }

    fn address(&self, at: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[at]))
    }
}

impl Server for Dovecot {
    fn about(&self) -> anyhow::Result<String> {
        let output = Command::new(BINARY).arg("--version").output()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let (format, fsync) = (self.format, self.fsync);
        Ok(format!("Dovecot {version}: {format}, mail_fsync = {fsync}, processes kept (service_count = 0)"))
    }

    fn imap(&self, security: Security) -> anyhow::Result<Vec<SocketAddr>> {
        Ok(vec![self.address(match security {
            Security::Plain => 0,
            Security::Tls => 1,
        })])
    }

    fn lmtp(&self) -> anyhow::Result<Vec<SocketAddr>> {
        Ok(vec![self.address(2)])
    }

    fn ca(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![self.certificate.ca.clone()])
    }

    fn roots(&self) -> anyhow::Result<Vec<Root>> {
        let master = self.master.as_ref().context("it does not run")?;
        Ok(vec![Root { role: "dovecot", pid: master.id() }])
    }

    fn syncs(&self) -> anyhow::Result<u64> {
        self.syncs.read()
    }

    fn requests(&self) -> anyhow::Result<u64> {
        Ok(0)
    }

    fn add_accounts(&mut self, accounts: &[Account]) -> anyhow::Result<()> {
        let mut users = fs::read_to_string(self.path("users"))?;
        let Owner { uid, gid, .. } = self.owner;
        for account in accounts {
            let (address, home) = (account.address(), self.path("home").join(&account.name));
            writeln!(users, "{address}:{{PLAIN}}{PASSWORD}:{uid}:{gid}::{}::", home.display())?;
        }
        fs::write(self.path("users"), users)?;
        self.restart() // it looks at the file's time, in whole seconds
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        self.launch()
    }

    /// What it keeps in `dovecot.index.cache` is made when a client asks for the first time.
    fn restart_cold(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        remove_caches(&self.path("home"))?;
        self.launch()
    }

    fn complaints(&self) -> Vec<String> {
        let words = [": Error: ", ": Fatal: ", ": Panic: ", ": Warning: "];
        // That it is told to end is a warning to it.
        let bad = |line: &&str| {
            words.iter().any(|word| line.contains(word)) && !line.contains("Killed with signal 15")
        };
        self.log().lines().filter(bad).map(str::to_owned).collect()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if self.master.is_some() && self.stop().is_err() {
            eprintln!("Dovecot does not end: see {}", self.dir.path().display());
        }
    }
}

impl Owner {
    fn find() -> anyhow::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).context("a user")?;
        let own = uid.split_whitespace().nth(1).context("an effective user")?;
        let users = fs::read_to_string("/etc/passwd")?;
        let is_wanted = |line: &&str| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next(), fields.nth(1));
            // Debian has the user `mail` on every system.
            if own == "0" { name == Some("mail") } else { uid == Some(own) }
        };
        let line = users.lines().find(is_wanted).context("a user who owns mail")?;
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields[..] else { bail!("a line of /etc/passwd: {line}") };
        Ok(Self { name: name.to_owned(), uid: uid.parse()?, gid: gid.parse()?, is_root: own == "0" })
    }
}

fn remove_caches(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_caches(&entry.path())?;
        } else if entry.file_name() == "dovecot.index.cache" {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Ports that nobody listens on now; all are held until the last is found, so that they differ.
fn free_ports() -> anyhow::Result<[u16; 3]> {
    let held = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&held) {
        let listener = listener.as_ref().map_err(|error| anyhow::anyhow!("a free port: {error}"))?;
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
