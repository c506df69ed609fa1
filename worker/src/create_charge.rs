//! `create_charge`: takes an attempt, sends its stored request with its key, and hands on what Stripe said.
//!
//! Nothing here decides that a charge failed because nobody answered. Silence is asked about again, with the same
//! bytes and the same key, until Stripe would have forgotten the key; then the payment is looked up.

use std::time::Duration;

use shared::budget::{Endpoint, Throttle};
use shared::guards::Guard;
use shared::jobs::{CreateCharge, ProcessResponse};
use shared::ledger::Claimed;
use shared::order::{Attempt, Order, Outcome};
use shared::queue::Finish;
use shared::queue::worker::JobInfo;
use shared::stripe::{Answer, StoredRequest, idempotency_key, request_of};

use crate::decide::{Step, called_off, found, is_seen_after, step};
use crate::process_response::process_response;
use crate::{Context, RESEND_FOR, cancel_key, checkout, later, settle};

/// How long an attempt waits in hand for its turn, and for the next one after a refusal. Afterwards it goes back to the
/// front of the line: what may wait longer there than here loses nothing but this process's attention. With a request to
/// Stripe it fits into the time of a job ([`crate::process`] checks).
pub(crate) const TURN_PATIENCE: Duration = Duration::from_secs(8);
/// The pauses after refusals that name no time.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// How far around the first sending a lost payment is looked for.
pub(crate) const LOOK_UP_WINDOW: Duration = Duration::from_secs(600);

/// Charges an attempt of an order, and leaves it to the next job to settle what Stripe said.
pub async fn create_charge(ctx: Context, job: CreateCharge, info: JobInfo) -> Finish {
    match respond(&ctx, &job, info).await {
        Ok(response) => Finish::then(&response),
        Err(finish) => finish,
    }
}

/// Charges an attempt of an order, and settles what Stripe said in the same hand, which spares the queue a job. Only if
/// that does not come to its end at once is it left to the next job: what Stripe said is not lost, and not asked again.
pub async fn charge_and_settle(ctx: Context, job: CreateCharge, info: JobInfo) -> Finish {
    let response = match respond(&ctx, &job, info).await {
        Ok(response) => response,
        Err(finish) => return finish,
    };
    match process_response(ctx, response.clone(), info).await {
        Finish::Done { .. } => Finish::done(),
        _ => Finish::then(&response),
    }
}

/// What Stripe said about an attempt; or the end of the job, if there is nothing to settle.
async fn respond(ctx: &Context, job: &CreateCharge, info: JobInfo) -> Result<ProcessResponse, Finish> {
    let CreateCharge::V1 { order: id, attempt: number } = *job;
    match ctx.ledger.claim(id, number, request_of).await {
        Err(error) => Err(later(ctx, info, error.to_string())),
        Ok(Claimed::Unknown) => Err(Finish::Dead { reason: "the ledger has no such order".into() }),
        Ok(Claimed::No(order)) => see_after(ctx, info, &order, number).await,
        Ok(Claimed::Unpreparable(order)) => {
            tracing::error!(order = %order.id, review = ?order.review, "no request could be made");
            Err(show(ctx, info, &order).await)
        }
        Ok(Claimed::Yes { order, attempt, .. }) => {
            shared::crash::point("after_claim");
            let outcome = charge(ctx, info, &order, &attempt).await?;
            Ok(ProcessResponse::V1 { order: id, attempt: number, outcome })
        }
    }
}

/// Whoever ended an order may have died before telling.
async fn show(ctx: &Context, info: JobInfo, order: &Order) -> Finish {
    settle::show(ctx, order).await.map_or_else(|error| later(ctx, info, error), |()| Finish::done())
}

async fn charge(ctx: &Context, info: JobInfo, order: &Order, attempt: &Attempt) -> Result<Outcome, Finish> {
    if order.amount == 0 {
        return Ok(Outcome::Succeeded { payment_intent: None, charge: None, amount: 0, currency: order.currency });
    }
    let (Some(request), Some(first_sent)) = (&attempt.request, attempt.first_sent_at) else {
        return Err(Finish::Dead { reason: "a claimed attempt has no stored request".into() });
    };
    if Guard::KeyAge.refuses(ctx.ledger.now().since(first_sent) > RESEND_FOR) {
        return look_up(ctx, info, order, attempt).await;
    }
    if attempt.return_to().is_some() {
        return checkout::open(ctx, info, order, attempt, request).await;
    }
    let answer = send(ctx, info, order, attempt, request).await?;
    match step(order, answer) {
        Step::LookUp => look_up(ctx, info, order, attempt).await,
        step => conclude(ctx, info, order, step).await,
    }
}

/// Sends an attempt's request when it is its turn. One that Stripe refuses for being too much at once keeps its ticket,
/// and so goes again before those that came later: nobody loses a place to a refusal.
///
/// # Errors
/// How the delivery ends when it was not its turn for too long.
pub(crate) async fn send(
    ctx: &Context,
    info: JobInfo,
    order: &Order,
    attempt: &Attempt,
    request: &StoredRequest,
) -> Result<Answer, Finish> {
    let (endpoint, key) = (Endpoint::of("POST", &request.path), idempotency_key(order.id, attempt.number));
    let (ticket, began) = (ctx.budget.ticket_of(info.pushed_at, order.queue_number), ctx.env.monotonic());
    let left = || TURN_PATIENCE.saturating_sub(ctx.env.monotonic().saturating_sub(began));
    let mut refusals = 0;
    loop {
        let Ok(turn) = ctx.budget.turn(endpoint, ticket, left()).await else {
            return Err(Finish::HandBack { reason: "the Stripe budget is used up".into() });
        };
        let answer = ctx.stripe.send(request, &key).await;
        shared::crash::point("after_stripe_answer");
        match &answer {
            Answer::Throttled { reason, after, in_flight } => {
                turn.throttled(Throttle::of(reason, *in_flight)).await;
                let (base, cap) = PAUSE;
                let pause = after.map(|after| after + ctx.env.jitter(after / 2));
                let pause = pause.unwrap_or_else(|| ctx.env.backoff(refusals, base, cap));
                if pause >= left() {
                    return Ok(answer);
                }
                ctx.env.sleep(pause).await;
                refusals += 1;
            }
            Answer::Unknown { reason, .. } => {
                turn.unheard();
                if ctx.budget.is_silent(endpoint) {
                    // It is Stripe that is down, and not this order that is odd: it keeps its place.
                    return Err(Finish::HandBack { reason: format!("Stripe is silent: {reason}") });
                }
                return Ok(answer);
            }
            _ => {
                turn.answered();
                return Ok(answer);
            }
        }
    }
}

/// Comes to an outcome, or to another delivery.
pub(crate) async fn conclude(ctx: &Context, info: JobInfo, order: &Order, asked: Step) -> Result<Outcome, Finish> {
    let (payment_intent, decline) = match asked {
        Step::Settle(outcome) => return Ok(outcome),
        Step::CallOff { payment_intent, decline } => (payment_intent, decline),
        Step::Again { after: Some(after), reason } => {
            return Err(Finish::retry(after + ctx.env.jitter(after / 2), reason));
        }
        Step::Again { after: None, reason } => return Err(later(ctx, info, reason)),
        Step::LookUp => return Err(later(ctx, info, "nothing could be looked up")),
    };
    let canceled = ctx.stripe.cancel(&payment_intent, &cancel_key(ctx, &payment_intent)).await;
    called_off(order, canceled, decline).map_err(|reason| later(ctx, info, reason))
}

/// Asks Stripe what became of a payment, by its id, or else among all payments of the time.
pub(crate) async fn look_up(ctx: &Context, info: JobInfo, order: &Order, attempt: &Attempt) -> Result<Outcome, Finish> {
    if attempt.return_to().is_some() {
        return checkout::look_up(ctx, info, order, attempt).await;
    }
    if let Some(payment_intent) = order.payment_intent.as_ref().or(attempt.payment_intent.as_ref()) {
        let answer = ctx.stripe.retrieve(payment_intent).await;
        return conclude(ctx, info, order, step(order, answer)).await;
    }
    let first_sent = attempt.first_sent_at.unwrap_or(order.accepted_at);
    let (from, to) = (first_sent.minus(LOOK_UP_WINDOW), first_sent.plus(RESEND_FOR));
    conclude(ctx, info, order, found(order, ctx.stripe.find(order.id, from, to).await)).await
}

/// There is nothing to send. If Stripe is still thinking about this attempt, ask what it came to, now and then.
async fn see_after(ctx: &Context, info: JobInfo, order: &Order, number: u32) -> Result<ProcessResponse, Finish> {
    if !is_seen_after(order, number) {
        return Err(show(ctx, info, order).await);
    }
    let attempt = match ctx.ledger.attempt(order.id, number).await {
        Ok(Some(attempt)) => attempt,
        Ok(None) => return Err(Finish::Dead { reason: "the ledger has no such attempt".into() }),
        Err(error) => return Err(later(ctx, info, error.to_string())),
    };
    match look_up(ctx, info, order, &attempt).await? {
        Outcome::Processing { .. } => Err(later(ctx, info, "Stripe is still thinking")),
        outcome => Ok(ProcessResponse::V1 { order: order.id, attempt: number, outcome }),
    }
}
