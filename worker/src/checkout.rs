//! Stripe's own payment page (hosted Checkout): made, read, and ended.
//!
//! **One live payable per order.** What an earlier attempt could still be paid by is canceled at Stripe before a page is
//! made, and a page is proved dead before another attempt begins: only [`Answer::SessionExpired`] says so.

use shared::guards::Guard;
use shared::order::{Attempt, Order, Outcome, State};
use shared::queue::Finish;
use shared::queue::worker::JobInfo;
use shared::stripe::{Answer, Found, Refusal, StoredRequest, idempotency_key};

use crate::create_charge::{LOOK_UP_WINDOW, Step, conclude, not_charged, step, succeeded, weight};
use crate::{Context, RESEND_FOR, cancel_key, later};

/// A request for a page that is refused so long after its first sending is refused for its age: the time until which it
/// asks the page to be open is too near.
const STALE_AFTER: std::time::Duration = std::time::Duration::from_secs(20 * 60);

/// What a buyer can pay by, as Stripe names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payable<'a> {
    /// A PaymentIntent (`pi_…`), paid on our page.
    Intent(&'a str),
    /// A Checkout Session (`cs_…`), paid on Stripe's.
    Session(&'a str),
}

impl<'a> Payable<'a> {
    /// What an order can be paid by now.
    pub(crate) fn of(order: &'a Order) -> Option<Self> {
        let session = order.session.as_deref().map(Payable::Session);
        session.or(order.payment_intent.as_deref().map(Payable::Intent))
    }

    /// Asks Stripe what it has become.
    pub(crate) async fn read(self, ctx: &Context) -> Answer {
        match self {
            Self::Intent(payment_intent) => ctx.stripe.retrieve(payment_intent).await,
            Self::Session(session) => ctx.stripe.retrieve_session(session).await,
        }
    }
}

/// Makes the page of a claimed attempt, after what could be paid before was ended.
pub(crate) async fn open(
    ctx: &Context,
    info: JobInfo,
    order: &Order,
    attempt: &Attempt,
    request: &StoredRequest,
) -> Result<Outcome, Finish> {
    if let Some(payment_intent) = order.payment_intent.as_ref().filter(|_| Guard::OneLivePayable.is_on()) {
        match ctx.stripe.cancel(payment_intent, &cancel_key(ctx, payment_intent)).await {
            Answer::Canceled { .. } => {}
            Answer::Succeeded(payment) => return Ok(succeeded(order, payment)),
            other => {
                let reason = format!("what was tried before is {}, not ended", other.as_str());
                return Err(later(ctx, info, reason));
            }
        }
    }
    let answer = ctx.stripe.send(request, &idempotency_key(order.id, attempt.number)).await;
    shared::crash::point("after_stripe_answer");
    let first_sent = attempt.first_sent_at.unwrap_or(order.accepted_at);
    let is_stale = ctx.ledger.now().since(first_sent) > STALE_AFTER;
    match answer {
        Answer::Refused { kind: Refusal::Request, .. } if is_stale => look_up(ctx, info, order, attempt).await,
        answer => match step(order, answer) {
            Step::LookUp => look_up(ctx, info, order, attempt).await,
            step => conclude(ctx, info, order, step).await,
        },
    }
}

/// Asks Stripe what became of an attempt's page, by its id, or else among all of the time.
pub(crate) async fn look_up(ctx: &Context, info: JobInfo, order: &Order, attempt: &Attempt) -> Result<Outcome, Finish> {
    if let Some(session) = &order.session {
        return conclude(ctx, info, order, step(order, ctx.stripe.retrieve_session(session).await)).await;
    }
    let first_sent = attempt.first_sent_at.unwrap_or(order.accepted_at);
    let (from, to) = (first_sent.minus(LOOK_UP_WINDOW), first_sent.plus(RESEND_FOR));
    match ctx.stripe.find_session(order.id, attempt.number, from, to).await {
        Found::Unknown { reason } => Err(later(ctx, info, reason)),
        Found::None => Ok(Outcome::Declined { payment_intent: None, decline: not_charged() }),
        Found::Intents(sessions) => match sessions.into_iter().map(|(_, answer)| answer).min_by_key(weight) {
            Some(answer) => conclude(ctx, info, order, step(order, answer)).await,
            None => Err(later(ctx, info, "an empty list of pages")),
        },
    }
}

/// Ends an order's page; `None` when Stripe has not said yet what has become of it.
pub(crate) async fn end(ctx: &Context, order: &Order, session: &str) -> Option<Outcome> {
    match ctx.stripe.expire_session(session, &cancel_key(ctx, session)).await {
        Answer::SessionExpired { .. } => Some(Outcome::Canceled { payment_intent: None }),
        _ if !Guard::PagesEnd.is_on() => Some(Outcome::Canceled { payment_intent: None }),
        Answer::Succeeded(payment) => Some(succeeded(order, payment)),
        Answer::Processing { payment_intent } => Some(Outcome::Processing { payment_intent }),
        other => {
            tracing::warn!(order = %order.id, answer = other.as_str(), "its page is not ended yet");
            None
        }
    }
}

/// Whether an order's current attempt waits for its buyer, and by what it can be paid.
pub(crate) fn waits(order: &Order, attempt: u32) -> Option<Payable<'_>> {
    let is_current = order.state == State::RequiresAction && order.attempt == attempt;
    Payable::of(order).filter(|_| is_current)
}
