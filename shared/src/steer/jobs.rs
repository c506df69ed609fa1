//! Jobs: how many are where, and what becomes of those that wait for a person.
//!
//! **Nothing is lost with a job.** What is owed is in the ledger; a job only says that somebody should look. So a dead job
//! may be discarded, and what it was about is found again, or waits for a person in the ledger:
//!
//! | queue | a dead job's order or event | to retry it | to discard it |
//! | --- | --- | --- | --- |
//! | `create_charge` | the sweep gave the order to review, or does so within a second | the order is charged after all, under the same key with the same bytes | the order stays in review for a person; one that was not given there yet is queued again by the sweep within a minute |
//! | `process_response` | likewise | what Stripe said is settled | what Stripe said is asked for again: by the sweep under the same key, or by whoever decides the review |
//! | `webhook` | the event counts as seen to | the event is seen to once more | its payment is found by the comparison with Stripe every five minutes, its refund in Stripe's dashboard |
//! | `review` | the order is in review still | what was decided is tried again | a person decides once more |
//! | `authentication` | the order waits for its buyer until its time is over | Stripe is asked again | the sweep asks Stripe after a minute of silence, and closes the order when its time is over |

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::{Helm, Orders, SteerError};
use crate::access::Came;
use crate::access::trail::{ASKED, DONE, FAILED};
use crate::guards::Guard;
use crate::jobs::{CreateCharge, QUEUES, Webhook};
use crate::queue::{DeadJob, Job as _, Queue};

/// What the trail calls what is done to dead jobs.
const RETRIED: &str = "job_retried";
const DISCARDED: &str = "job_discarded";
/// Dead jobs of a queue that are shown at most.
const MOST_DEAD: usize = 200;

/// How many jobs of a queue are where.
#[derive(Clone, Debug, Serialize)]
pub struct QueueRow {
    /// Its name.
    pub queue: &'static str,
    /// Ready to be delivered.
    pub waiting: u64,
    /// Delivered and not finished.
    pub running: u64,
    /// To be delivered again later.
    pub delayed: u64,
    /// Waiting for a person.
    pub dead: u64,
    /// How long ago the job at the head of the line was pushed, in milliseconds; 0 when none waits.
    pub oldest_age_ms: u64,
}

/// A job that waits for a person.
#[derive(Clone, Debug, Serialize)]
pub struct DeadRow {
    /// Its queue.
    pub queue: &'static str,
    /// Its name there.
    pub key: String,
    /// Why it was given up.
    pub reason: String,
    /// How often it was delivered.
    pub deliveries: u32,
    /// RFC 3339.
    pub pushed_at: String,
    /// RFC 3339.
    pub died_at: String,
}

/// Every queue, and its dead jobs: the longest dead first.
#[derive(Clone, Debug, Serialize)]
pub struct Jobs {
    /// In the order in which work goes through them.
    pub queues: Vec<QueueRow>,
    /// 200 of each queue at most.
    pub dead: Vec<DeadRow>,
}

/// What became of a dead job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobDone {
    /// It is tried again, or forgotten.
    Yes,
    /// No dead job has this name.
    Unknown,
    /// No process has a queue at the moment.
    NoQueue,
}

impl JobDone {
    fn result(self) -> &'static str {
        match self {
            Self::Yes => DONE,
            Self::Unknown => "unknown_job",
            Self::NoQueue => "no_queue",
        }
    }
}

impl DeadRow {
    fn new(queue: &'static str, dead: DeadJob) -> Self {
        let DeadJob { key, reason, deliveries, pushed_at, died_at, .. } = dead;
        Self { queue, key, reason, deliveries, pushed_at: pushed_at.to_rfc3339(), died_at: died_at.to_rfc3339() }
    }
}

impl Helm {
    /// How many jobs are where, and the dead ones.
    ///
    /// # Errors
    /// When the queue cannot be reached.
    pub async fn jobs(&self) -> Result<Jobs, SteerError> {
        let mut jobs = Jobs { queues: Vec::new(), dead: Vec::new() };
        let Some(queues) = &self.queue else { return Ok(jobs) };
        for queue in QUEUES {
            let gauges = queues.gauges(queue).await?;
            let oldest_age_ms = u64::try_from(gauges.oldest_age.as_millis()).unwrap_or(u64::MAX);
            let crate::queue::Gauges { waiting, running, delayed, dead, .. } = gauges;
            jobs.queues.push(QueueRow { queue, waiting, running, delayed, dead, oldest_age_ms });
            if dead > 0 {
                let letters = queues.dead(queue, MOST_DEAD).await?;
                jobs.dead.extend(letters.into_iter().map(|dead| DeadRow::new(queue, dead)));
            }
        }
        Ok(jobs)
    }

    /// Has a dead job tried again, and makes true what it needs for that. It is written down before, since nobody can
    /// see afterwards that there was a dead job.
    ///
    /// # Errors
    /// When queue or ledger cannot be reached.
    pub async fn retry_job(&self, queue: &str, key: &str, orders: &Orders) -> Result<JobDone, SteerError> {
        let done = match self.named(queue) {
            Some((queues, queue)) => {
                self.note_asked(RETRIED, queue, key, orders).await?;
                self.retry(&queues, queue, key, orders).await
            }
            None => Ok(self.no_queue()),
        };
        self.note_job(RETRIED, queue, key, result_of(&done), orders).await?;
        done
    }

    /// Forgets a dead job, and frees its name. It is written down before, too.
    ///
    /// # Errors
    /// When the queue cannot be reached.
    pub async fn discard_job(&self, queue: &str, key: &str, orders: &Orders) -> Result<JobDone, SteerError> {
        let done = match self.named(queue) {
            Some((queues, queue)) => {
                self.note_asked(DISCARDED, queue, key, orders).await?;
                let done = queues.discard_dead(queue, key).await.map(found);
                crate::crash::point("after_discard");
                done.map_err(SteerError::from)
            }
            None => Ok(self.no_queue()),
        };
        self.note_job(DISCARDED, queue, key, result_of(&done), orders).await?;
        done
    }

    fn named(&self, queue: &str) -> Option<(Arc<dyn Queue>, &'static str)> {
        let name = QUEUES.into_iter().find(|name| *name == queue)?;
        Some((self.queue.clone()?, name))
    }

    fn no_queue(&self) -> JobDone {
        if self.queue.is_some() { JobDone::Unknown } else { JobDone::NoQueue }
    }

    async fn note_asked(&self, what: &'static str, queue: &str, key: &str, orders: &Orders) -> Result<(), SteerError> {
        if Guard::AskedFirst.is_on() { self.note_job(what, queue, key, ASKED, orders).await } else { Ok(()) }
    }

    async fn note_job(
        &self,
        what: &'static str,
        queue: &str,
        key: &str,
        result: &'static str,
        orders: &Orders,
    ) -> Result<(), SteerError> {
        let whom: String = format!("job:{queue}/{key}").chars().filter(|c| !c.is_control()).take(200).collect();
        self.note(what, whom, Came { note: None, result }, orders).await
    }

    /// The job goes first: as long as it is dead, the sweep takes its order or event for one that waits for a person.
    async fn retry(
        &self,
        queues: &Arc<dyn Queue>,
        queue: &'static str,
        key: &str,
        orders: &Orders,
    ) -> Result<JobDone, SteerError> {
        if !queues.retry_dead(queue, key).await? {
            return Ok(JobDone::Unknown);
        }
        if queue == CreateCharge::QUEUE {
            if let Some((order, attempt)) = order_of(key) {
                self.charge_again(order, attempt, orders).await?;
            }
        } else if queue == Webhook::QUEUE {
            self.ledger.event_again(key).await?;
        }
        Ok(JobDone::Yes)
    }
}

fn result_of(done: &Result<JobDone, SteerError>) -> &'static str {
    done.as_ref().map_or(FAILED, |done| done.result())
}

fn found(found: bool) -> JobDone {
    if found { JobDone::Yes } else { JobDone::Unknown }
}

/// The order and attempt that a charge is named after.
fn order_of(key: &str) -> Option<(Uuid, u32)> {
    let (order, attempt) = key.split_once(':')?;
    Some((order.parse().ok()?, attempt.parse().ok()?))
}
