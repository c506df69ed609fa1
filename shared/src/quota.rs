//! How often somebody may do something, counted by several processes together.
//!
//! The rule is the generic cell rate algorithm (GCRA, ITU-T I.371), as in the crate `governor` that counts within a
//! process: a burst at once, then one in every period. Only one number is kept of each who is counted, the theoretical
//! arrival time, and it goes by itself when they have been quiet for long enough.

use std::time::Duration;

use redis::{RedisError, Script};

use crate::guards::{Guard, in_text};
use crate::redis_server::RedisServer;

/// What every key of a count begins with: `stampede:quota:<kind>:<who>`, a text, the theoretical arrival time in µs.
pub const PREFIX: &str = "stampede:quota:";

/// The guard in the script.
const GUARDED: [(Guard, &str, &str); 1] = [(Guard::SharedQuota, "if allowed_at > now then", "if false then")];

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// At once; at least 1.
    pub burst: u32,
    /// After that, one in every so long.
    pub every: Duration,
}

/// The count could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the limits that processes share cannot be asked: {0}")]
pub struct QuotaError(#[from] RedisError);

/// Counts in Redis, by the server's clock.
pub struct SharedQuotas {
    server: RedisServer,
    take: Script,
}

impl SharedQuotas {
    /// The counts of a server.
    #[must_use]
    pub fn new(server: RedisServer) -> Self {
        Self { server, take: Script::new(&in_text(include_str!("quota/take.lua"), &GUARDED)) }
    }

    /// One more of this kind by this one: `None` when it is allowed, else how long until it will be. What is refused does
    /// not count.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn take(&self, kind: &str, who: &str, quota: Quota) -> Result<Option<Duration>, QuotaError> {
        let micros = u64::try_from(quota.every.as_micros()).unwrap_or(u64::MAX).clamp(1, 1 << 40);
        let mut call = self.take.key(format!("{PREFIX}{kind}:{who}"));
        call.arg(micros).arg(quota.burst.max(1));
        let wait: u64 = call.invoke_async(&mut self.server.commands()).await?;
        Ok((wait > 0).then(|| Duration::from_micros(wait)))
    }
}
