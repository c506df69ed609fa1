//! Any queue against a model: a plain list, searched from end to end, that is slow and easy to believe.
//!
//! Time goes in [units](UNIT) that are long against what the steps take, so that a store whose clock runs by itself
//! agrees with a model whose clock does not.

use std::time::Duration;

use proptest::prelude::*;

use super::{HERE, Subject, job};
use crate::queue::{Delivery, Finish, Gauges, Lease, NewJob, Pushed, QueueOptions};

/// The unit of time.
pub const UNIT: Duration = Duration::from_secs(100);
/// What the store under test is made with.
pub const OPTIONS: QueueOptions = QueueOptions { lease: UNIT.saturating_mul(LEASE), max_len: MAX_LEN };

const LEASE: u32 = 10;
const MAX_LEN: usize = 6;

/// What is done to the store and to the model.
#[derive(Clone, Debug)]
pub enum Step {
    /// Pushes jobs of these keys.
    Push(Vec<u8>),
    /// Fetches at most so many.
    Fetch(usize),
    /// Ends, of all leases ever given, the one at this place (modulo their number).
    Finish(usize, End),
    /// Renews the lease at this place.
    Renew(usize),
    /// Gives those back that are at these places.
    HandBack(Vec<usize>),
    /// Retries the dead job of this key.
    RetryDead(u8),
    /// Discards the dead job of this key.
    DiscardDead(u8),
    /// Lets so many units of time pass.
    Pass(u32),
}

/// How a job ends; delays in units of time.
#[derive(Clone, Debug)]
pub enum End {
    /// With follow-ups of these keys.
    Done(Vec<u8>),
    /// See [`Finish::Retry`].
    Retry(u32),
    /// See [`Finish::Crashed`].
    Crashed(u32),
    /// See [`Finish::Dead`].
    Dead,
}

/// Random steps.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = || prop::collection::vec(0..9u8, 1..4);
    let end = prop_oneof![
        4 => prop::collection::vec(0..9u8, 0..3).prop_map(End::Done),
        2 => (0..15u32).prop_map(End::Retry),
        1 => (0..15u32).prop_map(End::Crashed),
        1 => Just(End::Dead),
    ];
    let step = prop_oneof![
        4 => keys().prop_map(Step::Push),
        5 => (1..4usize).prop_map(Step::Fetch),
        6 => (any::<usize>(), end).prop_map(|(at, end)| Step::Finish(at, end)),
        2 => any::<usize>().prop_map(Step::Renew),
        1 => prop::collection::vec(any::<usize>(), 1..4).prop_map(Step::HandBack),
        1 => (0..9u8).prop_map(Step::RetryDead),
        1 => (0..9u8).prop_map(Step::DiscardDead),
        3 => (1..12u32).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..80)
}

/// Does the steps to an empty store, made with [`OPTIONS`], and to the model, and compares what they say.
pub async fn agrees(subject: &Subject, steps: &[Step]) {
    let mut pair = Pair { model: Model::default(), subject, leases: Vec::new() };
    for step in steps {
        pair.step(step).await;
        pair.agree().await;
    }
}

#[derive(Clone, Debug, PartialEq)]
enum At {
    Waiting,
    /// The place of its lease among all given, and when it lapses.
    Running(usize, u32),
    Delayed(u32),
    Dead,
}

#[derive(Clone, Debug)]
struct Entry {
    key: u8,
    deliveries: u32,
    retries: u32,
    at: At,
}

/// Jobs in the order in which they would be delivered, as far as they wait.
#[derive(Default)]
struct Model {
    jobs: Vec<Entry>,
    leases: usize,
    now: u32,
}

impl Model {
    fn push(&mut self, key: u8, max_len: usize) -> Pushed {
        if self.jobs.iter().any(|job| job.key == key) {
            return Pushed::Duplicate;
        }
        if self.jobs.len() >= max_len {
            return Pushed::Full;
        }
        self.jobs.push(Entry { key, deliveries: 0, retries: 0, at: At::Waiting });
        Pushed::New
    }

    /// Moves a job to the end of the list, as `at`.
    fn move_to_end(&mut self, key: u8, at: At) -> &mut Entry {
        let place = self.jobs.iter().position(|job| job.key == key).unwrap();
        let job = self.jobs.remove(place);
        self.jobs.push(Entry { at, ..job });
        self.jobs.last_mut().unwrap()
    }

    fn keys_at(&self, at: impl Fn(&At) -> bool) -> Vec<u8> {
        self.jobs.iter().filter(|job| at(&job.at)).map(|job| job.key).collect()
    }

    fn is_due(&self, at: &At) -> bool {
        matches!(at, At::Delayed(due) if *due <= self.now)
    }

    /// The delayed jobs that are due join the end of the line.
    fn promote(&mut self) {
        let mut due: Vec<(u32, u8)> = Vec::new();
        for job in &self.jobs {
            if let At::Delayed(when) = job.at
                && when <= self.now
            {
                due.push((when, job.key));
            }
        }
        due.sort_unstable();
        for (_, key) in due {
            self.move_to_end(key, At::Waiting);
        }
    }

    /// What a fetch gives: all of the first if it can, then the second in this order.
    fn deliverable(&mut self) -> (Vec<u8>, Vec<u8>) {
        self.promote();
        let now = self.now;
        let lapsed = self.keys_at(|at| matches!(at, At::Running(_, until) if *until <= now));
        (lapsed, self.keys_at(|at| *at == At::Waiting))
    }

    fn deliver(&mut self, key: u8) -> (String, u32, u32) {
        let at = At::Running(self.leases, self.now + LEASE);
        self.leases += 1;
        let job = self.jobs.iter_mut().find(|job| job.key == key).unwrap();
        job.deliveries += 1;
        job.at = at;
        (key.to_string(), job.deliveries, job.retries)
    }

    fn holder(&self, lease: usize) -> Option<u8> {
        self.keys_at(|at| matches!(at, At::Running(held, _) if *held == lease)).first().copied()
    }

    fn finish(&mut self, lease: usize, end: &End) -> bool {
        let Some(key) = self.holder(lease) else { return false };
        match end {
            End::Done(next) => {
                self.jobs.retain(|job| job.key != key);
                for key in next {
                    self.push(*key, usize::MAX);
                }
            }
            End::Retry(after) => self.move_to_end(key, At::Delayed(self.now + after)).retries += 1,
            End::Crashed(after) => drop(self.move_to_end(key, At::Delayed(self.now + after))),
            End::Dead => drop(self.move_to_end(key, At::Dead)),
        }
        true
    }

    /// The same end with a delay that no other job has: which of two comes first that are due at the same time is left
    /// to the store.
    fn without_ties(&self, end: &End) -> End {
        let free = |after: &u32| {
            let taken = |after: u32| self.jobs.iter().any(|job| job.at == At::Delayed(self.now + after));
            (*after..).find(|after| !taken(*after)).unwrap()
        };
        match end {
            End::Retry(after) => End::Retry(free(after)),
            End::Crashed(after) => End::Crashed(free(after)),
            other => other.clone(),
        }
    }

    fn renew(&mut self, lease: usize) -> bool {
        let Some(key) = self.holder(lease) else { return false };
        let until = self.now + LEASE;
        self.jobs.iter_mut().filter(|job| job.key == key).for_each(|job| job.at = At::Running(lease, until));
        true
    }

    fn hand_back(&mut self, leases: &[usize]) {
        for lease in leases.iter().rev() {
            let Some(key) = self.holder(*lease) else { continue };
            let place = self.jobs.iter().position(|job| job.key == key).unwrap();
            let job = self.jobs.remove(place);
            self.jobs.insert(0, Entry { deliveries: job.deliveries - 1, at: At::Waiting, ..job });
        }
    }

    fn is_dead(&self, key: u8) -> bool {
        self.keys_at(|at| *at == At::Dead).contains(&key)
    }

    fn gauges(&self) -> [usize; 4] {
        let waiting = self.keys_at(|at| *at == At::Waiting || self.is_due(at)).len();
        let delayed = self.keys_at(|at| matches!(at, At::Delayed(_)) && !self.is_due(at)).len();
        let running = self.keys_at(|at| matches!(at, At::Running(..))).len();
        [waiting, running, delayed, self.keys_at(|at| *at == At::Dead).len()]
    }
}

/// Both, side by side.
struct Pair<'a> {
    model: Model,
    subject: &'a Subject,
    leases: Vec<Lease>,
}

impl Pair<'_> {
    async fn step(&mut self, step: &Step) {
        let queue = self.subject.queue.clone();
        match step {
            Step::Push(keys) => {
                let told = queue.push(keys.iter().map(numbered).collect()).await.unwrap();
                assert_eq!(told, keys.iter().map(|key| self.model.push(*key, MAX_LEN)).collect::<Vec<_>>());
            }
            Step::Fetch(max) => self.fetch(*max).await,
            Step::Finish(n, end) => {
                let Some((n, lease)) = self.lease(*n) else { return };
                let end = self.model.without_ties(end);
                assert_eq!(queue.finish(&[(lease, finish(&end))]).await.unwrap(), [self.model.finish(n, &end)]);
            }
            Step::Renew(n) => {
                let Some((n, lease)) = self.lease(*n) else { return };
                assert_eq!(queue.renew(&[lease]).await.unwrap(), [self.model.renew(n)]);
            }
            Step::HandBack(ns) => {
                let (ns, leases): (Vec<usize>, Vec<Lease>) = ns.iter().filter_map(|n| self.lease(*n)).unzip();
                queue.hand_back(&leases).await.unwrap();
                self.model.hand_back(&ns);
            }
            Step::RetryDead(key) => {
                let dead = self.model.is_dead(*key);
                assert_eq!(queue.retry_dead(HERE, &key.to_string()).await.unwrap(), dead);
                if dead {
                    let job = self.model.move_to_end(*key, At::Waiting);
                    (job.deliveries, job.retries) = (0, 0);
                }
            }
            Step::DiscardDead(key) => {
                let dead = self.model.is_dead(*key);
                assert_eq!(queue.discard_dead(HERE, &key.to_string()).await.unwrap(), dead);
                self.model.jobs.retain(|job| !(dead && job.key == *key));
            }
            Step::Pass(units) => {
                self.model.now += units;
                self.subject.pass(UNIT * *units).await;
            }
        }
    }

    /// Of several lapsed jobs, a store may give any first. A fetch that would wait is left out.
    async fn fetch(&mut self, max: usize) {
        let (lapsed, waiting) = self.model.deliverable();
        let expected = max.min(lapsed.len() + waiting.len());
        if expected == 0 {
            return;
        }
        let fetched = self.subject.fetch(max).await;
        assert_eq!(fetched.len(), expected);
        let keys: Vec<u8> = fetched.iter().map(|delivery| delivery.key.parse().unwrap()).collect();
        let (first, rest) = keys.split_at(expected.min(lapsed.len()));
        assert!(first.iter().all(|key| lapsed.contains(key)), "{keys:?}: lapsed are {lapsed:?}");
        assert_eq!(rest, &waiting[..rest.len()]);
        let told = |d: &Delivery| (d.key.clone(), d.deliveries, d.retries);
        let model: Vec<_> = keys.iter().map(|key| self.model.deliver(*key)).collect();
        assert_eq!(fetched.iter().map(told).collect::<Vec<_>>(), model);
        for delivery in fetched {
            assert!(!self.leases.contains(&delivery.lease), "{:?} was given before", delivery.lease);
            self.leases.push(delivery.lease);
        }
    }

    fn lease(&self, n: usize) -> Option<(usize, Lease)> {
        let n = n % self.leases.len().max(1);
        Some((n, self.leases.get(n)?.clone()))
    }

    async fn agree(&self) {
        let Gauges { waiting, running, delayed, dead, .. } = self.subject.queue.gauges(HERE).await.unwrap();
        let counts = [waiting, running, delayed, dead].map(|count| usize::try_from(count).unwrap());
        assert_eq!(counts, self.model.gauges());
        let letters = self.subject.queue.dead(HERE, 99).await.unwrap();
        let mut letters: Vec<u8> = letters.iter().map(|letter| letter.key.parse().unwrap()).collect();
        letters.sort_unstable();
        let mut expected = self.model.keys_at(|at| *at == At::Dead);
        expected.sort_unstable();
        assert_eq!(letters, expected);
    }
}

fn numbered(key: &u8) -> NewJob {
    job(HERE, &key.to_string())
}

fn finish(end: &End) -> Finish {
    match end {
        End::Done(next) => Finish::Done { follow_ups: next.iter().map(numbered).collect() },
        End::Retry(units) => Finish::retry(UNIT * *units, "later"),
        End::Crashed(units) => Finish::Crashed { after: UNIT * *units, reason: "panic".to_owned() },
        End::Dead => Finish::Dead { reason: "no use".to_owned() },
    }
}
