//! Stories of workers that die, that take their time, and of jobs that nobody can do.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use shared::queue::worker::{JobInfo, WorkerOptions};
use shared::queue::{Finish, Gauges, Job as _, NewJob, Queue as _};
use tests::harness::redis::Redis;
use tokio::sync::{mpsc, watch};

use super::crew::{Crew, LONG, Number, SHORT, numbers, options, soon, until};
use super::{connect, key};

type Runs = mpsc::UnboundedSender<(u32, JobInfo)>;

/// Tells that it runs, and never ends.
async fn hang(runs: Runs, Number(n): Number, info: JobInfo) -> Finish {
    runs.send((n, info)).unwrap();
    pending().await
}

/// Tells that it runs, and ends.
async fn note(runs: Runs, Number(n): Number, info: JobInfo) -> Finish {
    runs.send((n, info)).unwrap();
    Finish::done()
}

#[tokio::test]
async fn the_jobs_of_a_worker_that_dies_run_elsewhere_when_their_leases_have_lapsed() {
    let redis = Redis::start().await;
    let queue = connect(&redis, SHORT).await;
    let (runs, mut seen) = mpsc::unbounded_channel();
    let first = Crew::start(&redis, SHORT, options("first", 5), runs.clone(), hang);
    queue.push(numbers(0..5)).await.unwrap();
    for _ in 0..5 {
        soon("a job runs", seen.recv()).await.unwrap();
    }
    let second = Crew::start(&redis, SHORT, options("second", 5), runs, note);
    first.kill();
    let mut again = Vec::new();
    for _ in 0..5 {
        let (n, info) = soon("a job runs again", seen.recv()).await.unwrap();
        assert_eq!((info.deliveries, info.crashes), (2, 1));
        again.push(n);
    }
    again.sort_unstable();
    assert_eq!(again, [0, 1, 2, 3, 4]);
    second.stop().await;
    assert_eq!(queue.gauges(Number::QUEUE).await.unwrap(), Gauges::default());
}

#[tokio::test]
async fn a_live_job_that_takes_ten_leases_is_taken_by_nobody_else() {
    let redis = Redis::start().await;
    let queue = connect(&redis, SHORT).await;
    let (runs, mut seen) = mpsc::unbounded_channel();
    let take_time = |runs: Runs, Number(n): Number, info: JobInfo| async move {
        runs.send((n, info)).unwrap();
        tokio::time::sleep(SHORT.lease * 10).await;
        Finish::done()
    };
    let crews = ["one", "two"].map(|name| Crew::start(&redis, SHORT, options(name, 4), runs.clone(), take_time));
    queue.push(numbers(0..4)).await.unwrap();
    until("all jobs have ended", async || queue.gauges(Number::QUEUE).await.unwrap() == Gauges::default()).await;
    for crew in crews {
        crew.stop().await;
    }
    drop(runs);
    let mut ran = Vec::new();
    while let Some((n, info)) = seen.recv().await {
        assert_eq!(info.deliveries, 1);
        ran.push(n);
    }
    ran.sort_unstable();
    assert_eq!(ran, [0, 1, 2, 3], "each ran once");
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_gives_back_what_it_has_not_started() {
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    let (runs, mut seen) = mpsc::unbounded_channel();
    let (release, released) = watch::channel(false);
    let wait = |mut released: watch::Receiver<bool>, Number(_), _| async move {
        released.wait_for(|released| *released).await.unwrap();
        Finish::done()
    };
    let running = async || queue.gauges(Number::QUEUE).await.unwrap().running;
    let mut first = Crew::start(&redis, LONG, options("first", 8), released, wait);
    queue.push(numbers(0..20)).await.unwrap();
    until("its hands are full", async || running().await == 8 + 3).await;
    first.ask_to_stop();
    until("it holds only what runs", async || running().await == 8).await;
    release.send(true).unwrap();
    first.stop().await;
    let second = Crew::start(&redis, LONG, options("second", 2), runs, note);
    for expected in 8..20 {
        let (n, info) = soon("a job runs", seen.recv()).await.unwrap();
        assert_eq!((n, info.deliveries, info.crashes), (expected, 1, 0), "given back first, and not counted");
    }
    second.stop().await;
}

#[tokio::test]
async fn a_short_delay_is_not_made_longer_by_waiting() {
    const TRIES: u32 = 20;
    const DELAY: Duration = Duration::from_millis(20);
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    let (runs, mut seen) = mpsc::unbounded_channel();
    let crew = Crew::start(&redis, LONG, options("w", 4), runs, |runs: Runs, Number(n), info| async move {
        runs.send((n, info)).unwrap();
        if info.retries < TRIES { Finish::retry(DELAY, "not yet") } else { Finish::done() }
    });
    queue.push(numbers(0..1)).await.unwrap();
    soon("the job runs", seen.recv()).await.unwrap();
    let started = Instant::now();
    for _ in 0..TRIES {
        soon("the job runs again", seen.recv()).await.unwrap();
    }
    // Who only looked now and then would take a quarter of a second for each.
    let took = started.elapsed();
    assert!((DELAY * TRIES..DELAY * TRIES * 6).contains(&took), "{TRIES} delays of {DELAY:?} took {took:?}");
    crew.stop().await;
}

#[tokio::test]
async fn a_hundred_jobs_that_panic_every_time_are_dead_letters_and_the_others_go_on() {
    let redis = Redis::start().await;
    let queue = connect(&redis, SHORT).await;
    let done = Arc::new(AtomicU32::new(0));
    let crew = Crew::start(&redis, SHORT, options("w", 10), done.clone(), |done, Number(n), _| async move {
        assert!(n >= 100, "this one cannot be done");
        done.fetch_add(1, Ordering::SeqCst);
        Finish::done()
    });
    queue.push(numbers(0..200)).await.unwrap();
    until("all are dead or done", async || {
        queue.gauges(Number::QUEUE).await.unwrap() == Gauges { dead: 100, ..Gauges::default() }
    })
    .await;
    assert_eq!(done.load(Ordering::SeqCst), 100);
    let letters = queue.dead(Number::QUEUE, 1_000).await.unwrap();
    assert_eq!(letters.len(), 100);
    for letter in letters {
        assert_eq!(letter.deliveries, 5);
        assert!(letter.reason.contains("cannot be done") && letter.reason.contains("crash 5"), "{}", letter.reason);
    }
    crew.stop().await;
}

#[tokio::test]
async fn a_job_that_takes_its_worker_with_it_every_time_is_a_dead_letter_in_the_end() {
    const CRASHES: u32 = 3;
    let redis = Redis::start().await;
    let queue = connect(&redis, SHORT).await;
    queue.push(numbers(0..1)).await.unwrap();
    let (runs, mut seen) = mpsc::unbounded_channel();
    let start = |crash: u32| {
        let options = options(&format!("w-{crash}"), 1);
        let options = WorkerOptions { max_deliveries: CRASHES, ..options };
        Crew::start(&redis, SHORT, options, runs.clone(), hang)
    };
    for crash in 0..CRASHES {
        let crew = start(crash);
        let (_, info) = soon("the job runs", seen.recv()).await.unwrap();
        assert_eq!((info.deliveries, info.crashes), (crash + 1, crash));
        crew.kill();
    }
    let last = start(CRASHES);
    until("it is dead", async || queue.gauges(Number::QUEUE).await.unwrap().dead == 1).await;
    let letters = queue.dead(Number::QUEUE, 9).await.unwrap();
    assert_eq!((letters[0].deliveries, letters[0].reason.as_str()), (4, "delivered 3 times without an end"));
    assert!(seen.try_recv().is_err(), "it did not run again");
    last.stop().await;
}

#[tokio::test]
async fn a_poison_payload_is_a_dead_letter_and_stops_nothing() {
    let redis = Redis::start().await;
    let queue = connect(&redis, SHORT).await;
    let poison = NewJob { queue: Number::QUEUE, key: "poison".to_owned(), payload: b"{not json".to_vec() };
    queue.push(vec![poison]).await.unwrap();
    queue.push(numbers(0..10)).await.unwrap();
    // What another hand wrote into the stream is no reason to stop either.
    redis.ask(&["XADD", &key(Number::QUEUE, "line"), "*", "what", "ever"]).await;
    queue.push(numbers(10..20)).await.unwrap();
    let (runs, mut seen) = mpsc::unbounded_channel();
    let crew = Crew::start(&redis, SHORT, options("w", 1), runs, note);
    for expected in 0..20 {
        assert_eq!(soon("a job runs", seen.recv()).await.unwrap().0, expected);
    }
    until("both are dead", async || {
        queue.gauges(Number::QUEUE).await.unwrap() == Gauges { dead: 2, ..Gauges::default() }
    })
    .await;
    let letters = queue.dead(Number::QUEUE, 9).await.unwrap();
    assert_eq!((letters[0].key.as_str(), letters[0].payload.as_slice()), ("poison", b"{not json".as_slice()));
    for letter in &letters {
        assert!(letter.reason.starts_with("the payload cannot be read: "), "{}", letter.reason);
        assert!(queue.discard_dead(Number::QUEUE, &letter.key).await.unwrap());
    }
    crew.stop().await;
    assert_eq!(queue.gauges(Number::QUEUE).await.unwrap(), Gauges::default());
}
