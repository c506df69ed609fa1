//! The queue of a single process: nothing survives it, and nothing needs to, for the ledger queues again what is owed.
//!
//! All queues share one lock, because finishing a job of one and pushing its follow-up to another is one step. Nobody
//! waits while holding it, and every operation under it takes constant or logarithmic time per job.
//!
//! Leases and delays run on the monotonic clock: a wall clock that jumps neither lapses a lease nor hurries a retry.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{DeadJob, Delivery, Finish, Gauges, Lease, NewJob, Pushed, Queue, QueueError, QueueOptions};
use crate::env::{Env, Timestamp};
use crate::guards::Guard;

/// The in-memory [`Queue`].
pub struct Memory {
    env: Env,
    options: QueueOptions,
    store: Mutex<Store>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new(env: Env, options: QueueOptions) -> Self {
        Self { env, options, store: Mutex::default() }
    }

    /// What a server has that was restarted from a copy of now.
    #[must_use]
    pub fn restarted_from_now(&self) -> Self {
        Self { env: self.env.clone(), options: self.options, store: Mutex::new(self.store.lock().clone()) }
    }
}

#[derive(Clone, Default)]
struct Store {
    lines: HashMap<&'static str, Line>,
    /// The last id given; ids grow in the order of pushing.
    last_id: u64,
    /// The last fence given.
    last_fence: u64,
}

/// One queue. Each job is in `jobs` and `ids`, and in the one index that its state names.
#[derive(Clone, Default)]
struct Line {
    jobs: HashMap<u64, Entry>,
    ids: HashMap<Arc<str>, u64>,
    waiting: VecDeque<u64>,
    /// When each lease lapses.
    running: BTreeSet<(Duration, u64)>,
    /// When each delayed job is due.
    delayed: BTreeSet<(Duration, u64)>,
    /// In the order of dying.
    dead: BTreeSet<(Timestamp, u64)>,
    /// Wakes who waits in `fetch`: something can be delivered, or sooner than it seemed. Taking a job needs no wake of
    /// its own: the one that announced the job made everybody look, and who came too late saw when its lease lapses.
    changed: Arc<Notify>,
}

#[derive(Clone)]
struct Entry {
    key: Arc<str>,
    payload: Vec<u8>,
    deliveries: u32,
    retries: u32,
    pushed_at: Timestamp,
    state: State,
}

#[derive(Clone)]
enum State {
    Waiting,
    Running { fence: u64, until: Duration },
    Delayed,
    Dead { reason: String, at: Timestamp },
}

/// Both clocks, read once per operation.
#[derive(Clone, Copy)]
struct Now {
    wall: Timestamp,
    steady: Duration,
}

impl Store {
    fn push(&mut self, job: NewJob, max_len: usize, now: Now) -> Pushed {
        let line = self.lines.entry(job.queue).or_default();
        let key: Arc<str> = job.key.into();
        if Guard::JobOnce.refuses(line.ids.contains_key(&key)) {
            return Pushed::Duplicate;
        }
        if line.jobs.len() >= max_len {
            return Pushed::Full;
        }
        self.last_id += 1;
        let entry = Entry {
            key: key.clone(),
            payload: job.payload,
            deliveries: 0,
            retries: 0,
            pushed_at: now.wall,
            state: State::Waiting,
        };
        line.ids.insert(key, self.last_id);
        line.jobs.insert(self.last_id, entry);
        line.waiting.push_back(self.last_id);
        line.changed.notify_waiters();
        Pushed::New
    }

    fn finish(&mut self, lease: &Lease, end: &Finish, now: Now) -> bool {
        let Some((line, id)) = self.held(lease) else { return false };
        match end {
            Finish::Done { follow_ups } => {
                line.forget(id);
                for job in follow_ups {
                    self.push(job.clone(), usize::MAX, now);
                }
            }
            Finish::Retry { after, .. } => line.delay(id, now.steady.saturating_add(*after), 1),
            Finish::Crashed { after, .. } => line.delay(id, now.steady.saturating_add(*after), 0),
            Finish::Dead { reason } => line.bury(id, reason, now.wall),
            Finish::HandBack { .. } => line.give_up_turn(id),
        }
        true
    }

    /// The line and id of a lease that is still its holder's.
    fn held(&mut self, lease: &Lease) -> Option<(&mut Line, u64)> {
        let line = self.lines.get_mut(lease.queue)?;
        let id = lease.id.parse().ok()?;
        let ours = matches!(line.jobs.get(&id)?.state, State::Running { fence, .. } if Guard::Fence.holds(fence == lease.fence));
        ours.then_some((line, id))
    }
}

impl Line {
    /// To the front, behind those that came before it; the delivery not counted.
    fn give_up_turn(&mut self, id: u64) {
        self.hand_back(id);
        // Ids grow in the order of pushing.
        let place = self.waiting.iter().skip(1).position(|other| *other > id).unwrap_or(self.waiting.len() - 1);
        self.waiting.pop_front();
        self.waiting.insert(place, id);
    }

    /// To the front, the delivery not counted.
    fn hand_back(&mut self, id: u64) {
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.deliveries = entry.deliveries.saturating_sub(1);
        }
        self.wait(id, VecDeque::push_front);
    }

    /// Leases up to `max` jobs; also says when to look again if there are none.
    fn take(
        &mut self,
        queue: &'static str,
        max: usize,
        lease: Duration,
        now: Now,
        last_fence: &mut u64,
    ) -> (Vec<Delivery>, Option<Duration>) {
        self.promote(now.steady);
        let mut deliveries = Vec::new();
        while deliveries.len() < max {
            let lapsed = self.running.first().copied().filter(|(until, _)| Guard::Lease.holds(*until <= now.steady));
            let id = if let Some(entry) = lapsed {
                self.running.remove(&entry);
                entry.1
            } else if let Some(id) = self.waiting.pop_front() {
                id
            } else {
                break;
            };
            let Some(entry) = self.jobs.get_mut(&id) else { continue };
            *last_fence += 1;
            let until = now.steady.saturating_add(lease);
            entry.deliveries = entry.deliveries.saturating_add(1);
            entry.state = State::Running { fence: *last_fence, until };
            self.running.insert((until, id));
            deliveries.push(Delivery {
                lease: Lease { queue, id: id.to_string(), fence: *last_fence },
                key: entry.key.to_string(),
                payload: entry.payload.clone(),
                deliveries: entry.deliveries,
                retries: entry.retries,
                pushed_at: entry.pushed_at,
            });
        }
        (deliveries, self.next_change())
    }

    /// Puts the delayed jobs that are due at the end of the line.
    fn promote(&mut self, now: Duration) {
        while let Some((due, id)) = self.delayed.first().copied().filter(|(due, _)| *due <= now) {
            self.delayed.remove(&(due, id));
            self.wait(id, VecDeque::push_back);
        }
    }

    /// When a job will be there without anybody's doing.
    fn next_change(&self) -> Option<Duration> {
        let lapse = self.running.first().map(|(at, _)| *at);
        let due = self.delayed.first().map(|(at, _)| *at);
        lapse.into_iter().chain(due).min()
    }

    fn wait(&mut self, id: u64, put: fn(&mut VecDeque<u64>, u64)) {
        self.leave(id);
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.state = State::Waiting;
            put(&mut self.waiting, id);
            self.changed.notify_waiters();
        }
    }

    fn delay(&mut self, id: u64, due: Duration, retries: u32) {
        self.leave(id);
        let before = self.next_change();
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.retries = entry.retries.saturating_add(retries);
            entry.state = State::Delayed;
            self.delayed.insert((due, id));
            if before.is_none_or(|before| due < before) {
                self.changed.notify_waiters();
            }
        }
    }

    fn bury(&mut self, id: u64, reason: &str, at: Timestamp) {
        self.leave(id);
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.state = State::Dead { reason: reason.to_owned(), at };
            self.dead.insert((at, id));
        }
    }

    fn forget(&mut self, id: u64) {
        self.leave(id);
        if let Some(entry) = self.jobs.remove(&id) {
            self.ids.remove(&entry.key);
        }
    }

    /// Takes a running or dead job out of the index that it is in; the others are left by popping.
    fn leave(&mut self, id: u64) {
        match self.jobs.get(&id).map(|entry| &entry.state) {
            Some(State::Running { until, .. }) => self.running.remove(&(*until, id)),
            Some(State::Dead { at, .. }) => self.dead.remove(&(*at, id)),
            Some(State::Waiting | State::Delayed) | None => false,
        };
    }

    fn dead_id(&self, key: &str) -> Option<u64> {
        let id = *self.ids.get(key)?;
        matches!(self.jobs.get(&id)?.state, State::Dead { .. }).then_some(id)
    }
}

impl Memory {
    fn now(&self) -> Now {
        Now { wall: self.env.now(), steady: self.env.monotonic() }
    }
}

#[async_trait]
impl Queue for Memory {
    fn lease(&self) -> Duration {
        self.options.lease
    }

    async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, QueueError> {
        let now = self.now();
        let mut store = self.store.lock();
        Ok(jobs.into_iter().map(|job| store.push(job, self.options.max_len, now)).collect())
    }

    async fn fetch(&self, queue: &'static str, _consumer: &str, max: usize) -> Result<Vec<Delivery>, QueueError> {
        let changed = self.store.lock().lines.entry(queue).or_default().changed.clone();
        loop {
            // Listen before looking, or a push between the two would go unheard.
            let woken = changed.notified();
            let now = self.now();
            let (deliveries, next_change) = {
                let mut store = self.store.lock();
                let Store { lines, last_fence, .. } = &mut *store;
                lines.entry(queue).or_default().take(queue, max.max(1), self.options.lease, now, last_fence)
            };
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            match next_change {
                Some(at) => {
                    let _ = self.env.timeout(at.saturating_sub(now.steady), woken).await;
                }
                None => woken.await,
            }
        }
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, QueueError> {
        let until = self.now().steady.saturating_add(self.options.lease);
        let mut store = self.store.lock();
        let renew = |lease: &Lease| {
            let Some((line, id)) = store.held(lease) else { return false };
            line.leave(id);
            if let Some(entry) = line.jobs.get_mut(&id) {
                entry.state = State::Running { fence: lease.fence, until };
                line.running.insert((until, id));
            }
            true
        };
        Ok(leases.iter().map(renew).collect())
    }

    async fn finish(&self, ends: &[(Lease, Finish)]) -> Result<Vec<bool>, QueueError> {
        let now = self.now();
        let mut store = self.store.lock();
        Ok(ends.iter().map(|(lease, end)| store.finish(lease, end, now)).collect())
    }

    async fn hand_back(&self, leases: &[Lease]) -> Result<(), QueueError> {
        let mut store = self.store.lock();
        for lease in leases.iter().rev() {
            let Some((line, id)) = store.held(lease) else { continue };
            line.hand_back(id);
        }
        Ok(())
    }

    async fn gauges(&self, queue: &'static str) -> Result<Gauges, QueueError> {
        let now = self.now();
        let store = self.store.lock();
        let Some(line) = store.lines.get(queue) else { return Ok(Gauges::default()) };
        let due = line.delayed.range(..=(now.steady, u64::MAX));
        let head = line.waiting.front().or(due.clone().next().map(|(_, id)| id)).and_then(|id| line.jobs.get(id));
        let due = due.count();
        Ok(Gauges {
            waiting: count(line.waiting.len() + due),
            running: count(line.running.len()),
            delayed: count(line.delayed.len() - due),
            dead: count(line.dead.len()),
            oldest_age: head.map(|entry| now.wall.since(entry.pushed_at)).unwrap_or_default(),
        })
    }

    async fn dead(&self, queue: &'static str, max: usize) -> Result<Vec<DeadJob>, QueueError> {
        let store = self.store.lock();
        let Some(line) = store.lines.get(queue) else { return Ok(Vec::new()) };
        let letter = |(_, id): &(Timestamp, u64)| {
            let entry = line.jobs.get(id)?;
            let State::Dead { reason, at } = &entry.state else { return None };
            Some(DeadJob {
                key: entry.key.to_string(),
                payload: entry.payload.clone(),
                reason: reason.clone(),
                deliveries: entry.deliveries,
                pushed_at: entry.pushed_at,
                died_at: *at,
            })
        };
        Ok(line.dead.iter().filter_map(letter).take(max).collect())
    }

    async fn retry_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        let now = self.env.now();
        let mut store = self.store.lock();
        let Some(line) = store.lines.get_mut(queue) else { return Ok(false) };
        let Some(id) = line.dead_id(key) else { return Ok(false) };
        line.wait(id, VecDeque::push_back);
        if let Some(entry) = line.jobs.get_mut(&id) {
            (entry.deliveries, entry.retries, entry.pushed_at) = (0, 0, now);
        }
        Ok(true)
    }

    async fn discard_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        let mut store = self.store.lock();
        let Some(line) = store.lines.get_mut(queue) else { return Ok(false) };
        let Some(id) = line.dead_id(key) else { return Ok(false) };
        line.forget(id);
        Ok(true)
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
