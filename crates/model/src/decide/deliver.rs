//! LMTP delivery of one message to several accounts: each gets it or not, whatever becomes of the others.

use buzon_types::time::Timestamp;

use crate::change::SummarySource;
use crate::command::{NewMessage, Recipient};
use crate::decide::Decided;
use crate::decide::append::row_of;
use crate::decide::draft::Draft;
use crate::limits::ENTRY_MESSAGES_MAX;
use crate::reply::{Delivery, Rejection, Reply};
use crate::state::{Account, Mailbox, State};

pub(super) fn decide(
    state: &State,
    at: Timestamp,
    recipients: &[Recipient],
    message: &NewMessage,
) -> Decided {
    if recipients.len() > ENTRY_MESSAGES_MAX as usize {
        return Err(Rejection::TooManyMessages);
    }
    let mut draft = Draft::new(state, at);
    let results = recipients.iter().map(|recipient| deliver(&mut draft, recipient, message)).collect();
    Ok(draft.finish(Reply::Delivered(results)))
}

/// Checks everything before it touches anything: a refused recipient leaves no trace in the draft.
fn deliver(
    draft: &mut Draft<'_>,
    recipient: &Recipient,
    message: &NewMessage,
) -> Result<Delivery, Rejection> {
    let account = draft.account(recipient.account)?;
    let mailbox = mailbox_for(account, recipient).ok_or(Rejection::NoSuchMailbox)?;
    draft.check_uids(mailbox, 1)?;
    draft.check_quota(account, 1, message.size)?;
    let keywords = draft.keyword_bits(mailbox, &message.keywords)?;
    let summary = SummarySource::Given(message.summary.clone());
    let uid = draft.add(account, mailbox, row_of(message, keywords, draft.at), summary);
    Ok(Delivery { mailbox: mailbox.row.key.mailbox, uid_validity: mailbox.row.uid_validity, uid })
}

fn mailbox_for<'a>(account: &'a Account, recipient: &Recipient) -> Option<&'a Mailbox> {
    let detail = recipient.mailbox.as_ref().and_then(|name| account.mailbox_named(name));
    detail.or_else(|| account.inbox())
}
