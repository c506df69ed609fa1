//! Stories of shutdowns, and of leases kept and lost.

use super::*;

/// Tells when a handler starts, ends or is dropped, and holds it until it is released.
#[derive(Clone)]
struct Stage {
    tell: mpsc::UnboundedSender<(&'static str, u32)>,
    release: Arc<Notify>,
}

struct Dropped(mpsc::UnboundedSender<(&'static str, u32)>, u32);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(("dropped", self.1));
    }
}

async fn held(stage: Stage, Number(n): Number, _: JobInfo) -> Finish {
    stage.tell.send(("started", n)).unwrap();
    let dropped = Dropped(stage.tell.clone(), n);
    stage.release.notified().await;
    std::mem::forget(dropped);
    stage.tell.send(("ended", n)).unwrap();
    Finish::done()
}

fn stage() -> (Stage, mpsc::UnboundedReceiver<(&'static str, u32)>) {
    let (tell, told) = mpsc::unbounded_channel();
    (Stage { tell, release: Arc::default() }, told)
}

#[tokio::test]
async fn a_worker_takes_no_more_jobs_than_it_has_slots() {
    let env = Env::system();
    let (queue, _acts) = spy(&env);
    let (stage, mut told) = stage();
    queue.push(numbers(0..10)).await.unwrap();
    let options = WorkerOptions { prefetch: 1, ..options(2) };
    let _crew = Crew::start(register(Monitor::new(), queue.clone(), env, options, stage, held));
    assert_eq!(told.recv().await, Some(("started", 0)));
    assert_eq!(told.recv().await, Some(("started", 1)));
    let gauges = queue.gauges(Number::QUEUE).await.unwrap();
    assert_eq!((gauges.running, gauges.waiting), (3, 7));
}

#[tokio::test]
async fn a_shutdown_hands_back_what_was_not_started_and_waits_for_what_runs() {
    let env = Env::system();
    let (queue, mut acts) = spy(&env);
    let (stage, mut told) = stage();
    queue.push(numbers(0..5)).await.unwrap();
    let options = WorkerOptions { prefetch: 3, ..options(1) };
    let crew = Crew::start(register(Monitor::new(), queue.clone(), env, options, stage.clone(), held));
    assert_eq!(told.recv().await, Some(("started", 0)));
    let stopped = tokio::spawn(crew.stop());
    assert_eq!(acts.recv().await, Some(Act::HandedBack(3)), "while the first still runs");
    stage.release.notify_one();
    stopped.await.unwrap();
    assert_eq!(Act::next_end(&mut acts).await, (Finish::done(), true));
    assert_eq!(told.recv().await, Some(("ended", 0)));
    let left = queue.fetch(Number::QUEUE, "next", 9).await.unwrap();
    assert_eq!(left.iter().map(|d| d.key.as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    assert!(left.iter().all(|delivery| delivery.deliveries == 1));
}

#[tokio::test]
async fn a_job_that_outlives_the_drain_is_cut_off_and_delivered_again_at_once() {
    let env = Env::system();
    let (queue, _acts) = spy(&env);
    let (stage, mut told) = stage();
    queue.push(numbers(0..1)).await.unwrap();
    let options = WorkerOptions { drain: Duration::from_millis(1), ..options(1) };
    let crew = Crew::start(register(Monitor::new(), queue.clone(), env, options, stage, held));
    assert_eq!(told.recv().await, Some(("started", 0)));
    crew.stop().await;
    assert_eq!(told.recv().await, Some(("dropped", 0)));
    let again = queue.fetch(Number::QUEUE, "next", 9).await.unwrap();
    assert_eq!((again[0].deliveries, again[0].retries, again[0].crashes()), (2, 1, 0));
}

#[tokio::test]
async fn a_long_job_that_is_alive_is_not_given_to_another_worker() {
    let seeded = Seeded::new(1);
    let (queue, mut acts) = spy(&seeded.env());
    let (stage, mut told) = stage();
    let crew = || Crew::start(register(Monitor::new(), queue.clone(), seeded.env(), options(1), stage.clone(), held));
    let (_first, _second) = (crew(), crew());
    queue.push(numbers(0..1)).await.unwrap();
    assert_eq!(told.recv().await, Some(("started", 0)));
    for _ in 0..12 {
        seeded.advance(queue.lease() / 3);
        assert_eq!(acts.recv().await, Some(Act::Renewed(vec![true])));
    }
    stage.release.notify_one();
    assert_eq!(told.recv().await, Some(("ended", 0)));
    assert_eq!(Act::next_end(&mut acts).await, (Finish::done(), true));
    assert!(told.try_recv().is_err(), "nobody else started it");
}

#[tokio::test]
async fn jobs_whose_leases_were_lost_are_given_up_and_not_started() {
    let seeded = Seeded::new(1);
    let (queue, mut acts) = spy(&seeded.env());
    let (stage, mut told) = stage();
    // One job runs and one is fetched; then both slots are taken, so the worker cannot be the one that gets them again.
    let options = WorkerOptions { prefetch: 1, ..options(1) };
    queue.push(numbers(0..2)).await.unwrap();
    let _crew = Crew::start(register(Monitor::new(), queue.clone(), seeded.env(), options, stage, held));
    assert_eq!(told.recv().await, Some(("started", 0)));
    // The worker is cut off from its store for as long as its leases last.
    queue.fail_renewals.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        seeded.advance(queue.lease() / 3);
        assert_eq!(acts.recv().await, Some(Act::Renewed(Vec::new())));
    }
    let theirs = queue.fetch(Number::QUEUE, "elsewhere", 9).await.unwrap();
    assert_eq!(theirs.iter().map(|delivery| delivery.deliveries).collect::<Vec<_>>(), [2, 2]);
    queue.fail_renewals.store(false, Ordering::SeqCst);
    seeded.advance(queue.lease() / 3);
    assert_eq!(acts.recv().await, Some(Act::Renewed(vec![false, false])));
    assert_eq!(told.recv().await, Some(("dropped", 0)));
    queue.push(numbers(2..3)).await.unwrap();
    assert_eq!(told.recv().await, Some(("started", 2)));
    assert_eq!(queue.finish(&[(theirs[0].lease.clone(), Finish::done())]).await.unwrap(), [true]);
}

#[tokio::test]
async fn an_ended_job_is_not_renewed_any_more() {
    let seeded = Seeded::new(1);
    let (queue, mut acts) = spy(&seeded.env());
    let (stage, mut told) = stage();
    let _crew = Crew::start(register(Monitor::new(), queue.clone(), seeded.env(), options(1), stage.clone(), held));
    queue.push(numbers(0..2)).await.unwrap();
    assert_eq!(told.recv().await, Some(("started", 0)));
    stage.release.notify_one();
    assert_eq!(told.recv().await, Some(("ended", 0)));
    assert_eq!(Act::next_end(&mut acts).await, (Finish::done(), true));
    assert_eq!(told.recv().await, Some(("started", 1)));
    seeded.advance(queue.lease() / 3);
    assert_eq!(acts.recv().await, Some(Act::Renewed(vec![true])));
}

#[tokio::test]
async fn a_job_that_kills_its_workers_dies_without_being_started_again() {
    let seeded = Seeded::new(1);
    let (queue, mut acts) = spy(&seeded.env());
    let (stage, mut told) = stage();
    queue.push(numbers(0..1)).await.unwrap();
    for deliveries in 1..=3 {
        let killed = queue.fetch(Number::QUEUE, "killed", 1).await.unwrap();
        assert_eq!(killed[0].deliveries, deliveries);
        seeded.advance(queue.lease());
    }
    let _crew = Crew::start(register(Monitor::new(), queue.clone(), seeded.env(), options(1), stage, held));
    let reason = "delivered 3 times without an end".to_owned();
    assert_eq!(Act::next_end(&mut acts).await, (Finish::Dead { reason }, true));
    assert!(told.try_recv().is_err());
}
