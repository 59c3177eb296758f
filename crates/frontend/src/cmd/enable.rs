//! ENABLE (RFC 9051 §6.3.1).

use std::borrow::Cow;

use buzon_imap::command::Tag;
use buzon_imap::response::{Response, Status};

use crate::ctx::{Ctx, Done};

/// What we do not know, or what needs no enabling, is passed over; the answer names what was switched on now.
pub(crate) fn run(ctx: &mut Ctx, tag: &Tag, names: &[String]) -> Done {
    let before = ctx.enabled;
    for name in names {
        match name.as_str() {
            "IMAP4REV2" => ctx.enabled.rev2 = true,
            "CONDSTORE" => ctx.enable_condstore(),
            _ => {}
        }
    }
    let mut enabled = Vec::new();
    if ctx.enabled.rev2 && !before.rev2 {
        enabled.push(Cow::Borrowed("IMAP4rev2"));
    }
    if ctx.enabled.condstore && !before.condstore {
        enabled.push(Cow::Borrowed("CONDSTORE"));
    }
    ctx.put(Response::Enabled(enabled));
    Status::ok(tag, "Done").into()
}
