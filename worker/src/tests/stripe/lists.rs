//! What the small Stripe lists: its events, and its payment intents, the newest first.

use serde_json::json;
use shared::env::Timestamp;
use shared::stripe::{Answer, ListedEvent, ListedPayment, NotRead, Page};

use super::{Books, Call, SmallStripe, Status};

/// Entries of one page; small, so that a story has several.
const PAGE: usize = 4;

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Told {
    id: String,
    kind: &'static str,
    payment_intent: String,
    created: Timestamp,
}

impl Books {
    /// Makes an event of what a payment intent has become.
    pub(super) fn tell(&mut self, payment_intent: &str, created: Timestamp) {
        let kind = match self.intents.get(payment_intent).map(|intent| intent.status) {
            Some(Status::Succeeded) => "payment_intent.succeeded",
            Some(Status::Declined(_)) => "payment_intent.payment_failed",
            Some(Status::Action) => "payment_intent.requires_action",
            Some(Status::Processing) => "payment_intent.processing",
            Some(Status::Canceled) => "payment_intent.canceled",
            Some(Status::Blank) | None => return,
        };
        let id = format!("evt_{:04}", self.events.len() + 1);
        self.events.push(Told { id, kind, payment_intent: payment_intent.to_owned(), created });
    }
}

impl SmallStripe {
    /// An event of somebody else's shop on the same account, or of an order that a ledger has lost.
    pub(in crate::tests) fn tell_of_a_stranger(&self, order: &str) {
        let mut books = self.books.lock();
        let now = self.env.now();
        let id = books.create(order.parse().unwrap(), 1, 500, "usd", now);
        books.intents.get_mut(&id).unwrap().become_(Status::Succeeded);
        books.tell(&id, now);
    }

    /// How many events there are.
    pub(in crate::tests) fn told(&self) -> usize {
        self.books.lock().events.len()
    }

    /// Forgets an event, as Stripe does after 30 days.
    pub(in crate::tests) fn forget_event(&self, id: &str) {
        self.books.lock().events.retain(|told| told.id != id);
    }

    /// An older event than those that are listed already shows up.
    pub(in crate::tests) fn back_date(&self, id: &str, created: Timestamp) {
        if let Some(told) = self.books.lock().events.iter_mut().find(|told| told.id == id) {
            told.created = created;
        }
    }

    pub(super) fn list_events(&self, from: Timestamp, after: Option<&str>) -> Result<Page<ListedEvent>, NotRead> {
        self.asked(Call::Events, after)?;
        let books = self.books.lock();
        let listed = |told: &Told| {
            let order = books.intents.get(&told.payment_intent).map(|intent| intent.order);
            let object = json!({"id": told.payment_intent, "object": "payment_intent", "metadata": {"order": order}});
            let body = json!({"id": told.id, "type": told.kind, "livemode": false, "created": told.created.0 / 1_000,
                "data": {"object": object}});
            ListedEvent { id: told.id.clone(), created: told.created, body: body.to_string() }
        };
        let all: Vec<ListedEvent> = books.events.iter().rev().filter(|told| told.created >= from).map(listed).collect();
        page(&all, after, |event| &event.id)
    }

    pub(super) fn list_payments(&self, from: Timestamp, after: Option<&str>) -> Result<Page<ListedPayment>, NotRead> {
        self.asked(Call::Payments, after)?;
        let books = self.books.lock();
        let all: Vec<ListedPayment> = books
            .intents
            .values()
            .rev()
            .filter(|intent| intent.created >= from)
            .map(|intent| ListedPayment {
                payment_intent: intent.id.clone(),
                order: Some(intent.order),
                answer: intent.answer(),
            })
            .collect();
        page(&all, after, |payment| &payment.payment_intent)
    }

    fn asked(&self, call: Call, after: Option<&str>) -> Result<(), NotRead> {
        self.read(call, after.unwrap_or_default()).map_err(|answer| {
            let (reason, after) = match answer {
                Answer::Throttled { reason, after, .. } => (reason, after),
                answer => (answer.as_str().to_owned(), None),
            };
            NotRead { reason, after, refused: false }
        })
    }
}

fn page<T: Clone>(all: &[T], after: Option<&str>, id: fn(&T) -> &String) -> Result<Page<T>, NotRead> {
    let start = match after {
        None => 0,
        Some(after) => {
            let gone = || NotRead { reason: "resource_missing".into(), after: None, refused: true };
            1 + all.iter().position(|item| id(item) == after).ok_or_else(gone)?
        }
    };
    let items: Vec<T> = all.iter().skip(start).take(PAGE).cloned().collect();
    let more = all.len() > start + items.len();
    let next = items.last().filter(|_| more).map(|item| id(item).clone());
    Ok(Page { items, next })
}
