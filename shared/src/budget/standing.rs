//! How a budget stands, for whoever plans by it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::book::MilliHertz;
use super::endpoint::Endpoint;

/// One meter: an endpoint's, or the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Requests that may be made now, in thousandths a second; `None` is no limit.
    pub allowed: Option<MilliHertz>,
    /// Less is allowed than the settings say, or than nobody knew of: Stripe has refused.
    pub is_cut: bool,
    /// Slots that were taken since the books were begun.
    pub taken: u64,
    /// Requests that Stripe has refused for coming too early.
    pub throttled: u64,
}

/// How the budget stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Endpoints that were asked, or cut.
    pub endpoints: BTreeMap<Endpoint, Meter>,
    /// All together.
    pub total: Meter,
    /// What an endpoint may be asked that never was.
    pub unasked: Option<MilliHertz>,
    /// Processes that share the budget; at least 1.
    pub sharers: u32,
    /// How long Stripe takes for a charge, as far as this process has seen.
    pub latency: Option<Duration>,
}

impl Standing {
    /// How an endpoint stands.
    #[must_use]
    pub fn of(&self, endpoint: Endpoint) -> Meter {
        let unasked = Meter { allowed: self.unasked, ..Meter::default() };
        self.endpoints.get(&endpoint).copied().unwrap_or(unasked)
    }

    /// Requests that may be made to an endpoint now, in thousandths a second: its own limit, or the total's if that is
    /// less; `None` is no limit.
    #[must_use]
    pub fn allowed(&self, endpoint: Endpoint) -> Option<MilliHertz> {
        match (self.of(endpoint).allowed, self.total.allowed) {
            (Some(own), Some(total)) => Some(own.min(total)),
            (own, total) => own.or(total),
        }
    }

    /// Whether Stripe has refused lately, so that an endpoint is asked less often than the settings allow.
    #[must_use]
    pub fn is_cut(&self, endpoint: Endpoint) -> bool {
        self.of(endpoint).is_cut || self.total.is_cut
    }
}
