//! Places in the queue, and an honest guess at the time left.
//!
//! A place is the order's queue number less what was finished since. How fast the queue moves is known before anything
//! was finished: no faster than the budget for Stripe ([`shared::budget`]) lets charges go. Later it is measured, too, and
//! the longer it was, the more that counts; what is told is never faster than the budget. Counters and budget are read
//! twice a second for sales that somebody waits in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use shared::budget::{Endpoint, MilliHertz, SharedBudget};
use shared::env::Env;
use shared::ledger::{Ledger, LedgerError, SaleCounters};
use shared::message::Place;
use shared::order::Order;
use tokio::sync::OnceCell;

/// How often the counters are read.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// How far back the measured rate looks, and how long it must have been measured to count alone.
const WINDOW: Duration = Duration::from_secs(10);
/// How long Stripe takes for a charge, as long as no worker has seen one.
const GUESS: Duration = Duration::from_millis(600);
/// Charges that are under way together at Stripe, and are no queue, however long they take.
const FEW: u32 = 1_000;
/// What was accepted should be charged within this time, if Stripe's budget lets it.
const SOON: Duration = Duration::from_secs(2);
/// What was measured for a shorter time counts nothing beside a budget.
const TOO_SHORT: Duration = Duration::from_secs(3);

/// What is known of each sale's progress.
pub struct Progress {
    env: Env,
    budget: SharedBudget,
    sales: DashMap<String, Arc<Watched>>,
}

/// A sale that somebody waits in.
#[derive(Default)]
struct Watched {
    /// The counters were read once: before that there is nothing to tell.
    begun: OnceCell<()>,
    samples: Mutex<Samples>,
}

#[derive(Default)]
struct Samples {
    /// What was finished by when, the oldest first: since nobody waited last, or no older than [`WINDOW`], but for the
    /// first.
    finished: VecDeque<(Duration, i64)>,
    last: SaleCounters,
    /// When somebody was first seen to wait.
    waits_since: Option<Duration>,
    /// When nobody was, since the last who did.
    idle_since: Option<Duration>,
}

/// What the budget says.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Charges a second, in thousandths; `None` is no limit.
    rate: Option<MilliHertz>,
    /// How long Stripe takes for one.
    latency: Duration,
}

impl Samples {
    fn add(&mut self, now: Duration, counters: SaleCounters) {
        self.last = counters;
        if counters.accepted <= counters.finished {
            // What passes while nobody waits says nothing of how fast it could.
            self.finished.clear();
            self.waits_since = None;
            self.idle_since.get_or_insert(now);
        } else {
            self.idle_since = None;
            self.waits_since.get_or_insert(now);
        }
        self.finished.push_back((now, counters.finished));
        while self.finished.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW) {
            self.finished.pop_front();
        }
    }

    /// Orders finished and the milliseconds that they took, from the first moment at which something was.
    fn measured(&self) -> Option<(i64, i64)> {
        let (_, before) = self.finished.front()?;
        let (since, from) = self.finished.iter().find(|(_, finished)| finished > before)?;
        let (until, to) = self.finished.back()?;
        let elapsed = i64::try_from(until.saturating_sub(*since).as_millis()).ok()?;
        (to > from && elapsed > 0).then(|| (to - from, elapsed))
    }

    /// Charges a second, in thousandths.
    fn rate(&self, pace: Pace) -> Option<i64> {
        let allowed = pace.rate.map(|rate| i64::try_from(rate).unwrap_or(i64::MAX));
        let Some((done, elapsed)) = self.measured() else { return allowed };
        let measured = (done.saturating_mul(1_000_000) / elapsed).max(1);
        let Some(allowed) = allowed else { return Some(measured) };
        let window = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
        let weight = if u128::try_from(elapsed).unwrap_or(0) < TOO_SHORT.as_millis() { 0 } else { elapsed.min(window) };
        let blended = (allowed.saturating_mul(window - weight) + measured.saturating_mul(weight)) / window;
        Some(blended.min(allowed))
    }

    /// Whether the last one who was accepted is not charged soon, though the budget would let it be.
    fn is_behind(&self, now: Duration, pace: Pace) -> bool {
        let waiting = self.last.accepted - self.last.finished;
        let soon = i64::try_from(SOON.as_millis()).unwrap_or(i64::MAX);
        pace.rate.is_none() && waiting > i64::from(FEW) && self.eta_ms(now, waiting, pace).is_some_and(|eta| eta > soon)
    }

    /// Milliseconds until the order at this place is finished; `None` while that cannot be told, or everything stands
    /// still.
    fn eta_ms(&self, now: Duration, place: i64, pace: Pace) -> Option<i64> {
        let (since, before) = self.finished.front()?;
        let (sampled, last) = self.finished.back()?;
        if sampled.saturating_sub(*since) >= WINDOW && last == before {
            return None;
        }
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let queue = place.saturating_mul(1_000_000) / self.rate(pace)?.max(1);
        // The first answers are still to come.
        let waited = self.waits_since.map_or(Duration::ZERO, |since| sampled.saturating_sub(since));
        let first = millis(pace.latency.saturating_sub(waited));
        Some((queue.saturating_add(first) - millis(now.saturating_sub(*sampled))).max(1))
    }
}

impl Progress {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(env: Env, budget: SharedBudget) -> Self {
        Self { env, budget, sales: DashMap::new() }
    }

    /// Somebody waits in this sale from now on. For the first one the counters are read at once, and all others wait for
    /// that, so that nobody is told a place that was made up.
    pub async fn watch(&self, ledger: &dyn Ledger, sale: &str) {
        let known = self.sales.get(sale).map(|entry| entry.value().clone());
        let watched = known.unwrap_or_else(|| self.sales.entry(sale.to_owned()).or_default().clone());
        let begin = async {
            self.budget.look(false).await;
            if let Err(error) = self.sample_one(ledger, sale, &watched).await {
                tracing::warn!(%error, "the counters could not be read");
            }
        };
        watched.begun.get_or_init(|| begin).await;
    }

    /// Reads budget and counters of every watched sale; one in which nobody waits for the whole window is watched no
    /// longer.
    ///
    /// # Errors
    /// The ledger's; what was known stays.
    pub async fn sample(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        let watched: Vec<(String, Arc<Watched>)> =
            self.sales.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect();
        if !watched.is_empty() {
            self.budget.look(false).await;
        }
        for (sale, watched) in watched {
            self.sample_one(ledger, &sale, &watched).await?;
        }
        Ok(())
    }

    /// How many may stand in line so that the last of them is charged soon: as many as Stripe's budget lets through by
    /// then; without one those that are under way together, or as many as are charged in that time now.
    #[must_use]
    pub fn short_line(&self, sale: &str) -> u32 {
        let pace = self.pace();
        let watched = self.sales.get(sale).map(|entry| entry.value().clone());
        let measured = watched.and_then(|watched| watched.samples.lock().rate(pace));
        let soon = |rate: MilliHertz| u128::from(rate) * SOON.as_millis() / 1_000_000;
        let soon = |rate| u32::try_from(soon(rate)).unwrap_or(u32::MAX);
        match pace.rate {
            Some(allowed) => soon(allowed).min(FEW),
            None => measured.and_then(|rate| MilliHertz::try_from(rate).ok()).map_or(FEW, soon).max(FEW),
        }
    }

    /// Whether more was accepted than is charged soon, though Stripe's budget would let it be: the workers, or the
    /// machine, are too slow for what comes. What waits for the budget was told so, and is no reason to refuse others.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let (pace, now) = (self.pace(), self.env.monotonic());
        self.sales.iter().any(|watched| watched.samples.lock().is_behind(now, pace))
    }

    async fn sample_one(&self, ledger: &dyn Ledger, sale: &str, watched: &Watched) -> Result<(), LedgerError> {
        let Some(counters) = ledger.counters(sale).await? else { return Ok(()) };
        let now = self.env.monotonic();
        let idle = {
            let mut samples = watched.samples.lock();
            let idle_since = samples.idle_since;
            samples.add(now, counters);
            idle_since.is_some_and(|since| samples.idle_since.is_some() && now.saturating_sub(since) >= WINDOW)
        };
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
        let watched = self.sales.get(sale).map(|entry| entry.value().clone());
        let Some(watched) = watched else { return Place { position: 1, eta_ms: None } };
        let samples = watched.samples.lock();
        let position = (queue_number - samples.last.finished).max(1);
        // Before the first sample there is nothing to subtract.
        let position = if samples.finished.is_empty() { 1 } else { position };
        Place { position, eta_ms: samples.eta_ms(self.env.monotonic(), position, self.pace()) }
    }

    fn pace(&self) -> Pace {
        let (rate, latency) = self.budget.pace(Endpoint::CreateIntent);
        Pace { rate, latency: latency.unwrap_or(GUESS) }
    }
}

#[cfg(test)]
mod tests {
    use shared::budget::memory::MemorySlots;
    use shared::budget::{Budget, Limits};

    use super::*;

    const UNLIMITED: Pace = Pace { rate: None, latency: Duration::ZERO };
    const TWENTY_FIVE: Pace = Pace { rate: Some(25_000), latency: Duration::from_millis(600) };

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn finished(finished: i64) -> SaleCounters {
        SaleCounters { accepted: 1_000, finished }
    }

    #[test]
    fn without_a_limit_the_time_left_follows_the_rate_of_the_last_ten_seconds() {
        let mut samples = Samples::default();
        samples.add(at(0), finished(0));
        assert_eq!(samples.eta_ms(at(0), 10, UNLIMITED), None, "nothing is known yet");
        for second in 1..=20 {
            samples.add(at(second * 1_000), finished(25 * i64::try_from(second).unwrap()));
        }
        assert_eq!(samples.eta_ms(at(20_000), 50, UNLIMITED), Some(2_000));
        for second in 21..=40 {
            samples.add(at(second * 1_000), finished(500));
        }
        assert_eq!(samples.eta_ms(at(40_000), 50, UNLIMITED), None, "it stands still: no promise");
        assert_eq!(samples.eta_ms(at(40_000), 50, TWENTY_FIVE), None, "nor by any budget");
    }

    #[test]
    fn the_time_left_is_right_before_anything_was_finished() {
        let mut samples = Samples::default();
        samples.add(at(0), finished(0));
        assert_eq!(samples.eta_ms(at(0), 1_000, TWENTY_FIVE), Some(40_600), "the budget's rate, and one answer");
        assert_eq!(samples.eta_ms(at(300), 1_000, TWENTY_FIVE), Some(40_300), "what has passed since is not left");
        samples.add(at(500), finished(0));
        assert_eq!(samples.eta_ms(at(500), 1_000, TWENTY_FIVE), Some(40_100));
        samples.add(at(1_000), finished(10));
        assert_eq!(samples.eta_ms(at(1_000), 990, TWENTY_FIVE), Some(39_600));
    }

    #[test]
    fn what_is_measured_counts_more_the_longer_it_was_but_never_beyond_the_budget() {
        let mut samples = Samples::default();
        samples.add(at(0), finished(0));
        for half in 1..=40_u64 {
            // Ten a second, though twenty-five are allowed.
            samples.add(at(half * 500), finished(5 * i64::try_from(half).unwrap()));
            let told = samples.eta_ms(at(half * 500), 100, TWENTY_FIVE).unwrap();
            match half {
                2..=6 => assert_eq!(told, 4_000, "too short to count"),
                12..=20 => assert!((4_000..10_000).contains(&told), "{told} after {half} halves"),
                30.. => assert!((9_000..=10_100).contains(&told), "{told} after {half} halves"),
                _ => {}
            }
        }
        let cut = Pace { rate: Some(5_000), ..TWENTY_FIVE };
        assert_eq!(samples.eta_ms(at(20_000), 100, cut), Some(20_000), "a cut is told at once");
    }

    #[test]
    fn what_passes_while_nobody_waits_does_not_slow_the_next_crowd_down() {
        let mut samples = Samples::default();
        for second in 0..10 {
            let n = i64::try_from(second).unwrap();
            samples.add(at(second * 1_000), SaleCounters { accepted: n, finished: n });
        }
        samples.add(at(10_000), SaleCounters { accepted: 1_010, finished: 10 });
        assert_eq!(samples.eta_ms(at(10_000), 1_000, TWENTY_FIVE), Some(40_600));
    }

    #[test]
    fn who_is_charged_soon_is_known_by_the_budget_and_without_one_by_what_is_charged_now() {
        let progress = |per_second: Option<u32>| {
            let env = Env::system();
            let limits = Limits { endpoint: per_second, total: None };
            let budget = Budget::new(env.clone(), Arc::new(MemorySlots::new(env.clone())), limits, "web".into());
            Progress::new(env, Arc::new(budget))
        };
        let of_nobody = |per_second| progress(per_second).short_line("demo");
        assert_eq!([Some(25), Some(2), Some(10_000), None].map(of_nobody), [50, 4, 1_000, 1_000], "two seconds");
        let of_a_crowd = |per_second, charged: i64| {
            let progress = progress(per_second);
            let watched = Watched::default();
            for second in 0..=5_u64 {
                let finished = charged * i64::try_from(second).unwrap();
                watched.samples.lock().add(at(second * 1_000), SaleCounters { accepted: finished + 9_000, finished });
            }
            progress.sales.insert("demo".into(), Arc::new(watched));
            progress.short_line("demo")
        };
        assert_eq!([4_000, 100, 0].map(|charged| of_a_crowd(None, charged)), [8_000, 1_000, 1_000]);
        assert_eq!(of_a_crowd(Some(25), 20), 50);
    }

    #[test]
    fn charges_lag_behind_when_many_wait_for_long_and_no_budget_is_the_reason() {
        let samples_of = |accepted: i64| {
            let mut samples = Samples::default();
            for second in 0..=5_u64 {
                let finished = 1_000 * i64::try_from(second).unwrap();
                samples.add(at(second * 1_000), SaleCounters { accepted: finished + accepted, finished });
            }
            samples
        };
        let is_behind = |accepted: i64, pace: Pace| samples_of(accepted).is_behind(at(5_000), pace);
        assert_eq!([900, 1_500, 2_500].map(|waiting| is_behind(waiting, UNLIMITED)), [false, false, true]);
        assert!(!is_behind(2_500, TWENTY_FIVE), "they wait for Stripe, and were told so");
        let mut samples = Samples::default();
        samples.add(at(0), SaleCounters { accepted: 0, finished: 0 });
        samples.add(at(500), SaleCounters { accepted: 9_000, finished: 0 });
        assert!(!samples.is_behind(at(500), UNLIMITED), "nothing is known of a crowd that has just come");
    }
}
