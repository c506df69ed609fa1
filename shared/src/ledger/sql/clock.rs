//! The ledger's clock: the one that every deadline of an order belongs to.
//!
//! With SQLite every process is on one host and reads its clock. With PostgreSQL the processes may be on many hosts,
//! so the database's clock counts: it is compared with ours now and then, and asked for by adding the difference.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::database::Database;
use super::failure::Failure;
use crate::env::{Env, Timestamp};

/// How long a comparison is good for.
pub(super) const COMPARED_EVERY: Duration = Duration::from_secs(10);

/// By how many milliseconds the ledger's clock is ahead of ours. Written by the writer, read by everybody.
#[derive(Clone, Default)]
pub(super) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(super) fn now(&self, env: &Env) -> Timestamp {
        Timestamp(env.now().0.saturating_add(self.0.load(Ordering::Relaxed)))
    }

    /// Compares the clocks: the database's answer is taken to belong to the middle of the question's way.
    pub(super) async fn compare(&self, db: &Database, env: &Env) -> Result<(), Failure> {
        let Database::Postgres(db) = db else { return Ok(()) };
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
        let asked = env.now().0;
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        let answered = env.now().0;
        if let Some(row) = row {
            let theirs: i64 = row.try_get_by_index(0)?;
            self.0.store(theirs - (asked + (answered - asked) / 2), Ordering::Relaxed);
        }
        Ok(())
    }
}
