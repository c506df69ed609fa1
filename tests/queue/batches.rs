//! Stories of calls: large ones, late ones, and those that the server refuses.

use std::time::Duration;

use shared::queue::{Delivery, Finish, Gauges, Job as _, Lease, NewJob, Pushed, Queue, QueueError};
use tests::harness::redis::Redis;

use super::crew::{LONG, Number, SHORT, numbers, until};
use super::{connect, key};

async fn fetch_all(queue: &impl Queue, jobs: usize) -> Vec<Delivery> {
    let mut fetched = Vec::new();
    while fetched.len() < jobs {
        fetched.extend(queue.fetch(Number::QUEUE, "w", jobs - fetched.len()).await.unwrap());
    }
    fetched
}

fn leases(deliveries: &[Delivery]) -> Vec<Lease> {
    deliveries.iter().map(|delivery| delivery.lease.clone()).collect()
}

fn dead(reason: &str) -> Finish {
    Finish::Dead { reason: reason.to_owned() }
}

#[tokio::test]
async fn calls_of_thousands_of_items_are_cut_up_and_answered_in_order() {
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    let mut jobs = numbers(0..1_000);
    jobs.extend(numbers(500..1_500));
    let pushed = queue.push(jobs).await.unwrap();
    let expected = [vec![Pushed::New; 1_000], vec![Pushed::Duplicate; 500], vec![Pushed::New; 500]].concat();
    assert_eq!(pushed, expected);
    let fetched = fetch_all(&*queue, 1_500).await;
    assert!(fetched.iter().enumerate().all(|(n, delivery)| delivery.key == n.to_string()));

    let mut asked = leases(&fetched);
    asked.insert(700, Lease { queue: Number::QUEUE, id: "0-1@w".to_owned(), fence: 1 });
    let renewed = queue.renew(&asked).await.unwrap();
    assert!(renewed.iter().enumerate().all(|(n, renewed)| *renewed == (n != 700)));

    let back: Vec<Lease> = leases(&fetched).into_iter().rev().collect();
    queue.hand_back(&back).await.unwrap();
    let again = fetch_all(&*queue, 1_500).await;
    assert!(again.iter().rev().enumerate().all(|(n, delivery)| delivery.key == n.to_string()), "in the order given");
    assert!(again.iter().all(|delivery| delivery.deliveries == 1));

    let mut ends: Vec<_> = leases(&again).into_iter().map(|lease| (lease, Finish::done())).collect();
    ends[3].1 = dead("one");
    ends[1_400].1 = dead("two");
    ends.insert(700, (fetched[0].lease.clone(), Finish::done()));
    let ended = queue.finish(&ends).await.unwrap();
    assert!(ended.iter().enumerate().all(|(n, ended)| *ended == (n != 700)));
    assert_eq!(queue.gauges(Number::QUEUE).await.unwrap(), Gauges { dead: 2, ..Gauges::default() });
}

#[tokio::test]
async fn more_dead_letters_than_one_call_reads_are_listed_in_the_order_of_dying() {
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    queue.push(numbers(0..450)).await.unwrap();
    for delivery in fetch_all(&*queue, 450).await.chunks(50) {
        let ends: Vec<_> = leases(delivery).into_iter().map(|lease| (lease, dead("no use"))).collect();
        assert_eq!(queue.finish(&ends).await.unwrap(), [true; 50]);
    }
    let letters = queue.dead(Number::QUEUE, 1_000).await.unwrap();
    assert_eq!(letters.len(), 450);
    assert!(letters.is_sorted_by_key(|letter| letter.died_at));
    assert_eq!(queue.dead(Number::QUEUE, 401).await.unwrap(), letters[..401]);
}

#[tokio::test]
async fn a_late_end_of_any_kind_changes_nothing() {
    let redis = Redis::start().await;
    let queue = connect(&redis, SHORT).await;
    queue.push(numbers(0..1)).await.unwrap();
    let first = queue.fetch(Number::QUEUE, "w", 1).await.unwrap().remove(0);
    // By the same name: only the count of deliveries tells the two apart.
    let second = queue.fetch(Number::QUEUE, "w", 1).await.unwrap().remove(0);
    assert_eq!((second.deliveries, second.lease.id == first.lease.id), (2, true));
    let held = Gauges { running: 1, ..Gauges::default() };
    let crashed = Finish::Crashed { after: Duration::ZERO, reason: "panic".to_owned() };
    let follow_ups = numbers(1..2);
    for end in [Finish::Done { follow_ups }, Finish::retry(Duration::ZERO, "later"), crashed, dead("no use")] {
        assert_eq!(queue.finish(&[(first.lease.clone(), end)]).await.unwrap(), [false]);
        assert_eq!(queue.gauges(Number::QUEUE).await.unwrap(), held);
    }
    queue.hand_back(std::slice::from_ref(&first.lease)).await.unwrap();
    assert_eq!(queue.renew(&leases(&[first, second.clone()])).await.unwrap(), [false, true]);
    let somebody_elses = Lease { id: second.lease.id.replace("@w", "@v"), ..second.lease.clone() };
    assert_eq!(queue.finish(&[(somebody_elses, Finish::done())]).await.unwrap(), [false]);
    assert_eq!(queue.gauges(Number::QUEUE).await.unwrap(), held);
    assert_eq!(queue.finish(&[(second.lease, Finish::done())]).await.unwrap(), [true]);
    assert_eq!(queue.gauges(Number::QUEUE).await.unwrap(), Gauges::default());
}

#[tokio::test]
async fn a_fetch_that_is_dropped_while_it_waits_takes_nothing() {
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    let waiting = async || redis.info("blocked_clients").await;
    tokio::select! {
        _ = queue.fetch(Number::QUEUE, "gone", 1) => unreachable!("there is no job"),
        () = until("the fetch waits in Redis", async || waiting().await == 1) => {}
    }
    until("Redis has noticed", async || waiting().await == 0).await;
    queue.push(numbers(0..1)).await.unwrap();
    let fetched = fetch_all(&*queue, 1).await;
    assert_eq!(fetched[0].deliveries, 1);
}

#[tokio::test]
async fn one_end_that_redis_refuses_for_good_does_not_hold_up_the_others() {
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    queue.push(numbers(0..3)).await.unwrap();
    let fetched = fetch_all(&*queue, 3).await;
    // Another hand took the key of the dead letters for something else.
    redis.ask(&["SET", &key(Number::QUEUE, "dead"), "mine"]).await;
    let [a, b, c] = [0, 1, 2].map(|n: usize| fetched[n].lease.clone());
    let ends = [(a, Finish::done()), (b.clone(), dead("no use")), (c, Finish::done())];
    assert_eq!(queue.finish(&ends).await.unwrap(), [true, false, true]);
    redis.ask(&["DEL", &key(Number::QUEUE, "dead")]).await;
    assert_eq!(queue.gauges(Number::QUEUE).await.unwrap(), Gauges { running: 1, ..Gauges::default() });
    assert_eq!(queue.finish(&[(b, dead("no use"))]).await.unwrap(), [true]);
}

#[tokio::test]
async fn a_server_without_memory_left_gives_and_ends_jobs_and_loses_none() {
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    queue.push(numbers(0..5)).await.unwrap();
    let fetched = fetch_all(&*queue, 4).await;
    let [a, b, c, d] = [0, 1, 2, 3].map(|n: usize| fetched[n].lease.clone());
    assert_eq!(queue.finish(&[(d, Finish::retry(Duration::ZERO, "later"))]).await.unwrap(), [true]);
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;

    let refused = |error: &QueueError| error.to_string().contains("OOM");
    assert!(queue.push(numbers(9..10)).await.is_err_and(|error| refused(&error)));
    let last = fetch_all(&*queue, 1).await.remove(0);
    assert_eq!(last.key, "4", "the other one is due, but has to wait");
    assert_eq!(queue.renew(&[a.clone(), b.clone()]).await.unwrap(), [true; 2]);
    assert_eq!(queue.finish(&[(a, Finish::done()), (last.lease, Finish::done())]).await.unwrap(), [true; 2]);
    let ends = [(b, Finish::Done { follow_ups: numbers(5..6) }), (c, Finish::retry(Duration::ZERO, "later"))];
    assert!(queue.finish(&ends).await.is_err_and(|error| refused(&error)));
    assert_eq!(queue.gauges(Number::QUEUE).await.unwrap().running, 2);

    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(queue.finish(&ends).await.unwrap(), [true, true]);
    let mut left: Vec<String> = fetch_all(&*queue, 3).await.into_iter().map(|delivery| delivery.key).collect();
    left.sort_unstable();
    assert_eq!(left, ["2", "3", "5"]);
}

#[tokio::test]
async fn a_payload_that_is_too_large_is_refused_and_as_a_follow_up_makes_a_dead_letter() {
    let redis = Redis::start().await;
    let queue = connect(&redis, LONG).await;
    let large = || NewJob { queue: Number::QUEUE, key: "large".to_owned(), payload: vec![b'x'; 2 << 20] };
    assert!(queue.push(vec![large()]).await.is_err_and(|error| error.to_string().contains("bytes")));
    queue.push(numbers(0..1)).await.unwrap();
    let lease = queue.fetch(Number::QUEUE, "w", 1).await.unwrap().remove(0).lease;
    assert_eq!(queue.finish(&[(lease, Finish::Done { follow_ups: vec![large()] })]).await.unwrap(), [true]);
    let letters = queue.dead(Number::QUEUE, 9).await.unwrap();
    assert!(letters.len() == 1 && letters[0].reason.starts_with("its follow-up cannot be pushed"), "{letters:?}");
}
