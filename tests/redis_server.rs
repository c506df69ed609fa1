//! The connection that a process shares: whatever the server does to it, the next call that can be served is served.

use std::time::{Duration, Instant};

use redis::RedisResult;
use shared::redis_server::RedisServer;
use tests::harness::redis::Redis;
use tokio::net::TcpListener;

async fn ping(server: &RedisServer) -> RedisResult<String> {
    redis::cmd("PING").query_async(&mut server.commands()).await
}

async fn until_served(server: &RedisServer) {
    let since = Instant::now();
    while let Err(error) = ping(server).await {
        assert!(since.elapsed() < Duration::from_secs(20), "still not served: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_refuses_connections_for_a_while_is_used_again_by_itself() {
    let redis = Redis::start().await;
    let server = RedisServer::connect(&redis.url()).await.unwrap();
    assert_eq!(ping(&server).await.unwrap(), "PONG");
    let mut operator = redis.connection().await;
    let mut say = async |words: &[&str]| {
        redis::cmd(words[0]).arg(&words[1..]).query_async::<()>(&mut operator).await.unwrap();
    };
    say(&["CONFIG", "SET", "maxclients", "1"]).await;
    say(&["CLIENT", "KILL", "TYPE", "normal"]).await;

    // Refused with a word of the server, which is no error of the network.
    let since = Instant::now();
    let mut refusals = 0;
    while since.elapsed() < Duration::from_secs(2) {
        refusals += u32::from(ping(&server).await.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refusals > 5, "{refusals}");
    say(&["CONFIG", "SET", "maxclients", "100"]).await;
    until_served(&server).await;
}

#[tokio::test]
async fn a_server_that_was_restarted_is_met_again_by_every_kind_of_call() {
    let mut redis = Redis::start().await;
    let server = RedisServer::connect(&redis.url()).await.unwrap();
    let before = server.known().await.unwrap().run_id;
    redis.kill().await;
    assert!(ping(&server).await.is_err());
    redis.start_again().await;
    until_served(&server).await;
    assert_ne!(server.known().await.unwrap().run_id, before, "another process is known as another one");
}

/// A crowd of callers waits for one try to connect, and not for one try each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_answers_delays_a_crowd_of_callers_once() {
    let mut redis = Redis::start().await;
    let server = RedisServer::connect(&redis.url()).await.unwrap();
    ping(&server).await.unwrap();
    redis.kill().await;
    while ping(&server).await.is_ok() {}
    // In its place: somebody who takes connections and says nothing.
    let _silent = TcpListener::bind(redis.url().trim_start_matches("redis://")).await.unwrap();
    let since = Instant::now();
    let calls = (0..50).map(|_| ping(&server));
    assert!(futures::future::join_all(calls).await.iter().all(Result::is_err));
    // One try takes two seconds; whoever comes while it is under way may cause a second one.
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
}
