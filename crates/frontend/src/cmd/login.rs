//! LOGIN (RFC 9051 §6.2.3), and what AUTHENTICATE shares with it.

use buzon_imap::command::{Login, Tag};
use buzon_imap::response::code::Code;
use buzon_imap::response::{Condition, Status};
use buzon_types::secret::Secret;
use bytes::Bytes;

use crate::auth::LoginError;
use crate::ctx::{Account, Ctx, Done, Then};
use crate::rescue::CommandError;

/// After so many wrong passwords the connection ends.
const FAILED_LOGINS_MAX: u32 = 5;

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: Login) -> Result<Done, CommandError> {
    must_be_private(ctx)?;
    log_in(ctx, tag, &body.user, &body.password).await
}

/// No password in the clear (RFC 9051 §11.3).
pub(crate) fn must_be_private(ctx: &Ctx) -> Result<(), CommandError> {
    if ctx.peer.may_log_in() {
        return Ok(());
    }
    Err(CommandError::no(Code::PrivacyRequired, "use STARTTLS first, or the port for TLS"))
}

/// The answer tells neither whether the address exists nor what was wrong.
pub(crate) async fn log_in(
    ctx: &mut Ctx,
    tag: &Tag,
    user: &str,
    password: &Secret<Bytes>,
) -> Result<Done, CommandError> {
    let peer = ctx.peer.address;
    match ctx.services.authenticator.log_in(user, password, peer).await {
        Ok(admitted) => {
            tracing::info!(account = admitted.account.account.0, %peer, "logged in");
            ctx.services.metrics.login("ok");
            ctx.account =
                Some(Account { handle: admitted.account, version: admitted.version, seen: admitted.index });
            ctx.new_watch = Some(admitted.watch);
            let code = Code::Capability(ctx.capabilities());
            Ok(Status::ok(tag, "Logged in").with(code).into())
        }
        Err(LoginError::Wrong) => Ok(refused(ctx, tag)),
        Err(LoginError::Suspended) => {
            ctx.services.metrics.login("suspended");
            Err(CommandError::no(Code::ContactAdmin, "account is suspended"))
        }
        Err(LoginError::Meta(error)) => {
            ctx.services.metrics.login("unavailable");
            Err(error.into())
        }
        Err(LoginError::Check) => {
            ctx.services.metrics.login("unavailable");
            Err(CommandError::no(Code::Unavailable, "password cannot be checked now"))
        }
    }
}

fn refused(ctx: &mut Ctx, tag: &Tag) -> Done {
    ctx.services.metrics.login("wrong");
    tracing::info!(peer = %ctx.peer.address, "login refused");
    ctx.failed_logins += 1;
    let status = Status::no(tag, "Address or password is wrong").with(Code::AuthenticationFailed);
    if ctx.failed_logins < FAILED_LOGINS_MAX {
        return status.into();
    }
    ctx.put(Status::untagged(Condition::Bye, "too many failed logins"));
    Done { status, then: Then::Close }
}
