//! Limits per client address, so that one machine cannot take what a crowd should have; and per order, so that nobody
//! can make us ask Stripe without end.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use shared::access::Name;
use shared::guards::Guard;
use uuid::Uuid;

use crate::connection::Client;
use crate::problem::Problem;

/// New sessions per address: a household or an office at once, then one every two seconds.
const SESSIONS: (u32, Duration) = (60, Duration::from_secs(2));
/// Holds per address: at once, then one a second.
const HOLDS: (u32, Duration) = (60, Duration::from_secs(1));
/// Look-ups per order: a few at once, then one every ten seconds.
const LOOK_UPS: (u32, Duration) = (4, Duration::from_secs(10));
/// Logins of one name from one network: at once, then one every thirty seconds. By both together, so that nobody can keep
/// an operator out from somewhere else.
const LOGINS: (u32, Duration) = (5, Duration::from_secs(30));
/// Logins from one network, whatever the names.
const LOGINS_OF_NETWORK: (u32, Duration) = (30, Duration::from_secs(6));
/// Above so many remembered addresses or orders those that are quiet are forgotten.
const REMEMBERED: usize = 100_000;

/// The limits of this process.
pub struct Limits {
    sessions: DefaultKeyedRateLimiter<IpAddr>,
    holds: DefaultKeyedRateLimiter<IpAddr>,
    look_ups: DefaultKeyedRateLimiter<Uuid>,
    logins: DefaultKeyedRateLimiter<(IpAddr, Option<Name>)>,
    logins_of_network: DefaultKeyedRateLimiter<IpAddr>,
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
        Self {
            sessions: limiter(SESSIONS),
            holds: limiter(HOLDS),
            look_ups: limiter(LOOK_UPS),
            logins: limiter(LOGINS),
            logins_of_network: limiter(LOGINS_OF_NETWORK),
            trusted_proxies,
            limit_loopback,
        }
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

    /// One more try of an operator to log in, under a name that there may be (`None`: there cannot). Loopback is no
    /// exception: a proxy that nobody was told to trust has all the world behind it.
    ///
    /// # Errors
    /// 429, when there were too many.
    pub fn login(&self, client: Client, name: Option<Name>) -> Result<(), Problem> {
        let network = network(self.address(client));
        if !Guard::LoginsLimited.is_on() {
            return Ok(());
        }
        until_allowed(&self.logins_of_network, &network)?;
        until_allowed(&self.logins, &(network, name))
    }

    /// Where a request comes from, as far as it can be believed.
    #[must_use]
    pub fn address(&self, client: Client) -> IpAddr {
        let trusted = self.trusted_proxies.contains(&client.peer);
        client.forwarded.filter(|_| trusted).unwrap_or(client.peer).to_canonical()
    }

    fn check(&self, limiter: &DefaultKeyedRateLimiter<IpAddr>, client: Client) -> Result<(), Problem> {
        let address = self.address(client);
        if address.is_loopback() && !self.limit_loopback {
            return Ok(());
        }
        bounded(limiter, &address, 2_000)
    }
}

/// Whom an address belongs to: of IPv6, a household is given 64 bits to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::from((address.to_bits() & !u128::from(u64::MAX)).to_be_bytes()),
    }
}

/// As [`bounded`], and the refusal says when there will be room again.
fn until_allowed<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Problem> {
    if limiter.len() > REMEMBERED {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|not_until| {
        metrics::counter!("http_limited_total").increment(1);
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        Problem::slow_down(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1))
    })
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

    #[test]
    fn logins_are_limited_by_name_and_network_together_and_by_network_alone() {
        let limits = Limits::new(Vec::new(), false);
        let name = |text: &str| Some(text.parse().unwrap());
        let tries = |peer: &str, who: &str, times: usize| {
            (0..times).filter(|_| limits.login(client(peer, None), name(who)).is_ok()).count()
        };
        assert_eq!(tries("192.0.2.1", "ann", 10), 5, "one name");
        assert_eq!(tries("192.0.2.2", "ann", 1), 1, "from elsewhere she gets in all the same");
        assert_eq!(tries("192.0.2.1", "bob", 10), 5, "another one");
        let others: usize = (0..50).map(|n| tries("192.0.2.3", &format!("guess{n}"), 1)).sum();
        assert_eq!(others, 30, "one network, many names");
        assert_eq!(tries("2001:db8::1", "ann", 4) + tries("2001:db8::ffff:2", "ann", 4), 5, "one household");
        assert_eq!(tries("2001:db8:0:1::1", "ann", 1), 1, "another household");
        assert_eq!(tries("127.0.0.1", "ann", 20), 5, "loopback, too");
        let refused = serde_json::to_value(limits.login(client("192.0.2.1", None), name("ann")).unwrap_err()).unwrap();
        let wait = refused["retry_in_ms"].as_u64().unwrap();
        assert!(refused["code"] == "slow_down" && (20_000..=30_000).contains(&wait), "{refused}");
    }
}
