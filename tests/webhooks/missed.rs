//! Webhooks that never come.

use std::time::Duration;

use serde_json::{Value, json};
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::redis::Redis;
use tests::harness::shop::Shop;

#[tokio::test]
async fn an_answer_that_is_lost_with_its_worker_and_its_webhook_is_found_in_stripes_list() {
    // No endpoint is registered anywhere: whatever Stripe would tell is told to nobody.
    let mut fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 1, 0, &[]).await;
    fleet.sale("night", 5, &[]).await;
    let client = fleet.customer(0).await;
    let mut room = client.room(&[]).await;
    fleet.add_worker(&[("STAMPEDE_CRASH_AT", "after_stripe_answer")]);
    let (order, (status, _)) = client.buy("night", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    fleet.worker_ended(0).await;

    // Whoever sends the request again hears nothing of use: reading is all that works.
    let away = json!({"fault": "http_503_html", "method": "POST", "path": "/v1/payment_intents", "count": 1_000_000});
    fleet.control_sandbox(json!({"faults": [away]})).await;
    fleet.start_worker(0, &[]);
    let paid = tokio::time::timeout(Duration::from_secs(60), room.until(order, &["paid"])).await;
    paid.expect("within a minute");
    assert!(fleet.sandbox_log().await.iter().any(|path| path == "/v1/events"));
    fleet.expect_single_charges(1).await;
    assert_eq!(fleet.check("night").await["tiers"][0]["sold"], 1);
}

#[tokio::test]
async fn a_shop_and_its_stripe_agree_until_somebody_takes_money_for_an_order_that_nobody_knows() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let (order, _) = client.buy("demo", 1, "pm_card_visa").await;
    client.room(&[]).await.until(order, &["paid"]).await;
    let agreed = shop.cli_json(&["stripe", "reconcile", "--hours", "1"]).await;
    assert_eq!((&agreed["ok"], &agreed["unmatched"]), (&true.into(), &json!([])), "{agreed}");

    let stranger = uuid::Uuid::new_v4();
    let form = format!(
        "amount=700&currency=usd&payment_method=pm_card_visa&confirm=true&payment_method_types[]=card&metadata[order]={stranger}"
    );
    let request = hyper::Request::post(format!("{}/v1/payment_intents", shop.sandbox_url()))
        .header("authorization", "Bearer sk_test_sandbox")
        .header("content-type", "application/x-www-form-urlencoded");
    let taken =
        tests::harness::client::exchange(request.body(http_body_util::Full::from(form)).unwrap()).await.unwrap();
    assert_eq!(taken.status, 200, "{}", taken.text());

    let output = shop.cli(&["stripe", "reconcile", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &found["unmatched"][0];
    assert_eq!((&row["reason"], &row["amount"]), (&"unknown_order".into(), &700.into()), "{found}");
    assert_eq!(row["order"], stranger.to_string());

    let payment_intent = row["payment_intent"].as_str().unwrap();
    let dismissed = shop.cli_json(&["stripe", "dismiss", payment_intent]).await;
    assert_eq!(dismissed["left"], 0);
    assert!(!shop.cli(&["stripe", "dismiss", payment_intent]).await.status.success());
}
