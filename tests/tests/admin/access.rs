//! Who gets in, and what they see: suspension, passwords, walls between tenants.

use super::*;

/// Two logged-in sessions: one does nothing, one idles.
fn sessions(server: &Server) -> anyhow::Result<[Imap; 2]> {
    let mut quiet = login(server, USER, PASSWORD)?;
    quiet.ok("SELECT INBOX")?;
    let mut idle = login(server, USER, PASSWORD)?;
    idle.ok("SELECT INBOX")?;
    idle.idle()?;
    Ok([quiet, idle])
}

#[test]
fn a_suspended_account_is_shut_out_at_once_its_sessions_end_and_mail_still_comes_in() -> anyhow::Result<()> {
    let server = server()?;
    let sessions = sessions(&server)?;
    server.ctl(&["account", "suspend", USER])?;
    let began = Instant::now();
    ensure!(login(&server, USER, PASSWORD).is_err(), "it logs in");
    sessions.into_iter().try_for_each(|imap| ends(imap, began))?;
    assert_eq!(server.ctl(&["account", "show", USER])?["status"], "suspended");
    ensure!(deliver(&server, USER, MESSAGE)?.starts_with("250 "), "mail comes in");
    server.ctl(&["account", "resume", USER])?;
    assert_eq!(messages(&mut login(&server, USER, PASSWORD)?, "INBOX")?, 1);
    Ok(())
}

#[test]
fn a_new_password_works_at_once_the_old_one_does_not_and_sessions_end() -> anyhow::Result<()> {
    let server = server()?;
    let sessions = sessions(&server)?;
    server.ctl_with(&["account", "passwd", USER], "battery staple\n")?;
    let began = Instant::now();
    ensure!(login(&server, USER, PASSWORD).is_err(), "the old password works");
    login(&server, USER, "battery staple").context("the new password")?;
    sessions.into_iter().try_for_each(|imap| ends(imap, began))?;
    Ok(())
}

#[test]
fn a_wrong_password_and_an_unknown_account_are_answered_alike() -> anyhow::Result<()> {
    let server = server()?;
    let answer = |user: &str, password: &str| {
        let mut imap = Imap::connect(server.address("imaps"), &server.ca())?;
        anyhow::Ok(imap.command(&format!("LOGIN \"{user}\" \"{password}\""))?.status)
    };
    let wrong = answer(USER, "wrong")?;
    ensure!(wrong.starts_with("NO [AUTHENTICATIONFAILED]"), "{wrong}");
    assert_eq!(wrong, answer("nobody@example.org", "wrong")?);
    assert_eq!(wrong, answer("no address", "wrong")?);
    Ok(())
}

#[test]
fn tenants_are_walls() -> anyhow::Result<()> {
    let server = server()?;
    server.ctl(&["tenant", "create", "other"])?;
    server.ctl(&["domain", "add", "other", "other.example"])?;
    server.ctl_with(&["account", "create", "eve@other.example"], PASSWORD)?;
    let mut ana = login(&server, USER, PASSWORD)?;
    ana.ok("CREATE Secret")?;
    ensure!(ana.append("Secret", "()", MESSAGE)?.is_ok());
    let mut eve = login(&server, "eve@other.example", PASSWORD)?;
    let listed = eve.ok("LIST \"\" (\"*\" \"%\" \"*/*\" \"#*\" \"~*\")")?;
    ensure!(
        !format!("{listed:?}").contains("Secret") && !format!("{listed:?}").contains("example.org"),
        "{listed:?}"
    );
    let namespace = eve.ok("NAMESPACE")?;
    ensure!(
        namespace.untagged.iter().any(|it| it.text == "NAMESPACE ((\"\" \"/\")) NIL NIL"),
        "{namespace:?}"
    );
    let names = [
        "Secret",
        "ana@example.org",
        "ana@example.org/Secret",
        "~ana@example.org/Secret",
        "user/ana/Secret",
        "\"#user/ana@example.org/Secret\"",
        "Other/ana@example.org/Secret",
        "../Secret",
        "/Secret",
        "ana/Secret",
    ];
    for name in names {
        for command in ["SELECT {}", "EXAMINE {}", "STATUS {} (MESSAGES)", "DELETE {}", "RENAME {} Mine"] {
            let answer = eve.command(&command.replace("{}", name))?;
            ensure!(!answer.is_ok(), "{command} {name}: {}", answer.status);
        }
    }
    // The account's own mailboxes of such names do not lead there either.
    eve.ok("CREATE Secret")?;
    assert_eq!(messages(&mut eve, "Secret")?, 0);
    assert_eq!(messages(&mut ana, "Secret")?, 1);
    Ok(())
}

#[test]
fn a_domain_belongs_to_one_tenant_and_accounts_are_listed_with_theirs() -> anyhow::Result<()> {
    let server = server()?;
    server.ctl(&["tenant", "create", "other"])?;
    let (code, said) = refused(&server, &["domain", "add", "other", "example.org"], "")?;
    ensure!(code == 4 && !said.contains("test"), "{code} {said}");
    assert_eq!(server.ctl(&["account", "list", "other"])?, json!([]));
    assert_eq!(column(&server.ctl(&["account", "list", "test"])?, "address"), [USER]);
    let (code, _) = refused(&server, &["domain", "remove", "other", "example.org"], "")?;
    assert_eq!(code, 3);
    Ok(())
}
