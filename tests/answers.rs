//! What each answer of Stripe's means to an order, with the sandbox as Stripe and the whole shop before it: one story
//! per row of the table in `shared/src/stripe/answer.rs`, as far as it can be seen from outside. (What takes hours, or
//! another build, is told by the worker's own stories, under a clock of theirs.)

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tests::harness::client::exchange;
use tests::harness::shop::Shop;
use uuid::Uuid;

/// Makes the next charge meet a fault.
async fn next_charge(shop: &Shop, fault: &str, reason: Option<&str>, count: u32) {
    let mut fault = json!({"fault": fault, "method": "POST", "path": "/v1/payment_intents", "count": count});
    if let Some(reason) = reason {
        fault["reason"] = reason.into();
    }
    shop.control_sandbox(json!({ "faults": [fault] })).await;
}

/// Buys one ticket, and waits for one of these states.
async fn buys(shop: &Shop, states: &[&str]) -> (Uuid, Value) {
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, (status, body)) = client.buy("demo", 1, "pm_card_visa").await;
    assert_eq!(status, 202, "{body}");
    let end = room.until(order, states).await;
    (order, end)
}

/// What the sandbox saw under the key of an order's first attempt.
async fn under_its_key(shop: &Shop, order: Uuid) -> Value {
    let url = format!("{}/_sandbox/keys?key={}", shop.sandbox_url(), shared::stripe::idempotency_key(order, 1));
    tests::harness::client::get(&url).await.expect("the sandbox").1
}

#[tokio::test]
async fn each_reason_of_a_429_and_both_conflicts_wait_and_charge_once_with_the_same_key() {
    let shop = Shop::start(&[]).await;
    let mut paid = 0;
    for (fault, reason) in [
        ("http_429", Some("endpoint-rate")),
        ("http_429", Some("endpoint-concurrency")),
        ("http_429", Some("global-rate")),
        ("http_429", Some("global-concurrency")),
        ("http_429", Some("resource-specific")),
        ("lock_timeout", None),
        ("key_in_use", None),
    ] {
        next_charge(&shop, fault, reason, 2).await;
        let (order, _) = buys(&shop, &["paid"]).await;
        let seen = under_its_key(&shop, order).await;
        assert_eq!(seen["executions"], 1, "{fault} {reason:?}: {seen}");
        paid += 1;
        shop.expect_single_charges(paid).await;
    }
    assert_eq!(shop.check("demo").await["ok"], true);
}

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_asked_for_again_and_charges_once() {
    let shop = Shop::start(&[]).await;
    for fault in ["answer_lost_after_commit", "answer_lost_before", "http_503_html"] {
        next_charge(&shop, fault, None, 2).await;
        let (order, _) = buys(&shop, &["paid"]).await;
        assert_eq!(under_its_key(&shop, order).await["executions"], 1, "{fault}");
    }
    shop.expect_single_charges(3).await;
}

#[tokio::test]
async fn a_stored_500_that_replays_is_looked_up_and_says_what_became_of_the_payment() {
    let shop = Shop::start(&[]).await;
    next_charge(&shop, "http_500_after_commit", None, 1).await;
    buys(&shop, &["paid"]).await;
    next_charge(&shop, "http_500", None, 1).await;
    let (_, declined) = buys(&shop, &["declined"]).await;
    assert_eq!(declined["decline"]["code"], "processing_error", "nothing was charged: {declined}");
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn a_key_that_was_used_with_other_parameters_is_looked_up_and_never_replaced() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let order = Uuid::new_v4();
    // Somebody has used the key before, for something else.
    let request = Request::post(format!("{}/v1/customers", shop.sandbox_url()))
        .header("authorization", "Bearer sk_test_sandbox")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("idempotency-key", shared::stripe::idempotency_key(order, 1));
    assert_eq!(exchange(request.body(Full::from("name=A")).unwrap()).await.unwrap().status, 200);
    let mut room = client.room(&[]).await;
    let (status, body) = client.post("/charges", &client.purchase(order, "demo", 1, "pm_card_visa")).await;
    assert_eq!(status, 202, "{body}");
    room.until(order, &["declined"]).await;
    shop.expect_single_charges(0).await;
    assert!(shop.log().contains("a key was used with other parameters"), "{}", shop.log());
}

#[tokio::test]
async fn a_401_halts_loudly_keeps_the_order_and_its_stock_and_goes_on_when_the_key_is_right() {
    let sandbox = Shop::sandbox_alone().await;
    let base = sandbox.sandbox_url();
    let at = [("STRIPE_API_BASE", base.as_str()), ("STRIPE_PUBLISHABLE_KEY", "pk_test_sandbox")];
    let mut shop = Shop::start(&[at.as_slice(), &[("STRIPE_SECRET_KEY", "sk_unknown_1")]].concat()).await;
    let client = shop.customer().await;
    let (order, (status, _)) = client.buy("demo", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    let said = async { while !shop.log().contains("Stripe refuses our key") {} };
    tokio::time::timeout(Duration::from_secs(30), said).await.expect("a loud word");
    assert_eq!(client.order(order).await["state"], "charging");
    assert_eq!(shop.check("demo").await["tiers"][0]["held"], 1);
    shop.kill().await;
    shop.start_again(&[("STRIPE_SECRET_KEY", "sk_test_sandbox")]).await;
    client.room(&[]).await.until(order, &["paid"]).await;
    sandbox.expect_charges(1).await;
}

#[tokio::test]
async fn a_token_that_stripe_does_not_know_declines_the_order_and_another_card_pays_it() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, (status, _)) = client.buy("demo", 1, "pm_of_another_account").await;
    assert_eq!(status, 202);
    room.until(order, &["declined"]).await;
    shop.expect_single_charges(0).await;
}
