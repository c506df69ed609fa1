//! Stripe's own payment page (hosted Checkout): made, read, and ended.
//!
//! **One live payable per order.** What an earlier attempt could still be paid by is canceled at Stripe before a page is
//! made, and a page is proved dead before another attempt begins: only [`Answer::SessionExpired`] says so.

use shared::guards::Guard;
use shared::order::{Attempt, Order, Outcome};
use shared::queue::Finish;
use shared::queue::worker::JobInfo;
use shared::stripe::{Answer, Refusal, StoredRequest};

use crate::create_charge::{LOOK_UP_WINDOW, conclude, send};
use crate::decide::{Payable, Step, ended, found, step, succeeded};
use crate::{Context, RESEND_FOR, cancel_key, later};

/// A request for a page that is refused so long after its first sending is refused for its age: the time until which it
/// asks the page to be open is too near.
const STALE_AFTER: std::time::Duration = std::time::Duration::from_secs(20 * 60);

impl Payable<'_> {
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
    let answer = send(ctx, info, order, attempt, request).await?;
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
    let sessions = ctx.stripe.find_session(order.id, attempt.number, from, to).await;
    conclude(ctx, info, order, found(order, sessions)).await
}

/// Ends an order's page; `None` when Stripe has not said yet what has become of it.
pub(crate) async fn end(ctx: &Context, order: &Order, session: &str) -> Option<Outcome> {
    let answer = ctx.stripe.expire_session(session, &cancel_key(ctx, session)).await;
    ended(order, Payable::Session(session), answer)
}
