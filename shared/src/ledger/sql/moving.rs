//! Moving the write-ahead log into the database (a checkpoint): beside the work, and not in its way.
//!
//! SQLite by itself lets the COMMIT that made the log too long move all of it, and everybody waits. Here it is moved over
//! a connection of its own, while groups are written; what they have added meanwhile is little, and is moved at the end of
//! a turn, when nobody can add more. Then all of it is moved, and the next group begins the log anew. Of processes that
//! share a file SQLite lets one move it, and tells the others that it is busy.

use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use tokio::sync::Notify;

use super::flush::Flush;
use crate::env::Env;

/// Pages (of 4 KiB) in the log before it is moved. In tests it is moved all the time.
const LONG: u32 = if cfg!(test) { 60 } else { 8_000 };
/// How long to leave it after another process was met at it.
const AGAIN: Duration = Duration::from_millis(100);

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is nothing to do yet.
    Short,
    /// The log is long.
    Long,
    /// Most of it is moved.
    Moved,
}

/// Moves the log of a database.
pub(super) struct Moving {
    /// A connection that nobody else uses; `None` for a database that has no such log.
    db: Option<DatabaseConnection>,
    flush: Flush,
    env: Env,
    stage: Mutex<Stage>,
    is_long: Notify,
}

impl Moving {
    pub(super) fn new(db: Option<DatabaseConnection>, flush: Flush, env: Env) -> Self {
        Self { db, flush, env, stage: Mutex::new(Stage::Short), is_long: Notify::new() }
    }

    /// Moves most of the log whenever it is long.
    pub(super) async fn run(&self) {
        let Some(db) = &self.db else { return std::future::pending().await };
        loop {
            self.is_long.notified().await;
            let moved = move_log(db).await;
            if !moved {
                self.env.sleep(AGAIN).await;
            }
            *self.stage.lock() = if moved { Stage::Moved } else { Stage::Short };
        }
    }

    /// Called by the writer with its connection after a COMMIT, as long as it has its turn.
    pub(super) async fn after_commit(&self, writer: &DatabaseConnection) {
        let stage = *self.stage.lock();
        match stage {
            Stage::Short if self.flush.pages().is_some_and(|pages| pages >= LONG) => {
                *self.stage.lock() = Stage::Long;
                self.is_long.notify_one();
            }
            Stage::Moved => {
                move_log(writer).await;
                *self.stage.lock() = Stage::Short;
            }
            Stage::Short | Stage::Long => {}
        }
    }
}

/// Moves what is in the log now; `false` if somebody else is at it, or it failed, as it may: the log only gets longer.
async fn move_log(db: &DatabaseConnection) -> bool {
    let statement = Statement::from_string(db.get_database_backend(), "PRAGMA wal_checkpoint(PASSIVE)");
    let busy = async { db.query_one_raw(statement).await?.map_or(Ok(1), |row| row.try_get_by_index::<i64>(0)) };
    let busy: Result<i64, DbErr> = busy.await;
    match busy {
        Ok(busy) => busy == 0,
        Err(error) => {
            tracing::warn!(%error, "the ledger's log could not be moved into its database");
            false
        }
    }
}
