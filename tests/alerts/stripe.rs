//! Faults of Stripe, and of those who ask it: the workers.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tests::harness::client::exchange;
use uuid::Uuid;

use super::stage::{SHOP, Stage};
use crate::webhooks::signed;

/// A webhook counts as missed when its event is older than this; Stripe's clock tells whole seconds.
const ON_ITS_WAY: Duration = Duration::from_secs(32);

const CHARGES: &str = "/v1/payment_intents";

async fn buy(stage: &Stage) {
    let (_, (status, answer)) = stage.customer().await.buy("night", 1, "pm_card_visa").await;
    assert_eq!(status, 202, "{answer}");
}

fn fault(fault: &str, count: u32) -> Value {
    json!({"fault": fault, "method": "POST", "path": CHARGES, "count": count})
}

pub(super) async fn stories(stage: &Stage) {
    let control = async |what: Value| {
        stage.fleet.control_sandbox(what).await;
    };
    stage
        .fires("StampedeUnknownOutcomes", async || {
            control(json!({"faults": [fault("http_503_html", 1)]})).await;
            buy(stage).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        })
        .await;
    stage
        .fires("StampedeThrottled", async || {
            control(json!({"faults": [fault("http_429", 2)]})).await;
            futures::join!(buy(stage), buy(stage), buy(stage));
        })
        .await;
    control(json!({"clear_faults": true, "latency": "7s"})).await;
    // Until they are a tenth of the last minute's, among which are the quick ones from before.
    stage
        .fires("StampedeStripeSlow", async || {
            buy(stage).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        })
        .await;
    control(json!({"latency": "0"})).await;
}

pub(super) async fn stories_without_workers(stage: &mut Stage) {
    stage.quiet(["StampedePaymentsUnmatched", "StampedeWebhooksMissed", "StampedeDown"]).await;
    // Somebody pays for an order that nobody knows, and Stripe's events about that are lost on their way.
    stage.fleet.control_sandbox(json!({"webhooks": {"drop": 40}})).await;
    for _ in 0..8 {
        stage.fleet.pay_elsewhere(&Uuid::new_v4().to_string(), 700).await;
    }
    stage.fleet.control_sandbox(json!({"webhooks": {"drop": 0}})).await;
    let lost = tokio::time::Instant::now();

    for place in 0..2 {
        stage.fleet.kill_worker(place).await;
    }
    stage.fire(["StampedeDown"]).await;
    stage.quiet(["StampedeWebhooksLag", "StampedeNothingSettles", "StampedeOldestJobTooOld"]).await;
    an_event_comes(stage).await;
    futures::join!(
        stage.until_fires("StampedeNothingSettles", async || buy(stage).await),
        stage.fire(["StampedeWebhooksLag", "StampedeOldestJobTooOld"]),
    );

    // Whoever sweeps from now on begins with Stripe's lists.
    tokio::time::sleep_until(lost + ON_ITS_WAY).await;
    stage.start_workers();
    stage.fire(["StampedePaymentsUnmatched", "StampedeWebhooksMissed"]).await;
}

/// An event of another shop on the same account: there is nothing to be done about it, but somebody has to look.
async fn an_event_comes(stage: &Stage) {
    let body = json!({"id": "evt_waits", "object": "event", "type": "customer.created", "livemode": false,
        "created": 1, "data": {"object": {"id": "cus_1", "object": "customer"}}});
    let body = body.to_string();
    let request = Request::post(format!("{}/webhooks/stripe", stage.fleet.url(SHOP)))
        .header("content-type", "application/json")
        .header("stripe-signature", signed(&stage.webhook_secret, &body));
    let reply = exchange(request.body(Full::from(body)).unwrap()).await.expect("the shop");
    assert_eq!(reply.status, 200, "{}", reply.text());
}
