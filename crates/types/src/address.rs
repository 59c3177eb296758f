//! An address that accounts are found by.

use std::fmt;

/// Longest local part in bytes (RFC 5321 §4.5.3.1.1).
pub const LOCAL_PART_BYTES_MAX: usize = 64;
/// Longest domain in bytes (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_BYTES_MAX: usize = 255;
/// Separates a local part from the detail that subaddressing adds (RFC 5233).
pub const DETAIL_SEPARATOR: char = '+';

/// A domain in lower case; internationalised ones in UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Box<str>);

/// A local part and a domain. Both compare in lower case: no provider gives `Ana@` and `ana@` to two people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: Box<str>,
    domain: Domain,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@`.
    #[error("address has no @")]
    NoAt,
    /// The part before the `@` is empty, too long or holds a space or control character.
    #[error("local part is empty, too long or holds a bad character")]
    LocalPart,
    /// The part after the `@` is not a host name.
    #[error("domain is empty, too long or holds a bad character")]
    Domain,
}

impl Domain {
    /// Checks the labels and puts them in lower case.
    ///
    /// # Errors
    /// If a label is empty, starts or ends with a hyphen, or holds a character no host name has.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        let text = text.to_lowercase();
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| {
                    c.is_alphanumeric()
                        || c == '-'
                        || (c == '_')
                        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
                })
        };
        if text.len() > DOMAIN_BYTES_MAX || !text.split('.').all(label) {
            return Err(AddressError::Domain);
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Address {
    /// `local@domain`, in lower case. A quoted local part is taken without its quotes.
    ///
    /// # Errors
    /// If it is no address.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        let local = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(quoted) => unescape(quoted).to_lowercase(),
            None => local.to_lowercase(),
        };
        let bad = |c: char| c.is_control() || c.is_whitespace() || c == '@';
        if local.is_empty() || local.len() > LOCAL_PART_BYTES_MAX || local.chars().any(bad) {
            return Err(AddressError::LocalPart);
        }
        Ok(Self { local: local.into(), domain: Domain::new(domain)? })
    }

    /// Before the `@`.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// After the `@`.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Without `+detail`, and the detail; `None` when there is no detail.
    pub fn split_detail(&self) -> Option<(Self, &str)> {
        let (user, detail) = self.local.split_once(DETAIL_SEPARATOR)?;
        if user.is_empty() || detail.is_empty() {
            return None;
        }
        Some((Self { local: user.into(), domain: self.domain.clone() }, detail))
    }
}

fn unescape(quoted: &str) -> String {
    let mut plain = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads back as the same address: a local part that needs quotes has them (RFC 5321 §4.1.2).
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.local.contains(['"', '\\', '(', ')', '<', '>', '[', ']', ':', ';', ',']) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        let escaped = self.local.replace('\\', "\\\\").replace('"', "\\\"");
        write!(f, "\"{escaped}\"@{}", self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_lower_case_and_split() {
        let address = Address::new("Ana+Lists@Example.COM").unwrap();
        assert_eq!(address.to_string(), "ana+lists@example.com");
        let (user, detail) = address.split_detail().unwrap();
        assert_eq!((user.to_string().as_str(), detail), ("ana@example.com", "lists"));
        assert_eq!(Address::new("\"a\\\"b\"@x.y").unwrap().local(), "a\"b");
        assert!(Address::new("jörg@bücher.example").is_ok());
        for text in ["ana@example.com", "\"a\\\"b\\\\c\"@x.y", "\"a,b\"@x.y"] {
            let address = Address::new(text).unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(Address::new(&address.to_string()), Ok(address));
        }
    }

    #[test]
    fn bad_addresses_say_why() {
        assert_eq!(Address::new("ana"), Err(AddressError::NoAt));
        assert_eq!(Address::new("@x"), Err(AddressError::LocalPart));
        assert_eq!(Address::new("a b@x"), Err(AddressError::LocalPart));
        assert_eq!(Address::new("a@x..y"), Err(AddressError::Domain));
        assert_eq!(Address::new("a@-x"), Err(AddressError::Domain));
        assert_eq!(Address::new("a@"), Err(AddressError::Domain));
    }
}
