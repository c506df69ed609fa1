//! Every metric that a process of ours counts, and what it means. `/metrics` tells it beside each name, and a test holds
//! this list to the code.
//!
//! Names end in their unit (`_seconds`, `_units`, …), and those of counters in `_total`.
//! (<https://prometheus.io/docs/practices/naming/>)

use self::Kind::{Counter, Gauge, Summary};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::lately::Lately;

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// It says how something stands.
    Gauge,
    /// It says how measurements were distributed: quantiles of the last minute, `_sum` and `_count`.
    Summary,
}

/// Kind, name and meaning.
pub const METRICS: [(Kind, &str, &str); 53] = [
    (Counter, "http_limited_total", "Requests refused because their address sent too many (429)."),
    (Counter, "http_panics_total", "Requests whose handler panicked, which is a bug."),
    (Summary, "http_request_seconds", "Seconds from a request's head to its answer, by route and status."),
    (Counter, "http_unavailable_total", "Requests answered with 503: Redis or ledger away, or a stock being rebuilt."),
    (Counter, "ledger_guard_fired_total", "Writes that a guard of the ledger refused, by guard."),
    (Summary, "ledger_group_seconds", "Seconds that a group of writes took, from its first statement to the disk."),
    (Summary, "ledger_group_size", "Writes that shared a transaction."),
    (Counter, "ledger_reruns_total", "Transactions of the ledger that were tried again, in parts or whole."),
    (Counter, "operator_logins_total", "Logins of operators, by result: good, bad, throttled, busy."),
    (Counter, "operator_overviews_total", "Overviews written for operators who look at the page, each once for all."),
    (Gauge, "operator_sockets", "Operators' pages that look at this process."),
    (Counter, "orders_accepted_total", "Orders accepted (202)."),
    (Counter, "orders_declined_total", "Declines that were settled, by the class that the shopper is told."),
    (Counter, "orders_settled_total", "Changes of an order's state that were settled, by the new state."),
    (Summary, "queue_handler_seconds", "Seconds that a handler ran, by queue."),
    (
        Gauge,
        "queue_jobs",
        "Jobs in a queue now, by queue and state: waiting, running, delayed, dead (waits for a person).",
    ),
    (
        Counter,
        "queue_jobs_total",
        "Deliveries ended, by queue and outcome: done, retried, crashed, dead, handed_back, lost (the lease).",
    ),
    (
        Gauge,
        "queue_oldest_waiting_seconds",
        "Seconds since the job at the head of the line was pushed, by queue; 0 when none waits.",
    ),
    (Summary, "queue_wait_seconds", "Seconds from the push of a job to the start of its first delivery, by queue."),
    (
        Gauge,
        "recommended_workers",
        "Workers that are enough for what comes and waits, at what Stripe allows and takes (Little's law); the same everywhere.",
    ),
    (Counter, "refunds_total", "Refunds that got on, by reason and by the state that they are in now."),
    (Counter, "refused_from_memory_total", "Purchases refused without asking Redis or the ledger: all was gone."),
    (Gauge, "room_connections", "Open sockets and event streams of this process."),
    (Summary, "room_push_seconds", "Seconds that a socket took to take news of an order."),
    (Counter, "room_slow_connections_dropped_total", "Sockets dropped because they did not take what they were sent."),
    (Counter, "rooms_interrupted_total", "Times that this process lost its subscription to the rooms."),
    (Counter, "second_gate_fired_total", "Orders that the ledger refused although the stock had held their units."),
    (Summary, "settle_seconds", "Seconds from what Stripe said until the order was settled and its room told."),
    (Gauge, "stock_capacity_units", "Units that a tier has, as the stock shows it, by sale and tier."),
    (
        Gauge,
        "stock_conservation_broken",
        "1 when a tier's free, held and sold units are not its capacity, in one reading of the stock; by sale.",
    ),
    (Counter, "stock_drift_total", "Times that stock and ledger stood still and differed, by what mended it."),
    (Counter, "stock_rebuilds_total", "Sales whose stock was rebuilt from the ledger by this process."),
    (
        Gauge,
        "stock_units",
        "Units of a tier now, by sale, tier and shelf: free, held, sold. They add up to its capacity.",
    ),
    (Gauge, "stripe_budget_allowed_per_second", "Requests a second that Stripe may be sent at most now, by endpoint."),
    (Counter, "stripe_budget_lost_total", "Times that this process could not reach the budget that all share."),
    (Counter, "stripe_budget_throttled_total", "Requests that Stripe refused for their number (429), by its reason."),
    (Gauge, "stripe_budget_under_way", "Requests to Stripe under way in this process, by endpoint."),
    (Counter, "stripe_budget_used_total", "Requests sent to Stripe, by endpoint."),
    (Summary, "stripe_budget_wait_seconds", "Seconds that a request waited for its turn in the budget, by endpoint."),
    (Counter, "stripe_idempotency_errors_total", "Times that Stripe saw one key with two different requests."),
    (Summary, "stripe_request_seconds", "Seconds that Stripe took, by operation and outcome."),
    (Counter, "stripe_throttled_total", "Answers 429 of Stripe's, by its reason."),
    (Counter, "stripe_unknown_outcomes_total", "Charges without a usable answer; each is sent again with its key."),
    (Gauge, "stripe_unmatched_payments", "Payments that ledger and Stripe do not agree about."),
    (Counter, "stripe_unmatched_total", "Payments that were found not to agree, by reason."),
    (Counter, "sweep_failures_total", "Rounds in which a part of the sweep failed, by part."),
    (Counter, "sweep_items_total", "Things that the sweep finished for somebody else, by part."),
    (Gauge, "sweep_last_success_timestamp_seconds", "When a part of the sweep last succeeded, in Unix time, by part."),
    (Summary, "sweep_seconds", "Seconds that a part of the sweep took, by part."),
    (Counter, "webhook_events_handled_total", "Webhook events that were heeded, by result."),
    (Counter, "webhook_events_missed_total", "Events that Stripe's list has and no webhook brought."),
    (Counter, "webhook_events_raised_total", "Webhook events that nothing could be made of, by reason."),
    (
        Counter,
        "webhook_events_total",
        "Requests to the webhook's address, by result: stored, duplicate, or why refused.",
    ),
];

/// Somebody counts for this process already.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("somebody counts for this process already")]
pub struct CountsAlready;

/// Counts from now on, for this process; once in its life.
///
/// # Errors
/// When somebody counts already.
pub fn record() -> Result<(PrometheusHandle, Lately), CountsAlready> {
    let (recorder, lately) = (PrometheusBuilder::new().build_recorder(), Lately::default());
    let handle = recorder.handle();
    metrics::set_global_recorder(lately.tap(recorder)).map_err(|_| CountsAlready)?;
    describe();
    Ok((handle, lately))
}

/// Keeps what a process tells of itself, where nobody can ask for its metrics; once in its life.
///
/// # Errors
/// When somebody counts already.
pub fn keep() -> Result<Lately, CountsAlready> {
    let lately = Lately::default();
    metrics::set_global_recorder(lately.tap(metrics::NoopRecorder)).map_err(|_| CountsAlready)?;
    Ok(lately)
}

/// Tells whoever counts here what each name means.
pub(super) fn describe() {
    for (kind, name, meaning) in METRICS {
        match kind {
            Counter => metrics::describe_counter!(name, meaning),
            Gauge => metrics::describe_gauge!(name, meaning),
            Summary => metrics::describe_histogram!(name, meaning),
        }
    }
}
