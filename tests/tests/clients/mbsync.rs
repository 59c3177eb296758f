//! mbsync mirrors 2,000 messages with their flags, both ways; a second run transfers nothing.

use super::*;

const MESSAGES: usize = 2000;
/// New messages, flags, and removals, far and near.
const NOTHING: &str = "F: +0/0 *0/0 #0/0  N: +0/0 *0/0 #0/0";

#[test]
fn mbsync_mirrors_both_ways_and_then_has_nothing_to_do() -> anyhow::Result<()> {
    let server = server_with_mail(&[])?;
    let mut imap = Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)?;
    for at in 1..=MESSAGES {
        let flags = ["()", "(\\Seen)", "(\\Flagged \\Seen)", "(\\Answered)"][at % 4];
        let message = format!(
            "From: a@b.example\r\nSubject: {at}\r\nMessage-ID: <{at}@test>\r\n\r\n{}\r\n",
            "x".repeat(at)
        );
        ensure!(imap.append("INBOX", flags, message.as_bytes())?.is_ok());
    }
    let home = server.scratch();
    std::fs::create_dir(home.join("mail"))?;
    let config = format!(
        "IMAPAccount a\nHost localhost\nPort {}\nUser {USER}\nPass \"{PASSWORD}\"\nSSLType IMAPS\nCertificateFile {}\n\n\
         IMAPStore far\nAccount a\n\nMaildirStore near\nPath {home}/mail/\nInbox {home}/mail/INBOX\nSubFolders Verbatim\n\n\
         Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nRemove Both\nExpunge Both\nSyncState *\n",
        server.address("imaps").port(),
        server.ca().display(),
        home = home.display()
    );
    std::fs::write(home.join("mbsyncrc"), config)?;
    let sync = || {
        // It counts what it does only on a terminal.
        let mut command = Command::new("script");
        let command = command.args(["-qec", "mbsync -c mbsyncrc -a", "/dev/null"]);
        let output = run(command.env("HOME", home).env("TERM", "xterm").current_dir(home))?;
        anyhow::Ok(format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
    };
    sync()?;
    let inbox = home.join("mail/INBOX");
    assert_eq!(names(&inbox)?.len(), MESSAGES);
    assert_eq!(names(&inbox)?.iter().filter(|name| name.ends_with(":2,FS")).count(), MESSAGES / 4);

    let again = sync()?;
    assert!(again.trim_end().ends_with(NOTHING), "second run: {again:?}");

    near_changes(&inbox)?;
    imap.ok("SELECT INBOX")?;
    imap.ok("STORE 10 +FLAGS (\\Deleted)")?;
    imap.ok("EXPUNGE")?;
    imap.ok("STORE 20 FLAGS (\\Draft)")?;
    sync()?;
    imap.ok("NOOP")?;
    assert!(imap.ok("SEARCH SUBJECT \"pushed by mbsync\"")?.with("SEARCH ").next().is_some());
    assert_eq!(names(&inbox)?.len(), MESSAGES - 1, "one pushed, one removed here, one expunged there");
    assert!(names(&inbox)?.iter().any(|name| name.ends_with(":2,D")));
    let third = sync()?;
    assert!(third.trim_end().ends_with(NOTHING), "fourth run: {third:?}");
    Ok(())
}

/// A new message and a removed one.
fn near_changes(inbox: &Path) -> anyhow::Result<()> {
    std::fs::write(inbox.join("new/9999999999.1.test"), "From: x@y\nSubject: pushed by mbsync\n\nhi\n")?;
    let seen = names(inbox)?.into_iter().find(|name| name.ends_with(":2,FS")).context("a file")?;
    std::fs::remove_file(inbox.join("cur").join(seen))?;
    Ok(())
}

fn names(inbox: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for part in ["cur", "new"] {
        for entry in std::fs::read_dir(inbox.join(part))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}
