//! A PaymentIntent, cut down to what an order needs to know of it.
//!
//! It is read twice if need be. First the fields that matter alone, in one pass, which is what every charge costs; then,
//! should one of them be of an unexpected kind, leniently, field by field, because a 2xx means that money may have moved,
//! and an order must not stay in doubt for want of a field that it could do without. The typed client's own reading fails
//! the whole object for one missing field of forty; the tests compare with it.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Answer, ClientSecret, Payment, Refusal};
use crate::decline::DeclineClass;

/// What a PaymentIntent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) id: String,
    status: String,
    received: Option<i64>,
    currency: Option<String>,
    charge: Option<String>,
    client_secret: Option<ClientSecret>,
    last_error: Option<LastError>,
    pub(super) order: Option<Uuid>,
    attempt: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct LastError {
    code: Option<String>,
    decline_code: Option<String>,
    advice_code: Option<String>,
}

/// The fields that matter, as Stripe documents them: <https://docs.stripe.com/api/payment_intents/object>
#[derive(Deserialize)]
struct Quick {
    id: String,
    status: String,
    amount_received: Option<i64>,
    currency: Option<String>,
    latest_charge: Option<QuickCharge>,
    client_secret: Option<String>,
    last_payment_error: Option<LastError>,
    metadata: Option<QuickMetadata>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum QuickCharge {
    Id(String),
    Expanded { id: String },
}

#[derive(Default, Deserialize)]
struct QuickMetadata {
    order: Option<String>,
    attempt: Option<String>,
}

impl Intent {
    /// Reads a PaymentIntent from an answer's body; `None` when it has not even an id and a status.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        match serde_json::from_slice::<Quick>(body) {
            Ok(quick) => Some(Self::from(quick)).filter(|intent| intent.id.starts_with("pi_")),
            Err(_) => serde_json::from_slice(body).ok().and_then(|value| Self::lenient(&value)),
        }
    }

    /// Reads what can be read; `None` when it is no PaymentIntent or has not even an id and a status.
    pub(super) fn lenient(value: &Value) -> Option<Self> {
        let id = text(value, "id").filter(|id| id.starts_with("pi_"))?;
        let metadata = |key: &str| value.get("metadata").and_then(|m| text(m, key));
        let last_error = value.get("last_payment_error").filter(|error| error.is_object());
        Some(Self {
            id,
            status: text(value, "status")?,
            received: value.get("amount_received").and_then(Value::as_i64),
            currency: text(value, "currency"),
            charge: value.get("latest_charge").and_then(|c| c.as_str().map(str::to_owned).or_else(|| text(c, "id"))),
            client_secret: text(value, "client_secret").map(ClientSecret::new),
            last_error: last_error.map(|error| LastError {
                code: text(error, "code"),
                decline_code: text(error, "decline_code"),
                advice_code: text(error, "advice_code"),
            }),
            order: metadata("order").and_then(|order| order.parse().ok()),
            attempt: metadata("attempt").and_then(|attempt| attempt.parse().ok()),
        })
    }

    /// What its state means for an order; a 2xx that lacks what it should say is [`Answer::Unknown`].
    pub(super) fn answer(self, replayed: bool) -> Answer {
        let payment_intent = self.id;
        let lacking = |what: &str, id: &str| Answer::Unknown { reason: format!("{id}: {what}"), replayed };
        match self.status.as_str() {
            "succeeded" => match (self.charge, self.received, self.currency) {
                (Some(charge), Some(amount), Some(currency)) => Answer::Succeeded(Payment {
                    payment_intent,
                    charge,
                    amount,
                    currency,
                    order: self.order,
                    made_by_attempt: self.attempt,
                }),
                _ => lacking("succeeded without charge, amount or currency", &payment_intent),
            },
            "requires_action" => match self.client_secret {
                Some(client_secret) => Answer::RequiresAction { payment_intent, client_secret },
                None => lacking("requires action, and gives no client secret", &payment_intent),
            },
            "processing" => Answer::Processing { payment_intent },
            "canceled" => Answer::Canceled { payment_intent },
            "requires_payment_method" => match self.last_error {
                Some(error) => Answer::Declined { payment_intent: Some(payment_intent), decline: error.decline() },
                None => Answer::NotStarted { payment_intent },
            },
            "requires_confirmation" => Answer::NotStarted { payment_intent },
            // We never ask for an authorisation without capture; a human must see how this came about.
            "requires_capture" => Answer::Refused {
                reason: format!("{payment_intent}: authorised but not captured, which was not asked for"),
                kind: Refusal::Request,
            },
            _ => lacking("in a state that this version does not know", &payment_intent),
        }
    }
}

impl LastError {
    fn decline(&self) -> crate::decline::Decline {
        DeclineClass::of_stripe(self.code.as_deref(), self.decline_code.as_deref(), self.advice_code.as_deref())
    }
}

impl From<Quick> for Intent {
    fn from(quick: Quick) -> Self {
        let metadata = quick.metadata.unwrap_or_default();
        Self {
            id: quick.id,
            status: quick.status,
            received: quick.amount_received,
            currency: quick.currency,
            charge: quick.latest_charge.map(|charge| match charge {
                QuickCharge::Id(id) | QuickCharge::Expanded { id } => id,
            }),
            client_secret: quick.client_secret.map(ClientSecret::new),
            last_error: quick.last_payment_error,
            order: metadata.order.and_then(|order| order.parse().ok()),
            attempt: metadata.attempt.and_then(|attempt| attempt.parse().ok()),
        }
    }
}

/// A field of an object, when it is there and a text.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::stripe::fixtures::intent;

    impl From<stripe_shared::PaymentIntent> for Intent {
        fn from(intent: stripe_shared::PaymentIntent) -> Self {
            Self {
                id: intent.id.as_str().to_owned(),
                status: intent.status.as_str().to_owned(),
                received: Some(intent.amount_received),
                currency: Some(intent.currency.to_string()),
                charge: intent.latest_charge.map(|charge| charge.id().as_str().to_owned()),
                client_secret: intent.client_secret.map(ClientSecret::new),
                last_error: intent.last_payment_error.map(|error| LastError {
                    code: error.code.map(|code| code.as_str().to_owned()),
                    decline_code: error.decline_code,
                    advice_code: error.advice_code,
                }),
                order: intent.metadata.get("order").and_then(|order| order.parse().ok()),
                attempt: intent.metadata.get("attempt").and_then(|attempt| attempt.parse().ok()),
            }
        }
    }

    fn strictly(value: &Value) -> Option<Intent> {
        miniserde::json::from_str::<stripe_shared::PaymentIntent>(&value.to_string()).ok().map(Intent::from)
    }

    #[test]
    fn the_quick_the_lenient_and_the_typed_reading_agree() {
        let mut declined = intent("requires_payment_method");
        declined["last_payment_error"] = json!({
            "type": "card_error", "code": "card_declined", "decline_code": "lost_card", "advice_code": "do_not_try_again",
        });
        for value in [intent("succeeded"), intent("requires_action"), intent("canceled"), declined] {
            let strict = strictly(&value);
            assert!(strict.is_some(), "the fixture is not a whole PaymentIntent");
            assert_eq!(strict, Intent::lenient(&value));
            assert_eq!(strict, Intent::read(value.to_string().as_bytes()));
        }
    }

    #[test]
    fn a_payment_that_lacks_a_field_nobody_needs_is_still_a_payment() {
        let mut value = intent("succeeded");
        value.as_object_mut().unwrap().remove("confirmation_method");
        assert!(strictly(&value).is_none());
        assert!(matches!(Intent::read(value.to_string().as_bytes()).unwrap().answer(false), Answer::Succeeded(_)));
    }

    #[test]
    fn a_field_of_an_unexpected_kind_costs_that_field_alone() {
        let mut value = intent("succeeded");
        value["metadata"] = json!({"order": 7});
        value["last_payment_error"] = json!("none");
        let read = Intent::read(value.to_string().as_bytes());
        assert!(matches!(read.unwrap().answer(false), Answer::Succeeded(Payment { order: None, .. })));
    }

    #[test]
    fn an_expanded_charge_is_read_as_its_id() {
        let mut value = intent("succeeded");
        value["latest_charge"] = json!({"id": "ch_7", "object": "charge"});
        let Answer::Succeeded(payment) = Intent::read(value.to_string().as_bytes()).unwrap().answer(false) else {
            panic!("not a payment")
        };
        assert_eq!(payment.charge, "ch_7");
    }

    #[test]
    fn a_success_that_does_not_say_what_was_paid_stays_unknown() {
        for field in ["latest_charge", "amount_received", "currency"] {
            let mut value = intent("succeeded");
            value.as_object_mut().unwrap().remove(field);
            let answer = Intent::read(value.to_string().as_bytes()).unwrap().answer(true);
            assert!(matches!(answer, Answer::Unknown { replayed: true, .. }), "{field}: {answer:?}");
        }
        assert_eq!(Intent::read(br#"{"id":"pi_1"}"#), None);
        assert_eq!(Intent::read(br#"{"id":"cus_1","status":"succeeded"}"#), None);
    }
}
