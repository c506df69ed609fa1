//! Stripe's webhooks: who is believed, what is kept, and what an event can do to an order.
//!
//! The sandbox of an embedded shop sends its own events, signed with the secret in the data directory; what a test
//! sends itself is signed by an implementation that does not know the shop's.

mod doors;
mod missed;
mod payments;
mod refunds;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use sha2::Sha256;
use tests::harness::client::{Reply, exchange};
use tests::harness::shop::Shop;
use uuid::Uuid;

/// A secret of the endpoint, by the settings.
const SECRET: &str = "whsec_of_a_test";

/// A shop that believes what is signed with [`SECRET`].
async fn shop() -> Shop {
    Shop::start(&[("STRIPE_WEBHOOK_SECRET", SECRET)]).await
}

/// `v1=…` over a time and a body.
fn signature(secret: &str, time: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={hex}")
}

fn seconds_now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The header that goes with a body now.
pub(crate) fn signed(secret: &str, body: &str) -> String {
    let now = seconds_now();
    format!("t={now},{}", signature(secret, now, body))
}

/// Sends an event as Stripe does, with this header.
async fn send(shop: &Shop, body: impl Into<Bytes>, header: Option<&str>) -> Reply {
    let mut request =
        Request::post(format!("{}/webhooks/stripe", shop.url())).header("content-type", "application/json");
    if let Some(header) = header {
        request = request.header("stripe-signature", header);
    }
    exchange(request.body(Full::from(body.into())).unwrap()).await.expect("the shop")
}

/// Sends an event that is signed well, and must be taken.
async fn tell(shop: &Shop, event: &Value) {
    let body = event.to_string();
    let reply = send(shop, body.clone(), Some(&signed(SECRET, &body))).await;
    assert_eq!((reply.status, &reply.json()["received"]), (200, &true.into()), "{}", reply.text());
}

/// An event about a PaymentIntent of an order.
fn event(id: &str, kind: &str, payment_intent: &str, order: Uuid) -> Value {
    let object = json!({"id": payment_intent, "object": "payment_intent", "metadata": {"order": order}});
    json!({"id": id, "object": "event", "type": kind, "livemode": false, "created": seconds_now(), "data": {"object": object}})
}

/// How many events were refused, stored or seen before, by the machine word.
async fn counted(shop: &Shop, result: &str) -> u64 {
    shop.counter(&format!("webhook_events_total{{result=\"{result}\"}}")).await
}
