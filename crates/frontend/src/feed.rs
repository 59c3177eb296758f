//! What the change feed told of a session's account, noted while a command may be running.

use buzon_model::read::EventKind;
use buzon_types::id::{LogIndex, MailboxId};
use buzon_types::uid::ModSeq;
use parking_lot::Mutex;

/// Mailboxes noted during one command; more make it a gap.
const NOTED_MAX: usize = 32;

/// Shared by the connection, which hears the feed, and the command that runs.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    mailboxes: Vec<(MailboxId, ModSeq)>,
    gap: bool,
    index: LogIndex,
}

impl Feed {
    /// Takes an event; reads at `index` see what it tells of.
    pub(crate) fn note(&self, kind: EventKind, index: LogIndex) {
        let mut noted = self.noted.lock();
        noted.index = noted.index.max(index);
        match kind {
            EventKind::Mailbox(mailbox, modseq) => {
                match noted.mailboxes.iter().position(|(known, _)| *known == mailbox) {
                    Some(at) => noted.mailboxes[at].1 = modseq.max(noted.mailboxes[at].1),
                    None if noted.mailboxes.len() < NOTED_MAX => noted.mailboxes.push((mailbox, modseq)),
                    None => noted.gap = true,
                }
            }
            // The selected mailbox may be deleted or have another name.
            EventKind::Gap | EventKind::Tree => noted.gap = true,
            EventKind::Credential(_) => {}
        }
    }

    /// Whether something may have happened in this mailbox after `modseq`.
    pub(crate) fn has_news(&self, mailbox: MailboxId, modseq: ModSeq) -> bool {
        let noted = self.noted.lock();
        noted.gap || noted.mailboxes.iter().any(|(known, told)| *known == mailbox && *told > modseq)
    }

    /// A delta is about to be asked for: whatever it could miss is noted after this. Returns the index to ask it at.
    pub(crate) fn begin_catching_up(&self) -> LogIndex {
        let mut noted = self.noted.lock();
        noted.gap = false;
        noted.index
    }

    /// A delta that was to close a gap did not come.
    pub(crate) fn failed_to_catch_up(&self) {
        self.noted.lock().gap = true;
    }

    /// No command runs: only the selected mailbox is of interest. Without one, what was missed is: the next is opened
    /// as it stands then.
    pub(crate) fn keep_only(&self, selected: Option<MailboxId>) {
        let mut noted = self.noted.lock();
        noted.gap &= selected.is_some();
        noted.mailboxes.retain(|(mailbox, _)| Some(*mailbox) == selected);
        if noted.mailboxes.is_empty() {
            noted.mailboxes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_of_the_selected_mailbox_stay_until_seen() {
        let (one, two) = (MailboxId(1), MailboxId(2));
        let modseq = |value| ModSeq::new(value).unwrap();
        let feed = Feed::default();
        feed.note(EventKind::Mailbox(one, modseq(5)), LogIndex(7));
        feed.note(EventKind::Mailbox(two, modseq(9)), LogIndex(8));
        assert!(feed.has_news(one, modseq(4)) && !feed.has_news(one, modseq(5)));
        feed.keep_only(Some(one));
        assert!(feed.has_news(one, modseq(4)) && !feed.has_news(two, modseq(4)));
        feed.note(EventKind::Gap, LogIndex(8));
        assert!(feed.has_news(one, modseq(7)));
        assert_eq!(feed.begin_catching_up(), LogIndex(8));
        assert!(!feed.has_news(one, modseq(7)));
    }
}
