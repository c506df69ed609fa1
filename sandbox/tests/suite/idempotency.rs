//! Idempotency keys over HTTP.

use serde_json::json;

use crate::harness::{Api, purchase, quick};

#[tokio::test]
async fn a_key_charges_once_however_often_it_is_sent() {
    let api = Api::start().await;
    let first = api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await;
    assert_eq!((first.header("idempotency-key"), first.header("idempotent-replayed")), (Some("k"), None));
    for _ in 0..3 {
        let again = api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.header("original-request"), first.header("request-id"));
        assert_eq!(again.text, first.text);
    }
    assert_eq!((api.stat("charges_succeeded").await, api.stat("idempotent_replays").await), (1, 3));
    let counts = api.get("/_sandbox/keys", &[("key", "k")]).await.ok();
    assert_eq!(counts, json!({"requests": 4, "executions": 1, "replays": 3, "conflicts": 0}));
}

#[tokio::test]
async fn a_decline_is_remembered_like_any_other_answer() {
    let api = Api::start().await;
    let first = api.keyed("k", "/v1/payment_intents", &purchase("pm_card_chargeDeclined")).await;
    let again = api.keyed("k", "/v1/payment_intents", &purchase("pm_card_chargeDeclined")).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (402, Some("true")));
    assert_eq!(again.text, first.text);
    assert_eq!(api.stat("charges_declined").await, 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_parameters_and_to_its_path() {
    let api = Api::start().await;
    api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await.ok();
    let error = api.keyed("k", "/v1/payment_intents", &purchase("pm_card_amex")).await.error(400);
    assert_eq!(error["type"], "idempotency_error");
    let error = api.keyed("k", "/v1/customers", &[]).await.error(400);
    assert_eq!(error["type"], "idempotency_error");
}

#[tokio::test]
async fn what_was_refused_before_it_executed_leaves_the_key_free() {
    let api = Api::start().await;
    let mut form = purchase("pm_card_visa");
    form[0].1 = "none";
    assert_eq!(api.keyed("k", "/v1/payment_intents", &form).await.error(400)["code"], "parameter_invalid_integer");
    api.with_key("sk_live_x").keyed("k", "/v1/payment_intents", &form).await.error(401);
    api.control(json!({"faults": [{"fault": "http_429", "reason": "global-concurrency"}]})).await;
    let throttled = api.keyed("k", "/v1/payment_intents", &form).await;
    assert_eq!(throttled.header("stripe-rate-limited-reason"), Some("global-concurrency"));
    assert_eq!(throttled.error(429)["code"], "rate_limit");
    let paid = api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await;
    assert_eq!((paid.header("idempotent-replayed"), paid.status), (None, 200));
    let mut long = String::from("k");
    long.extend(std::iter::repeat_n('k', 255));
    api.keyed(&long, "/v1/payment_intents", &form).await.error(400);
}

#[tokio::test]
async fn of_twenty_requests_with_one_key_at_once_one_executes_and_the_others_are_told_to_wait() {
    let api = Api::start_with(sandbox::Config { latency: "300ms".parse().unwrap(), ..quick() }).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let api = Api::at(api.base.clone());
        tasks.spawn(async move { api.keyed("k", "/v1/payment_intents", &purchase("pm_card_visa")).await });
    }
    let answers = tasks.join_all().await;
    let (paid, waiting): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!(!paid.is_empty() && paid.iter().all(|answer| answer.text == paid[0].text));
    for answer in waiting {
        assert_eq!(answer.error(409)["code"], "idempotency_key_in_use");
    }
    assert_eq!(api.stat("charges_succeeded").await, 1);
}

#[tokio::test]
async fn beyond_the_budget_of_an_endpoint_requests_are_throttled_and_may_be_sent_again() {
    let api = Api::start_with(sandbox::Config { rate_limit: Some(1), ..quick() }).await;
    api.keyed("a", "/v1/payment_intents", &purchase("pm_card_visa")).await.ok();
    let throttled = api.keyed("b", "/v1/payment_intents", &purchase("pm_card_visa")).await;
    assert_eq!(throttled.header("stripe-rate-limited-reason"), Some("endpoint-rate"));
    assert_eq!(throttled.error(429)["code"], "rate_limit");
    api.get("/v1/payment_intents", &[]).await.ok();
    assert_eq!(api.stat("throttled").await, 1);
    api.control(json!({"rate_limit": 0})).await;
    assert_eq!(
        api.keyed("b", "/v1/payment_intents", &purchase("pm_card_visa")).await.header("idempotent-replayed"),
        None
    );
}

#[tokio::test]
async fn two_confirmations_of_one_intent_pay_once() {
    let api = Api::start_with(sandbox::Config { latency: "50ms".parse().unwrap(), ..quick() }).await;
    let intent = api.post("/v1/payment_intents", &[("amount", "2500"), ("currency", "usd")]).await.ok();
    let path = format!("/v1/payment_intents/{}/confirm", intent["id"].as_str().unwrap());
    let (one, two) = tokio::join!(
        api.keyed("one", &path, &[("payment_method", "pm_card_visa")]),
        api.keyed("two", &path, &[("payment_method", "pm_card_amex")]),
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(api.stat("charges_succeeded").await, 1);
}
