//! When it can be bought, and how much by whom.

use serde_json::json;
use tests::harness::client::Client;
use tests::harness::shop::Shop;
use uuid::Uuid;

/// A purchase with a mail address of its own choice; status and code.
async fn buy_as(client: &Client, sale: &str, quantity: u32, email: &str) -> (u16, String) {
    let mut body = client.purchase(Uuid::new_v4(), sale, quantity, "pm_card_visa");
    body["email"] = json!(email);
    let (status, answer) = client.post("/charges", &body).await;
    (status, answer["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn nothing_can_be_bought_before_the_sale_opens_nor_after_it_closed() {
    let shop = Shop::start(&[]).await;
    shop.sale("later", 5, &["--opens-at", "2099-01-01T00:00:00Z"]).await;
    let client = shop.customer().await;
    let (_, sale) = client.get("/api/sales/later").await;
    assert_eq!(sale["status"], "scheduled");
    assert!(sale["opens_at"].as_str().unwrap().starts_with("2099-01-01T00:00:00"));
    assert!(sale["opens_in_ms"].as_i64().unwrap() > 0, "a duration beside the instant");
    assert_eq!(client.hold("later", 1).await.1.1["code"], "not_open");
    let (_, (status, refusal)) = client.buy("later", 1, "pm_card_visa").await;
    assert_eq!((status, &refusal["code"]), (409, &"not_open".into()));

    shop.cli_json(&["sale", "open", "later"]).await;
    let (hold, (status, _)) = client.hold("later", 1).await;
    assert_eq!(status, 201);
    let (kept, (status, _)) = client.hold("later", 1).await;
    assert_eq!(status, 201);

    shop.cli_json(&["sale", "close", "later"]).await;
    assert_eq!(client.get("/api/sales/later").await.1["status"], "closed");
    assert_eq!(client.hold("later", 1).await.1.1["code"], "not_open");
    let order = Uuid::new_v4();
    let (status, _) = client.post("/charges", &client.payment(order, hold, "pm_card_visa")).await;
    assert_eq!(status, 202, "what is held can still be paid");
    client.room(&[]).await.until(order, &["paid"]).await;
    assert_eq!(client.delete(&format!("/api/holds/{kept}")).await.0, 204);
    shop.check("later").await;
}

#[tokio::test]
async fn sale_paused_mid_flight_takes_no_new_claims_and_keeps_what_is_held() {
    let shop = Shop::start(&[]).await;
    shop.sale("spring", 5, &[]).await;
    let client = shop.customer().await;
    let (hold, (status, _)) = client.hold("spring", 1).await;
    assert_eq!(status, 201);

    let paused = shop.cli_json(&["sale", "pause", "spring"]).await;
    assert_eq!(paused["status"], "paused");
    assert_eq!(client.hold("spring", 1).await.1.1["code"], "paused");
    let order = Uuid::new_v4();
    let payment = client.payment(order, hold, "pm_card_visa");
    for _ in 0..2 {
        let (status, refusal) = client.post("/charges", &payment).await;
        assert_eq!((status, &refusal["code"]), (409, &"paused".into()), "the ledger refuses, and the hold stays");
    }
    let (_, (status, refusal)) = client.buy("spring", 1, "pm_card_visa").await;
    assert_eq!((status, &refusal["code"]), (409, &"paused".into()));

    shop.cli_json(&["sale", "resume", "spring"]).await;
    assert_eq!(client.post("/charges", &payment).await.0, 202);
    client.room(&[]).await.until(order, &["paid"]).await;
    shop.check("spring").await;
}

#[tokio::test]
async fn the_limit_counts_by_customer_and_by_person_whatever_they_call_themselves() {
    let shop = Shop::start(&[]).await;
    shop.sale_of("fair", &["--tier", "std:Standard:2500:50:2"]).await;
    let client = shop.customer().await;
    let (_, (status, refusal)) = client.hold("fair", 3).await;
    assert_eq!((status, &refusal["code"], &refusal["tier"]), (409, &"limit_reached".into(), &"std".into()));
    assert_eq!(client.hold("fair", 1).await.1.0, 201);
    assert_eq!(client.hold("fair", 2).await.1.1["code"], "limit_reached", "holds count");
    assert_eq!(buy_as(&client, "fair", 1, "one@example.com").await.0, 202);
    assert_eq!(buy_as(&client, "fair", 1, "two@example.com").await, (409, "limit_reached".into()), "so do orders");

    let (other, third) = (shop.customer().await, shop.customer().await);
    assert_eq!(buy_as(&other, "fair", 2, "a.shopper@gmail.com").await.0, 202);
    for spelling in ["ashopper@gmail.com", "A.Shopper+tickets@googlemail.com", "a.s.h.o.p.p.e.r@gmail.com"] {
        assert_eq!(buy_as(&third, "fair", 1, spelling).await, (409, "limit_reached".into()), "{spelling}");
    }
    assert_eq!(buy_as(&third, "fair", 2, "somebody.else@gmail.com").await.0, 202, "refusals took nothing");
    let (_, sale) = client.get("/api/sales/fair").await;
    assert_eq!(sale["tiers"][0]["free"], 50 - 1 - 1 - 2 - 2);
    assert_eq!(shop.counter("second_gate_fired_total").await, 0);
}

#[tokio::test]
async fn a_cart_of_several_tiers_is_taken_whole_or_not_at_all_and_the_missing_one_named() {
    let shop = Shop::start(&[]).await;
    shop.sale_of("cart", &["--tier", "std:Standard:2500:10", "--tier", "vip:Front row:9900:1"]).await;
    let (client, late) = (shop.customer().await, shop.customer().await);
    let cart = [("std", 2), ("vip", 1)];
    let order = Uuid::new_v4();
    assert_eq!(client.post("/charges", &client.purchase_of(order, "cart", &cart, "pm_card_visa")).await.0, 202);
    let paid = client.room(&[]).await.until(order, &["paid"]).await;
    assert_eq!((&paid["amount"], paid["tickets"].as_array().unwrap().len()), (&14_900.into(), 3));
    let body = late.purchase_of(Uuid::new_v4(), "cart", &cart, "pm_card_visa");
    let (status, refusal) = late.post("/charges", &body).await;
    assert_eq!((status, &refusal["code"], &refusal["tier"]), (409, &"sold_out".into(), &"vip".into()));
    assert_eq!(shop.check("cart").await["tiers"][0]["free"], 8, "nothing of it was kept");

    shop.cli_json(&["sale", "add-stock", "cart", "vip", "1"]).await;
    assert_eq!(late.post("/charges", &body).await.0, 202, "stock that is added can be bought at once");
}

#[tokio::test]
async fn whoever_is_told_sold_out_never_reaches_stripe() {
    let shop = Shop::start(&[]).await;
    shop.sale("last", 1, &[]).await;
    let (one, two) = (shop.customer().await, shop.customer().await);
    let ((first, a), (second, b)) =
        futures::future::join(one.buy("last", 1, "pm_card_visa"), two.buy("last", 1, "pm_card_visa")).await;
    let (winner, order, loser) = if a.0 == 202 { (one, first, b) } else { (two, second, a) };
    assert_eq!((loser.0, &loser.1["code"]), (409, &"sold_out".into()));
    winner.room(&[]).await.until(order, &["paid"]).await;
    let asked = shop.sandbox_log().await;
    let charges = asked.iter().filter(|line| line.contains("/v1/payment_intents")).count();
    assert_eq!(charges, 1, "{asked:#?}");
    shop.check("last").await;
}

#[tokio::test]
async fn a_price_below_what_a_card_can_be_charged_is_refused_when_the_sale_is_made() {
    let shop = Shop::start(&[]).await;
    let made = shop
        .cli(&[
            "sale",
            "create",
            "--slug",
            "cheap",
            "--name",
            "cheap",
            "--currency",
            "usd",
            "--tier",
            "std:Standard:49:5",
        ])
        .await;
    assert!(!made.status.success());
    let told = [made.stdout, made.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(told.contains("50 minor units"), "{told}");
    shop.sale_of("cheap", &["--tier", "std:Standard:50:5"]).await;
    let client = shop.customer().await;
    let (order, (status, _)) = client.buy("cheap", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    client.room(&[]).await.until(order, &["paid"]).await;
}

#[tokio::test]
async fn a_free_order_is_paid_without_asking_stripe() {
    let shop = Shop::start(&[]).await;
    shop.sale_of("free", &["--tier", "std:Guest list:0:5:1"]).await;
    let client = shop.customer().await;
    let (order, (status, _)) = client.buy("free", 1, "pm_card_visa").await;
    assert_eq!(status, 202);
    let paid = client.room(&[]).await.until(order, &["paid"]).await;
    assert_eq!((&paid["amount"], &paid["charge"]), (&0.into(), &json!(null)));
    assert_eq!(shop.stats().await["requests"], 0);
    shop.check("free").await;
}
