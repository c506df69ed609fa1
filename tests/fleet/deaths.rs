//! One process of many is killed (`kill -9`) in the middle of a purchase. The others finish what it began: every order
//! ends, with one charge, and no unit is lost.

use std::time::{Duration, Instant};

use tests::harness::client::Client;
use tests::harness::crowd::insist;
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::postgres::fresh_database;
use tests::harness::redis::Redis;
use uuid::Uuid;

/// A dead worker's lease, and what it takes to do the rest of its job.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);

async fn everything_adds_up(fleet: &Fleet, client: &Client, order: Uuid) {
    let welcome = client.room(&[]).await.next_of("welcome").await;
    assert_eq!(
        (&welcome["orders"][0]["id"], &welcome["orders"][0]["state"]),
        (&order.to_string().into(), &"paid".into())
    );
    fleet.expect_single_charges(1).await;
    let tier = fleet.check("night").await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["held"], &tier["free"]), (&2.into(), &0.into(), &8.into()), "{tier}");
}

/// A worker dies at this point of the only job; another one is there, and takes over.
async fn worker_dies(point: &str) {
    let ledger = Ledger::Fresh(fresh_database().await);
    let mut fleet = Fleet::start_on(ledger, Redis::start().await, 1, 0, &[]).await;
    fleet.sale("night", 10, &[]).await;
    fleet.add_worker(&[("STAMPEDE_CRASH_AT", point)]);
    let client = fleet.customer(0).await;
    let mut room = client.room(&[]).await;
    let order = Uuid::new_v4();
    let (status, body) = client.post("/charges", &client.purchase(order, "night", 2, "pm_card_visa")).await;
    assert_eq!(status, 202, "{body}");
    fleet.worker_ended(0).await;

    let died = Instant::now();
    fleet.start_worker(0, &[]);
    room.until(order, &["paid"]).await;
    assert!(died.elapsed() < TAKEN_OVER_WITHIN, "it took {:?}", died.elapsed());
    everything_adds_up(&fleet, &client, order).await;
}

#[tokio::test]
async fn another_worker_charges_what_one_had_claimed_when_it_died() {
    worker_dies("after_claim").await;
}

#[tokio::test]
async fn another_worker_hears_what_stripe_told_one_that_died() {
    worker_dies("after_stripe_answer").await;
}

#[tokio::test]
async fn another_worker_shows_what_one_had_settled_when_it_died() {
    worker_dies("after_settle").await;
}

#[tokio::test]
async fn another_worker_publishes_what_one_did_not_live_to_tell() {
    worker_dies("before_publish").await;
}

#[tokio::test]
async fn what_one_worker_told_and_could_not_tick_off_another_tells_again_without_harm() {
    worker_dies("after_publish").await;
}

/// A web process dies at this point of a purchase. The client sends the same order at the other door.
async fn web_dies(point: &str, owed: bool) {
    let ledger = Ledger::Fresh(fresh_database().await);
    let mut fleet = Fleet::start_on(ledger, Redis::start().await, 2, 1, &[]).await;
    fleet.sale("night", 10, &[]).await;
    fleet.kill_web(0).await;
    fleet.start_web(0, &[("STAMPEDE_CRASH_AT", point)]).await;
    let client = fleet.customer(0).await;
    let other = client.at(&fleet.url(1));
    let mut room = other.room(&[]).await;
    let order = Uuid::new_v4();
    let purchase = client.purchase(order, "night", 2, "pm_card_visa");
    assert!(client.try_post("/charges", &purchase).await.is_err());
    fleet.web_ended(0).await;

    if owed {
        room.until(order, &["paid"]).await;
    }
    let (status, again) = insist(&other, "/charges", &purchase).await;
    assert_eq!((status, &again["id"]), (202, &order.to_string().into()), "{again}");
    if !owed {
        room.until(order, &["paid"]).await;
    }
    everything_adds_up(&fleet, &other, order).await;
}

#[tokio::test]
async fn a_door_that_dies_after_the_pin_leaves_an_order_that_another_door_accepts() {
    web_dies("after_pin", false).await;
}

#[tokio::test]
async fn a_door_that_dies_after_the_push_leaves_an_order_that_is_paid_without_its_client() {
    web_dies("after_push", true).await;
}

#[tokio::test]
async fn a_door_that_dies_after_the_commit_leaves_an_order_that_its_client_or_the_sweep_queues() {
    web_dies("after_commit", false).await;
}

#[tokio::test]
async fn a_worker_that_is_stopped_takes_no_more_and_hands_back_what_it_has() {
    let mut fleet = Fleet::start(&[("SANDBOX_LATENCY", "200ms"), ("WORKER_CONCURRENCY", "4")]).await;
    fleet.sale("night", 60, &[]).await;
    let mut orders = Vec::new();
    for _ in 0..60 {
        let client = fleet.customer(0).await;
        let (order, (status, body)) = client.buy("night", 1, "pm_card_visa").await;
        assert_eq!(status, 202, "{body}");
        orders.push((client, order));
    }
    let stopped = fleet.workers[0].take().unwrap().stop().await;
    assert!(stopped.success(), "{}", fleet.logs());
    let began = Instant::now();
    for (client, order) in &orders {
        client.room(&[]).await.until(*order, &["paid"]).await;
    }
    assert!(began.elapsed() < TAKEN_OVER_WITHIN, "nothing waits for a lease: {:?}", began.elapsed());
    fleet.expect_single_charges(60).await;
    assert_eq!(fleet.check("night").await["tiers"][0]["sold"], 60);
}
