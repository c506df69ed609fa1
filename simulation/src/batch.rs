//! Many seeds, one world per thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::chance::{Fault, Without};
use crate::scene::Breach;
use crate::world::Ended;

/// After so many seeds that failed, one has seen enough.
pub const MOST_FAILED: usize = 5;

/// What became of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds that were played to their end.
    pub seeds: u64,
    /// How often a task was polled.
    pub steps: u64,
    /// Orders that were accepted.
    pub orders: u64,
    /// Of those, paid in the end.
    pub paid: u64,
    /// Time that passed in all worlds together.
    pub simulated: Duration,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// Seeds that failed, the lowest first, and why.
    pub failed: BTreeMap<u64, Breach>,
}

impl Summary {
    fn add(&mut self, ended: &Ended) {
        self.seeds += 1;
        self.steps += ended.steps;
        self.orders += ended.orders as u64;
        self.paid += ended.paid as u64;
        self.simulated += ended.simulated;
        for (kind, count) in &ended.faults {
            *self.faults.entry(*kind).or_default() += count;
        }
        if let Some(breach) = &ended.breach {
            self.failed.insert(ended.seed, breach.clone());
        }
    }
}

/// Plays so many seeds from the first one on; `seen` hears of each. It ends early when `most_failed` of them have failed.
pub fn run(first: u64, count: u64, threads: usize, most_failed: usize, seen: &(dyn Fn(&Ended) + Sync)) -> Summary {
    let (next, failed) = (AtomicU64::new(0), AtomicUsize::new(0));
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while failed.load(Ordering::Relaxed) < most_failed {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let ended = crate::play(first.wrapping_add(number), &Without::default(), false);
                    failed.fetch_add(usize::from(ended.breach.is_some()), Ordering::Relaxed);
                    seen(&ended);
                    summary.lock().add(&ended);
                }
            });
        }
    });
    summary.into_inner()
}
