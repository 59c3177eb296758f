//! What a selected session is told without having asked, as responses (RFC 9051 §7.5, RFC 3501 §7.3).

use super::Selected;
use crate::enabled::Enabled;
use buzon_imap::response::Response;
use buzon_imap::response::data::{ExtraFlag, FlagNames};
use buzon_model::reply::FlagState;
use buzon_types::flag::SystemFlags;
use buzon_types::uid::SequenceNumber;

/// Whether EXPUNGE may be told now: not during FETCH, STORE and SEARCH by sequence number, nor between commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expunges {
    /// Numbers may move.
    Told,
    /// They wait.
    Held,
}

/// Whether messages that came may be told now: not while it is being found out which of them are `\Recent` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// With EXISTS and RECENT.
    Told,
    /// They wait.
    Held,
}

/// News, in the order in which they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    /// As sent one after the other.
    pub(crate) expunged: Vec<SequenceNumber>,
    pub(crate) exists: Option<u32>,
    pub(crate) recent: Option<u32>,
    /// FLAGS and PERMANENTFLAGS are to be told again.
    pub(crate) new_keywords: bool,
    pub(crate) flags: Vec<(SequenceNumber, FlagState)>,
}

impl News {
    /// The responses, made one by one: news of a large mailbox are many.
    pub(crate) fn responses(
        self,
        selected: &Selected,
        enabled: Enabled,
    ) -> impl Iterator<Item = Response> + '_ {
        let recent = self.recent.filter(|_| !enabled.rev2).map(Response::Recent);
        let flags = self.new_keywords.then(|| Response::Flags(selected.all_flags(ExtraFlag::None)));
        let expunged = self.expunged.into_iter().map(Response::Expunge);
        let changed = self.flags.into_iter();
        expunged
            .chain(self.exists.map(Response::Exists))
            .chain(recent)
            .chain(flags)
            .chain(changed.map(move |(number, state)| selected.fetch_flags(number, &state, enabled)))
    }
}

impl Selected {
    /// Flags that messages here have or can have.
    pub(crate) fn all_flags(&self, extra: ExtraFlag) -> FlagNames {
        let system = SystemFlags::ALL.iter().fold(SystemFlags::NONE, |all, &(flag, _)| all | flag);
        FlagNames { system, keywords: self.keywords().to_vec(), extra }
    }

    /// A message's flags as a response of their own.
    pub(crate) fn fetch_flags(
        &self,
        number: SequenceNumber,
        state: &FlagState,
        enabled: Enabled,
    ) -> Response {
        Response::FetchFlags {
            number,
            // Allowed always, and it spares clients the way through their tables (RFC 7162 §3.2.4).
            uid: Some(state.uid),
            modseq: enabled.condstore.then_some(state.modseq),
            flags: self.flag_names(state.flags, state.keywords, self.extra_flag(state.uid, enabled)),
        }
    }

    /// `\Recent` is unknown to IMAP4rev2.
    pub(crate) fn extra_flag(&self, uid: buzon_types::uid::Uid, enabled: Enabled) -> ExtraFlag {
        if !enabled.rev2 && self.is_recent(uid) { ExtraFlag::Recent } else { ExtraFlag::None }
    }
}
