//! Stories of a server that is emptied, or goes away and comes back, while workers are at it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared::queue::redis::RedisQueue;
use shared::queue::{Finish, Gauges, Job as _, Queue as _};
use tests::harness::redis::Redis;
use tokio::sync::Mutex;

use super::connect;
use super::crew::{Crew, Number, SHORT, numbers, options, until};

/// How many jobs there are in all.
const JOBS: u32 = 6_000;
/// Pushed in one call.
const PORTION: usize = 20;

/// What has been done.
type Done = Arc<std::sync::Mutex<HashSet<u32>>>;

fn crews(redis: &Redis, done: &Done) -> [Crew; 2] {
    ["one", "two"].map(|name| {
        Crew::start(redis, SHORT, options(name, 20), done.clone(), |done: Done, Number(n), _| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            done.lock().unwrap().insert(n);
            Finish::done()
        })
    })
}

/// Pushes, again and again, until the server has taken it.
async fn push(queue: &RedisQueue, jobs: &[u32]) {
    until("the push is taken", async || queue.push(numbers(jobs.iter().copied())).await.is_ok()).await;
}

/// Pushes all jobs bit by bit, and says when a share of them is done.
async fn push_all(queue: &RedisQueue) {
    let all: Vec<u32> = (0..JOBS).collect();
    for portion in all.chunks(PORTION) {
        push(queue, portion).await;
    }
}

async fn until_done(done: &Done, share: u32) {
    let least = usize::try_from(JOBS / 100 * share).unwrap();
    until(&format!("{share} % are done"), async || done.lock().unwrap().len() >= least).await;
}

async fn until_idle(queue: &RedisQueue) {
    until("nothing is left", async || queue.gauges(Number::QUEUE).await.is_ok_and(|left| left == Gauges::default()))
        .await;
}

/// Queues again what is not done, as those who know what is owed do, until nothing is owed.
async fn sweep(queue: &RedisQueue, done: &Done) {
    let swept = async || {
        let owed: Vec<u32> = {
            let done = done.lock().unwrap();
            (0..JOBS).filter(|n| !done.contains(n)).collect()
        };
        push(queue, &owed).await;
        owed.is_empty()
    };
    until("nothing is owed", swept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_go_on_by_themselves_after_flushall_in_the_middle_of_a_crowd() {
    let redis = Redis::start().await;
    let queue = connect(&redis, SHORT).await;
    let done = Done::default();
    let crews = crews(&redis, &done);
    let flushes = async {
        for share in [10, 20, 40] {
            until_done(&done, share).await;
            redis.ask(&["FLUSHALL"]).await;
        }
    };
    // What is flushed before it was fetched is pushed again, or a share might never be reached.
    let over = AtomicBool::new(false);
    let sweeps = async {
        while !over.load(Ordering::SeqCst) {
            sweep(&queue, &done).await;
        }
    };
    let work = async {
        tokio::join!(push_all(&queue), flushes);
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(work, sweeps);
    sweep(&queue, &done).await;
    until_idle(&queue).await;
    for crew in crews {
        crew.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_forgets_costs_time_and_nothing_that_is_known_to_be_owed() {
    let redis = Mutex::new(Redis::start().await);
    let queue = connect(&*redis.lock().await, SHORT).await;
    let done = Done::default();
    let crews = crews(&*redis.lock().await, &done);
    kill_and_start(&queue, &redis, &done, [10, 20]).await;
    sweep(&queue, &done).await;
    until_idle(&queue).await;
    for crew in crews {
        crew.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_remembers_loses_no_job() {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let redis = Mutex::new(Redis::start_with(&options).await);
    let queue = connect(&*redis.lock().await, SHORT).await;
    let done = Done::default();
    let crews = crews(&*redis.lock().await, &done);
    kill_and_start(&queue, &redis, &done, [10, 20]).await;
    // Nobody sweeps here.
    until_done(&done, 100).await;
    until_idle(&queue).await;
    for crew in crews {
        crew.stop().await;
    }
}

/// Pushes everything, while the server is killed and started again at these shares of the work.
async fn kill_and_start(queue: &RedisQueue, redis: &Mutex<Redis>, done: &Done, shares: [u32; 2]) {
    let kills = async {
        for share in shares {
            until_done(done, share).await;
            let mut redis = redis.lock().await;
            redis.kill().await;
            // Long enough for leases to lapse, and for everybody to have asked in vain.
            tokio::time::sleep(SHORT.lease * 5).await;
            redis.start_again().await;
        }
    };
    tokio::join!(push_all(queue), kills);
}
