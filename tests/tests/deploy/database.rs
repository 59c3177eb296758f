//! The database's files tried on a real Postgres: the script makes the database once, the server starts with the
//! configuration, listens on its socket alone, and is crash-safe. Debian's version is the one that the image has.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::OVERLAYS;
use crate::manifests::Manifests;
use crate::tools::{list, output_of, text};

/// initdb and a start, on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);

struct Database {
    folder: TempDir,
    server: Option<Child>,
}

impl Database {
    /// A folder with the files of the ConfigMap; nothing made yet.
    fn prepare(manifests: &Manifests) -> anyhow::Result<Self> {
        let files = manifests.kind("ConfigMap").find(|it| it["data"]["init.sh"].is_string());
        let files = files.context("the ConfigMap of the database")?;
        let folder = tempfile::Builder::new().prefix("buzon-test-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
        for name in ["init.sh", "postgresql.conf", "pg_hba.conf"] {
            std::fs::write(folder.path().join(name), text(files, &["data", name])?)?;
        }
        Ok(Self { folder, server: None })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program of Postgres, never as root: it refuses that.
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = if output_of(Command::new("id").arg("-u"), "")?.trim() == "0" {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--", program]);
            command
        } else {
            Command::new(program)
        };
        let path = format!("{}:/usr/bin:/bin", binaries()?.display());
        command
            .env_clear()
            .env("PATH", path)
            .env("PGDATA", self.path("data"))
            .current_dir(self.folder.path());
        Ok(command)
    }

    fn make(&self) -> anyhow::Result<()> {
        output_of(self.command("sh")?.arg(self.path("init.sh")), "").map(drop)
    }

    /// With the options of the sidecar, but for what fits the container only.
    fn start(&mut self, sidecar: &[String]) -> anyhow::Result<()> {
        let folder = self.folder.path().to_owned();
        let mut command = self.command("postgres")?;
        command.arg(format!("--config-file={}", folder.join("postgresql.conf").display()));
        command.args(sidecar).args(["--shared-buffers=32MB", "--effective-cache-size=64MB"]);
        command.arg(format!("--unix-socket-directories={}", folder.display()));
        command.arg(format!("--hba-file={}", folder.join("pg_hba.conf").display()));
        let log = std::fs::File::create(folder.join("log"))?;
        self.server = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?);
        let began = Instant::now();
        while self.ask("SELECT 1").is_err() {
            ensure!(
                began.elapsed() < START_MAX,
                "it does not start: {}",
                std::fs::read_to_string(folder.join("log"))?
            );
            std::thread::sleep(Duration::from_millis(50)); // there is no event to wait for
        }
        Ok(())
    }

    /// As the node connects: through the socket, as `buzon`, to `buzon`.
    fn ask(&self, query: &str) -> anyhow::Result<String> {
        let mut command = self.command("psql")?;
        command.arg("--host").arg(self.folder.path()).args([
            "--username=buzon",
            "--dbname=buzon",
            "-qAtc",
            query,
        ]);
        Ok(output_of(&mut command, "")?.trim().to_owned())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = Command::new("kill").args(["-INT", &server.id().to_string()]).status(); // fast shutdown
            let _ = server.wait();
        }
    }
}

/// The folder of the newest version that is installed.
fn binaries() -> anyhow::Result<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")?
        .filter_map(|it| it.ok().map(|it| it.path().join("bin")))
        .collect();
    versions.sort();
    versions.pop().context("Postgres: run `cargo xtask test` once")
}

/// Options of the overlay's sidecar that come after the file.
fn options_of_sidecar(manifests: &Manifests) -> anyhow::Result<Vec<String>> {
    let pod = manifests.pod("metad")?;
    let words = list(pod.container("database")?, &["command"]);
    ensure!(words.first().is_some_and(|word| word == "postgres"), "{words:?}");
    let options = words.iter().skip(1).filter_map(|word| word.as_str().map(str::to_owned));
    let known = |option: &String| option != "--config-file=/etc/postgresql/postgresql.conf";
    ensure!(words.iter().any(|word| word == "--config-file=/etc/postgresql/postgresql.conf"), "{words:?}");
    Ok(options.filter(known).collect())
}

#[test]
fn the_database_of_a_metad_starts_is_private_and_crash_safe() -> anyhow::Result<()> {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay)?;
        let mut database = Database::prepare(&manifests)?;
        database.make()?;
        database.start(&options_of_sidecar(&manifests)?)?;
        for (setting, expected) in [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("data_checksums", "on"),
            ("listen_addresses", ""),
            ("wal_level", "minimal"),
        ] {
            assert_eq!(database.ask(&format!("SHOW {setting}"))?, expected, "{overlay}: {setting}");
        }
        assert_eq!(database.ask("SHOW server_encoding")?, "UTF8");
        assert_eq!(database.ask("SELECT datcollate FROM pg_database WHERE datname = 'buzon'")?, "C");
        assert_eq!(database.ask("SELECT count(*) FROM pg_hba_file_rules WHERE type <> 'local'")?, "0");
        assert_eq!(database.ask("SELECT count(*) FROM pg_settings WHERE pending_restart")?, "0");
        let socket = std::fs::metadata(database.path(".s.PGSQL.5432"))?.permissions().mode();
        assert_eq!(socket & 0o777, 0o770, "{overlay}: the socket is for the pod's group");
    }
    Ok(())
}

#[test]
fn making_the_database_twice_keeps_it_and_half_of_one_is_made_anew() -> anyhow::Result<()> {
    let manifests = Manifests::of("overlays/production")?;
    let mut database = Database::prepare(&manifests)?;
    // An attempt that was interrupted: something is there, under the name that is not final.
    let half = database.path("data.new");
    output_of(database.command("mkdir")?.arg(&half), "")?;
    output_of(database.command("touch")?.arg(half.join("PG_VERSION")), "")?;
    database.make()?;
    assert!(!half.exists(), "the half is gone");
    database.start(&[])?;
    database.ask("CREATE TABLE kept (number integer)")?;
    drop(database.server.take().map(stop));
    // As a volume may come back: with permissions for its group, which the server refuses.
    set_mode(&database.path("data"), 0o770)?;
    database.make()?;
    database.start(&[])?;
    assert_eq!(database.ask("SELECT count(*) FROM kept")?, "0");
    Ok(())
}

fn stop(mut server: Child) -> anyhow::Result<()> {
    let sent = Command::new("kill").args(["-INT", &server.id().to_string()]).status()?;
    ensure!(sent.success(), "kill: {sent}");
    server.wait()?;
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}
