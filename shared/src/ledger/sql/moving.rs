//! Moving the write-ahead log into the database (a checkpoint): beside the work, and not in its way.
//!
//! SQLite by itself lets the COMMIT that made the log too long move all of it, and everybody waits. Here it is moved over
//! a connection of its own, while groups are written; what they have added meanwhile is little, and is moved at the end of
//! a turn, when nobody can add more. Then all of it is moved, and the next group begins the log anew. Of processes that
//! share a file SQLite lets one move it, and tells the others that it is busy.

use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement};
use tokio::sync::Notify;

use super::database::Database;
use crate::env::Env;

/// Operations of this process in the log before it is moved: each changes about four pages (of 4 KiB). In tests it is
/// moved all the time.
const LONG: usize = if cfg!(test) { 20 } else { 2_000 };
/// Moves what is in the log now.
const MOVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// How long to leave it after another process was met at it.
const AGAIN: Duration = Duration::from_millis(100);

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is nothing to do yet; so many operations are in it.
    Short(usize),
    /// The log is long.
    Long,
    /// Most of it is moved.
    Moved,
}

/// Moves the log of a database.
pub(super) struct Moving {
    /// A connection that nobody else uses; `None` for a database that has no such log.
    db: Option<DatabaseConnection>,
    env: Env,
    stage: Mutex<Stage>,
    is_long: Notify,
}

impl Moving {
    pub(super) fn new(db: Option<DatabaseConnection>, env: Env) -> Self {
        Self { db, env, stage: Mutex::new(Stage::Short(0)), is_long: Notify::new() }
    }

    /// Moves most of the log whenever it is long.
    pub(super) async fn run(&self) {
        let Some(db) = &self.db else { return std::future::pending().await };
        loop {
            self.is_long.notified().await;
            let statement = Statement::from_string(DbBackend::Sqlite, MOVE);
            let moved = has_moved(db.query_one_raw(statement).await.map(|row| row.is_some_and(|row| is_idle(&row))));
            if !moved {
                self.env.sleep(AGAIN).await;
            }
            *self.stage.lock() = if moved { Stage::Moved } else { Stage::Short(0) };
        }
    }

    /// Called by the writer with its connection after a COMMIT of so many operations, as long as it has its turn.
    pub(super) fn after_commit(&self, writer: &Database, operations: usize) {
        let stage = {
            let mut stage = self.stage.lock();
            if let Stage::Short(before) = *stage {
                *stage = if before + operations < LONG { Stage::Short(before + operations) } else { Stage::Long };
                if *stage == Stage::Long {
                    self.is_long.notify_one();
                }
            }
            *stage
        };
        if let (Stage::Moved, Database::Sqlite(writer)) = (stage, writer) {
            has_moved(writer.query(MOVE, std::iter::once(Vec::new()), |_| Ok(())).map(|_| true));
            *self.stage.lock() = Stage::Short(0);
        }
    }
}

/// Whether the log was moved, as far as nobody needs it. It may fail: the log only gets longer.
fn has_moved(moved: Result<bool, DbErr>) -> bool {
    moved.unwrap_or_else(|error| {
        tracing::warn!(%error, "the ledger's log could not be moved into its database");
        false
    })
}

/// Whether nobody else is moving it.
fn is_idle(row: &QueryResult) -> bool {
    row.try_get_by_index::<i64>(0).is_ok_and(|busy| busy == 0)
}
