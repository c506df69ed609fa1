//! Orders as operators see them, and what a person decides about those that wait for one.
//!
//! An order is in *review* when the program must not go on alone: Stripe refused its request as wrong, its job died, or
//! Stripe took another sum than the order says. **No decision makes an order paid, or free, without Stripe's word:**
//!
//! | decision | what happens |
//! | --- | --- |
//! | `charge_again` | the order waits for its charge again, which is sent as it was, under the same key: if Stripe had the money all along, it says so once more and takes nothing |
//! | `look_again` | a worker asks Stripe what became of the payment; if it is paid, so is the order; else it stays in review |
//! | `cancel` | a worker ends at Stripe whatever could still be paid, and only on its word that nothing can be is the order canceled and its stock free; if it turns out to be paid, it is paid; if another sum was taken, it stays in review |
//! | `refund` | a worker asks Stripe; if another sum was taken than the order's, that goes back, and the order is canceled |

use serde::Serialize;
use uuid::Uuid;

use super::{Helm, Orders, SteerError};
use crate::access::Came;
use crate::access::trail::{DONE, FAILED};
use crate::env::Timestamp;
use crate::guards::Guard;
use crate::jobs::{CreateCharge, Decision, ProcessResponse, Review};
use crate::ledger::{Applied, AuditEntry, Change, Left, Refund};
use crate::message::Message;
use crate::money::Currency;
use crate::order::{Attempt, AttemptState, Order, State, displayed_state};
use crate::queue::{Job as _, NewJob};
use crate::rooms::Envelope;
use crate::sale::PricedItem;

/// Orders in review that are listed at most.
const MOST_REVIEWS: u32 = 500;

/// An order, with its buyer.
#[derive(Clone, Debug, Serialize)]
pub struct OrderRow {
    id: Uuid,
    /// As its shopper sees it.
    state: &'static str,
    version: i64,
    sale: String,
    hold: Uuid,
    customer: Uuid,
    email: String,
    name: String,
    items: Vec<PricedItem>,
    amount: i64,
    currency: Currency,
    attempt: u32,
    payment_intent: Option<String>,
    charge: Option<String>,
    /// Why a person has to look.
    review: Option<String>,
    refunded: i64,
    refunding: i64,
    /// Without their codes: whoever has one gets in.
    tickets: Vec<TicketRow>,
    accepted_at: String,
    updated_at: String,
}

#[derive(Clone, Debug, Serialize)]
struct TicketRow {
    id: Uuid,
    tier: String,
    void: bool,
}

/// Something that happened to an order.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    at: String,
    by: String,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// A try at charging.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptRow {
    number: u32,
    state: AttemptState,
    /// On Stripe's own page.
    hosted: bool,
    payment_intent: Option<String>,
    first_sent_at: Option<String>,
    note: Option<String>,
}

/// An order and all that happened to it, the oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    order: OrderRow,
    timeline: Vec<Event>,
    attempts: Vec<AttemptRow>,
    refunds: Vec<RefundRow>,
}

/// Money that goes back.
#[derive(Clone, Debug, Serialize)]
pub struct RefundRow {
    id: Uuid,
    amount: i64,
    currency: Currency,
    state: &'static str,
    /// `requested`, `elsewhere`, `paid_late`, `paid_twice`, `amount_differs`.
    reason: String,
    note: Option<String>,
    stripe_id: Option<String>,
    created_at: String,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It is carried out.
    Done(Box<Order>),
    /// A worker carries it out, and asks Stripe.
    Queued(Box<Order>),
    /// The order waits for nobody's decision.
    NotInReview(Box<Order>),
    /// Stripe has taken another sum: to charge again would tell the same once more.
    MoneyTaken(Box<Order>),
    /// There is no such order.
    Unknown,
    /// No process has a queue at the moment, and a worker is needed.
    NoQueue,
}

impl Decided {
    fn result(&self) -> &'static str {
        match self {
            Self::Done(_) => DONE,
            Self::Queued(_) => "queued",
            Self::NotInReview(_) => "not_in_review",
            Self::MoneyTaken(_) => "money_taken",
            Self::Unknown => "unknown_order",
            Self::NoQueue => "no_queue",
        }
    }
}

impl OrderRow {
    /// An order as it is.
    #[must_use]
    pub fn new(order: &Order) -> Self {
        let ticket = |ticket: &crate::order::Ticket| TicketRow {
            id: ticket.id,
            tier: ticket.tier.clone(),
            void: ticket.voided_by.is_some(),
        };
        Self {
            id: order.id,
            state: displayed_state(order),
            version: order.version,
            sale: order.sale.clone(),
            hold: order.hold,
            customer: order.customer,
            email: order.email.clone(),
            name: order.name.clone(),
            items: order.items.clone(),
            amount: order.amount,
            currency: order.currency,
            attempt: order.attempt,
            payment_intent: order.payment_intent.clone(),
            charge: order.charge.clone(),
            review: order.review.clone(),
            refunded: order.refunded,
            refunding: order.refunding,
            tickets: order.tickets.iter().map(ticket).collect(),
            accepted_at: order.accepted_at.to_rfc3339(),
            updated_at: order.updated_at.to_rfc3339(),
        }
    }
}

impl From<AuditEntry> for Event {
    fn from(line: AuditEntry) -> Self {
        let AuditEntry { at, by, what, attempt, version, note, .. } = line;
        Self { at: at.to_rfc3339(), by, what, attempt, version, why: note }
    }
}

impl From<Attempt> for AttemptRow {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            state: attempt.state,
            hosted: attempt.return_to().is_some(),
            first_sent_at: attempt.first_sent_at.map(Timestamp::to_rfc3339),
            payment_intent: attempt.payment_intent,
            note: attempt.note,
        }
    }
}

impl From<Refund> for RefundRow {
    fn from(refund: Refund) -> Self {
        Self {
            id: refund.id,
            amount: refund.amount,
            currency: refund.currency,
            state: refund.state.as_str(),
            reason: refund.reason,
            note: refund.note,
            stripe_id: refund.stripe_id,
            created_at: refund.created_at.to_rfc3339(),
        }
    }
}

impl Helm {
    /// An order and all that happened to it.
    ///
    /// # Errors
    /// When the ledger cannot be reached.
    pub async fn story(&self, id: Uuid) -> Result<Option<Story>, SteerError> {
        let Some(order) = self.ledger.order(id).await? else { return Ok(None) };
        let mut attempts = Vec::new();
        for number in 1..=order.attempt {
            attempts.extend(self.ledger.attempt(id, number).await?.map(AttemptRow::from));
        }
        Ok(Some(Story {
            order: OrderRow::new(&order),
            timeline: self.ledger.audit(id).await?.into_iter().map(Event::from).collect(),
            attempts,
            refunds: self.ledger.refunds_of(id).await?.into_iter().map(RefundRow::from).collect(),
        }))
    }

    /// Orders that wait for a person, the longest first.
    ///
    /// # Errors
    /// When the ledger cannot be reached.
    pub async fn reviews(&self) -> Result<Vec<OrderRow>, SteerError> {
        Ok(self.ledger.left(Left::Review, MOST_REVIEWS).await?.iter().map(OrderRow::new).collect())
    }

    /// Does what a person has decided about an order in review, or has a worker do it.
    ///
    /// # Errors
    /// When ledger or queue cannot be reached.
    pub async fn decide(&self, id: Uuid, decision: Decision, orders: &Orders) -> Result<Decided, SteerError> {
        let decided = self.decided(id, decision, orders).await;
        let result = decided.as_ref().map_or(FAILED, Decided::result);
        let came = Came { note: Some(decision.as_str().to_owned()), result };
        self.note("review_decided", format!("order:{id}"), came, orders).await?;
        decided
    }

    async fn decided(&self, id: Uuid, decision: Decision, orders: &Orders) -> Result<Decided, SteerError> {
        let Some(order) = self.ledger.order(id).await? else { return Ok(Decided::Unknown) };
        let order = Box::new(order);
        if Guard::ReviewOnly.refuses(order.state != State::Review) {
            return Ok(Decided::NotInReview(order));
        }
        if decision == Decision::ChargeAgain {
            if order.charge.is_some() {
                return Ok(Decided::MoneyTaken(order));
            }
            let attempt = order.attempt;
            return Ok(match self.charge_again(id, attempt, orders).await? {
                Some(Applied::Order { order, .. }) => Decided::Done(order),
                Some(Applied::Refused(order)) => Decided::NotInReview(order),
                Some(Applied::Unknown) | None => Decided::NotInReview(order),
            });
        }
        let Some(queue) = &self.queue else { return Ok(Decided::NoQueue) };
        let job = Review::V1 { order: id, attempt: order.attempt, decision, word: orders.word() };
        // One that died keeps its place; a person who asks again means it.
        queue.discard_dead(Review::QUEUE, &job.key()).await?;
        queue.push(vec![NewJob::of(&job)?]).await?;
        Ok(Decided::Queued(order))
    }

    /// An order in review is charged after all. Its dead jobs go first: as long as they are there, they give it to review
    /// again, and keep others of their name away. What Stripe said, if that died with one, it says once more.
    pub(super) async fn charge_again(
        &self,
        id: Uuid,
        attempt: u32,
        orders: &Orders,
    ) -> Result<Option<Applied>, SteerError> {
        let known = self.ledger.order(id).await?;
        if !known.is_some_and(|order| order.state == State::Review && order.attempt == attempt) {
            return Ok(None);
        }
        let charge = CreateCharge::V1 { order: id, attempt };
        if let Some(queue) = &self.queue {
            for name in [CreateCharge::QUEUE, ProcessResponse::QUEUE] {
                queue.discard_dead(name, &charge.key()).await?;
            }
        }
        let applied = self.ledger.apply(id, Change::Approved(orders.word())).await?;
        if let Applied::Order { order, .. } = &applied {
            self.tell_room(order).await;
            if let Some(queue) = &self.queue {
                queue.push(vec![NewJob::of(&charge)?]).await?;
            }
        }
        Ok(Some(applied))
    }

    /// Its pages show at once how it stands. If that fails, they are told of what comes next.
    async fn tell_room(&self, order: &Order) {
        let Some(rooms) = &self.rooms else { return };
        let frame = Message::order(order, self.ledger.now(), None).to_json().into();
        if let Err(error) = rooms.publish(vec![Envelope { room: order.customer, frame }]).await {
            tracing::warn!(order = %order.id, %error, "the room was not told of a decision");
        }
    }
}
