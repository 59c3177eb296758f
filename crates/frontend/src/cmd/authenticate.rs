//! AUTHENTICATE with PLAIN (RFC 4616) and LOGIN (RFC 9051 §6.2.2, RFC 4959).

use buzon_imap::command::{Authenticate, Tag};
use buzon_imap::response::code::Code;
use buzon_types::secret::Secret;
use bytes::Bytes;

use crate::cmd::login::{log_in, must_be_private};
use crate::ctx::{Ctx, Done};
use crate::rescue::CommandError;

/// An exchange under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    tag: Tag,
    awaited: Awaited,
}

/// What the client is to send next.
#[derive(Debug)]
enum Awaited {
    /// PLAIN: all of it.
    Plain,
    /// LOGIN: the address.
    User,
    /// LOGIN: the password of this address.
    Password(String),
}

/// What a response leads to.
enum Next {
    Ask(&'static [u8], Awaited),
    Check(String, Secret<Bytes>),
}

/// `None`: the client was asked for more.
pub(crate) async fn begin(
    ctx: &mut Ctx,
    tag: &Tag,
    body: Authenticate,
) -> Result<Option<Done>, CommandError> {
    must_be_private(ctx)?;
    let (challenge, awaited): (&[u8], _) = match body.mechanism.as_str() {
        "PLAIN" => (b"", Awaited::Plain),
        "LOGIN" => (b"Username:", Awaited::User),
        _ => return Err(CommandError::no(Code::Cannot, "no such mechanism")),
    };
    match body.initial_response {
        Some(response) => step(ctx, tag, awaited, response).await,
        None => {
            ask(ctx, tag, challenge, awaited);
            Ok(None)
        }
    }
}

/// The client answered a challenge; `None` if nobody asked it.
pub(crate) async fn respond(
    ctx: &mut Ctx,
    response: Secret<Bytes>,
) -> Option<(Tag, Result<Option<Done>, CommandError>)> {
    let Exchange { tag, awaited } = ctx.exchange.take()?;
    let result = step(ctx, &tag, awaited, response).await;
    Some((tag, result))
}

async fn step(
    ctx: &mut Ctx,
    tag: &Tag,
    awaited: Awaited,
    response: Secret<Bytes>,
) -> Result<Option<Done>, CommandError> {
    match next(awaited, response)? {
        Next::Ask(challenge, awaited) => {
            ask(ctx, tag, challenge, awaited);
            Ok(None)
        }
        Next::Check(user, password) => log_in(ctx, tag, &user, &password).await.map(Some),
    }
}

fn ask(ctx: &mut Ctx, tag: &Tag, challenge: &[u8], awaited: Awaited) {
    ctx.exchange = Some(Exchange { tag: tag.clone(), awaited });
    ctx.protocol.challenge(tag.clone(), challenge, &mut ctx.wire.output);
}

fn next(awaited: Awaited, response: Secret<Bytes>) -> Result<Next, CommandError> {
    Ok(match awaited {
        Awaited::Plain => {
            let (user, password) = plain(response.expose())?;
            Next::Check(user, Secret::new(password))
        }
        Awaited::User => Next::Ask(b"Password:", Awaited::Password(text(response.expose())?)),
        Awaited::Password(user) => Next::Check(user, response),
    })
}

/// `[authzid] NUL authcid NUL passwd`. Nobody acts for anybody else here.
fn plain(message: &Bytes) -> Result<(String, Bytes), CommandError> {
    let mut nuls = message.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at);
    let (Some(first), Some(second)) = (nuls.next(), nuls.next()) else {
        return Err(CommandError::bad("malformed PLAIN message"));
    };
    let user = text(&message[first + 1..second])?;
    let acting_as = text(&message[..first])?;
    if !acting_as.is_empty() && !acting_as.eq_ignore_ascii_case(&user) {
        return Err(CommandError::no(Code::AuthorizationFailed, "nobody may act for another here"));
    }
    Ok((user, message.slice(second + 1..)))
}

fn text(bytes: &[u8]) -> Result<String, CommandError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| CommandError::bad("UTF-8 expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_taken_apart() {
        let plain = |text: &'static [u8]| plain(&Bytes::from_static(text)).ok();
        assert_eq!(plain(b"\0ana@x\0secret"), Some(("ana@x".to_owned(), Bytes::from_static(b"secret"))));
        assert_eq!(plain(b"ANA@x\0ana@x\0a\0b").unwrap().1, Bytes::from_static(b"a\0b"));
        assert_eq!(plain(b"bea@x\0ana@x\0secret"), None);
        assert_eq!(plain(b"ana@x secret"), None);
    }
}
