//! `process_response`: settles what Stripe said about an attempt.

use shared::jobs::ProcessResponse;
use shared::ledger::{Applied, Change};
use shared::queue::Finish;
use shared::queue::worker::JobInfo;

use crate::{Context, later, settle};

/// Settles an outcome: ledger, then stock, then room. Every step is safe to repeat, so a crash anywhere is mended by
/// doing all of it again.
pub async fn process_response(ctx: Context, job: ProcessResponse, info: JobInfo) -> Finish {
    let ProcessResponse::V1 { order, attempt, outcome } = job;
    match settle::settle(&ctx, order, Change::Observed { attempt, outcome }).await {
        Ok(Applied::Unknown) => Finish::Dead { reason: "the ledger has no such order".into() },
        Ok(Applied::Refused(order)) => {
            Finish::Dead { reason: format!("an outcome cannot settle an order that is {}", order.state) }
        }
        Ok(Applied::Order { .. }) => Finish::done(),
        Err(reason) => later(&ctx, info, reason),
    }
}
