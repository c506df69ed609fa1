//! Accepting a purchase: the ledger's own guard against overselling, and the answer to every kind of repeat.

use uuid::Uuid;

use super::{Book, Line, Moment, buyers};
use crate::guards::Guard;
use crate::ledger::{Accept, Accepted, Claimed};
use crate::order::state::{self, Event, Facts, Verdict};
use crate::order::{Attempt, AttemptState, MOST_ATTEMPTS, Order, State, email_key, hosted};
use crate::sale::PricedItem;
use crate::stripe::request_of;

impl Book {
    /// Accepts a purchase, or the next attempt of a declined one.
    pub fn accept(&mut self, at: Moment<'_>, accept: &Accept) -> Accepted {
        match self.orders.get(&accept.order) {
            Some(order) => self.accept_again(at, accept, order.clone()),
            None => match self.refusal(at, accept) {
                Some(refusal) => refusal,
                None => self.accept_new(at, accept),
            },
        }
    }

    /// Why a new order cannot be accepted, if it cannot.
    fn refusal(&self, at: Moment<'_>, accept: &Accept) -> Option<Accepted> {
        let Some(epoch) = accept.epoch else { return Some(Accepted::NoHold) };
        let Some(page) = self.sales.get(&accept.sale) else { return Some(Accepted::Unknown) };
        if Guard::AcceptInTime.refuses(at.now > accept.accept_by) {
            return Some(Accepted::TooLate);
        }
        if Guard::Epoch.refuses(page.sale.epoch != epoch) {
            return Some(Accepted::WrongEpoch);
        }
        if page.sale.paused {
            return Some(Accepted::Paused);
        }
        if Guard::LedgerHold.refuses(self.holds.contains_key(&accept.hold)) {
            return Some(Accepted::Conflict);
        }
        if !is_a_basket(&accept.items) || accept.items.iter().any(|item| page.sale.tier(&item.tier).is_none()) {
            return Some(Accepted::Unknown);
        }
        if let Some(tier) = self.first_full_tier(&accept.sale, &accept.items) {
            return Some(Accepted::SoldOut { tier });
        }
        self.first_limit_reached(accept).map(|tier| Accepted::LimitReached { tier })
    }

    fn first_limit_reached(&self, accept: &Accept) -> Option<String> {
        let page = self.sales.get(&accept.sale)?;
        accept.items.iter().find_map(|item| {
            let most = page.sale.tier(&item.tier)?.max_per_customer?;
            let over = buyers(accept.customer, &accept.email).into_iter().any(|buyer| {
                let key = (accept.sale.clone(), item.tier.clone(), buyer);
                self.units.get(&key).copied().unwrap_or(0).saturating_add(item.quantity) > most
            });
            Guard::LedgerLimit.refuses(over).then(|| item.tier.clone())
        })
    }

    fn accept_new(&mut self, at: Moment<'_>, accept: &Accept) -> Accepted {
        let amount = accept.items.iter().map(|item| item.amount.saturating_mul(i64::from(item.quantity))).sum();
        let order = Order {
            id: accept.order,
            customer: accept.customer,
            sale: accept.sale.clone(),
            hold: accept.hold,
            items: accept.items.clone(),
            amount,
            currency: accept.currency,
            email: accept.email.clone(),
            email_key: email_key(&accept.email),
            name: accept.name.clone(),
            state: State::Accepted,
            version: 0,
            attempt: 1,
            queue_number: 0,
            payment_intent: None,
            charge: None,
            client_secret: None,
            session: None,
            session_url: None,
            decline: None,
            closing: None,
            review: None,
            expires_at: None,
            think_ms: accept.think_ms,
            accepted_at: at.now,
            updated_at: at.now,
            tickets: Vec::new(),
            refunded: 0,
            refunding: 0,
        };
        self.commit_units(&order, true);
        let order = self.put(at, order, None);
        self.put_attempt(owed(order.id, 1, &accept.token));
        self.audit(at, &order, Line::new("accepted", "buyer").attempt(1));
        Accepted::New(self.claimed_at_once(at, accept, order))
    }

    fn accept_again(&mut self, at: Moment<'_>, accept: &Accept, order: Order) -> Accepted {
        if Guard::SamePurchase.refuses(!is_the_same_purchase(accept, &order)) {
            return Accepted::Conflict;
        }
        if self.is_answered(accept, &order) || order.state == State::Paid {
            return Accepted::Replay(order);
        }
        match order.state {
            State::Expired | State::Canceled => return Accepted::Ended(order),
            State::Declined if order.attempt >= MOST_ATTEMPTS => return Accepted::NoAttemptsLeft(order),
            State::Declined if order.expires_at.is_some_and(|expires| expires <= at.now) => {
                return Accepted::Ended(order);
            }
            _ => {}
        }
        self.next_attempt(at, accept, order)
    }

    /// Whether this very call was answered before. One for Stripe's page names no token: it is a repeat for as long as
    /// the page of the current attempt is due or open.
    fn is_answered(&self, accept: &Accept, order: &Order) -> bool {
        if hosted::origin(&accept.token).is_some() {
            let current = self.attempts.get(&(order.id, order.attempt));
            return order.state != State::Declined && current.is_some_and(|attempt| attempt.return_to().is_some());
        }
        let mut attempts = self.attempts.range((order.id, 0)..=(order.id, u32::MAX));
        attempts.any(|(_, attempt)| Guard::TokenOnce.refuses(attempt.token == accept.token))
    }

    fn next_attempt(&mut self, at: Moment<'_>, accept: &Accept, mut order: Order) -> Accepted {
        let from = order.state;
        let facts = Facts { state: from, closing: order.closing, current_attempt: true, paid_by_another: false };
        let Verdict::Moves(to, _) = state::apply(facts, Event::NextAttempt) else { return Accepted::InProgress };
        order.state = to;
        order.attempt += 1;
        order.decline = None;
        order.expires_at = None;
        let order = self.put(at, order, Some(from));
        self.put_attempt(owed(order.id, order.attempt, &accept.token));
        self.audit(at, &order, Line::new("next_attempt", "buyer").attempt(order.attempt));
        Accepted::NextAttempt(self.claimed_at_once(at, accept, order))
    }

    /// The order, claimed for the worker that takes its job, if the line is short. A page at Stripe's is made by a worker,
    /// and its time runs from then.
    fn claimed_at_once(&mut self, at: Moment<'_>, accept: &Accept, order: Order) -> Order {
        let counters = self.sales.get(&order.sale).map(|page| page.counters);
        let line = counters.map_or(i64::MAX, |counters| counters.accepted - counters.finished);
        if line > i64::from(accept.short_line) || hosted::origin(&accept.token).is_some() {
            return order;
        }
        match self.claim_by(at, order.id, order.attempt, request_of, "buyer") {
            Claimed::Yes { order, .. } | Claimed::No(order) | Claimed::Unpreparable(order) => *order,
            Claimed::Unknown => order,
        }
    }
}

/// Each tier once: the guards look at each item alone.
fn is_a_basket(items: &[PricedItem]) -> bool {
    let twice = |(at, item): (usize, &PricedItem)| items[..at].iter().any(|other| other.tier == item.tier);
    !items.is_empty() && !items.iter().enumerate().any(twice)
}

fn owed(order: Uuid, number: u32, token: &str) -> Attempt {
    Attempt {
        order,
        number,
        token: hosted::origin(token).map_or_else(|| token.to_owned(), |origin| hosted::token(origin, number)),
        state: AttemptState::Owed,
        request: None,
        first_sent_at: None,
        payment_intent: None,
        note: None,
    }
}

/// Everything but the token must be as before. What the caller could not know any more, since the hold is gone, is
/// empty, and not compared.
fn is_the_same_purchase(accept: &Accept, order: &Order) -> bool {
    let units = |items: &[PricedItem]| {
        let mut units: Vec<(String, u32)> = items.iter().map(|i| (i.tier.clone(), i.quantity)).collect();
        units.sort();
        units
    };
    accept.customer == order.customer
        && accept.hold == order.hold
        && accept.email == order.email
        && accept.name == order.name
        && (accept.sale.is_empty() || accept.sale == order.sale)
        && (accept.items.is_empty() || units(&accept.items) == units(&order.items))
}
