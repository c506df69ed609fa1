//! Stories of pushing and counting.

use std::time::Duration;

use super::{DELAY, Finish, HERE, LONG, Lease, NewJob, Pushed, QueueOptions, Subject, THERE, dead, job, keys};

/// First in, first out, over several pushes and fetches.
pub async fn jobs_leave_in_the_order_in_which_they_were_pushed(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    assert_eq!(store.push(&["c", "a", "b"]).await, [Pushed::New; 3]);
    assert_eq!(store.push(&["e", "d"]).await, [Pushed::New; 2]);
    assert_eq!(keys(&store.fetch(2).await), ["c", "a"]);
    assert_eq!(keys(&store.fetch(9).await), ["b", "e", "d"]);
}

/// The payload is bytes, not text; the key is text of any script.
pub async fn payloads_come_back_byte_for_byte(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    let payload: Vec<u8> = (0..=255).collect();
    let key = "käse|\u{1F9C0} 1:2{x}\n".to_owned();
    store.queue.push(vec![NewJob { queue: HERE, key: key.clone(), payload: payload.clone() }]).await.unwrap();
    let delivery = store.fetch_one().await;
    assert_eq!((delivery.key, delivery.payload), (key, payload));
    assert_eq!((delivery.deliveries, delivery.retries, delivery.lease.queue), (1, 0, HERE));
}

/// Waiting, running and delayed jobs block their key; a finished one frees it.
pub async fn a_key_is_taken_until_its_job_is_done(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    assert_eq!(store.push(&["a"]).await, [Pushed::New]);
    assert_eq!(store.push(&["a"]).await, [Pushed::Duplicate], "while it waits");
    let first = store.fetch_one().await;
    assert_eq!(store.push(&["a"]).await, [Pushed::Duplicate], "while it runs");
    assert!(store.finish(&first, Finish::retry(DELAY, "later")).await);
    assert_eq!(store.push(&["a"]).await, [Pushed::Duplicate], "while it is delayed");
    store.pass(DELAY * 2).await;
    let second = store.fetch_one().await;
    assert!(store.finish(&second, Finish::done()).await);
    assert_eq!(store.push(&["a"]).await, [Pushed::New], "after it is done");
    assert_eq!(store.fetch_one().await.deliveries, 1);
}

/// Duplicates are found within one call too.
pub async fn the_same_key_twice_in_one_push_is_pushed_once(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    assert_eq!(store.push(&["a", "a", "b"]).await, [Pushed::New, Pushed::Duplicate, Pushed::New]);
    assert_eq!(keys(&store.fetch(9).await), ["a", "b"]);
}

/// Neither keys nor jobs nor leases of one queue mean anything in another.
pub async fn queues_are_apart(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    let pushed = store.queue.push(vec![job(HERE, "a"), job(THERE, "a")]).await.unwrap();
    assert_eq!(pushed, [Pushed::New; 2]);
    let here = store.fetch(9).await;
    let there = store.queue.fetch(THERE, "suite", 9).await.unwrap();
    assert_eq!((here.len(), there.len()), (1, 1));
    assert!(store.finish(&here[0], Finish::done()).await);
    assert_eq!(store.queue.gauges(THERE).await.unwrap().running, 1);
}

/// The bound counts every unfinished job of one queue, wherever it is.
pub async fn a_full_queue_says_so(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(QueueOptions { max_len: 3, ..LONG }).await;
    assert_eq!(store.push(&["a", "b"]).await, [Pushed::New; 2]);
    assert_eq!(store.push(&["c", "d", "a"]).await, [Pushed::New, Pushed::Full, Pushed::Duplicate]);
    let deliveries = store.fetch(9).await;
    assert_eq!(store.push(&["d"]).await, [Pushed::Full], "running jobs count");
    assert!(store.finish(&deliveries[0], dead("no use")).await);
    assert!(store.finish(&deliveries[1], Finish::retry(DELAY, "later")).await);
    assert_eq!(store.push(&["d"]).await, [Pushed::Full], "dead and delayed jobs count");
    assert_eq!(store.queue.push(vec![job(THERE, "d")]).await.unwrap(), [Pushed::New]);
    assert!(store.finish(&deliveries[2], Finish::done()).await);
    assert_eq!(store.push(&["d"]).await, [Pushed::New]);
}

/// A follow-up that was refused would be lost.
pub async fn a_full_queue_takes_follow_ups_all_the_same(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(QueueOptions { max_len: 2, ..LONG }).await;
    store.push(&["a", "b"]).await;
    let first = store.fetch_one().await;
    let follow_ups = ["c", "d", "e"].map(|key| job(HERE, key)).to_vec();
    assert!(store.finish(&first, Finish::Done { follow_ups }).await);
    assert_eq!(store.push(&["f"]).await, [Pushed::Full]);
    assert_eq!(keys(&store.fetch(9).await), ["b", "c", "d", "e"]);
}

/// Every unfinished job is in one of the four, and the oldest that waits has an age.
pub async fn gauges_count_every_state(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    assert_eq!(store.queue.gauges(HERE).await.unwrap(), super::super::Gauges::default());
    store.push(&["running", "delayed", "dead", "waiting-1", "waiting-2"]).await;
    let deliveries = store.fetch(3).await;
    assert!(store.finish(&deliveries[1], Finish::retry(Duration::from_secs(60), "later")).await);
    assert!(store.finish(&deliveries[2], dead("no use")).await);
    store.pass(DELAY).await;
    let gauges = store.queue.gauges(HERE).await.unwrap();
    assert_eq!((gauges.waiting, gauges.running, gauges.delayed, gauges.dead), (2, 1, 1, 1));
    assert!(gauges.oldest_age >= DELAY && gauges.oldest_age < Duration::from_secs(60), "{gauges:?}");
    store.fetch(2).await;
    let gauges = store.queue.gauges(HERE).await.unwrap();
    assert_eq!((gauges.waiting, gauges.running, gauges.oldest_age), (0, 3, Duration::ZERO));
}

/// Nothing asked, nothing done; a lease that never was is a lost one.
pub async fn empty_and_unknown_requests_change_nothing(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    assert!(store.push(&[]).await.is_empty());
    assert!(store.queue.renew(&[]).await.unwrap().is_empty());
    assert!(store.finish_all(Vec::new()).await.is_empty());
    store.queue.hand_back(&[]).await.unwrap();
    for id in ["", "nonsense", "1", "0-1"] {
        let lease = Lease { queue: HERE, id: id.to_owned(), fence: 1 };
        assert_eq!(store.queue.renew(std::slice::from_ref(&lease)).await.unwrap(), [false]);
        store.queue.hand_back(std::slice::from_ref(&lease)).await.unwrap();
        assert_eq!(store.finish_all(vec![(lease, Finish::done())]).await, [false]);
    }
    assert!(!store.queue.retry_dead(HERE, "a").await.unwrap());
    assert!(!store.queue.discard_dead(HERE, "a").await.unwrap());
    assert!(store.queue.dead(HERE, 9).await.unwrap().is_empty());
    store.assert_nothing_comes().await;
}
