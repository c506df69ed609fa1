//! The suite, a model, and what only this store promises.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::executor::block_on;
use proptest::prelude::*;

use super::*;
use crate::env::Seeded;
use crate::queue::conformance::{Subject, model};

async fn make(options: QueueOptions) -> Subject {
    let seeded = Seeded::new(1);
    let queue = Arc::new(Memory::new(seeded.env(), options));
    Subject::new(queue, move |time| {
        let seeded = seeded.clone();
        async move { seeded.advance(time) }.boxed()
    })
}

crate::queue_conformance!(make);

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_a_plain_list_would(steps in model::steps()) {
        block_on(async { model::agrees(&make(model::OPTIONS).await, &steps).await });
    }
}

fn job(key: impl ToString) -> NewJob {
    NewJob { queue: "q", key: key.to_string(), payload: b"{}".to_vec() }
}

#[tokio::test]
async fn a_jump_of_the_wall_clock_lapses_no_lease_and_hurries_no_retry() {
    let seeded = Seeded::new(1);
    let queue = Memory::new(seeded.env(), QueueOptions::default());
    queue.push(vec![job("running"), job("delayed")]).await.unwrap();
    let deliveries = queue.fetch("q", "w", 2).await.unwrap();
    let retry = Finish::retry(Duration::from_secs(10), "later");
    assert_eq!(queue.finish(&[(deliveries[1].lease.clone(), retry)]).await.unwrap(), [true]);
    seeded.jump_to(seeded.env().now().plus(Duration::from_secs(86_400)));
    assert!(queue.fetch("q", "w", 2).now_or_never().is_none());
    assert_eq!(queue.finish(&[(deliveries[0].lease.clone(), Finish::done())]).await.unwrap(), [true]);
}

#[tokio::test]
async fn nothing_of_a_finished_job_stays_in_memory() {
    let queue = Memory::new(Seeded::new(1).env(), QueueOptions::default());
    for round in 0..100 {
        queue.push((0..100).map(|n| job(round * 100 + n)).collect()).await.unwrap();
        let ends: Vec<_> =
            queue.fetch("q", "w", 100).await.unwrap().into_iter().map(|d| (d.lease, Finish::done())).collect();
        assert_eq!(queue.finish(&ends).await.unwrap(), [true; 100]);
        let store = queue.store.lock();
        let line = &store.lines["q"];
        assert_eq!((line.jobs.len(), line.ids.len(), line.waiting.len()), (0, 0, 0));
        assert!(line.running.is_empty() && line.delayed.is_empty() && line.dead.is_empty());
        let capacity = line.jobs.capacity() + line.ids.capacity() + line.waiting.capacity();
        assert!(capacity < 2_000, "the tables grow with the jobs that went through: {capacity}");
    }
}

#[tokio::test]
async fn a_fetch_that_was_dropped_while_waiting_takes_nothing() {
    let queue = Memory::new(Seeded::new(1).env(), QueueOptions::default());
    assert!(queue.fetch("q", "w", 1).now_or_never().is_none());
    queue.push(vec![job("a")]).await.unwrap();
    assert_eq!(queue.fetch("q", "w", 1).await.unwrap().len(), 1);
}
