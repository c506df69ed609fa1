//! Limits per client address, so that one machine cannot take what a crowd should have; and per order, so that nobody
//! can make us ask Stripe without end.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use crate::connection::Client;
use crate::problem::Problem;

/// New sessions per address: a household or an office at once, then one every two seconds.
const SESSIONS: (u32, Duration) = (60, Duration::from_secs(2));
/// Holds per address: at once, then one a second.
const HOLDS: (u32, Duration) = (60, Duration::from_secs(1));
/// Look-ups per order: a few at once, then one every ten seconds.
const LOOK_UPS: (u32, Duration) = (4, Duration::from_secs(10));
/// Above so many remembered addresses or orders those that are quiet are forgotten.
const REMEMBERED: usize = 100_000;

/// The limits of this process.
pub struct Limits {
    sessions: DefaultKeyedRateLimiter<IpAddr>,
    holds: DefaultKeyedRateLimiter<IpAddr>,
    look_ups: DefaultKeyedRateLimiter<Uuid>,
    trusted_proxies: Vec<IpAddr>,
    limit_loopback: bool,
}

fn limiter<K: Hash + Eq + Clone>((burst, period): (u32, Duration)) -> DefaultKeyedRateLimiter<K> {
    let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    RateLimiter::keyed(quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)))
}

impl Limits {
    /// Limits that believe `X-Forwarded-For` from these proxies only, and exempt loopback unless told otherwise.
    #[must_use]
    pub fn new(trusted_proxies: Vec<IpAddr>, limit_loopback: bool) -> Self {
        let (sessions, holds, look_ups) = (limiter(SESSIONS), limiter(HOLDS), limiter(LOOK_UPS));
        Self { sessions, holds, look_ups, trusted_proxies, limit_loopback }
    }

    /// One more session from an address.
    ///
    /// # Errors
    /// 429, when there were too many.
    pub fn new_session(&self, client: Client) -> Result<(), Problem> {
        self.check(&self.sessions, client)
    }

    /// One more hold from an address.
    ///
    /// # Errors
    /// 429, when there were too many.
    pub fn new_hold(&self, client: Client) -> Result<(), Problem> {
        self.check(&self.holds, client)
    }

    /// One more look at Stripe for an order, from wherever it is asked for.
    ///
    /// # Errors
    /// 429, when there were too many.
    pub fn look_up(&self, order: Uuid) -> Result<(), Problem> {
        bounded(&self.look_ups, &order, 10_000)
    }

    fn check(&self, limiter: &DefaultKeyedRateLimiter<IpAddr>, client: Client) -> Result<(), Problem> {
        let trusted = self.trusted_proxies.contains(&client.peer);
        let address = client.forwarded.filter(|_| trusted).unwrap_or(client.peer).to_canonical();
        if address.is_loopback() && !self.limit_loopback {
            return Ok(());
        }
        bounded(limiter, &address, 2_000)
    }
}

fn bounded<K: Hash + Eq + Clone>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
    retry_in_ms: u64,
) -> Result<(), Problem> {
    if limiter.len() > REMEMBERED {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|_| {
        metrics::counter!("http_limited_total").increment(1);
        Problem::slow_down(retry_in_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: Option<&str>) -> Client {
        Client { peer: peer.parse().unwrap(), forwarded: forwarded.map(|f| f.parse().unwrap()) }
    }

    #[test]
    fn one_address_is_limited_loopback_is_not_and_only_trusted_proxies_are_believed() {
        let limits = Limits::new(vec!["10.0.0.1".parse().unwrap()], false);
        let exhaust = |client| (0..100).filter(|_| limits.new_session(client).is_err()).count();
        assert!(exhaust(client("192.0.2.1", None)) > 30);
        assert_eq!(exhaust(client("127.0.0.1", None)), 0);
        assert!(exhaust(client("192.0.2.2", Some("198.51.100.1"))) > 30);
        assert!(limits.new_session(client("10.0.0.1", Some("198.51.100.1"))).is_ok(), "not charged for 192.0.2.2");
        assert!(exhaust(client("10.0.0.1", Some("198.51.100.2"))) > 30);
    }
}
