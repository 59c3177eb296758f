//! Postfix takes mail over SMTP and delivers it over LMTP, to recipients of two domains at once.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;

const OTHER: &str = "bo@example.com";
/// Postfix starts its daemons one after another.
const DELIVERY_MAX: Duration = Duration::from_secs(60);

/// A private Postfix; none of the system's files are touched.
struct Postfix {
    config: PathBuf,
    smtp: SocketAddr,
}

impl Postfix {
    fn start(home: &Path, lmtp: SocketAddr) -> anyhow::Result<Self> {
        let smtp = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = home.join("postfix/etc");
        for dir in ["postfix/etc", "postfix/queue", "postfix/data"] {
            std::fs::create_dir_all(home.join(dir))?;
        }
        run(Command::new("chmod").args(["a+rx"]).arg(home))?;
        run(Command::new("chown").arg("postfix").arg(home.join("postfix/data")))?;
        let home = home.join("postfix");
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {home}/queue\ndata_directory = {home}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
             setgid_group = postdrop\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mx.example.org\n\
             mydestination =\nlocal_transport = error:none\nvirtual_mailbox_domains = example.org, example.com\n\
             virtual_transport = lmtp:inet:{lmtp}\nlmtp_destination_recipient_limit = 50\nvirtual_mailbox_maps =\n\
             default_transport = error:none\nrelay_transport = error:none\nalias_maps =\nmynetworks = 127.0.0.0/8\n\
             smtpd_recipient_restrictions = reject_unauth_destination\nsmtputf8_enable = yes\ndisable_dns_lookups = yes\n\
             smtp_host_lookup = native\nmaillog_file = {home}/log\nmaillog_file_prefixes = {home}\n\
             minimal_backoff_time = 5s\nqueue_run_delay = 5s\n",
            home = home.display()
        );
        std::fs::write(config.join("main.cf"), main)?;
        let dist = std::fs::read_to_string("/usr/share/postfix/master.cf.dist")
            .context("read Postfix's master.cf: run `cargo xtask test`, which installs Postfix")?;
        std::fs::write(config.join("master.cf"), master(&dist, smtp))?;
        let _ = run(Command::new("postfix").arg("-c").arg(&config).arg("check")); // mends permissions, and warns
        run(Command::new("postfix").arg("-c").arg(&config).arg("start"))?;
        Ok(Self { config, smtp })
    }
}

/// The distribution's services, without chroot, with SMTP on our port.
fn master(dist: &str, smtp: SocketAddr) -> String {
    let mut text = String::new();
    for line in dist.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let smtp = smtp.to_string();
        if !line.starts_with(char::is_whitespace) && words.len() >= 8 {
            words[4] = "n";
            if words[0] == "smtp" && words[1] == "inet" {
                words[0] = &smtp;
            }
            text.push_str(&words.join(" "));
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    if !text.contains("postlog") {
        text.push_str("postlog unix-dgram n - n - 1 postlogd\n");
    }
    text
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = run(Command::new("postfix").arg("-c").arg(&self.config).arg("stop"));
    }
}

#[test]
fn postfix_delivers_to_two_domains() -> anyhow::Result<()> {
    let server = server_with_mail(&[])?;
    server.account(OTHER, PASSWORD)?;
    let postfix = Postfix::start(server.scratch(), server.address("lmtp"))?;
    let url = format!("smtp://{}", postfix.smtp);
    let file = server.scratch().join("message.eml");
    std::fs::write(&file, "From: x@example.net\r\nSubject: over Postfix\r\n\r\n.dots\r\n..\r\nend\r\n")?;
    let send = || {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--mail-from",
            "x@example.net",
            "--mail-rcpt",
            USER,
            "--mail-rcpt",
            OTHER,
        ]);
        run(command.arg("--upload-file").arg(&file).arg(&url))
    };
    let began = Instant::now();
    while let Err(error) = send() {
        ensure!(began.elapsed() < DELIVERY_MAX, "Postfix does not take mail: {error:#}");
        std::thread::sleep(Duration::from_millis(200)); // its master has no readiness to wait for
    }
    for user in [USER, OTHER] {
        let mut imap = Imap::login(server.address("imaps"), &server.ca(), user, PASSWORD)?;
        imap.ok("SELECT INBOX")?;
        let fetched = loop {
            let found = imap.ok("UID FETCH 1:* (BODY.PEEK[])")?;
            if let Some(body) = found.untagged.iter().find_map(|it| it.literals.first().cloned()) {
                break String::from_utf8(body)?;
            }
            let log = || std::fs::read_to_string(server.scratch().join("postfix/log")).unwrap_or_default();
            ensure!(began.elapsed() < DELIVERY_MAX, "not delivered to {user}: {}", log());
            imap.ok("NOOP")?;
        };
        assert!(
            fetched.starts_with("Return-Path: <x@example.net>\r\nReceived: from mx.example.org"),
            "{fetched}"
        );
        assert!(fetched.contains("\r\nSubject: over Postfix\r\n"), "{fetched}");
        assert!(fetched.ends_with("\r\n\r\n.dots\r\n..\r\nend\r\n"), "{fetched}");
    }
    Ok(())
}
