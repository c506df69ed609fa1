//! Refunds: what may be given back on request, and what the news of one entails, whoever made it.
//!
//! What an order says of them, `refunded`, `refunding` and its tickets, follows from the rows of its refunds and is
//! derived anew with each change: a refund that was made in Stripe's dashboard is a fact, and may have overtaken wishes
//! of ours that will now be refused.
//!
//! Whoever asks for tickets' money has those tickets void from that moment: between the request and Stripe's word
//! nobody shall get in on a ticket whose price is on its way back. A refund that fails makes them valid again. Units
//! come back to the stock the other way round, only when the money has gone for good: a unit that was sold again could
//! not be given back to its first buyer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::settle::applied;
use super::{Book, Line, Moment};
use crate::env::Timestamp;
use crate::guards::Guard;
use crate::ledger::records::{
    ELSEWHERE, REQUESTED, Refund, RefundNews, RefundRequest, RefundState, RefundWhat, SeenRefund,
};
use crate::ledger::{Applied, RefundAsked};
use crate::order::{Order, State, Ticket};
use uuid::Uuid;

/// A refund is asked about again after an eighth of its age: soon at first, and not a thousand times when Stripe waits
/// for money for days.
const PATIENCE: u32 = 8;
/// Nor sooner than this after an answer that is none, and after one that says to wait.
const SOONEST_UNANSWERED: Duration = Duration::from_secs(1);
const SOONEST_PENDING: Duration = Duration::from_secs(3);
/// But by then at the latest.
const LATEST: Duration = Duration::from_secs(600);

/// What a refund takes.
struct Share {
    amount: i64,
    tickets: Vec<Uuid>,
}

impl Book {
    /// Owes a buyer money.
    pub fn request_refund(&mut self, at: Moment<'_>, asked: &RefundRequest) -> RefundAsked {
        let is_it = |refund: &&Refund| Guard::RefundRequestOnce.refuses(refund.request == Some(asked.request));
        let known = self.refunds.values().find(is_it).cloned();
        let order = self.orders.get(&asked.order).cloned();
        match (known, order) {
            (Some(refund), Some(order)) if is_the_same(&refund, asked) => {
                RefundAsked::Replay { order: Box::new(order), refund: Box::new(refund) }
            }
            (Some(_), _) => RefundAsked::Conflict,
            (None, None) => RefundAsked::Unknown,
            (None, Some(order)) => match share(&order, &asked.what) {
                Ok((share, payment_intent)) => self.owe_refund(at, order, asked, share, payment_intent),
                Err(refusal) => refusal,
            },
        }
    }

    fn owe_refund(
        &mut self,
        at: Moment<'_>,
        mut order: Order,
        asked: &RefundRequest,
        share: Share,
        payment_intent: String,
    ) -> RefundAsked {
        let refund = Refund {
            id: at.env.uuid_v7(),
            order: order.id,
            payment_intent,
            amount: share.amount,
            currency: order.currency,
            reason: REQUESTED.to_owned(),
            request: Some(asked.request),
            asked: asked.what.to_string(),
            note: asked.note.clone(),
            restock: asked.restock,
            spent_keys: 0,
            ask_at: at.now,
            state: RefundState::Owed,
            stripe_id: None,
            created_at: at.now,
        };
        self.put_refund(refund.clone());
        self.void(&mut order, refund.id, |ticket| share.tickets.contains(&ticket.id));
        self.derive(&mut order, refund.id);
        let order = self.put(at, order, Some(State::Paid));
        let mut note = what_goes(&order, &refund);
        if let Some(reason) = &refund.note {
            note = format!("{note}: {reason}");
        }
        self.audit(at, &order, Line::new("refund_requested", &asked.by).note(note));
        RefundAsked::New { order: Box::new(order), refund: Box::new(refund) }
    }

    /// Records what was learned of a refund.
    pub fn record_refund(&mut self, at: Moment<'_>, id: Uuid, news: &RefundNews) -> Applied {
        let Some(order) = self.orders.get(&id).cloned() else { return Applied::Unknown };
        let known = self.refunds.get(&news.refund).filter(|refund| refund.order == id).cloned();
        let Some(mut refund) = known else { return Applied::Refused(Box::new(order)) };
        let was = refund.state;
        let taken =
            |other: &Refund| other.id != refund.id && other.stripe_id.is_some() && other.stripe_id == news.stripe_id;
        if self.refunds.values().any(taken) {
            // Stripe lost our name for it, and it was taken for one that was made elsewhere: it is counted there.
            let note = Some("known as another refund".to_owned());
            let news = RefundNews { state: RefundState::Failed, stripe_id: None, note, ..news.clone() };
            return self.record_refund(at, id, &news);
        }
        // A request that was refused came to nothing by itself; what another one has moved is not undone by that.
        let of_another = refund.stripe_id.is_some() && news.stripe_id != refund.stripe_id;
        let to = match (was, news.state) {
            (_, RefundState::Failed) if Guard::RefundOfAnother.refuses(of_another) => return applied(order, false),
            (RefundState::Owed, to) => to,
            (RefundState::Pending, RefundState::Owed) => RefundState::Pending,
            (RefundState::Pending, to) => to,
            // A bank may return the money of a refund that looked done: https://docs.stripe.com/refunds#failed-refunds
            (RefundState::Succeeded, RefundState::Failed) => RefundState::Failed,
            (RefundState::Succeeded | RefundState::Failed, _) => return applied(order, false),
        };
        refund.state = to;
        refund.stripe_id = news.stripe_id.clone().or(refund.stripe_id);
        let spends_key = news.spent_key == Some(refund.spent_keys);
        refund.spent_keys += u32::from(spends_key);
        refund.ask_at = next_look(&refund, at.now, spends_key);
        self.put_refund(refund.clone());
        if was == to {
            return applied(order, false);
        }
        let order = self.moved_money(at, order, &refund, was);
        let what = match to {
            RefundState::Owed => "refund_owed",
            RefundState::Pending => "refund_pending",
            RefundState::Succeeded => "refund_succeeded",
            RefundState::Failed => "refund_failed",
        };
        let note = news.note.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let line = Line::new(what, "worker").note(format!("{} {}{note}", refund.amount, refund.currency));
        self.audit(at, &order, line);
        applied(order, true)
    }

    /// Records a refund as Stripe lists it.
    pub fn see_refund(&mut self, at: Moment<'_>, id: Uuid, seen: &SeenRefund) -> Applied {
        let Some(order) = self.orders.get(&id).cloned() else { return Applied::Unknown };
        let of_it = |refund: &&Refund| refund.order == id && refund.payment_intent == seen.payment_intent;
        let of_it: Vec<&Refund> = self.refunds.values().filter(of_it).collect();
        if order.payment_intent.as_ref() != Some(&seen.payment_intent) && of_it.is_empty() {
            return Applied::Refused(Box::new(order));
        }
        let Some(known) = known_as(&of_it, seen) else { return self.made_elsewhere(at, order, seen) };
        let (stripe_id, note) = (Some(seen.stripe_id.clone()), seen.note.clone());
        self.record_refund(at, id, &RefundNews { refund: known, state: seen.state, stripe_id, note, spent_key: None })
    }

    fn made_elsewhere(&mut self, at: Moment<'_>, order: Order, seen: &SeenRefund) -> Applied {
        let mut refund = Refund {
            id: at.env.uuid_v7(),
            order: order.id,
            payment_intent: seen.payment_intent.clone(),
            amount: seen.amount,
            currency: seen.currency,
            reason: ELSEWHERE.to_owned(),
            request: None,
            asked: String::new(),
            note: seen.note.clone(),
            restock: false,
            spent_keys: 0,
            ask_at: at.now,
            state: seen.state,
            stripe_id: Some(seen.stripe_id.clone()),
            created_at: at.now,
        };
        refund.ask_at = next_look(&refund, at.now, false);
        self.put_refund(refund.clone());
        let order = self.moved_money(at, order, &refund, RefundState::Owed);
        let note = format!("{}, {}", what_goes(&order, &refund), refund.state.as_str());
        self.audit(at, &order, Line::new("refund_elsewhere", "worker").note(note));
        applied(order, true)
    }

    /// What the new state of a refund means for its order, if it takes of what that was paid.
    fn moved_money(&mut self, at: Moment<'_>, mut order: Order, refund: &Refund, was: RefundState) -> Order {
        if order.state != State::Paid || !refund.takes_of(&order) {
            return order;
        }
        let before = order.clone();
        match refund.state {
            RefundState::Owed | RefundState::Pending => {}
            RefundState::Succeeded => {
                self.owe(at, &order, "mail.refunded");
                if refund.restock {
                    self.restock(&order, refund.id);
                }
            }
            // Units that are for sale again may have another owner by now.
            RefundState::Failed if refund.restock && was == RefundState::Succeeded => {}
            RefundState::Failed => self.make_valid(&mut order, refund.id),
        }
        self.derive(&mut order, refund.id);
        if order == before { order } else { self.put(at, order, Some(State::Paid)) }
    }

    /// Derives from the refunds of an order what has gone back, and what is on its way; and if that is all, its last
    /// tickets are void, by the refund that came last or by another that stands: nobody gets in on an order that was
    /// given back as a whole.
    fn derive(&mut self, order: &mut Order, last: Uuid) {
        let standing: Vec<&Refund> = self
            .refunds
            .values()
            .filter(|refund| refund.takes_of(order) && refund.state != RefundState::Failed)
            .collect();
        let sum = |gone: bool| -> i64 {
            let of_these = standing.iter().filter(|refund| (refund.state == RefundState::Succeeded) == gone);
            of_these.map(|refund| refund.amount).fold(0, i64::saturating_add)
        };
        order.refunded = sum(true).min(order.amount);
        // Wishes that were overtaken elsewhere cannot all come true.
        order.refunding = sum(false).min(order.amount - order.refunded);
        let void_by = standing.iter().find(|refund| refund.id == last).or(standing.last()).map(|refund| refund.id);
        if let Some(refund) = void_by
            && Guard::WholeOrderVoid.refuses(order.refundable() == 0)
        {
            self.void(order, refund, |_| true);
        }
    }

    fn void(&mut self, order: &mut Order, refund: Uuid, which: impl Fn(&Ticket) -> bool) {
        let valid = |ticket: &&mut Ticket| ticket.voided_by.is_none() && which(ticket);
        for ticket in order.tickets.iter_mut().filter(valid) {
            ticket.voided_by = Some(refund);
            self.changes.voided.insert(ticket.id, ticket.voided_by);
        }
    }

    fn make_valid(&mut self, order: &mut Order, refund: Uuid) {
        for ticket in order.tickets.iter_mut().filter(|ticket| ticket.voided_by == Some(refund)) {
            ticket.voided_by = None;
            self.changes.voided.insert(ticket.id, None);
        }
    }

    /// The units of a refund's tickets can be sold again. The limit per customer still counts them: it is about what
    /// somebody bought.
    fn restock(&mut self, order: &Order, refund: Uuid) {
        let mut units: BTreeMap<&str, u32> = BTreeMap::new();
        for ticket in order.tickets.iter().filter(|ticket| ticket.voided_by == Some(refund)) {
            *units.entry(&ticket.tier).or_default() += 1;
        }
        let Some(page) = self.sales.get_mut(&order.sale) else { return };
        for (tier, units) in units {
            let key = (order.sale.clone(), tier.to_owned());
            let committed = page.committed.entry(tier.to_owned()).or_default();
            *committed = committed.saturating_sub(units);
            *page.returned.entry(tier.to_owned()).or_default() += units;
            *self.changes.committed.entry(key.clone()).or_default() -= i64::from(units);
            *self.changes.returned.entry(key).or_default() += units;
        }
    }

    pub(super) fn put_refund(&mut self, refund: Refund) {
        let id = refund.id;
        let new = self.refunds.insert(id, refund).is_none();
        self.changes.refunds.entry(id).or_insert(new);
    }
}

/// What a request takes of an order, and from which payment; or why it cannot.
fn share(order: &Order, what: &RefundWhat) -> Result<(Share, String), RefundAsked> {
    let payment_intent = match &order.payment_intent {
        _ if order.state != State::Paid => return Err(RefundAsked::NotPaid(Box::new(order.clone()))),
        // It cost nothing.
        None => return Err(RefundAsked::TooMuch { left: 0 }),
        Some(payment_intent) => payment_intent.clone(),
    };
    let left = order.refundable();
    let share = match what {
        RefundWhat::All if left == 0 => return Err(RefundAsked::TooMuch { left }),
        RefundWhat::All => Share { amount: left, tickets: Vec::new() },
        RefundWhat::Amount(amount) => Share { amount: *amount, tickets: Vec::new() },
        RefundWhat::Tickets(tickets) => price_of(order, tickets)?,
    };
    if share.amount <= 0 {
        return Err(RefundAsked::NotPositive);
    }
    if Guard::RefundSum.refuses(share.amount > left) {
        return Err(RefundAsked::TooMuch { left });
    }
    Ok((share, payment_intent))
}

fn price_of(order: &Order, tickets: &[Uuid]) -> Result<Share, RefundAsked> {
    let mut share = Share { amount: 0, tickets: tickets.to_vec() };
    share.tickets.sort_unstable();
    share.tickets.dedup();
    for id in &share.tickets {
        let ticket = order.tickets.iter().find(|ticket| ticket.id == *id).ok_or(RefundAsked::UnknownTicket(*id))?;
        if Guard::TicketOnce.refuses(ticket.voided_by.is_some()) {
            return Err(RefundAsked::VoidTicket(*id));
        }
        let item = order.items.iter().find(|item| item.tier == ticket.tier);
        share.amount = share.amount.saturating_add(item.map_or(0, |item| item.amount));
    }
    Ok(share)
}

/// Which of our refunds of a payment Stripe lists here: by Stripe's id; by our name; or, of money that came by mistake
/// and was not given back by us, the one that somebody was faster with.
fn known_as(of_the_payment: &[&Refund], seen: &SeenRefund) -> Option<Uuid> {
    // What failed without an id was never made.
    let never = |refund: &Refund| refund.state == RefundState::Failed;
    let unnamed = || of_the_payment.iter().filter(|refund| refund.stripe_id.is_none() && !never(refund));
    let overtaken = |refund: &&&Refund| {
        seen.state != RefundState::Failed && refund.is_of_a_mistake() && refund.amount == seen.amount
    };
    let by_id = of_the_payment.iter().find(|refund| refund.stripe_id.as_ref() == Some(&seen.stripe_id));
    let known = by_id.or_else(|| unnamed().find(|refund| Some(refund.id) == seen.name));
    known.or_else(|| unnamed().find(overtaken)).map(|refund| refund.id).filter(|_| Guard::RefundKnown.is_on())
}

/// A refund in the words of the audit trail.
fn what_goes(order: &Order, refund: &Refund) -> String {
    let voided = order.tickets.iter().filter(|ticket| ticket.voided_by == Some(refund.id)).count();
    format!("{} {}, {voided} tickets void", refund.amount, refund.currency)
}

fn is_the_same(refund: &Refund, asked: &RefundRequest) -> bool {
    refund.order == asked.order
        && refund.asked == asked.what.to_string()
        && refund.note == asked.note
        && refund.restock == asked.restock
}

/// When Stripe is asked next.
fn next_look(refund: &Refund, now: Timestamp, at_once: bool) -> Timestamp {
    let soonest = match refund.state {
        RefundState::Owed if at_once => return now,
        RefundState::Owed => SOONEST_UNANSWERED,
        RefundState::Pending => SOONEST_PENDING,
        RefundState::Succeeded | RefundState::Failed => return refund.ask_at,
    };
    let age = now.since(refund.created_at);
    now.plus((age / PATIENCE).clamp(soonest, LATEST))
}
