//! How many workers are enough (pure). By Little's law (J. D. C. Little, 1961) as many charges are under way as the rate at
//! which they go out times the time that one takes; and no more go out than Stripe allows, however many workers there are.

use std::time::Duration;

use serde_json::{Value, json};

use crate::budget::MilliHertz;
use crate::budget::forecast::charges_under_way;

/// What waits should be gone within this time, as far as Stripe allows.
const GONE_WITHIN_SECONDS: u64 = 60;

/// What the number follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Orders accepted in a second, in thousandths.
    pub arrival: MilliHertz,
    /// Charges that wait.
    pub waiting: u64,
    /// Charges that Stripe allows in a second, in thousandths; `None` is any number.
    pub allowed: Option<MilliHertz>,
    /// How long Stripe takes for one.
    pub latency: Duration,
    /// Charges that one worker has under way at the same time, at most.
    pub at_once: usize,
}

/// How many workers are enough, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recommended {
    /// So many; one at least.
    pub workers: usize,
    /// In a sentence.
    pub why: String,
    /// What it follows from.
    pub needs: Needs,
}

impl Recommended {
    /// Enough for these needs. One more of them may die and nobody notices.
    #[must_use]
    pub fn of(needs: Needs) -> Self {
        let wanted = needs.arrival.saturating_add(needs.waiting.saturating_mul(1_000) / GONE_WITHIN_SECONDS);
        let rate = needs.allowed.map_or(wanted, |allowed| wanted.min(allowed));
        let under_way = charges_under_way(rate, needs.latency);
        let workers = under_way.div_ceil(needs.at_once.max(1)).max(1);
        Self { workers, why: why(needs, wanted, under_way), needs }
    }

    /// For people's programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Needs { arrival, waiting, allowed, latency, .. } = self.needs;
        json!({
            "workers": self.workers, "why": self.why, "arrival_per_second": per_second(arrival), "waiting": waiting,
            "stripe_latency_ms": u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            "budget_per_second": allowed.map(per_second),
        })
    }
}

fn per_second(rate: MilliHertz) -> f64 {
    Duration::from_millis(rate).as_secs_f64()
}

fn why(needs: Needs, wanted: MilliHertz, under_way: usize) -> String {
    let Needs { arrival, waiting, allowed, latency, at_once } = needs;
    if wanted == 0 {
        return "Nobody buys at the moment: one is enough.".to_owned();
    }
    let (orders, allows) = (per_second(arrival), allowed.map(per_second));
    let comes = format!("{orders:.1} orders come in a second and {waiting} wait");
    let limit = match allows {
        Some(allows) if allowed.is_some_and(|allowed| allowed < wanted) => {
            format!("Stripe allows {allows} charges a second, whatever is added")
        }
        Some(allows) => format!("Stripe allows {allows} charges a second, which is enough"),
        None => "no limit of Stripe's is known".to_owned(),
    };
    let ms = latency.as_millis();
    format!("{comes}; {limit}; each takes {ms} ms: {under_way} under way are enough, and a worker has up to {at_once}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Needs =
        Needs { arrival: 0, waiting: 0, allowed: Some(25_000), latency: Duration::from_millis(600), at_once: 100 };

    fn workers(needs: Needs) -> usize {
        Recommended::of(needs).workers
    }

    #[test]
    fn stripes_default_is_one_workers_work_however_large_the_crowd() {
        assert_eq!(workers(DEFAULT), 1, "nobody buys");
        let crowd = Needs { arrival: 5_000_000, waiting: 10_000, ..DEFAULT };
        assert_eq!(workers(crowd), 1);
        let told = Recommended::of(crowd).why;
        assert!(told.contains("Stripe allows 25 charges a second, whatever is added"), "{told}");
        assert!(told.contains("31 under way are enough"), "{told}");
    }

    #[test]
    fn a_raised_budget_needs_as_many_as_littles_law_says() {
        // 500 a second for 0.6 s are 300 under way, with as much again for when Stripe takes longer.
        let raised = Needs { arrival: 1_000_000, allowed: Some(500_000), ..DEFAULT };
        assert_eq!(workers(raised), 7);
        assert_eq!(workers(Needs { latency: Duration::from_millis(1_200), ..raised }), 13);
        assert_eq!(workers(Needs { at_once: 50, ..raised }), 13, "601 by fifties");
        assert_eq!(workers(Needs { at_once: 0, ..raised }), 601, "one at a time at least");
    }

    #[test]
    fn what_comes_counts_while_it_is_less_than_is_allowed() {
        let slow = Needs { arrival: 40_000, allowed: Some(500_000), ..DEFAULT };
        assert_eq!(workers(slow), 1, "40 a second for 0.6 s, twice, are 49");
        assert_eq!(workers(Needs { arrival: 100_000, ..slow }), 2, "121");
        assert!(Recommended::of(slow).why.contains("which is enough"));
    }

    #[test]
    fn what_waits_should_be_gone_within_a_minute() {
        let unlimited = Needs { allowed: None, ..DEFAULT };
        assert_eq!(workers(Needs { waiting: 6_000, ..unlimited }), 2, "100 a second");
        assert_eq!(workers(Needs { waiting: 60_000, ..unlimited }), 13, "1,000 a second");
        assert_eq!(workers(Needs { waiting: 60_000, allowed: Some(100_000), ..unlimited }), 2, "as far as allowed");
    }

    #[test]
    fn what_follows_is_told_with_what_it_follows_from() {
        let told = Recommended::of(Needs { arrival: 1_500, ..DEFAULT }).to_json();
        assert_eq!(told["arrival_per_second"], 1.5);
        assert_eq!((&told["budget_per_second"], &told["stripe_latency_ms"]), (&25.0.into(), &600.into()));
        assert_eq!(told["workers"], 1);
        let unlimited = Recommended::of(Needs { allowed: None, ..DEFAULT }).to_json();
        assert!(unlimited["budget_per_second"].is_null());
    }
}
