//! A client's own picture of a mailbox, kept strictly by the rules: what a server must never say fails here.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use buzon_tests::imap::{Answer, Response};
use buzon_tests::value::Fetched;

/// What the client knows of the message at one sequence number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) uid: Option<u32>,
    pub(crate) flags: Option<BTreeSet<String>>,
}

/// The mailbox as this client sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) messages: Vec<Known>,
    /// After ENABLE CONDSTORE every FETCH that a change caused tells the modseq (RFC 7162 §3.2).
    pub(crate) condstore: bool,
    /// FETCH runs: what is told was asked for.
    pub(crate) fetching: bool,
}

/// Whether sequence numbers may shift under a command (RFC 9051 §7.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expunges {
    Allowed,
    /// During FETCH, STORE and SEARCH.
    Forbidden,
}

impl View {
    pub(crate) fn uids(&self) -> Vec<u32> {
        self.messages.iter().filter_map(|it| it.uid).collect()
    }

    /// All responses to a command.
    pub(crate) fn hear(&mut self, answer: &Answer, expunges: Expunges) -> anyhow::Result<()> {
        answer.untagged.iter().try_for_each(|response| self.hear_one(response, expunges).map(drop))
    }

    /// Whether the response was about messages.
    pub(crate) fn hear_one(&mut self, response: &Response, expunges: Expunges) -> anyhow::Result<bool> {
        let heard = self.take(response, expunges);
        heard.with_context(|| format!("on {:?} with {} messages known", response.text, self.messages.len()))
    }

    fn take(&mut self, response: &Response, expunges: Expunges) -> anyhow::Result<bool> {
        if let Some(fetched) = Fetched::read(response)? {
            self.fetched(&fetched)?;
            return Ok(true);
        }
        let mut words = response.text.split(' ');
        let number = words.next().and_then(|word| word.parse::<usize>().ok());
        match (number, words.next()) {
            (Some(count), Some("EXISTS")) => {
                ensure!(count >= self.messages.len(), "EXISTS went down without EXPUNGE");
                self.messages.resize(count, Known::default());
            }
            (Some(seq), Some("EXPUNGE")) => {
                ensure!(expunges == Expunges::Allowed, "EXPUNGE during FETCH, STORE or SEARCH");
                ensure!(seq >= 1 && seq <= self.messages.len(), "EXPUNGE of a message that is not there");
                self.messages.remove(seq - 1);
            }
            _ => {
                ensure!(!response.text.starts_with("VANISHED"), "VANISHED without QRESYNC");
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fetched(&mut self, fetched: &Fetched) -> anyhow::Result<()> {
        let seq = fetched.seq as usize;
        ensure!(seq <= self.messages.len(), "FETCH of a message that is not there");
        if let Some(uid) = fetched.get("UID") {
            let uid = u32::try_from(uid.number()?)?;
            let known = self.messages[seq - 1].uid;
            ensure!(known.is_none_or(|known| known == uid), "message {seq} was UID {known:?}, is {uid}");
            let before = self.messages[..seq - 1].iter().filter_map(|it| it.uid).max();
            let after = self.messages[seq..].iter().filter_map(|it| it.uid).min();
            ensure!(
                before.is_none_or(|it| it < uid) && after.is_none_or(|it| it > uid),
                "UIDs do not ascend"
            );
            self.messages[seq - 1].uid = Some(uid);
        }
        if let Some(flags) = fetched.flags()? {
            ensure!(
                !self.condstore || self.fetching || fetched.get("MODSEQ").is_some(),
                "flags without MODSEQ after ENABLE CONDSTORE"
            );
            self.messages[seq - 1].flags = Some(flags);
        }
        Ok(())
    }
}
