//! Faults of the servers beneath: Redis that forgets or is full, PostgreSQL that crashes or has no room on its disk.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tests::harness::redis::Redis;
use xtask::cluster::Cluster;

use super::schedule::Fault;
use super::stage::{SharedCluster, Stage};

/// Memory of a Redis server that is full, in bytes: less than any server takes.
const NO_MEMORY: &str = "1mb";
/// How long a replica may take to have what its primary has.
const IN_STEP_WITHIN: Duration = Duration::from_secs(10);

/// A server that followed the one in use, and does so no longer.
pub(super) struct Replica {
    server: Redis,
    /// How far it had followed, in bytes of the replication stream.
    came: u64,
}

/// How many writes were refused for want of memory.
pub(super) async fn refused_for_memory(stage: &Stage) -> u64 {
    let info = stage.fleet.redis.try_ask(&["INFO", "errorstats"]).await.ok();
    let info: String = info.and_then(|info| redis::from_redis_value(info).ok()).unwrap_or_default();
    let count = info.lines().find_map(|line| line.strip_prefix("errorstat_OOM:count="));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// Begins a fault of a server.
pub(super) async fn begin(stage: &mut Stage, fault: &Fault) -> Option<Replica> {
    let redis = &mut stage.fleet.redis;
    match fault.kind {
        "redis_restarted_with_its_data" => redis.save_and_end().await,
        // What is sold until the server dies is not in what it will find.
        "redis_restarted_with_old_data" => drop(redis.ask(&["SAVE"]).await),
        "redis_restarted_empty" => redis.kill().await,
        "redis_flushed" => drop(redis.ask(&["FLUSHALL"]).await),
        "redis_failed_over_to_a_lagging_replica" => return Some(follow(redis).await),
        "redis_full" => drop(redis.ask(&["CONFIG", "SET", "maxmemory", NO_MEMORY]).await),
        "postgres_crashed" => on(&stage.cluster, |cluster| cluster.crash().expect("the server ends")).await,
        "postgres_disk_full" => on(&stage.cluster, |cluster| cluster.fill().expect("its keeper listens")).await,
        kind => unreachable!("{kind}"),
    }
    None
}

/// Ends a fault of a server; how much it has met.
pub(super) async fn end(stage: &mut Stage, fault: &Fault, before: u64, replica: Option<Replica>) -> u64 {
    match fault.kind {
        "redis_restarted_with_old_data" => {
            let lost = stage.redis_wire.open() as u64;
            stage.fleet.redis.kill().await;
            stage.fleet.redis.start_again().await;
            lost
        }
        "redis_restarted_with_its_data" => {
            stage.fleet.redis.start_again().await;
            1
        }
        "redis_restarted_empty" => {
            stage.fleet.redis.forget();
            stage.fleet.redis.start_again().await;
            1
        }
        "redis_failed_over_to_a_lagging_replica" => {
            let replica = replica.expect("a replica");
            let lag = stage.fleet.redis.info("master_repl_offset").await.saturating_sub(replica.came);
            stage.fleet.redis = replica.server;
            stage.redis_wire.switch(stage.fleet.redis.port());
            lag
        }
        "redis_full" => {
            let met = refused_for_memory(stage).await.saturating_sub(before);
            stage.fleet.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
            met
        }
        "postgres_crashed" => {
            on(&stage.cluster, |cluster| cluster.start_again().expect("the server starts")).await;
            1
        }
        "postgres_disk_full" => {
            let ended = on(&stage.cluster, |cluster| {
                let ended = cluster.server().is_none();
                cluster.crash().expect("the server ends");
                cluster.start_again().expect("there is room again");
                ended
            });
            u64::from(ended.await)
        }
        _ => 1,
    }
}

/// A replica that has all that its primary has, and from now on gets nothing more.
async fn follow(primary: &Redis) -> Replica {
    let server = Redis::start().await;
    server.ask(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).await;
    let since = Instant::now();
    while !is_in_step(&server).await {
        assert!(since.elapsed() < IN_STEP_WITHIN, "the replica does not catch up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.ask(&["REPLICAOF", "NO", "ONE"]).await;
    Replica { came: server.info("master_repl_offset").await, server }
}

async fn is_in_step(replica: &Redis) -> bool {
    let info: String = redis::from_redis_value(replica.ask(&["INFO", "replication"]).await).expect("text");
    info.lines().any(|line| line.trim() == "master_link_status:up")
}

/// Does something with the cluster that blocks.
async fn on<T: Send + 'static>(cluster: &SharedCluster, work: impl FnOnce(&mut Cluster) -> T + Send + 'static) -> T {
    let cluster = cluster.clone();
    let done = tokio::task::spawn_blocking(move || work(&mut cluster.lock().unwrap_or_else(PoisonError::into_inner)));
    done.await.expect("the thread ends")
}
