//! Nothing grows with the number of orders that are over: not the web processes, not the workers, not Redis.

use futures::{StreamExt as _, stream};
use tests::harness::client::Client;
use tests::harness::fleet::Fleet;

/// How many orders; set it to 200000 for a long run.
const ORDERS: &str = "STAMPEDE_TEST_ORDERS";
/// Purchases under way at the same time.
const AT_ONCE: usize = 64;
const MIB: u64 = 1 << 20;

/// What everything takes, in bytes, by name.
async fn sizes(fleet: &Fleet) -> Vec<(String, u64)> {
    let webs =
        fleet.webs.iter().enumerate().map(|(n, web)| (format!("web {n}"), web.process.as_ref().unwrap().memory()));
    let workers = fleet.workers.iter().enumerate().map(|(n, w)| (format!("worker {n}"), w.as_ref().unwrap().memory()));
    let redis = ("redis".to_owned(), fleet.redis.info("used_memory").await);
    webs.chain(workers).chain([redis]).collect()
}

/// So many customers come, buy one ticket each, hear of it and leave.
async fn sell(fleet: &Fleet, orders: usize) {
    let one = |place: usize| async move {
        let client = Client::new(&fleet.url(place % 2)).await;
        let mut room = client.at(&fleet.url((place + 1) % 2)).room(&["night"]).await;
        let (order, (status, body)) = client.buy("night", 1, "pm_card_visa").await;
        assert_eq!(status, 202, "{body}");
        room.until(order, &["paid"]).await;
    };
    stream::iter(0..orders).map(one).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_takes_no_memory() {
    let orders: usize = std::env::var(ORDERS).ok().and_then(|text| text.parse().ok()).unwrap_or(1_500);
    let fleet = Fleet::start(&[("LOG", "warn")]).await;
    fleet.sale("night", 1_000_000, &[]).await;
    // Buffers and pools fill first.
    sell(&fleet, orders / 3).await;
    let before = sizes(&fleet).await;
    sell(&fleet, orders).await;
    let after = sizes(&fleet).await;
    let keys = fleet.redis.keys().await;
    eprintln!("after {} orders: {before:?}; after {} more: {after:?}; {keys} keys", orders / 3, orders);
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        assert!(*after < before + 16 * MIB, "{name} grew from {} to {} MiB", before / MIB, after / MIB);
    }
}
