//! Settling: what an outcome, a deadline or a person does to an order, in one step with everything it entails.

use std::time::Duration;

use uuid::Uuid;

use super::{Book, Line, Moment};
use crate::decline::Decline;
use crate::guards::Guard;
use crate::ledger::records::{OutboxEntry, Refund, RefundState};
use crate::ledger::{Applied, Change, Taken, Word};
use crate::order::state::{self, Duty, Event, Facts, Verdict};
use crate::order::{AttemptState, Closing, MOST_ATTEMPTS, Order, Outcome, State, Ticket};
use crate::sale::LatePolicy;

/// Letters and digits that are not taken for one another when read out (Crockford's base 32).
const CODE_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Book {
    /// Applies a change to an order.
    pub fn apply(&mut self, at: Moment<'_>, id: Uuid, change: &Change) -> Applied {
        let Some(order) = self.orders.get(&id).cloned() else { return Applied::Unknown };
        if Guard::EarlierPayable.refuses(self.ends_another_payable(&order, change)) {
            return applied(order, false);
        }
        let facts = facts(&order, change);
        let event = event(&order, change);
        let noted = self.note_attempt(&order, change);
        match state::apply(facts, event) {
            Verdict::Refused => Applied::Refused(Box::new(order)),
            Verdict::Stays => {
                if noted {
                    self.audit(at, &order, line(change).note("changes nothing"));
                }
                applied(order, false)
            }
            Verdict::Closes(closing) => applied(self.close(at, order, closing, change), true),
            Verdict::PaidLate => self.paid_late(at, order, change),
            Verdict::PaidTwice => self.give_back(at, order, change, "paid_twice"),
            Verdict::Moves(to, duty) => {
                let order = self.moves(at, order, change, to, duty);
                applied(self.give_back_taken(at, order, change), true)
            }
        }
    }

    /// A person calls an order off of which Stripe has taken another sum: that goes back, once.
    fn give_back_taken(&mut self, at: Moment<'_>, order: Order, change: &Change) -> Order {
        let Change::Rejected { word, taken: Some(taken) } = change else { return order };
        let Taken { payment_intent, amount, currency } = taken;
        if self.refunds.values().any(|refund| Guard::MistakeOnce.refuses(refund.payment_intent == *payment_intent)) {
            return order;
        }
        self.put_refund(Refund {
            id: at.env.uuid_v7(),
            order: order.id,
            payment_intent: payment_intent.clone(),
            amount: *amount,
            currency: *currency,
            reason: "amount_differs".to_owned(),
            request: None,
            asked: String::new(),
            note: word.why.clone(),
            restock: false,
            spent_keys: 0,
            ask_at: at.now,
            state: RefundState::Owed,
            stripe_id: None,
            created_at: at.now,
        });
        self.owe(at, &order, "mail.refunded");
        self.audit(
            at,
            &order,
            Line::new("amount_differs", &word.by).note(format!("{amount} {currency}: to be refunded")),
        );
        order
    }

    /// Whether an outcome says that a payment has come to nothing which is not what the order can be paid by now: an
    /// earlier one, that was ended before Stripe's page was made or another payment tried. Whoever tells of it may have
    /// read the order before that; here it is read with what else is known.
    fn ends_another_payable(&self, order: &Order, change: &Change) -> bool {
        let Change::Observed { outcome, .. } = change else { return false };
        let (Outcome::Declined { payment_intent: Some(named), .. } | Outcome::Canceled { payment_intent: Some(named) }) =
            outcome
        else {
            return false;
        };
        let attempt = self.attempts.get(&(order.id, order.attempt));
        let page_is_being_made =
            order.state == State::Charging && attempt.is_some_and(|attempt| attempt.return_to().is_some());
        order.session.is_some()
            || page_is_being_made
            || order.payment_intent.as_ref().is_some_and(|payable| payable != named)
    }

    fn moves(&mut self, at: Moment<'_>, mut order: Order, change: &Change, to: State, duty: Duty) -> Order {
        let from = order.state;
        order.state = to;
        order.closing = None;
        order.expires_at = None;
        order.client_secret = None;
        order.session_url = None;
        order.decline = None;
        order.review = None;
        observe(&mut order, change);
        match duty {
            Duty::GiveTime if to == State::RequiresAction => {
                let at_stripe = order.session_url.is_some();
                let time = if at_stripe { self.terms.hosted } else { self.terms.authenticate };
                order.expires_at = Some(at.now.plus(time));
            }
            Duty::GiveTime => order.expires_at = Some(self.deadline(at, &order)),
            Duty::Release => self.commit_units(&order, false),
            Duty::Issue => self.issue(at, &mut order),
            Duty::Charge => self.owe_again(&order),
            Duty::Alarm | Duty::None => {}
        }
        let order = self.put(at, order, Some(from));
        let mut entry = line(change);
        entry.what = to.as_str();
        self.audit(at, &order, entry);
        order
    }

    fn close(&mut self, at: Moment<'_>, mut order: Order, closing: Closing, change: &Change) -> Order {
        let from = order.state;
        order.state = State::Closing;
        order.closing = Some(closing);
        order.expires_at = None;
        order.client_secret = None;
        order.session_url = None;
        let order = self.put(at, order, Some(from));
        self.audit(at, &order, line(change));
        order
    }

    /// Money came for an order that had ended. Its units were given up; if the ledger still has as many, and the sale's
    /// policy allows it, the order is fulfilled after all, else the money goes back, and the order keeps the charge's id, so that its buyer is told.
    /// What was decided once stays so, whatever becomes free later.
    fn paid_late(&mut self, at: Moment<'_>, mut order: Order, change: &Change) -> Applied {
        let policy = self.sales.get(&order.sale).map_or_else(LatePolicy::default, |page| page.sale.late);
        let is_full = || self.first_full_tier(&order.sale, &order.items).is_some();
        if self.goes_back(change) || Guard::LatePolicy.refuses(policy == LatePolicy::Refund) || is_full() {
            if let Change::Observed { outcome: Outcome::Succeeded { charge, .. }, .. } = change {
                order.charge = order.charge.or_else(|| charge.clone());
            }
            return self.give_back(at, order, change, "paid_late");
        }
        self.commit_units(&order, true);
        let order = self.moves(at, order, change, State::Paid, Duty::Issue);
        self.audit(at, &order, Line::new("paid_late", "worker").note("units were free: fulfilled"));
        applied(order, true)
    }

    fn give_back(&mut self, at: Moment<'_>, order: Order, change: &Change, reason: &str) -> Applied {
        let Change::Observed {
            outcome: Outcome::Succeeded { payment_intent: Some(payment_intent), amount, currency, .. },
            ..
        } = change
        else {
            return applied(order, false);
        };
        if self.goes_back(change) {
            return applied(order, false);
        }
        let refund = Refund {
            id: at.env.uuid_v7(),
            order: order.id,
            payment_intent: payment_intent.clone(),
            amount: *amount,
            currency: *currency,
            reason: reason.to_owned(),
            request: None,
            asked: String::new(),
            note: None,
            restock: false,
            spent_keys: 0,
            ask_at: at.now,
            state: RefundState::Owed,
            stripe_id: None,
            created_at: at.now,
        };
        self.put_refund(refund);
        self.owe(at, &order, "mail.refunded");
        let from = order.state;
        let order = self.put(at, order, Some(from));
        self.audit(at, &order, line(change).note(format!("{reason}: to be refunded")));
        applied(order, true)
    }

    /// Whether the money that was observed is already owed back.
    fn goes_back(&self, change: &Change) -> bool {
        let Change::Observed { outcome: Outcome::Succeeded { payment_intent: Some(observed), .. }, .. } = change else {
            return false;
        };
        self.refunds.values().any(|refund| Guard::MistakeOnce.refuses(refund.payment_intent == *observed))
    }

    /// Keeps on the attempt what was seen of it; `false` when that was known.
    fn note_attempt(&mut self, order: &Order, change: &Change) -> bool {
        let Change::Observed { attempt: number, outcome } = change else { return false };
        let Some(mut attempt) = self.attempts.get(&(order.id, *number)).cloned() else { return false };
        let before = attempt.clone();
        let (state, payment_intent, note) = match outcome {
            Outcome::Succeeded { payment_intent, .. } => (AttemptState::Succeeded, payment_intent.clone(), None),
            Outcome::RequiresAction { payment_intent, .. } => {
                (AttemptState::Waiting, Some(payment_intent.clone()), Some("requires_action".to_owned()))
            }
            Outcome::Hosted { .. } => (AttemptState::Waiting, None, Some("on Stripe's page".to_owned())),
            Outcome::Processing { payment_intent } => {
                (AttemptState::Waiting, Some(payment_intent.clone()), Some("processing".to_owned()))
            }
            Outcome::Declined { payment_intent, decline } => {
                (AttemptState::Failed, payment_intent.clone(), Some(decline.audit_note()))
            }
            Outcome::Canceled { payment_intent } => {
                (AttemptState::Failed, payment_intent.clone(), Some("canceled".to_owned()))
            }
            Outcome::Stuck { reason } => (AttemptState::Stuck, None, Some(reason.clone())),
        };
        // What is known for good is not unlearned by a late message.
        if before.state == AttemptState::Succeeded
            || (before.state == AttemptState::Failed && state != AttemptState::Succeeded)
        {
            return false;
        }
        attempt.state = state;
        attempt.payment_intent = payment_intent.or(attempt.payment_intent);
        attempt.note = note.or(attempt.note);
        if attempt == before {
            return false;
        }
        self.put_attempt(attempt);
        true
    }

    /// A person decided to charge after all: the current attempt is sent again, with its key and its bytes.
    fn owe_again(&mut self, order: &Order) {
        if let Some(mut attempt) = self.attempts.get(&(order.id, order.attempt)).cloned() {
            attempt.state = AttemptState::Owed;
            self.put_attempt(attempt);
        }
    }

    /// Until when the buyer may try again: two minutes at least, however long the order waited for its turn, since that
    /// was our time and not theirs; and thinking time that was left, within a bound for the whole order. At once, when no
    /// attempt is left.
    fn deadline(&self, at: Moment<'_>, order: &Order) -> crate::env::Timestamp {
        if order.attempt >= MOST_ATTEMPTS {
            return at.now;
        }
        let think = Duration::from_millis(u64::try_from(order.think_ms).unwrap_or(0));
        let hold = self.sales.get(&order.sale).map_or(Duration::ZERO, |page| page.sale.hold_for());
        let bound = order.accepted_at.plus(self.terms.order.max(hold));
        at.now.plus(think).min(bound).max(at.now.plus(self.terms.retry))
    }

    fn issue(&mut self, at: Moment<'_>, order: &mut Order) {
        if order.tickets.is_empty() {
            for item in &order.items {
                for _ in 0..item.quantity {
                    order.tickets.push(Ticket {
                        id: at.env.uuid_v7(),
                        tier: item.tier.clone(),
                        code: code(at),
                        voided_by: None,
                    });
                }
            }
            self.changes.tickets.extend(order.tickets.iter().map(|ticket| (order.id, ticket.clone())));
        }
        self.owe(at, order, "mail.tickets");
    }

    pub(super) fn owe(&mut self, at: Moment<'_>, order: &Order, kind: &str) {
        let entry = OutboxEntry { id: at.env.uuid_v7(), kind: kind.to_owned(), order: order.id, created_at: at.now };
        self.changes.outbox.push(entry);
    }
}

pub(super) fn applied(order: Order, changed: bool) -> Applied {
    let stock = order.state.stock();
    Applied::Order { order: Box::new(order), stock, changed }
}

/// 60 random bits: nobody guesses a ticket.
fn code(at: Moment<'_>) -> String {
    let mut bits = at.env.random_u64();
    let mut code = String::with_capacity(14);
    for place in 0..12 {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(CODE_ALPHABET[usize::try_from(bits & 31).unwrap_or(0)]));
        bits >>= 5;
    }
    code
}

fn facts(order: &Order, change: &Change) -> Facts {
    let (current_attempt, paid_by_another) = match change {
        Change::Observed { attempt, outcome } => {
            let other = match outcome {
                Outcome::Succeeded { payment_intent, .. } => {
                    Guard::PaidTwice.refuses(order.state == State::Paid && order.payment_intent != *payment_intent)
                }
                _ => false,
            };
            (*attempt == order.attempt, other)
        }
        _ => (true, false),
    };
    Facts { state: order.state, closing: order.closing, current_attempt, paid_by_another }
}

fn event(order: &Order, change: &Change) -> Event {
    match change {
        Change::Observed { outcome, .. } => match outcome {
            Outcome::Succeeded { amount, currency, .. }
                if Guard::AmountCompared.refuses((*amount, *currency) != (order.amount, order.currency)) =>
            {
                Event::SucceededOtherwise
            }
            Outcome::Succeeded { .. } => Event::Succeeded,
            Outcome::RequiresAction { .. } | Outcome::Hosted { .. } => Event::ActionRequired,
            Outcome::Processing { .. } => Event::Processing,
            Outcome::Declined { .. } => Event::Declined,
            Outcome::Canceled { .. } => Event::CanceledAtStripe,
            Outcome::Stuck { .. } => Event::Stuck,
        },
        Change::TimeOver => Event::TimeOver,
        Change::CalledOff => Event::CalledOff,
        Change::Approved(_) => Event::Approved,
        Change::Rejected { .. } => Event::Rejected,
    }
}

/// Takes over from an outcome what the order itself keeps.
fn observe(order: &mut Order, change: &Change) {
    let Change::Observed { outcome, .. } = change else { return };
    match outcome {
        Outcome::Succeeded { payment_intent, charge, amount, currency } => {
            order.session = None;
            order.payment_intent.clone_from(payment_intent);
            order.charge.clone_from(charge);
            if (*amount, *currency) != (order.amount, order.currency) {
                order.review = Some(format!("Stripe took {amount} {currency} instead of the order's amount"));
            }
        }
        Outcome::RequiresAction { payment_intent, client_secret } => {
            order.payment_intent = Some(payment_intent.clone());
            order.client_secret = Some(client_secret.clone());
        }
        // What could be paid before was ended before the page was made.
        Outcome::Hosted { session, url } => {
            order.payment_intent = None;
            order.session = Some(session.clone());
            order.session_url = Some(url.clone());
        }
        Outcome::Processing { payment_intent } => order.payment_intent = Some(payment_intent.clone()),
        Outcome::Declined { payment_intent, decline } => {
            order.session = None;
            order.payment_intent.clone_from(payment_intent);
            order.decline = Some(decline.clone());
        }
        Outcome::Canceled { .. } => {
            order.session = None;
            order.payment_intent = None;
            if order.state == State::Declined {
                order.decline = Some(Decline::canceled());
            }
        }
        Outcome::Stuck { reason } => order.review = Some(reason.clone()),
    }
}

fn line(change: &Change) -> Line<'_> {
    match change {
        Change::Observed { attempt, outcome } => {
            let what = match outcome {
                Outcome::Succeeded { .. } => "succeeded",
                Outcome::RequiresAction { .. } => "requires_action",
                Outcome::Hosted { .. } => "hosted",
                Outcome::Processing { .. } => "processing",
                Outcome::Declined { .. } => "declined",
                Outcome::Canceled { .. } => "canceled_at_stripe",
                Outcome::Stuck { .. } => "stuck",
            };
            let entry = Line::new(what, "worker").attempt(*attempt);
            match outcome {
                Outcome::Declined { decline, .. } => entry.note(decline.audit_note()),
                Outcome::Stuck { reason } => entry.note(reason.clone()),
                _ => entry,
            }
        }
        Change::TimeOver => Line::new("time_over", "sweep"),
        Change::CalledOff => Line::new("called_off", "sweep"),
        Change::Approved(word) => decided("approved", word),
        Change::Rejected { word, .. } => decided("rejected", word),
    }
}

/// What a person has decided, and why.
fn decided<'a>(what: &'a str, word: &'a Word) -> Line<'a> {
    let line = Line::new(what, &word.by);
    match &word.why {
        Some(why) => line.note(why.clone()),
        None => line,
    }
}
