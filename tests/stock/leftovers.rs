//! What stays behind: nothing that grows with the number of orders.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use shared::order::state::StockEffect;
use shared::stock::{REMEMBER_RELEASED, Reserved, Stock};
use tests::harness::redis::Redis;

use super::fixture::{THINK, counts, image, pass, purchase, settlement, stock_on};

const ORDERS: u128 = 10_000;
/// What a server's memory moves by itself: buffers of connections, tables that have not shrunk yet.
const NOISE_BYTES: u64 = 1_000_000;

#[tokio::test]
async fn nothing_is_left_of_ten_thousand_orders_once_they_are_forgotten() {
    let redis = Redis::start().await;
    let stock = stock_on(&redis).await;
    stock.rebuild(image(1, 10_000, None)).await.unwrap();
    let before = redis.info("used_memory").await;
    let (stock, of_all) = (&stock, stream::iter(0..ORDERS));
    of_all
        .for_each_concurrent(64, |n| async move {
            assert!(matches!(stock.reserve(purchase(n, 1)).await.unwrap(), Reserved::Yes { new: true, .. }));
            let effect = if n % 2 == 0 { StockEffect::Sold } else { StockEffect::Released };
            stock.settle(settlement(n, 3, effect)).await.unwrap();
        })
        .await;
    assert_eq!(counts(stock).await, (5_000, 0, 5_000));
    let remembered = redis.info("used_memory").await;
    assert!(remembered > before + 3 * NOISE_BYTES, "ten thousand orders are remembered in {}", remembered - before);

    pass(&redis, REMEMBER_RELEASED).await;
    assert_eq!(stock.expire().await.unwrap(), 0, "no hold of a buyer was among them");
    assert_eq!(counts(stock).await, (5_000, 0, 5_000));
    // The sales that were noted of each customer go a while later.
    pass(&redis, THINK + Duration::from_secs(60)).await;
    assert_eq!(redis.keys().await, 2, "the sale, and the list of sales");
    let waited_since = Instant::now();
    while redis.info("used_memory").await > before + NOISE_BYTES {
        let left = redis.info("used_memory").await.saturating_sub(before);
        assert!(waited_since.elapsed() < Duration::from_secs(20), "{left} bytes are left");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Ten thousand buyers who are refused leave nothing at all.
#[tokio::test]
async fn who_gets_nothing_leaves_no_trace() {
    let redis = Redis::start().await;
    let stock = stock_on(&redis).await;
    stock.rebuild(image(1, 0, Some(1))).await.unwrap();
    let keys = redis.keys().await;
    let stock = &stock;
    stream::iter(0..ORDERS)
        .for_each_concurrent(64, |n| async move {
            assert!(matches!(stock.reserve(purchase(n, 1)).await.unwrap(), Reserved::SoldOut { .. }));
        })
        .await;
    assert_eq!(redis.keys().await, keys);
}
