//! Refunds: what is owed is sent, what is pending is asked about, until Stripe says that it is done or cannot be done.
//!
//! A refund is never sent under a second key while the first one may have moved the money: Stripe would give a part of
//! an order back as often as it is asked to. So when a key is of no more use, because a 500 is stored under it or Stripe
//! may have forgotten it, the refund is looked for by our name for it first.
//!
//! Others give money back, too, as in Stripe's dashboard. Whenever an event or a refusal says so, all refunds of the
//! payment are read and recorded, whoever made them ([`read_all`]).

use shared::guards::Guard;
use shared::ledger::{Applied, Refund, RefundNews, RefundState, SeenRefund};
use shared::order::Order;
use shared::stripe::{ListedRefund, NewRefund, Refunded, Refunds, Refusal};

use crate::{Context, RESEND_FOR, settle};

/// Sends or asks about what is due, so many at most; how many of them have moved.
///
/// # Errors
/// A reason, when something could not be reached.
pub async fn send_due(ctx: &Context, most: u32) -> Result<u64, String> {
    let mut moved = 0;
    for refund in ctx.ledger.due_refunds(most).await.map_err(|error| error.to_string())? {
        moved += u64::from(send(ctx, &refund).await?);
    }
    Ok(moved)
}

async fn send(ctx: &Context, refund: &Refund) -> Result<bool, String> {
    let (answer, key) = match (&refund.stripe_id, refund.state) {
        (Some(stripe_id), RefundState::Pending) => (ctx.stripe.retrieve_refund(stripe_id).await, None),
        _ => ask_for(ctx, refund).await?,
    };
    shared::crash::point("after_refund_answer");
    let answer = if is_overtaken(&answer) { when_overtaken(ctx, refund, answer).await? } else { answer };
    let news = |state, stripe_id| RefundNews { refund: refund.id, state, stripe_id, note: None, spent_key: None };
    let news = match answer {
        Refunded::Succeeded { refund, .. } => news(RefundState::Succeeded, Some(refund)),
        Refunded::Pending { refund, .. } => news(RefundState::Pending, Some(refund)),
        Refunded::Failed { refund, reason } => {
            RefundNews { note: Some(reason), ..news(RefundState::Failed, Some(refund)) }
        }
        // Money that came by mistake went back as a whole; a part that somebody asked for was not among what is gone.
        Refunded::Already if refund.is_of_a_mistake() => news(RefundState::Succeeded, None),
        Refunded::Already => RefundNews {
            note: Some("all of it had gone back on another way".into()),
            ..news(RefundState::Failed, None)
        },
        Refunded::NoBalance { reason } => {
            tracing::error!(order = %refund.order, reason, "the balance at Stripe is too small for a refund that is owed");
            RefundNews { spent_key: key, ..news(RefundState::Owed, None) }
        }
        Refunded::Refused { reason, kind: Refusal::Configuration } => {
            tracing::error!(reason, "Stripe refuses our key: no refund can work until it is mended");
            return Ok(false);
        }
        // What is pending exists; that it cannot be read says nothing about the money.
        Refunded::Refused { reason, .. } if refund.state == RefundState::Pending => {
            tracing::error!(order = %refund.order, reason, "Stripe does not tell of a refund that it has");
            news(RefundState::Owed, None)
        }
        Refunded::Refused { reason, .. } => {
            tracing::error!(order = %refund.order, reason, "Stripe refuses a refund that is owed");
            RefundNews { note: Some(reason), ..news(RefundState::Failed, None) }
        }
        Refunded::Throttled { .. } | Refunded::Unknown { .. } => news(RefundState::Owed, None),
    };
    record(ctx, refund, news).await
}

/// Whether there is less left of the payment than was to go back: somebody has given it back elsewhere.
fn is_overtaken(answer: &Refunded) -> bool {
    matches!(answer, Refunded::Already | Refunded::Refused { kind: Refusal::Request, .. })
}

/// Records by whom a refund was overtaken before it fails, so that no ticket is valid for a moment whose price has gone.
/// While that cannot be read, nothing is known.
async fn when_overtaken(ctx: &Context, refund: &Refund, answer: Refunded) -> Result<Refunded, String> {
    let order = ctx.ledger.order(refund.order).await.map_err(|error| error.to_string())?;
    let Some(order) = order else { return Ok(answer) };
    let read = read_all(ctx, &order, &refund.payment_intent).await;
    Ok(read.map_or_else(|reason| Refunded::Unknown { reason, replayed: false }, |()| answer))
}

/// Reads all refunds of an order's payment, records those that are news, and shows the order as it is then.
///
/// # Errors
/// A reason, when something could not be reached or read.
pub async fn read_all(ctx: &Context, order: &Order, payment_intent: &str) -> Result<(), String> {
    let listed = match ctx.stripe.refunds(payment_intent).await {
        Refunds::All(listed) => listed,
        Refunds::Unknown { reason } => return Err(reason),
    };
    let mut order = order.clone();
    // The oldest first, as they were made.
    for listed in listed.into_iter().rev() {
        let seen = seen(payment_intent, listed).ok_or("a refund in a currency that nobody knows")?;
        let (stripe_id, state) = (seen.stripe_id.clone(), seen.state.as_str());
        let applied = ctx.ledger.see_refund(order.id, seen).await.map_err(|error| error.to_string())?;
        let Applied::Order { order: now, changed, .. } = applied else { continue };
        if changed {
            tracing::info!(order = %now.id, refund = stripe_id, state, "refund, as Stripe lists it");
            metrics::counter!("refunds_total", "reason" => "listed", "state" => state).increment(1);
        }
        order = *now;
    }
    settle::show(ctx, &order).await
}

fn seen(payment_intent: &str, listed: ListedRefund) -> Option<SeenRefund> {
    let (state, note) = match listed.stands {
        Refunded::Succeeded { .. } => (RefundState::Succeeded, None),
        Refunded::Failed { reason, .. } => (RefundState::Failed, Some(reason)),
        _ => (RefundState::Pending, None),
    };
    Some(SeenRefund {
        payment_intent: payment_intent.to_owned(),
        stripe_id: listed.id,
        name: listed.name,
        amount: listed.amount,
        currency: listed.currency.parse().ok()?,
        state,
        note,
    })
}

/// Sends a refund under its key, unless that key can tell nothing any more; also the number of the key that answered.
async fn ask_for(ctx: &Context, refund: &Refund) -> Result<(Refunded, Option<u32>), String> {
    let forgotten = ctx.ledger.now().since(refund.created_at) > RESEND_FOR;
    if forgotten && let Some(answer) = found(ctx, refund).await {
        return Ok((answer, None));
    }
    let spent = refund.spent_keys;
    let Refund { payment_intent, amount, order, id: name, .. } = refund;
    let new = NewRefund { payment_intent, amount: *amount, order: *order, name: *name };
    let send = async |key: String| ctx.stripe.refund(new, &key).await;
    let answer = send(refund.idempotency_key()).await;
    if !matches!(answer, Refunded::Unknown { replayed: true, .. }) {
        return Ok((answer, Some(spent)));
    }
    if let Some(answer) = found(ctx, refund).await {
        return Ok((answer, None));
    }
    // It was not made: the next key is noted before it is used, so that a process which dies here loses none.
    let (id, state) = (refund.id, RefundState::Owed);
    let news = RefundNews { refund: id, state, stripe_id: None, note: None, spent_key: Some(spent) };
    ctx.ledger.record_refund(refund.order, news).await.map_err(|error| error.to_string())?;
    let next = Refund { spent_keys: spent + 1, ..refund.clone() };
    Ok((send(next.idempotency_key()).await, Some(next.spent_keys)))
}

/// What became of a refund that may have been made; `None` when it was not.
async fn found(ctx: &Context, refund: &Refund) -> Option<Refunded> {
    if !Guard::RefundLookedUp.is_on() {
        return None;
    }
    match ctx.stripe.refunds(&refund.payment_intent).await {
        Refunds::All(made) => made.into_iter().find(|made| made.name == Some(refund.id)).map(|made| made.stands),
        Refunds::Unknown { reason } => Some(Refunded::Unknown { reason, replayed: false }),
    }
}

async fn record(ctx: &Context, refund: &Refund, news: RefundNews) -> Result<bool, String> {
    let state = news.state;
    let applied = ctx.ledger.record_refund(refund.order, news).await.map_err(|error| error.to_string())?;
    let Applied::Order { order, changed: true, .. } = applied else { return Ok(false) };
    tracing::info!(order = %order.id, refund = %refund.id, state = state.as_str(), "refund");
    metrics::counter!("refunds_total", "reason" => refund.reason.clone(), "state" => state.as_str()).increment(1);
    settle::show(ctx, &order).await?;
    Ok(true)
}
