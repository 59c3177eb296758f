//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3, RFC 7162 §3.1.8).

use buzon_imap::command::Tag;
use buzon_imap::command::select::Select;
use buzon_imap::response::code::Code;
use buzon_imap::response::data::{ExtraFlag, FlagNames};
use buzon_imap::response::list::{ListAttribute, ListRow};
use buzon_imap::response::{Condition, Response, Status};
use buzon_model::read::ReadAt;
use buzon_model::row::MailboxRow;
use buzon_types::flag::KEYWORDS_MAX;
use buzon_types::uid::{ModSeq, Uid};

use crate::claim::{Wait, claim};
use crate::ctx::{Ctx, Done, existing_name};
use crate::rescue::CommandError;
use crate::selected::recent::Claimed;
use crate::selected::{Access, Selected};

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: Select) -> Result<Done, CommandError> {
    open(ctx, tag, body, Access::ReadWrite).await
}

pub(crate) async fn examine(ctx: &mut Ctx, tag: &Tag, body: Select) -> Result<Done, CommandError> {
    open(ctx, tag, body, Access::ReadOnly).await
}

/// Whatever becomes of it, the mailbox that was open is closed (RFC 9051 §6.3.2).
async fn open(ctx: &mut Ctx, tag: &Tag, body: Select, access: Access) -> Result<Done, CommandError> {
    if body.qresync.is_some() {
        return Err(CommandError::bad("QRESYNC is not enabled"));
    }
    if ctx.deselect().is_some() {
        ctx.put(Status::untagged(Condition::Ok, "Previous mailbox is now closed").with(Code::Closed));
    }
    let name = existing_name(&body.mailbox)?;
    let account = &ctx.account()?.handle;
    let read = ctx.services.meta.open_mailbox(account, &name, ReadAt::Linearizable).await?;
    let Some(opened) = ctx.take(read) else {
        return Err(CommandError::no(Code::NonExistent, "no such mailbox"));
    };
    if body.condstore {
        ctx.enable_condstore();
    }
    let (row, first_unseen) = (opened.row.clone(), opened.first_unseen);
    ctx.selected = Some(Selected::open(opened, access));
    // Messages that the claim takes beyond these are told with the next news.
    ctx.behind = claim(ctx, Wait::InTime).await == Claimed::Beyond;
    show(ctx, &row, first_unseen)?;
    let code = match access {
        Access::ReadWrite => Code::ReadWrite,
        Access::ReadOnly => Code::ReadOnly,
    };
    Ok(Status::ok(tag, "Opened").with(code).into())
}

/// As the client is told it, once it is known what is `\Recent` for it.
fn show(ctx: &mut Ctx, row: &MailboxRow, first_unseen: Option<Uid>) -> Result<(), CommandError> {
    let rev2 = ctx.enabled.rev2;
    let selected = ctx.selected_mut()?;
    let (exists, recent) = (selected.exists(), selected.tell_recent());
    let flags = selected.all_flags(ExtraFlag::None);
    let unseen = first_unseen.and_then(|uid| selected.number(uid));
    let (permanent, text) = permanent_flags(selected);
    ctx.put(Response::Flags(flags));
    ctx.put(Response::Exists(exists));
    if !rev2 {
        ctx.put(Response::Recent(recent));
        if let Some(number) = unseen {
            ctx.put(ok(Code::Unseen(number), "first unseen"));
        }
    }
    ctx.put(ok(Code::PermanentFlags(permanent), text));
    ctx.put(ok(Code::UidValidity(row.uid_validity), "UIDs are valid"));
    if let Some(next) = row.counters.uid_next {
        ctx.put(ok(Code::UidNext(next), "next UID"));
    } else {
        ctx.put(ok(Code::UidNext(Uid::MAX), "all UIDs are used"));
    }
    let modseq = row.counters.modseq.max(ModSeq::ZERO.next());
    ctx.put(ok(Code::HighestModSeq(modseq), "highest"));
    if rev2 {
        let attributes = row.special_use.map(ListAttribute::Use).into_iter().collect();
        ctx.put(Response::List(ListRow { mailbox: row.name.to_string(), attributes, ..ListRow::default() }));
    }
    Ok(())
}

fn ok(code: Code, text: &'static str) -> Status {
    Status::untagged(Condition::Ok, text).with(code)
}

/// What the client can change for good.
fn permanent_flags(selected: &Selected) -> (FlagNames, &'static str) {
    match selected.access {
        Access::ReadOnly => (FlagNames::default(), "nothing can be changed"),
        Access::ReadWrite if selected.keywords().len() < KEYWORDS_MAX => {
            (selected.all_flags(ExtraFlag::AnyKeyword), "keywords can be made")
        }
        Access::ReadWrite => (selected.all_flags(ExtraFlag::None), "no more keywords can be made"),
    }
}
