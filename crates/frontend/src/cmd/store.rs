//! STORE: changes flags of messages, if nobody changed them first (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

use buzon_imap::command::store::{Store, StoreMode as Asked};
use buzon_imap::command::{Numbering, Tag};
use buzon_imap::response::Status;
use buzon_imap::response::code::Code;
use buzon_meta_client::chunk::Stored;
use buzon_model::command::{StoreFlags, StoreMode};
use buzon_types::uid_set::UidSet;

use crate::ctx::{Ctx, Done};
use crate::rescue::CommandError;
use crate::selected::{Access, Selected, Telling};

/// store = "STORE" SP sequence-set [SP "(UNCHANGEDSINCE" SP mod-seq ")"] SP store-att-flags
pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: Store) -> Result<Done, CommandError> {
    let change = parse(&body, ctx.selected()?)?;
    if body.unchanged_since.is_some() {
        ctx.enable_condstore();
    }
    if change.uids.is_empty() {
        return Ok(Status::ok(tag, "Done").into());
    }
    let asked = change.uids.clone();
    let stored = ctx.services.meta.store_flags(&ctx.account()?.handle, change).await;
    let stored = stored.map_err(|error| ctx.may_be_behind(error))?;
    let status = respond(tag, &body, &asked, &stored, ctx.selected()?);
    follow(ctx, body.silent, stored)?;
    Ok(status.into())
}

fn parse(body: &Store, selected: &Selected) -> Result<StoreFlags, CommandError> {
    if selected.access == Access::ReadOnly {
        return Err(CommandError::no(Code::Cannot, "mailbox was opened with EXAMINE"));
    }
    Ok(StoreFlags {
        mailbox: selected.key,
        uids: selected.resolve(body.numbering, &body.set)?, // sequence numbers end here
        mode: match body.mode {
            Asked::Replace => StoreMode::Replace,
            Asked::Add => StoreMode::Add,
            Asked::Remove => StoreMode::Remove,
        },
        flags: body.flags.system,
        keywords: body.flags.keywords.clone(),
        unchanged_since: body.unchanged_since,
    })
}

/// Brings the view to where the change left the mailbox, and notes what the client is to be told.
fn follow(ctx: &mut Ctx, silent: bool, stored: Stored) -> Result<(), CommandError> {
    ctx.saw(stored.index);
    // With CONDSTORE the new MODSEQ is told in any case (RFC 7162 §3.1.3).
    let says_modseq = ctx.enabled.condstore;
    let selected = ctx.selected_mut()?;
    selected.learn_keywords(stored.keywords);
    let before = stored.advance.before;
    let follows = selected.follow(stored.advance);
    let mut messages = stored.messages;
    if silent && says_modseq {
        messages.retain(|message| message.modseq > before);
    }
    let telling = if silent && !says_modseq { Telling::OnlyOthers } else { Telling::All };
    selected.note_own_changes(messages, telling);
    ctx.behind |= !follows;
    Ok(())
}

/// Messages that failed UNCHANGEDSINCE are no error: they are told in `OK [MODIFIED …]`. Messages that are gone are one
/// only where nothing at all was done.
fn respond(tag: &Tag, body: &Store, asked: &UidSet, stored: &Stored, selected: &Selected) -> Status {
    if !stored.modified.is_empty() {
        let code = match body.numbering {
            Numbering::Uid => Code::ModifiedUids(stored.modified.clone()),
            Numbering::Sequence => Code::ModifiedNumbers(selected.number_runs(&stored.modified)),
        };
        return Status::ok(tag, "Some messages were changed meanwhile").with(code);
    }
    let done = stored.messages.len() as u64;
    if body.numbering == Numbering::Uid || done == asked.len() {
        return Status::ok(tag, "Done");
    }
    let text = "Some of the messages are gone";
    let status = if done == 0 { Status::no(tag, text) } else { Status::ok(tag, text) };
    status.with(Code::ExpungeIssued)
}
