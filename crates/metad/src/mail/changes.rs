//! Changes: what happened in a mailbox since a modseq.
//!
//! ```text
//! recent: the index's ring ─▶ older: tombstones in SQL ─▶ below the floor: all UIDs that exist
//! ```

use buzon_model::read::{At, MailboxDelta};
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::mail::changes_response;
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_proto::wire::WireError;
use buzon_types::id::{GroupId, MailboxKey};
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;
use futures::{StreamExt, stream};

use super::read::read_at;
use super::{Answers, Mail, no_such_account, replica};
/// Messages in one answer: about 100 KB.
const PAGE_MESSAGES: usize = 5_000;

pub(super) async fn changes(
    mail: &Mail,
    request: pb::ChangesRequest,
) -> Result<Answers<pb::ChangesResponse>, CallError> {
    let replica = replica(&*mail.groups, GroupId(request.group))?;
    let key = MailboxKey::try_from(request.mailbox.ok_or(WireError::new("changes_request.mailbox"))?)?;
    let since = ModSeq::new(request.since).ok_or(WireError::new("changes_request.since"))?;
    let needs = [Need::Account(key.account), Need::Index(key)];
    let found = replica.read(read_at(request.read)?, &needs, |state| delta(state, key, since));
    let At { index, value } = found.await?;
    let (mut delta, expunged) = value.ok_or_else(no_such_account)??;
    if let Expunged::InStore = expunged {
        delta.expunged = replica.expunged_since(index, key, since).await?;
    }
    let messages = delta.messages.split_off(delta.messages.len().min(PAGE_MESSAGES));
    let first = changes_response(index, &delta);
    let more = messages.chunks(PAGE_MESSAGES).map(|page| pb::ChangesResponse {
        index: index.0,
        messages: page.iter().map(Into::into).collect(),
        ..Default::default()
    });
    let pages: Vec<_> = std::iter::once(first).chain(more).map(Ok).collect();
    Ok(stream::iter(pages).boxed())
}

/// Whether the delta has what was expunged.
enum Expunged {
    Known,
    /// The ring does not reach back that far.
    InStore,
}

/// `None` without the account.
fn delta(
    state: &State,
    key: MailboxKey,
    since: ModSeq,
) -> Option<Result<(MailboxDelta, Expunged), CallError>> {
    let account = state.account(key.account)?;
    let Some(mailbox) = state.mailbox(key) else {
        let delta = MailboxDelta {
            modseq: account.row.counters.modseq,
            uid_next: None,
            recent_from: None,
            keywords: Vec::new(),
            messages: Vec::new(),
            expunged: UidSet::new(),
            live: None,
            name: None,
        };
        return Some(Ok((delta, Expunged::Known)));
    };
    let Some(index) = mailbox.index.as_ref() else {
        return Some(Err(CallError::new(ErrorCode::Internal, "messages of the mailbox are not loaded")));
    };
    state.touch(key);
    let is_below_floor = since < mailbox.row.tombstone_floor;
    let recent = index.expunged_since(since).filter(|_| !is_below_floor);
    let known = if recent.is_some() || is_below_floor { Expunged::Known } else { Expunged::InStore };
    let delta = MailboxDelta {
        modseq: mailbox.row.counters.modseq,
        uid_next: mailbox.row.counters.uid_next,
        recent_from: mailbox.row.counters.recent_from,
        keywords: mailbox.row.keywords.clone(),
        messages: index.changes_since(since).iter().map(Into::into).collect(),
        expunged: recent.unwrap_or_default(),
        live: is_below_floor.then(|| index.uids()),
        name: Some(mailbox.row.name.clone()),
    };
    Some(Ok((delta, known)))
}
