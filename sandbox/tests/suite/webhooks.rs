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
