//! Webhook events: whether one is really from Stripe, and the few fields of it that are ever looked at.
//!
//! The typed client is not used: it refuses a known event that lacks one field of forty, though its signature is good,
//! and nothing here depends on those. An event is a hint that something has happened; what has happened is asked for.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use uuid::Uuid;

use crate::env::Timestamp;
use crate::guards::Guard;

/// How far a signature's time may be from ours, as in Stripe's own libraries.
pub const TOLERANCE: Duration = Duration::from_secs(300);
/// The events that an endpoint should be told of: those after which an order's payment, or a refund of it, may stand
/// elsewhere.
pub const EVENT_TYPES: [&str; 12] = [
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "checkout.session.completed",
    "checkout.session.expired",
    // Only for ways to pay that are not offered; a Session is read all the same.
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
];
/// Entries of a header that are looked at: Stripe sends one per secret, of which an endpoint has two at most.
const ENTRIES_MAX: usize = 20;
/// Characters of an event's id.
const ID_BYTES_MAX: usize = 255;

/// Why a body is not believed to be Stripe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// There is no header, or nothing in it that could be a signature.
    Unsigned,
    /// None of the signatures was made with any of our secrets over these bytes.
    Forged,
    /// Signed, too long ago (or too far ahead): it may be a replay.
    Stale,
}

/// Whether `body` was signed with one of `secrets`, and lately (<https://docs.stripe.com/webhooks#verify-manually>).
///
/// The header is `t=SECONDS,v1=HEX[,v1=HEX…]`, the signature the HMAC-SHA256 of time, a dot and the body. Signatures
/// are compared in constant time, and before the time is looked at, so that a stranger learns nothing from the answer.
///
/// # Errors
/// Why it is not believed.
pub fn verify<'a>(
    secrets: impl Iterator<Item = &'a str>,
    header: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Distrust> {
    let (time, signatures) = header.and_then(parse).ok_or(Distrust::Unsigned)?;
    let signed_by = |secret: &str| {
        // An HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    };
    if Guard::EventSignature.refuses(!{ secrets }.any(signed_by)) {
        return Err(Distrust::Forged);
    }
    let seconds: i64 = time.parse().map_err(|_| Distrust::Unsigned)?;
    let away = now.0.div_euclid(1_000).abs_diff(seconds);
    if Guard::EventAge.refuses(away > TOLERANCE.as_secs()) { Err(Distrust::Stale) } else { Ok(()) }
}

/// The time as it is written, and every `v1` signature; other schemes are of no use.
fn parse(header: &str) -> Option<(&str, Vec<[u8; 32]>)> {
    let entries = || header.split(',').take(ENTRIES_MAX).filter_map(|entry| entry.trim().split_once('='));
    let time = entries().find_map(|(name, value)| (name == "t").then_some(value))?;
    let signatures: Vec<_> = entries().filter(|(name, _)| *name == "v1").filter_map(|(_, hex)| bytes(hex)).collect();
    (!signatures.is_empty()).then_some((time, signatures))
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// What is looked at of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// `payment_intent.succeeded` and the like.
    pub kind: String,
    /// Whether it tells of real money.
    pub livemode: bool,
    /// When it happened, in seconds since 1970; says nothing of the order of things.
    pub created: Option<i64>,
    /// The PaymentIntent that it is about, itself or by a charge of it.
    pub payment_intent: Option<String>,
    /// The Checkout Session that it is about.
    pub session: Option<String>,
    /// The order that the object was made for.
    pub order: Option<Uuid>,
    /// The refund that it is about.
    pub refund: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    livemode: bool,
    #[serde(default)]
    created: Option<i64>,
    data: RawData,
}

#[derive(Deserialize)]
struct RawData {
    object: RawObject,
}

#[derive(Deserialize)]
struct RawObject {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    payment_intent: Value,
    #[serde(default)]
    metadata: Value,
}

impl Event {
    /// Reads an event; `None` when it is none.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let Raw { id, kind, livemode, created, data: RawData { object } } = serde_json::from_slice(body).ok()?;
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(plain) {
            return None;
        }
        let payment_intent = match object.object.as_str() {
            Some("payment_intent") => object.id.as_str(),
            // Named, or in full.
            _ => object.payment_intent.as_str().or_else(|| object.payment_intent.get("id")?.as_str()),
        };
        let payment_intent = payment_intent.filter(|id| id.starts_with("pi_") && id.bytes().all(plain));
        let session = object.id.as_str().filter(|id| id.starts_with("cs_") && id.bytes().all(plain));
        let refund = object.id.as_str().filter(|_| object.object == "refund");
        Some(Self {
            refund: refund.map(str::to_owned),
            session: session.filter(|_| object.object == "checkout.session").map(str::to_owned),
            payment_intent: payment_intent.map(str::to_owned),
            order: object.metadata.get("order").and_then(Value::as_str).and_then(|order| order.parse().ok()),
            id,
            kind,
            livemode,
            created,
        })
    }

    /// Whether an order's payment, or its Checkout Session, may stand elsewhere since.
    #[must_use]
    pub fn may_move_a_payment(&self) -> bool {
        // Those of a charge say less, and the same; they are of use to an account that sends nothing else.
        (EVENT_TYPES.contains(&self.kind.as_str()) && !self.may_move_a_refund())
            || matches!(self.kind.as_str(), "charge.succeeded" | "charge.failed" | "charge.expired")
    }

    /// Whether a refund of a payment may stand elsewhere since, or be there since.
    #[must_use]
    pub fn may_move_a_refund(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" | "charge.refunded"
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test
    const SIGNATURE: &str = "35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";
    const SIGNED_AT: i64 = 1_700_000_000;

    fn check(secrets: &[&str], header: &str, body: &str, at: i64) -> Result<(), Distrust> {
        verify(secrets.iter().copied(), Some(header), body.as_bytes(), Timestamp(at * 1_000))
    }

    fn header(entries: &str) -> String {
        format!("t={SIGNED_AT},{entries}")
    }

    #[test]
    fn a_signature_that_openssl_computes_is_believed_for_five_minutes() {
        let good = header(&format!("v1={SIGNATURE}"));
        for (at, expected) in [(0, Ok(())), (300, Ok(())), (-300, Ok(())), (301, Err(Distrust::Stale))] {
            assert_eq!(check(&["whsec_test"], &good, "{}", SIGNED_AT + at), expected, "{at} s later");
        }
        assert_eq!(check(&["whsec_test"], &good, "{}", SIGNED_AT - 301), Err(Distrust::Stale));
    }

    #[test]
    fn any_secret_and_any_entry_will_do_while_secrets_rotate() {
        let several = header(&format!("v0={SIGNATURE},v1={},v1={SIGNATURE}", "0".repeat(64)));
        assert_eq!(check(&["whsec_new", "whsec_test"], &several, "{}", SIGNED_AT), Ok(()));
        assert_eq!(check(&["whsec_new"], &several, "{}", SIGNED_AT), Err(Distrust::Forged));
        assert_eq!(check(&[], &several, "{}", SIGNED_AT), Err(Distrust::Forged));
        let other_scheme = header(&format!("v0={SIGNATURE}"));
        assert_eq!(check(&["whsec_test"], &other_scheme, "{}", SIGNED_AT), Err(Distrust::Unsigned));
    }

    #[test]
    fn a_changed_body_or_time_is_a_forgery_and_a_stranger_does_not_hear_that_it_is_stale() {
        let good = header(&format!("v1={SIGNATURE}"));
        assert_eq!(check(&["whsec_test"], &good, "{ }", SIGNED_AT), Err(Distrust::Forged));
        let moved = format!("t={},v1={SIGNATURE}", SIGNED_AT + 9_999);
        assert_eq!(check(&["whsec_test"], &moved, "{}", SIGNED_AT + 9_999), Err(Distrust::Forged));
        assert_eq!(check(&["whsec_other"], &good, "{}", SIGNED_AT + 9_999), Err(Distrust::Forged));
    }

    #[test]
    fn nonsense_in_the_header_is_no_signature() {
        let text = |hex: &str| header(&format!("v1={hex}"));
        let odd = ["", "v1", "t=1", "t=,v1=", "v1=00,t=1", ",,,", "t=1,v1=é"].map(str::to_owned);
        for header in odd.into_iter().chain([text("zz"), text(&"é".repeat(32)), text(&"+1".repeat(32))]) {
            assert_eq!(check(&["whsec_test"], &header, "{}", SIGNED_AT), Err(Distrust::Unsigned), "{header:?}");
        }
        assert_eq!(verify(["s"].into_iter(), None, b"{}", Timestamp(0)), Err(Distrust::Unsigned));
        let late = format!("{},v1={SIGNATURE}", vec!["v1=00"; ENTRIES_MAX].join(","));
        assert_eq!(check(&["whsec_test"], &header(&late), "{}", SIGNED_AT), Err(Distrust::Unsigned));
    }

    fn event(object: &Value) -> Value {
        json!({"id": "evt_1", "type": "charge.failed", "livemode": false, "data": {"object": object}})
    }

    #[test]
    fn an_event_names_the_payment_by_itself_or_by_a_charge_of_it() {
        let order = Uuid::from_u128(7);
        let metadata = json!({"order": order.to_string()});
        for object in [
            json!({"object": "payment_intent", "id": "pi_1", "metadata": metadata}),
            json!({"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "metadata": metadata}),
            json!({"object": "charge", "id": "ch_1", "payment_intent": {"id": "pi_1"}, "metadata": metadata}),
        ] {
            let event = Event::read(event(&object).to_string().as_bytes()).unwrap();
            assert_eq!((event.payment_intent.as_deref(), event.order), (Some("pi_1"), Some(order)), "{object}");
            assert!(event.may_move_a_payment() && !event.may_move_a_refund() && event.refund.is_none());
        }
        for object in [
            json!({}),
            json!({"object": "payment_intent", "id": 5, "metadata": null}),
            json!({"object": "payment_intent", "id": "pi_1/../cus_1", "metadata": {"order": "not a UUID"}}),
            json!({"object": "charge", "payment_intent": null, "metadata": []}),
        ] {
            let event = Event::read(event(&object).to_string().as_bytes()).unwrap();
            assert_eq!((event.payment_intent, event.order), (None, None), "{object}");
        }
    }

    #[test]
    fn every_event_that_is_asked_for_is_heeded_and_a_refund_is_named() {
        for kind in EVENT_TYPES.into_iter().chain(["charge.refunded", "charge.refund.updated", "customer.created"]) {
            let object = json!({"object": "refund", "id": "re_1", "payment_intent": "pi_1"});
            let body = json!({"id": "evt_1", "type": kind, "livemode": false, "data": {"object": object}});
            let event = Event::read(body.to_string().as_bytes()).unwrap();
            assert_eq!((event.payment_intent.as_deref(), event.refund.as_deref()), (Some("pi_1"), Some("re_1")));
            assert_eq!(event.may_move_a_payment() || event.may_move_a_refund(), kind != "customer.created", "{kind}");
            assert_eq!(event.may_move_a_refund(), kind.contains("refund"), "{kind}");
        }
    }

    #[test]
    fn what_lacks_an_id_a_type_a_mode_or_an_object_is_no_event() {
        let good = event(&json!({}));
        assert!(Event::read(good.to_string().as_bytes()).is_some());
        for field in ["id", "type", "livemode", "data"] {
            let mut lacking = good.clone();
            lacking.as_object_mut().unwrap().remove(field);
            assert_eq!(Event::read(lacking.to_string().as_bytes()), None, "{field}");
        }
        for id in ["", "evt 1", "evt_\u{0}", &"x".repeat(256)] {
            let mut odd = good.clone();
            odd["id"] = json!(id);
            assert_eq!(Event::read(odd.to_string().as_bytes()), None, "{id:?}");
        }
        assert_eq!(Event::read(b"[]"), None);
        assert_eq!(Event::read(b"\xff"), None);
    }
}
