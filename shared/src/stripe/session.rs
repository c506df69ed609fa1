//! A Checkout Session: the exact bytes that make one, and what one says, cut down to what an order needs to know.
//!
//! As with a charge, the bytes are decided once and stored before the first of them is sent. They are written by hand:
//! the pairs are few, and their order must never change.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::intent::{Intent, text};
use super::request::push_pair;
use super::{API_VERSION, Answer, Refusal};
use crate::env::Timestamp;
use crate::order::{Order, StoredRequest};
use crate::sale::Sale;

/// Where Sessions are made.
pub(super) const PATH: &str = "/v1/checkout/sessions";

/// How long a Session stays payable by Stripe's clock, counted from its first sending. Stripe wants 30 minutes at
/// least; the rest is for a request that has to be sent again. The order's own deadline is sooner, and ends it by
/// `expire`; this bound is for a shop that is down.
const OPEN_FOR: Duration = Duration::from_secs(3_600);

/// The request that makes a Session for an attempt: cards only, no other currency than ours, our metadata on it and on
/// the PaymentIntent that it will make.
///
/// `origin` is where the shop is, `sale` what people call things; without it they are called by their ids.
#[must_use]
pub fn prepare(order: &Order, attempt: u32, origin: &str, sale: Option<&Sale>, now: Timestamp) -> StoredRequest {
    let mut body = String::new();
    let mut push = |key: &str, value: &str| push_pair(&mut body, key, value);
    let (id, number) = (order.id.to_string(), attempt.to_string());
    push("mode", "payment");
    push("allowed_payment_method_types[]", "card");
    push("adaptive_pricing[enabled]", "false");
    for (at, item) in order.items.iter().enumerate() {
        let tier = sale.and_then(|sale| sale.tier(&item.tier)).map_or(item.tier.as_str(), |tier| tier.name.as_str());
        let name = sale.map_or_else(|| tier.to_owned(), |sale| format!("{}: {tier}", sale.name));
        push(&format!("line_items[{at}][quantity]"), &item.quantity.to_string());
        push(&format!("line_items[{at}][price_data][currency]"), order.currency.as_str());
        push(&format!("line_items[{at}][price_data][unit_amount]"), &item.amount.to_string());
        push(&format!("line_items[{at}][price_data][product_data][name]"), &name);
    }
    push("customer_email", &order.email);
    push("client_reference_id", &id);
    push("metadata[order]", &id);
    push("metadata[attempt]", &number);
    push("payment_intent_data[description]", &format!("Order {id}"));
    push("payment_intent_data[receipt_email]", &order.email);
    push("payment_intent_data[metadata][order]", &id);
    push("payment_intent_data[metadata][attempt]", &number);
    push("success_url", &format!("{origin}/sales/{}?order={id}&checkout=done", order.sale));
    push("cancel_url", &format!("{origin}/sales/{}?order={id}&checkout=left", order.sale));
    push("expires_at", &now.plus(OPEN_FOR).0.div_euclid(1_000).to_string());
    StoredRequest { path: PATH.to_owned(), body, version: API_VERSION.to_owned() }
}

/// What a Session says.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    status: String,
    payment_status: String,
    url: Option<String>,
    payment_intent: Option<String>,
    /// The payment, when it was asked for in full.
    payment: Option<Intent>,
    pub(super) order: Option<Uuid>,
    pub(super) attempt: Option<u32>,
}

impl Session {
    /// Reads what is needed; `None` when it is no Session.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        Self::of(&serde_json::from_slice(body).ok()?)
    }

    pub(super) fn of(value: &Value) -> Option<Self> {
        let metadata = |key: &str| value.get("metadata").and_then(|metadata| text(metadata, key));
        let payment = value.get("payment_intent").unwrap_or(&Value::Null);
        Some(Self {
            id: text(value, "id").filter(|id| id.starts_with("cs_"))?,
            status: text(value, "status")?,
            payment_status: text(value, "payment_status")?,
            url: text(value, "url"),
            payment_intent: payment.as_str().map(str::to_owned).or_else(|| text(payment, "id")),
            payment: Intent::lenient(payment),
            order: metadata("order").and_then(|order| order.parse().ok()),
            attempt: metadata("attempt").and_then(|attempt| attempt.parse().ok()),
        })
    }

    /// What its state means for an order. Nothing counts as paid but `payment_status=paid`, and how much that was is
    /// what its PaymentIntent received.
    pub(super) fn answer(self, replayed: bool) -> Answer {
        let session = self.id;
        let unknown = |what: &str| Answer::Unknown { reason: format!("{session}: {what}"), replayed };
        match (self.status.as_str(), self.payment_status.as_str()) {
            ("open", _) => match self.url {
                Some(url) => Answer::Hosted { session, url },
                None => unknown("open, and says not where"),
            },
            ("expired", _) => Answer::SessionExpired { session },
            ("complete", "paid") => match self.payment.map(|payment| payment.answer(replayed)) {
                Some(Answer::Succeeded(payment)) => Answer::Succeeded(payment),
                Some(_) => unknown("paid, and its payment is not"),
                None => unknown("paid, and its payment was not shown"),
            },
            ("complete", "unpaid") => match (self.payment.map(|payment| payment.answer(replayed)), self.payment_intent)
            {
                (Some(Answer::Canceled { .. }), _) => Answer::SessionExpired { session },
                (_, Some(payment_intent)) => Answer::Processing { payment_intent },
                (_, None) => unknown("complete and unpaid, without a payment"),
            },
            ("complete", _) => Answer::Refused {
                reason: format!("{session}: complete without a payment, which was not asked for"),
                kind: Refusal::Request,
            },
            _ => unknown("in a state that this version does not know"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stripe::fixtures::intent;

    fn session(status: &str, payment_status: &str, payment: Value) -> Answer {
        let url = if status == "open" { json!("https://checkout.stripe.com/c/pay/cs_1") } else { Value::Null };
        let value = json!({
            "id": "cs_1", "object": "checkout.session", "status": status, "payment_status": payment_status,
            "url": url, "payment_intent": payment, "metadata": {"order": Uuid::nil(), "attempt": "2"},
        });
        Session::read(value.to_string().as_bytes()).unwrap().answer(false)
    }

    #[test]
    fn only_a_session_that_says_paid_is_paid_and_only_with_its_payment() {
        assert!(matches!(session("complete", "paid", intent("succeeded")), Answer::Succeeded(p) if p.amount == 2_500));
        assert!(matches!(session("complete", "paid", json!("pi_1")), Answer::Unknown { .. }));
        assert!(matches!(session("complete", "paid", intent("processing")), Answer::Unknown { .. }));
        assert!(matches!(session("complete", "unpaid", json!("pi_1")), Answer::Processing { .. }));
        assert!(matches!(session("complete", "unpaid", intent("canceled")), Answer::SessionExpired { .. }));
        assert!(matches!(session("complete", "no_payment_required", Value::Null), Answer::Refused { .. }));
        assert!(matches!(session("expired", "unpaid", intent("canceled")), Answer::SessionExpired { .. }));
        assert!(matches!(session("open", "unpaid", Value::Null), Answer::Hosted { .. }));
        assert!(matches!(session("frozen", "paid", intent("succeeded")), Answer::Unknown { .. }));
        assert!(Session::read(br#"{"id":"pi_1","status":"open","payment_status":"unpaid"}"#).is_none());
    }
}
