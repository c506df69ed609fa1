//! Stripe's own page, made by whichever worker lives: asked for at one door, told at another.

use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::Request;
use serde_json::Value;
use tests::harness::client::{Client, exchange};
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::postgres::fresh_database;
use tests::harness::redis::Redis;
use uuid::Uuid;

/// A dead worker's lease, and what it takes to do the rest of its job.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(20);

fn purchase(client: &Client, order: Uuid) -> Value {
    let mut purchase = client.purchase(order, "night", 2, "");
    purchase.as_object_mut().unwrap().remove("token");
    purchase
}

/// A worker dies at this point; the caller asks until another one has made the page, at another door.
async fn worker_dies(point: &str) {
    let ledger = Ledger::Fresh(fresh_database().await);
    let mut fleet = Fleet::start_on(ledger, Redis::start().await, 2, 0, &[]).await;
    fleet.sale("night", 10, &[]).await;
    fleet.add_worker(&[("STAMPEDE_CRASH_AT", point)]);
    let client = fleet.customer(0).await;
    let other_door = client.at(&fleet.url(1));
    let mut room = other_door.room(&[]).await;
    let order = Uuid::new_v4();
    let asked = Instant::now();
    let body = purchase(&client, order);
    let ((status, answer), ()) = tokio::join!(client.post("/checkout", &body), async {
        fleet.worker_ended(0).await;
        fleet.start_worker(0, &[]);
    });
    assert!(status == 503 || status == 201, "{answer}");
    let url = loop {
        let (status, answer) = other_door.post("/checkout", &purchase(&other_door, order)).await;
        match (status, answer["url"].as_str()) {
            (201, Some(url)) => break url.to_owned(),
            (503, _) => assert!(asked.elapsed() < TAKEN_OVER_WITHIN, "{answer}"),
            _ => panic!("{status}: {answer}"),
        }
    };
    let form = "email=a%40example.com&number=4242424242424242&expiry=12%2F40&cvc=123&name=A";
    let paying = Request::post(&url).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(exchange(paying.body(Full::from(form)).unwrap()).await.unwrap().status, 303);
    let (status, _) = client.post(&format!("/api/orders/{order}/refresh"), &serde_json::json!({})).await;
    assert!(status == 202 || status == 200, "{status}");
    room.until(order, &["paid"]).await;
    fleet.expect_single_charges(1).await;
    let made = fleet.sandbox_log().await.iter().filter(|path| *path == "/v1/checkout/sessions").count();
    assert!(made <= 2, "one page, asked for again with the same key at most once");
    let tier = fleet.check("night").await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["held"], &tier["free"]), (&2.into(), &0.into(), &8.into()), "{tier}");
}

#[tokio::test]
async fn a_worker_that_died_after_stripe_made_the_page_costs_a_wait_and_no_second_page() {
    worker_dies("after_stripe_answer").await;
}

#[tokio::test]
async fn a_worker_that_died_before_it_told_of_the_page_costs_a_wait_and_no_second_page() {
    worker_dies("before_publish").await;
}
