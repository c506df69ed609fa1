//! Many at once, over several connections.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use shared::env::{Env, Seeded};
use shared::order::state::StockEffect;
use shared::stock::redis::RedisStock;
use shared::stock::{Freed, Levels, Pinned, Reserved, Stock as _, StockError};
use tests::harness::redis::Redis;

use super::fixture::{counts, hold, id, image, purchase, settlement, stock_on};

const TASKS: u128 = 200;
const HOLDS_PER_TASK: u128 = 12;
const CAPACITY: u32 = 150;
const LIMIT: u32 = 3;
const CONNECTIONS: usize = 4;

fn conserved(levels: &Levels) {
    let tier = &levels.tiers[0];
    assert_eq!(tier.capacity, tier.free + tier.held + tier.sold, "{tier:?}");
    assert!(tier.pinned <= tier.held, "{tier:?}");
}

/// Repeats a call whose outcome is unknown, as its callers do.
async fn until_answered<T, F: Future<Output = Result<T, StockError>>>(call: impl Fn() -> F) -> T {
    for _ in 0..1_000 {
        if let Ok(answer) = call().await {
            return answer;
        }
    }
    panic!("a thousand calls failed");
}

/// One customer, who reserves, pins, pays, gives up and repeats; how many units were sold to them.
async fn shop(stock: Arc<RedisStock>, task: u128, seed: u64) -> u32 {
    let env: Env = Seeded::new(seed).env();
    let chance = |of: u64| env.random_u64().is_multiple_of(of);
    let mut sold = 0;
    for n in 0..HOLDS_PER_TASK {
        let number = task * HOLDS_PER_TASK + n;
        let quantity = 1 + u32::try_from(env.random_u64() % 2).unwrap();
        let mut wish = if chance(2) { purchase(number, quantity) } else { hold(number, quantity) };
        wish.customer = id(task);
        let Reserved::Yes { .. } = until_answered(|| stock.reserve(wish.clone())).await else { continue };
        if wish.order.is_none() && chance(3) {
            assert_ne!(until_answered(|| stock.free(id(number), id(task))).await, Freed::Pinned);
            continue;
        }
        if wish.order.is_none() {
            let pinned = until_answered(|| stock.pin(id(number), id(number), id(task))).await;
            assert!(matches!(pinned, Pinned::Yes { .. }), "{pinned:?}");
        }
        conserved(&until_answered(|| stock.levels("demo")).await.expect("the sale is known"));
        let effect = if chance(3) { StockEffect::Sold } else { StockEffect::Released };
        until_answered(|| stock.settle(settlement(number, 2, StockEffect::Pinned))).await;
        until_answered(|| stock.settle(settlement(number, 3, effect))).await;
        if chance(2) {
            until_answered(|| stock.settle(settlement(number, 3, effect))).await;
        }
        sold += if effect == StockEffect::Sold { quantity } else { 0 };
    }
    sold
}

/// Claims, pins, payments and repeats of two hundred customers over several connections, which are cut now and then: what
/// each customer knows of their own tickets adds up to what the stock shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_customers_over_several_connections_that_are_cut_share_one_stock() {
    let redis = Redis::start().await;
    let mut stocks = Vec::new();
    for _ in 0..CONNECTIONS {
        stocks.push(Arc::new(stock_on(&redis).await));
    }
    stocks[0].rebuild(image(1, CAPACITY, Some(LIMIT))).await.unwrap();
    let seed = std::env::var("STAMPEDE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| Env::system().random_u64());
    eprintln!("STAMPEDE_TEST_SEED={seed}");
    let tasks = stocks.iter().cycle().zip(0..TASKS);
    let tasks: Vec<_> = tasks
        .map(|(stock, task)| {
            let seed = seed.wrapping_mul(1_000).wrapping_add(u64::try_from(task).unwrap());
            tokio::spawn(shop(Arc::clone(stock), task, seed))
        })
        .collect();
    while tasks.iter().any(|task| !task.is_finished()) {
        redis.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sold: Vec<u32> =
        join_all(tasks).await.into_iter().map(|task| task.expect("the customer's story holds")).collect();
    let stock = stock_on(&redis).await;
    assert!(sold.iter().all(|units| *units <= LIMIT), "{sold:?}");
    let total: u32 = sold.iter().sum();
    assert_eq!(counts(&stock).await, (CAPACITY - total, 0, total));
    assert!(total > CAPACITY / 2, "a sale in which little was sold shows little: {total}");
}
