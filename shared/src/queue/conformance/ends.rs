//! Stories of how deliveries end.

use std::time::Duration;

use super::{DELAY, Finish, HERE, LONG, Pushed, QueueOptions, SHORT, Subject, THERE, dead, job, keys};
use crate::queue::Gauges;

/// Not later, and not within the same call.
pub async fn an_ended_job_cannot_be_ended_again(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a", "b"]).await;
    let deliveries = store.fetch(2).await;
    let [a, b] = [deliveries[0].lease.clone(), deliveries[1].lease.clone()];
    let ends = vec![(a.clone(), Finish::done()), (a.clone(), dead("twice")), (b, Finish::retry(DELAY, "later"))];
    assert_eq!(store.finish_all(ends).await, [true, false, true]);
    assert_eq!(store.finish_all(vec![(a, Finish::done())]).await, [false]);
    assert!(!store.finish(&deliveries[1], Finish::done()).await);
    assert_eq!(store.queue.gauges(HERE).await.unwrap().dead, 0);
}

/// In any queue, also under the key that became free in this very step; a taken key is left alone, and a key that became
/// free here did not become free there.
pub async fn follow_ups_are_there_once_the_job_is_done(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a", "b"]).await;
    let first = store.fetch_one().await;
    assert_eq!(store.queue.push(vec![job(THERE, "a")]).await.unwrap(), [Pushed::New]);
    let follow_ups = [(THERE, "x"), (THERE, "a"), (HERE, "a"), (HERE, "b"), (THERE, "y"), (HERE, "a")];
    let follow_ups = follow_ups.map(|(queue, key)| job(queue, key)).to_vec();
    assert!(store.finish(&first, Finish::Done { follow_ups }).await);
    assert_eq!(keys(&store.fetch(9).await), ["b", "a"]);
    assert_eq!(keys(&store.queue.fetch(THERE, "suite", 9).await.unwrap()), ["a", "x", "y"]);
}

/// Two workers that both did a job must not both say what comes next.
pub async fn a_lost_lease_pushes_no_follow_ups(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(SHORT).await;
    store.push(&["a"]).await;
    let first = store.fetch_one().await;
    store.lapse().await;
    let second = store.fetch_one().await;
    let follow_ups = vec![job(THERE, "x")];
    assert!(!store.finish(&first, Finish::Done { follow_ups }).await);
    assert_eq!(store.queue.gauges(THERE).await.unwrap().waiting, 0);
    assert!(store.finish(&second, Finish::done()).await);
}

/// It joins the end of the line, and its handler can count.
pub async fn a_retried_job_comes_back_when_due_and_not_before(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a"]).await;
    let first = store.fetch_one().await;
    assert!(store.finish(&first, Finish::retry(Duration::from_secs(2), "later")).await);
    store.assert_nothing_comes().await;
    assert_eq!(store.queue.gauges(HERE).await.unwrap().delayed, 1);
    store.push(&["b"]).await;
    store.pass(Duration::from_secs(2) + DELAY).await;
    let deliveries = store.fetch(1).await;
    assert_eq!(keys(&deliveries), ["b"]);
    let second = store.fetch_one().await;
    assert_eq!((second.key.as_str(), second.deliveries, second.retries, second.crashes()), ("a", 2, 1, 0));
    assert_eq!((second.payload, second.pushed_at), (first.payload, first.pushed_at));
    assert_ne!(second.lease, first.lease);
}

/// Whoever had to wait too long for what all wait for keeps its place, whenever it says so.
pub async fn a_job_that_is_handed_back_by_its_handler_keeps_its_place(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a", "b", "c", "d"]).await;
    let taken = store.fetch(3).await;
    let back = || Finish::HandBack { reason: "nothing is left".to_owned() };
    for place in [1, 0, 2] {
        assert!(store.finish(&taken[place], back()).await);
        assert!(!store.finish(&taken[place], back()).await, "it is not in hand any more");
    }
    let again = store.fetch(9).await;
    assert_eq!(keys(&again), ["a", "b", "c", "d"]);
    for delivery in &again {
        assert_eq!((delivery.deliveries, delivery.retries, delivery.crashes()), (1, 0, 0));
        assert!(store.finish(delivery, Finish::done()).await);
    }
    assert_eq!(store.queue.gauges(HERE).await.unwrap(), Gauges::default());
}

/// Only what nobody asked for counts against a job.
pub async fn a_crash_is_not_a_retry(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a"]).await;
    let crashed = || Finish::Crashed { after: Duration::ZERO, reason: "panic".to_owned() };
    let ends = [crashed(), Finish::retry(Duration::ZERO, "later"), crashed()];
    for end in ends {
        let delivery = store.fetch_one().await;
        assert!(store.finish(&delivery, end).await);
    }
    let last = store.fetch_one().await;
    assert_eq!((last.deliveries, last.retries, last.crashes()), (4, 1, 2));
}

/// Whoever pushes by habit does not bring it back.
pub async fn a_dead_job_keeps_its_key_until_it_is_discarded(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a", "b"]).await;
    let deliveries = store.fetch(2).await;
    assert!(store.finish(&deliveries[1], dead("first")).await);
    store.pass(DELAY).await;
    assert!(store.finish(&deliveries[0], dead("second")).await);
    let letters = store.queue.dead(HERE, 9).await.unwrap();
    let told: Vec<_> = letters.iter().map(|letter| (letter.key.as_str(), letter.reason.as_str())).collect();
    assert_eq!(told, [("b", "first"), ("a", "second")]);
    assert_eq!((letters[0].payload.as_slice(), letters[0].deliveries), (b"b".as_slice(), 1));
    assert_eq!(letters[0].pushed_at, deliveries[1].pushed_at);
    assert!(letters[1].died_at > letters[0].died_at);
    assert_eq!(store.queue.dead(HERE, 1).await.unwrap(), letters[..1]);
    assert_eq!(store.push(&["a"]).await, [Pushed::Duplicate]);
    assert!(store.queue.discard_dead(HERE, "a").await.unwrap());
    assert!(!store.queue.discard_dead(HERE, "a").await.unwrap());
    assert_eq!(store.push(&["a"]).await, [Pushed::New]);
    assert!(!store.queue.discard_dead(HERE, "a").await.unwrap(), "a waiting job is not a dead one");
    assert!(!store.queue.retry_dead(HERE, "a").await.unwrap(), "nor is it retried");
    assert_eq!(keys(&store.fetch(9).await), ["a"]);
}

/// A human has looked at it; the counters mean nothing any more.
pub async fn a_dead_job_that_is_retried_starts_afresh(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a"]).await;
    let first = store.fetch_one().await;
    assert!(store.finish(&first, Finish::retry(Duration::ZERO, "later")).await);
    let second = store.fetch_one().await;
    assert!(store.finish(&second, dead("no use")).await);
    store.push(&["b"]).await;
    assert!(store.queue.retry_dead(HERE, "a").await.unwrap());
    assert!(!store.queue.retry_dead(HERE, "a").await.unwrap());
    let deliveries = store.fetch(9).await;
    assert_eq!(keys(&deliveries), ["b", "a"]);
    assert_eq!((deliveries[1].deliveries, deliveries[1].retries), (1, 0));
    assert_eq!(deliveries[1].payload, first.payload);
    assert!(store.queue.dead(HERE, 9).await.unwrap().is_empty());
}
