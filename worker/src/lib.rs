//! Workers: they charge what was accepted, settle what Stripe said, and finish what a dead process left behind.
//!
//! The handlers are plain functions of a [`Context`] and a job. They spawn nothing, set no timer and know no queue
//! server, so a test or a simulation can step them one by one. [`run`] is the adapter that puts them under apalis.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod authentication;
mod checkout;
pub mod create_charge;
pub mod decide;
pub mod pace;
pub mod process;
pub mod process_response;
pub mod refunds;
pub mod review;
pub mod run;
pub mod settle;
pub mod sweep;
pub mod webhook;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use shared::budget::SharedBudget;
use shared::env::Env;
use shared::ledger::SharedLedger;
use shared::queue::Queue;
use shared::queue::worker::JobInfo;
use shared::rooms::SharedRooms;
use shared::stock::SharedStock;
use shared::stripe::Stripe;

/// Re-sending stops this long after the first sending: Stripe forgets keys after 24 hours.
pub const RESEND_FOR: Duration = Duration::from_secs(23 * 3600);

/// What every handler works with.
#[derive(Clone)]
pub struct Context {
    /// Time, ids, randomness.
    pub env: Env,
    /// The truth.
    pub ledger: SharedLedger,
    /// The fast gate.
    pub stock: SharedStock,
    /// Where jobs are pushed.
    pub queue: Arc<dyn Queue>,
    /// Where outcomes are published.
    pub rooms: SharedRooms,
    /// Who charges.
    pub stripe: Arc<dyn Stripe>,
    /// How often Stripe may be asked.
    pub budget: SharedBudget,
    /// How long things may take.
    pub patience: Patience,
}

/// How long the sweep waits before it takes something for left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A charge that is owed, unchanged for this long, is queued again. Longer than a lease and a job together.
    pub owed: Duration,
    /// An order that is closing is asked about at Stripe again after this long.
    pub closing: Duration,
    /// Of a buyer at strong authentication nothing was heard for this long: Stripe is asked, and again after as long.
    pub authentication: Duration,
    /// A pin whose order never reached the ledger is freed after this long: twice the accept timeout.
    pub orphan: Duration,
    /// A webhook event that is not handled is queued again after this long: its push had its time.
    pub inbox: Duration,
    /// Stock and ledger have drifted apart when they stand still and differ for this long: longer than an accept may
    /// take, and than an orphan pin is left alone for.
    pub drift: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            owed: secs(60),
            closing: secs(5),
            authentication: secs(60),
            orphan: secs(10),
            inbox: secs(5),
            drift: secs(15),
        }
    }
}

/// The key with which a PaymentIntent is canceled, or a Checkout Session expired: a new one each time. To cancel twice does no harm, while under an old key a stored 500
/// would be the answer for ever.
fn cancel_key(ctx: &Context, payable: &str) -> String {
    format!("cancel-{payable}-{}", ctx.env.uuid_v4())
}

/// A retry after broken machinery or silence: 0.2 s, doubled each time, up to 30 s, with jitter.
fn later(ctx: &Context, info: JobInfo, reason: impl Into<String>) -> shared::queue::Finish {
    let pause = ctx.env.backoff(info.retries, Duration::from_millis(200), Duration::from_secs(30));
    shared::queue::Finish::retry(pause, reason)
}
