//! STARTTLS (RFC 9051 §6.2.1). The handshake is the connection's.

use buzon_imap::command::Tag;
use buzon_imap::response::Status;

use crate::ctx::{Ctx, Done, Security, Then};
use crate::rescue::CommandError;

pub(crate) fn run(ctx: &mut Ctx, tag: &Tag) -> Result<Done, CommandError> {
    if ctx.peer.security == Security::Tls {
        return Err(CommandError::bad("the connection is secure already"));
    }
    if ctx.services.tls.is_none() {
        return Err(CommandError::bad("not offered here"));
    }
    Ok(Done { status: Status::ok(tag, "Begin the handshake now"), then: Then::StartTls })
}
