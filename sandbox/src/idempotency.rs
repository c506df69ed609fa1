//! Idempotency keys as Stripe treats them: <https://docs.stripe.com/api/idempotent_requests>.
//!
//! A key is *in flight* from its first request until that is answered, then it remembers the answer for
//! [`KEPT_SECONDS`]. A request that was refused before it executed leaves no trace of the key. Keys belong to the
//! account, and the sandbox is one account, whichever of its keys a caller uses.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::Serialize;

use crate::disk::SavedAnswer;

/// How long an answer is kept: a day.
pub(crate) const KEPT_SECONDS: i64 = 24 * 60 * 60;
/// Characters in a key.
pub(crate) const KEY_CHARS_MAX: usize = 255;
/// Answers kept; the oldest go first.
const ANSWERS_MAX: usize = 1_000_000;

/// What a request with a key has to do.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Execute; the key stays in flight until the guard is gone.
    Execute(InFlight),
    /// Answer what was answered before.
    Replay(Arc<SavedAnswer>),
    /// Refuse: the key belongs to another request.
    OtherParameters,
    /// Refuse: the first request is still running.
    InUse,
}

/// What happened under one key.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct KeyCounts {
    pub(crate) requests: u64,
    pub(crate) executions: u64,
    pub(crate) replays: u64,
    pub(crate) conflicts: u64,
}

#[derive(Debug)]
enum Entry {
    InFlight,
    Answered(Arc<SavedAnswer>),
    /// Refused before execution: the key is free, only its counters remain.
    Free,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<String, (Entry, KeyCounts)>,
    /// In the order in which keys were first seen, for expiry.
    ages: VecDeque<(i64, String)>,
    replays: u64,
}

/// Every key of the account.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<Inner>);

impl Keys {
    /// The keys of an earlier run.
    pub(crate) fn restore(answers: Vec<SavedAnswer>) -> Self {
        let mut inner = Inner::default();
        for answer in answers {
            inner.ages.push_back((answer.created, answer.key.clone()));
            inner.entries.insert(answer.key.clone(), (Entry::Answered(Arc::new(answer)), KeyCounts::default()));
        }
        Self(Mutex::new(inner))
    }

    /// Asks for a key. `now` is in seconds since the epoch.
    pub(crate) fn claim(self: &Arc<Self>, key: &str, fingerprint: [u8; 32], now: i64) -> Claim {
        let mut guard = self.0.lock();
        let inner = &mut *guard;
        inner.expire(now);
        if !inner.entries.contains_key(key) {
            inner.ages.push_back((now, key.to_owned()));
        }
        let (entry, counts) = inner.entries.entry(key.to_owned()).or_insert((Entry::Free, KeyCounts::default()));
        counts.requests += 1;
        match entry {
            Entry::InFlight => {
                counts.conflicts += 1;
                Claim::InUse
            }
            Entry::Answered(answer) if answer.fingerprint != fingerprint => {
                counts.conflicts += 1;
                Claim::OtherParameters
            }
            Entry::Answered(answer) => {
                counts.replays += 1;
                inner.replays += 1;
                Claim::Replay(Arc::clone(answer))
            }
            Entry::Free => {
                *entry = Entry::InFlight;
                Claim::Execute(InFlight { keys: Arc::clone(self), key: key.to_owned(), answer: None })
            }
        }
    }

    /// What happened under a key.
    pub(crate) fn counts(&self, key: &str) -> Option<KeyCounts> {
        self.0.lock().entries.get(key).map(|(_, counts)| *counts)
    }

    /// Answers replayed since the start.
    pub(crate) fn replays(&self) -> u64 {
        self.0.lock().replays
    }

    /// Forgets everything but what is in flight.
    pub(crate) fn clear(&self) {
        let mut inner = self.0.lock();
        inner.entries.retain(|_, (entry, _)| matches!(entry, Entry::InFlight));
        inner.ages.clear();
        inner.replays = 0;
    }
}

impl Inner {
    fn expire(&mut self, now: i64) {
        while let Some((seen, key)) = self.ages.front() {
            if now - seen < KEPT_SECONDS && self.ages.len() < ANSWERS_MAX {
                break;
            }
            if matches!(self.entries.get(key), Some((Entry::InFlight, _))) {
                break;
            }
            self.entries.remove(key);
            self.ages.pop_front();
        }
    }
}

/// A key in flight. Dropped without an answer, it is free again.
#[derive(Debug)]
pub(crate) struct InFlight {
    keys: Arc<Keys>,
    key: String,
    answer: Option<SavedAnswer>,
}

impl InFlight {
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The answer is durable: from now on the key replays it.
    pub(crate) fn answered(mut self, answer: SavedAnswer) {
        self.answer = Some(answer);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut inner = self.keys.0.lock();
        if let Some((entry, counts)) = inner.entries.get_mut(&self.key) {
            *entry = match self.answer.take() {
                Some(answer) => {
                    counts.executions += 1;
                    Entry::Answered(Arc::new(answer))
                }
                None => Entry::Free,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(key: &str, fingerprint: [u8; 32]) -> SavedAnswer {
        SavedAnswer {
            key: key.into(),
            fingerprint,
            status: 200,
            body: "{}".into(),
            request: "req_1".into(),
            created: 0,
        }
    }

    #[test]
    fn a_key_executes_once_then_replays_for_a_day() {
        let keys = Arc::new(Keys::default());
        let Claim::Execute(first) = keys.claim("k", [1; 32], 0) else { panic!("a new key executes") };
        assert!(matches!(keys.claim("k", [1; 32], 0), Claim::InUse));
        first.answered(answer("k", [1; 32]));
        assert!(matches!(keys.claim("k", [1; 32], 1), Claim::Replay(_)));
        assert!(matches!(keys.claim("k", [2; 32], 1), Claim::OtherParameters));
        let counts = keys.counts("k").unwrap();
        assert_eq!((counts.requests, counts.executions, counts.replays, counts.conflicts), (4, 1, 1, 2));
        assert!(matches!(keys.claim("k", [2; 32], KEPT_SECONDS), Claim::Execute(_)));
    }

    #[test]
    fn a_key_refused_before_execution_is_free_again() {
        let keys = Arc::new(Keys::default());
        drop(keys.claim("k", [1; 32], 0));
        assert!(matches!(keys.claim("k", [2; 32], 0), Claim::Execute(_)));
    }
}
