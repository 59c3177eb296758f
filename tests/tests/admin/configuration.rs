//! Configuration files, and certificates that change under a running server.

use std::process::Command;

use buzon_tests::pki::Certificate;
use buzon_tests::server::binary;

use super::*;

/// The server looks at the files every five seconds.
const RELOAD_MAX: Duration = Duration::from_secs(20);

#[test]
fn config_check_refuses_unknown_keys_by_name_and_takes_what_show_prints() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("buzon.toml");
    let check = || Command::new(binary()?).args(["config", "check"]).arg(&file).output().context("start it");
    std::fs::write(&file, "host_name = \"mx\"\n\n[imap]\nmesage_bytes_max = 5\n")?;
    let output = check()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(
        !output.status.success() && said.contains("mesage_bytes_max") && said.contains("line 4"),
        "{said}"
    );
    let shown = Command::new(binary()?).args(["config", "show"]).output()?;
    std::fs::write(&file, shown.stdout)?;
    let output = check()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn a_server_with_a_wrong_configuration_does_not_start() -> anyhow::Result<()> {
    let mut server = Server::prepare()?;
    let file = server.scratch().join("buzon.toml");
    std::fs::write(&file, "[listen]\nimapz = \"127.0.0.1:0\"\n")?;
    let file = file.to_str().context("a path")?.to_owned();
    server.start_as(Start { arguments: vec!["--config".into(), file], ..Start::default() });
    let Err(error) = server.restart() else { anyhow::bail!("it started") };
    ensure!(error.to_string().contains("imapz"), "{error}");
    ensure!(!server.data_dir().exists(), "it made the data directory");
    Ok(())
}

#[test]
fn a_changed_certificate_is_served_to_new_connections_and_old_ones_go_on() -> anyhow::Result<()> {
    let mut server = Server::prepare()?;
    let dir = server.scratch().to_owned();
    let first = Certificate::write(&dir, "first")?;
    let config = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", first.certificate, first.key);
    let file = dir.join("buzon.toml");
    std::fs::write(&file, config)?;
    let arguments = vec!["--config".into(), file.to_str().context("a path")?.to_owned()];
    server.start_as(Start { arguments, ..Start::default() });
    server.restart()?;
    let imaps = server.address("imaps");
    let mut old = Imap::connect(imaps, &first.ca)?;
    ensure!(Imap::connect(imaps, &server.ca()).is_err(), "it uses its own certificate");

    let second = Certificate::write(&dir, "second")?;
    let began = Instant::now();
    while let Err(error) = Imap::connect(imaps, &second.ca) {
        ensure!(began.elapsed() < RELOAD_MAX, "the new certificate is not served: {error:#}");
        std::thread::sleep(Duration::from_millis(200)); // the server tells nobody that it read the files
    }
    ensure!(Imap::connect(imaps, &first.ca).is_err(), "the old certificate is still served");
    ensure!(old.command("NOOP")?.is_ok(), "a connection from before");
    Ok(())
}

#[test]
fn ctl_by_data_dir_works_whatever_certificate_mail_clients_are_shown() -> anyhow::Result<()> {
    let mut server = Server::prepare()?;
    let dir = server.scratch().to_owned();
    let own = Certificate::write(&dir, "own")?;
    let file = dir.join("buzon.toml");
    std::fs::write(&file, format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", own.certificate, own.key))?;
    let arguments = vec!["--config".into(), file.to_str().context("a path")?.to_owned()];
    server.start_as(Start { arguments, ..Start::default() });
    server.restart()?;
    server.account(USER, PASSWORD)?;
    Imap::login(server.address("imaps"), &own.ca, USER, PASSWORD)?;
    Ok(())
}

#[test]
fn ctl_by_data_dir_works_when_admin_listens_on_all_addresses() -> anyhow::Result<()> {
    let arguments = vec!["--admin-listen".into(), "0.0.0.0:0".into()];
    let server = Server::start(Start { arguments, ..Start::default() })?;
    assert_eq!(server.ctl(&["tenant", "list"])?, json!([]));
    Ok(())
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_the_first_goes_on() -> anyhow::Result<()> {
    let server = server()?;
    let mut second = server.buzon("standalone", &[])?;
    for listener in ["imaps", "imap", "lmtp", "admin", "http"] {
        second.args([&format!("--{listener}-listen"), "127.0.0.1:0"]);
    }
    let output = second.output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(!output.status.success() && said.contains("data"), "{}: {said}", output.status);
    login(&server, USER, PASSWORD)?.ok("NOOP")?;
    server.ctl(&["tenant", "list"])?;
    Ok(())
}
