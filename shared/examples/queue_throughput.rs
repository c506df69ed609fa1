//! How fast the queue on Redis is: pushes alone, a backlog that two workers drain, and the way from push to start.
//!
//! `cargo run --release -p shared --example queue_throughput -- redis://127.0.0.1:6379 [jobs]`
//!
//! It uses queues of its own and leaves their empty streams behind.
#![allow(clippy::print_stdout, clippy::float_arithmetic, reason = "it prints figures for a person")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis::prelude::{Monitor, MonitorError};
use serde::{Deserialize, Serialize};
use shared::env::Env;
use shared::queue::redis::RedisQueue;
use shared::queue::worker::{JobInfo, WorkerOptions, register};
use shared::queue::{Finish, Job, NewJob, Pushed, Queue, QueueError, QueueOptions};
use shared::redis_server::RedisServer;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

type Failed = Box<dyn std::error::Error + Send + Sync>;
type Starts = mpsc::UnboundedSender<Instant>;

/// Tasks that push one job at a time.
const PUSHERS: u32 = 64;
/// Jobs in one call of a bulk push.
const BULK: usize = 1_000;
/// Jobs pushed to an idle queue.
const SINGLES: u32 = 2_000;

#[derive(Serialize, Deserialize)]
struct Nothing {
    version: u32,
    order: u32,
}

impl Job for Nothing {
    const QUEUE: &'static str = "bench-throughput";

    fn key(&self) -> String {
        format!("order-{}", self.order)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: queue_throughput URL [jobs]")?;
    let jobs: u32 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let env = Env::system();
    let server = RedisServer::connect(&url).await?;
    let queue: Arc<dyn Queue> = Arc::new(RedisQueue::new(server, env.clone(), QueueOptions::shared()));

    let started = Instant::now();
    push_in_bulk(&queue, jobs).await?;
    tell("pushed in bulk", jobs, started.elapsed());
    drain(&queue, &env, jobs).await?;

    let started = Instant::now();
    push_singly(&queue, jobs).await?;
    tell("pushed one by one", jobs, started.elapsed());
    drain(&queue, &env, jobs).await?;

    push_to_start(&queue, &env).await
}

fn tell(what: &str, jobs: u32, time: Duration) {
    let seconds = time.as_secs_f64();
    println!("{what:>24}: {jobs} in {seconds:.2} s, {:.0} a second", f64::from(jobs) / seconds);
}

fn job(order: u32) -> Result<NewJob, QueueError> {
    NewJob::of(&Nothing { version: 1, order })
}

fn all_new(pushed: &[Pushed]) -> Result<(), Failed> {
    let taken = pushed.iter().all(|pushed| *pushed == Pushed::New);
    if taken { Ok(()) } else { Err("jobs of an earlier run are left in the queue: drain them first".into()) }
}

async fn push_in_bulk(queue: &Arc<dyn Queue>, jobs: u32) -> Result<(), Failed> {
    let jobs: Vec<NewJob> = (0..jobs).map(job).collect::<Result<_, _>>()?;
    for bulk in jobs.chunks(BULK) {
        all_new(&queue.push(bulk.to_vec()).await?)?;
    }
    Ok(())
}

async fn push_singly(queue: &Arc<dyn Queue>, jobs: u32) -> Result<(), Failed> {
    let pushers = (0..PUSHERS).map(|pusher| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move {
            for order in (pusher..jobs).step_by(PUSHERS as usize) {
                all_new(&queue.push(vec![job(order)?]).await?)?;
            }
            Ok::<(), Failed>(())
        })
    });
    for pusher in pushers.collect::<Vec<_>>() {
        pusher.await??;
    }
    Ok(())
}

/// A worker that does nothing, and says when.
fn work(monitor: Monitor, queue: &Arc<dyn Queue>, env: &Env, name: &str, starts: &Starts) -> Monitor {
    let handle = |starts: Starts, Nothing { .. }, _: JobInfo| async move {
        // The one who counts may have gone home.
        let _ = starts.send(Instant::now());
        Finish::done()
    };
    register(monitor, Arc::clone(queue), env.clone(), WorkerOptions::new(name, 100), starts.clone(), handle)
}

/// A monitor that works until it is told to stop.
struct Crew(oneshot::Sender<()>, JoinHandle<Result<(), MonitorError>>);

impl Crew {
    fn start(monitor: Monitor) -> Self {
        let (stop, stopped) = oneshot::channel();
        let signal = async {
            let _ = stopped.await;
            Ok(())
        };
        Self(stop, tokio::spawn(monitor.run_with_signal(signal)))
    }

    async fn stop(self) -> Result<(), Failed> {
        drop(self.0);
        Ok(self.1.await??)
    }
}

/// Lets two workers drain the backlog, and waits until the store has heard of the last end.
async fn drain(queue: &Arc<dyn Queue>, env: &Env, jobs: u32) -> Result<(), Failed> {
    let (starts, mut started) = mpsc::unbounded_channel();
    let began = Instant::now();
    let monitor = work(Monitor::new(), queue, env, "one", &starts);
    let crew = Crew::start(work(monitor, queue, env, "two", &starts));
    for _ in 0..jobs {
        started.recv().await.ok_or("the workers are gone")?;
    }
    loop {
        let left = queue.gauges(Nothing::QUEUE).await?;
        if left.waiting + left.running == 0 {
            break;
        }
    }
    tell("drained by two workers", jobs, began.elapsed());
    crew.stop().await
}

/// Pushes to an idle queue, one job after the other.
async fn push_to_start(queue: &Arc<dyn Queue>, env: &Env) -> Result<(), Failed> {
    let (starts, mut started) = mpsc::unbounded_channel();
    let crew = Crew::start(work(Monitor::new(), queue, env, "one", &starts));
    let mut waits = Vec::new();
    for order in 0..SINGLES {
        // The worker goes back to waiting.
        env.sleep(Duration::from_millis(2)).await;
        let pushed = Instant::now();
        all_new(&queue.push(vec![job(order)?]).await?)?;
        waits.push(started.recv().await.ok_or("the worker is gone")?.saturating_duration_since(pushed));
    }
    waits.sort_unstable();
    let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or_default();
    let most = waits.last().copied().unwrap_or_default();
    println!("{:>24}: median {:.0?}, 99 % within {:.0?}, all within {most:.0?}", "push to start", at(50), at(99));
    crew.stop().await
}
