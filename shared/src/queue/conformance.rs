//! What every [`Queue`] does, as stories that each implementation passes.
//!
//! Time is the store's own, so a [`Subject`] brings a way to let it pass: the in-memory store's clock is moved by hand,
//! a server's has to be waited for. No story needs to prove that nothing comes *for a while*: it pushes one more job
//! and sees that this is all that comes.
//!
//! [`queue_conformance!`](crate::queue_conformance) makes one test of each story.
// A story fails by panicking, in this crate's tests and in those of others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod deliveries;
mod ends;
pub mod model;
mod pushes;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::{Delivery, Finish, Lease, NewJob, Pushed, Queue, QueueOptions};

pub use deliveries::*;
pub use ends::*;
pub use pushes::*;

/// Makes a test of every story, for a store made by `$make`: an `async fn(QueueOptions) -> Subject` that gives an empty
/// store each time.
#[macro_export]
macro_rules! queue_conformance {
    ($make:expr) => {
        $crate::queue_conformance! { $make =>
            jobs_leave_in_the_order_in_which_they_were_pushed
            payloads_come_back_byte_for_byte
            a_key_is_taken_until_its_job_is_done
            the_same_key_twice_in_one_push_is_pushed_once
            queues_are_apart
            a_full_queue_says_so
            a_full_queue_takes_follow_ups_all_the_same
            gauges_count_every_state
            empty_and_unknown_requests_change_nothing
            fetch_takes_no_more_than_was_asked_for
            fetch_waits_for_the_next_push
            fetch_wakes_when_a_delayed_job_is_due
            fetch_wakes_when_a_lease_lapses
            a_lapsed_lease_is_delivered_again_under_another_fence
            a_lapsed_job_goes_before_those_that_wait
            a_renewed_lease_does_not_lapse
            a_late_end_counts_while_nobody_else_has_the_job
            jobs_handed_back_go_first_and_their_delivery_does_not_count
            many_fetchers_share_the_jobs_and_none_comes_twice
            an_ended_job_cannot_be_ended_again
            follow_ups_are_there_once_the_job_is_done
            a_lost_lease_pushes_no_follow_ups
            a_retried_job_comes_back_when_due_and_not_before
            a_job_that_is_handed_back_by_its_handler_keeps_its_place
            a_crash_is_not_a_retry
            a_dead_job_keeps_its_key_until_it_is_discarded
            a_dead_job_that_is_retried_starts_afresh
        }
    };
    ($make:expr => $($story:ident)+) => {
        $(
            #[tokio::test]
            async fn $story() {
                $crate::queue::conformance::$story($make).await;
            }
        )+
    };
}

/// A lease that no story outlives by accident.
const LONG: QueueOptions = QueueOptions { lease: Duration::from_secs(600), max_len: 1_000 };
/// A lease that a story can wait for.
const SHORT: QueueOptions = QueueOptions { lease: Duration::from_millis(500), max_len: 1_000 };
/// Long enough for a store that counts in milliseconds, or looks only now and then.
const DELAY: Duration = Duration::from_millis(300);

const HERE: &str = "conformance-here";
const THERE: &str = "conformance-there";

/// An empty store under test.
pub struct Subject {
    queue: Arc<dyn Queue>,
    pass: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Subject {
    /// A store, and what lets its time pass.
    pub fn new(
        queue: Arc<dyn Queue>,
        pass: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { queue, pass: Box::new(pass) }
    }

    async fn pass(&self, time: Duration) {
        (self.pass)(time).await;
    }

    /// Lets more time pass than a lease lasts.
    async fn lapse(&self) {
        self.pass(self.queue.lease() + DELAY).await;
    }

    async fn push(&self, keys: &[&str]) -> Vec<Pushed> {
        self.queue.push(keys.iter().map(|key| job(HERE, key)).collect()).await.unwrap()
    }

    async fn fetch(&self, max: usize) -> Vec<Delivery> {
        self.queue.fetch(HERE, "suite", max).await.unwrap()
    }

    async fn fetch_one(&self) -> Delivery {
        let mut deliveries = self.fetch(1).await;
        assert_eq!(deliveries.len(), 1);
        deliveries.remove(0)
    }

    async fn finish(&self, delivery: &Delivery, end: Finish) -> bool {
        self.finish_all(vec![(delivery.lease.clone(), end)]).await == [true]
    }

    async fn finish_all(&self, ends: Vec<(Lease, Finish)>) -> Vec<bool> {
        self.queue.finish(&ends).await.unwrap()
    }

    /// Asserts that nothing can be delivered: one more job is all that comes. It is gone afterwards.
    async fn assert_nothing_comes(&self) {
        assert_eq!(self.push(&["sentinel"]).await, [Pushed::New]);
        let deliveries = self.fetch(10).await;
        assert_eq!(keys(&deliveries), ["sentinel"]);
        assert!(self.finish(&deliveries[0], Finish::done()).await);
    }
}

fn job(queue: &'static str, key: &str) -> NewJob {
    NewJob { queue, key: key.to_owned(), payload: key.as_bytes().to_vec() }
}

fn keys(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.key.as_str()).collect()
}

fn dead(reason: &str) -> Finish {
    Finish::Dead { reason: reason.to_owned() }
}
