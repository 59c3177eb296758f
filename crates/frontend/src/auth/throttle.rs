//! Failed logins are answered late: the more a peer fails, the later.

use std::net::IpAddr;
use std::time::Duration;

use moka::future::Cache;

use crate::limits::counted;

/// Peers that are remembered; the busiest stay.
const PEERS_MAX: u64 = 100_000;
/// A peer that does not fail for so long is forgiven.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// The delay doubles this often: 1 s becomes 16 s, and people with a wrong password still get an answer.
const DOUBLINGS_MAX: u32 = 4;

pub(super) struct Throttle {
    first_delay: Duration,
    failures: Cache<IpAddr, u32>,
}

impl Throttle {
    pub(super) fn new(first_delay: Duration) -> Self {
        Self {
            first_delay,
            failures: Cache::builder().max_capacity(PEERS_MAX).time_to_idle(REMEMBERED).build(),
        }
    }

    /// Counts a failure, and waits.
    pub(super) async fn failed(&self, peer: IpAddr) {
        let peer = counted(peer);
        let before = self.failures.get(&peer).await.unwrap_or(0);
        self.failures.insert(peer, before.saturating_add(1)).await;
        tokio::time::sleep(self.delay(before)).await;
    }

    /// One success halves the count: behind one address live both a person and an attacker.
    pub(super) async fn succeeded(&self, peer: IpAddr) {
        let peer = counted(peer);
        match self.failures.get(&peer).await {
            Some(count) if count > 1 => self.failures.insert(peer, count / 2).await,
            Some(_) => self.failures.invalidate(&peer).await,
            None => {}
        }
    }

    fn delay(&self, failures_before: u32) -> Duration {
        self.first_delay * (1 << failures_before.min(DOUBLINGS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test(start_paused = true)]
    async fn each_failure_waits_longer_up_to_a_bound() {
        let throttle = Throttle::new(Duration::from_secs(1));
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let mut waited = Vec::new();
        for _ in 0..7 {
            let start = tokio::time::Instant::now();
            throttle.failed(peer).await;
            waited.push(start.elapsed().as_secs());
        }
        assert_eq!(waited, [1, 2, 4, 8, 16, 16, 16]);
        throttle.succeeded(peer).await;
        assert_eq!(throttle.failures.get(&peer).await, Some(3));
    }
}
