//! What causes each alert here.

/// How an alert is made to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// What it is about happens.
    Fault(&'static str),
    /// Somebody else changes what is ours, since a fault of this kind would be a bug.
    Tampering(&'static str),
    /// It cannot be caused here, for this reason: a stand-in tells Prometheus the metric, by its real name.
    StandIn(&'static str),
}

use Cause::{Fault, StandIn, Tampering};

/// Alert, cause, and the story that tells it.
pub(super) const CAUSES: [(&str, Cause, &str); 32] = [
    ("StampedeSecondGateFired", Tampering("a sold unit is shown as free in Redis, and bought again"), "money"),
    ("StampedeLedgerGuardFired", Tampering("a trigger in PostgreSQL lets updates of orders write nothing"), "servers"),
    ("StampedeStockDrift", Tampering("a free unit is shown as sold in Redis"), "money"),
    ("StampedeStockDoesNotAddUp", Tampering("a unit is added to those that are free in Redis"), "money"),
    ("StampedePaymentsUnmatched", Fault("somebody pays at Stripe for an order that nobody knows"), "stripe"),
    ("StampedeIdempotencyError", Fault("the order's key is used at Stripe for something else first"), "money"),
    ("StampedeRefundFailed", Fault("the bank returns a refund"), "money"),
    ("StampedeDeadLetters", Tampering("somebody else writes a job that cannot be read"), "money"),
    ("StampedeEventRaised", Tampering("the job of a webhook event cannot be read"), "money"),
    ("StampedeNothingSettles", Fault("every worker is killed while the shop sells"), "stripe"),
    ("StampedeOldestJobTooOld", Fault("every worker is killed, and charges wait"), "stripe"),
    ("StampedeUnknownOutcomes", Fault("a proxy at Stripe's answers charges with 503"), "stripe"),
    ("StampedeThrottled", Fault("Stripe answers every second charge with 429"), "stripe"),
    ("StampedeStripeSlow", Fault("Stripe takes seven seconds for a charge"), "stripe"),
    ("StampedeWebhooksRefused", Fault("events come with a forged signature"), "money"),
    ("StampedeWebhooksMissed", Fault("Stripe's events are lost on the way"), "stripe"),
    ("StampedeWebhooksLag", Fault("every worker is killed, and an event waits"), "stripe"),
    ("StampedeSweepStale", Fault("Redis is killed, and no part of the sweep succeeds"), "servers"),
    ("StampedeSweepFailing", Fault("Redis is killed, and every worker's sweep fails"), "servers"),
    ("StampedeDown", Fault("a worker is killed"), "stripe"),
    ("StampedeLedgerNotAnswering", Fault("PostgreSQL is cut off while Redis gives holds"), "servers"),
    ("StampedeUnavailable", Fault("Redis is killed"), "servers"),
    ("StampedeLedgerSlow", Fault("a foreign transaction locks the orders for seconds"), "servers"),
    ("StampedeStockForgets", Fault("Redis is emptied again and again"), "servers"),
    ("StampedeRoomsInterrupted", Fault("Redis closes the subscriptions again and again"), "servers"),
    ("StampedeBudgetLost", Fault("Redis is killed"), "servers"),
    ("StampedePanics", Fault("a handler panics, at a point that tests have for it"), "servers"),
    ("StampedeShedding", Fault("a crowd comes to a web process that takes one purchase at a time"), "servers"),
    (
        "StampedeSocketsNearLimit",
        StandIn(
            "15,301 sockets are more than a test should hold open; that each is counted is seen in the other sales",
        ),
        "servers",
    ),
    ("StampedeSlowSocketsDropped", Fault("sockets do not read what their rooms are sent"), "servers"),
    ("StampedeClientsLimited", Fault("one address asks for sessions without end"), "servers"),
    ("StampedeAcceptsSlow", Fault("a foreign transaction locks the orders for seconds"), "servers"),
];
