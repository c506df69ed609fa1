//! Limits per client address and per customer, so that one machine cannot take what a crowd should have; and per order, so
//! that nobody can make us ask Stripe without end.
//!
//! Each process counts for itself. Where several serve, those who have used up a good part of what they may are counted by
//! all together as well ([`shared::quota`]): a crowd of whom each asks once or twice costs no round trip, and whoever goes
//! from one process to the next gains no more than that part at each.

use std::fmt::Display;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use shared::access::Name;
use shared::guards::Guard;
use shared::quota::{Quota, SharedQuotas};
use uuid::Uuid;

use crate::connection::Client;
use crate::problem::Problem;

/// New sessions per address: a household or an office at once, then one every two seconds.
const SESSIONS: Quota = Quota { burst: 60, every: Duration::from_secs(2) };
/// Holds per address: at once, then one a second.
const HOLDS: Quota = Quota { burst: 60, every: Duration::from_secs(1) };
/// Holds per customer, wherever they ask from.
const HOLDS_OF_CUSTOMER: Quota = Quota { burst: 20, every: Duration::from_secs(1) };
/// Look-ups per order: a few at once, then one every ten seconds.
const LOOK_UPS: Quota = Quota { burst: 4, every: Duration::from_secs(10) };
/// Logins of one name from one network: at once, then one every thirty seconds. By both together, so that nobody can keep
/// an operator out from somewhere else.
const LOGINS: Quota = Quota { burst: 5, every: Duration::from_secs(30) };
/// Logins from one network, whatever the names.
const LOGINS_OF_NETWORK: Quota = Quota { burst: 30, every: Duration::from_secs(6) };
/// Above so many remembered addresses or orders those that are quiet are forgotten.
const REMEMBERED: usize = 100_000;
/// One part in so many of a burst is counted by the process alone.
const OWN_PART: u32 = 4;

/// The limits of this process.
pub struct Limits {
    sessions: Limiter<IpAddr>,
    holds: Limiter<IpAddr>,
    holds_of_customer: Limiter<Uuid>,
    look_ups: Limiter<Uuid>,
    logins: Limiter<NameAt>,
    logins_of_network: Limiter<IpAddr>,
    shared: Option<Arc<SharedQuotas>>,
    trusted_proxies: Vec<IpAddr>,
    limit_loopback: bool,
}

/// An operator's name, if it can be one, as it was typed in one network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NameAt(IpAddr, Option<Name>);

impl Display for NameAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.1 {
            Some(name) => write!(f, "{}:{name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// One limit.
struct Limiter<K: Hash + Eq + Clone> {
    kind: &'static str,
    quota: Quota,
    here: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>,
}

impl<K: Hash + Eq + Clone + Display> Limiter<K> {
    fn new(kind: &'static str, quota: Quota) -> Self {
        let burst = NonZeroU32::new(quota.burst).unwrap_or(NonZeroU32::MIN);
        let own = governor::Quota::with_period(quota.every).unwrap_or(governor::Quota::per_second(NonZeroU32::MIN));
        Self { kind, quota, here: RateLimiter::keyed(own.allow_burst(burst)).with_middleware() }
    }

    /// Counts one more, here and with the other processes.
    async fn take(&self, key: &K, shared: Option<&SharedQuotas>) -> Result<(), Problem> {
        if self.here.len() > REMEMBERED {
            self.here.retain_recent();
        }
        let left = match self.here.check_key(key) {
            Ok(state) => state.remaining_burst_capacity(),
            Err(not_until) => return Err(refused(not_until.wait_time_from(DefaultClock::default().now()))),
        };
        let used = self.quota.burst.saturating_sub(left);
        let Some(shared) = shared.filter(|_| used > self.quota.burst / OWN_PART) else { return Ok(()) };
        match shared.take(self.kind, &key.to_string(), self.quota).await {
            Ok(None) => Ok(()),
            Ok(Some(wait)) => Err(refused(wait)),
            // The limit of this process holds nevertheless.
            Err(error) => {
                tracing::warn!(%error, kind = self.kind, "a limit is this process's own for the moment");
                Ok(())
            }
        }
    }
}

fn refused(wait: Duration) -> Problem {
    metrics::counter!("http_limited_total").increment(1);
    Problem::slow_down(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1))
}

impl Limits {
    /// Limits that believe `X-Forwarded-For` from these proxies only, and exempt loopback unless told otherwise.
    #[must_use]
    pub fn new(trusted_proxies: Vec<IpAddr>, limit_loopback: bool) -> Self {
        Self {
            sessions: Limiter::new("sessions", SESSIONS),
            holds: Limiter::new("holds", HOLDS),
            holds_of_customer: Limiter::new("holds_of_customer", HOLDS_OF_CUSTOMER),
            look_ups: Limiter::new("look_ups", LOOK_UPS),
            logins: Limiter::new("logins", LOGINS),
            logins_of_network: Limiter::new("logins_of_network", LOGINS_OF_NETWORK),
            shared: None,
            trusted_proxies,
            limit_loopback,
        }
    }

    /// The same, counted together with other processes.
    #[must_use]
    pub fn shared(self, with: Arc<SharedQuotas>) -> Self {
        Self { shared: Some(with), ..self }
    }

    /// One more session from an address.
    ///
    /// # Errors
    /// 429, when there were too many.
    pub async fn new_session(&self, client: Client) -> Result<(), Problem> {
        let Some(address) = self.limited(client) else { return Ok(()) };
        self.sessions.take(&address, self.shared.as_deref()).await
    }

    /// One more hold of a customer, from an address.
    ///
    /// # Errors
    /// 429, when there were too many.
    pub async fn new_hold(&self, client: Client, customer: Uuid) -> Result<(), Problem> {
        let Some(address) = self.limited(client) else { return Ok(()) };
        self.holds_of_customer.take(&customer, self.shared.as_deref()).await?;
        self.holds.take(&address, self.shared.as_deref()).await
    }

    /// One more look at Stripe for an order, from wherever it is asked for.
    ///
    /// # Errors
    /// 429, when there were too many.
    pub async fn look_up(&self, order: Uuid) -> Result<(), Problem> {
        self.look_ups.take(&order, self.shared.as_deref()).await
    }

    /// One more try of an operator to log in, under a name that there may be (`None`: there cannot). Loopback is no
    /// exception: a proxy that nobody was told to trust has all the world behind it.
    ///
    /// # Errors
    /// 429, when there were too many.
    pub async fn login(&self, client: Client, name: Option<Name>) -> Result<(), Problem> {
        let network = network(self.address(client));
        if !Guard::LoginsLimited.is_on() {
            return Ok(());
        }
        self.logins_of_network.take(&network, self.shared.as_deref()).await?;
        self.logins.take(&NameAt(network, name), self.shared.as_deref()).await
    }

    /// Where a request comes from, as far as it can be believed.
    #[must_use]
    pub fn address(&self, client: Client) -> IpAddr {
        let trusted = self.trusted_proxies.contains(&client.peer);
        client.forwarded.filter(|_| trusted).unwrap_or(client.peer).to_canonical()
    }

    /// The address that is counted, unless it is exempt.
    fn limited(&self, client: Client) -> Option<IpAddr> {
        Some(self.address(client)).filter(|address| self.limit_loopback || !address.is_loopback())
    }
}

/// Whom an address belongs to: of IPv6, a household is given 64 bits to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::from((address.to_bits() & !u128::from(u64::MAX)).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: Option<&str>) -> Client {
        Client { peer: peer.parse().unwrap(), forwarded: forwarded.map(|f| f.parse().unwrap()) }
    }

    #[tokio::test]
    async fn one_address_is_limited_loopback_is_not_and_only_trusted_proxies_are_believed() {
        let limits = Limits::new(vec!["10.0.0.1".parse().unwrap()], false);
        let exhaust = async |client| {
            let mut refused = 0;
            for _ in 0..100 {
                refused += u32::from(limits.new_session(client).await.is_err());
            }
            refused
        };
        assert!(exhaust(client("192.0.2.1", None)).await > 30);
        assert_eq!(exhaust(client("127.0.0.1", None)).await, 0);
        assert!(exhaust(client("192.0.2.2", Some("198.51.100.1"))).await > 30);
        let unspent = limits.new_session(client("10.0.0.1", Some("198.51.100.1"))).await;
        assert!(unspent.is_ok(), "not charged for 192.0.2.2");
        assert!(exhaust(client("10.0.0.1", Some("198.51.100.2"))).await > 30);
    }

    #[tokio::test]
    async fn a_customer_who_comes_from_many_addresses_is_limited_all_the_same() {
        let limits = Limits::new(Vec::new(), false);
        let customer = Uuid::from_u128(7);
        let mut taken = 0;
        for n in 0..100 {
            taken += u32::from(limits.new_hold(client(&format!("192.0.2.{n}"), None), customer).await.is_ok());
        }
        assert_eq!(taken, HOLDS_OF_CUSTOMER.burst);
        assert!(limits.new_hold(client("192.0.2.1", None), Uuid::from_u128(8)).await.is_ok(), "another customer");
    }

    #[tokio::test]
    async fn logins_are_limited_by_name_and_network_together_and_by_network_alone() {
        let limits = Limits::new(Vec::new(), false);
        let name = |text: &str| Some(text.parse().unwrap());
        let tries = async |peer: &str, who: &str, times: u32| {
            let mut let_in = 0;
            for _ in 0..times {
                let_in += u32::from(limits.login(client(peer, None), name(who)).await.is_ok());
            }
            let_in
        };
        assert_eq!(tries("192.0.2.1", "ann", 10).await, 5, "one name");
        assert_eq!(tries("192.0.2.2", "ann", 1).await, 1, "from elsewhere she gets in all the same");
        assert_eq!(tries("192.0.2.1", "bob", 10).await, 5, "another one");
        let mut others = 0;
        for n in 0..50 {
            others += tries("192.0.2.3", &format!("guess{n}"), 1).await;
        }
        assert_eq!(others, 30, "one network, many names");
        let household = tries("2001:db8::1", "ann", 4).await + tries("2001:db8::ffff:2", "ann", 4).await;
        assert_eq!(household, 5, "one household");
        assert_eq!(tries("2001:db8:0:1::1", "ann", 1).await, 1, "another household");
        assert_eq!(tries("127.0.0.1", "ann", 20).await, 5, "loopback, too");
        let refused = limits.login(client("192.0.2.1", None), name("ann")).await.unwrap_err();
        let refused = serde_json::to_value(refused).unwrap();
        let wait = refused["retry_in_ms"].as_u64().unwrap();
        assert!(refused["code"] == "slow_down" && (20_000..=30_000).contains(&wait), "{refused}");
    }
}
