//! Workers under apalis, over the in-memory store with a spy in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use apalis::prelude::{Monitor, MonitorError};
use futures::future::pending;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::env::Seeded;
use crate::queue::memory::Memory;
use crate::queue::{NewJob, QueueOptions};
use spy::{Act, Spy};

mod leases;
mod spy;

#[derive(Debug, Serialize, Deserialize)]
struct Number(u32);

impl Job for Number {
    const QUEUE: &'static str = "numbers";

    fn key(&self) -> String {
        self.0.to_string()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Echo {
    of: u32,
}

impl Job for Echo {
    const QUEUE: &'static str = "echoes";

    fn key(&self) -> String {
        self.of.to_string()
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<NewJob> {
    range.map(|n| NewJob::of(&Number(n)).unwrap()).collect()
}

fn options(concurrency: usize) -> WorkerOptions {
    WorkerOptions {
        crash_base: Duration::from_millis(2),
        max_deliveries: 3,
        job_timeout: Duration::from_secs(3_600),
        ..WorkerOptions::new("test", concurrency)
    }
}

fn spy(env: &Env) -> (Arc<Spy>, mpsc::UnboundedReceiver<Act>) {
    Spy::new(Memory::new(env.clone(), QueueOptions::default()))
}

/// A monitor that runs until it is told to stop.
struct Crew {
    stop: oneshot::Sender<()>,
    done: JoinHandle<Result<(), MonitorError>>,
}

impl Crew {
    fn start(monitor: Monitor) -> Self {
        let (stop, stopped) = oneshot::channel();
        let signal = async move {
            let _ = stopped.await;
            Ok(())
        };
        Self { stop, done: tokio::spawn(monitor.run_with_signal(signal)) }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.done.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn ten_thousand_jobs_run_once_each_and_no_more_than_allowed_at_once() {
    const JOBS: u32 = 10_000;
    #[derive(Clone, Default)]
    struct Tally {
        runs: Arc<Mutex<Vec<u32>>>,
        now: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }
    let env = Env::system();
    let (queue, mut acts) = spy(&env);
    let tally = Tally::default();
    let monitor =
        register(Monitor::new(), queue.clone(), env, options(100), tally.clone(), |tally, Number(n), _| async move {
            let now = tally.now.fetch_add(1, Ordering::SeqCst) + 1;
            tally.most.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            tally.runs.lock().push(n);
            tally.now.fetch_sub(1, Ordering::SeqCst);
            Finish::done()
        });
    let crew = Crew::start(monitor);
    queue.push(numbers(0..JOBS)).await.unwrap();
    for _ in 0..JOBS {
        assert!(matches!(Act::next_end(&mut acts).await, (Finish::Done { .. }, true)));
    }
    crew.stop().await;
    let mut runs = tally.runs.lock().clone();
    runs.sort_unstable();
    assert_eq!(runs, (0..JOBS).collect::<Vec<_>>());
    assert!((2..=100).contains(&tally.most.load(Ordering::SeqCst)));
    assert_eq!(queue.gauges(Number::QUEUE).await.unwrap(), crate::queue::Gauges::default());
}

#[tokio::test]
async fn a_job_that_panics_dies_after_its_last_crash_while_others_go_on() {
    let env = Env::system();
    let (queue, mut acts) = spy(&env);
    let monitor = register(Monitor::new(), queue.clone(), env, options(2), (), |(), Number(n), info| async move {
        assert_ne!(n, 0, "crash {}", info.crashes);
        Finish::done()
    });
    let crew = Crew::start(monitor);
    queue.push(numbers(0..20)).await.unwrap();
    let (mut crashed, mut done) = (0, 0);
    loop {
        match Act::next_end(&mut acts).await.0 {
            Finish::Crashed { after, .. } => {
                assert!(after >= Duration::from_millis(1 << crashed));
                crashed += 1;
            }
            Finish::Done { .. } => done += 1,
            Finish::Dead { .. } => break,
            Finish::Retry { .. } | Finish::HandBack { .. } => unreachable!(),
        }
    }
    assert_eq!((crashed, done), (2, 19));
    crew.stop().await;
    let letters = queue.dead(Number::QUEUE, 9).await.unwrap();
    assert_eq!((letters.len(), letters[0].key.as_str(), letters[0].deliveries), (1, "0", 3));
    assert!(letters[0].reason.starts_with("the handler panicked: ") && letters[0].reason.contains("crash 2"));
}

#[tokio::test]
async fn a_job_that_takes_too_long_counts_as_crashed() {
    let seeded = Seeded::new(1);
    let (queue, mut acts) = spy(&seeded.env());
    let started = Arc::new(Notify::new());
    let options = WorkerOptions { job_timeout: Duration::from_secs(7), ..options(1) };
    let monitor = register(
        Monitor::new(),
        queue.clone(),
        seeded.env(),
        options,
        started.clone(),
        |started, Number(n), _| async move {
            started.notify_one();
            if n == 0 { pending().await } else { Finish::done() }
        },
    );
    let _crew = Crew::start(monitor);
    queue.push(numbers(0..2)).await.unwrap();
    started.notified().await;
    seeded.advance(Duration::from_secs(7));
    let (Finish::Crashed { reason, .. }, true) = Act::next_end(&mut acts).await else {
        panic!("it should have crashed")
    };
    assert_eq!(reason, "no answer within 7s");
    assert_eq!(Act::next_end(&mut acts).await, (Finish::done(), true), "the only place is free again");
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_a_dead_letter_and_stops_nothing() {
    let env = Env::system();
    let (queue, mut acts) = spy(&env);
    let unreadable = NewJob { queue: Number::QUEUE, key: "x".to_owned(), payload: b"{not json".to_vec() };
    queue.push(vec![unreadable]).await.unwrap();
    queue.push(numbers(0..1)).await.unwrap();
    let crew = Crew::start(register(Monitor::new(), queue.clone(), env, options(1), (), |(), Number(_), _| async {
        Finish::done()
    }));
    let ends = [Act::next_end(&mut acts).await.0, Act::next_end(&mut acts).await.0];
    assert!(ends.contains(&Finish::done()));
    let letters = queue.dead(Number::QUEUE, 9).await.unwrap();
    assert_eq!((letters.len(), letters[0].key.as_str()), (1, "x"));
    assert!(letters[0].reason.starts_with("the payload cannot be read: "), "{}", letters[0].reason);
    crew.stop().await;
}

#[tokio::test]
async fn a_follow_up_reaches_the_worker_of_its_own_queue() {
    let env = Env::system();
    let (queue, _acts) = spy(&env);
    let (heard, mut hear) = mpsc::unbounded_channel();
    let monitor = register(Monitor::new(), queue.clone(), env.clone(), options(4), (), |(), Number(n), _| async move {
        Finish::then(&Echo { of: n })
    });
    let monitor = register(monitor, queue.clone(), env, options(4), heard, |heard, Echo { of }, _| async move {
        heard.send(of).unwrap();
        Finish::done()
    });
    let crew = Crew::start(monitor);
    queue.push(numbers(7..8)).await.unwrap();
    assert_eq!(hear.recv().await, Some(7));
    crew.stop().await;
}

#[tokio::test]
async fn a_handler_learns_how_often_it_asked_for_another_try() {
    let env = Env::system();
    let (queue, mut acts) = spy(&env);
    let monitor = register(Monitor::new(), queue.clone(), env, options(1), (), |(), Number(_), info| async move {
        assert_eq!((info.deliveries, info.crashes), (info.retries + 1, 0));
        // More often than it may crash.
        if info.retries < 5 { Finish::retry(Duration::from_millis(1), "not yet") } else { Finish::done() }
    });
    let crew = Crew::start(monitor);
    queue.push(numbers(0..1)).await.unwrap();
    for _ in 0..5 {
        assert!(matches!(Act::next_end(&mut acts).await, (Finish::Retry { .. }, true)));
    }
    assert_eq!(Act::next_end(&mut acts).await, (Finish::done(), true));
    crew.stop().await;
}

#[tokio::test]
async fn a_pushed_job_starts_though_no_clock_moves() {
    let seeded = Seeded::new(1);
    let (queue, mut acts) = spy(&seeded.env());
    let _crew =
        Crew::start(register(Monitor::new(), queue.clone(), seeded.env(), options(1), (), |(), Number(_), _| async {
            Finish::done()
        }));
    // Also when the worker waits already.
    for n in 0..3 {
        queue.push(numbers(n..n + 1)).await.unwrap();
        assert_eq!(Act::next_end(&mut acts).await, (Finish::done(), true));
    }
}

#[tokio::test]
async fn a_store_that_fails_ends_no_worker_and_loses_no_end() {
    let env = Env::system();
    let (queue, mut acts) = spy(&env);
    let runs = Arc::new(AtomicUsize::new(0));
    let monitor =
        register(Monitor::new(), queue.clone(), env, options(1), runs.clone(), |runs, Number(_), _| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            Finish::done()
        });
    queue.fail_fetches.store(2, Ordering::SeqCst);
    queue.fail_finishes.store(2, Ordering::SeqCst);
    let crew = Crew::start(monitor);
    queue.push(numbers(0..3)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(Act::next_end(&mut acts).await, (Finish::done(), true));
    }
    crew.stop().await;
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!((queue.fail_fetches.load(Ordering::SeqCst), queue.fail_finishes.load(Ordering::SeqCst)), (0, 0));
}

#[tokio::test]
async fn a_worker_that_breaks_inside_is_replaced() {
    let env = Env::system();
    let (queue, mut acts) = spy(&env);
    queue.panic_in_fetch.store(true, Ordering::SeqCst);
    let crew = Crew::start(register(Monitor::new(), queue.clone(), env, options(1), (), |(), Number(_), _| async {
        Finish::done()
    }));
    queue.push(numbers(0..1)).await.unwrap();
    assert_eq!(Act::next_end(&mut acts).await, (Finish::done(), true));
    assert!(!queue.panic_in_fetch.load(Ordering::SeqCst));
    crew.stop().await;
}
