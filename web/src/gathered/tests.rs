//! A crowd that asks at once is few reads, each of them younger than the questions it answers.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::oneshot;
use futures::future::{join, join_all};
use shared::ledger::LedgerError;

use super::*;

type Waiting = Arc<Mutex<Vec<(Vec<Uuid>, oneshot::Sender<()>)>>>;

/// Reads that end when they are told to, without anything.
fn held() -> (Orders, Waiting) {
    let waiting = Waiting::default();
    let begun = waiting.clone();
    let ask = move |customers: Vec<Uuid>| {
        let (end, ended) = oneshot::channel();
        begun.lock().push((customers, end));
        async move {
            ended.await.map_err(|_| LedgerError("it broke off".into()))?;
            Ok(HashMap::new())
        }
        .boxed()
    };
    (Orders::asking(ask), waiting)
}

fn customers(from: u128, to: u128) -> Vec<Uuid> {
    (from..to).map(Uuid::from_u128).collect()
}

fn finish(waiting: &Waiting, read: usize) -> Vec<Uuid> {
    let (customers, end) = waiting.lock().remove(read);
    end.send(()).unwrap();
    customers
}

#[tokio::test]
async fn mass_reconnect_a_crowd_that_comes_back_at_once_is_two_reads_of_the_ledger() {
    let (gathered, waiting) = held();
    let mut first = Box::pin(gathered.of(Uuid::from_u128(1)));
    assert!(futures::poll!(&mut first).is_pending());
    let crowd = customers(2, 600);
    let mut all = Box::pin(join_all(crowd.iter().chain(&crowd).map(|customer| gathered.of(*customer))));
    assert!(futures::poll!(&mut all).is_pending());
    assert_eq!(waiting.lock().len(), 1, "the second read waits for the first");
    assert_eq!(finish(&waiting, 0), customers(1, 2));
    assert!(futures::poll!(&mut all).is_pending());
    assert_eq!(finish(&waiting, 0), crowd, "everybody once, however many tabs they have");
    let (one, many) = join(first, all).await;
    assert!(one.unwrap().is_none() && many.len() == 2 * crowd.len() && many.iter().all(Result::is_ok));
}

#[tokio::test]
async fn whoever_asks_while_a_read_is_under_way_gets_a_younger_one() {
    let (gathered, waiting) = held();
    let customer = Uuid::from_u128(1);
    let mut early = Box::pin(gathered.of(customer));
    assert!(futures::poll!(&mut early).is_pending());
    let mut late = Box::pin(gathered.of(customer));
    assert!(futures::poll!(&mut late).is_pending());
    finish(&waiting, 0);
    assert!(futures::poll!(&mut early).is_ready());
    assert!(futures::poll!(&mut late).is_pending(), "what the first read saw may be older than the question");
    finish(&waiting, 0);
    assert!(late.await.is_ok());
}

#[tokio::test]
async fn a_read_goes_on_without_the_one_who_began_it_and_its_failure_is_told_to_all() {
    let (gathered, waiting) = held();
    let mut leader = Box::pin(gathered.of(Uuid::from_u128(1)));
    assert!(futures::poll!(&mut leader).is_pending());
    let mut followers = Box::pin(join_all(customers(2, 5).into_iter().map(|customer| gathered.of(customer))));
    assert!(futures::poll!(&mut followers).is_pending());
    drop(leader);
    assert!(futures::poll!(&mut followers).is_pending());
    finish(&waiting, 0);
    assert!(futures::poll!(&mut followers).is_pending());
    waiting.lock().clear();
    assert!(followers.await.iter().all(Result::is_err));
}

#[tokio::test]
async fn reads_are_bounded_however_large_the_crowd() {
    let count = Arc::new(AtomicUsize::new(0));
    let (gathered, waiting) = held();
    let mut first = Box::pin(gathered.of(Uuid::nil()));
    assert!(futures::poll!(&mut first).is_pending());
    let mut crowd = Box::pin(join_all(customers(1, 2_501).into_iter().map(|customer| gathered.of(customer))));
    while futures::poll!(&mut crowd).is_pending() {
        let next = waiting.lock().pop();
        if let Some((customers, end)) = next {
            assert!(customers.len() <= MOST);
            count.fetch_add(1, Ordering::Relaxed);
            end.send(()).unwrap();
        }
    }
    assert_eq!(count.load(Ordering::Relaxed), 4);
    assert!(first.await.is_ok());
}
