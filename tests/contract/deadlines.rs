//! Deadlines: of the buyer's thinking time, and of an order that waits for its buyer. The shortest hold that a sale may
//! have is ten seconds, and these tests wait for its end as a shopper would: by what the room is told.

use tests::harness::client::Room;
use tests::harness::shop::Shop;
use uuid::Uuid;

async fn until_free(room: &mut Room, free: u64) {
    while room.next_of("stock").await["tiers"][0]["free"] != free {}
}

#[tokio::test]
async fn a_hold_expires_by_thinking_time_only_and_never_once_an_order_has_it() {
    let shop = Shop::start(&[]).await;
    shop.sale("quick", 5, &["--hold-seconds", "10"]).await;
    let (thinker, payer) = (shop.customer().await, shop.customer().await);
    let mut room = thinker.room(&["quick"]).await;
    let (hold, (status, held)) = thinker.hold("quick", 2).await;
    assert_eq!(status, 201);
    assert!((1..=10_000).contains(&held["expires_in_ms"].as_i64().unwrap()), "{held}");
    // The card is declined: the order waits for another one, longer than the hold would have lasted.
    let (paying, _) = payer.hold("quick", 1).await;
    let order = Uuid::new_v4();
    let mut waiting = payer.room(&[]).await;
    assert_eq!(payer.post("/charges", &payer.payment(order, paying, "pm_card_chargeDeclined")).await.0, 202);
    waiting.until(order, &["declined"]).await;

    until_free(&mut room, 2).await;
    until_free(&mut room, 4).await;
    let late = thinker.payment(Uuid::new_v4(), hold, "pm_card_visa");
    let (status, refusal) = thinker.post("/charges", &late).await;
    assert_eq!((status, &refusal["code"]), (409, &"hold_expired".into()));
    let tier = shop.check("quick").await["tiers"][0].clone();
    assert_eq!((&tier["pinned"], &tier["free"]), (&1.into(), &4.into()), "{tier}");

    assert_eq!(payer.post("/charges", &payer.payment(order, paying, "pm_card_visa")).await.0, 202);
    waiting.until(order, &["paid"]).await;
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn a_declined_order_whose_time_is_over_is_closed_at_stripe_before_its_stock_is_free() {
    let shop = Shop::start(&[("RETRY_SECONDS", "1"), ("ORDER_SECONDS", "1")]).await;
    shop.sale("quick", 1, &["--hold-seconds", "10"]).await;
    let client = shop.customer().await;
    let mut room = client.room(&["quick"]).await;
    let (order, (status, _)) = client.buy("quick", 1, "pm_card_chargeDeclined").await;
    assert_eq!(status, 202);
    let declined = room.until(order, &["declined"]).await;
    assert!((1..=10_000).contains(&declined["expires_in_ms"].as_i64().unwrap()), "{declined}");

    room.until(order, &["expired"]).await;
    until_free(&mut room, 1).await;
    let shown = shop.cli_json(&["order", "show", &order.to_string()]).await;
    let story: Vec<&str> =
        shown["audit"].as_array().unwrap().iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(story.last(), Some(&"expired"), "{story:?}");
    let log = shop.sandbox_log().await;
    assert!(log.iter().any(|path| path.ends_with("/cancel")), "it was closed at Stripe first: {log:?}");

    let again = client.purchase(order, "quick", 1, "pm_card_visa");
    let (status, refusal) = client.post("/charges", &again).await;
    assert_eq!((status, &refusal["code"]), (409, &"hold_expired".into()), "{refusal}");
    let other = shop.customer().await;
    let (next, (status, _)) = other.buy("quick", 1, "pm_card_visa").await;
    assert_eq!(status, 202, "its stock is back");
    other.room(&[]).await.until(next, &["paid"]).await;
    shop.expect_single_charges(1).await;
    shop.check("quick").await;
}

#[tokio::test]
async fn the_sixth_declined_card_ends_the_order_and_frees_its_stock() {
    let shop = Shop::start(&[]).await;
    shop.sale("six", 1, &[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&["six"]).await;
    let order = Uuid::new_v4();
    let cards = ["", "InsufficientFunds", "LostCard", "ExpiredCard", "IncorrectCvc", "ProcessingError"];
    for (attempt, card) in cards.iter().enumerate() {
        let purchase = client.purchase(order, "six", 1, &format!("pm_card_chargeDeclined{card}"));
        assert_eq!(client.post("/charges", &purchase).await.0, 202, "attempt {}", attempt + 1);
        room.until(order, &["declined"]).await;
    }
    room.until(order, &["expired"]).await;
    until_free(&mut room, 1).await;
    let stats = shop.stats().await;
    assert_eq!((&stats["charges_declined"], &stats["payment_intents"]), (&6.into(), &1.into()), "{stats}");
    shop.check("six").await;
}

#[tokio::test]
async fn pages_get_durations_not_instants() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    client.hold("demo", 1).await;
    let mut room = client.room(&["demo"]).await;
    let (order, _) = client.buy("demo", 1, "pm_card_chargeDeclined").await;
    room.until(order, &["declined"]).await;
    let welcome = client.room(&["demo"]).await.next().await.unwrap();
    assert!(welcome["holds"][0]["expires_in_ms"].is_i64() && welcome["orders"][0]["expires_in_ms"].is_i64());
    for word in ["expires_at", "deadline", "until"] {
        assert!(!welcome.to_string().contains(word), "{word} in {welcome}");
    }
}

#[tokio::test]
async fn early_bird_prices_that_end_during_a_hold_are_honoured_until_the_holds_end_only() {
    let shop = Shop::start(&[]).await;
    shop.sale("early", 5, &["--hold-seconds", "10"]).await;
    let (quick, slow) = (shop.customer().await, shop.customer().await);
    let mut room = slow.room(&["early"]).await;
    let (paid_in_time, (status, _)) = quick.hold("early", 1).await;
    assert_eq!(status, 201);
    let (too_late, (status, _)) = slow.hold("early", 1).await;
    assert_eq!(status, 201);
    shop.cli_json(&["sale", "close", "early"]).await;

    let order = Uuid::new_v4();
    assert_eq!(quick.post("/charges", &quick.payment(order, paid_in_time, "pm_card_visa")).await.0, 202);
    let paid = quick.room(&[]).await.until(order, &["paid"]).await;
    assert_eq!(paid["amount"], 2_500, "the price of the hold");
    until_free(&mut room, 3).await;
    until_free(&mut room, 4).await;
    let (status, refusal) = slow.post("/charges", &slow.payment(Uuid::new_v4(), too_late, "pm_card_visa")).await;
    assert_eq!((status, &refusal["code"]), (409, &"hold_expired".into()));
    let (_, (status, refusal)) = slow.hold("early", 1).await;
    assert_eq!((status, &refusal["code"]), (409, &"not_open".into()), "and there is no other at that price");
    shop.expect_single_charges(1).await;
}
