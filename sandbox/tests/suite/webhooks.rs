//! Webhook delivery to a server of the test's own.

use std::{collections::VecDeque, sync::Arc};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::harness::{Api, quick};

struct Delivery {
    signature: String,
    body: Vec<u8>,
}

impl Delivery {
    fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// As Stripe's documentation says to verify it by hand.
    fn is_signed_with(&self, secret: &str) -> bool {
        let (time, signature) = self.signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let age = jiff::Timestamp::now().as_second() - time.parse::<i64>().unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.").as_bytes());
        mac.update(&self.body);
        let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        expected == signature && (0..300).contains(&age)
    }
}

#[derive(Clone)]
struct Inbox {
    deliveries: mpsc::UnboundedSender<Delivery>,
    /// What the next deliveries are answered with; then 200.
    answers: Arc<Mutex<VecDeque<u16>>>,
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> axum::http::StatusCode {
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    inbox.deliveries.send(Delivery { signature, body: body.to_vec() }).unwrap();
    let status = inbox.answers.lock().pop_front().unwrap_or(200);
    axum::http::StatusCode::from_u16(status).unwrap()
}

/// A server that takes webhooks, registered for these events; and the endpoint's secret.
async fn register(api: &Api, events: &[&str], answers: &[u16]) -> (mpsc::UnboundedReceiver<Delivery>, String) {
    let (deliveries, received) = mpsc::unbounded_channel();
    let inbox = Inbox { deliveries, answers: Arc::new(Mutex::new(answers.iter().copied().collect())) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = Router::new().route("/hook", post(receive)).with_state(inbox);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut form = vec![("url", url.as_str())];
    form.extend(events.iter().map(|event| ("enabled_events[]", *event)));
    let endpoint = api.post("/v1/webhook_endpoints", &form).await.ok();
    let listed = api.get(&format!("/v1/webhook_endpoints/{}", endpoint["id"].as_str().unwrap()), &[]).await.ok();
    assert_eq!(listed["secret"], Value::Null, "the secret is shown once");
    (received, endpoint["secret"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_event_arrives_signed_and_only_where_it_was_asked_for() {
    let api = Api::start().await;
    let (mut received, secret) = register(&api, &["payment_intent.succeeded"], &[]).await;
    let intent = api.pay("pm_card_visa").await.ok();
    let delivery = received.recv().await.unwrap();
    assert!(delivery.is_signed_with(&secret));
    assert!(!delivery.is_signed_with("whsec_other"));
    let event = delivery.event();
    assert_eq!((&event["type"], &event["data"]["object"]["id"]), (&json!("payment_intent.succeeded"), &intent["id"]));
    assert_eq!(event["api_version"], "2026-09-30.endive");
    let stored = api.get(&format!("/v1/events/{}", event["id"].as_str().unwrap()), &[]).await.ok();
    assert_eq!(stored["data"], event["data"]);
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn a_refused_delivery_is_tried_again() {
    let api = Api::start().await;
    let (mut received, secret) = register(&api, &["charge.succeeded"], &[500]).await;
    api.pay("pm_card_visa").await.ok();
    let (first, second) = (received.recv().await.unwrap(), received.recv().await.unwrap());
    assert_eq!(first.event()["id"], second.event()["id"]);
    assert!(first.is_signed_with(&secret) && second.is_signed_with(&secret));
}

#[tokio::test]
async fn webhooks_are_dropped_doubled_and_reordered_on_request() {
    let api = Api::start().await;
    let (mut received, _) = register(&api, &["payment_intent.succeeded"], &[]).await;
    api.control(json!({"webhooks": {"drop": 1}})).await;
    // Only events that an endpoint asked for are counted.
    api.pay("pm_card_visa").await.ok();
    api.control(json!({"webhooks": {"duplicate": 1}})).await;
    let doubled = api.pay("pm_card_visa").await.ok();
    for _ in 0..2 {
        assert_eq!(received.recv().await.unwrap().event()["data"]["object"]["id"], doubled["id"]);
    }
    api.control(json!({"webhooks": {"hold": true}})).await;
    let mut ids = vec![api.pay("pm_card_visa").await.ok()["id"].clone()];
    ids.push(api.pay("pm_card_visa").await.ok()["id"].clone());
    assert!(received.try_recv().is_err());
    api.control(json!({"webhooks": {"hold": false}})).await;
    let mut got = Vec::new();
    for _ in 0..2 {
        got.push(received.recv().await.unwrap().event()["data"]["object"]["id"].clone());
    }
    got.sort_by_key(ToString::to_string);
    ids.sort_by_key(ToString::to_string);
    assert_eq!(got, ids);
}

#[tokio::test]
async fn what_an_endpoint_has_not_taken_is_sent_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = || sandbox::Config { database: Some(folder.path().join("sandbox.db")), ..quick() };
    let api = Api::start_with(config()).await;
    let (mut received, _) = register(&api, &["payment_intent.succeeded"], &[]).await;
    api.control(json!({"webhooks": {"hold": true}})).await;
    let intent = api.pay("pm_card_visa").await.ok();
    api.stop().await;
    let _api = Api::start_with(config()).await;
    assert_eq!(received.recv().await.unwrap().event()["data"]["object"]["id"], intent["id"]);
}

#[tokio::test]
async fn webhooks_come_late_on_request() {
    let api = Api::start().await;
    let (mut received, _) = register(&api, &["payment_intent.succeeded"], &[]).await;
    api.control(json!({"webhooks": {"delay_ms": 400}})).await;
    let began = std::time::Instant::now();
    api.pay("pm_card_visa").await.ok();
    received.recv().await.unwrap();
    assert!(began.elapsed() >= std::time::Duration::from_millis(400), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_dispute_is_told_when_it_opens_and_when_the_bank_has_decided() {
    let api = Api::start().await;
    let (mut received, _) = register(&api, &["charge.dispute.created", "charge.dispute.closed"], &[]).await;
    let intent = api.pay("pm_card_visa").await.ok();
    let charge = intent["latest_charge"].as_str().unwrap();
    api.control(json!({"open_dispute": charge})).await;
    let created = received.recv().await.unwrap().event();
    let dispute = &created["data"]["object"];
    assert_eq!((&created["type"], &dispute["status"]), (&"charge.dispute.created".into(), &"needs_response".into()));
    assert_eq!((&dispute["charge"], &dispute["payment_intent"]), (&json!(charge), &intent["id"]));
    assert_eq!(api.get(&format!("/v1/charges/{charge}"), &[]).await.ok()["disputed"], true);
    api.control(json!({"close_dispute": {"charge": charge, "won": false}})).await;
    let closed = received.recv().await.unwrap().event();
    let id = dispute["id"].as_str().unwrap();
    assert_eq!((&closed["type"], &closed["data"]["object"]["id"]), (&"charge.dispute.closed".into(), &json!(id)));
    let now = api.get(&format!("/v1/disputes/{id}"), &[]).await.ok();
    assert_eq!(now["status"], "lost");
    miniserde::json::from_str::<stripe_shared::Dispute>(&now.to_string()).expect("every field of the pinned version");
    assert_eq!(api.get("/v1/disputes", &[("charge", charge)]).await.ok()["data"].as_array().unwrap().len(), 1);
    assert_eq!(api.stat("disputes").await, 1);
}

#[tokio::test]
async fn events_are_listed_by_type_time_delivery_and_cursor_and_kept_for_thirty_days() {
    let api = Api::start().await;
    let (mut received, _) = register(&api, &["payment_intent.succeeded"], &[]).await;
    api.control(json!({"webhooks": {"drop": 1}})).await;
    for _ in 0..3 {
        api.pay("pm_card_visa").await.ok();
    }
    for _ in 0..2 {
        received.recv().await.unwrap();
    }
    let ids = async |form: &[(&str, &str)]| -> Vec<String> {
        let list = api.get("/v1/events", &[form, &[("limit", "100")]].concat()).await.ok();
        list["data"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    };
    let succeeded = ids(&[("type", "payment_intent.succeeded")]).await;
    assert_eq!(succeeded.len(), 3);
    let both = ids(&[("types[]", "payment_intent.succeeded"), ("types[]", "charge.succeeded")]).await;
    assert_eq!(both.len(), 6);
    assert_eq!(ids(&[("type", "charge.*")]).await.len(), 3);
    let lost = [("type", "payment_intent.succeeded"), ("delivery_success", "false")];
    while ids(&lost).await.len() > 1 {
        // A delivery is noted a moment after it was taken.
        tokio::task::yield_now().await;
    }
    assert_eq!(ids(&lost).await, [succeeded[2].clone()]);
    let after = ids(&[("type", "payment_intent.succeeded"), ("starting_after", &succeeded[0])]).await;
    let before = ids(&[("type", "payment_intent.succeeded"), ("ending_before", &succeeded[2])]).await;
    assert_eq!((after.as_slice(), before.as_slice()), (&succeeded[1..], &succeeded[..2]));
    let refused = api.get("/v1/events", &[("type", "a"), ("types[]", "b")]).await;
    assert_eq!(refused.error(400)["type"], "invalid_request_error");

    let now = jiff::Timestamp::now().as_second();
    api.control(json!({"forward_seconds": 29 * 86_400})).await;
    let [from, to] = [now - 60, now + 60].map(|at| at.to_string());
    assert_eq!(ids(&[("created[gte]", &from), ("created[lte]", &to)]).await.len(), ids(&[]).await.len());
    assert_eq!(ids(&[("created[gt]", &to)]).await, Vec::<String>::new());
    assert_eq!(ids(&[("created[lt]", &from)]).await, Vec::<String>::new());
    assert!(!ids(&[]).await.is_empty());
    api.control(json!({"forward_seconds": 2 * 86_400})).await;
    assert_eq!(ids(&[]).await, Vec::<String>::new());
    api.get(&format!("/v1/events/{}", succeeded[0]), &[]).await.error(404);
}

#[tokio::test]
async fn a_key_is_forgotten_when_its_day_is_over() {
    let api = Api::start().await;
    let pay = async || {
        let answer = api.keyed("k", "/v1/payment_intents", &crate::harness::purchase("pm_card_visa")).await;
        answer.header("idempotent-replayed").is_some()
    };
    assert!(!pay().await);
    api.control(json!({"forward_seconds": 23 * 3_600})).await;
    assert!(pay().await);
    api.control(json!({"forward_seconds": 2 * 3_600})).await;
    assert!(!pay().await, "executed anew, as at Stripe");
}
