//! Hosted Checkout as an API client sees it: an address to pay at, and what comes of being there.

use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tests::harness::client::{Client, Reply, Room, exchange};
use tests::harness::shop::Shop;
use uuid::Uuid;

const GOOD: &str = "4242424242424242";
const DECLINES: &str = "4000000000000002";

fn purchase(client: &Client, order: Uuid, sale: &str) -> Value {
    let mut purchase = client.purchase(order, sale, 1, "");
    purchase.as_object_mut().unwrap().remove("token");
    purchase
}

/// Asks for a page; its address.
async fn page(client: &Client, order: Uuid) -> String {
    let (status, answer) = client.post("/checkout", &purchase(client, order, "demo")).await;
    assert_eq!(status, 201, "{answer}");
    super::is_an_order(&answer["order"]);
    let url = answer["url"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(
        (&answer["order"]["state"], &answer["order"]["action"]["url"]),
        (&"requires_action".into(), &url.into())
    );
    url.to_owned()
}

/// Types a card into Stripe's page.
async fn pay_there(url: &str, card: &str) -> Reply {
    let form = format!("email=a%40example.com&number={card}&expiry=12%2F40&cvc=123&name=A");
    let request = Request::post(url).header("content-type", "application/x-www-form-urlencoded");
    exchange(request.body(Full::from(form)).unwrap()).await.unwrap()
}

async fn hold_webhooks(shop: &Shop) {
    shop.control_sandbox(json!({"webhooks": {"hold": true}})).await;
}

async fn refresh(client: &Client, order: Uuid, body: Value) {
    let (status, answer) = client.post(&format!("/api/orders/{order}/refresh"), &body).await;
    assert_eq!(status, 202, "{answer}");
}

#[tokio::test]
async fn a_page_is_made_told_in_the_room_and_paid_and_a_repeat_is_the_same_page() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let order = Uuid::now_v7();
    let url = page(&client, order).await;
    let told = room.until(order, &["requires_action"]).await;
    assert_eq!(told["action"], json!({ "url": url }));
    assert!((1..=600_000).contains(&told["expires_in_ms"].as_i64().unwrap()), "{told}");
    assert_eq!(page(&client, order).await, url, "the same call, the same page");
    assert_eq!(client.room(&[]).await.next_of("welcome").await["orders"][0]["action"]["url"], url.as_str());
    let paid = pay_there(&url, GOOD).await;
    let back = format!("{}/sales/demo?order={order}&checkout=done", shop.url());
    assert_eq!((paid.status, paid.header("location")), (303, back.as_str()));
    let told = room.until(order, &["paid"]).await;
    assert!(told["action"].is_null() && told["charge"].as_str().unwrap().starts_with("ch_"), "{told}");
    let (status, answer) = client.post("/checkout", &purchase(&client, order, "demo")).await;
    assert_eq!((status, &answer["url"], &answer["order"]["state"]), (200, &Value::Null, &"paid".into()));
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn when_no_webhook_comes_the_shop_looks_once_it_is_asked() {
    let shop = Shop::start(&[]).await;
    hold_webhooks(&shop).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let order = Uuid::now_v7();
    let url = page(&client, order).await;
    refresh(&client, order, json!({})).await;
    assert_eq!(client.order(order).await["state"], "requires_action", "to come back pays nothing");
    pay_there(&url, GOOD).await;
    refresh(&client, order, json!({})).await;
    room.until(order, &["paid"]).await;
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn who_gives_the_page_up_pays_with_a_card_and_who_was_declined_pays_on_a_page() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let order = Uuid::now_v7();
    let url = page(&client, order).await;
    assert_eq!(pay_there(&url, DECLINES).await.status, 200, "tried, and told there");
    let card = client.purchase(order, "demo", 1, "pm_card_visa_chargeDeclined");
    assert_eq!(client.post("/charges", &card).await.1["code"], "order_in_progress");
    refresh(&client, order, json!({"give_up": true})).await;
    room.until(order, &["declined"]).await;
    assert!(pay_there(&url, GOOD).await.text().contains("This page is over"));
    let (status, pending) = client.post("/charges", &card).await;
    assert_eq!(status, 202);
    until_declined_again(&mut room, order, &pending).await;
    let second = page(&client, order).await;
    assert_ne!(second, url);
    pay_there(&second, GOOD).await;
    room.until(order, &["paid"]).await;
    let stats = shop.stats().await;
    assert_eq!((&stats["orders_charged"], &stats["orders_charged_more_than_once"]), (&1.into(), &0.into()), "{stats}");
}

/// The room may tell of the decline before once more; this one comes after another attempt.
async fn until_declined_again(room: &mut Room, order: Uuid, pending: &Value) {
    while room.until(order, &["declined"]).await["version"].as_i64() <= pending["version"].as_i64() {}
}

#[tokio::test]
async fn money_that_comes_when_all_is_over_goes_by_the_sales_policy() {
    let shop = Shop::start(&[("CHECKOUT_SECONDS", "1"), ("DEMO", "false")]).await;
    shop.sale("demo", 5, &[]).await;
    shop.sale("strict", 5, &["--late", "refund"]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    for (sale, end, refunds) in [("demo", "paid", 0), ("strict", "expired", 1)] {
        let order = Uuid::now_v7();
        let (status, answer) = client.post("/checkout", &purchase(&client, order, sale)).await;
        assert_eq!(status, 201, "{answer}");
        room.until(order, &["expired"]).await;
        assert!(pay_there(answer["url"].as_str().unwrap(), GOOD).await.text().contains("This page is over"));
        shop.pay_elsewhere(&order.to_string(), 2_500).await;
        // The room may tell of its end once more before it tells of the money.
        while !room.until(order, &[end]).await["charge"].is_string() {}
        let gone_back = async { while shop.stats().await["refunds"] != refunds {} };
        tokio::time::timeout(std::time::Duration::from_secs(20), gone_back).await.expect("a refund");
        assert_eq!(
            shop.cli_json(&["sale", "show", sale]).await["late"],
            if refunds == 0 { "fulfil" } else { "refund" }
        );
        shop.check(sale).await;
    }
}

#[tokio::test]
async fn what_charges_would_refuse_checkout_refuses_too() {
    let shop = Shop::start(&[("DEMO", "false")]).await;
    shop.sale("demo", 1, &[]).await;
    let (client, stranger) = (shop.customer().await, shop.customer().await);
    let order = Uuid::now_v7();
    let good = purchase(&client, order, "demo");
    for (field, value) in [("email", json!("nobody")), ("name", json!("")), ("order", json!(Uuid::nil()))] {
        let mut bad = good.clone();
        bad[field] = value;
        let (status, problem) = client.post("/checkout", &bad).await;
        assert_eq!((status, &problem["field"]), (422, &field.into()), "{problem}");
    }
    page(&client, order).await;
    let (status, problem) = stranger.post("/checkout", &purchase(&stranger, order, "demo")).await;
    assert_eq!((status, &problem["code"]), (409, &"order_conflict".into()), "{problem}");
    let (status, problem) = stranger.post("/checkout", &purchase(&stranger, Uuid::now_v7(), "demo")).await;
    assert_eq!((status, &problem["code"]), (409, &"sold_out".into()), "{problem}");
    let (status, problem) = stranger.post(&format!("/api/orders/{order}/refresh"), &json!({"give_up": true})).await;
    assert_eq!((status, &problem["code"]), (404, &"not_found".into()), "{problem}");
}

#[tokio::test]
async fn while_stripe_is_silent_the_caller_is_told_when_to_ask_again_and_gets_the_same_page_then() {
    let shop = Shop::start(&[]).await;
    let fault = json!({"fault": "http_503_html", "path": "/v1/checkout/sessions", "count": 1000});
    shop.control_sandbox(json!({"faults": [fault]})).await;
    let client = shop.customer().await;
    let order = Uuid::now_v7();
    let (status, problem) = client.post("/checkout", &purchase(&client, order, "demo")).await;
    assert_eq!((status, &problem["code"], &problem["retry_in_ms"]), (503, &"unavailable".into(), &1_000.into()));
    shop.control_sandbox(json!({"clear_faults": true})).await;
    let mut room = client.room(&[]).await;
    if client.order(order).await["state"] != "requires_action" {
        room.until(order, &["requires_action"]).await;
    }
    page(&client, order).await;
    assert_eq!(client.order(order).await["state"], "requires_action");
}
