//! NAMESPACE (RFC 9051 §6.3.10): one, the account's own.

use buzon_imap::command::Tag;
use buzon_imap::response::data::{Namespace, Namespaces};
use buzon_imap::response::{Response, Status};

use crate::ctx::{Ctx, Done};

pub(crate) fn run(ctx: &mut Ctx, tag: &Tag) -> Done {
    let personal = vec![Namespace { prefix: String::new() }];
    ctx.put(Response::Namespace(Namespaces { personal, ..Namespaces::default() }));
    Status::ok(tag, "Done").into()
}
