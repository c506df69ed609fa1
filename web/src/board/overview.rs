//! What an operator sees at a moment: one frame of `/ops/live`, and what `stampede top` shows. What could not be read is
//! `null`, and never told as nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;
use shared::queue::Gauges;

use super::tally::Latency;

/// A number with three decimals: a rate in thousandths a second, or milliseconds in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thousandths(pub u64);

impl Thousandths {
    /// A time, in milliseconds.
    #[must_use]
    pub fn ms(time: Duration) -> Self {
        Self(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    /// So many in a time, a second.
    #[must_use]
    pub fn per_second(many: u64, time: Duration) -> Self {
        let micros = time.as_micros().max(1);
        Self(u64::try_from(u128::from(many) * 1_000_000_000 / micros).unwrap_or(u64::MAX))
    }
}

impl Serialize for Thousandths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A second has a thousand milliseconds: that is the division.
        serializer.serialize_f64(Duration::from_millis(self.0).as_secs_f64())
    }
}

/// Orders a second, over the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rates {
    /// Accepted: answered with 202.
    pub accepted_per_second: Option<Thousandths>,
    /// Of which no charge is owed any more, however it ended.
    pub settled_per_second: Option<Thousandths>,
    /// Paid.
    pub paid_per_second: Option<Thousandths>,
    /// Declined.
    pub declined_per_second: Option<Thousandths>,
}

/// A queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct QueueRow {
    /// Its name.
    pub queue: &'static str,
    /// Jobs ready to be delivered.
    pub waiting: u64,
    /// Delivered and not finished.
    pub running: u64,
    /// To be delivered again later.
    pub delayed: u64,
    /// Waiting for a person.
    pub dead: u64,
    /// How long ago the job at the head of the line was pushed.
    pub oldest_age_ms: u64,
}

impl QueueRow {
    /// As the queue counts.
    #[must_use]
    pub fn new(queue: &'static str, gauges: Gauges) -> Self {
        let Gauges { waiting, running, delayed, dead, oldest_age } = gauges;
        Self { queue, waiting, running, delayed, dead, oldest_age_ms: whole_ms(oldest_age) }
    }
}

/// How Stripe's budget stands, for charges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Charges that are sent.
    pub used_per_second: Option<Thousandths>,
    /// Charges that may be sent; `null` is no limit.
    pub allowed_per_second: Option<Thousandths>,
    /// Stripe has refused lately: less is allowed than the settings say.
    pub is_cut: bool,
    /// Requests that Stripe refused for their number, by its reason.
    pub throttled: BTreeMap<String, u64>,
    /// Charges under way at Stripe.
    pub concurrency: Option<u64>,
    /// Worker processes that share it.
    pub sharers: u32,
}

/// When it will be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// Orders that wait for their charge.
    pub waiting: Option<u64>,
    /// Charges a second that are reckoned with; `null` while that cannot be told.
    pub at_per_second: Option<Thousandths>,
    /// Until the last of those that wait has its answer.
    pub ends_in_ms: Option<u64>,
    /// Units of open sales that are not sold, in no basket or in one.
    pub unsold: Option<u64>,
    /// Until all of these were sold, one order each, if they are wanted as fast as they can be charged.
    pub all_sold_in_ms: Option<u64>,
}

/// Everything at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// `overview`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When, by the ledger's clock.
    pub at: String,
    /// The sales that are current, the newest first.
    pub sales: Option<Vec<Value>>,
    /// Orders a second.
    pub rates: Rates,
    /// Every queue.
    pub queues: Option<Vec<QueueRow>>,
    /// How long things take.
    pub latency: Latency,
    /// Declined charges since the workers began, by Stripe's word for it.
    pub declines: BTreeMap<String, u64>,
    /// Stripe's budget.
    pub budget: Budget,
    /// Open sockets and event streams of shoppers.
    pub sockets: Option<u64>,
    /// Customers who have one.
    pub rooms: Option<u64>,
    /// Every process that has said a word lately.
    pub processes: Option<Vec<Value>>,
    /// How many workers are enough, and why.
    pub recommended_workers: Option<Value>,
    /// When it will be over.
    pub forecast: Forecast,
    /// Orders that wait for a person's decision.
    pub reviews: Option<u64>,
}

/// One point of the plots. Rates are a second's, times the last minute's.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Point {
    /// When, in Unix milliseconds by the ledger's clock.
    pub at: i64,
    /// Orders accepted.
    pub accepted: Option<Thousandths>,
    /// Orders that were finished.
    pub settled: Option<Thousandths>,
    /// Orders paid.
    pub paid: Option<Thousandths>,
    /// Orders declined.
    pub declined: Option<Thousandths>,
    /// Orders that wait for their charge.
    pub waiting: Option<u64>,
    /// Charges sent.
    pub used: Option<Thousandths>,
    /// Charges allowed.
    pub allowed: Option<Thousandths>,
    /// The slow ones of a hundred: accept, charge at Stripe, wait in the queue.
    pub accept_ms: Option<f64>,
    /// See above.
    pub stripe_ms: Option<f64>,
    /// See above.
    pub wait_ms: Option<f64>,
    /// Open sockets.
    pub sockets: Option<u64>,
}

/// Whole milliseconds.
#[must_use]
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_a_second_and_a_time_in_milliseconds() {
        let told = |number: Thousandths| serde_json::to_string(&number).unwrap();
        assert_eq!(told(Thousandths::per_second(5, Duration::from_millis(2_000))), "2.5");
        assert_eq!(told(Thousandths::per_second(1, Duration::ZERO)), "1000000.0", "in no time at all");
        assert_eq!(told(Thousandths::ms(Duration::from_micros(1_250))), "1.25");
    }
}
