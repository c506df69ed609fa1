//! Faults of money and stock.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use serde_json::json;
use tests::harness::client::{exchange, post};
use uuid::Uuid;

use super::stage::{KEY, SHOP, Stage, form_with_key};
use crate::webhooks::signed;

/// Each story's sale: made one after another, as people do.
const SALES: [(&str, u32); 5] = [("sums", 10), ("drift", 10), ("gate", 2), ("refunds", 10), ("keys", 10)];

pub(super) async fn stories(stage: &Stage) {
    for (sale, capacity) in SALES {
        stage.fleet.sale(sale, capacity, &[]).await;
    }
    futures::join!(
        a_unit_too_many(stage),
        a_sold_unit_too_many(stage),
        a_unit_is_sold_twice_by_the_stock(stage),
        an_endpoint_is_guessed_at(stage),
        a_bank_returns_a_refund(stage),
        a_key_is_used_twice(stage),
        a_job_cannot_be_read(stage),
    );
}

/// Adds to a field of a sale's counters behind the shop's back.
async fn tamper(stage: &Stage, sale: &str, field: &str, by: i32) {
    let key = format!("stampede:stock:{{{sale}}}:sale");
    stage.fleet.redis.ask(&["HINCRBY", &key, field, &by.to_string()]).await;
}

fn bulk(text: &str) -> redis::Value {
    redis::Value::BulkString(text.as_bytes().to_vec())
}

async fn a_unit_too_many(stage: &Stage) {
    stage
        .fires("StampedeStockDoesNotAddUp", async || {
            tamper(stage, "sums", "free:std", 1).await;
        })
        .await;
}

async fn a_sold_unit_too_many(stage: &Stage) {
    stage.quiet(["StampedeStockDrift"]).await;
    tamper(stage, "drift", "free:std", -1).await;
    tamper(stage, "drift", "sold:std", 1).await;
    stage.fire(["StampedeStockDrift"]).await;
}

async fn a_unit_is_sold_twice_by_the_stock(stage: &Stage) {
    let client = stage.customer().await;
    let mut room = client.room(&[]).await;
    let (order, (status, _)) = client.buy("gate", 2, "pm_card_visa").await;
    assert_eq!(status, 202);
    room.until(order, &["paid"]).await;
    stage
        .fires("StampedeSecondGateFired", async || {
            // The gate gives the unit back: the stock may show it as free for a while.
            if stage.fleet.redis.ask(&["HGET", "stampede:stock:{gate}:sale", "free:std"]).await == bulk("0") {
                tamper(stage, "gate", "sold:std", -1).await;
                tamper(stage, "gate", "free:std", 1).await;
            }
            // Web processes remember for a moment that all was gone.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let (_, (status, answer)) = stage.customer().await.buy("gate", 1, "pm_card_visa").await;
            assert!(status == 409 || status == 503, "nothing is oversold: {status} {answer}");
        })
        .await;
}

async fn an_endpoint_is_guessed_at(stage: &Stage) {
    let forged = async || {
        let request = Request::post(format!("{}/webhooks/stripe", stage.fleet.url(SHOP)))
            .header("content-type", "application/json")
            .header("stripe-signature", format!("t=1,v1={}", "a".repeat(64)));
        let reply = exchange(request.body(Full::from("{}")).unwrap()).await.expect("the shop");
        assert_eq!(reply.status, 400, "{}", reply.text());
    };
    stage.fires("StampedeWebhooksRefused", forged).await;
}

async fn a_bank_returns_a_refund(stage: &Stage) {
    let client = stage.customer().await;
    let mut room = client.room(&[]).await;
    let (order, (status, _)) = client.buy("refunds", 1, "pm_card_refundFail").await;
    assert_eq!(status, 202);
    room.until(order, &["paid"]).await;
    let url = format!("{}/api/orders/{order}/refunds", stage.fleet.url(SHOP));
    let (status, answer) = post(&url, Some(KEY), &json!({"request": Uuid::new_v4()})).await.expect("the shop");
    assert_eq!(status, 202, "{answer}");
    room.until(order, &["refunded"]).await;
    stage.quiet(["StampedeRefundFailed"]).await;
    stage.fleet.control_sandbox(json!({"settle_refunds": true})).await;
    stage.fire(["StampedeRefundFailed"]).await;
}

async fn a_key_is_used_twice(stage: &Stage) {
    stage.quiet(["StampedeIdempotencyError"]).await;
    let (client, order) = (stage.customer().await, Uuid::new_v4());
    let form = "amount=700&currency=usd&payment_method=pm_card_visa&payment_method_types[]=card".to_owned();
    let status = form_with_key(&stage.fleet, "/v1/payment_intents", &format!("charge-{order}-1"), form).await;
    assert_eq!(status, 200);
    let (status, answer) = client.post("/charges", &client.purchase(order, "keys", 1, "pm_card_visa")).await;
    assert_eq!(status, 202, "{answer}");
    stage.fire(["StampedeIdempotencyError"]).await;
}

async fn a_job_cannot_be_read(stage: &Stage) {
    stage.quiet(["StampedeDeadLetters", "StampedeEventRaised"]).await;
    let (key, line) = ("evt_unreadable", "stampede:{queue}:webhook:line");
    let job = ["payload", "nonsense", "pushed_at", "0", "deliveries", "0", "retries", "0"];
    stage.fleet.redis.ask(&["HSET", "stampede:{queue}:webhook:jobs", key, "0"]).await;
    stage.fleet.redis.ask(&[&["XADD", line, "*", "key", key][..], &job].concat()).await;
    stage.fire(["StampedeDeadLetters"]).await;

    let body = json!({"id": key, "object": "event", "type": "payment_intent.succeeded", "livemode": false,
        "created": 1, "data": {"object": {"id": "pi_1", "object": "payment_intent"}}});
    let body = body.to_string();
    let request = Request::post(format!("{}/webhooks/stripe", stage.fleet.url(SHOP)))
        .header("content-type", "application/json")
        .header("stripe-signature", signed(&stage.webhook_secret, &body));
    let reply = exchange(request.body(Full::from(body)).unwrap()).await.expect("the shop");
    assert_eq!(reply.status, 200, "{}", reply.text());
    stage.fire(["StampedeEventRaised"]).await;
}
