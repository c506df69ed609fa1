//! The stock in Redis and the stock in memory cannot be told apart: the same random calls, the same answers.
//!
//! Both go by a clock that stands still until it is moved, so that every deadline and every thinking time that is left
//! must agree to the millisecond.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shared::env::{Env, Seeded};
use shared::redis_server::RedisServer;
use shared::stock::Stock;
use shared::stock::memory::MemoryStock;
use shared::stock::redis::{CLOCK_OF_TESTS, RedisStock};
use tests::harness::redis::Redis;

use super::calls::{Call, answer, call};

/// When the clock of the server begins.
const START_MS: u64 = 1_800_000_000_000;

struct Twins {
    redis: Redis,
    seeded: Seeded,
    memory: MemoryStock,
    in_redis: RedisStock,
    clock_ms: u64,
    epochs: [u64; 2],
    /// Holds that were reserved for an order: whether their customers find them is left to the store.
    ordered: HashSet<u128>,
}

impl Twins {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let server = RedisServer::connect(&redis.url()).await.unwrap();
        let seeded = Seeded::new(7);
        let memory = MemoryStock::new(seeded.env());
        let in_redis = RedisStock::by_clock_of_tests(server, Env::system());
        Self { redis, seeded, memory, in_redis, clock_ms: START_MS, epochs: [0; 2], ordered: HashSet::new() }
    }

    async fn begin(&mut self) {
        self.redis.ask(&["FLUSHALL"]).await;
        self.memory = MemoryStock::new(self.seeded.env());
        (self.clock_ms, self.epochs) = (START_MS, [0; 2]);
        self.ordered.clear();
        self.pass(0).await;
        for sale in 0..2 {
            self.play(Call::open(sale)).await;
        }
    }

    async fn pass(&mut self, ms: u64) {
        self.clock_ms += ms;
        self.seeded.advance(Duration::from_millis(ms));
        self.redis.ask(&["SET", CLOCK_OF_TESTS, &self.clock_ms.to_string()]).await;
    }

    /// Makes the call to both, and compares.
    async fn play(&mut self, call: Call) {
        if let Call::Pass { ms } = call {
            return self.pass(ms).await;
        }
        match call {
            Call::Reserve { hold, order: Some(_), .. } => drop(self.ordered.insert(hold)),
            Call::Pin { hold, .. } | Call::Free { hold, .. } if self.ordered.contains(&hold) => return,
            _ => {}
        }
        if let Call::Rebuild { sale, newer_by, .. } = call {
            self.epochs[sale] = (self.epochs[sale] + newer_by).max(1);
        }
        let [memory, redis] =
            [&self.memory as &dyn Stock, &self.in_redis].map(|stock| answer(stock, &call, self.epochs));
        let (memory, redis) = (memory.await, redis.await);
        assert_eq!(redis, memory, "redis left, memory right: {call:?}");
    }
}

/// How many random lives the two are led through; a soak asks for more by `STAMPEDE_TEST_CASES`.
fn cases() -> u32 {
    std::env::var("STAMPEDE_TEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

#[test]
fn the_stock_in_redis_and_the_stock_in_memory_cannot_be_told_apart() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let twins = tokio::sync::Mutex::new(runtime.block_on(Twins::start()));
    let config = Config { cases: cases(), max_shrink_iters: 1_000, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&prop::collection::vec(call(), 1..160), |calls| {
        runtime.block_on(async {
            let mut twins = twins.lock().await;
            twins.begin().await;
            for call in calls {
                twins.play(call).await;
            }
            twins.play(Call::Look).await;
        });
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}
