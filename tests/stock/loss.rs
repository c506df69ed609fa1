//! A server that comes back with less than it had: nothing is sold from what it shows until the ledger has been asked.

use std::time::{Duration, Instant};

use shared::ledger::ImagePin;
use shared::ledger::records::Image;
use shared::order::state::StockEffect;
use shared::sale::Item;
use shared::stock::conformance::Fixture as _;
use shared::stock::redis::RedisStock;
use shared::stock::{Freed, Pinned, Reserve, Reserved, Stock};
use tests::harness::redis::Redis;

use super::fixture::{OnServer, counts, hold, id, image, items, purchase, settlement, stock_on};
use super::wire::calls_during;

/// How long a call may fail after its server was killed, until the connection is made anew.
const RECONNECTED_WITHIN: Duration = Duration::from_secs(10);

/// Whether the sale is known, asked until the server answers: the first call may find the wire cut.
async fn is_known(stock: &RedisStock) -> bool {
    let asked_at = Instant::now();
    loop {
        match stock.unknown(&["demo".to_owned()]).await {
            Ok(unknown) => return unknown.is_empty(),
            Err(error) => assert!(asked_at.elapsed() < RECONNECTED_WITHIN, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One unit is sold, one is pinned to an order, one is held by a buyer who thinks.
async fn sell(stock: &RedisStock) {
    stock.rebuild(image(1, 10, None)).await.unwrap();
    for reserve in [purchase(1, 1), purchase(2, 1), hold(3, 1)] {
        assert!(matches!(stock.reserve(reserve).await.unwrap(), Reserved::Yes { .. }));
    }
    stock.settle(settlement(1, 3, StockEffect::Sold)).await.unwrap();
    stock.settle(settlement(2, 2, StockEffect::Pinned)).await.unwrap();
    assert_eq!(counts(stock).await, (7, 2, 1));
}

/// Nothing of what the server shows is believed.
async fn believes_nothing(stock: &RedisStock) {
    assert!(!is_known(stock).await);
    assert_eq!(stock.levels("demo").await.unwrap(), None);
    assert_eq!(stock.reserve(hold(4, 1)).await.unwrap(), Reserved::Unknown);
    assert_eq!(stock.reserve(hold(3, 1)).await.unwrap(), Reserved::Unknown);
    assert_eq!(stock.pin(id(3), id(3), id(3)).await.unwrap(), Pinned::Gone);
    assert_eq!(stock.pin(id(2), id(2), id(2)).await.unwrap(), Pinned::Gone);
    assert_eq!(stock.free(id(3), id(3)).await.unwrap(), Freed::Gone);
    assert_eq!(stock.holds_of(id(3)).await.unwrap(), vec![]);
    assert!(stock.settle(settlement(2, 3, StockEffect::Sold)).await.is_err(), "it would be lost");
    assert_eq!(stock.expire().await.unwrap(), 0);
    assert_eq!(stock.pins_older_than(Duration::ZERO, 10).await.unwrap(), vec![]);
}

/// What the ledger says meanwhile: two units are sold, and one is owed to an order.
fn of_the_ledger(epoch: u64) -> Image {
    let mut after = image(epoch, 10, None);
    after.tiers[0].sold = 2;
    after.pins = vec![ImagePin { order: id(2), hold: id(2), customer: id(2), version: 2, items: items(1) }];
    after
}

async fn sells_again_once_rebuilt(stock: &RedisStock) {
    assert!(stock.begin_rebuild("demo").await.unwrap());
    stock.rebuild(of_the_ledger(2)).await.unwrap();
    assert!(is_known(stock).await);
    assert_eq!(counts(stock).await, (7, 1, 2));
    assert_eq!(stock.pin(id(3), id(3), id(3)).await.unwrap(), Pinned::Gone, "unpaid holds are lost, nothing else");
    stock.settle(settlement(2, 3, StockEffect::Sold)).await.unwrap();
    assert!(matches!(stock.reserve(hold(5, 7)).await.unwrap(), Reserved::Yes { .. }));
    assert_eq!(counts(stock).await, (0, 7, 3));
}

#[tokio::test]
async fn a_server_restarted_from_nothing_is_not_sold_from_until_rebuilt() {
    let mut redis = Redis::start().await;
    let stock = stock_on(&redis).await;
    sell(&stock).await;
    let run_id = stock.run_id().await.unwrap();
    redis.kill().await;
    assert!(stock.reserve(hold(4, 1)).await.is_err(), "nobody answers");
    redis.start_again().await;
    believes_nothing(&stock).await;
    assert_ne!(stock.run_id().await.unwrap(), run_id);
    sells_again_once_rebuilt(&stock).await;
}

#[tokio::test]
async fn a_server_restarted_from_an_old_snapshot_is_not_sold_from_until_rebuilt() {
    let mut redis = Redis::start().await;
    let stock = stock_on(&redis).await;
    sell(&stock).await;
    redis.ask(&["SAVE"]).await;
    assert!(matches!(stock.reserve(purchase(6, 1)).await.unwrap(), Reserved::Yes { .. }));
    stock.settle(settlement(6, 3, StockEffect::Sold)).await.unwrap();
    redis.kill().await;
    redis.start_again().await;
    assert!(redis.keys().await > 1, "the old counters are there");
    believes_nothing(&stock).await;
    sells_again_once_rebuilt(&stock).await;
}

#[tokio::test]
async fn an_emptied_server_is_not_sold_from_until_rebuilt() {
    let redis = Redis::start().await;
    let stock = stock_on(&redis).await;
    sell(&stock).await;
    redis.ask(&["FLUSHALL"]).await;
    believes_nothing(&stock).await;
    sells_again_once_rebuilt(&stock).await;
}

/// Replication is asynchronous: the last sales may not have reached the server that takes over.
#[tokio::test]
async fn a_replica_that_took_over_is_not_sold_from_until_rebuilt() {
    let mut redis = Redis::start_with(&["--repl-diskless-sync-delay", "0"]).await;
    sell(&stock_on(&redis).await).await;
    let replica = Redis::start().await;
    let port = redis.url().rsplit(':').next().unwrap().to_owned();
    replica.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
    let waited_since = Instant::now();
    while replica.keys().await != redis.keys().await {
        assert!(waited_since.elapsed() < Duration::from_secs(20), "the replica does not catch up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    redis.kill().await;
    replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
    let stock = stock_on(&replica).await;
    believes_nothing(&stock).await;
    sells_again_once_rebuilt(&stock).await;
}

#[tokio::test]
async fn of_two_processes_that_begin_a_rebuild_at_once_one_does_it() {
    let redis = Redis::start().await;
    let (one, other) = (stock_on(&redis).await, stock_on(&redis).await);
    for epoch in 1..=20 {
        let begun = tokio::join!(one.begin_rebuild("demo"), other.begin_rebuild("demo"));
        let begun = [begun.0.unwrap(), begun.1.unwrap()];
        assert_eq!(begun.iter().filter(|begun| **begun).count(), 1, "{begun:?}");
        let (doing, waiting) = if begun[0] { (&one, &other) } else { (&other, &one) };
        assert!(!is_known(waiting).await);
        doing.rebuild(image(epoch, 10, None)).await.unwrap();
        assert!(is_known(waiting).await);
    }
}

/// Its image is large, and another process, which gave it up, comes with a newer one in the middle of it.
#[tokio::test]
async fn a_rebuild_that_is_overtaken_writes_into_nobody_elses() {
    let redis = Redis::start().await;
    let (slow, quick) = (stock_on(&redis).await, stock_on(&redis).await);
    let pin = |n| ImagePin { order: id(n), hold: id(n), customer: id(n % 50), version: 2, items: items(1) };
    let large = Image { pins: (0..20_000).map(pin).collect(), ..image(1, 100_000, Some(1_000)) };
    let small = Image { pins: (0..10).map(pin).collect(), ..image(2, 100_000, Some(1_000)) };
    let writing = tokio::spawn(async move { slow.rebuild(large).await });
    while redis.ask(&["HGET", "stampede:stock:{demo}:sale", "rebuild"]).await == redis::Value::Nil {
        tokio::task::yield_now().await;
    }
    quick.rebuild(small).await.unwrap();
    let overtaken = writing.await.unwrap();
    assert!(overtaken.is_err(), "the older image ended before the newer one began: the story was not told");
    assert_eq!(counts(&quick).await, (99_990, 10, 0));
    assert_eq!(quick.levels("demo").await.unwrap().unwrap().epoch, 2);
}

/// The server comes back from a snapshot that was made in the middle of the rebuild, without the parts that came later.
#[tokio::test]
async fn a_rebuild_goes_on_only_on_the_server_process_on_which_it_began() {
    let on = OnServer::fresh().await;
    let pins = vec![ImagePin { order: id(1), hold: id(1), customer: id(1), version: 2, items: items(1) }];
    let image = Image { pins, ..image(1, 5, None) };
    let parts = calls_during(&on.redis, async { on.stock.rebuild(image).await.unwrap() }).await;
    on.redis.ask(&["FLUSHALL"]).await;
    let mut connection = on.redis.connection().await;
    let mut parts = parts.into_iter().filter(|part| part.keys.len() > 1);
    parts.next().expect("the start").repeat(&mut connection).await.unwrap();
    for mut part in parts {
        part.arguments[0] = "another process".into();
        let answer: Vec<String> = redis::from_redis_value(part.repeat(&mut connection).await.unwrap()).unwrap();
        assert_eq!(answer, ["overtaken"]);
    }
    assert!(!is_known(&on.stock).await);
}

#[tokio::test]
async fn a_rebuild_of_tens_of_thousands_of_pins_shows_them_all_and_keeps_nobody_waiting_long() {
    let redis = Redis::start().await;
    let (stock, other) = (stock_on(&redis).await, stock_on(&redis).await);
    let pin = |n| ImagePin { order: id(n), hold: id(n), customer: id(n), version: 2, items: items(1) };
    let bought = (0..2_000).map(|n| (id(n), Item { tier: "std".into(), quantity: 2 })).collect();
    let mut large = Image { pins: (0..20_000).map(pin).collect(), bought, ..image(1, 100_000, Some(4)) };
    large.tiers[0].sold = 10_000;
    let calls = calls_during(&redis, async { stock.rebuild(large).await.unwrap() }).await;
    let longest = calls.iter().map(|call| call.touched.len()).max();
    assert!(longest.is_some_and(|commands| commands < 2_500), "{longest:?} commands in one call");
    assert_eq!(counts(&other).await, (70_000, 20_000, 10_000));
    assert!(matches!(other.pin(id(19_999), id(19_999), id(19_999)).await.unwrap(), Pinned::Yes { new: false, .. }));
    let over = Reserve { customer: id(1), ..hold(50_000, 2) };
    assert_eq!(other.reserve(over).await.unwrap(), Reserved::LimitReached { tier: "std".into() });
}
