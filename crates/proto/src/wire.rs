//! What every conversion needs: the error that names the field, and the checks of single fields.

use buzon_types::address::{Address, Domain};
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::node::{NodeAddress, Zone};
use buzon_types::uid::{ModSeq, Uid, UidValidity};
use bytes::Bytes;

/// A received message holds what it may not: sent by a later version, or by nobody of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("field {field} is missing or out of range")]
pub struct WireError {
    /// The field's name in the proto file.
    pub field: &'static str,
}

impl WireError {
    /// Of a field.
    pub const fn new(field: &'static str) -> Self {
        Self { field }
    }
}

/// What a conversion gives.
pub type Wire<T> = Result<T, WireError>;

/// A message field that must be there.
pub(crate) fn required<T>(value: Option<T>, field: &'static str) -> Wire<T> {
    value.ok_or(WireError { field })
}

/// A message field that must be there, converted.
pub(crate) fn convert<P, T: TryFrom<P, Error = WireError>>(value: Option<P>, field: &'static str) -> Wire<T> {
    T::try_from(required(value, field)?)
}

pub(crate) fn uid(value: u32, field: &'static str) -> Wire<Uid> {
    Uid::new(value).ok_or(WireError { field })
}

pub(crate) fn uid_validity(value: u32, field: &'static str) -> Wire<UidValidity> {
    UidValidity::new(value).ok_or(WireError { field })
}

/// 0 is `None`.
pub(crate) fn number(uid: Option<Uid>) -> u32 {
    uid.map_or(0, Uid::get)
}

pub(crate) fn modseq(value: u64, field: &'static str) -> Wire<ModSeq> {
    ModSeq::new(value).ok_or(WireError { field })
}

pub(crate) fn flags(bits: u32, field: &'static str) -> Wire<SystemFlags> {
    u8::try_from(bits).ok().and_then(SystemFlags::from_bits).ok_or(WireError { field })
}

pub(crate) fn keywords(names: &[String], field: &'static str) -> Wire<Vec<Keyword>> {
    names.iter().map(|name| Keyword::new(name).map_err(|_| WireError { field })).collect()
}

pub(crate) fn keyword_names(keywords: &[Keyword]) -> Vec<String> {
    keywords.iter().map(|keyword| keyword.as_str().to_owned()).collect()
}

pub(crate) fn mailbox_name(text: &str, field: &'static str) -> Wire<MailboxName> {
    MailboxName::new(text).map_err(|_| WireError { field })
}

pub(crate) fn domain(text: &str, field: &'static str) -> Wire<Domain> {
    Domain::new(text).map_err(|_| WireError { field })
}

/// Reads an address as its `Display` writes it.
///
/// # Errors
/// If it is none.
pub fn address(text: &str, field: &'static str) -> Wire<Address> {
    Address::new(text).map_err(|_| WireError { field })
}

pub(crate) fn node_address(text: &str, field: &'static str) -> Wire<NodeAddress> {
    NodeAddress::new(text).map_err(|_| WireError { field })
}

/// "" is `None`.
pub(crate) fn zone(text: &str, field: &'static str) -> Wire<Option<Zone>> {
    let zone = (!text.is_empty()).then(|| Zone::new(text)).transpose();
    zone.map_err(|_| WireError { field })
}

pub(crate) fn zone_text(zone: Option<&Zone>) -> String {
    zone.map(ToString::to_string).unwrap_or_default()
}

/// 128 bits as 16 bytes, big-endian.
pub(crate) fn id_bytes(id: u128) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

pub(crate) fn id(bytes: &Bytes, field: &'static str) -> Wire<u128> {
    let bytes: [u8; 16] = bytes.as_ref().try_into().map_err(|_| WireError { field })?;
    Ok(u128::from_be_bytes(bytes))
}

/// Upper and lower half.
pub(crate) const fn halves(value: u128) -> (u64, u64) {
    ((value >> 64) as u64, value as u64)
}

pub(crate) const fn whole(high: u64, low: u64) -> u128 {
    (high as u128) << 64 | low as u128
}
