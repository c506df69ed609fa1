//! Places in the queue, and an honest guess at the time left.
//!
//! A place is the order's queue number less what was finished since; the rate is what was finished in the last ten
//! seconds. Both come from two counters in the ledger, read twice a second for sales that somebody waits in.

use std::collections::VecDeque;
use std::time::Duration;

use dashmap::DashMap;
use shared::env::Env;
use shared::ledger::{Ledger, LedgerError, SaleCounters};
use shared::message::Place;
use shared::order::Order;

/// How often the counters are read.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// How far back the rate looks.
const WINDOW: Duration = Duration::from_secs(10);

/// What is known of each sale's progress.
pub struct Progress {
    env: Env,
    sales: DashMap<String, Samples>,
}

#[derive(Default)]
struct Samples {
    /// What was finished by when, the oldest first; no older than [`WINDOW`], but for the first.
    finished: VecDeque<(Duration, i64)>,
    last: SaleCounters,
}

impl Samples {
    fn add(&mut self, now: Duration, counters: SaleCounters) {
        self.last = counters;
        self.finished.push_back((now, counters.finished));
        while self.finished.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW) {
            self.finished.pop_front();
        }
    }

    /// Milliseconds that `ahead` orders take at the rate of the window; `None` while nothing was finished in it.
    fn eta_ms(&self, now: Duration, ahead: i64) -> Option<i64> {
        let (since, before) = self.finished.front()?;
        let done = self.last.finished - before;
        let elapsed = i64::try_from(now.saturating_sub(*since).as_millis()).ok()?;
        (done > 0 && elapsed > 0).then(|| ahead.saturating_mul(elapsed) / done)
    }
}

impl Progress {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self { env, sales: DashMap::new() }
    }

    /// Somebody waits in this sale from now on. The first one has the counters read at once, so that nobody is told a
    /// place that was made up.
    pub async fn watch(&self, ledger: &dyn Ledger, sale: &str) {
        if self.sales.contains_key(sale) {
            return;
        }
        self.sales.entry(sale.to_owned()).or_default();
        if let Err(error) = self.sample_one(ledger, sale).await {
            tracing::warn!(%error, "the counters could not be read");
        }
    }

    /// Reads the counters of every watched sale; one that is idle for the whole window is watched no longer.
    ///
    /// # Errors
    /// The ledger's; what was known stays.
    pub async fn sample(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        let watched: Vec<String> = self.sales.iter().map(|entry| entry.key().clone()).collect();
        for sale in watched {
            self.sample_one(ledger, &sale).await?;
        }
        Ok(())
    }

    async fn sample_one(&self, ledger: &dyn Ledger, sale: &str) -> Result<(), LedgerError> {
        let Some(counters) = ledger.counters(sale).await? else { return Ok(()) };
        let now = self.env.monotonic();
        let idle = self.sales.get_mut(sale).is_some_and(|mut samples| {
            samples.add(now, counters);
            let stood_still =
                |(at, done): &(Duration, i64)| *done == counters.finished && now.saturating_sub(*at) >= WINDOW;
            counters.accepted == counters.finished && samples.finished.front().is_some_and(stood_still)
        });
        if idle {
            self.sales.remove(sale);
        }
        Ok(())
    }

    /// The place of an order that waits for its charge.
    #[must_use]
    pub fn place_of(&self, order: &Order) -> Option<Place> {
        order.state.is_in_queue().then(|| self.place(&order.sale, order.queue_number))
    }

    /// The place of a queue number.
    #[must_use]
    pub fn place(&self, sale: &str, queue_number: i64) -> Place {
        let Some(samples) = self.sales.get(sale) else { return Place { position: 1, eta_ms: None } };
        let position = (queue_number - samples.last.finished).max(1);
        // Before the first sample there is nothing to subtract.
        let position = if samples.finished.is_empty() { 1 } else { position };
        Place { position, eta_ms: samples.eta_ms(self.env.monotonic(), position) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_rate_of_the_last_ten_seconds() {
        let mut samples = Samples::default();
        let at = |ms: u64| Duration::from_millis(ms);
        samples.add(at(0), SaleCounters { accepted: 1_000, finished: 0 });
        assert_eq!(samples.eta_ms(at(0), 10), None, "nothing is known yet");
        for second in 1..=20 {
            samples.add(
                at(second * 1_000),
                SaleCounters { accepted: 1_000, finished: 25 * i64::try_from(second).unwrap() },
            );
        }
        assert_eq!(samples.eta_ms(at(20_000), 50), Some(2_000));
        for second in 21..=40 {
            samples.add(at(second * 1_000), SaleCounters { accepted: 1_000, finished: 500 });
        }
        assert_eq!(samples.eta_ms(at(40_000), 50), None, "it stands still: no promise");
    }
}
