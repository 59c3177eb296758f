//! Arguments of LOGIN, AUTHENTICATE, ENABLE and ID.

use super::{Cursor, Parsed};
use crate::command::{Authenticate, CommandBody, Login};
use crate::session::Reason;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use buzon_types::secret::Secret;
use bytes::Bytes;

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Fields of ID: clients may send so many (RFC 2971 §3.3).
const ID_FIELDS_MAX: usize = 30;
/// Names in one ENABLE: there are about five to enable.
const ENABLE_NAMES_MAX: usize = 64;

/// A line of AUTHENTICATE, or an initial response.
pub(crate) fn base64(text: &[u8]) -> Parsed<Secret<Bytes>> {
    BASE64.decode(text).map(|bytes| Secret::new(bytes.into())).map_err(|_| Reason::Base64)
}

/// login = "LOGIN" SP userid SP password
pub(super) fn login(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let user = cursor.text()?;
    cursor.space()?;
    let password = Secret::new(Bytes::from(cursor.astring()?.into_owned()));
    Ok(CommandBody::Login(Login { user, password }))
}

/// authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]
pub(super) fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let mechanism = cursor.upper_atom()?;
    let mut initial_response = None;
    if cursor.more() {
        let text = cursor.atom()?;
        initial_response = Some(if text == b"=" { Secret::new(Bytes::new()) } else { base64(text)? });
    }
    Ok(CommandBody::Authenticate(Authenticate { mechanism, initial_response }))
}

/// enable = "ENABLE" 1*(SP capability)
pub(super) fn enable(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let mut names = vec![cursor.upper_atom()?];
    while cursor.more() {
        if names.len() == ENABLE_NAMES_MAX {
            return Err(Reason::Arguments("too many names"));
        }
        names.push(cursor.upper_atom()?);
    }
    Ok(CommandBody::Enable(names))
}

/// id = "ID" SP (nil / "(" [string SP nstring *(SP string SP nstring)] ")")
pub(super) fn id(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    if cursor.eat_word(b"NIL") {
        return Ok(CommandBody::Id(None));
    }
    let lossy = |bytes: std::borrow::Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
    let mut fields = Vec::new();
    cursor.list(|cursor| {
        if fields.len() == ID_FIELDS_MAX {
            return Err(Reason::Arguments("too many fields"));
        }
        let name = lossy(cursor.astring()?);
        cursor.space()?;
        fields.push((name, cursor.nstring()?.map(lossy)));
        Ok(())
    })?;
    Ok(CommandBody::Id(Some(fields)))
}
