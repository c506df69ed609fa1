//! The books in a real Redis: the suite that every implementation runs, and what only a server can do to them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shared::budget::conformance::Fixture;
use shared::budget::redis::{KEY, RedisSlots};
use shared::budget::{Budget, Endpoint, Limits, Reserved, Sharer, Slots};
use shared::env::Env;
use shared::redis_server::RedisServer;
use tests::harness::redis::Redis;

/// Moves everything that has a time as far into the past as it is told, in µs.
const PASS: &str = r"
    local us = tonumber(ARGV[1])
    for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
      if field == 'born' or string.match(field, ':next$') or string.match(field, ':cut_at$') then
        redis.call('HINCRBY', KEYS[1], field, 0 - us)
      end
    end
";

struct OnServer {
    redis: Redis,
    slots: RedisSlots,
    env: Env,
}

async fn books_on(redis: &Redis) -> RedisSlots {
    RedisSlots::new(RedisServer::connect(&redis.url()).await.expect("the server is fit"))
}

#[async_trait]
impl Fixture for OnServer {
    async fn fresh() -> Self {
        let redis = Redis::start().await;
        let slots = books_on(&redis).await;
        let books = Self { redis, slots, env: Env::system() };
        let long_ago = Limits { endpoint: Some(1_000), total: None };
        books
            .slots
            .standing(long_ago, Some(Sharer { name: "x", latency: Some(Duration::from_secs(1)) }))
            .await
            .unwrap();
        books.redis.ask(&["DEL", "stampede:{budget}:sharers"]).await;
        books.pass(Duration::from_secs(3_600)).await;
        books
    }

    fn slots(&self) -> &dyn Slots {
        &self.slots
    }

    fn env(&self) -> Env {
        self.env.clone()
    }

    async fn pass(&self, time: Duration) {
        self.redis.ask(&["EVAL", PASS, "1", KEY, &time.as_micros().to_string()]).await;
    }

    async fn lose(&mut self) {
        self.redis.ask(&["FLUSHALL"]).await;
    }

    fn slack(&self) -> Duration {
        // Between the server's look at its clock and ours a busy machine may do something else.
        Duration::from_millis(60)
    }
}

shared::budget::conformance::budget_suite!(OnServer);

#[tokio::test]
async fn several_processes_are_counted_as_long_as_they_look_and_one_says_how_long_stripe_takes_for_all() {
    let redis = Redis::start().await;
    let (one, two) = (books_on(&redis).await, books_on(&redis).await);
    let limits = Limits { endpoint: Some(25), total: Some(100) };
    let latency = Some(Duration::from_millis(600));
    one.standing(limits, Some(Sharer { name: "one", latency })).await.unwrap();
    two.standing(limits, Some(Sharer { name: "two", latency: None })).await.unwrap();
    let seen = two.standing(limits, None).await.unwrap();
    assert_eq!((seen.sharers, seen.latency), (2, latency));
    assert_eq!(redis.keys().await, 2, "all there is");
}

#[tokio::test]
async fn a_clock_that_went_back_by_hours_does_not_stop_charging() {
    let books = OnServer::fresh().await;
    let ask = shared::budget::Ask {
        endpoint: Endpoint::CreateIntent,
        limits: Limits { endpoint: Some(25), total: Some(100) },
        most: 1,
        ahead: true,
        patience: Duration::from_secs(5),
    };
    assert!(matches!(books.slots.reserve(ask).await.unwrap(), Reserved::Slots { .. }));
    let ahead = (books.env.now().0 + 7_200_000) * 1_000;
    for field in ["create_intent:next", "total:next"] {
        books.redis.ask(&["HSET", KEY, field, &ahead.to_string()]).await;
    }
    assert!(matches!(books.slots.reserve(ask).await.unwrap(), Reserved::Slots { .. }));
}

/// A Redis that is away stops nobody who has a job in hand; when it is back, the books are shared again.
#[tokio::test]
async fn a_redis_that_is_away_for_a_while_does_not_stop_charging() {
    let mut redis = Redis::start().await;
    let books = Arc::new(books_on(&redis).await);
    let limits = Limits { endpoint: Some(50), total: None };
    let budget = Budget::new(Env::system(), books, limits, "one".into());
    let patience = Duration::from_secs(20);
    let go = async || drop(budget.turn(Endpoint::CreateIntent, budget.ticket(), patience).await.expect("a turn"));
    go().await;
    redis.kill().await;
    for _ in 0..3 {
        go().await;
    }
    redis.start_again().await;
    for _ in 0..100 {
        go().await;
        budget.look(true).await;
        if budget.standing().of(Endpoint::CreateIntent).taken > 0 {
            return;
        }
    }
    panic!("the books in Redis were not taken up again");
}
