//! Accounts span the directory's group and a shard's: one that was being made or deleted when the server died is
//! there as a whole, or not at all, or the same command again finishes it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use buzon_tests::lmtp::Lmtp;

const PASSWORD: &str = "a word";
/// Not done, by the exit codes of ctl: something is in the way, or there is no such thing.
const EXISTS: i32 = 4;
const MISSING: i32 = 3;

/// Makes accounts, and deletes every third, until the server is gone. What was not answered is last.
fn make(server: &Server, from: u64, gone: &AtomicBool) -> anyhow::Result<Vec<(u64, Option<&'static str>)>> {
    let mut done = Vec::new();
    for number in from.. {
        let address = address(number);
        let made = server.ctl_output(&["account", "create", &address], PASSWORD)?;
        if !made.status.success() {
            ensure!(gone.load(Ordering::Acquire), "create: {}", String::from_utf8_lossy(&made.stderr));
            done.push((number, Some("create")));
            break;
        }
        if number % 3 == 0 {
            let deleted = server.ctl_output(&["account", "delete", &address, "--yes"], "")?;
            if !deleted.status.success() {
                ensure!(gone.load(Ordering::Acquire), "delete: {}", String::from_utf8_lossy(&deleted.stderr));
                done.push((number, Some("delete")));
                break;
            }
        }
        done.push((number, None));
    }
    Ok(done)
}

fn address(number: u64) -> String {
    format!("u{number}@load.example")
}

/// It gets mail and its owner reads it; or neither.
fn check(server: &Server, number: u64, there: bool) -> anyhow::Result<()> {
    let address = address(number);
    let replies =
        Lmtp::connect(server.address("lmtp"))?.deliver("a@b.example", &[&address], b"Subject: x\r\n\r\n")?;
    let login = Imap::login(server.address("imaps"), &server.ca(), &address, PASSWORD);
    if there {
        ensure!(replies[0].starts_with("250"), "{address}: {replies:?}");
        let status = login?.ok("STATUS INBOX (MESSAGES)")?.status_items()?;
        ensure!(status["MESSAGES"] > 0, "{address} has no mail");
    } else {
        ensure!(replies[0].starts_with("550 5.1.1") && login.is_err(), "{address} is deleted: {replies:?}");
    }
    Ok(())
}

/// The command that was not answered, once more.
fn again(server: &Server, number: u64, command: &str) -> anyhow::Result<()> {
    let address = address(number);
    let (arguments, other) = match command {
        "create" => (vec!["account", "create", &address], EXISTS),
        _ => (vec!["account", "delete", &address, "--yes"], MISSING),
    };
    let output = server.ctl_output(&arguments, PASSWORD)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() || output.status.code() == Some(other), "{arguments:?} again: {said}");
    check(server, number, other == EXISTS)
}

#[test]
fn accounts_that_were_being_made_or_deleted_are_whole_or_are_finished_by_the_same_command()
-> anyhow::Result<()> {
    let rounds = if is_long() { 60 } else { 8 };
    let mut random = StdRng::seed_from_u64(seed("accounts"));
    let mut server = Server::start(Start::default())?;
    server.account("first@load.example", PASSWORD)?;
    let mut next = 0;
    for _ in 0..rounds {
        let gone = AtomicBool::new(false);
        let pid = server.pid().map(|pid| pid.to_string()).unwrap_or_default();
        let done = std::thread::scope(|scope| {
            let (server, gone) = (&server, &gone);
            let maker = scope.spawn(move || make(server, next, gone));
            std::thread::sleep(Duration::from_millis(random.random_range(100..1200))); // the moment is the point
            gone.store(true, Ordering::Release);
            let killed = std::process::Command::new("kill").args(["-9", &pid]).status()?;
            ensure!(killed.success(), "kill: {killed}");
            maker.join().map_err(|_| anyhow::anyhow!("a panic"))?
        })?;
        server.kill(); // it is dead; its status is taken
        server.restart()?;
        for (number, unanswered) in done {
            match unanswered {
                None => check(&server, number, number % 3 != 0)?,
                Some(command) => again(&server, number, command)?,
            }
            next = number + 1;
        }
    }
    println!("{next} accounts");
    assert_eq!(server.complaints(), Vec::<String>::new());
    Ok(())
}
