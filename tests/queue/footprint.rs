//! What the queue leaves in Redis, and what it costs there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::Value;
use shared::queue::{Finish, Gauges, Job as _, Queue as _, QueueOptions};
use tests::harness::redis::Redis;

use super::crew::{Crew, LONG, Number, SHORT, numbers, options, until};
use super::{connect, key};

async fn number(redis: &Redis, command: &[&str]) -> u64 {
    redis::from_redis_value(redis.ask(command).await).unwrap()
}

/// The names in the group.
async fn consumers(redis: &Redis) -> Vec<String> {
    let Value::Array(consumers) = redis.ask(&["XINFO", "CONSUMERS", &key(Number::QUEUE, "line"), "workers"]).await
    else {
        panic!("XINFO answers with a list")
    };
    consumers.iter().map(|facts| redis::from_redis_value_ref::<Vec<Value>>(facts).unwrap()).map(name).collect()
}

fn name(facts: Vec<Value>) -> String {
    redis::from_redis_value(facts.into_iter().nth(1).unwrap()).unwrap()
}

#[tokio::test]
async fn ten_thousand_finished_jobs_leave_an_empty_stream_and_nothing_else() {
    const JOBS: u32 = 10_000;
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    let done = Arc::new(AtomicUsize::new(0));
    // Some are tried again, some are followed by another.
    let crew = Crew::start(&redis, LONG, options("w", 50), done.clone(), |done, Number(n), info| async move {
        if n % 100 == 1 && info.retries == 0 {
            return Finish::retry(Duration::from_millis(20), "not yet");
        }
        done.fetch_add(1, Ordering::SeqCst);
        if n < JOBS && n % 100 == 2 { Finish::then(&Number(n + 1_000_000)) } else { Finish::done() }
    });
    let mut used = Vec::new();
    for round in 1..=3 {
        queue.push(numbers(0..JOBS)).await.unwrap();
        let all = usize::try_from(round * (JOBS + JOBS / 100)).unwrap();
        until("all are done", async || done.load(Ordering::SeqCst) == all).await;
        until("all ends are told", async || queue.gauges(Number::QUEUE).await.unwrap() == Gauges::default()).await;
        assert_eq!(redis.keys().await, 1, "the stream");
        assert_eq!(number(&redis, &["XLEN", &key(Number::QUEUE, "line")]).await, 0);
        used.push(number(&redis, &["MEMORY", "USAGE", &key(Number::QUEUE, "line"), "SAMPLES", "0"]).await);
    }
    assert!(used[2] < used[0] + 10_000, "the stream grows with the jobs that went through: {used:?}");
    crew.stop().await;
}

#[tokio::test]
async fn the_names_of_workers_that_are_gone_are_forgotten() {
    let store = QueueOptions { lease: Duration::from_millis(100), ..SHORT };
    let redis = Redis::start().await;
    let queue = connect(&redis, store).await;
    let work = |(), Number(_), _| async { Finish::done() };
    let did_a_job = async |n: u32| {
        queue.push(numbers(n..n + 1)).await.unwrap();
        until("the job is done", async || queue.gauges(Number::QUEUE).await.unwrap() == Gauges::default()).await;
    };
    for n in 0..5 {
        let crew = Crew::start(&redis, store, options(&format!("old-{n}"), 1), (), work);
        did_a_job(n).await;
        crew.stop().await;
    }
    let listed = async |name: &str| consumers(&redis).await.iter().any(|consumer| consumer.starts_with(name));
    assert!(listed("old-4").await);
    let crew = Crew::start(&redis, store, options("new", 1), (), work);
    until("the old ones are gone", async || !listed("old-").await).await;
    did_a_job(5).await;
    assert!(listed("new").await);
    crew.stop().await;
}

#[tokio::test]
async fn a_job_is_not_forgotten_with_the_name_of_its_worker() {
    let store = QueueOptions { lease: Duration::from_millis(20), ..SHORT };
    let redis = Redis::start().await;
    let queue = connect(&redis, store).await;
    queue.push(numbers(0..1)).await.unwrap();
    queue.fetch(Number::QUEUE, "gone", 1).await.unwrap();
    // Nobody is there for longer than it takes for a name to be forgotten.
    tokio::time::sleep(store.lease * 20).await;
    let fetched = connect(&redis, store).await.fetch(Number::QUEUE, "new", 1).await.unwrap();
    assert_eq!((fetched[0].key.as_str(), fetched[0].deliveries), ("0", 2));
}

#[tokio::test]
async fn counting_a_hundred_thousand_jobs_takes_no_longer_than_counting_one() {
    const CALLS: u32 = 200;
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    let count = async || {
        let started = Instant::now();
        for _ in 0..CALLS {
            queue.gauges(Number::QUEUE).await.unwrap();
        }
        started.elapsed()
    };
    queue.push(numbers(0..1)).await.unwrap();
    let few = count().await;
    queue.push(numbers(1..100_000)).await.unwrap();
    let many = count().await;
    assert_eq!(queue.gauges(Number::QUEUE).await.unwrap().waiting, 100_000);
    assert!(many < few * 5 + Duration::from_millis(200), "{CALLS} calls took {few:?}, and then {many:?}");
}
