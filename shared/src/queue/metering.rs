//! What the workers tell the metrics: one counter of ends, two histograms of seconds.

use std::time::Duration;

use metrics::{counter, histogram};

use super::Finish;

const ENDS: &str = "queue_jobs_total";
const WAIT: &str = "queue_wait_seconds";
const HANDLER: &str = "queue_handler_seconds";

/// A first delivery starts, this long after its push.
pub(super) fn waited(queue: &'static str, wait: Duration) {
    histogram!(WAIT, "queue" => queue).record(wait.as_secs_f64());
}

/// A handler ran for this long, whatever came of it.
pub(super) fn ran(queue: &'static str, time: Duration) {
    histogram!(HANDLER, "queue" => queue).record(time.as_secs_f64());
}

/// A delivery was ended, and the store took it.
pub(super) fn ended(queue: &'static str, end: &Finish) {
    let outcome = match end {
        Finish::Done { .. } => "done",
        Finish::Retry { .. } => "retried",
        Finish::Crashed { .. } => "crashed",
        Finish::Dead { .. } => "dead",
        Finish::HandBack { .. } => "handed_back",
    };
    counter!(ENDS, "queue" => queue, "outcome" => outcome).increment(1);
}

/// A delivery ended for a worker that had lost its lease.
pub(super) fn lost(queue: &'static str) {
    counter!(ENDS, "queue" => queue, "outcome" => "lost").increment(1);
}
