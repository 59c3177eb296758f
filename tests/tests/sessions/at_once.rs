//! Sessions and deliveries that work at the same time: nobody can say beforehand what comes out, but each client is
//! told nothing that breaks the rules, and when all is quiet all have the same picture.

use super::*;

const ROUNDS: usize = 6;
/// Commands of each client in a round.
const STEPS: usize = 120;

/// One random command; only the rules are checked.
fn step(client: &mut Client, lmtp: &mut Lmtp, random: &mut StdRng) -> anyhow::Result<()> {
    let known = client.view.messages.len();
    let grow = known < 40;
    let seqs = |random: &mut StdRng| {
        let count = random.random_range(1..=5);
        let all: Vec<u32> = (1..=known as u32).collect();
        set_text(&all.choose_multiple(random, count).copied().collect::<Vec<_>>())
    };
    let uids = |random: &mut StdRng| {
        let count = random.random_range(1..=5);
        set_text(&client.view.uids().choose_multiple(random, count).copied().collect::<Vec<_>>())
    };
    let (set, uid_set) = (seqs(random), uids(random));
    let flag = FLAGS.choose(random).context("a flag")?;
    let command = match random.random_range(0..100) {
        0..10 if grow => {
            let replies = lmtp.deliver("a@b.example", &[USER], b"Subject: by LMTP\r\n\r\n")?;
            ensure!(replies[0].starts_with("250"), "{replies:?}");
            return Ok(());
        }
        0..20 if grow => {
            let answer = client.imap.append("INBOX", &format!("({flag})"), b"Subject: by APPEND\r\n\r\n")?;
            ensure!(answer.is_ok(), "APPEND: {}", answer.status);
            return client.view.hear(&answer, Expunges::Allowed);
        }
        20..26 => return idle_a_little(client, random),
        26..30 => "EXPUNGE".to_owned(),
        30..38 => "NOOP".to_owned(),
        _ if known == 0 => "NOOP".to_owned(),
        38..50 => format!("STORE {set} +FLAGS ({flag})"),
        50..56 => format!("STORE {set} -FLAGS.SILENT ({flag})"),
        56..66 => format!("FETCH {set} (UID FLAGS ENVELOPE)"),
        66..70 => format!("SEARCH KEYWORD {}", flag.trim_start_matches('\\')),
        70..74 if grow => format!("COPY {set} INBOX"),
        74..78 => format!("MOVE {set} Trash"),
        _ if uid_set.is_empty() => "FETCH 1:* (UID)".to_owned(),
        78..86 => format!("UID STORE {uid_set} FLAGS ({flag})"),
        86..92 => format!("UID FETCH {uid_set} (FLAGS BODY.PEEK[])"),
        _ => format!("UID EXPUNGE {uid_set}"),
    };
    client.run(&command)?;
    if command.contains(".SILENT") {
        // The server need not tell, and others change flags meanwhile: this client does not know any more.
        let stored = buzon_tests::value::uid_set(&set)?;
        stored.iter().for_each(|seq| client.view.messages[*seq as usize - 1].flags = None);
    }
    Ok(())
}

/// DONE comes with whatever IDLE has told by then.
fn idle_a_little(client: &mut Client, random: &mut StdRng) -> anyhow::Result<()> {
    let tag = client.imap.idle()?;
    std::thread::sleep(std::time::Duration::from_millis(random.random_range(0..20))); // the others go on meanwhile
    let answer = client.imap.done(&tag)?;
    ensure!(answer.is_ok(), "IDLE: {}", answer.status);
    client.view.hear(&answer, Expunges::Allowed)
}

fn work(server: &Server, client: &mut Client, seed: u64) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    for _ in 0..STEPS {
        step(client, &mut lmtp, &mut random)?;
    }
    Ok(())
}

/// What a new session is shown.
fn truth(server: &Server) -> anyhow::Result<BTreeMap<u32, Flags>> {
    let mut client = Client::open(server, false)?;
    if !client.view.messages.is_empty() {
        client.run("FETCH 1:* (UID FLAGS)")?;
    }
    let known = client.view.messages.iter();
    known.map(|it| Ok((it.uid.context("a UID")?, it.flags.clone().context("flags")?))).collect()
}

#[test]
fn sessions_that_work_at_the_same_time_end_with_the_same_picture() -> anyhow::Result<()> {
    let rounds = if is_long() { ROUNDS * 20 } else { ROUNDS };
    let server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    let seed = seed("sessions at once");
    let mut clients =
        (0..CLIENTS).map(|at| Client::open(&server, at == 1)).collect::<anyhow::Result<Vec<_>>>()?;
    for round in 0..rounds {
        std::thread::scope(|scope| {
            let server = &server;
            let mut threads = Vec::new();
            for (at, client) in clients.iter_mut().enumerate() {
                let seed = seed + (round * CLIENTS + at) as u64;
                threads.push(scope.spawn(move || work(server, client, seed)));
            }
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a panic"))?)
        })?;
        let truth = truth(&server)?;
        for client in &mut clients {
            client.learn(&truth).with_context(|| format!("round {round}"))?;
        }
    }
    assert_eq!(server.complaints(), Vec::<String>::new());
    Ok(())
}
