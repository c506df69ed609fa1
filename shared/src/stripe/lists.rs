//! Stripe's lists, a page at a time: events, and PaymentIntents. Newest first, and bounded by when things were created;
//! that order is Stripe's, and nothing is concluded from it (<https://docs.stripe.com/api/pagination>).

use std::time::Duration;

use serde_json::Value;
use stripe_client_core::StripeRequest as _;
use stripe_core::event::ListEvent;
use stripe_core::payment_intent::ListPaymentIntent;
use stripe_types::{RangeBoundsTs, RangeQueryTs};
use uuid::Uuid;

use super::client::{HttpStripe, Outcome, below_v1, typed};
use super::http::{NoReply, Reply};
use super::intent::{Intent, text};
use super::webhook::EVENT_TYPES;
use super::{Answer, answer};
use crate::env::Timestamp;

/// The entries of one page; Stripe's maximum.
pub(super) const PAGE: i64 = 100;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The newest first.
    pub items: Vec<T>,
    /// Where the next page begins; none when this was the last one.
    pub next: Option<String>,
}

/// Nothing was learned. A list is read again, so there is no harm in that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotRead {
    /// Stripe's words, or what happened on the way.
    pub reason: String,
    /// Stripe's `Retry-After`, when it gave one.
    pub after: Option<Duration>,
    /// Stripe refuses the very question: a place in the list, say, that is there no more. Asking the same is of no use.
    pub refused: bool,
}

/// An event, as a webhook would have brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedEvent {
    /// `evt_…`
    pub id: String,
    /// When it happened, by Stripe's clock, to the second.
    pub created: Timestamp,
    /// The event in JSON.
    pub body: String,
}

/// A PaymentIntent in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPayment {
    /// `pi_…`
    pub payment_intent: String,
    /// The order that it was made for, by its metadata.
    pub order: Option<Uuid>,
    /// What it is by now.
    pub answer: Answer,
}

impl HttpStripe {
    pub(super) async fn list_events(&self, from: Timestamp, after: Option<&str>) -> Result<Page<ListedEvent>, NotRead> {
        let mut list = ListEvent::new().created(since(from)).types(EVENT_TYPES.map(str::to_owned).to_vec()).limit(PAGE);
        if let Some(last) = after {
            list = list.starting_after(last);
        }
        let built = list.build();
        let path = below_v1(&built);
        self.observed("list_events", typed(&built, &path, None), |heard| noted(page(heard, event))).await
    }

    pub(super) async fn list_payments(
        &self,
        from: Timestamp,
        after: Option<&str>,
    ) -> Result<Page<ListedPayment>, NotRead> {
        let mut list = ListPaymentIntent::new().created(since(from)).limit(PAGE);
        if let Some(last) = after {
            list = list.starting_after(last);
        }
        let built = list.build();
        let path = below_v1(&built);
        self.observed("list_payments", typed(&built, &path, None), |heard| noted(page(heard, payment))).await
    }
}

fn since(from: Timestamp) -> RangeQueryTs {
    RangeQueryTs::Bounds(RangeBoundsTs { gte: Some(from.0.div_euclid(1_000)), ..RangeBoundsTs::default() })
}

fn noted<T>(page: Result<Page<T>, NotRead>) -> (Result<Page<T>, NotRead>, Outcome) {
    let outcome = match &page {
        Ok(_) => Outcome { name: "read", reason: None },
        Err(not) => Outcome { name: "unknown", reason: Some(not.reason.clone()) },
    };
    (page, outcome)
}

/// Entries that cannot be read are left out and told of: one of them must not hide all others for ever.
fn page<T>(heard: &Result<Reply, NoReply>, read: fn(&Value) -> Option<T>) -> Result<Page<T>, NotRead> {
    let unusable = |reason: &str| NotRead { reason: reason.to_owned(), after: None, refused: false };
    let body = answer::of_list(heard)?;
    let value: Value = serde_json::from_slice(body).map_err(|_| unusable("a list that is no JSON"))?;
    let more = value.get("has_more").and_then(Value::as_bool).ok_or_else(|| unusable("a list without has_more"))?;
    let data = value.get("data").and_then(Value::as_array).ok_or_else(|| unusable("a list without data"))?;
    let last = data.last().and_then(|entry| text(entry, "id"));
    if more && last.is_none() {
        return Err(unusable("a page that does not say where the next one begins"));
    }
    let mut items = Vec::with_capacity(data.len());
    for entry in data {
        match read(entry) {
            Some(item) => items.push(item),
            None => tracing::error!(id = text(entry, "id"), "an entry of a list of Stripe's cannot be read"),
        }
    }
    Ok(Page { items, next: last.filter(|_| more) })
}

/// A page of events, for [`super::readings`].
#[cfg(feature = "conformance")]
pub(super) fn read_events(heard: &Result<Reply, NoReply>) -> Result<Page<ListedEvent>, NotRead> {
    page(heard, event)
}

/// A page of payments, for [`super::readings`].
#[cfg(feature = "conformance")]
pub(super) fn read_payments(heard: &Result<Reply, NoReply>) -> Result<Page<ListedPayment>, NotRead> {
    page(heard, payment)
}

fn event(entry: &Value) -> Option<ListedEvent> {
    let body = entry.to_string();
    let event = super::webhook::Event::read(body.as_bytes())?;
    Some(ListedEvent { id: event.id, created: Timestamp(event.created?.checked_mul(1_000)?), body })
}

fn payment(entry: &Value) -> Option<ListedPayment> {
    let intent = Intent::lenient(entry)?;
    Some(ListedPayment { payment_intent: intent.id.clone(), order: intent.order, answer: intent.answer(false) })
}
