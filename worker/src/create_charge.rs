//! `create_charge`: takes an attempt, sends its stored request with its key, and hands on what Stripe said.
//!
//! Nothing here decides that a charge failed because nobody answered. Silence is asked about again, with the same
//! bytes and the same key, until Stripe would have forgotten the key; then the payment is looked up.

use std::time::Duration;

use shared::decline::{Decline, DeclineClass};
use shared::guards::Guard;
use shared::jobs::{CreateCharge, ProcessResponse};
use shared::ledger::Claimed;
use shared::order::{Attempt, Order, Outcome, State};
use shared::queue::Finish;
use shared::queue::worker::JobInfo;
use shared::sale::Sale;
use shared::stripe::{
    Answer, ChargeRequest, Found, Payment, Refusal, StoredRequest, idempotency_key, prepare as encode, session,
};

use crate::{Context, RESEND_FOR, cancel_key, checkout, later, settle};

/// How long a job waits for its share of the budget before it gives its place to others.
const BUDGET_PATIENCE: Duration = Duration::from_secs(5);
/// How far around the first sending a lost payment is looked for.
pub(crate) const LOOK_UP_WINDOW: Duration = Duration::from_secs(600);
/// A wrong key makes every charge fail: try again this much later, loudly.
pub(crate) const CONFIGURATION_PAUSE: Duration = Duration::from_secs(30);

/// What an answer asks for.
pub(crate) enum Step {
    /// Settle this.
    Settle(Outcome),
    /// Send the same again.
    Again { after: Option<Duration>, reason: String },
    /// It may be paid and should not be: it has to be canceled, and is then told as this decline.
    CallOff { payment_intent: String, decline: Decline },
    /// Sending again would tell nothing new: look the payment up.
    LookUp,
}

/// Charges an attempt of an order.
pub async fn create_charge(ctx: Context, job: CreateCharge, info: JobInfo) -> Finish {
    let CreateCharge::V1 { order: id, attempt: number } = job;
    match ctx.ledger.claim(id, number, prepare).await {
        Err(error) => later(&ctx, info, error.to_string()),
        Ok(Claimed::Unknown) => Finish::Dead { reason: "the ledger has no such order".into() },
        Ok(Claimed::No(order)) => see_after(&ctx, info, &order, number).await,
        Ok(Claimed::Unpreparable(order)) => {
            tracing::error!(order = %order.id, review = ?order.review, "no request could be made");
            settle::show(&ctx, &order).await.map_or_else(|error| later(&ctx, info, error), |()| Finish::done())
        }
        Ok(Claimed::Yes { order, attempt, .. }) => {
            shared::crash::point("after_claim");
            match charge(&ctx, info, &order, &attempt).await {
                Ok(outcome) => Finish::then(&ProcessResponse::V1 { order: id, attempt: number, outcome }),
                Err(finish) => finish,
            }
        }
    }
}

/// The exact request of an attempt; runs inside the claiming transaction.
pub fn prepare(order: &Order, attempt: &Attempt, sale: Option<&Sale>) -> Result<StoredRequest, String> {
    if let Some(origin) = attempt.return_to() {
        let now = attempt.first_sent_at.unwrap_or(order.updated_at);
        return Ok(session::prepare(order, attempt.number, origin, sale, now));
    }
    encode(&ChargeRequest {
        order: order.id,
        attempt: attempt.number,
        token: &attempt.token,
        amount: order.amount,
        currency: order.currency.as_str(),
        email: &order.email,
        description: &format!("Order {}", order.id),
        payment_intent: order.payment_intent.as_deref(),
        return_url: None,
    })
    .map_err(|error| error.to_string())
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
    if let Err(wait) = ctx.budget.take(BUDGET_PATIENCE).await {
        return Err(Finish::retry(wait, "the Stripe budget is used up"));
    }
    if attempt.return_to().is_some() {
        return checkout::open(ctx, info, order, attempt, request).await;
    }
    let answer = ctx.stripe.send(request, &idempotency_key(order.id, attempt.number)).await;
    shared::crash::point("after_stripe_answer");
    match step(order, answer) {
        Step::LookUp => look_up(ctx, info, order, attempt).await,
        step => conclude(ctx, info, order, step).await,
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
    match step(order, canceled) {
        Step::Settle(Outcome::Canceled { .. }) => Ok(Outcome::Declined { payment_intent: None, decline }),
        Step::Settle(outcome) => Ok(outcome),
        Step::Again { reason, .. } => Err(later(ctx, info, reason)),
        Step::CallOff { .. } | Step::LookUp => Err(later(ctx, info, "not canceled yet")),
    }
}

/// What Stripe's answer asks for (the table "What an answer means" of the API reference for errors,
/// <https://docs.stripe.com/error-low-level>).
pub(crate) fn step(order: &Order, answer: Answer) -> Step {
    match answer {
        Answer::Succeeded(payment) => Step::Settle(succeeded(order, payment)),
        Answer::RequiresAction { payment_intent, client_secret } => {
            Step::Settle(Outcome::RequiresAction { payment_intent, client_secret })
        }
        Answer::NotStarted { payment_intent } => Step::CallOff { payment_intent, decline: not_charged() },
        Answer::Hosted { session, url } => Step::Settle(Outcome::Hosted { session, url }),
        Answer::SessionExpired { .. } => Step::Settle(Outcome::Canceled { payment_intent: None }),
        Answer::Processing { payment_intent } => Step::Settle(Outcome::Processing { payment_intent }),
        // Refused before a card was tried: the PaymentIntent of an earlier attempt is still the order's.
        Answer::Declined { payment_intent, decline } => {
            let payment_intent = payment_intent.or_else(|| order.payment_intent.clone());
            Step::Settle(Outcome::Declined { payment_intent, decline })
        }
        Answer::Canceled { payment_intent } => Step::Settle(Outcome::Canceled { payment_intent: Some(payment_intent) }),
        Answer::Throttled { reason, after, .. } => Step::Again { after, reason },
        Answer::Unknown { .. } if !Guard::UnknownIsNoDecline.is_on() => {
            Step::Settle(Outcome::Declined { payment_intent: order.payment_intent.clone(), decline: not_charged() })
        }
        Answer::Unknown { reason, replayed: false } => {
            metrics::counter!("stripe_unknown_outcomes_total").increment(1);
            Step::Again { after: None, reason }
        }
        Answer::Unknown { replayed: true, .. } => Step::LookUp,
        Answer::Refused { reason, kind: Refusal::Configuration } => {
            tracing::error!(reason, "Stripe refuses our key: no charge can work until it is mended");
            Step::Again { after: Some(CONFIGURATION_PAUSE), reason }
        }
        Answer::Refused { reason, kind: Refusal::Idempotency } => {
            tracing::error!(order = %order.id, reason, "a key was used with other parameters");
            metrics::counter!("stripe_idempotency_errors_total").increment(1);
            Step::LookUp
        }
        Answer::Refused { reason, kind: Refusal::Request } => Step::Settle(Outcome::Stuck { reason }),
    }
}

pub(crate) fn succeeded(order: &Order, payment: Payment) -> Outcome {
    match payment.currency.parse() {
        Ok(currency) => Outcome::Succeeded {
            payment_intent: Some(payment.payment_intent),
            charge: Some(payment.charge),
            amount: payment.amount,
            currency,
        },
        Err(_) => Outcome::Stuck { reason: format!("Stripe took money in a currency unknown to order {}", order.id) },
    }
}

/// Asks Stripe what became of a payment, by its id, or else among all payments of the time.
async fn look_up(ctx: &Context, info: JobInfo, order: &Order, attempt: &Attempt) -> Result<Outcome, Finish> {
    if attempt.return_to().is_some() {
        return checkout::look_up(ctx, info, order, attempt).await;
    }
    if let Some(payment_intent) = order.payment_intent.as_ref().or(attempt.payment_intent.as_ref()) {
        let answer = ctx.stripe.retrieve(payment_intent).await;
        return conclude(ctx, info, order, step(order, answer)).await;
    }
    let first_sent = attempt.first_sent_at.unwrap_or(order.accepted_at);
    let (from, to) = (first_sent.minus(LOOK_UP_WINDOW), first_sent.plus(RESEND_FOR));
    match ctx.stripe.find(order.id, from, to).await {
        Found::Unknown { reason } => Err(later(ctx, info, reason)),
        Found::None => Ok(Outcome::Declined { payment_intent: None, decline: not_charged() }),
        Found::Intents(intents) => match intents.into_iter().map(|(_, answer)| answer).min_by_key(weight) {
            Some(answer) => conclude(ctx, info, order, step(order, answer)).await,
            None => Err(later(ctx, info, "an empty list of payments")),
        },
    }
}

/// Of several payments of one order, the one that decides: money first, then what may become money.
pub(crate) fn weight(answer: &Answer) -> u8 {
    match answer {
        Answer::Succeeded(_) => 0,
        Answer::Processing { .. } => 1,
        Answer::Unknown { .. } | Answer::Throttled { .. } | Answer::Refused { .. } => 2,
        Answer::RequiresAction { .. } | Answer::NotStarted { .. } | Answer::Hosted { .. } => 3,
        Answer::Declined { .. } => 4,
        Answer::Canceled { .. } | Answer::SessionExpired { .. } => 5,
    }
}

/// Stripe has said that nothing was charged and nothing can be: the buyer may try again.
pub(crate) fn not_charged() -> Decline {
    Decline { class: DeclineClass::ProcessingError, may_retry: true, raw: None }
}

/// There is nothing to send. If Stripe is still thinking about this attempt, ask what it came to, now and then.
async fn see_after(ctx: &Context, info: JobInfo, order: &Order, number: u32) -> Finish {
    if order.state != State::Charging || order.attempt != number {
        // Whoever ended it may have died before telling.
        return settle::show(ctx, order).await.map_or_else(|error| later(ctx, info, error), |()| Finish::done());
    }
    let attempt = match ctx.ledger.attempt(order.id, number).await {
        Ok(Some(attempt)) => attempt,
        Ok(None) => return Finish::Dead { reason: "the ledger has no such attempt".into() },
        Err(error) => return later(ctx, info, error.to_string()),
    };
    match look_up(ctx, info, order, &attempt).await {
        Ok(Outcome::Processing { .. }) => later(ctx, info, "Stripe is still thinking"),
        Ok(outcome) => Finish::then(&ProcessResponse::V1 { order: order.id, attempt: number, outcome }),
        Err(finish) => finish,
    }
}
