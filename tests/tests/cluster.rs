//! A cluster of real processes with real Postgres and S3: founded by one command, serving through faults.

use std::time::{Duration, Instant};

use buzon_tests::cluster::{Cluster, Size};
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;

const SMALL: Size = Size { metads: 3, frontends: 2, shards: 4 };

#[test]
fn a_founded_cluster_delivers_and_serves_through_every_front_end_and_init_may_be_repeated()
-> anyhow::Result<()> {
    let cluster = Cluster::start(SMALL)?;
    cluster.account("ana@example.com", "word")?;
    let again = cluster.init(SMALL.shards)?;
    assert_eq!(again.as_array().map(Vec::len), Some(SMALL.metads), "{again}");
    // Administration works at every node, whoever leads the directory.
    for metad in 0..SMALL.metads {
        assert_eq!(cluster.ctl(metad, &["account", "show", "ana@example.com"])?["status"], "active");
    }
    let (first, second) = (cluster.front(0)?, cluster.front(1)?);
    let mut idle = Imap::login(second.imaps, &second.ca, "ana@example.com", "word")?;
    idle.ok("SELECT INBOX")?;
    let tag = idle.idle()?;
    let mut lmtp = Lmtp::connect(first.lmtp)?;
    lmtp.deliver("bob@example.net", &["ana@example.com"], b"Subject: hello\r\n\r\nthere\r\n")?;
    let news = idle.response()?;
    assert_eq!(news.text, "* 1 EXISTS");
    idle.done(&tag)?;
    let fetched = idle.ok("FETCH 1 BODY.PEEK[TEXT]")?.fetched()?;
    assert_eq!(fetched[0].item("BODY[TEXT]")?.bytes()?, b"there\r\n");
    assert_eq!(cluster.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn sessions_stay_and_go_on_when_a_leader_is_killed() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(SMALL)?;
    let account = cluster.account("ana@example.com", "word")?;
    let shard = account["shard"].as_u64().unwrap_or_default();
    let front = cluster.front(0)?;
    let mut imap = Imap::login(front.imaps, &front.ca, "ana@example.com", "word")?;
    imap.ok("SELECT INBOX")?;
    for round in 1..=3 {
        let leader = cluster.leader(shard)?;
        cluster.metads[leader].kill();
        let killed = Instant::now();
        let answer = imap.append("INBOX", "(\\Seen)", format!("Subject: {round}\r\n\r\n").as_bytes())?;
        assert!(answer.is_ok(), "{}", answer.status);
        println!("served again after {:?}", killed.elapsed());
        assert!(killed.elapsed() < Duration::from_secs(30));
        cluster.restart_metad(leader)?;
    }
    let other = cluster.front(1)?;
    let mut imap = Imap::login(other.imaps, &other.ca, "ana@example.com", "word")?;
    assert_eq!(imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"], 3);
    Ok(())
}

/// The last of them finds nobody to lead in its place, and no majority to be told that it goes.
#[test]
fn all_nodes_end_when_they_are_asked_one_by_one_and_serve_again() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(SMALL)?;
    cluster.account("ana@example.com", "word")?;
    let front = cluster.front(0)?;
    let mut imap = Imap::login(front.imaps, &front.ca, "ana@example.com", "word")?;
    assert!(imap.append("INBOX", "", b"Subject: kept\r\n\r\n")?.is_ok());
    drop(imap);
    let nodes = cluster.metads.iter_mut().chain(&mut cluster.frontends);
    for node in nodes {
        let began = Instant::now();
        let status = node.terminate()?;
        println!("{} ended after {:?}", node.name, began.elapsed());
        assert!(status.success(), "{}: {status}", node.name);
    }
    // A node is ready when its groups have leaders.
    for metad in &mut cluster.metads {
        metad.start()?;
    }
    for metad in &mut cluster.metads {
        metad.wait_line("ready", Duration::from_secs(60))?;
    }
    cluster.restart_frontend(0)?;
    let front = cluster.front(0)?;
    let mut imap = Imap::login(front.imaps, &front.ca, "ana@example.com", "word")?;
    assert_eq!(imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"], 1);
    assert_eq!(cluster.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_node_that_got_another_address_is_found_again() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(SMALL)?;
    cluster.account("ana@example.com", "word")?;
    let front = cluster.front(0)?;
    cluster.relocate_metad(2)?;
    let (id, address) = (cluster.ids[2].to_string(), cluster.addresses[2].clone());
    // The node may lead the directory: then the others do not find it, and it is asked itself.
    let moved = cluster.ctl_anywhere(&["node", "set-address", &id, &address])?;
    assert_eq!(moved["address"], address);
    // Twice is once.
    cluster.ctl_anywhere(&["node", "set-address", &id, &address])?;
    let until = Instant::now() + Duration::from_secs(60);
    while cluster.ctl_anywhere(&["rebalance"])?["shards_to_change"] != 0 {
        assert!(Instant::now() < until, "members are not reached at the new address");
        std::thread::sleep(Duration::from_millis(200)); // there is no event to wait for
    }
    // Without one of the others, each group needs the node that moved.
    cluster.metads[0].kill();
    let until = Instant::now() + Duration::from_secs(60);
    let mut delivered = false;
    while !delivered {
        assert!(Instant::now() < until, "nothing is delivered with the node that moved and one more");
        let replies = Lmtp::connect(front.lmtp)?.deliver(
            "bob@example.net",
            &["ana@example.com"],
            b"Subject: hello\r\n\r\nthere\r\n",
        )?;
        delivered = replies.iter().all(|reply| reply.starts_with("250"));
    }
    let mut imap = Imap::login(front.imaps, &front.ca, "ana@example.com", "word")?;
    assert_eq!(imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"], 1);
    cluster.restart_metad(0)
}

#[test]
fn leaders_spread_again_once_a_node_is_back() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(SMALL)?;
    let gone = cluster.leader(1)?;
    cluster.metads[gone].kill();
    let until = Instant::now() + Duration::from_secs(60);
    for group in 0..=SMALL.shards as u64 {
        while cluster.leader(group)? == gone {
            std::thread::sleep(Duration::from_millis(50)); // what the others know of it is behind
        }
    }
    cluster.restart_metad(gone)?;
    let leads = |cluster: &Cluster| -> anyhow::Result<usize> {
        let leaders = (1..=SMALL.shards as u64).map(|group| cluster.leader(group));
        Ok(leaders.collect::<anyhow::Result<Vec<_>>>()?.into_iter().filter(|leader| *leader == gone).count())
    };
    while leads(&cluster)? == 0 {
        assert!(Instant::now() < until, "node {} leads nothing, though it is back", gone + 1);
        std::thread::sleep(Duration::from_millis(200)); // there is no event to wait for
    }
    Ok(())
}
