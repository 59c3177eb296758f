//! Rows of the model to cells and back. A cell that no code of ours writes is `Corrupt`, never a panic.

pub(crate) mod cluster;
pub(crate) mod directory;
pub(crate) mod mail;
mod place;

use buzon_types::address::Address;
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid};
use bytes::Bytes;

use crate::cell::Cells;
use crate::error::StoreError;

/// A row that cannot be read.
pub(crate) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned() }
}

/// A number that is not null.
pub(crate) fn int(cells: &dyn Cells, at: usize, what: &str) -> Result<i64, StoreError> {
    cells.int(at)?.ok_or_else(|| corrupt(what))
}

/// A number of 64 bits without a sign.
pub(crate) fn unsigned(cells: &dyn Cells, at: usize, what: &str) -> Result<u64, StoreError> {
    Ok(int(cells, at, what)?.cast_unsigned())
}

/// A number that fits a narrower type.
pub(crate) fn narrow<T: TryFrom<i64>>(cells: &dyn Cells, at: usize, what: &str) -> Result<T, StoreError> {
    T::try_from(int(cells, at, what)?).map_err(|_| corrupt(what))
}

/// A point in time.
pub(crate) fn time(cells: &dyn Cells, at: usize, what: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp(int(cells, at, what)?))
}

/// A modseq.
pub(crate) fn modseq(cells: &dyn Cells, at: usize, what: &str) -> Result<ModSeq, StoreError> {
    ModSeq::new(unsigned(cells, at, what)?).ok_or_else(|| corrupt(what))
}

/// A UID.
pub(crate) fn uid(cells: &dyn Cells, at: usize, what: &str) -> Result<Uid, StoreError> {
    Uid::new(narrow(cells, at, what)?).ok_or_else(|| corrupt(what))
}

/// A UID or null.
pub(crate) fn uid_or_null(cells: &dyn Cells, at: usize, what: &str) -> Result<Option<Uid>, StoreError> {
    if cells.int(at)?.is_none() {
        return Ok(None);
    }
    uid(cells, at, what).map(Some)
}

/// A text that is not null.
pub(crate) fn text<'a>(cells: &'a dyn Cells, at: usize, what: &str) -> Result<&'a str, StoreError> {
    cells.text(at)?.ok_or_else(|| corrupt(what))
}

/// Bytes that are not null.
pub(crate) fn bytes<'a>(cells: &'a dyn Cells, at: usize, what: &str) -> Result<&'a [u8], StoreError> {
    cells.bytes(at)?.ok_or_else(|| corrupt(what))
}

/// Numbers of eight bytes each, big end first.
pub(crate) fn list_to_bytes(numbers: impl IntoIterator<Item = u64>) -> Bytes {
    numbers.into_iter().flat_map(u64::to_be_bytes).collect()
}

/// What [`list_to_bytes`] wrote.
pub(crate) fn list(cells: &dyn Cells, at: usize, what: &str) -> Result<Vec<u64>, StoreError> {
    let (numbers, rest) = bytes(cells, at, what)?.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(corrupt(what));
    }
    Ok(numbers.iter().map(|number| u64::from_be_bytes(*number)).collect())
}

/// A 128-bit id.
pub(crate) fn wide(cells: &dyn Cells, at: usize, what: &str) -> Result<u128, StoreError> {
    let bytes = bytes(cells, at, what)?;
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| corrupt(what))
}

/// An address in two columns: the local part, then the domain.
pub(crate) fn address(cells: &dyn Cells, at: usize, what: &str) -> Result<Address, StoreError> {
    let (local, domain) = (text(cells, at, what)?, text(cells, at + 1, what)?);
    address_from(local, domain, what)
}

/// Quotes a local part that would else lose its own quotes.
pub(crate) fn address_from(local: &str, domain: &str, what: &str) -> Result<Address, StoreError> {
    let text = if local.starts_with('"') {
        format!("\"{}\"@{domain}", local.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("{local}@{domain}")
    };
    Address::new(&text).map_err(|_| corrupt(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_their_columns_even_with_quotes() {
        for text in ["ana@example.com", "\"a\\\"b\"@x.y", "\"\\\"ab\\\"\"@x.y", "\"\\\"a\\\\b\"@x.y"] {
            let address = Address::new(text).unwrap();
            let back = address_from(address.local(), address.domain().as_str(), "address").unwrap();
            assert_eq!(back, address);
        }
    }
}
