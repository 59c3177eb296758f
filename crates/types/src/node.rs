//! What a metadata node is known by besides its id: where it is reached, and in which zone it stands.

use std::fmt;

/// Longest host name (RFC 1035 §2.3.4); an IPv6 address in brackets is far shorter.
pub const HOST_BYTES_MAX: usize = 253;
/// Longest label of a zone: what Kubernetes allows for a label's value.
pub const ZONE_BYTES_MAX: usize = 63;

/// Where a node's internal listener is reached: `HOST:PORT`, the host in lower case, an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddress(Box<str>);

/// The failure domain a node stands in: nodes of different zones do not fail together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(Box<str>);

/// Why a text is no address of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeAddressError {
    /// No `:PORT` at its end, or one that is not 1 to 65535.
    #[error("address of a node must end in :PORT, from 1 to 65535")]
    Port,
    /// Empty, too long, or with a character that no host name or IP address has.
    #[error("host must be a name or an IP address (IPv6 in brackets) of at most {HOST_BYTES_MAX} bytes")]
    Host,
}

/// A text is no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("zone must be 1 to {ZONE_BYTES_MAX} letters, digits, '-', '_' or '.'")]
pub struct ZoneError;

impl NodeAddress {
    /// Checks host and port.
    ///
    /// # Errors
    /// If it is not `HOST:PORT`.
    pub fn new(text: &str) -> Result<Self, NodeAddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(NodeAddressError::Port)?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let number = port.parse::<u16>().ok().filter(|port| digits && *port > 0);
        let number = number.ok_or(NodeAddressError::Port)?;
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return Err(NodeAddressError::Host);
        }
        Ok(Self(format!("{host}:{number}").into()))
    }

    /// `HOST:PORT`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the port; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let host = self.0.rsplit_once(':').map_or(&*self.0, |(host, _)| host);
        host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[') {
        let address = inside.strip_suffix(']');
        return address.is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    }
    // Underscores stand in names of containers.
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label)
}

impl Zone {
    /// Checks it.
    ///
    /// # Errors
    /// If it is empty, too long or holds a character that no label has.
    pub fn new(text: &str) -> Result<Self, ZoneError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || text.len() > ZONE_BYTES_MAX || !text.bytes().all(allowed) {
            return Err(ZoneError);
        }
        Ok(Self(text.into()))
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for (text, normal) in [
            ("metad-0.metad:7071", "metad-0.metad:7071"),
            ("Node_A:1", "node_a:1"),
            ("10.0.0.7:65535", "10.0.0.7:65535"),
            ("[::1]:7071", "[::1]:7071"),
            ("a:007071", "a:7071"),
        ] {
            assert_eq!(NodeAddress::new(text).unwrap().as_str(), normal);
        }
        for text in ["a", "a:", "a:0", "a:65536", "a:+1", "a:7 "] {
            assert_eq!(NodeAddress::new(text), Err(NodeAddressError::Port), "{text}");
        }
        let long = format!("{}:1", ["a"; 200].join("."));
        for text in [":1", "a b:1", "::1:7071", "[::1:7071", "[x]:1", "-a:1", "a..b:1", "http://a:1", &long] {
            assert_eq!(NodeAddress::new(text), Err(NodeAddressError::Host), "{text}");
        }
        assert_eq!(NodeAddress::new("[::1]:7071").unwrap().host(), "::1");
    }

    #[test]
    fn zones_are_labels() {
        assert_eq!(Zone::new("eu-west_1.a").unwrap().to_string(), "eu-west_1.a");
        for text in ["", "a b", "ä", &"a".repeat(64)] {
            assert_eq!(Zone::new(text), Err(ZoneError), "{text}");
        }
    }
}
