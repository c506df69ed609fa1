//! One worker of several sweeps; another one does when it dies. And a stock in Redis that somebody has changed by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::lease::Lease as _;
use shared::lease::redis::RedisLease;
use shared::redis_server::RedisServer;
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::redis::Redis;

const SWEEPS: &str = "this worker sweeps";

/// How often workers have said that they sweep now.
fn said(fleet: &Fleet) -> usize {
    fleet.logs().matches(SWEEPS).count()
}

async fn until(what: &str, limit: Duration, done: impl AsyncFn() -> bool) {
    let reached = async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(limit, reached).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_lease_is_one_holders_until_it_lapses_or_is_given_back() {
    let redis = Redis::start().await;
    let lease = Arc::new(RedisLease::new(RedisServer::connect(&redis.url()).await.unwrap()));
    let long = Duration::from_secs(60);
    assert!(lease.hold("sweep", "a", long).await.unwrap());
    assert!(!lease.hold("sweep", "b", long).await.unwrap());
    assert!(lease.hold("other", "b", long).await.unwrap(), "another lease");
    lease.release("sweep", "b").await.unwrap();
    assert!(lease.hold("sweep", "a", Duration::from_millis(50)).await.unwrap(), "kept, and for less time");
    until("it lapses", Duration::from_secs(5), async || lease.hold("sweep", "b", long).await.unwrap()).await;
    lease.release("sweep", "b").await.unwrap();
    assert!(lease.hold("sweep", "a", long).await.unwrap());
    redis.ask(&["FLUSHALL"]).await;
    assert!(lease.hold("sweep", "b", long).await.unwrap(), "a server that forgot it gives it to whoever asks");
}

#[tokio::test]
async fn one_worker_sweeps_and_another_takes_over_within_seconds_when_it_dies() {
    let mut fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 1, 1, &[]).await;
    until("a worker sweeps", Duration::from_secs(20), async || said(&fleet) == 1).await;
    fleet.add_worker(&[]);
    fleet.sale("night", 3, &["--hold-seconds", "10"]).await;
    fleet.customer(0).await.hold("night", 1).await;
    let freed = async || fleet.logs().contains("part=\"dead_holds\"");
    until("a dead hold is swept", Duration::from_secs(40), freed).await;
    assert_eq!(said(&fleet), 1, "one of the two");

    fleet.kill_worker(0).await;
    let died = Instant::now();
    until("the other one takes over", Duration::from_secs(20), async || said(&fleet) == 2).await;
    assert!(died.elapsed() < Duration::from_secs(8), "it took {:?}", died.elapsed());
}

#[tokio::test]
async fn a_stock_in_redis_that_somebody_has_changed_is_found_and_mended() {
    let fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 1, 1, &[]).await;
    fleet.sale("night", 10, &[]).await;
    let client = fleet.customer(0).await;
    let mut room = client.room(&[]).await;
    let (order, _) = client.buy("night", 2, "pm_card_visa").await;
    room.until(order, &["paid"]).await;
    assert!(!fleet.logs().contains("the stock shows something else"), "{}", fleet.logs());
    for (field, by) in [("sold:std", "-1"), ("free:std", "1")] {
        fleet.redis.ask(&["HINCRBY", "stampede:stock:{night}:sale", field, by]).await;
    }
    let mended = async || fleet.logs().contains("step=\"rebuilt\"");
    until("it is noticed", Duration::from_secs(90), mended).await;
    until("it is mended", Duration::from_secs(20), async || {
        fleet.cli(&["stock", "check", "night"]).await.status.success()
    })
    .await;
    assert_eq!(fleet.check("night").await["tiers"][0]["sold"], 2);
}
