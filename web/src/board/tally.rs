//! What the processes of the shop have counted, put together.
//!
//! A process knows its own counters only through its metrics, in Prometheus's text format: they are read from there, so
//! that what the page shows and what `/metrics` tells cannot differ.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::overview::Thousandths;

/// How long something takes: quantiles over the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Half take no longer.
    pub p50_ms: Thousandths,
    /// One of a hundred takes longer.
    pub p99_ms: Thousandths,
}

/// How long the steps of a purchase take; none where nothing was measured in the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// From a purchase's head to its 202.
    pub accept: Option<Quantiles>,
    /// From the push of a charge to its first delivery.
    pub queue_wait: Option<Quantiles>,
    /// Stripe's answer to a charge.
    pub stripe: Option<Quantiles>,
    /// The handler that settles an answer.
    pub settle: Option<Quantiles>,
    /// From a settled outcome to the last socket of its room.
    pub push: Option<Quantiles>,
}

/// What was counted since the processes began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Changes of orders' states, by the new state.
    pub settled: BTreeMap<String, u64>,
    /// Declined charges, by Stripe's word for it.
    pub declines: BTreeMap<String, u64>,
    /// Requests that Stripe refused for their number, by its reason.
    pub throttled: BTreeMap<String, u64>,
    /// Charges that were sent to Stripe.
    pub sent: u64,
    /// Charges under way.
    pub under_way: u64,
    /// Open sockets and event streams.
    pub sockets: u64,
    /// How long things take.
    pub latency: Latency,
}

impl Tally {
    /// What one process has counted.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let lines: Vec<Line<'_>> = text.lines().filter_map(Line::read).collect();
        let of = |name: &'static str| lines.iter().filter(move |line| line.name == name);
        let by = |name: &'static str, label: &'static str| {
            let mut sums: BTreeMap<String, u64> = BTreeMap::new();
            for line in of(name) {
                *sums.entry(line.label(label).unwrap_or("unknown").to_owned()).or_default() += line.whole();
            }
            sums
        };
        let charges = |name: &'static str| {
            of(name).filter(|line| line.label("endpoint") == Some("create_intent")).map(Line::whole).sum()
        };
        let times = |name: &'static str, labels: &[(&str, &str)]| quantiles(of(name), labels);
        let latency = Latency {
            accept: times("http_request_seconds", &[("route", "/charges"), ("status", "202")]),
            queue_wait: times("queue_wait_seconds", &[("queue", "create_charge")]),
            stripe: times("stripe_request_seconds", &[("operation", "charge")]),
            settle: times("queue_handler_seconds", &[("queue", "process_response")]),
            push: times("room_push_seconds", &[]),
        };
        Self {
            settled: by("orders_settled_total", "state"),
            declines: by("orders_declined_total", "class"),
            throttled: by("stripe_budget_throttled_total", "reason"),
            sent: charges("stripe_budget_used_total"),
            under_way: charges("stripe_budget_under_way"),
            sockets: of("room_connections").map(Line::whole).sum(),
            latency,
        }
    }

    /// Orders that came to this state.
    #[must_use]
    pub fn settled(&self, state: &str) -> u64 {
        self.settled.get(state).copied().unwrap_or_default()
    }
}

/// The slowest of the summaries that have these labels; none when nothing was measured lately.
fn quantiles<'a>(lines: impl Iterator<Item = &'a Line<'a>>, labels: &[(&str, &str)]) -> Option<Quantiles> {
    let mut found: Option<Quantiles> = None;
    for line in lines.filter(|line| labels.iter().all(|(name, value)| line.label(name) == Some(value))) {
        let Some(time) = line.time().filter(|time| *time > Thousandths::default()) else { continue };
        let found = found.get_or_insert_default();
        match line.label("quantile") {
            Some("0.5") => found.p50_ms = found.p50_ms.max(time),
            Some("0.99") => found.p99_ms = found.p99_ms.max(time),
            _ => {}
        }
    }
    found
}

/// A line of Prometheus's text format: `name{label="value"} 1.5`.
struct Line<'a> {
    name: &'a str,
    labels: &'a str,
    value: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some(Self { name, labels: labels.trim_end_matches('}'), value })
    }

    /// No label that is read here has a quotation mark or a comma in it.
    fn label(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.labels.split(',').filter_map(|pair| pair.split_once('='));
        pairs.find(|(label, _)| *label == name).map(|(_, value)| value.trim_matches('"'))
    }

    fn whole(&self) -> u64 {
        self.value.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or_default()
    }

    /// A time in seconds.
    fn time(&self) -> Option<Thousandths> {
        let seconds = self.value.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok().map(Thousandths::ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_quantiles_are_read_from_what_a_process_tells() {
        let tally = Tally::read(
            "# TYPE orders_settled_total counter
orders_settled_total{state=\"paid\"} 40
orders_settled_total{state=\"declined\"} 2
stripe_budget_used_total{endpoint=\"create_intent\"} 43
stripe_budget_used_total{endpoint=\"retrieve_intent\"} 7
stripe_budget_throttled_total{reason=\"endpoint-rate\"} 3
room_connections 12
http_request_seconds{route=\"/charges\",status=\"202\",quantile=\"0.5\"} 0.0015
http_request_seconds{route=\"/charges\",status=\"202\",quantile=\"0.99\"} 0.25
http_request_seconds{route=\"/charges\",status=\"409\",quantile=\"0.99\"} 9
http_request_seconds_sum{route=\"/charges\",status=\"202\"} 12.5
stripe_request_seconds{operation=\"charge\",outcome=\"succeeded\",quantile=\"0.99\"} 0.6
stripe_request_seconds{operation=\"charge\",outcome=\"declined\",quantile=\"0.99\"} 0.7
queue_wait_seconds{queue=\"create_charge\",quantile=\"0.5\"} 0
",
        );
        assert_eq!((tally.settled("paid"), tally.settled("declined"), tally.settled("review")), (40, 2, 0));
        assert_eq!((tally.sent, tally.sockets, tally.throttled["endpoint-rate"]), (43, 12, 3));
        let accept = tally.latency.accept.unwrap();
        assert_eq!((accept.p50_ms, accept.p99_ms), (Thousandths(1_500), Thousandths(250_000)));
        assert_eq!(tally.latency.stripe.unwrap().p99_ms, Thousandths(700_000), "the slower of both");
        assert_eq!(tally.latency.queue_wait, None, "nothing was measured in the last minute");
    }

    #[test]
    fn nonsense_counts_nothing() {
        for text in ["", "\n\n", "{", "a{b} c", "orders_settled_total{state=\"paid\"} NaN", "room_connections"] {
            assert_eq!(Tally::read(text), Tally { settled: Tally::read(text).settled, ..Tally::default() }, "{text}");
        }
    }
}
