//! Stories of fetching and of leases.

use std::collections::HashSet;

use futures::future::{join, join_all};

use super::{DELAY, Finish, HERE, LONG, Lease, Pushed, QueueOptions, SHORT, Subject, job, keys};

/// What is left stays in line.
pub async fn fetch_takes_no_more_than_was_asked_for(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a", "b", "c"]).await;
    assert_eq!(keys(&store.fetch(2).await), ["a", "b"]);
    assert_eq!(store.queue.gauges(HERE).await.unwrap().waiting, 1);
}

/// A fetch of an empty queue ends with the first job that is pushed, without any time passing.
pub async fn fetch_waits_for_the_next_push(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    let mut fetch = std::pin::pin!(store.fetch(9));
    assert!(futures::poll!(&mut fetch).is_pending());
    let (deliveries, pushed) = join(fetch, store.push(&["a"])).await;
    assert_eq!((keys(&deliveries), pushed), (vec!["a"], vec![Pushed::New]));
}

/// Who waits need not ask again for a delayed job.
pub async fn fetch_wakes_when_a_delayed_job_is_due(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a"]).await;
    let first = store.fetch_one().await;
    let mut fetch = std::pin::pin!(store.fetch(9));
    assert!(futures::poll!(&mut fetch).is_pending());
    assert!(store.finish(&first, Finish::retry(DELAY, "later")).await);
    // The waiting fetch must hear of the new time before that time has come.
    assert!(futures::poll!(&mut fetch).is_pending());
    let (deliveries, ()) = join(fetch, store.pass(DELAY * 2)).await;
    assert_eq!(keys(&deliveries), ["a"]);
}

/// Who waits need not ask again for a job that was lost with its worker.
pub async fn fetch_wakes_when_a_lease_lapses(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(SHORT).await;
    let mut fetch = std::pin::pin!(store.fetch(9));
    assert!(futures::poll!(&mut fetch).is_pending());
    // Another worker is quicker, and dies.
    store.push(&["a"]).await;
    let first = store.fetch_one().await;
    assert!(futures::poll!(&mut fetch).is_pending());
    let (deliveries, ()) = join(fetch, store.lapse()).await;
    assert_eq!((keys(&deliveries), deliveries[0].deliveries), (vec!["a"], 2));
    assert_ne!(deliveries[0].lease, first.lease);
}

/// The fence voids whatever the first holder still does.
pub async fn a_lapsed_lease_is_delivered_again_under_another_fence(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(SHORT).await;
    store.push(&["a"]).await;
    let first = store.fetch_one().await;
    store.lapse().await;
    let second = store.fetch_one().await;
    assert_eq!((second.key.as_str(), second.deliveries, second.retries, second.crashes()), ("a", 2, 0, 1));
    assert_eq!(second.pushed_at, first.pushed_at);
    assert_ne!(second.lease, first.lease);
    assert_eq!(store.queue.renew(std::slice::from_ref(&first.lease)).await.unwrap(), [false]);
    store.queue.hand_back(std::slice::from_ref(&first.lease)).await.unwrap();
    assert!(!store.finish(&first, Finish::done()).await);
    assert_eq!(store.push(&["a"]).await, [Pushed::Duplicate]);
    assert!(store.finish(&second, Finish::done()).await);
}

/// It has waited longest.
pub async fn a_lapsed_job_goes_before_those_that_wait(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(SHORT).await;
    store.push(&["a", "b"]).await;
    store.fetch_one().await;
    store.lapse().await;
    assert_eq!(keys(&store.fetch(9).await), ["a", "b"]);
}

/// A long job keeps its lease as long as somebody renews it.
pub async fn a_renewed_lease_does_not_lapse(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(SHORT).await;
    store.push(&["a", "b"]).await;
    let deliveries = store.fetch(2).await;
    let leases: Vec<Lease> = deliveries.iter().map(|delivery| delivery.lease.clone()).collect();
    for _ in 0..4 {
        store.pass(SHORT.lease / 2).await;
        assert_eq!(store.queue.renew(&leases).await.unwrap(), [true, true]);
    }
    store.assert_nothing_comes().await;
    assert!(store.finish(&deliveries[0], Finish::done()).await);
    assert_eq!(store.queue.renew(&leases).await.unwrap(), [false, true]);
}

/// The work is done: to do it again would help nobody.
pub async fn a_late_end_counts_while_nobody_else_has_the_job(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(SHORT).await;
    store.push(&["a"]).await;
    let first = store.fetch_one().await;
    store.lapse().await;
    assert!(store.finish(&first, Finish::done()).await);
    store.assert_nothing_comes().await;
}

/// A worker that stops leaves no trace on what it never started.
pub async fn jobs_handed_back_go_first_and_their_delivery_does_not_count(make: impl AsyncFn(QueueOptions) -> Subject) {
    let store = make(LONG).await;
    store.push(&["a", "b", "c", "d"]).await;
    let taken = store.fetch(3).await;
    let leases: Vec<Lease> = taken[1..].iter().map(|delivery| delivery.lease.clone()).collect();
    store.queue.hand_back(&leases).await.unwrap();
    assert!(!store.finish(&taken[1], Finish::done()).await, "what was handed back is not ours");
    let again = store.fetch(9).await;
    assert_eq!(keys(&again), ["b", "c", "d"]);
    assert!(again.iter().all(|delivery| delivery.deliveries == 1));
    assert_ne!(again[0].lease, taken[1].lease);
}

/// Whoever asks first gets it, and nobody else.
pub async fn many_fetchers_share_the_jobs_and_none_comes_twice(make: impl AsyncFn(QueueOptions) -> Subject) {
    const JOBS: usize = 400;
    let store = make(LONG).await;
    let fetcher = async || {
        let mut seen = Vec::new();
        loop {
            let deliveries = store.fetch(7).await;
            for delivery in deliveries {
                if delivery.key.starts_with("stop") {
                    return seen;
                }
                assert!(store.finish(&delivery, Finish::done()).await);
                seen.push(delivery.key);
            }
        }
    };
    let pusher = async {
        for n in 0..JOBS {
            store.queue.push(vec![job(HERE, &n.to_string())]).await.unwrap();
        }
        // One for each fetcher: a fetch may take several, so another comes as long as somebody still waits.
        for n in 0..4 * 7 {
            store.queue.push(vec![job(HERE, &format!("stop-{n}"))]).await.unwrap();
        }
    };
    let (seen, ()) = join(join_all((0..4).map(|_| fetcher())), pusher).await;
    let seen: Vec<String> = seen.into_iter().flatten().collect();
    assert_eq!(seen.len(), JOBS);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), JOBS);
}
