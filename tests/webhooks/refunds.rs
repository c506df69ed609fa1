//! What events do to refunds, ours and those of Stripe's dashboard, with the sandbox as Stripe.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{join, join_all};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tests::harness::client::{Answer, Client, exchange, post};
use tests::harness::shop::Shop;
use uuid::Uuid;

use super::{counted, tell};

const KEY: &str = "an operator's key of some length: 0123456789";

/// A shop with a sale `night` of ten at 25.00, and a paid order in it.
async fn sold(quantity: u32, card: &str) -> (Shop, Client, Uuid) {
    let shop = Shop::start(&[("OPERATOR_KEY", KEY), ("STRIPE_WEBHOOK_SECRET", super::SECRET)]).await;
    shop.sale("night", 10, &[]).await;
    let client = shop.customer().await;
    let (order, (status, answer)) = client.buy("night", quantity, card).await;
    assert_eq!(status, 202, "{answer}");
    client.room(&[]).await.until(order, &["paid"]).await;
    (shop, client, order)
}

async fn shown(shop: &Shop, order: Uuid) -> Value {
    shop.cli_json(&["order", "show", &order.to_string()]).await
}

async fn payment_of(shop: &Shop, order: Uuid) -> String {
    shown(shop, order).await["payment_intent"].as_str().expect("pi_…").to_owned()
}

/// Gives money back as one does in Stripe's dashboard, all that is left unless a sum is given.
async fn by_hand(shop: &Shop, payment: &str, amount: Option<i64>) -> Answer {
    let amount = amount.map(|amount| format!("&amount={amount}")).unwrap_or_default();
    let request = Request::post(format!("{}/v1/refunds", shop.sandbox_url()))
        .header("authorization", "Bearer sk_test_sandbox")
        .header("content-type", "application/x-www-form-urlencoded");
    let request = request.body(Full::from(format!("payment_intent={payment}{amount}"))).unwrap();
    let reply = exchange(request).await.expect("the sandbox");
    (reply.status, reply.json())
}

async fn ask(shop: &Shop, order: Uuid, body: Value) -> Answer {
    let mut wish = json!({"request": Uuid::new_v4()});
    wish.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    post(&format!("{}/api/orders/{order}/refunds", shop.url()), Some(KEY), &wish).await.unwrap()
}

/// Polls until the order is as it should be.
async fn until(client: &Client, order: Uuid, is: impl Fn(&Value) -> bool) -> Value {
    let polled = async {
        loop {
            let seen = client.order(order).await;
            if is(&seen) {
                return seen;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), polled).await.expect("the order comes there")
}

fn is(state: &'static str, refunded: i64, tickets: usize) -> impl Fn(&Value) -> bool {
    move |order| {
        let valid = order["tickets"].as_array().map(Vec::len);
        order["state"] == state && order["refunded"] == refunded && order["refunding"] == 0 && valid == Some(tickets)
    }
}

/// The ledger's sum, the sandbox's sum, and the states of the rows.
async fn sums(shop: &Shop, order: Uuid) -> (Value, Value, Vec<String>) {
    let shown = shown(shop, order).await;
    let mut states: Vec<String> = rows(&shown).map(|row| row["state"].as_str().unwrap().to_owned()).collect();
    states.sort_unstable();
    (shown["refunded"].clone(), shop.stats().await["amount_refunded"].clone(), states)
}

fn rows(shown: &Value) -> impl Iterator<Item = &Value> {
    shown["refunds"].as_array().unwrap().iter()
}

async fn handled(shop: &Shop, result: &str) -> u64 {
    shop.counter(&format!("webhook_events_handled_total{{result=\"{result}\"}}")).await
}

/// Free, held and sold, with stock and ledger in agreement.
async fn counts(shop: &Shop) -> Value {
    let tier = shop.check("night").await["tiers"][0].clone();
    json!([tier["free"], tier["held"], tier["sold"]])
}

#[tokio::test]
async fn refunds_of_the_dashboard_are_told_and_counted_and_the_last_one_voids_the_tickets() {
    let (shop, client, order) = sold(2, "pm_card_visa").await;
    let payment = payment_of(&shop, order).await;
    let mut tab = client.room(&[]).await;
    assert_eq!(by_hand(&shop, &payment, Some(1_000)).await.0, 200);
    let told = tab.until(order, &["partially_refunded"]).await;
    assert_eq!((&told["refunded"], told["tickets"].as_array().map(Vec::len)), (&1_000.into(), Some(2)), "{told}");
    let (status, refused) = ask(&shop, order, json!({"amount": 4_001})).await;
    assert_eq!((status, &refused["code"]), (409, &"refund_too_large".into()), "{refused}");

    assert_eq!(by_hand(&shop, &payment, None).await.0, 200);
    let told = tab.until(order, &["refunded"]).await;
    assert_eq!((&told["refunded"], told["voided"].as_array().map(Vec::len)), (&5_000.into(), Some(2)), "{told}");
    assert_eq!(sums(&shop, order).await, (5_000.into(), 5_000.into(), vec!["succeeded".into(); 2]));
    let shown = shown(&shop, order).await;
    assert!(rows(&shown).all(|row| row["cause"] == "elsewhere" && row["stripe"].is_string()), "{shown}");
    assert_eq!(counts(&shop).await, json!([8, 0, 2]), "nobody said that the units may be sold again");
    let (status, refused) = by_hand(&shop, &payment, Some(1)).await;
    assert_eq!(status, 400, "{refused}");
}

#[tokio::test]
async fn with_an_empty_balance_refunds_pend_and_events_tell_that_they_are_done_or_failed() {
    for dashboard in [false, true] {
        let (shop, client, order) = sold(1, "pm_card_visa").await;
        let payment = payment_of(&shop, order).await;
        for (then, ends) in [
            (json!({"fail_refunds": true}), is("paid", 0, 1)),
            (json!({"empty_balance": false}), is("refunded", 2_500, 0)),
        ] {
            shop.control_sandbox(json!({"empty_balance": true})).await;
            let (status, said) = match dashboard {
                true => by_hand(&shop, &payment, None).await,
                false => ask(&shop, order, json!({})).await,
            };
            assert!(status == 200 || status == 202, "{said}");
            until(&client, order, |order| order["refunding"] == 2_500 && order["tickets"] == json!([])).await;
            until_true(async || rows(&shown(&shop, order).await).last().unwrap()["state"] == "pending").await;
            shop.control_sandbox(then).await;
            until(&client, order, ends).await;
        }
        let ends = vec!["failed".to_owned(), "succeeded".to_owned()];
        assert_eq!(sums(&shop, order).await, (2_500.into(), 2_500.into(), ends), "dashboard: {dashboard}");
        assert!(handled(&shop, "refunds").await > 0);
        assert_eq!(counts(&shop).await, json!([9, 0, 1]));
    }
}

async fn until_true(ask: impl AsyncFn() -> bool) {
    let polled = async { while !ask().await {} };
    tokio::time::timeout(Duration::from_secs(30), polled).await.expect("it comes true");
}

#[tokio::test]
async fn a_refund_that_the_bank_returns_after_it_looked_done_makes_the_ticket_valid_again() {
    let (shop, client, order) = sold(1, "pm_card_refundFail").await;
    assert_eq!(ask(&shop, order, json!({})).await.0, 202);
    until(&client, order, is("refunded", 2_500, 0)).await;
    let mut tab = client.room(&[]).await;
    tab.next_of("welcome").await;
    shop.control_sandbox(json!({"settle_refunds": true})).await;
    let told = tab.until(order, &["paid"]).await;
    assert_eq!((&told["refunded"], told["tickets"].as_array().map(Vec::len)), (&0.into(), Some(1)), "{told}");
    assert_eq!(sums(&shop, order).await, (0.into(), 0.into(), vec!["failed".into()]));
}

#[tokio::test]
async fn while_the_answer_hangs_the_event_settles_the_refund_and_the_answer_changes_nothing() {
    let (shop, client, order) = sold(2, "pm_card_visa").await;
    let hang = json!({"fault": "hang", "method": "POST", "path": "/v1/refunds"});
    shop.control_sandbox(json!({"faults": [hang]})).await;
    assert_eq!(ask(&shop, order, json!({"amount": 2_000})).await.0, 202);
    let settled = until(&client, order, is("partially_refunded", 2_000, 2)).await;
    assert_eq!(shop.stats().await["answers_held"], 1, "the answer is still out");
    shop.control_sandbox(json!({"clear_faults": true, "release": true})).await;
    assert_eq!(ask(&shop, order, json!({})).await.0, 202);
    let done = until(&client, order, is("refunded", 5_000, 0)).await;
    let versions = [&settled, &done].map(|order| order["version"].as_i64().unwrap());
    assert_eq!(versions[1] - versions[0], 2, "asked for, and gone: nothing came in between");
    assert_eq!(sums(&shop, order).await, (5_000.into(), 5_000.into(), vec!["succeeded".into(); 2]));
}

#[tokio::test]
async fn events_that_come_after_the_answers_in_any_order_and_again_change_nothing() {
    let (shop, client, order) = sold(2, "pm_card_visa").await;
    let payment = payment_of(&shop, order).await;
    shop.control_sandbox(json!({"webhooks": {"hold": true, "duplicate": 100}})).await;
    assert_eq!(ask(&shop, order, json!({"amount": 1_500})).await.0, 202);
    until(&client, order, is("partially_refunded", 1_500, 2)).await;
    assert_eq!(ask(&shop, order, json!({})).await.0, 202);
    let done = until(&client, order, is("refunded", 5_000, 0)).await;
    shop.control_sandbox(json!({"webhooks": {"hold": false}})).await;
    // Two that the sandbox held, which ask nothing; and others that do.
    until_true(async || handled(&shop, "refund_known").await >= 2).await;
    let stripe = rows(&shown(&shop, order).await).next().unwrap()["stripe"].clone();
    for (n, kind) in ["refund.updated", "refund.failed", "charge.refund.updated", "charge.refunded"].iter().enumerate()
    {
        let object = json!({"object": "refund", "id": stripe, "payment_intent": payment, "metadata": {"order": order}});
        let event = json!({"id": format!("evt_{n}"), "object": "event", "type": kind, "livemode": false,
            "data": {"object": object}});
        tell(&shop, &event).await;
        tell(&shop, &event).await;
    }
    until_true(async || handled(&shop, "refunds").await >= 4).await;
    assert!(counted(&shop, "duplicate").await >= 4);
    let now = client.order(order).await;
    assert_eq!((&now["version"], &now["state"]), (&done["version"], &"refunded".into()), "{now}");
    assert_eq!(sums(&shop, order).await, (5_000.into(), 5_000.into(), vec!["succeeded".into(); 2]));
}

#[tokio::test]
async fn operators_and_the_dashboard_at_once_give_back_no_more_than_was_paid_and_the_sums_agree() {
    let (shop, client, order) = sold(8, "pm_card_visa").await;
    let payment = payment_of(&shop, order).await;
    let same = json!({"request": Uuid::new_v4(), "amount": 3_000});
    let asked =
        join_all((0..8).map(|n| ask(&shop, order, if n < 3 { same.clone() } else { json!({"amount": 3_000}) })));
    let hands = join_all((0..6).map(|_| by_hand(&shop, &payment, Some(3_000))));
    let (asked, hands) = join(asked, hands).await;
    let by_us: BTreeSet<String> = asked
        .iter()
        .filter(|(status, _)| *status == 202)
        .map(|(_, said)| said["refund"]["refund"].to_string())
        .collect();
    let by_hand = hands.iter().filter(|(status, _)| *status == 200).count();
    assert!(by_us.len() <= 6 && by_hand > 0, "{asked:?} {hands:?}");

    // Whatever was overtaken has failed by then.
    let rows_of = async || {
        let shown = shown(&shop, order).await;
        rows(&shown).map(|row| (row["state"].clone(), row["stripe"].clone(), row["amount"].clone())).collect::<Vec<_>>()
    };
    let settled = async || {
        let known: usize = rows_of().await.len();
        let gone = shop.stats().await["amount_refunded"].clone();
        let now = client.order(order).await;
        known == by_us.len() + by_hand && now["refunding"] == 0 && now["refunded"] == gone
    };
    until_true(settled).await;
    let rows = rows_of().await;
    let gone: Vec<_> = rows.iter().filter(|(state, ..)| state == "succeeded").collect();
    assert!(rows.iter().all(|(state, ..)| state == "succeeded" || state == "failed"), "{rows:?}");
    let ids: BTreeSet<String> = gone.iter().map(|(_, stripe, _)| stripe.to_string()).collect();
    assert_eq!((ids.len(), gone.len()), (gone.len(), shop.stats().await["refunds"].as_u64().unwrap() as usize));
    let sum: i64 = gone.iter().map(|(.., amount)| amount.as_i64().unwrap()).sum();
    assert!(sum <= 20_000 && client.order(order).await["refunded"] == sum, "{rows:?}");
    assert_eq!(counts(&shop).await, json!([2, 0, 8]));
}
