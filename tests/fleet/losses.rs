//! The servers beneath a running shop are lost: Redis forgets everything, or PostgreSQL goes away for a while. What was
//! accepted ends, nothing is sold twice, and selling goes on by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tests::harness::client::Client;
use tests::harness::crowd::{insist, insist_and_count};
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::redis::Redis;
use tokio::task::JoinHandle;
use uuid::Uuid;
use xtask::cluster::Cluster;

/// Selling goes on this soon after the servers are back.
const RESUMES_WITHIN: Duration = Duration::from_secs(5);
/// Buyers at the same time.
const BUYERS: usize = 24;

/// Buyers who come one after another, until they are told to stop or nothing is left.
struct Load {
    over: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    unavailable: Arc<AtomicUsize>,
    buyers: Vec<JoinHandle<Vec<(Client, Uuid)>>>,
}

impl Load {
    /// Lets buyers loose on a sale, each at the doors in turn.
    fn begin(fleet: &Fleet, sale: &'static str) -> Self {
        let (over, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let unavailable = Arc::new(AtomicUsize::new(0));
        let buyers = (0..BUYERS).map(|place| {
            let (over, accepted, unavailable) = (over.clone(), accepted.clone(), unavailable.clone());
            let door = fleet.url(place % fleet.webs.len());
            tokio::spawn(async move {
                let mut orders = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let client = Client::new(&door).await;
                    let order = Uuid::new_v4();
                    let purchase = client.purchase(order, sale, 1, "pm_card_visa");
                    match insist_and_count(&client, "/charges", &purchase, &unavailable).await {
                        (202, _) => {
                            accepted.fetch_add(1, Ordering::Relaxed);
                            orders.push((client, order));
                        }
                        // An accept that came from before the loss: the page takes a new hold.
                        (409, refusal) if refusal["code"] == "hold_expired" => {}
                        (409, refusal) if refusal["code"] == "sold_out" => break,
                        (status, body) => panic!("{status} {body}"),
                    }
                }
                orders
            })
        });
        let buyers = buyers.collect();
        Self { over, accepted, unavailable, buyers }
    }

    /// Waits until so many more were accepted; how long that took.
    async fn more(&self, number: usize) -> Duration {
        let (began, before) = (Instant::now(), self.accepted.load(Ordering::Relaxed));
        let sold = async {
            while self.accepted.load(Ordering::Relaxed) < before + number {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), sold).await.expect("selling goes on");
        began.elapsed()
    }

    /// Sends the buyers home; every order that was accepted.
    async fn end(self) -> Vec<(Client, Uuid)> {
        self.over.store(true, Ordering::Relaxed);
        join_all(self.buyers).await.into_iter().flat_map(Result::unwrap).collect()
    }
}

/// Everything that was accepted is paid, once, and the stores agree.
async fn everything_ends(fleet: &Fleet, sale: &str, orders: &[(Client, Uuid)]) {
    for (client, order) in orders {
        client.room(&[]).await.until(*order, &["paid"]).await;
    }
    let stats = fleet.stats().await;
    assert_eq!(stats["orders_charged_more_than_once"], 0, "{stats}");
    assert_eq!(stats["charges_succeeded"], orders.len(), "{stats}");
    let tier = fleet.check(sale).await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["held"]), (&orders.len().into(), &0.into()), "{tier}");
}

/// Somebody with a hold and no order yet.
async fn undecided(fleet: &Fleet) -> (Client, Uuid) {
    let client = fleet.customer(1).await;
    let (hold, (status, body)) = client.hold("night", 2).await;
    assert_eq!(status, 201, "{body}");
    (client, hold)
}

/// The hold is lost and says so; another one can be had and paid for.
async fn holds_again(fleet: &Fleet, (client, hold): (Client, Uuid)) -> (Client, Uuid) {
    let late = client.payment(Uuid::new_v4(), hold, "pm_card_visa");
    let (status, refusal) = insist(&client, "/charges", &late).await;
    assert_eq!((status, &refusal["code"]), (409, &"hold_expired".into()), "{refusal}");
    let (again, (status, body)) = client.hold("night", 1).await;
    assert_eq!(status, 201, "{body}");
    let order = Uuid::new_v4();
    let (status, body) = client.post("/charges", &client.payment(order, again, "pm_card_visa")).await;
    assert_eq!(status, 202, "{body}");
    assert_eq!(fleet.counter("second_gate_fired_total").await, 0);
    (client, order)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_flushed_in_mid_sale_costs_unpaid_holds_and_nothing_else() {
    let fleet = Fleet::start(&[("LOG", "info")]).await;
    fleet.sale("night", 100_000, &[]).await;
    let doubter = undecided(&fleet).await;
    let mut watcher = fleet.customer(0).await.room(&["night"]).await;
    let load = Load::begin(&fleet, "night");
    load.more(50).await;

    fleet.redis.ask(&["FLUSHALL"]).await;
    let resumed = load.more(BUYERS + 1).await;
    assert!(resumed < RESUMES_WITHIN, "selling went on after {resumed:?}");
    load.more(50).await;
    let mut orders = load.end().await;
    orders.push(holds_again(&fleet, doubter).await);
    everything_ends(&fleet, "night", &orders).await;

    let seen = async {
        loop {
            let stock = watcher.next_of("stock").await;
            if stock["epoch"].as_u64() >= Some(2) {
                return stock;
            }
        }
    };
    assert_eq!(seen.await["status"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_costs_unpaid_holds_and_nothing_else() {
    let mut fleet = Fleet::start(&[("LOG", "info")]).await;
    fleet.sale("night", 100_000, &[]).await;
    let doubter = undecided(&fleet).await;
    let load = Load::begin(&fleet, "night");
    load.more(50).await;

    fleet.redis.kill().await;
    fleet.redis.start_again().await;
    let resumed = load.more(BUYERS + 1).await;
    assert!(resumed < RESUMES_WITHIN, "selling went on after {resumed:?}");
    load.more(50).await;
    let mut orders = load.end().await;
    orders.push(holds_again(&fleet, doubter).await);
    everything_ends(&fleet, "night", &orders).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_with_old_counters_sells_nothing_from_them() {
    let mut fleet = Fleet::start(&[("LOG", "info")]).await;
    fleet.sale("night", 200, &[]).await;
    let load = Load::begin(&fleet, "night");
    load.more(20).await;
    fleet.redis.ask(&["SAVE"]).await;
    load.more(60).await;

    fleet.redis.kill().await;
    fleet.redis.start_again().await;
    load.more(BUYERS + 1).await;
    let orders = join_all(load.buyers).await.into_iter().flat_map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(orders.len(), 200, "every ticket, and not one more");
    everything_ends(&fleet, "night", &orders).await;
    assert_eq!(fleet.counter("second_gate_fired_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_away_for_a_while_is_told_as_503_and_loses_nothing() {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::start().unwrap()).await.unwrap();
    let ledger = Ledger::At(format!("{}/postgres", cluster.url()));
    let fleet = Fleet::start_on(ledger, Redis::start().await, 2, 2, &[("LOG", "info")]).await;
    fleet.sale("night", 100_000, &[]).await;
    let load = Load::begin(&fleet, "night");
    load.more(50).await;

    let mut cluster = tokio::task::spawn_blocking(move || {
        cluster.crash().unwrap();
        cluster
    })
    .await
    .unwrap();
    let refused = async {
        while load.unavailable.load(Ordering::Relaxed) < BUYERS {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refused).await.expect("503 while the ledger is away");
    let _cluster = tokio::task::spawn_blocking(move || {
        cluster.start_again().unwrap();
        cluster
    })
    .await
    .unwrap();
    let resumed = load.more(BUYERS + 1).await;
    assert!(resumed < RESUMES_WITHIN * 2, "selling went on after {resumed:?}");
    load.more(50).await;
    let orders = load.end().await;
    everything_ends(&fleet, "night", &orders).await;
    assert_eq!(fleet.counter("second_gate_fired_total").await, 0);
}
