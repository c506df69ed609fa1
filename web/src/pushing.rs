//! Charges are queued in the order in which their orders were accepted.
//!
//! The ledger accepts orders in groups. All of a group hear of it in one moment, and whichever of them runs first would
//! be queued first: in a crowd, hundreds of places from where they belong. So whoever comes first waits until nobody
//! joins any more, and queues for all of them, by their numbers.

use std::sync::Arc;

use parking_lot::Mutex;
use shared::queue::{NewJob, Queue, QueueError};
use tokio::sync::oneshot;

/// Rounds in which nobody has joined, after which nobody is waited for; and the most rounds.
const QUIET: u32 = 2;
const ROUNDS: u32 = 64;
/// The most jobs that are pushed at once.
const BATCH: usize = 500;

struct Waiting {
    number: i64,
    job: NewJob,
    told: oneshot::Sender<Result<(), Arc<QueueError>>>,
}

/// Those who are about to be queued.
#[derive(Default)]
pub struct Pushing {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

impl Pushing {
    /// Queues a job, among those that come at the same time by its number.
    ///
    /// # Errors
    /// The queue's.
    pub async fn push(&self, queue: &dyn Queue, number: i64, job: NewJob) -> Result<(), Arc<QueueError>> {
        let (told, mut heard) = oneshot::channel();
        self.waiting.lock().push(Waiting { number, job: job.clone(), told });
        let turn = self.turn.lock().await;
        match heard.try_recv() {
            Ok(answer) => return answer,
            // Whoever took it along was cut off, and nobody knows how far it came.
            Err(oneshot::error::TryRecvError::Closed) => {
                return queue.push(vec![job]).await.map(drop).map_err(Arc::new);
            }
            Err(oneshot::error::TryRecvError::Empty) => {}
        }
        let mut together = self.gather().await;
        together.sort_by_key(|one| one.number);
        let mut own = Ok(());
        while !together.is_empty() {
            let batch: Vec<Waiting> = together.drain(..together.len().min(BATCH)).collect();
            let pushed = queue.push(batch.iter().map(|one| one.job.clone()).collect()).await;
            let pushed = pushed.map(drop).map_err(Arc::new);
            for one in batch {
                if one.job.key == job.key {
                    own.clone_from(&pushed);
                }
                // Who waits no longer has nothing to hear.
                let _ = one.told.send(pushed.clone());
            }
        }
        drop(turn);
        own
    }

    /// Lets the others that were accepted in the same moment come.
    async fn gather(&self) -> Vec<Waiting> {
        let (mut seen, mut quiet) = (0, 0);
        for _ in 0..ROUNDS {
            let now = self.waiting.lock().len();
            quiet = if now == seen { quiet + 1 } else { 0 };
            if quiet >= QUIET {
                break;
            }
            seen = now;
            tokio::task::yield_now().await;
        }
        std::mem::take(&mut *self.waiting.lock())
    }
}

#[cfg(test)]
mod tests {
    use shared::env::Env;
    use shared::queue::QueueOptions;
    use shared::queue::memory::Memory;

    use super::*;

    fn job(number: i64) -> NewJob {
        NewJob { queue: "numbers", key: number.to_string(), payload: Vec::new() }
    }

    #[tokio::test]
    async fn those_who_come_together_are_queued_by_their_numbers() {
        let (queue, pushing) = (Memory::new(Env::system(), QueueOptions::default()), Pushing::default());
        let numbers: Vec<i64> = (0..500).map(|n| (n * 7 + 3) % 500).collect();
        let pushes = numbers.iter().map(|number| pushing.push(&queue, *number, job(*number)));
        futures::future::join_all(pushes).await.into_iter().for_each(|pushed| assert!(pushed.is_ok()));
        let fetched = queue.fetch("numbers", "one", 500).await.unwrap();
        let order: Vec<i64> = fetched.iter().map(|delivery| delivery.key.parse().unwrap()).collect();
        assert_eq!(order, (0..500).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn who_is_cut_off_while_it_pushes_for_all_takes_nobody_with_it() {
        let (queue, pushing) = (Memory::new(Env::system(), QueueOptions::default()), Pushing::default());
        let mut first = Box::pin(pushing.push(&queue, 1, job(1)));
        let mut second = Box::pin(pushing.push(&queue, 2, job(2)));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        drop(first);
        second.await.unwrap();
        assert!(!queue.fetch("numbers", "one", 9).await.unwrap().is_empty());
    }
}
