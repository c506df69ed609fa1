//! How often Stripe may be asked: a leaky bucket that all handlers of a process share.
//!
//! By default a Stripe account allows 25 requests a second per endpoint (<https://docs.stripe.com/rate-limits>);
//! asking more often only earns refusals.

use std::time::Duration;

use parking_lot::Mutex;
use shared::env::Env;

/// A bucket that lets through so many requests a second, evenly.
pub struct Budget {
    env: Env,
    /// Time between two requests; `None` is no limit.
    gap: Option<Duration>,
    /// When the next request may go, by the monotonic clock. Locked for a moment, never across an await.
    next: Mutex<Duration>,
}

impl Budget {
    /// A budget of so many requests a second; `None` or 0 is no limit.
    #[must_use]
    pub fn new(env: Env, per_second: Option<u32>) -> Self {
        let gap = per_second.filter(|rate| *rate > 0).map(|rate| Duration::from_secs(1) / rate);
        Self { env, gap, next: Mutex::new(Duration::ZERO) }
    }

    /// Takes one request's share and waits for its turn.
    ///
    /// # Errors
    /// How long to wait, if that is longer than `patience`; nothing was taken then.
    pub async fn take(&self, patience: Duration) -> Result<(), Duration> {
        let Some(gap) = self.gap else { return Ok(()) };
        let wait = {
            let mut next = self.next.lock();
            let now = self.env.monotonic();
            let wait = next.saturating_sub(now);
            if wait > patience {
                return Err(wait);
            }
            *next = (*next).max(now) + gap;
            wait
        };
        if !wait.is_zero() {
            self.env.sleep(wait).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared::env::Seeded;

    use super::*;

    #[tokio::test]
    async fn requests_leave_evenly_and_nobody_waits_beyond_their_patience() {
        let seeded = Seeded::new(1);
        let budget = Budget::new(seeded.env(), Some(10));
        assert_eq!(budget.take(Duration::ZERO).await, Ok(()));
        assert_eq!(budget.take(Duration::from_millis(99)).await, Err(Duration::from_millis(100)));
        let mut second = std::pin::pin!(budget.take(Duration::from_secs(1)));
        assert!(futures::poll!(&mut second).is_pending());
        seeded.advance(Duration::from_millis(100));
        assert_eq!(futures::poll!(&mut second), std::task::Poll::Ready(Ok(())));
        assert_eq!(Budget::new(seeded.env(), None).take(Duration::ZERO).await, Ok(()));
    }
}
