//! ID (RFC 2971). What the client says is logged and decides nothing.

use std::borrow::Cow;

use buzon_imap::command::Tag;
use buzon_imap::response::{Response, Status};

use crate::ctx::{Ctx, Done};

/// Fields of the client that are logged: the rest is noise.
const LOGGED: [&str; 2] = ["name", "version"];
/// Longer values are cut.
const LOGGED_CHARS_MAX: usize = 60;

pub(crate) fn run(ctx: &mut Ctx, tag: &Tag, fields: Option<Vec<(String, Option<String>)>>) -> Done {
    for (field, value) in fields.into_iter().flatten() {
        if let Some(value) = value.filter(|_| LOGGED.iter().any(|known| known.eq_ignore_ascii_case(&field))) {
            let value: String = value.chars().take(LOGGED_CHARS_MAX).collect();
            tracing::debug!(field, value, "client");
        }
    }
    ctx.put(Response::Id(vec![
        (Cow::Borrowed("name"), Cow::Borrowed("Buzon")),
        (Cow::Borrowed("version"), Cow::Borrowed(env!("CARGO_PKG_VERSION"))),
    ]));
    Status::ok(tag, "Done").into()
}
