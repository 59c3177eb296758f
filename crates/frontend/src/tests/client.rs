//! A client that believes nothing: it checks every untagged response against what it was told before.

use std::collections::BTreeMap;

use buzon_types::flag::SystemFlags;

use super::harness::{Line, Server};

/// What it knows of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// 0: not told yet.
    pub(super) uid: u32,
    pub(super) flags: Option<SystemFlags>,
}

/// A session with a mailbox open.
pub(super) struct Client {
    line: Line,
    commands: u32,
    pub(super) messages: Vec<Known>,
}

/// Whether EXPUNGE may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expunges {
    Allowed,
    Forbidden,
}

impl Client {
    pub(super) async fn open(server: &Server, mailbox: &str) -> Self {
        let line = server.log_in().await;
        let mut client = Self { line, commands: 0, messages: Vec::new() };
        client.select(mailbox).await;
        client
    }

    pub(super) async fn select(&mut self, mailbox: &str) {
        self.messages.clear();
        let lines = self.line.command("open", &format!("SELECT {mailbox}")).await;
        assert!(lines.last().unwrap().starts_with("open OK"), "{lines:?}");
        lines.iter().for_each(|line| self.hear(line, Expunges::Forbidden));
        self.learn().await;
    }

    /// Runs a command and believes its answers; returns the tagged one without its tag.
    pub(super) async fn run(&mut self, command: &str, expunges: Expunges) -> String {
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        let lines = self.line.command(&tag, command).await;
        let (last, untagged) = lines.split_last().unwrap();
        for line in untagged {
            self.hear(line, expunges);
        }
        last[tag.len() + 1..].to_owned()
    }

    /// Asks the UIDs and flags of messages that it does not know; more may come meanwhile.
    pub(super) async fn learn(&mut self) {
        while let Some(first) = self.messages.iter().position(|message| message.uid == 0) {
            let last = self.messages.len();
            let fetch = format!("FETCH {}:{last} (UID FLAGS)", first + 1);
            let answer = self.run(&fetch, Expunges::Forbidden).await;
            if answer.starts_with("NO [EXPUNGEISSUED]") {
                // Some are gone for good before they could be asked: EXPUNGE tells which.
                self.run("NOOP", Expunges::Allowed).await;
            } else {
                assert!(answer.starts_with("OK"), "{answer}");
            }
        }
        let uids: Vec<u32> = self.messages.iter().map(|message| message.uid).collect();
        assert!(uids.windows(2).all(|pair| pair[0] < pair[1]), "UIDs ascend: {uids:?}");
    }

    /// Sits in IDLE until nothing more comes.
    pub(super) async fn idle(&mut self) {
        self.line.send("idle IDLE").await;
        self.line.send("DONE").await;
        for line in self.line.until_tagged("idle").await {
            self.hear(&line, Expunges::Allowed);
        }
    }

    pub(super) fn flags(&self) -> BTreeMap<u32, SystemFlags> {
        self.messages.iter().map(|message| (message.uid, message.flags.unwrap())).collect()
    }

    fn hear(&mut self, line: &str, expunges: Expunges) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let ["*", number, what, ..] = words[..] else { return };
        let Ok(number) = number.parse::<usize>() else { return };
        match what {
            "EXISTS" => {
                assert!(number >= self.messages.len(), "EXISTS {number} of {}", self.messages.len());
                self.messages.resize(number, Known::default());
            }
            "EXPUNGE" => {
                assert_eq!(expunges, Expunges::Allowed, "{line} where it is forbidden");
                assert!((1..=self.messages.len()).contains(&number), "{line} of {}", self.messages.len());
                self.messages.remove(number - 1);
            }
            "FETCH" => {
                assert!((1..=self.messages.len()).contains(&number), "{line} of {}", self.messages.len());
                self.believe(number - 1, words[3]);
            }
            _ => {}
        }
    }

    fn believe(&mut self, at: usize, items: &str) {
        let message = &mut self.messages[at];
        if let Some((_, rest)) = items.split_once("UID ") {
            let uid: u32 = rest.split([' ', ')']).next().unwrap().parse().unwrap();
            assert!(
                message.uid == 0 || message.uid == uid,
                "message {} was {} and is {uid}",
                at + 1,
                message.uid
            );
            message.uid = uid;
        }
        if let Some((_, rest)) = items.split_once("FLAGS (") {
            let names = rest.split(')').next().unwrap().split(' ');
            let flags = names.filter_map(SystemFlags::from_name);
            message.flags = Some(flags.fold(SystemFlags::NONE, |all, flag| all | flag));
        }
    }
}
