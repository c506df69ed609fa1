//! `review`: does what a person has decided about an order in review, as far as Stripe agrees.
//!
//! Whatever Stripe says of the payment goes the way of every outcome, through [`settle`]. Only the two decisions that
//! end an order do more: to cancel, everything that could be paid is ended first; to refund, money of another sum has to
//! be there. What Stripe does not say is not made up: then the order stays in review, and a person may decide again.

use shared::jobs::{Decision, Review};
use shared::ledger::{Change, Taken, Word};
use shared::order::{Attempt, Order, Outcome, State};
use shared::queue::Finish;
use shared::queue::worker::JobInfo;

use crate::create_charge::look_up;
use crate::decide::{Payable, UNANSWERED_AFTER, ended};
use crate::{Context, cancel_key, checkout, later, settle};

/// Stripe is asked so often, with pauses of half a minute in the end; then it is left to a person again.
const MOST_TRIES: u32 = 30;

/// Carries out a decision.
pub async fn review(ctx: Context, job: Review, info: JobInfo) -> Finish {
    let Review::V1 { order: id, attempt: number, decision, word } = job;
    let (order, attempt) = match (ctx.ledger.order(id).await, ctx.ledger.attempt(id, number).await) {
        (Ok(Some(order)), Ok(Some(attempt))) => (order, attempt),
        (Ok(_), Ok(_)) => return Finish::Dead { reason: "the ledger has no such order or attempt".into() },
        (Err(error), _) | (_, Err(error)) => return later(&ctx, info, error.to_string()),
    };
    if order.state != State::Review || order.attempt != number {
        // It has moved on. Whoever moved it may have died before telling.
        return settle::show(&ctx, &order).await.map_or_else(|reason| later(&ctx, info, reason), |()| Finish::done());
    }
    let change = match conclusion(&ctx, info, &order, &attempt, decision, word).await {
        Ok(Some(change)) => change,
        Ok(None) => return Finish::done(),
        Err(_) if info.retries >= MOST_TRIES => {
            tracing::warn!(order = %id, decision = decision.as_str(), "Stripe does not say: left to a person again");
            return Finish::done();
        }
        Err(finish) => return finish,
    };
    match settle::settle(&ctx, id, change).await {
        Ok(_) => Finish::done(),
        Err(reason) => later(&ctx, info, reason),
    }
}

/// What a decision comes to, by Stripe's word; none when it changes nothing.
async fn conclusion(
    ctx: &Context,
    info: JobInfo,
    order: &Order,
    attempt: &Attempt,
    decision: Decision,
    word: Word,
) -> Result<Option<Change>, Finish> {
    // Nothing was ever sent: there is nothing to ask for.
    let outcome = match attempt.request {
        Some(_) => look_up(ctx, info, order, attempt).await?,
        None => Outcome::Canceled { payment_intent: None },
    };
    let observed = |outcome| Ok(Some(Change::Observed { attempt: attempt.number, outcome }));
    match (decision, outcome) {
        (Decision::Refund, Outcome::Succeeded { payment_intent: Some(payment_intent), amount, currency, .. })
            if (amount, currency) != (order.amount, order.currency) =>
        {
            Ok(Some(Change::Rejected { word, taken: Some(Taken { payment_intent, amount, currency }) }))
        }
        (Decision::Cancel, Outcome::Processing { .. }) => Err(later(ctx, info, "Stripe is still thinking")),
        (
            Decision::Cancel,
            outcome @ (Outcome::RequiresAction { .. }
            | Outcome::Hosted { .. }
            | Outcome::Declined { .. }
            | Outcome::Canceled { .. }),
        ) => match end_all(ctx, info, order, attempt, &outcome).await? {
            Some(instead) => observed(instead),
            None => Ok(Some(Change::Rejected { word, taken: None })),
        },
        // A success settles it, whatever was decided. Nothing else may: the order might be charged again by now, and what
        // was true of it before would be taken for the answer.
        (_, outcome @ Outcome::Succeeded { .. }) => observed(outcome),
        (_, outcome) => {
            tracing::info!(order = %order.id, decision = decision.as_str(), ?outcome, "Stripe has no money for this order");
            Ok(None)
        }
    }
}

/// Ends whatever an order could be paid by; what Stripe says instead, if it was paid meanwhile.
async fn end_all(
    ctx: &Context,
    info: JobInfo,
    order: &Order,
    attempt: &Attempt,
    seen: &Outcome,
) -> Result<Option<Outcome>, Finish> {
    let seen_intent = match seen {
        Outcome::RequiresAction { payment_intent, .. } => Some(payment_intent),
        Outcome::Declined { payment_intent, .. } => payment_intent.as_ref(),
        _ => None,
    };
    let session = match seen {
        Outcome::Hosted { session, .. } => Some(session),
        _ => order.session.as_ref(),
    };
    let intent = seen_intent.or(order.payment_intent.as_ref()).or(attempt.payment_intent.as_ref());
    if session.is_none() && intent.is_none() {
        return not_on_its_way(ctx, attempt).map(|()| None);
    }
    let mut ends = Vec::new();
    if let Some(session) = session {
        ends.push(checkout::end(ctx, order, session).await);
    }
    if let Some(intent) = intent {
        let answer = ctx.stripe.cancel(intent, &cancel_key(ctx, intent)).await;
        ends.push(ended(order, Payable::Intent(intent), answer));
    }
    let mut instead = None;
    for end in ends {
        match end {
            Some(Outcome::Canceled { .. }) => {}
            Some(outcome @ Outcome::Succeeded { .. }) => instead = Some(outcome),
            _ => return Err(later(ctx, info, "what could be paid is not ended yet")),
        }
    }
    Ok(instead)
}

/// Stripe knows of no payment. A request that was sent a moment ago may still become one.
fn not_on_its_way(ctx: &Context, attempt: &Attempt) -> Result<(), Finish> {
    let Some(first_sent) = attempt.first_sent_at else { return Ok(()) };
    let age = ctx.ledger.now().since(first_sent);
    if age >= UNANSWERED_AFTER {
        return Ok(());
    }
    Err(Finish::retry(UNANSWERED_AFTER - age, "its request may still be on its way"))
}
