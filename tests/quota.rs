//! Limits that several processes count together, against a real Redis.

use std::time::Duration;

use futures::future::join_all;
use shared::quota::{PREFIX, Quota, SharedQuotas};
use shared::redis_server::RedisServer;
use tests::harness::redis::Redis;

const FIVE: Quota = Quota { burst: 5, every: Duration::from_millis(200) };

async fn process(redis: &Redis) -> SharedQuotas {
    SharedQuotas::new(RedisServer::connect(&redis.url()).await.expect("Redis"))
}

#[tokio::test]
async fn processes_that_count_together_allow_a_burst_and_not_one_more() {
    let redis = Redis::start().await;
    let (one, other) = (process(&redis).await, process(&redis).await);
    let slow = Quota { every: Duration::from_secs(60), ..FIVE };
    let takes = (0..40).map(|n| if n % 2 == 0 { one.take("holds", "a", slow) } else { other.take("holds", "a", slow) });
    let answers = join_all(takes).await;
    let allowed = answers.iter().filter(|answer| matches!(answer, Ok(None))).count();
    assert_eq!(allowed, 5, "{answers:?}");
    let waits = answers.iter().filter_map(|answer| answer.as_ref().unwrap().as_ref());
    assert!(waits.clone().count() == 35 && waits.clone().all(|wait| wait.as_secs() >= 59), "{answers:?}");
    for (kind, who) in [("holds", "b"), ("sessions", "a")] {
        assert_eq!(one.take(kind, who, slow).await.unwrap(), None, "{kind} of {who} are counted apart");
    }
}

#[tokio::test]
async fn who_waits_as_long_as_told_is_allowed_again_and_leaves_nothing_behind() {
    let redis = Redis::start().await;
    let quotas = process(&redis).await;
    while quotas.take("holds", "a", FIVE).await.unwrap().is_none() {}
    let wait = quotas.take("holds", "a", FIVE).await.unwrap().expect("it is full");
    assert!(wait <= FIVE.every, "{wait:?}");
    tokio::time::sleep(wait).await;
    assert_eq!(quotas.take("holds", "a", FIVE).await.unwrap(), None);
    let kept = redis.ask(&["PTTL", &format!("{PREFIX}holds:a")]).await;
    // In ms: no longer than until all of it may be had again.
    assert!(matches!(kept, redis::Value::Int(1..=1_000)), "{kept:?}");
}

#[tokio::test]
async fn a_redis_that_is_away_is_an_error_and_no_refusal() {
    let redis = Redis::start().await;
    let quotas = process(&redis).await;
    drop(redis);
    assert!(quotas.take("holds", "a", FIVE).await.is_err());
}
