//! Several sessions on one mailbox, doing anything at any time: sequence numbers are never wrong, nothing is told where
//! it is forbidden, and once all is quiet everybody knows the same. Each message is `\Recent` in one session.

use std::collections::BTreeMap;

use buzon_types::flag::SystemFlags;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::client::{Client, Expunges, Ledger, Opening};
use super::harness::Server;

/// In two processes.
const SESSIONS: [Opening; 5] =
    [Opening::Select, Opening::Select, Opening::Select, Opening::Rev2, Opening::Examine];
/// `STEPS` of the environment for long runs.
const STEPS: usize = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_agree_on_the_mailbox_whatever_they_do() {
    let of_environment = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = of_environment("SEED").unwrap_or_else(rand::random);
    let steps = of_environment("STEPS").map_or(STEPS, |steps| steps as usize);
    println!("seed: {seed} (set SEED to repeat)");
    let mut random = StdRng::seed_from_u64(seed);
    let (server, ledger) = (Server::start(), Ledger::default());
    let beside = server.beside();
    let mut clients = Vec::new();
    for (at, opening) in SESSIONS.into_iter().enumerate() {
        clients.push(Client::open(if at % 2 == 0 { &server } else { &beside }, opening, &ledger).await);
    }
    for step in 0..steps {
        let at = random.random_range(0..clients.len());
        act(&mut random, &mut clients[at]).await;
        if step % 50 == 49 {
            for client in &mut clients {
                agree(&server, client).await;
            }
            each_is_recent_once(&server, &ledger);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_race_agree_in_the_end() {
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("seed: {seed} (set SEED to repeat, as far as a race can be)");
    let (server, ledger) = (Server::start(), Ledger::default());
    let beside = server.beside();
    let mut racing = Vec::new();
    for (at, opening) in SESSIONS.into_iter().enumerate() {
        let mut client = Client::open(if at % 2 == 0 { &server } else { &beside }, opening, &ledger).await;
        let mut random = StdRng::seed_from_u64(seed ^ at as u64);
        racing.push(tokio::spawn(async move {
            for _ in 0..STEPS / 10 {
                act(&mut random, &mut client).await;
            }
            client
        }));
    }
    let mut clients = Vec::new();
    for client in racing {
        clients.push(client.await.unwrap());
    }
    for client in &mut clients {
        agree(&server, client).await;
    }
    each_is_recent_once(&server, &ledger);
}

/// Of the messages that exist; one that was expunged may have been claimed by a session that never had to be told of it.
fn each_is_recent_once(server: &Server, ledger: &Ledger) {
    let ledger = ledger.lock().unwrap();
    for message in server.meta.truth(server.account, "INBOX") {
        let (told, recent) = ledger[&message.uid.get()];
        assert_eq!(recent, 1, "{} was told {told} times", message.uid);
    }
}

/// After NOOP the client knows all there is.
async fn agree(server: &Server, client: &mut Client) {
    assert!(client.run("NOOP", Expunges::Allowed).await.starts_with("OK"));
    client.learn().await;
    let truth: BTreeMap<u32, SystemFlags> = server
        .meta
        .truth(server.account, "INBOX")
        .iter()
        .map(|state| (state.uid.get(), state.flags))
        .collect();
    assert_eq!(client.flags(), truth);
    client.check_recent().await;
}

async fn act(random: &mut StdRng, client: &mut Client) {
    let count = client.messages.len();
    let some = |random: &mut StdRng| {
        let (one, two) = (random.random_range(1..=count.max(1)), random.random_range(1..=count.max(1)));
        format!("{}:{}", one, (one + two % 4).min(count.max(1)))
    };
    let (numbers, flags) = (some(random), flags(random));
    let uids = || {
        let of = |number: &str| client.messages[number.parse::<usize>().unwrap() - 1].uid;
        numbers.split_once(':').map(|(one, two)| format!("{}:{}", of(one), of(two))).unwrap()
    };
    let forbidden = Expunges::Forbidden;
    let allowed = Expunges::Allowed;
    let kind = random.random_range(0..100);
    let (command, expunges) = match kind {
        0..25 => ("APPEND INBOX {1+}\r\nx".to_owned(), allowed),
        25..30 => ("NOOP".to_owned(), allowed),
        30..34 => return client.idle().await,
        34..36 => return client.open_again().await,
        _ if count == 0 => ("NOOP".to_owned(), allowed),
        36..74 | 78..82 if client.opening == Opening::Examine => ("NOOP".to_owned(), allowed),
        36..46 => (format!("STORE {numbers} +FLAGS ({flags})"), forbidden),
        46..52 => (format!("STORE {numbers} -FLAGS.SILENT ({flags})"), forbidden),
        52..58 => (format!("UID STORE {} FLAGS ({flags})", uids()), allowed),
        58..64 => (format!("STORE {numbers} +FLAGS (\\Deleted)"), forbidden),
        64..70 => ("EXPUNGE".to_owned(), allowed),
        70..74 => (format!("UID EXPUNGE {}", uids()), allowed),
        74..78 => (format!("COPY {numbers} INBOX"), allowed),
        78..82 => (format!("MOVE {numbers} Trash"), allowed),
        82..86 => (format!("FETCH {numbers} (FLAGS BODY[])"), forbidden),
        86..90 => (format!("FETCH {numbers} (UID FLAGS)"), forbidden),
        90..93 => (format!("UID FETCH {} FLAGS", uids()), allowed),
        93..96 => ("SEARCH UNSEEN".to_owned(), forbidden),
        _ => ("UID SEARCH DELETED".to_owned(), allowed),
    };
    let silent = command.contains(".SILENT");
    let answer = client.run(&command, expunges).await;
    assert!(answer.starts_with("OK") || answer.starts_with("NO [EXPUNGEISSUED]"), "{command}: {answer}");
    client.learn().await;
    if silent {
        // What silence hides the client works out itself, from what it knew.
        client.run(&format!("FETCH {} FLAGS", "1:*"), forbidden).await;
    }
}

fn flags(random: &mut StdRng) -> String {
    let flags = SystemFlags::from_bits(random.random_range(0..32)).unwrap().without(SystemFlags::DELETED);
    flags.names().collect::<Vec<_>>().join(" ")
}
