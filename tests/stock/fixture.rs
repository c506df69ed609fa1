//! A stock on a Redis server of the test's own, and how time is made to pass for it.

use std::time::Duration;

use async_trait::async_trait;
use shared::env::Env;
use shared::ledger::records::{Image, ImageTier};
use shared::order::state::StockEffect;
use shared::redis_server::RedisServer;
use shared::sale::PricedItem;
use shared::stock::conformance::Fixture;
use shared::stock::redis::{PREFIX, RedisStock};
use shared::stock::{Reserve, Settlement, Stock};
use tests::harness::redis::Redis;
use uuid::Uuid;

/// Moves everything that has a time as far into the past as it is told: scores of sorted sets, the sign of life of a
/// rebuild, and the time that a key has left.
const PASS: &str = r"
    local ms = tonumber(ARGV[1])
    for _, key in ipairs(redis.call('KEYS', ARGV[2] .. '*')) do
      if redis.call('TYPE', key).ok == 'zset' then
        for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
          redis.call('ZINCRBY', key, -ms, member)
        end
      elseif redis.call('TYPE', key).ok == 'hash' and redis.call('HEXISTS', key, 'begun') == 1 then
        redis.call('HINCRBY', key, 'begun', -ms)
      end
      local left = redis.call('PTTL', key)
      if left >= 0 then
        redis.call('PEXPIRE', key, left - ms)
      end
    end
";

/// Lets time pass for everything that the stock has on a server.
pub(super) async fn pass(redis: &Redis, time: Duration) {
    if time.is_zero() {
        return;
    }
    redis.ask(&["EVAL", PASS, "0", &time.as_millis().to_string(), PREFIX]).await;
}

/// A connection of its own to a stock, as another process would have.
pub(super) async fn stock_on(redis: &Redis) -> RedisStock {
    RedisStock::new(RedisServer::connect(&redis.url()).await.expect("the server is fit"), Env::system())
}

/// A stock, and its server.
pub(super) struct OnServer {
    pub(super) redis: Redis,
    pub(super) stock: RedisStock,
}

#[async_trait]
impl Fixture for OnServer {
    async fn fresh() -> Self {
        let redis = Redis::start().await;
        let stock = stock_on(&redis).await;
        Self { redis, stock }
    }

    async fn clear(&mut self) {
        self.redis.ask(&["FLUSHALL"]).await;
    }

    fn stock(&self) -> &dyn Stock {
        &self.stock
    }

    async fn pass(&self, time: Duration) {
        pass(&self.redis, time).await;
    }
}

/// How long the buyers of these tests think.
pub(super) const THINK: Duration = Duration::from_secs(60);

pub(super) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n + 1)
}

/// What the ledger says of a sale of one tier of which nothing is sold.
pub(super) fn image(epoch: u64, capacity: u32, limit: Option<u32>) -> Image {
    let tier = ImageTier { id: "std".into(), capacity, sold: 0, returned: 0, max_per_customer: limit };
    Image {
        sale: "demo".into(),
        currency: "usd".parse().unwrap(),
        epoch,
        paused: false,
        tiers: vec![tier],
        pins: vec![],
        bought: vec![],
        sold: Vec::new(),
    }
}

pub(super) fn items(quantity: u32) -> Vec<PricedItem> {
    vec![PricedItem { tier: "std".into(), quantity, amount: 2_500 }]
}

/// A hold of a buyer who thinks; hold and customer share a number.
pub(super) fn hold(n: u128, quantity: u32) -> Reserve {
    Reserve {
        hold: id(n),
        sale: "demo".into(),
        customer: id(n),
        items: items(quantity),
        currency: "usd".parse().unwrap(),
        think: THINK,
        order: None,
    }
}

/// A purchase in one call; order, hold and customer share a number.
pub(super) fn purchase(n: u128, quantity: u32) -> Reserve {
    Reserve { order: Some(id(n)), ..hold(n, quantity) }
}

pub(super) fn settlement(n: u128, version: i64, effect: StockEffect) -> Settlement {
    Settlement { sale: "demo".into(), hold: id(n), order: id(n), version, effect }
}

/// Free, held and sold units, which must add up to the capacity.
pub(super) async fn counts(stock: &dyn Stock) -> (u32, u32, u32) {
    let levels = stock.levels("demo").await.unwrap().expect("the sale is known");
    let tier = &levels.tiers[0];
    assert_eq!(tier.capacity, tier.free + tier.held + tier.sold, "conservation: {tier:?}");
    (tier.free, tier.held, tier.sold)
}
