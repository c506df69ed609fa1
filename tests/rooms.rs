//! Rooms over Redis: what every implementation must do, and what only a server between two processes can do to it.

use std::time::Duration;

use shared::env::Env;
use shared::redis_server::RedisServer;
use shared::rooms::redis::RedisRooms;
use shared::rooms::{Envelope, Received, Rooms as _, Subscription, conformance};
use tests::harness::redis::Redis;
use uuid::Uuid;

async fn rooms_on(redis: &Redis) -> RedisRooms {
    RedisRooms::new(RedisServer::connect(&redis.url()).await.unwrap(), Env::system())
}

fn envelope(room: u128, frame: &str) -> Envelope {
    Envelope { room: Uuid::from_u128(room), frame: frame.into() }
}

async fn next(subscription: &mut dyn Subscription) -> Received {
    let next = tokio::time::timeout(Duration::from_secs(20), subscription.next()).await;
    next.expect("something from the rooms").expect("a subscription that goes on")
}

#[tokio::test]
async fn every_subscriber_gets_every_message_in_order() {
    let redis = Redis::start().await;
    conformance::every_subscriber_gets_every_message_in_order(&rooms_on(&redis).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_subscriber_is_told_and_never_blocks_the_publisher() {
    let redis = Redis::start().await;
    conformance::a_slow_subscriber_is_told_and_never_blocks_the_publisher(&rooms_on(&redis).await).await;
}

#[tokio::test]
async fn what_one_process_publishes_another_receives() {
    let redis = Redis::start().await;
    let (here, there) = (rooms_on(&redis).await, rooms_on(&redis).await);
    let mut subscription = there.subscribe().await.unwrap();
    here.publish(vec![envelope(1, "a"), envelope(65, "b"), envelope(2, "é")]).await.unwrap();
    for expected in [envelope(1, "a"), envelope(65, "b"), envelope(2, "é")] {
        assert_eq!(next(&mut *subscription).await, Received::Message(expected));
    }
}

#[tokio::test]
async fn a_server_that_was_away_leaves_a_gap_that_is_told() {
    let mut redis = Redis::start().await;
    let rooms = rooms_on(&redis).await;
    let mut subscription = rooms.subscribe().await.unwrap();
    redis.kill().await;
    assert!(rooms.publish(vec![envelope(1, "lost")]).await.is_err());
    redis.start_again().await;
    assert_eq!(next(&mut *subscription).await, Received::Interrupted);
    let published = async { while rooms.publish(vec![envelope(1, "after")]).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), published).await.expect("a connection that comes back");
    assert_eq!(next(&mut *subscription).await, Received::Message(envelope(1, "after")));
}

#[tokio::test]
async fn two_shops_in_two_databases_of_one_server_do_not_hear_one_another() {
    let redis = Redis::start().await;
    let other = RedisServer::connect(&format!("{}/1", redis.url())).await.unwrap();
    let (ours, theirs) = (rooms_on(&redis).await, RedisRooms::new(other, Env::system()));
    let mut subscription = ours.subscribe().await.unwrap();
    theirs.publish(vec![envelope(1, "theirs")]).await.unwrap();
    ours.publish(vec![envelope(1, "ours")]).await.unwrap();
    assert_eq!(next(&mut *subscription).await, Received::Message(envelope(1, "ours")));
}

#[tokio::test]
async fn a_subscription_that_is_dropped_closes_its_connection() {
    let redis = Redis::start().await;
    let rooms = rooms_on(&redis).await;
    let before = redis.info("connected_clients").await;
    drop(rooms.subscribe().await.unwrap());
    let closed = async { while redis.info("connected_clients").await > before {} };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("the connection closes");
}
