//! The connections that read, and whose turn it is.
//!
//! A pool alone has one deadline for two things: to wait for one's turn, and to make a connection where one was lost.
//! Under a crowd whoever gets a turn has waited for most of that time; what is left is too short to connect, the next
//! one fares no better, and a ledger that has lost its connections never gets them back while the crowd keeps asking.
//! So there are no more turns than connections, and who has one has all the time that a connection takes.

use std::ops::Deref;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::open::READERS;
use crate::env::Env;
use crate::ledger::LedgerError;

/// How long to wait for a turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// The connections that read.
pub(super) struct Readers {
    pool: DatabaseConnection,
    turns: Semaphore,
    env: Env,
}

/// One of them, for a few statements in a row.
pub(super) struct Turn<'a> {
    pool: &'a DatabaseConnection,
    _turn: SemaphorePermit<'a>,
}

impl Readers {
    pub(super) fn new(pool: DatabaseConnection, env: Env) -> Self {
        Self { pool, turns: Semaphore::new(READERS as usize), env }
    }

    /// A turn; while it lasts, no other may be asked for by the same caller.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, LedgerError> {
        match self.env.timeout(TURN_WITHIN, self.turns.acquire()).await {
            Some(Ok(turn)) => Ok(Turn { pool: &self.pool, _turn: turn }),
            Some(Err(_)) => Err(LedgerError("it is closed".to_owned())),
            None => Err(LedgerError("too many want to read it at once".to_owned())),
        }
    }

    pub(super) async fn close(&self) -> Result<(), DbErr> {
        self.pool.close_by_ref().await
    }
}

impl Deref for Turn<'_> {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        self.pool
    }
}
