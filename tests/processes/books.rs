//! The books of the processes in a real Redis: the suite that every implementation runs, and what only a server can do to
//! them.

use std::sync::Arc;

use shared::fleet::conformance::{World, stories};
use shared::fleet::redis::{BEATS, RedisFleet};
use shared::redis_server::RedisServer;
use tests::harness::redis::Redis;

use super::*;

/// Lets every beat lapse so many ms earlier, and the keys with it.
const PASS: &str = r"
    local ms = tonumber(ARGV[1])
    for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
      redis.call('ZINCRBY', KEYS[1], string.format('%d', -ms), name)
    end
    for _, key in ipairs(redis.call('KEYS', 'stampede:{fleet}:*')) do
      local left = redis.call('PTTL', key) - ms
      if left <= 0 then redis.call('DEL', key) else redis.call('PEXPIRE', key, string.format('%d', left)) end
    end
";

#[tokio::test(flavor = "multi_thread")]
async fn books_in_redis_do_what_they_must() {
    for (name, story) in stories() {
        eprintln!("story: {name}");
        let redis = Arc::new(Redis::start().await);
        let fleet = Arc::new(RedisFleet::new(RedisServer::connect(&redis.url()).await.expect("the server is fit")));
        let pass = move |time: Duration| -> futures::future::BoxFuture<'static, ()> {
            let redis = redis.clone();
            Box::pin(async move {
                redis.ask(&["EVAL", PASS, "1", BEATS, &time.as_millis().to_string()]).await;
            })
        };
        story(World { fleet, pass: Box::new(pass) }).await;
    }
}

#[tokio::test]
async fn nothing_is_left_of_processes_that_are_gone_and_a_flushed_server_knows_all_again() {
    let mut fleet = Fleet::start(&[]).await;
    let key = key(&fleet).await;
    let names = workers(&fleet, &key, 2).await;
    assert_eq!(tell(&fleet, &key, &names[0], "concurrency", concurrency(3)).await.0, 200);
    let wish = async || {
        let all = of_kind(&fleet, &key, "worker").await;
        let named = all.into_iter().find(|worker| worker["name"] == *names[0])?;
        (named["load"]["worker"]["concurrency"] == 3).then_some(named["wish"].clone())
    };
    assert_eq!(until("it has heard", wish).await["concurrency"], 3);
    fleet.redis.ask(&["FLUSHALL"]).await;
    assert_eq!(workers(&fleet, &key, 2).await, names, "the same ones");
    assert_eq!(until("it tells what it had heard", wish).await["concurrency"], 3);
    for place in 0..2 {
        assert!(fleet.workers[place].take().unwrap().stop().await.success());
        assert!(fleet.webs[place].process.take().unwrap().stop().await.success());
    }
    let left: u64 = redis::from_redis_value(fleet.redis.ask(&["ZCARD", BEATS]).await).expect("a number");
    assert_eq!(left, 0, "who ends in order strikes itself out: {}", fleet.logs());
}
