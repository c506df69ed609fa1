//! A source whose every value follows from a seed, and whose clock moves only when told.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Env, Source, Timestamp};

/// The seeded source of tests and simulations.
#[derive(Clone)]
pub struct Seeded(Arc<Mutex<State>>);

struct State {
    rng: ChaCha8Rng,
    now: Timestamp,
    elapsed: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl Seeded {
    /// A source that starts at 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Timestamp(1_767_225_600_000),
            elapsed: Duration::ZERO,
            sleepers: Vec::new(),
        })))
    }

    /// The environment that reads from this source.
    #[must_use]
    pub fn env(&self) -> Env {
        Env::new(Arc::new(self.clone()))
    }

    /// Moves both clocks on, and wakes whoever slept until then.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.0.lock();
        state.now = state.now.plus(duration);
        state.elapsed += duration;
        let elapsed = state.elapsed;
        let (due, waiting) = std::mem::take(&mut state.sleepers).into_iter().partition(|(at, _)| *at <= elapsed);
        state.sleepers = waiting;
        let due: Vec<(Duration, oneshot::Sender<()>)> = due;
        for (_, wake) in due {
            // A sleeper that was dropped no longer minds.
            let _ = wake.send(());
        }
    }

    /// How long until the next sleeper wakes; none when nobody sleeps.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let mut state = self.0.lock();
        // Who was dropped sleeps no longer.
        state.sleepers.retain(|(_, wake)| !wake.is_canceled());
        let elapsed = state.elapsed;
        state.sleepers.iter().map(|(at, _)| at.saturating_sub(elapsed)).min()
    }

    /// Sets the wall clock alone, forwards or backwards: what a bad time server does.
    pub fn jump_to(&self, now: Timestamp) {
        self.0.lock().now = now;
    }
}

impl Source for Seeded {
    fn now(&self) -> Timestamp {
        self.0.lock().now
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().elapsed
    }

    fn random_u64(&self) -> u64 {
        self.0.lock().rng.random()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.0.lock();
        if duration.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        let until = state.elapsed + duration;
        state.sleepers.push((until, wake));
        Box::pin(async move {
            let _ = woken.await;
        })
    }
}
