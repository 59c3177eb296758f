//! LOGOUT (RFC 9051 §6.1.3).

use buzon_imap::command::Tag;
use buzon_imap::response::{Condition, Status};

use crate::ctx::{Ctx, Done, Then};

/// BYE comes before the tagged answer, and nothing between.
pub(crate) fn run(ctx: &mut Ctx, tag: &Tag) -> Done {
    ctx.deselect();
    ctx.put(Status::untagged(Condition::Bye, "Until next time"));
    Done { status: Status::ok(tag, "Logged out"), then: Then::Close }
}
