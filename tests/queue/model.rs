//! The queue against a model, over random steps. Redis's clock cannot be moved, so leases and delays are moved instead.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use proptest::test_runner::{Config, TestRunner};
use redis::aio::MultiplexedConnection;
use shared::queue::conformance::{Subject, model};
use tests::harness::redis::Redis;

use super::{connect, key};

const QUEUE: &str = "conformance-here";

#[test]
fn the_redis_queue_does_what_a_plain_list_would() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let redis = Arc::new(runtime.block_on(Redis::start()));
    let config = Config { cases: 150, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&model::steps(), |steps| {
        runtime.block_on(async {
            redis.ask(&["FLUSHALL"]).await;
            let client = redis::Client::open(redis.url()).unwrap();
            let connection = client.get_multiplexed_async_connection().await.unwrap();
            let pass = move |time| travel(connection.clone(), time).boxed();
            let subject = Subject::new(connect(&redis, model::OPTIONS).await, pass);
            model::agrees(&subject, &steps).await;
        });
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}

/// Makes all leases older, and all delayed jobs due sooner.
async fn travel(mut connection: MultiplexedConnection, time: Duration) {
    let ms = u64::try_from(time.as_millis()).unwrap();
    let line = key(QUEUE, "line");
    let mut pending = redis::cmd("XPENDING");
    pending.arg(&line).arg("workers").arg("-").arg("+").arg(1_000);
    // There is no group as long as nobody has fetched.
    let pending: Vec<(String, String, u64, u64)> = pending.query_async(&mut connection).await.unwrap_or_default();
    let mut moves = redis::pipe();
    for (entry, consumer, idle, _) in pending {
        moves.cmd("XCLAIM").arg(&line).arg("workers").arg(consumer).arg(0).arg(entry);
        moves.arg("IDLE").arg(idle + ms).arg("JUSTID");
    }
    let mut delayed = redis::cmd("ZRANGE");
    let delayed: Vec<String> =
        delayed.arg(key(QUEUE, "delayed")).arg(0).arg(-1).query_async(&mut connection).await.unwrap();
    for job in delayed {
        moves.cmd("ZINCRBY").arg(key(QUEUE, "delayed")).arg(format!("-{ms}")).arg(job);
    }
    if !moves.is_empty() {
        moves.exec_async(&mut connection).await.unwrap();
        // In truth so much time takes longer than that in which a fetcher does not look for lapsed leases again.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
