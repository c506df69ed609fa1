//! `webhook`: asks Stripe about the payment that an event speaks of, and settles what it has become; or about its
//! refunds, which are read all together, whoever made them.
//!
//! Events come twice, late and in any order, so that nothing is concluded from one but that it is time to ask. What
//! Stripe answers becomes an outcome exactly as a look-up's answer does, and ends in the one path, [`settle`].
//!
//! **While an attempt's request is unanswered, only its own answer, or a success, settles the order:** a failure that
//! can be seen then may be an earlier attempt's, since all of them are of one PaymentIntent.

use std::time::Duration;

use shared::jobs::Webhook;
use shared::ledger::{Change, InboxEvent, RefundState};
use shared::order::{Attempt, Order, State};
use shared::queue::Finish;
use shared::queue::worker::JobInfo;
use shared::stripe::Answer;
use shared::stripe::webhook::Event;
use uuid::Uuid;

use crate::create_charge::conclude;
use crate::decide::{GRACE, Heard, Payable, heard, is_unanswered};
use crate::{Context, later, refunds, settle};

/// An order is in the ledger before Stripe hears of it. One that is not there after this long will not come.
const STRANGER_AFTER: Duration = Duration::from_secs(10 * 60);
/// No event is tried for longer. Orders that are still open then are in the hands of the sweep and its look-ups.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What became of an event.
enum Seen {
    /// It is done with; a word for the metrics.
    Done(&'static str),
    /// It cannot be used yet.
    Wait(Finish),
    /// It never will be, and somebody should know why.
    Odd(&'static str),
}

/// Sees to an event of the inbox.
pub async fn webhook(ctx: Context, job: Webhook, info: JobInfo) -> Finish {
    let Webhook::V1 { event: id } = job;
    let stored = match ctx.ledger.event(&id).await {
        Ok(Some(stored)) if stored.handled => return Finish::done(),
        Ok(Some(stored)) => stored.event,
        Ok(None) => return Finish::Dead { reason: "the inbox has no such event".into() },
        Err(error) => return later(&ctx, info, error.to_string()),
    };
    let age = ctx.ledger.now().since(stored.received_at);
    let result = match see_to(&ctx, info, &stored, age).await {
        Seen::Wait(finish) if age < GIVE_UP_AFTER => return finish,
        Seen::Wait(_) => raised(&id, "given_up"),
        Seen::Odd(reason) => raised(&id, reason),
        Seen::Done(result) => result,
    };
    if let Err(error) = ctx.ledger.event_handled(&id).await {
        return later(&ctx, info, error.to_string());
    }
    metrics::counter!("webhook_events_handled_total", "result" => result).increment(1);
    Finish::done()
}

/// Tells a person of an event that nothing could be made of; it stays in the inbox.
pub(crate) fn raised(event: &str, reason: &'static str) -> &'static str {
    tracing::error!(event, reason, "a webhook event could not be used; look at it in Stripe's dashboard");
    metrics::counter!("webhook_events_raised_total", "reason" => reason).increment(1);
    reason
}

async fn see_to(ctx: &Context, info: JobInfo, stored: &InboxEvent, age: Duration) -> Seen {
    let Some(event) = Event::read(stored.body.as_bytes()) else { return Seen::Odd("unreadable") };
    if !event.may_move_a_payment() && !event.may_move_a_refund() {
        return Seen::Done("other_kind");
    }
    let of_session = event.session.as_deref().map(Payable::Session);
    let Some(payable) = of_session.or(event.payment_intent.as_deref().map(Payable::Intent)) else {
        return Seen::Done("not_ours");
    };
    let refunded_intent = event.payment_intent.as_deref().filter(|_| event.may_move_a_refund());
    let order = match (event.order, refunded_intent) {
        (Some(order), _) => Ok(order),
        // Who makes a refund in the dashboard does not write the order on it.
        (None, Some(payment_intent)) => order_of(ctx, info, payment_intent).await,
        (None, None) => Err(Seen::Done("not_ours")),
    };
    let order = match order {
        Ok(order) => ctx.ledger.order(order).await,
        Err(seen) => return seen,
    };
    let order = match order {
        Ok(Some(order)) => order,
        Ok(None) if age < STRANGER_AFTER => return Seen::Wait(later(ctx, info, "the ledger has no such order")),
        Ok(None) => return Seen::Odd("unknown_order"),
        Err(error) => return Seen::Wait(later(ctx, info, error.to_string())),
    };
    if let Some(payment_intent) = refunded_intent {
        return refunded(ctx, info, &order, payment_intent, &event, age).await;
    }
    paid(ctx, info, &order, payable, event.payment_intent.as_deref(), age).await
}

/// The order that a payment was made for, as Stripe keeps it with the payment.
async fn order_of(ctx: &Context, info: JobInfo, payment_intent: &str) -> Result<Uuid, Seen> {
    match ctx.stripe.retrieve(payment_intent).await {
        Answer::Succeeded(payment) => payment.order.ok_or(Seen::Done("not_ours")),
        Answer::Throttled { reason, .. } | Answer::Unknown { reason, .. } | Answer::Refused { reason, .. } => {
            Err(Seen::Wait(later(ctx, info, reason)))
        }
        // What was not paid has no refunds.
        _ => Err(Seen::Done("not_ours")),
    }
}

/// An event about a payment.
async fn paid(
    ctx: &Context,
    info: JobInfo,
    order: &Order,
    payable: Payable<'_>,
    payment_intent: Option<&str>,
    age: Duration,
) -> Seen {
    if payment_intent.is_some_and(|payment_intent| is_paid_by(order, payment_intent)) {
        // Success is final. Whoever settled it may have died before telling.
        let shown = settle::show(ctx, order).await;
        return shown.map_or_else(|reason| Seen::Wait(later(ctx, info, reason)), |()| Seen::Done("known"));
    }
    match ctx.ledger.attempt(order.id, order.attempt).await {
        Ok(Some(attempt)) => ask(ctx, info, order, &attempt, payable, age).await,
        Ok(None) => Seen::Odd("no_attempt"),
        Err(error) => Seen::Wait(later(ctx, info, error.to_string())),
    }
}

/// An event about a refund. What is refunded was paid: if the order does not know so, that is settled first.
async fn refunded(
    ctx: &Context,
    info: JobInfo,
    order: &Order,
    payment_intent: &str,
    event: &Event,
    age: Duration,
) -> Seen {
    let rows = match ctx.ledger.refunds_of(order.id).await {
        Ok(rows) => rows,
        Err(error) => return Seen::Wait(later(ctx, info, error.to_string())),
    };
    let is_known = event.refund.is_some() && rows.iter().any(|row| row.stripe_id == event.refund);
    if is_known && event.kind == "refund.created" {
        let shown = settle::show(ctx, order).await;
        return shown.map_or_else(|reason| Seen::Wait(later(ctx, info, reason)), |()| Seen::Done("refund_known"));
    }
    if age < GRACE && !is_known && rows.iter().any(|row| row.state == RefundState::Owed) {
        return Seen::Wait(Finish::retry(GRACE - age, "its own answer is on its way"));
    }
    if !is_paid_by(order, payment_intent) {
        match paid(ctx, info, order, Payable::Intent(payment_intent), Some(payment_intent), age).await {
            Seen::Done(_) => {}
            seen => return seen,
        }
    }
    match refunds::read_all(ctx, order, payment_intent).await {
        Ok(()) => Seen::Done("refunds"),
        Err(reason) => Seen::Wait(later(ctx, info, reason)),
    }
}

fn is_paid_by(order: &Order, payment_intent: &str) -> bool {
    order.state == State::Paid && order.payment_intent.as_deref() == Some(payment_intent)
}

async fn ask(
    ctx: &Context,
    info: JobInfo,
    order: &Order,
    attempt: &Attempt,
    payable: Payable<'_>,
    age: Duration,
) -> Seen {
    if is_unanswered(order, attempt) && age < GRACE {
        return Seen::Wait(Finish::retry(GRACE - age, "its own answer is on its way"));
    }
    let step = match heard(order, attempt, payable, payable.read(ctx).await, age) {
        Heard::Step(step) => step,
        Heard::Nothing if order.state.is_final() => {
            // An event that was seen to before may have ended it: whoever did that may have died before telling.
            let shown = settle::show(ctx, order).await;
            return shown
                .map_or_else(|reason| Seen::Wait(later(ctx, info, reason)), |()| Seen::Done("changes_nothing"));
        }
        Heard::Nothing => return Seen::Done("changes_nothing"),
        Heard::AnothersPayment => return Seen::Odd("another_order"),
        Heard::Wait { after: Some(after), reason } => {
            return Seen::Wait(Finish::retry(after + ctx.env.jitter(after / 2), reason));
        }
        Heard::Wait { after: None, reason } => return Seen::Wait(later(ctx, info, reason)),
    };
    let outcome = match conclude(ctx, info, order, step).await {
        Ok(outcome) => outcome,
        Err(finish) => return Seen::Wait(finish),
    };
    match settle::settle(ctx, order.id, Change::Observed { attempt: order.attempt, outcome }).await {
        Ok(_) => Seen::Done("settled"),
        Err(reason) => Seen::Wait(later(ctx, info, reason)),
    }
}
