//! Leases in Redis: a key that expires by itself, under the name of whoever holds it.

use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::{Lease, LeaseError};
use crate::redis_server::RedisServer;

/// What every key of a lease begins with; the lease's name follows.
pub const PREFIX: &str = "stampede:lease:";

/// Leases in Redis.
pub struct RedisLease {
    server: RedisServer,
    hold: Script,
    release: Script,
}

impl RedisLease {
    /// The leases that this server has.
    #[must_use]
    pub fn new(server: RedisServer) -> Self {
        let (hold, release) = (include_str!("redis/hold.lua"), include_str!("redis/release.lua"));
        Self { server, hold: Script::new(hold), release: Script::new(release) }
    }
}

#[async_trait]
impl Lease for RedisLease {
    async fn hold(&self, name: &str, who: &str, term: Duration) -> Result<bool, LeaseError> {
        let mut call = self.hold.key(format!("{PREFIX}{name}"));
        call.arg(who).arg(u64::try_from(term.as_millis()).unwrap_or(u64::MAX));
        let held: i64 = call.invoke_async(&mut self.server.commands()).await.map_err(failed)?;
        Ok(held == 1)
    }

    async fn release(&self, name: &str, who: &str) -> Result<(), LeaseError> {
        let mut call = self.release.key(format!("{PREFIX}{name}"));
        call.arg(who).invoke_async::<()>(&mut self.server.commands()).await.map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failed(error: redis::RedisError) -> LeaseError {
    LeaseError(error.to_string())
}
