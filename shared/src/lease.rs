//! A lease: of several processes, the one that does what need not be done by all.
//!
//! It saves work and guards nothing. Two may hold it for a moment (a server that forgot it, a process that was stopped
//! and goes on), so that what is done under it must be safe to do twice at once, and needs no fence.

pub mod redis;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// Nothing is known of the lease; who held it may hold it no more.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the lease failed: {0}")]
pub struct LeaseError(pub String);

/// Leases by name.
#[async_trait]
pub trait Lease: Send + Sync + 'static {
    /// Takes a lease that is free, or keeps one that is `who`'s, for `term` from now; whether it is `who`'s.
    async fn hold(&self, name: &str, who: &str, term: Duration) -> Result<bool, LeaseError>;
    /// Gives a lease back, if it is `who`'s.
    async fn release(&self, name: &str, who: &str) -> Result<(), LeaseError>;
}

/// Leases that are shared by everything in a process.
pub type SharedLease = Arc<dyn Lease>;

/// The leases of a process that is alone: all are its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

#[async_trait]
impl Lease for Alone {
    async fn hold(&self, _name: &str, _who: &str, _term: Duration) -> Result<bool, LeaseError> {
        Ok(true)
    }

    async fn release(&self, _name: &str, _who: &str) -> Result<(), LeaseError> {
        Ok(())
    }
}
