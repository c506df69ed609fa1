//! A stock on a Redis server of the test's own, and how time is made to pass for it.

use std::time::Duration;

use async_trait::async_trait;
use shared::env::Env;
use shared::redis_server::RedisServer;
use shared::stock::Stock;
use shared::stock::conformance::Fixture;
use shared::stock::redis::{PREFIX, RedisStock};
use tests::harness::redis::Redis;

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
