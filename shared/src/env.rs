//! Time, ids, randomness and waiting: everything that would make two runs differ, behind one value.
//!
//! Nothing in `shared` or `worker`, adapters apart, asks the machine for the time, an id or a timer; it asks its
//! [`Env`]. In production that is [`Env::system`]. A test or a simulation makes a [`Seeded`] source, whose clock
//! moves only when told, so that one seed always tells the same story.

mod seeded;
mod system;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use seeded::Seeded;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time plus a duration; stops at the largest time instead of wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time less a duration; stops at the smallest time instead of wrapping.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `now` until this time; 0 when it has passed.
    #[must_use]
    pub fn ms_from(self, now: Self) -> i64 {
        self.0.saturating_sub(now.0).max(0)
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads an RFC 3339 time, as operators type it.
    ///
    /// # Errors
    /// The parser's message when the text is not such a time.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>().map(|t| Self(t.as_millisecond())).map_err(|e| e.to_string())
    }

    /// RFC 3339 with milliseconds, in UTC: the form of every time in the API.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| String::new(), |t| format!("{t:.3}"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// Where an [`Env`] takes its values from.
pub trait Source: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// A clock that never goes backwards; only differences mean something.
    fn monotonic(&self) -> Duration;
    /// 64 random bits, fit for ids.
    fn random_u64(&self) -> u64;
    /// A future that ends after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The injected source of time, ids, randomness and back-off.
#[derive(Clone)]
pub struct Env(Arc<dyn Source>);

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Env(now: {})", self.now())
    }
}

impl Env {
    /// The machine's own clock, timers and random numbers.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(system::System::new()))
    }

    /// An environment over any source.
    #[must_use]
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self(source)
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    /// A clock for measuring durations.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    /// 64 random bits.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        self.0.random_u64()
    }

    /// A random UUID (version 4): customers, whose ids should tell nothing.
    #[must_use]
    pub fn uuid_v4(&self) -> Uuid {
        let bits = (u128::from(self.0.random_u64()) << 64) | u128::from(self.0.random_u64());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// A UUID that sorts by time (version 7, RFC 9562): rows, whose index should grow at its end.
    #[must_use]
    pub fn uuid_v7(&self) -> Uuid {
        let millis = u64::try_from(self.now().0).unwrap_or(0);
        let bits = (u128::from(self.0.random_u64()) << 64) | u128::from(self.0.random_u64());
        let mut random = [0; 10];
        random.copy_from_slice(&bits.to_be_bytes()[..10]);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// A random duration up to `most`: spreads out what would otherwise happen all at once.
    #[must_use]
    pub fn jitter(&self, most: Duration) -> Duration {
        let most_us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.0.random_u64() % most_us.saturating_add(1))
    }

    /// Exponential back-off with equal jitter: between half and all of `base · 2^attempt`, never above `cap`.
    /// (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)
    #[must_use]
    pub fn backoff(&self, attempt: u32, base: Duration, cap: Duration) -> Duration {
        let full = base.saturating_mul(1 << attempt.min(16)).min(cap);
        full / 2 + self.jitter(full / 2)
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }

    /// Waits for a future, but not longer than `limit`; `None` when the time is over.
    pub async fn timeout<F: Future + Send>(&self, limit: Duration, work: F) -> Option<F::Output> {
        let work = std::pin::pin!(work);
        match futures::future::select(work, self.0.sleep(limit)).await {
            futures::future::Either::Left((output, _)) => Some(output),
            futures::future::Either::Right(((), _)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids_and_jitter() {
        let (a, b) = (Seeded::new(7).env(), Seeded::new(7).env());
        assert_eq!(a.uuid_v4(), b.uuid_v4());
        assert_eq!(a.uuid_v7(), b.uuid_v7());
        assert_eq!(a.jitter(Duration::from_secs(1)), b.jitter(Duration::from_secs(1)));
        assert_ne!(a.uuid_v4(), a.uuid_v4());
    }

    #[test]
    fn back_off_grows_and_stays_within_its_cap() {
        let env = Seeded::new(1).env();
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(5));
        for attempt in 0..40 {
            let full = base.saturating_mul(1 << attempt.min(16)).min(cap);
            let wait = env.backoff(attempt, base, cap);
            assert!(wait >= full / 2 && wait <= full, "attempt {attempt} waits {wait:?}");
        }
    }

    #[tokio::test]
    async fn a_seeded_sleep_ends_when_the_clock_is_moved_and_not_before() {
        let seeded = Seeded::new(1);
        let env = seeded.env();
        let mut sleep = std::pin::pin!(env.sleep(Duration::from_secs(10)));
        assert!(futures::poll!(&mut sleep).is_pending());
        seeded.advance(Duration::from_secs(9));
        assert!(futures::poll!(&mut sleep).is_pending());
        seeded.advance(Duration::from_secs(1));
        assert!(futures::poll!(&mut sleep).is_ready());
    }

    #[test]
    fn times_read_and_write_rfc_3339() {
        let t = Timestamp::parse_rfc3339("2026-11-20T12:00:00Z").unwrap();
        assert_eq!(t.to_rfc3339(), "2026-11-20T12:00:00.000Z");
        assert!(Timestamp::parse_rfc3339("tomorrow").is_err());
        assert_eq!(t.plus(Duration::from_millis(5)).ms_from(t), 5);
        assert_eq!(t.ms_from(t.plus(Duration::from_secs(1))), 0);
    }
}
