//! What a process tells of itself beside its metrics: how long a few things took lately (half of them, and ninety-nine of a
//! hundred), and how often a few happened.
//!
//! The metrics' own summaries are meant for a scraper, and lose low values when measurements spread over more than a decade
//! or so. So what is measured for them goes into a histogram of high dynamic range, too (<http://hdrhistogram.org>), in the
//! recorder, where nobody who measures has to know of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use metrics::{Counter, CounterFn, Gauge, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

/// What is kept, its metric, and the labels that it has.
type Kept = (What, &'static str, &'static [(&'static str, &'static str)]);
const KEPT: [Kept; 5] = [
    (What::Accept, "http_request_seconds", &[("route", "/charges"), ("status", "202")]),
    (What::Push, "room_push_seconds", &[]),
    (What::QueueWait, "queue_wait_seconds", &[("queue", "create_charge")]),
    (What::Stripe, "stripe_request_seconds", &[("operation", "charge"), ("outcome", "succeeded")]),
    (What::Settle, "settle_seconds", &[]),
];
/// What is counted: metrics with one label at most.
const COUNTED: [&str; 4] =
    ["orders_accepted_total", "orders_settled_total", "orders_declined_total", "stripe_budget_throttled_total"];
/// The longest time that is told apart, in microseconds: two minutes.
const LONGEST: u64 = 120_000_000;
/// Digits that count: one in a hundred.
const DIGITS: u8 = 2;
/// Times are forgotten after one to two of these.
const HALF: Duration = Duration::from_secs(30);

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// From a purchase's head to its 202.
    Accept,
    /// How long a socket takes to take news of an order.
    Push,
    /// From the push of a charge to its start.
    QueueWait,
    /// How long Stripe takes for a charge that succeeds.
    Stripe,
    /// From what Stripe said until the room was told.
    Settle,
}

/// Times of the last minute, and counts since the beginning; clones are the same.
#[derive(Clone, Default)]
pub struct Lately(Arc<Inner>);

#[derive(Default)]
struct Inner {
    times: [Times; KEPT.len()],
    /// By metric, and by the value of its label; without a label by an empty text.
    counts: Mutex<BTreeMap<(&'static str, String), Arc<AtomicU64>>>,
}

/// Times of one kind; locked for a moment.
#[derive(Default)]
struct Times(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    /// Since this half began; `None` until the first is measured.
    now: Option<Histogram<u64>>,
    before: Option<Histogram<u64>>,
    /// When it began, on the monotonic clock, as far as anybody has looked.
    since: Duration,
}

impl Times {
    fn record(&self, seconds: f64) {
        let micros = Duration::try_from_secs_f64(seconds).map_or(0, |time| time.as_micros());
        let micros = u64::try_from(micros).unwrap_or(LONGEST).clamp(1, LONGEST);
        let mut halves = self.0.lock();
        if halves.now.is_none() {
            halves.now = Histogram::new_with_bounds(1, LONGEST, DIGITS).ok();
        }
        if let Some(now) = &mut halves.now {
            now.saturating_record(micros);
        }
    }

    fn read(&self, at: Duration) -> Option<(Duration, Duration)> {
        let mut halves = self.0.lock();
        let passed = at.saturating_sub(halves.since);
        if passed >= HALF {
            halves.before = halves.now.take().filter(|_| passed < HALF * 2);
            halves.since = at;
        }
        let mut both = halves.now.clone();
        if let Some(before) = &halves.before {
            match &mut both {
                // The same bounds: nothing is lost.
                Some(both) => drop(both.add(before)),
                none => *none = Some(before.clone()),
            }
        }
        let both = both.filter(|both| !both.is_empty())?;
        let at = |quantile| Duration::from_micros(both.value_at_quantile(quantile));
        Some((at(0.5), at(0.99)))
    }
}

impl Lately {
    /// How long half, and ninety-nine of a hundred, took at most in the last half to whole minute; `None` when there were
    /// none. `now` is of the monotonic clock; who looks seldom forgets late.
    #[must_use]
    pub fn of(&self, what: What, now: Duration) -> Option<(Duration, Duration)> {
        self.0.times.get(what as usize).and_then(|times| times.read(now))
    }

    /// How often something happened since the beginning, by the value of its label.
    #[must_use]
    pub fn counts(&self, metric: &str) -> BTreeMap<String, u64> {
        let counts = self.0.counts.lock();
        let of_it = counts.iter().filter(|((name, _), _)| *name == metric);
        of_it.map(|((_, label), count)| (label.clone(), count.load(Ordering::Relaxed))).collect()
    }

    fn count(&self, key: &Key) -> Option<Arc<AtomicU64>> {
        let name = COUNTED.into_iter().find(|name| *name == key.name())?;
        let label = key.labels().next().map(|label| label.value().to_owned()).unwrap_or_default();
        Some(self.0.counts.lock().entry((name, label)).or_default().clone())
    }

    /// Keeps what this recorder is told.
    pub(super) fn tap<R: Recorder>(&self, counts: R) -> Tap<R> {
        Tap { counts, lately: self.clone() }
    }
}

/// A recorder, and what is kept besides.
pub(super) struct Tap<R> {
    counts: R,
    lately: Lately,
}

struct Counts {
    counted: Counter,
    count: Arc<AtomicU64>,
}

impl CounterFn for Counts {
    fn increment(&self, value: u64) {
        self.counted.increment(value);
        self.count.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.counted.absolute(value);
        self.count.store(value, Ordering::Relaxed);
    }
}

struct Both {
    counted: metrics::Histogram,
    lately: Lately,
    what: What,
}

impl HistogramFn for Both {
    fn record(&self, value: f64) {
        self.counted.record(value);
        if let Some(times) = self.lately.0.times.get(self.what as usize) {
            times.record(value);
        }
    }
}

fn kept(key: &Key) -> Option<What> {
    let has = |(name, value): &(&str, &str)| key.labels().any(|label| label.key() == *name && label.value() == *value);
    let is_it = |(_, name, labels): &&Kept| key.name() == *name && labels.iter().all(has);
    KEPT.iter().find(is_it).map(|(what, ..)| *what)
}

impl<R: Recorder> Recorder for Tap<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.counts.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.counts.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.counts.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        let counted = self.counts.register_counter(key, metadata);
        match self.lately.count(key) {
            None => counted,
            Some(count) => Counter::from_arc(Arc::new(Counts { counted, count })),
        }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.counts.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> metrics::Histogram {
        let counted = self.counts.register_histogram(key, metadata);
        match kept(key) {
            None => counted,
            Some(what) => metrics::Histogram::from_arc(Arc::new(Both { counted, lately: self.lately.clone(), what })),
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn what_is_measured_is_kept_for_a_minute_and_counted_all_the_same() {
        let lately = Lately::default();
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let tap = lately.tap(recorder);
        let at = Duration::from_secs;
        let measure = |ms: u64| {
            metrics::with_local_recorder(&tap, || {
                let seconds = Duration::from_millis(ms).as_secs_f64();
                metrics::histogram!("settle_seconds").record(seconds);
                metrics::histogram!("queue_wait_seconds", "queue" => "webhook").record(9.0);
            });
        };
        assert_eq!(lately.of(What::Settle, at(100)), None);
        // Three decades: what the summaries of the metrics cannot tell apart.
        (1..=1_000).for_each(measure);
        let told = |second| lately.of(What::Settle, at(second)).map(|(p50, p99)| (p50.as_millis(), p99.as_millis()));
        let (half, most) = told(101).unwrap();
        assert!((495..=505).contains(&half) && (980..=1_000).contains(&most), "{half} {most}");
        assert_eq!(lately.of(What::QueueWait, at(101)), None, "of another queue");
        assert_eq!(told(131), told(101), "the half before counts, too");
        measure(2_000);
        assert!(told(132).unwrap().0 < 600);
        assert_eq!(told(162).map(|(half, _)| half / 100), Some(20), "the first are forgotten");
        assert_eq!(told(300), None);
        handle.run_upkeep();
        metrics::with_local_recorder(&tap, || {
            metrics::counter!("orders_declined_total", "class" => "card_declined").increment(2);
            metrics::counter!("orders_declined_total", "class" => "card_declined").increment(1);
            metrics::counter!("orders_accepted_total").increment(4);
            metrics::counter!("refused_from_memory_total").increment(9);
        });
        assert_eq!(lately.counts("orders_declined_total"), BTreeMap::from([("card_declined".to_owned(), 3)]));
        assert_eq!(lately.counts("orders_accepted_total"), BTreeMap::from([(String::new(), 4)]));
        assert!(lately.counts("refused_from_memory_total").is_empty());
        assert!(handle.render().contains("orders_accepted_total 4"));
        assert!(handle.render().contains("settle_seconds_count 1001"), "{}", handle.render());
    }
}
