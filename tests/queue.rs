//! The queue on a real Redis server: the suite that every queue passes, the model, and what only this one promises.

mod batches;
mod crew;
mod footprint;
mod model;
mod outages;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use shared::env::Env;
use shared::queue::QueueOptions;
use shared::queue::conformance::Subject;
use shared::queue::redis::RedisQueue;
use shared::redis_server::RedisServer;
use tests::harness::redis::Redis;

/// A store of its own on a server; each call is another process, as far as the server can tell.
async fn connect(redis: &Redis, options: QueueOptions) -> Arc<RedisQueue> {
    connect_to(&redis.url(), options).await
}

async fn connect_to(url: &str, options: QueueOptions) -> Arc<RedisQueue> {
    let server = RedisServer::connect(url).await.expect("a server that is fit");
    Arc::new(RedisQueue::new(server, Env::system(), options))
}

/// A key of a queue, as operators see it.
fn key(queue: &str, part: &str) -> String {
    format!("stampede:{{queue}}:{queue}:{part}")
}

/// Redis's own time cannot be moved, so it is waited for.
async fn make(options: QueueOptions) -> Subject {
    let redis = Arc::new(Redis::start().await);
    let queue = connect(&redis, options).await;
    Subject::new(queue, move |time: Duration| {
        let redis = redis.clone();
        async move {
            tokio::time::sleep(time).await;
            drop(redis);
        }
        .boxed()
    })
}

shared::queue_conformance!(make);
