//! The whole process is killed (`kill -9`), at named points of a purchase and at random moments of a crowd, and started
//! again on the same data. The client does what the page does: where it had no answer, it sends the same order again.
//!
//! What must hold: every 202 ends in a final state that its shopper can see, whatever was killed, and no card is
//! charged twice. The sandbox keeps its charges in a file of its own, so that a crash forgets none.

mod crowd;
mod going_down;

use tests::harness::shop::Shop;
use uuid::Uuid;

/// A shop that will die at a point of the next purchase, with a sale `night` of ten.
async fn doomed(point: &str) -> Shop {
    let mut shop = Shop::start(&[]).await;
    shop.sale("night", 10, &[]).await;
    shop.kill().await;
    shop.start_again(&[("STAMPEDE_CRASH_AT", point)]).await;
    shop
}

/// One purchase through a crash. Where `owed`, the order was in the ledger: it must be paid without its client.
async fn dies(point: &str, owed: bool) {
    let mut shop = doomed(point).await;
    let client = shop.customer().await;
    let mut tab = client.room(&["night"]).await;
    tab.next_of("welcome").await;
    let order = Uuid::new_v4();
    let purchase = client.purchase(order, "night", 2, "pm_card_visa");

    // There may be an answer, when it is the worker that dies, and only then.
    let answer = client.try_post("/charges", &purchase).await;
    assert!(answer.as_ref().is_err() || owed, "{answer:?}");
    shop.ended().await;
    let (told, code) = tab.rest().await;
    assert_eq!(code, None, "nobody was there to say goodbye");
    assert!(told.iter().all(|message| message["order"]["state"] != "paid"), "published before the crash: {told:?}");
    shop.start_again(&[]).await;

    if owed {
        let seen = client.room(&[]).await.until(order, &["paid"]).await;
        assert_eq!(seen["tickets"].as_array().map(Vec::len), Some(2), "{seen}");
    }
    let mut tab = client.room(&["night"]).await;
    let (status, again) = client.post("/charges", &purchase).await;
    assert_eq!((status, &again["id"]), (202, &order.to_string().into()), "{again}");
    let paid = tab.until(order, &["paid"]).await;
    assert_eq!((&paid["amount"], &paid["currency"]), (&5_000.into(), &"usd".into()), "{paid}");
    let welcome = client.room(&[]).await.next_of("welcome").await;
    assert_eq!((&welcome["orders"][0]["id"], &welcome["orders"][0]["state"]), (&paid["id"], &"paid".into()));

    shop.expect_single_charges(1).await;
    let stats = shop.stats().await;
    assert_eq!((&stats["payment_intents"], &stats["orders_charged"]), (&1.into(), &1.into()), "{stats}");
    let tier = shop.check("night").await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["held"], &tier["free"]), (&2.into(), &0.into(), &8.into()), "{tier}");
}

#[tokio::test]
async fn killed_after_the_pin_the_same_order_sent_again_is_accepted_and_paid() {
    dies("after_pin", false).await;
}

#[tokio::test]
async fn killed_after_the_commit_the_order_is_paid_although_nobody_heard_202() {
    dies("after_commit", true).await;
}

#[tokio::test]
async fn killed_after_the_push_the_queue_is_filled_again_from_the_ledger() {
    dies("after_push", true).await;
}

#[tokio::test]
async fn a_worker_killed_after_stripe_said_yes_charges_once() {
    dies("after_stripe_answer", true).await;
}

#[tokio::test]
async fn killed_after_the_settlement_the_stock_is_rebuilt_as_sold() {
    dies("after_settle", true).await;
}

#[tokio::test]
async fn killed_before_the_publish_the_snapshot_tells_what_the_room_was_not_told() {
    dies("before_publish", true).await;
}

#[tokio::test]
async fn a_crash_costs_unpaid_holds_and_nothing_else() {
    let mut shop = doomed("after_pin").await;
    let client = shop.customer().await;
    let (hold, (status, held)) = client.hold("night", 3).await;
    assert_eq!(status, 201, "{held}");
    let payment = client.payment(Uuid::new_v4(), hold, "pm_card_visa");
    assert!(client.try_post("/charges", &payment).await.is_err());
    shop.ended().await;
    shop.start_again(&[]).await;

    let (status, refusal) = client.post("/charges", &payment).await;
    assert_eq!((status, &refusal["code"]), (409, &"hold_expired".into()), "{refusal}");
    assert_eq!(shop.check("night").await["tiers"][0]["free"], 10);
    let (order, (status, _)) = client.buy("night", 10, "pm_card_visa").await;
    assert_eq!(status, 202);
    client.room(&[]).await.until(order, &["paid"]).await;
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn a_decline_that_a_crash_interrupts_is_still_a_decline_and_the_next_card_pays_once() {
    let mut shop = doomed("after_stripe_answer").await;
    let client = shop.customer().await;
    let order = Uuid::new_v4();
    let first = client.purchase(order, "night", 1, "pm_card_chargeDeclined");
    // The worker dies, whether the shopper has heard 202 or not.
    let _ = client.try_post("/charges", &first).await;
    shop.ended().await;
    shop.start_again(&[]).await;

    let mut tab = client.room(&[]).await;
    tab.until(order, &["declined"]).await;
    let second = client.purchase(order, "night", 1, "pm_card_visa");
    assert_eq!(client.post("/charges", &second).await.0, 202);
    tab.until(order, &["paid"]).await;
    shop.expect_single_charges(1).await;
    assert_eq!(shop.stats().await["payment_intents"], 1, "both attempts are of one PaymentIntent");
    assert_eq!(shop.check("night").await["tiers"][0]["sold"], 1);
}

#[tokio::test]
async fn a_worker_killed_after_stripe_gave_money_back_gives_it_back_once() {
    let mut shop = doomed("after_refund_answer").await;
    let client = shop.customer().await;
    let (order, _) = client.buy("night", 2, "pm_card_visa").await;
    client.room(&[]).await.until(order, &["paid"]).await;
    // The worker may die before the command has its answer; the same request is the same refund.
    let (request, id) = (Uuid::new_v4().to_string(), order.to_string());
    let refund = ["order", "refund", &id, "--amount", "1000", "--restock", "--request", &request];
    let _ = shop.cli(&refund).await;
    shop.ended().await;
    shop.start_again(&[]).await;

    let mut tab = client.room(&[]).await;
    let told = tab.until(order, &["partially_refunded"]).await;
    assert_eq!((&told["refunded"], &told["refunding"]), (&1_000.into(), &0.into()), "{told}");
    shop.cli_json(&refund).await;
    let shown = shop.cli_json(&["order", "show", &id]).await;
    assert_eq!(shown["refunds"].as_array().map(Vec::len), Some(1), "{shown}");
    let stats = shop.stats().await;
    assert_eq!((&stats["refunds"], &stats["amount_refunded"]), (&1.into(), &1_000.into()), "{stats}");
    assert_eq!(shop.check("night").await["tiers"][0]["sold"], 2);
}
