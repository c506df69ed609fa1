//! What is sent twice happens once.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::harness::client::Client;
use tests::harness::shop::Shop;
use uuid::Uuid;

async fn expect_conflict(client: &Client, body: &Value, code: &str) {
    let (status, refusal) = client.post("/charges", body).await;
    assert_eq!((status, &refusal["code"]), (409, &code.into()), "{body}: {refusal}");
}

#[tokio::test]
async fn double_click_same_client_attempt_id_same_job_same_answer() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let order = Uuid::new_v4();
    let purchase = client.purchase(order, "demo", 1, "pm_card_visa");
    let (one, other) = tokio::join!(client.post("/charges", &purchase), client.post("/charges", &purchase));
    assert_eq!((one.0, other.0), (202, 202), "{one:?} {other:?}");
    client.room(&[]).await.until(order, &["paid"]).await;
    for _ in 0..5 {
        let (status, replay) = client.post("/charges", &purchase).await;
        assert_eq!((status, &replay["state"]), (202, &"paid".into()), "however often");
    }
    let other_card = client.purchase(order, "demo", 1, "pm_card_mastercard");
    let (status, answer) = client.post("/charges", &other_card).await;
    assert_eq!((status, &answer["state"]), (202, &"paid".into()), "what is paid cannot be paid again");
    shop.expect_single_charges(1).await;
    assert_eq!(shop.check("demo").await["tiers"][0]["sold"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_cards_at_once_on_one_order_are_one_charge_and_the_stock_adds_up() {
    const ORDERS: usize = 150;
    let shop = Shop::start(&[("LOG", "warn")]).await;
    shop.sale("race", 150, &[]).await;
    let cards = ["pm_card_visa", "pm_card_mastercard", "pm_card_amex", "pm_card_discover"];
    let stories = (0..ORDERS).map(|_| async {
        let (client, order) = (shop.customer().await, Uuid::new_v4());
        let at_once = cards.map(|card| {
            let (client, purchase) = (client.clone(), client.purchase(order, "race", 1, card));
            async move { client.post("/charges", &purchase).await }
        });
        for (status, body) in join_all(at_once).await {
            assert!(status == 202 || body["code"] == "order_in_progress", "{status} {body}");
        }
        client.room(&[]).await.until(order, &["paid"]).await;
    });
    join_all(stories).await;
    shop.expect_single_charges(150).await;
    let tier = shop.check("race").await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["free"], &tier["held"]), (&150.into(), &0.into(), &0.into()), "{tier}");
}

#[tokio::test]
async fn everything_but_the_token_is_compared() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let (hold, _) = client.hold("demo", 2).await;
    let order = Uuid::new_v4();
    let payment = client.payment(order, hold, "pm_card_visa");
    assert_eq!(client.post("/charges", &payment).await.0, 202);
    client.room(&[]).await.until(order, &["paid"]).await;

    let (other_hold, _) = client.hold("demo", 2).await;
    expect_conflict(&client, &client.payment(order, other_hold, "pm_card_visa"), "order_conflict").await;
    for (field, value) in [("email", "other@example.com"), ("name", "B. Shopper")] {
        let mut changed = payment.clone();
        changed[field] = json!(value);
        expect_conflict(&client, &changed, "order_conflict").await;
    }
    expect_conflict(&client, &client.purchase(order, "demo", 2, "pm_card_visa"), "order_conflict").await;

    let order = Uuid::new_v4();
    assert_eq!(client.post("/charges", &client.purchase(order, "demo", 1, "pm_card_visa")).await.0, 202);
    client.room(&[]).await.until(order, &["paid"]).await;
    expect_conflict(&client, &client.purchase(order, "demo", 2, "pm_card_visa"), "order_conflict").await;
    expect_conflict(&client, &client.purchase_of(order, "demo", &[("balcony", 1)], "pm_card_visa"), "order_conflict")
        .await;
    // What was refused holds nothing: only the hold that still waits does.
    assert_eq!(shop.check("demo").await["tiers"][0]["held"], 2);
    assert_eq!(client.delete(&format!("/api/holds/{other_hold}")).await.0, 204);
}

#[tokio::test]
async fn a_second_card_while_the_first_is_undecided_is_refused() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    shop.control_sandbox(json!({"faults": [{"fault": "hang"}], "webhooks": {"hold": true}})).await;
    let order = Uuid::new_v4();
    let first = client.purchase(order, "demo", 1, "pm_card_visa");
    assert_eq!(client.post("/charges", &first).await.0, 202);
    let mut room = client.room(&[]).await;
    shop.until_the_sandbox_holds_an_answer().await;
    expect_conflict(&client, &client.purchase(order, "demo", 1, "pm_card_mastercard"), "order_in_progress").await;
    let (status, replay) = client.post("/charges", &first).await;
    assert_eq!(status, 202, "the same token is a replay: {replay}");
    assert_eq!(replay["state"], "charging");
    shop.control_sandbox(json!({"clear_faults": true, "release": true})).await;
    room.until(order, &["paid"]).await;
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn unknown_is_not_failed_and_the_same_key_finds_the_one_charge() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    for fault in ["answer_lost_before", "answer_lost_after_commit", "http_503_html", "lock_timeout", "key_in_use"] {
        shop.control_sandbox(json!({"faults": [{"fault": fault, "method": "POST"}]})).await;
        let mut room = client.room(&[]).await;
        let (order, (status, _)) = client.buy("demo", 1, "pm_card_visa").await;
        assert_eq!(status, 202);
        let end = room.until(order, &["paid", "declined", "review"]).await;
        assert_eq!(end["state"], "paid", "{fault}: {end}");
    }
    shop.expect_single_charges(5).await;
    assert_eq!(shop.stats().await["payment_intents"], 5);
    shop.check("demo").await;
}

#[tokio::test]
async fn a_declined_card_is_told_kindly_and_the_next_one_pays_the_same_order() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let order = Uuid::new_v4();
    let stolen = client.purchase(order, "demo", 1, "pm_card_chargeDeclinedStolenCard");
    assert_eq!(client.post("/charges", &stolen).await.0, 202);
    let declined = room.until(order, &["declined"]).await;
    let decline = &declined["decline"];
    super::has(decline, &["code", "message", "retry_in_ms"]);
    assert_eq!(decline["code"], "card_declined", "the raw reason is not for whoever reads this");
    assert!(!declined.to_string().contains("stolen"), "{declined}");
    assert!(declined["expires_in_ms"].as_i64().unwrap() > 60_000, "at least two minutes to try again: {declined}");

    let (status, replay) = client.post("/charges", &stolen).await;
    assert_eq!((status, &replay["state"]), (202, &"declined".into()), "a token already seen is a replay");
    assert_eq!(client.post("/charges", &client.purchase(order, "demo", 1, "pm_card_visa")).await.0, 202);
    let paid = room.until(order, &["paid"]).await;
    assert_eq!(paid["decline"], json!(null));
    assert!(paid["version"].as_i64() > declined["version"].as_i64());
    let stats = shop.stats().await;
    assert_eq!((&stats["payment_intents"], &stats["charges_declined"]), (&1.into(), &1.into()), "{stats}");
    shop.expect_single_charges(1).await;

    let audit = shop.cli_json(&["order", "show", &order.to_string()]).await;
    assert_eq!((&audit["state"], &audit["attempt"]), (&"paid".into(), &2.into()), "{audit}");
}
