//! The store against a model: a plain list, searched from end to end, that is slow and easy to believe.

use std::time::Duration;

use futures::FutureExt as _;
use proptest::prelude::*;

use super::*;
use crate::queue::{Delivery, Finish, Gauges, Lease, Pushed};

const LEASE: Duration = Duration::from_secs(10);
const MAX_LEN: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<u8>),
    Fetch(usize),
    /// Of all leases ever given, the one at this place (modulo their number).
    Finish(usize, End),
    Renew(usize),
    HandBack(Vec<usize>),
    RetryDead(u8),
    DiscardDead(u8),
    Pass(u64),
}

#[derive(Clone, Debug)]
enum End {
    Done(Vec<u8>),
    Retry(u64),
    Crashed(u64),
    Dead,
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || prop::collection::vec(0..9u8, 1..4);
    let end = prop_oneof![
        4 => prop::collection::vec(0..9u8, 0..3).prop_map(End::Done),
        2 => (0..15u64).prop_map(End::Retry),
        1 => (0..15u64).prop_map(End::Crashed),
        1 => Just(End::Dead),
    ];
    prop_oneof![
        4 => keys().prop_map(Step::Push),
        5 => (1..4usize).prop_map(Step::Fetch),
        6 => (any::<usize>(), end).prop_map(|(at, end)| Step::Finish(at, end)),
        2 => any::<usize>().prop_map(Step::Renew),
        1 => prop::collection::vec(any::<usize>(), 1..4).prop_map(Step::HandBack),
        1 => (0..9u8).prop_map(Step::RetryDead),
        1 => (0..9u8).prop_map(Step::DiscardDead),
        3 => (1..12u64).prop_map(Step::Pass),
    ]
}

#[derive(Clone, Debug, PartialEq)]
enum At {
    Waiting,
    /// The place of its lease among all given, and when it lapses.
    Running(usize, u64),
    Delayed(u64),
    Dead,
}

/// Jobs in the order in which they would be delivered, as far as they wait.
#[derive(Default)]
struct Model {
    jobs: Vec<(u8, u32, u32, At)>,
    /// When each was pushed relative to the others, which decides between jobs due or lapsed at the same time.
    births: Vec<u8>,
    leases: usize,
    now: u64,
}

impl Model {
    fn push(&mut self, key: u8, max_len: usize) -> Pushed {
        if self.jobs.iter().any(|job| job.0 == key) {
            return Pushed::Duplicate;
        }
        if self.jobs.len() >= max_len {
            return Pushed::Full;
        }
        self.jobs.push((key, 0, 0, At::Waiting));
        self.births.push(key);
        Pushed::New
    }

    fn born(&self, key: u8) -> usize {
        self.births.iter().rposition(|birth| *birth == key).unwrap()
    }

    /// Moves a job to the end of the list, as `at`.
    fn move_to_end(&mut self, key: u8, at: At) {
        let place = self.jobs.iter().position(|job| job.0 == key).unwrap();
        let mut job = self.jobs.remove(place);
        job.3 = at;
        self.jobs.push(job);
    }

    fn promote(&mut self) {
        let mut due: Vec<(u64, usize, u8)> = Vec::new();
        for (key, _, _, at) in &self.jobs {
            if let At::Delayed(when) = at
                && *when <= self.now
            {
                due.push((*when, self.born(*key), *key));
            }
        }
        due.sort_unstable();
        due.into_iter().for_each(|(_, _, key)| self.move_to_end(key, At::Waiting));
    }

    fn fetch(&mut self, max: usize) -> Vec<(String, u32, u32)> {
        self.promote();
        let mut lapsed: Vec<(u64, usize, u8)> = Vec::new();
        for (key, _, _, at) in &self.jobs {
            if let At::Running(_, until) = at
                && *until <= self.now
            {
                lapsed.push((*until, self.born(*key), *key));
            }
        }
        lapsed.sort_unstable();
        let waiting = self.jobs.iter().filter(|job| job.3 == At::Waiting).map(|job| job.0);
        let taken: Vec<u8> = lapsed.into_iter().map(|(_, _, key)| key).chain(waiting).take(max).collect();
        let until = self.now + LEASE.as_secs();
        let deliver = |key: u8| {
            let job = self.jobs.iter_mut().find(|job| job.0 == key).unwrap();
            job.1 += 1;
            job.3 = At::Running(self.leases, until);
            self.leases += 1;
            (key.to_string(), job.1, job.2)
        };
        taken.into_iter().map(deliver).collect()
    }

    fn holder(&self, lease: usize) -> Option<u8> {
        self.jobs.iter().find(|job| matches!(job.3, At::Running(held, _) if held == lease)).map(|job| job.0)
    }

    fn finish(&mut self, lease: usize, end: &End) -> bool {
        let Some(key) = self.holder(lease) else { return false };
        match end {
            End::Done(next) => {
                self.jobs.retain(|job| job.0 != key);
                for key in next {
                    self.push(*key, usize::MAX);
                }
            }
            End::Retry(after) => {
                self.move_to_end(key, At::Delayed(self.now + after));
                self.jobs.last_mut().unwrap().2 += 1;
            }
            End::Crashed(after) => self.move_to_end(key, At::Delayed(self.now + after)),
            End::Dead => self.move_to_end(key, At::Dead),
        }
        true
    }

    fn hand_back(&mut self, leases: &[usize]) {
        for lease in leases.iter().rev() {
            let Some(key) = self.holder(*lease) else { continue };
            let place = self.jobs.iter().position(|job| job.0 == key).unwrap();
            let (key, deliveries, retries, _) = self.jobs.remove(place);
            self.jobs.insert(0, (key, deliveries - 1, retries, At::Waiting));
        }
    }

    fn dead(&self) -> Vec<u8> {
        self.jobs.iter().filter(|job| job.3 == At::Dead).map(|job| job.0).collect()
    }

    fn gauges(&mut self) -> [u64; 4] {
        self.promote();
        let mut counts = [0; 4];
        for (_, _, _, at) in &self.jobs {
            let place = match at {
                At::Waiting => 0,
                At::Running(..) => 1,
                At::Delayed(_) => 2,
                At::Dead => 3,
            };
            counts[place] += 1;
        }
        counts
    }
}

/// Both, side by side.
struct Pair {
    model: Model,
    store: Memory,
    seeded: Seeded,
    leases: Vec<Lease>,
}

/// The store never waits in these steps, so every call is ready at once.
fn now<T>(call: impl Future<Output = Result<T, QueueError>>) -> T {
    call.now_or_never().unwrap().unwrap()
}

impl Pair {
    fn step(&mut self, step: Step) {
        let at = |n: usize, len: usize| n % len.max(1);
        match step {
            Step::Push(keys) => {
                let told = now(self.store.push(keys.iter().map(job).collect()));
                assert_eq!(told, keys.iter().map(|key| self.model.push(*key, MAX_LEN)).collect::<Vec<_>>());
            }
            Step::Fetch(max) => {
                let fetched = self.store.fetch("q", "w", max).now_or_never().map(Result::unwrap).unwrap_or_default();
                let told = |d: &Delivery| (d.key.clone(), d.deliveries, d.retries);
                assert_eq!(fetched.iter().map(told).collect::<Vec<_>>(), self.model.fetch(max));
                self.leases.extend(fetched.into_iter().map(|delivery| delivery.lease));
            }
            Step::Finish(n, end) => {
                let n = at(n, self.leases.len());
                let Some(lease) = self.leases.get(n).cloned() else { return };
                assert_eq!(now(self.store.finish(&[(lease, finish(&end))])), [self.model.finish(n, &end)]);
            }
            Step::Renew(n) => {
                let n = at(n, self.leases.len());
                let Some(lease) = self.leases.get(n).cloned() else { return };
                let holder = self.model.holder(n);
                assert_eq!(now(self.store.renew(&[lease])), [holder.is_some()]);
                let until = self.model.now + LEASE.as_secs();
                self.model
                    .jobs
                    .iter_mut()
                    .filter(|job| Some(job.0) == holder)
                    .for_each(|job| job.3 = At::Running(n, until));
            }
            Step::HandBack(ns) => {
                let ns: Vec<usize> = ns.into_iter().map(|n| at(n, self.leases.len())).collect();
                let leases: Vec<Lease> = ns.iter().filter_map(|n| self.leases.get(*n).cloned()).collect();
                now(self.store.hand_back(&leases));
                self.model.hand_back(&ns);
            }
            Step::RetryDead(key) => {
                let dead = self.model.dead().contains(&key);
                assert_eq!(now(self.store.retry_dead("q", &key.to_string())), dead);
                if dead {
                    // What is due came first.
                    self.model.move_to_end(key, At::Waiting);
                    let job = self.model.jobs.last_mut().unwrap();
                    (job.1, job.2) = (0, 0);
                }
            }
            Step::DiscardDead(key) => {
                let dead = self.model.dead().contains(&key);
                assert_eq!(now(self.store.discard_dead("q", &key.to_string())), dead);
                self.model.jobs.retain(|job| !(dead && job.0 == key));
            }
            Step::Pass(seconds) => {
                self.model.now += seconds;
                self.seeded.advance(Duration::from_secs(seconds));
            }
        }
    }

    fn agree(&mut self) {
        let Gauges { waiting, running, delayed, dead, .. } = now(self.store.gauges("q"));
        assert_eq!([waiting, running, delayed, dead], self.model.gauges());
        let mut letters: Vec<_> = now(self.store.dead("q", 99)).into_iter().map(|letter| letter.key).collect();
        let mut expected: Vec<_> = self.model.dead().iter().map(ToString::to_string).collect();
        letters.sort_unstable();
        expected.sort_unstable();
        assert_eq!(letters, expected);
    }
}

fn finish(end: &End) -> Finish {
    let after = Duration::from_secs;
    match end {
        End::Done(next) => Finish::Done { follow_ups: next.iter().map(job).collect() },
        End::Retry(seconds) => Finish::retry(after(*seconds), "later"),
        End::Crashed(seconds) => Finish::Crashed { after: after(*seconds), reason: "panic".to_owned() },
        End::Dead => Finish::Dead { reason: "no use".to_owned() },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_a_plain_list_would(steps in prop::collection::vec(step(), 1..80)) {
        let seeded = Seeded::new(1);
        let store = Memory::new(seeded.env(), QueueOptions { lease: LEASE, max_len: MAX_LEN });
        let mut pair = Pair { model: Model::default(), store, seeded, leases: Vec::new() };
        for step in steps {
            pair.step(step);
            pair.agree();
        }
    }
}
