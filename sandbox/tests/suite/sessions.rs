//! Checkout Sessions, and the page on which they are paid.

use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::harness::{Answer, Api};

const PATH: &str = "/v1/checkout/sessions";

/// Two tickets of 12.50 USD for an order.
fn purchase(api_now: i64) -> Vec<(&'static str, String)> {
    [
        ("mode", "payment"),
        ("line_items[0][quantity]", "2"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", "1250"),
        ("line_items[0][price_data][product_data][name]", "Standing"),
        ("allowed_payment_method_types[]", "card"),
        ("customer_email", "a@example.com"),
        ("client_reference_id", "order-1"),
        ("metadata[order]", "order-1"),
        ("payment_intent_data[metadata][order]", "order-1"),
        ("success_url", "http://shop.example/done?session={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "http://shop.example/back"),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .chain([("expires_at", (api_now + 3_600).to_string())])
    .collect()
}

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

async fn create(api: &Api, change: &[(&'static str, &str)]) -> Answer {
    let mut form = purchase(now());
    for (name, value) in change {
        form.retain(|(known, _)| known != name);
        form.push((name, (*value).to_owned()));
    }
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    api.post(PATH, &form).await
}

/// Types a card into the page, as its payer would.
async fn pay(api: &Api, session: &Value, number: &str) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("email", "a@example.com"), ("number", number), ("expiry", "12 / 40"), ("cvc", "123")])
        .append_pair("name", "A. Shopper")
        .finish();
    let request = Request::builder()
        .method(Method::POST)
        .uri(session["url"].as_str().unwrap())
        .header("content-type", "application/x-www-form-urlencoded");
    api.answer(request.body(Full::new(form.into())).unwrap()).await.unwrap()
}

async fn read(api: &Api, session: &Value) -> Value {
    api.get(&format!("{PATH}/{}", session["id"].as_str().unwrap()), &[("expand[]", "payment_intent")]).await.ok()
}

async fn events(api: &Api, kind: &str) -> usize {
    api.get("/v1/events", &[("type", kind)]).await.ok()["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_session_is_paid_on_its_page_and_its_payment_bears_our_metadata() {
    let api = Api::start().await;
    let session = create(&api, &[]).await.ok();
    assert_eq!((&session["status"], &session["payment_status"]), (&json!("open"), &json!("unpaid")));
    assert_eq!((&session["amount_total"], &session["payment_intent"]), (&json!(2_500), &Value::Null));
    let answer = pay(&api, &session, "4242424242424242").await;
    let done = format!("http://shop.example/done?session={}", session["id"].as_str().unwrap());
    assert_eq!((answer.status, answer.header("location")), (303, Some(done.as_str())));
    let paid = read(&api, &session).await;
    assert_eq!(
        (&paid["status"], &paid["payment_status"], &paid["url"]),
        (&json!("complete"), &json!("paid"), &Value::Null)
    );
    let intent = &paid["payment_intent"];
    assert_eq!((&intent["status"], &intent["metadata"]["order"]), (&json!("succeeded"), &json!("order-1")));
    assert_eq!((api.stat("orders_charged").await, events(&api, "checkout.session.completed").await), (1, 1));
    let again = pay(&api, &session, "4242424242424242").await;
    assert_eq!((again.status, api.stat("charges_succeeded").await), (303, 1), "paid once only");
    let listed = api.get(PATH, &[("payment_intent", intent["id"].as_str().unwrap())]).await.ok();
    assert_eq!(listed["data"][0]["id"], session["id"]);
    assert!(api.get(PATH, &[("status", "open")]).await.ok()["data"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_declined_card_is_told_on_the_page_and_another_one_pays_with_the_same_intent() {
    let api = Api::start().await;
    let session = create(&api, &[]).await.ok();
    let declined = pay(&api, &session, "4000000000000002").await;
    assert!(declined.status == 200 && declined.text.contains("Your card was declined."), "{}", declined.text);
    let typo = pay(&api, &session, "4242424242424241").await;
    assert!(typo.text.contains("Your card number is incorrect."));
    let intent = read(&api, &session).await["payment_intent"]["id"].clone();
    let challenge = pay(&api, &session, "4000000000003220").await;
    assert!(challenge.header("location").unwrap().starts_with("/_sandbox/3ds/pi_"));
    let back = api.answer_challenge(&api.intent(&intent).await, "fail").await;
    assert!(back.header("location").unwrap().starts_with(session["url"].as_str().unwrap()));
    pay(&api, &session, "4000000000003220").await;
    api.answer_challenge(&api.intent(&intent).await, "complete").await;
    let paid = read(&api, &session).await;
    assert_eq!((&paid["payment_status"], &paid["payment_intent"]["id"]), (&json!("paid"), &intent));
}

#[tokio::test]
async fn an_open_session_can_be_expired_and_a_complete_one_cannot() {
    let api = Api::start().await;
    let session = create(&api, &[]).await.ok();
    pay(&api, &session, "4000000000003220").await;
    let intent = read(&api, &session).await["payment_intent"]["id"].clone();
    let cancel = format!("/v1/payment_intents/{}/cancel", intent.as_str().unwrap());
    assert!(api.post(&cancel, &[]).await.error(400)["message"].as_str().unwrap().contains("Checkout Session"));
    let expire = format!("{PATH}/{}/expire", session["id"].as_str().unwrap());
    assert_eq!(api.post(&expire, &[]).await.ok()["status"], "expired");
    assert_eq!(api.intent(&intent).await["status"], "canceled", "what was begun on the page");
    api.post(&expire, &[]).await.error(400);
    let late = pay(&api, &session, "4242424242424242").await;
    assert!(late.text.contains("This page is over") && api.stat("charges_succeeded").await == 0);
    assert_eq!(events(&api, "checkout.session.expired").await, 1);

    let paid = create(&api, &[]).await.ok();
    pay(&api, &paid, "4242424242424242").await;
    let expire = format!("{PATH}/{}/expire", paid["id"].as_str().unwrap());
    assert!(api.post(&expire, &[]).await.error(400)["message"].as_str().unwrap().contains("`complete`"));
}

#[tokio::test]
async fn a_session_ends_by_the_sandboxs_own_clock() {
    let api = Api::start().await;
    let session = create(&api, &[]).await.ok();
    api.control(json!({"forward_seconds": 3_590})).await;
    assert_eq!(read(&api, &session).await["status"], "open");
    api.control(json!({"forward_seconds": 20})).await;
    assert_eq!(read(&api, &session).await["status"], "expired");
}

#[tokio::test]
async fn what_stripe_would_refuse_is_refused_with_the_parameters_name() {
    let api = Api::start().await;
    let soon = (now() + 60).to_string();
    for (name, value, param) in [
        ("mode", "subscription", "mode"),
        ("success_url", "/done", "success_url"),
        ("line_items[0][quantity]", "0", "line_items[0][quantity]"),
        ("line_items[0][price_data][unit_amount]", "-1", "line_items[0][price_data][unit_amount]"),
        ("expires_at", &soon, "expires_at"),
        ("payment_method_types[]", "paypal", "payment_method_types"),
        ("discounts[0][coupon]", "x", "discounts"),
        ("payment_intent_data[odd]", "x", "payment_intent_data[odd]"),
    ] {
        assert_eq!(create(&api, &[(name, value)]).await.error(400)["param"], param, "{name}={value}");
    }
    api.get(&format!("{PATH}/cs_test_none"), &[]).await.error(404);
}
