//! The writer: the one thread of a ledger that writes, and thereby what concurrent callers share a transaction.
//!
//! It takes whatever waits, up to a bound, and never waits for more: while one group is being made durable the next
//! one gathers by itself, so an idle ledger answers at once and a busy one commits in large groups.
//!
//! # When a group fails
//!
//! It is rolled back and halved, and the halves run one after the other, so the order of arrival stays and a broken
//! member soon stands alone; it gets the error, its neighbours get their answers. A lost connection is no member's
//! fault: the whole group tries again, a few times. So it does when the answer to COMMIT was lost; but then the next
//! transaction first looks, under the same locks, for a row that only the doubtful one can have written (a line of
//! the audit trail). If it is there, all of it is there, and the callers get the answers that were decided then: a
//! purchase that was new is told so, and not that it is a repeat.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::clock::COMPARED_EVERY;
use super::failure::Failure;
use super::group::Desk;
use super::member::Member;
use super::turns::Turn;
use crate::ledger::LedgerError;

/// Members of one group at most: as many as one process has under way in a crowd, since at a file that several share each
/// has one group per round, and whoever could not write all of it would fall behind the others.
const MOST_MEMBERS: usize = 1_024;
/// Members that may wait in front of the writer; more wait with their callers.
pub(super) const MOST_WAITING: usize = 4_096;
/// Tries at a transaction that was in somebody's way, or lost its connection.
const MOST_TRIES: u32 = 6;
const BACKOFF: Duration = Duration::from_millis(20);
const MOST_BACKOFF: Duration = Duration::from_secs(1);

/// Writes until nobody can ask any more, and everything asked was answered; meanwhile moves the log.
pub(super) async fn run(desk: Desk, asked: mpsc::Receiver<Member>) {
    tokio::select! {
        () = write(&desk, asked) => {}
        () = desk.moving.run() => {}
    }
}

async fn write(desk: &Desk, mut asked: mpsc::Receiver<Member>) {
    let mut waiting: VecDeque<Member> = VecDeque::new();
    let mut compared = desk.env.monotonic();
    loop {
        if waiting.is_empty() {
            match desk.env.timeout(COMPARED_EVERY, asked.recv()).await {
                Some(Some(member)) => waiting.push_back(member),
                Some(None) => return,
                None => {}
            }
        }
        if desk.env.monotonic().saturating_sub(compared) >= COMPARED_EVERY {
            if let Err(failure) = desk.clock.compare(&desk.db, &desk.env).await {
                tracing::warn!(error = %LedgerError::from(failure), "the ledger's clock could not be read");
            }
            compared = desk.env.monotonic();
        }
        if waiting.is_empty() {
            continue;
        }
        // Whoever asks while another process writes goes along.
        let turn = desk.turn().await;
        while waiting.len() < MOST_MEMBERS
            && let Ok(member) = asked.try_recv()
        {
            waiting.push_back(member);
        }
        let group = gather(&mut waiting);
        desk.settle(group, turn).await;
        // A group in SQLite waits for nobody; whoever moves the log gets a turn now.
        tokio::task::yield_now().await;
    }
}

/// Takes the next group: in order of arrival, one operation per order at most.
fn gather(waiting: &mut VecDeque<Member>) -> Vec<Member> {
    if waiting.front().is_some_and(Member::is_alone) {
        return waiting.pop_front().into_iter().collect();
    }
    let mut group = Vec::new();
    let mut orders: HashSet<Uuid> = HashSet::new();
    let mut later = VecDeque::new();
    while group.len() < MOST_MEMBERS
        && let Some(member) = waiting.pop_front_if(|member| !member.is_alone())
    {
        match member.order() {
            Some(order) if !orders.insert(order) => later.push_back(member),
            _ => group.push(member),
        }
    }
    later.append(waiting);
    *waiting = later;
    group
}

impl Desk {
    /// Makes a group durable and answers its members. The turn is for the first try.
    async fn settle(&self, group: Vec<Member>, mut turn: Option<Turn>) {
        let started = self.env.monotonic();
        metrics::histogram!("ledger_group_size").record(u32::try_from(group.len()).unwrap_or(u32::MAX));
        let mut parts = vec![group];
        while let Some(mut part) = parts.pop() {
            match self.persist(&mut part, &mut turn).await {
                Ok(()) => part.into_iter().for_each(|member| member.answer(None)),
                Err(failure) => {
                    if let Failure::Guard(guard) = failure {
                        metrics::counter!("ledger_guard_fired_total", "guard" => guard).increment(1);
                    }
                    if part.len() > 1 && !failure.is_everybodys() {
                        metrics::counter!("ledger_reruns_total").increment(1);
                        let second_half = part.split_off(part.len() / 2);
                        parts.extend([second_half, part]);
                    } else {
                        refuse(part, failure);
                    }
                }
            }
        }
        let seconds = self.env.monotonic().saturating_sub(started).as_secs_f64();
        metrics::histogram!("ledger_group_seconds").record(seconds);
    }

    /// Tries until it is done, or known to be in vain.
    async fn persist(&self, part: &mut [Member], turn: &mut Option<Turn>) -> Result<(), Failure> {
        let mut doubt = None;
        let mut doubted = None;
        for tries in 1.. {
            let turn = match turn.take() {
                Some(turn) => Some(turn),
                None => self.turn().await,
            };
            let failure = match self.attempt(part, &mut doubt, turn).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            // A guard that fired on a member alone may have met another process, which has gone on since.
            let met = part.len() == 1 && matches!(failure, Failure::Guard(_));
            let once_more = failure.is_everybodys() || doubt.is_some() || met;
            if let Failure::Doubt(receipt, error) = &failure {
                doubt = Some(receipt.clone());
                doubted = Some((receipt.clone(), error.clone()));
            }
            if !once_more || tries >= MOST_TRIES {
                return match doubted {
                    Some((receipt, error)) if doubt.is_some() => Err(Failure::Doubt(receipt, error)),
                    _ => Err(failure),
                };
            }
            metrics::counter!("ledger_reruns_total").increment(1);
            // The first time at once: most often a connection was merely closed while it was idle.
            if tries > 1 {
                self.env.sleep(self.env.backoff(tries, BACKOFF, MOST_BACKOFF)).await;
            }
        }
        Ok(())
    }
}

fn refuse(part: Vec<Member>, failure: Failure) {
    let error = LedgerError::from(failure);
    tracing::error!(%error, members = part.len(), "the ledger could not write");
    part.into_iter().for_each(|member| member.answer(Some(&error)));
}
