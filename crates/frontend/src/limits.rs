//! How many connections there may be: in all, and from one peer. Listeners of one kind share theirs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use parking_lot::Mutex;

/// IPv6 peers are counted by their /64: one customer has all of it.
const IPV6_PREFIX_BITS: u32 = 64;

/// Bounds on connections; clones count together.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connections_max: usize,
    per_peer_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// A connection's place; free again on drop.
#[derive(Debug)]
pub struct Place {
    inner: Arc<Inner>,
    peer: IpAddr,
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    /// The server has all it can hold.
    #[error("too many connections")]
    Full,
    /// This peer has.
    #[error("too many connections from this address")]
    PeerFull,
}

impl ConnectionLimits {
    /// So many in all, and so many of one peer.
    pub fn new(connections_max: usize, per_peer_max: usize) -> Self {
        Self { inner: Arc::new(Inner { connections_max, per_peer_max, open: Mutex::default() }) }
    }

    /// Shows operators how many places are taken, and how many there are.
    pub fn observe(&self, meter: &Meter, protocol: &'static str) {
        let (inner, label) = (Arc::clone(&self.inner), [KeyValue::new("protocol", protocol)]);
        meter
            .u64_observable_gauge("buzon.connections.open")
            .with_description("Open connections of clients")
            .with_callback(move |observer| observer.observe(inner.open.lock().all as u64, &label))
            .build();
        let (connections_max, label) =
            (self.inner.connections_max as u64, [KeyValue::new("protocol", protocol)]);
        meter
            .u64_observable_gauge("buzon.connections.max")
            .with_description("Connections that are taken at most")
            .with_callback(move |observer| observer.observe(connections_max, &label))
            .build();
    }

    /// Takes a place.
    ///
    /// # Errors
    /// If there is none.
    pub fn admit(&self, peer: IpAddr) -> Result<Place, TurnedAway> {
        let peer = counted(peer);
        let mut open = self.inner.open.lock();
        if open.all >= self.inner.connections_max {
            return Err(TurnedAway::Full);
        }
        let of_peer = open.by_peer.entry(peer).or_default();
        // Loopback is the provider's own webmail or proxy: it stands for many people.
        if *of_peer >= self.inner.per_peer_max && !peer.is_loopback() {
            return Err(TurnedAway::PeerFull);
        }
        *of_peer += 1;
        open.all += 1;
        Ok(Place { inner: Arc::clone(&self.inner), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.inner.open.lock();
        open.all -= 1;
        if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

/// What a peer is counted as.
pub(crate) fn counted(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let kept = u128::MAX << (128 - IPV6_PREFIX_BITS);
            IpAddr::V6((u128::from(address) & kept).into())
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_peer_and_given_back() {
        let limits = ConnectionLimits::new(3, 2);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let first = limits.admit(one).unwrap();
        let _second = limits.admit(one).unwrap();
        assert_eq!(limits.admit(one).unwrap_err(), TurnedAway::PeerFull);
        let _other = limits.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(limits.admit("192.0.2.2".parse().unwrap()).unwrap_err(), TurnedAway::Full);
        drop(first);
        limits.admit(one).unwrap();
    }

    #[test]
    fn ipv6_peers_are_counted_by_their_network() {
        let network = |text: &str| counted(text.parse().unwrap());
        assert_eq!(network("2001:db8:0:1::2"), network("2001:db8:0:1:ffff::9"));
        assert_ne!(network("2001:db8:0:1::2"), network("2001:db8:0:2::2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
