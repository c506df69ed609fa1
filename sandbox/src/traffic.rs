//! What a request meets before and beside its endpoint: the budget, the locks, and the log.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::OwnedMutexGuard;

use crate::failure::Failure;

/// How long a request waits for an object that another one works on, before it is answered `lock_timeout`.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Requests remembered by the log.
const LOG_MAX: usize = 10_000;

/// A method and a path with `:id` for the object.
pub(crate) type Endpoint = (&'static str, &'static str);

/// A budget per endpoint: as many requests in a second as are allowed, refilled evenly.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Requests allowed in a second; none: no limit.
    per_second: Mutex<Option<u32>>,
    buckets: Mutex<HashMap<Endpoint, Bucket>>,
    throttled: AtomicU64,
}

#[derive(Debug)]
struct Bucket {
    /// Nanoseconds' worth of tokens; one token is a second divided by the limit.
    level: u128,
    filled: Instant,
}

impl Budget {
    pub(crate) fn set(&self, per_second: Option<u32>) {
        *self.per_second.lock() = per_second.filter(|limit| *limit > 0);
        self.buckets.lock().clear();
    }

    /// Takes one request out of an endpoint's budget.
    pub(crate) fn take(&self, endpoint: Endpoint, now: Instant) -> Result<(), Failure> {
        const SECOND: u128 = 1_000_000_000;
        let Some(limit) = *self.per_second.lock() else {
            return Ok(());
        };
        let price = SECOND / u128::from(limit);
        let mut buckets = self.buckets.lock();
        let bucket = buckets.entry(endpoint).or_insert(Bucket { level: SECOND, filled: now });
        bucket.level = (bucket.level + now.duration_since(bucket.filled).as_nanos()).min(SECOND);
        bucket.filled = now;
        if bucket.level < price {
            drop(buckets);
            self.count_throttled();
            return Err(Failure::throttled("endpoint-rate"));
        }
        bucket.level -= price;
        Ok(())
    }

    pub(crate) fn count_throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests answered 429 since the start.
    pub(crate) fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    pub(crate) fn clear(&self) {
        self.buckets.lock().clear();
        self.throttled.store(0, Ordering::Relaxed);
    }
}

/// Requests for which a card's bank is asked, and that are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct AtBank {
    now: AtomicU64,
    most: AtomicU64,
}

/// One of them, until this is dropped.
#[derive(Debug)]
pub(crate) struct Asking<'a>(&'a AtBank);

impl AtBank {
    pub(crate) fn enter(&self) -> Asking<'_> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        Asking(self)
    }

    /// How many there are.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The most that there were at the same time.
    pub(crate) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    /// Counts the most anew, from those that there are.
    pub(crate) fn forget(&self) {
        self.most.store(self.now(), Ordering::Relaxed);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request at a time per object. An entry lives as long as somebody holds or awaits it.
#[derive(Debug, Default)]
pub(crate) struct Locks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// The objects that one request works on.
#[derive(Debug, Default)]
pub(crate) struct Held {
    guards: Vec<(String, OwnedMutexGuard<()>)>,
    locks: Option<Arc<Locks>>,
}

impl Locks {
    /// Takes all of them, in one order for everybody, so that no two requests wait for each other.
    pub(crate) async fn hold(self: &Arc<Self>, mut names: Vec<String>) -> Result<Held, Failure> {
        names.sort_unstable();
        names.dedup();
        let mut held = Held { guards: Vec::with_capacity(names.len()), locks: Some(Arc::clone(self)) };
        for name in names {
            let lock = Arc::clone(self.0.lock().entry(name.clone()).or_default());
            let waiting = tokio::time::timeout(LOCK_PATIENCE, lock.lock_owned());
            match waiting.await {
                Ok(guard) => held.guards.push((name, guard)),
                Err(_) => return Err(Failure::locked()),
            }
        }
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(locks) = self.locks.take() else {
            return;
        };
        let mut map = locks.0.lock();
        for (name, guard) in self.guards.drain(..) {
            drop(guard);
            // Nobody can begin to wait while the map is locked: one reference left is the map's own.
            if map.get(&name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
                map.remove(&name);
            }
        }
    }
}

/// A line of the request log.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LogLine {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    /// The fault that was injected, if any.
    pub(crate) fault: Option<&'static str>,
    pub(crate) milliseconds: u64,
}

/// The last requests, newest last.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: Mutex<VecDeque<LogLine>>,
    requests: AtomicU64,
}

impl Log {
    pub(crate) fn write(&self, line: LogLine) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut lines = self.lines.lock();
        if lines.len() >= LOG_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(crate) fn last(&self, limit: usize) -> Vec<LogLine> {
        let lines = self.lines.lock();
        lines.iter().skip(lines.len().saturating_sub(limit)).cloned().collect()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn clear(&self) {
        self.lines.lock().clear();
        self.requests.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_five_lets_five_pass_and_then_one_every_fifth_of_a_second() {
        let budget = Budget::default();
        budget.set(Some(5));
        let start = Instant::now();
        let passed =
            |now, tries: usize| (0..tries).filter(|_| budget.take(("POST", "/v1/charges"), now).is_ok()).count();
        assert_eq!(passed(start, 9), 5);
        assert_eq!(passed(start + Duration::from_millis(200), 3), 1);
        assert_eq!(passed(start + Duration::from_secs(60), 9), 5);
        assert_eq!(budget.throttled(), 10);
        assert!(budget.take(("GET", "/v1/charges"), start).is_ok(), "another endpoint has its own budget");
    }

    #[tokio::test]
    async fn locks_leave_nothing_behind() {
        let locks = Arc::new(Locks::default());
        let held = locks.hold(vec!["b".into(), "a".into(), "b".into()]).await.unwrap();
        assert_eq!(locks.0.lock().len(), 2);
        drop(held);
        assert!(locks.0.lock().is_empty());
    }
}
