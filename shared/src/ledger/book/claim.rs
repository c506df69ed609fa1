//! Claiming an attempt: the compare-and-set that lets one worker send, and the bytes that it will send.

use uuid::Uuid;

use super::{Book, Line, Moment};
use crate::guards::Guard;
use crate::ledger::{Claimed, Prepare};
use crate::order::state::{self, Event, Facts, Verdict};
use crate::order::{Attempt, AttemptState, Order, State};
use crate::stripe::StoredRequest;

impl Book {
    /// A worker takes an attempt.
    pub fn claim(&mut self, at: Moment<'_>, id: Uuid, number: u32, prepare: Prepare) -> Claimed {
        self.claim_by(at, id, number, prepare, "worker")
    }

    /// An attempt is taken, in the name of whoever asked for that.
    pub(super) fn claim_by(&mut self, at: Moment<'_>, id: Uuid, number: u32, prepare: Prepare, by: &str) -> Claimed {
        let Some(order) = self.orders.get(&id).cloned() else { return Claimed::Unknown };
        let attempt = self.attempts.get(&(id, number));
        if let Some(taken) = taken_before(&order, attempt, number, prepare) {
            return taken;
        }
        match (state::apply(facts(&order, number), Event::Claimed), attempt.cloned()) {
            // What was sent before a person looked is sent again as it was: its key goes with those bytes, and Stripe
            // forgets the key by the first sending.
            (Verdict::Moves(to, _), Some(mut attempt)) => match self.prepared(at, &order, &mut attempt, prepare) {
                Ok(request) => {
                    attempt.state = AttemptState::Sent;
                    attempt.request = Some(request);
                    self.put_attempt(attempt.clone());
                    let order = self.moved(at, order, to);
                    self.audit(at, &order, Line::new("charging", by).attempt(number));
                    Claimed::Yes { order: Box::new(order), attempt: Box::new(attempt), first: true }
                }
                Err(reason) => {
                    attempt.first_sent_at = None;
                    attempt.state = AttemptState::Stuck;
                    attempt.note = Some(reason.clone());
                    self.put_attempt(attempt);
                    let mut order = order;
                    order.review = Some(reason.clone());
                    let order = self.moved(at, order, State::Review);
                    self.audit(at, &order, Line::new("review", by).attempt(number).note(reason));
                    Claimed::Unpreparable(Box::new(order))
                }
            },
            _ => Claimed::No(Box::new(order)),
        }
    }

    /// The bytes of an attempt: those it has, or new ones, which may say when they are first sent.
    fn prepared(
        &self,
        at: Moment<'_>,
        order: &Order,
        attempt: &mut Attempt,
        prepare: Prepare,
    ) -> Result<StoredRequest, String> {
        attempt.first_sent_at = attempt.first_sent_at.or(Some(at.now));
        let sale = self.sales.get(&order.sale).map(|page| &page.sale);
        attempt.request.take().map_or_else(|| prepare(order, attempt, sale), Ok)
    }

    fn moved(&mut self, at: Moment<'_>, mut order: Order, to: State) -> Order {
        let from = order.state;
        order.state = to;
        self.put(at, order, Some(from))
    }
}

fn facts(order: &Order, number: u32) -> Facts {
    Facts {
        state: order.state,
        closing: order.closing,
        current_attempt: Guard::ClaimByAttempt.holds(order.attempt == number),
        paid_by_another: false,
    }
}

/// An attempt that was taken before, when it was accepted or by a worker that did not come back: the same bytes go out.
pub fn taken_before(order: &Order, attempt: Option<&Attempt>, number: u32, prepare: Prepare) -> Option<Claimed> {
    let is_sent = |attempt: &&Attempt| attempt.state == AttemptState::Sent && attempt.request.is_some();
    let mut attempt = attempt.filter(is_sent)?.clone();
    if state::apply(facts(order, number), Event::Claimed) != Verdict::Stays {
        return None;
    }
    if !Guard::StoredBytes.is_on() {
        attempt.request = prepare(order, &attempt, None).ok();
    }
    Some(Claimed::Yes { order: Box::new(order.clone()), attempt: Box::new(attempt), first: false })
}
