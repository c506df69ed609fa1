//! `authentication`: asks Stripe how far a buyer has come elsewhere, with strong authentication (3-D Secure) or on
//! Stripe's own page (hosted Checkout), and settles it.
//!
//! Nobody waits for a buyer. An order at the bank's challenge, or on Stripe's page, is in the ledger with a deadline, and
//! no worker has it; what comes of it is told by Stripe's events. This job is for what an event does not tell: the page says that the
//! buyer is done and no event came, the buyer wants another card, or nothing was heard for a while. Like an event it is
//! a hint to ask: what is settled is what Stripe says, in the one path, [`settle`].

use shared::decline::Decline;
use shared::guards::Guard;
use shared::jobs::{Authentication, Cause};
use shared::ledger::{Change, Left};
use shared::order::Outcome;
use shared::queue::worker::JobInfo;
use shared::queue::{Finish, NewJob, Pushed};
use shared::stripe::Answer;

use crate::create_charge::conclude;
use crate::decide::{Payable, Step, step, waits};
use crate::{Context, cancel_key, later, settle};

/// Orders that the sweep asks about in one round.
const BATCH: u32 = 500;

/// Asks about an attempt of an order.
pub async fn authentication(ctx: Context, job: Authentication, info: JobInfo) -> Finish {
    let Authentication::V1 { order: id, attempt, cause } = job;
    let order = match ctx.ledger.order(id).await {
        Ok(Some(order)) => order,
        Ok(None) => return Finish::Dead { reason: "the ledger has no such order".into() },
        Err(error) => return later(&ctx, info, error.to_string()),
    };
    let Some(payable) = waits(&order, attempt) else {
        // It has moved on. Whoever moved it may have died before telling.
        return settle::show(&ctx, &order).await.map_or_else(|reason| later(&ctx, info, reason), |()| Finish::done());
    };
    let answer = match (payable, cause) {
        (Payable::Session(session), Cause::GivenUp) if Guard::PageEndedFirst.is_on() => {
            ctx.stripe.expire_session(session, &cancel_key(&ctx, session)).await
        }
        (payable, _) => payable.read(&ctx).await,
    };
    let asked = match (answer, cause) {
        (Answer::RequiresAction { .. } | Answer::Hosted { .. }, Cause::Asked) => return Finish::done(),
        (Answer::RequiresAction { .. } | Answer::Hosted { .. }, Cause::Silence) => return once_more(&ctx),
        (Answer::Hosted { .. }, Cause::GivenUp) if !Guard::PageEndedFirst.is_on() => {
            Step::Settle(Outcome::Canceled { payment_intent: None })
        }
        (Answer::Hosted { .. }, Cause::GivenUp) => return later(&ctx, info, "Stripe's page is not ended yet"),
        (Answer::RequiresAction { payment_intent, .. }, Cause::GivenUp) => {
            Step::CallOff { payment_intent, decline: Decline::canceled() }
        }
        // To read was refused, which says nothing about the payment.
        (Answer::Refused { reason, .. }, _) => return later(&ctx, info, reason),
        (answer, _) => step(&order, answer),
    };
    let outcome = match conclude(&ctx, info, &order, asked).await {
        Ok(outcome) => outcome,
        Err(finish) => return finish,
    };
    match settle::settle(&ctx, id, Change::Observed { attempt, outcome }).await {
        Err(reason) => later(&ctx, info, reason),
        Ok(applied) if cause == Cause::Silence && applied.order().is_some_and(|now| waits(now, attempt).is_some()) => {
            once_more(&ctx)
        }
        Ok(_) => Finish::done(),
    }
}

/// The job stays in the queue, not with a worker; the order's deadline bounds how often it comes.
fn once_more(ctx: &Context) -> Finish {
    let pause = ctx.patience.authentication;
    Finish::retry(pause + ctx.env.jitter(pause / 4), "the buyer is not done yet")
}

/// Queues a look at orders that have been at strong authentication for a while. One that is being looked after is in
/// the queue already, and pushing it again changes nothing.
///
/// # Errors
/// A reason, when something could not be reached.
pub async fn ask_after_silence(ctx: &Context) -> Result<u64, String> {
    let since = ctx.ledger.now().minus(ctx.patience.authentication);
    let orders = ctx.ledger.left(Left::Authenticating { since }, BATCH).await.map_err(|error| error.to_string())?;
    if orders.is_empty() {
        return Ok(0);
    }
    let jobs: Result<Vec<NewJob>, _> =
        orders.iter().map(|order| NewJob::of(&Authentication::of(order, Cause::Silence))).collect();
    let pushed = ctx.queue.push(jobs.map_err(|e| e.to_string())?).await.map_err(|error| error.to_string())?;
    Ok(pushed.iter().filter(|pushed| matches!(pushed, Pushed::New)).count() as u64)
}
