//! Jobs that outlive the process that asked for them.
//!
//! A [`Queue`] keeps jobs until somebody says that they are finished. It is a *store*: it knows keys, bytes, leases
//! and times, and nothing of what a job does. [`memory::Memory`] is the one for a single process, [`redis::RedisQueue`]
//! the one that several share; every implementation passes the same suite, `conformance`. On top of any store,
//! [`worker::register`] runs plain `async fn(ctx, job, info) -> Finish` handlers under apalis.
//!
//! # The life of a job
//!
//! ```text
//!            push                 fetch                    finish
//!  (absent) ───────▶ waiting ───────────────▶ running ──┬── Done ───────────▶ (absent), follow-ups waiting
//!                     ▲  ▲                      │  │    ├── Retry, Crashed ─▶ delayed ──(due)──▶ waiting
//!                     │  └── HandBack ──────────┘  │    └── Dead ───────────▶ dead ──┬─ retry ──▶ waiting
//!                     └──────── lease lapsed ──────┘                                 └─ discard ▶ (absent)
//! ```
//!
//! - **One job per key.** A queue holds at most one unfinished job of a key; pushing it again changes nothing, so a
//!   caller that does not know whether its push arrived pushes again. A dead job still blocks its key: whoever pushes
//!   by habit must not bring back what a human has to look at.
//! - **At least once.** A delivery is a lease, not a gift. Who dies keeps nothing: once the lease has lapsed, the job
//!   is delivered again, under a new fence. The fence makes the late answer of the first holder void.
//! - **In order of pushing.** Waiting jobs leave in the order in which they came. Before them go those that had already
//!   left once: first the lapsed, then the handed back. A delayed job that becomes due joins the end of the line.
//! - **Finishing is atomic.** The acknowledgement and the follow-up jobs are one step: a crash cannot fall between.
//! - **Bounded.** A queue holds at most [`QueueOptions::max_len`] unfinished jobs, dead ones among them. Follow-ups are
//!   taken even by a full queue: to refuse one would lose it, and there are never more than running jobs ask for.
//!
//! Two counters tell why a job comes again. `deliveries` counts every time it left the line and was not handed back;
//! `retries` counts what its handler asked for. What remains, [`Delivery::crashes`], is what nobody asked for, and
//! only that is bounded: see [`Delivery::admit`].

mod backend;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod hands;
pub mod memory;
mod metering;
mod middleware;
pub mod redis;
pub mod width;
pub mod worker;

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::env::Timestamp;

/// A kind of job: what is pushed, fetched and decoded.
///
/// It travels as JSON and may be read by a newer program than the one that wrote it: keep to ids, and tag versions.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The queue that jobs of this kind go through.
    const QUEUE: &'static str;

    /// What makes the job the same job: unique among the unfinished ones of its queue.
    fn key(&self) -> String;
}

/// A job to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// The queue it goes through.
    pub queue: &'static str,
    /// See [`Job::key`].
    pub key: String,
    /// The encoded job.
    pub payload: Vec<u8>,
}

impl NewJob {
    /// Encodes a job.
    ///
    /// # Errors
    /// [`QueueError::Encode`] for a type that JSON cannot hold, as a map with keys that are not text.
    pub fn of<J: Job>(job: &J) -> Result<Self, QueueError> {
        let payload = serde_json::to_vec(job).map_err(|source| QueueError::Encode { queue: J::QUEUE, source })?;
        Ok(Self { queue: J::QUEUE, key: job.key(), payload })
    }
}

/// What became of a pushed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the queue now.
    New,
    /// An unfinished job of its key was there already; nothing changed.
    Duplicate,
    /// The queue is full; nothing changed.
    Full,
}

/// The right to work on a job and to say how it ended, as long as nobody else was given it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The queue that gave it.
    pub queue: &'static str,
    /// The store's own name for the job.
    pub id: String,
    /// The fencing token: another one for every delivery of the job.
    pub fence: u64,
}

/// A job in the hands of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The right to finish it.
    pub lease: Lease,
    /// See [`Job::key`].
    pub key: String,
    /// The encoded job.
    pub payload: Vec<u8>,
    /// How often it was delivered, this time included: 1 is the first.
    pub deliveries: u32,
    /// How many of the deliveries before this one ended in [`Finish::Retry`].
    pub retries: u32,
    /// When it was pushed, by the store's clock.
    pub pushed_at: Timestamp,
}

impl Delivery {
    /// How many earlier deliveries ended without an answer of the handler's: a killed process, a panic, a timeout.
    #[must_use]
    pub fn crashes(&self) -> u32 {
        self.deliveries.saturating_sub(1).saturating_sub(self.retries)
    }

    /// Decodes the job, unless it must not run: after `max_deliveries` crashes it is more likely to be the cause than
    /// the victim.
    ///
    /// # Errors
    /// The [`Finish::Dead`] to finish it with instead.
    pub fn admit<J: Job>(&self, max_deliveries: u32) -> Result<J, Finish> {
        if self.crashes() >= max_deliveries {
            let reason = format!("delivered {} times without an end", self.crashes());
            return Err(Finish::Dead { reason });
        }
        serde_json::from_slice(&self.payload)
            .map_err(|error| Finish::Dead { reason: format!("the payload cannot be read: {error}") })
    }
}

/// How a delivery ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The job is over; its key is free again, and these jobs follow it. Those whose key is taken are left out.
    Done {
        /// What is pushed in the same step.
        follow_ups: Vec<NewJob>,
    },
    /// The handler asks for another delivery after a while.
    Retry {
        /// How long, by the store's clock.
        after: Duration,
        /// For the log.
        reason: String,
    },
    /// The handler was cut short; another delivery after a while, counted as a crash.
    Crashed {
        /// How long, by the store's clock.
        after: Duration,
        /// For the log, and for the dead letter if there are too many.
        reason: String,
    },
    /// A human must look at it; it keeps its key until then.
    Dead {
        /// What the human should read first.
        reason: String,
    },
    /// Not done, for want of what all jobs of its kind wait for: to the front of the line, behind those there that came
    /// before it, so that nobody who came later is served before. This delivery does not count.
    HandBack {
        /// For the log.
        reason: String,
    },
}

impl Finish {
    /// The job is over and nothing follows.
    #[must_use]
    pub fn done() -> Self {
        Self::Done { follow_ups: Vec::new() }
    }

    /// The job is over and another one follows in the same step. One that cannot be encoded makes this job a dead
    /// letter: the next try would fare no better.
    #[must_use]
    pub fn then<J: Job>(next: &J) -> Self {
        match NewJob::of(next) {
            Ok(job) => Self::Done { follow_ups: vec![job] },
            Err(error) => Self::Dead { reason: error.to_string() },
        }
    }

    /// Another delivery after a while.
    #[must_use]
    pub fn retry(after: Duration, reason: impl Into<String>) -> Self {
        Self::Retry { after, reason: reason.into() }
    }
}

/// How many jobs are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Ready to be delivered.
    pub waiting: u64,
    /// Delivered and not finished; a lapsed lease counts here until it is delivered again.
    pub running: u64,
    /// To be delivered again later.
    pub delayed: u64,
    /// Waiting for a human.
    pub dead: u64,
    /// How long ago the job at the head of the line was pushed; zero when none waits.
    pub oldest_age: Duration,
}

/// A job that waits for a human.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadJob {
    /// See [`Job::key`].
    pub key: String,
    /// The encoded job.
    pub payload: Vec<u8>,
    /// Why it was given up.
    pub reason: String,
    /// How often it was delivered.
    pub deliveries: u32,
    /// When it was pushed, by the store's clock.
    pub pushed_at: Timestamp,
    /// When it was given up, by the store's clock.
    pub died_at: Timestamp,
}

/// The limits of a store, for each of its queues.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// How long a delivery belongs to its worker without a renewal. Renewed at a third of it, so it bounds how long a
    /// dead worker's jobs wait, not how long a job may run.
    pub lease: Duration,
    /// Most unfinished jobs, dead ones included.
    pub max_len: usize,
}

impl QueueOptions {
    /// For a store that several processes share. There a worker that died leaves others behind, who should not wait
    /// long for its jobs; where there is but one process, only a stalled one lets leases lapse.
    #[must_use]
    pub fn shared() -> Self {
        Self { lease: Duration::from_secs(10), ..Self::default() }
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { lease: Duration::from_secs(30), max_len: 1_000_000 }
    }
}

/// Broken machinery. What a caller can act on is a value instead.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The store did not answer, or not in a way that makes sense. What was asked may have happened nevertheless.
    #[error("the queue's store failed: {0}")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A job has no JSON form.
    #[error("a job of {queue} cannot be encoded: {source}")]
    Encode {
        /// The job's queue.
        queue: &'static str,
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// The task that fetches jobs ended though nobody asked it to.
    #[error("the fetcher of {queue} ended")]
    FetcherEnded {
        /// The queue it fetched from.
        queue: &'static str,
    },
}

/// A store of jobs. The module's own text gives the rules that every implementation keeps.
///
/// Every call may be repeated after an error: it then does what is left to do, and answers as if that were all.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// How long a delivery belongs to its worker without a renewal.
    fn lease(&self) -> Duration;

    /// Adds jobs; one answer for each, in order. The jobs of one call may be of several queues.
    ///
    /// # Errors
    /// [`QueueError::Store`]; some of the jobs may have been added. Pushing them again is safe.
    async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, QueueError>;

    /// Waits until at least one job can be delivered, and leases up to `max` (at least 1) to `consumer`, which is a
    /// name for the log and for the store's own books.
    ///
    /// Dropping the future while it waits loses nothing; a job leased in that very moment comes back when it lapses.
    ///
    /// # Errors
    /// [`QueueError::Store`].
    async fn fetch(&self, queue: &'static str, consumer: &str, max: usize) -> Result<Vec<Delivery>, QueueError>;

    /// Starts leases anew; one answer for each, `false` for one that was lost.
    ///
    /// # Errors
    /// [`QueueError::Store`].
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, QueueError>;

    /// Ends deliveries; one answer for each, in order. `false`: the lease was lost (the job was delivered to somebody
    /// else, or is finished), and nothing was done.
    ///
    /// A lease that has lapsed but was given to nobody else still counts: its work is done, why do it again.
    ///
    /// # Errors
    /// [`QueueError::Store`]; asking again is safe, though what had happened already then answers `false`.
    async fn finish(&self, ends: &[(Lease, Finish)]) -> Result<Vec<bool>, QueueError>;

    /// Gives jobs back that were not started: to the front of the line in the order given, the delivery not counted.
    /// Lost leases are passed over.
    ///
    /// # Errors
    /// [`QueueError::Store`]; what was not given back lapses.
    async fn hand_back(&self, leases: &[Lease]) -> Result<(), QueueError>;

    /// Counts the jobs of a queue.
    ///
    /// # Errors
    /// [`QueueError::Store`].
    async fn gauges(&self, queue: &'static str) -> Result<Gauges, QueueError>;

    /// The dead letters of a queue, the longest dead first, at most `max`.
    ///
    /// # Errors
    /// [`QueueError::Store`].
    async fn dead(&self, queue: &'static str, max: usize) -> Result<Vec<DeadJob>, QueueError>;

    /// Sends a dead job to the end of the line, as if it had just been pushed; `false` when there is none of that key.
    ///
    /// # Errors
    /// [`QueueError::Store`].
    async fn retry_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError>;

    /// Forgets a dead job and frees its key; `false` when there is none of that key.
    ///
    /// # Errors
    /// [`QueueError::Store`].
    async fn discard_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError>;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Untellable(HashMap<(u8, u8), u8>);

    impl Job for Untellable {
        const QUEUE: &'static str = "untellable";

        fn key(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn a_follow_up_that_cannot_be_encoded_makes_its_job_a_dead_letter() {
        let next = Untellable(HashMap::from([((0, 0), 0)]));
        assert!(matches!(NewJob::of(&next), Err(QueueError::Encode { queue: "untellable", .. })));
        assert!(matches!(Finish::then(&next), Finish::Dead { reason } if reason.contains("untellable")));
    }
}
