//! What an event does to an order, with the sandbox as Stripe.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tests::harness::client::exchange;
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::redis::Redis;
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::{counted, event, shop, tell};

const SUCCEEDED: &str = "payment_intent.succeeded";
const FAILED: &str = "payment_intent.payment_failed";

/// Polls until so many events were handled.
async fn until_handled(shop: &Shop, result: &str, events: u64) {
    let name = format!("webhook_events_handled_total{{result=\"{result}\"}}");
    let handled = async { while shop.counter(&name).await < events {} };
    tokio::time::timeout(Duration::from_secs(30), handled).await.unwrap_or_else(|_| panic!("{name}"));
}

async fn payment_of(shop: &Shop, order: Uuid) -> Value {
    shop.cli_json(&["order", "show", &order.to_string()]).await["payment_intent"].clone()
}

#[tokio::test]
async fn an_embedded_shop_hears_its_own_sandbox() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let (order, _) = client.buy("demo", 1, "pm_card_visa").await;
    client.room(&[]).await.until(order, &["paid"]).await;
    let heard = async { while counted(&shop, "stored").await == 0 {} };
    tokio::time::timeout(Duration::from_secs(30), heard).await.expect("an event");
    let handled = async { while shop.counter("webhook_events_handled_total").await == 0 {} };
    tokio::time::timeout(Duration::from_secs(30), handled).await.expect("a handled event");
    assert_eq!(shop.stats().await["webhook_tries_failed"], 0);
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn the_event_that_comes_before_the_answer_pays_the_order_and_the_answer_changes_nothing() {
    let shop = Shop::start(&[]).await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let hang = json!({"fault": "hang", "method": "POST", "path": "/v1/payment_intents"});
    shop.control_sandbox(json!({"faults": [hang]})).await;
    let (order, (status, _)) = client.buy("demo", 2, "pm_card_visa").await;
    assert_eq!(status, 202);
    let paid = room.until(order, &["paid"]).await;
    assert_eq!(shop.stats().await["answers_held"], 1, "the answer is still out");
    assert!(paid["charge"].as_str().is_some_and(|charge| charge.starts_with("ch_")), "{paid}");

    shop.control_sandbox(json!({"clear_faults": true, "release": true})).await;
    let (other, _) = client.buy("demo", 1, "pm_card_visa").await;
    room.until(other, &["paid"]).await;
    let now = client.order(order).await;
    assert_eq!((&now["version"], &now["tickets"]), (&paid["version"], &paid["tickets"]), "{now}");
    shop.expect_single_charges(2).await;
    assert_eq!(shop.check("demo").await["tiers"][0]["sold"], 3);
}

/// Registers an endpoint at the sandbox, as an operator does in the dashboard; its secret.
async fn register(fleet: &Fleet, url: &str) -> String {
    let form = format!("url={url}/webhooks/stripe&enabled_events[]=*");
    let request = Request::post(format!("{}/v1/webhook_endpoints", fleet.sandbox_url()))
        .header("authorization", "Bearer sk_test_sandbox")
        .header("content-type", "application/x-www-form-urlencoded");
    let reply = exchange(request.body(Full::from(form)).unwrap()).await.expect("the sandbox");
    reply.json()["secret"].as_str().unwrap_or_else(|| panic!("{}", reply.text())).to_owned()
}

#[tokio::test]
async fn an_answer_that_is_lost_with_its_worker_is_made_good_by_the_event_alone() {
    let mut fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 1, 0, &[]).await;
    let secret = register(&fleet, &fleet.url(0)).await;
    fleet.kill_web(0).await;
    fleet.start_web(0, &[("STRIPE_WEBHOOK_SECRET", &secret)]).await;
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
    room.until(order, &["paid"]).await;
    fleet.expect_single_charges(1).await;
    assert_eq!(fleet.check("night").await["tiers"][0]["sold"], 1);
}

#[tokio::test]
async fn five_times_the_same_event_and_others_in_any_order_pay_once_and_downgrade_nothing() {
    let shop = shop().await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    let (order, _) = client.buy("demo", 1, "pm_card_visa").await;
    let paid = room.until(order, &["paid"]).await;
    let payment_intent = payment_of(&shop, order).await;
    let payment_intent = payment_intent.as_str().expect("pi_…");
    // The sandbox's own event may still be on its way.
    for _ in 0..5 {
        tell(&shop, &event("evt_twice", SUCCEEDED, payment_intent, order)).await;
    }
    for (id, kind) in [("evt_a", FAILED), ("evt_b", "payment_intent.canceled"), ("evt_c", SUCCEEDED)] {
        tell(&shop, &event(id, kind, payment_intent, order)).await;
    }
    until_handled(&shop, "known", 4).await;
    assert!(counted(&shop, "duplicate").await >= 4);
    let now = client.order(order).await;
    assert_eq!((&now["state"], &now["version"]), (&"paid".into(), &paid["version"]), "{now}");
    shop.expect_single_charges(1).await;
    assert_eq!(shop.check("demo").await["tiers"][0]["sold"], 1);
}

#[tokio::test]
async fn a_failure_that_is_told_after_another_card_has_paid_is_of_no_consequence() {
    let shop = shop().await;
    let client = shop.customer().await;
    let mut room = client.room(&[]).await;
    // Released newest first: the success is told before the failure that preceded it.
    shop.control_sandbox(json!({"webhooks": {"hold": true}})).await;
    let order = Uuid::new_v4();
    client.post("/charges", &client.purchase(order, "demo", 1, "pm_card_chargeDeclined")).await;
    room.until(order, &["declined"]).await;
    client.post("/charges", &client.purchase(order, "demo", 1, "pm_card_visa")).await;
    let paid = room.until(order, &["paid"]).await;
    shop.control_sandbox(json!({"webhooks": {"hold": false}})).await;
    until_handled(&shop, "known", 2).await;
    assert_eq!(client.order(order).await["version"], paid["version"]);
    shop.expect_single_charges(1).await;
}

#[tokio::test]
async fn events_of_other_kinds_and_of_strangers_are_taken_and_change_nothing() {
    let shop = shop().await;
    let client = shop.customer().await;
    let (order, _) = client.buy("demo", 1, "pm_card_chargeDeclined").await;
    let mut room = client.room(&[]).await;
    let declined = room.until(order, &["declined"]).await;
    tell(&shop, &event("evt_new_kind", "payment_intent.invented", "pi_1", order)).await;
    until_handled(&shop, "other_kind", 1).await;
    let mut not_ours = event("evt_not_ours", SUCCEEDED, "pi_1", order);
    not_ours["data"]["object"]["metadata"] = json!({"order": "12"});
    tell(&shop, &not_ours).await;
    until_handled(&shop, "not_ours", 1).await;
    tell(&shop, &event("evt_stranger", SUCCEEDED, "pi_1", Uuid::new_v4())).await;
    // Its PaymentIntent is another order's, or nobody's: Stripe knows none of this id.
    tell(&shop, &event("evt_no_payment", SUCCEEDED, "pi_nobody", order)).await;
    let now = client.order(order).await;
    assert_eq!((&now["state"], &now["version"]), (&"declined".into(), &declined["version"]), "{now}");
    shop.expect_charges(0).await;
}
