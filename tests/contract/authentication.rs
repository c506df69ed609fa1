//! Strong authentication (3-D Secure) as an API client sees it: what it is given, and how it says that it is done.

use serde_json::{Value, json};
use tests::harness::client::{Client, Room};
use tests::harness::shop::Shop;
use uuid::Uuid;

const SECURE: &str = "pm_card_threeDSecure2Required";

/// An order whose buyer is being asked by the bank, and the secret with which the page goes on.
async fn asked(client: &Client, room: &mut Room) -> (Uuid, String) {
    let (order, (status, answer)) = client.buy("demo", 1, SECURE).await;
    assert_eq!(status, 202, "{answer}");
    let asked = room.until(order, &["requires_action"]).await;
    assert!((1..=300_000).contains(&asked["expires_in_ms"].as_i64().unwrap()), "{asked}");
    let secret = asked["action"]["client_secret"].as_str().unwrap_or_else(|| panic!("{asked}"));
    (order, secret.to_owned())
}

fn refresh(order: Uuid) -> String {
    format!("/api/orders/{order}/refresh")
}

#[tokio::test]
async fn the_secret_is_in_its_customers_room_and_snapshot_until_it_is_of_no_use() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, secret) = asked(&client, &mut room).await;
    let mut later = client.room(&[]).await;
    let welcome = later.next_of("welcome").await;
    assert_eq!(welcome["orders"][0]["action"]["client_secret"], secret, "a page that comes later can go on");
    assert_eq!(client.order(order).await["action"]["client_secret"], secret);
    let shown = shop.cli_json(&["order", "show", &order.to_string()]).await;
    assert!(!shown.to_string().contains("_secret_"), "the operator has no use for it: {shown}");

    shop.answer_challenge(&secret, "complete").await;
    let paid = room.until(order, &["paid"]).await;
    assert_eq!(paid["action"], Value::Null);
    let mut last = client.room(&[]).await;
    assert!(!last.next_of("welcome").await.to_string().contains("_secret_"));
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn a_client_that_says_it_is_done_hears_the_result_though_no_webhook_comes() {
    let shop = Shop::start(&[]).await;
    shop.control_sandbox(json!({"webhooks": {"hold": true}})).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    for (outcome, state) in [("complete", "paid"), ("fail", "declined")] {
        let (order, secret) = asked(&client, &mut room).await;
        let (status, told) = client.post(&refresh(order), &json!({})).await;
        assert_eq!((status, &told["state"]), (202, &"requires_action".into()), "too early is no harm: {told}");
        shop.answer_challenge(&secret, outcome).await;
        assert_eq!(client.post(&refresh(order), &json!({})).await.0, 202);
        room.until(order, &[state]).await;
        let (status, told) = client.post(&refresh(order), &json!({})).await;
        assert_eq!((status, &told["state"]), (200, &state.into()), "nothing to ask: {told}");
    }
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn who_gives_up_can_use_another_card_and_the_old_question_pays_nothing() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, secret) = asked(&client, &mut room).await;
    let another = client.purchase(order, "demo", 1, "pm_card_visa");
    let (status, refusal) = client.post("/charges", &another).await;
    assert_eq!((status, &refusal["code"]), (409, &"order_in_progress".into()), "{refusal}");
    assert_eq!(client.post(&refresh(order), &json!({"give_up": true})).await.0, 202);
    let declined = room.until(order, &["declined"]).await;
    assert_eq!(declined["decline"]["code"], "authentication_required");
    shop.answer_challenge(&secret, "complete").await;
    assert_eq!(client.post("/charges", &another).await.0, 202);
    room.until(order, &["paid"]).await;
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn only_its_customer_can_have_an_order_looked_up_and_not_without_end() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, _) = asked(&client, &mut room).await;
    let stranger = shop.customer().await;
    for path in [refresh(order), refresh(Uuid::new_v4())] {
        let (status, refusal) = stranger.post(&path, &json!({"give_up": true})).await;
        assert_eq!((status, &refusal["code"]), (404, &"not_found".into()), "{refusal}");
    }
    let (status, refusal) = client.post(&refresh(order), &json!({"give_up": "yes"})).await;
    assert_eq!((status, &refusal["field"]), (422, &"give_up".into()), "{refusal}");
    let mut refused = 0;
    for _ in 0..20 {
        let (status, refusal) = client.post(&refresh(order), &json!({})).await;
        assert!(
            matches!((status, refusal["code"].as_str()), (202, _) | (429, Some("slow_down"))),
            "{status} {refusal}"
        );
        refused += u32::from(status == 429);
    }
    assert!(refused >= 14, "{refused}");
    let reads = shop.sandbox_log().await.into_iter().filter(|path| path.starts_with("/v1/payment_intents/pi_")).count();
    assert!(reads <= 12, "Stripe was asked {reads} times");
}

#[tokio::test]
async fn a_shop_killed_while_the_bank_asks_goes_on_with_the_same_question() {
    let mut shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let (order, secret) = asked(&client, &mut client.room(&[]).await).await;
    shop.kill().await;
    shop.start_again(&[]).await;
    let mut room = client.room(&[]).await;
    let welcome = room.next_of("welcome").await;
    assert_eq!(welcome["orders"][0]["action"]["client_secret"], secret, "{welcome}");
    shop.answer_challenge(&secret, "complete").await;
    assert_eq!(client.post(&refresh(order), &json!({})).await.1["id"], order.to_string());
    room.until(order, &["paid"]).await;
    shop.expect_single_charges(1).await;
    assert_eq!(shop.check("demo").await["tiers"][0]["sold"], 1);
}
