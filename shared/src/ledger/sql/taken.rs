//! Attempts that were claimed when they were accepted: the worker that sends one needs its request, and changes nothing.
//!
//! So it is not the writer that is asked, for whose turn and whose disk everybody waits, but a connection that reads; by
//! all who ask at the same time together. What it does not find claimed goes the writer's way.

use std::collections::HashMap;

use parking_lot::Mutex;
use sea_orm::EntityTrait as _;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::database::{Database, Reads, reading};
use super::entities::attempts;
use super::failure::Failure;
use super::{read, rows};
use crate::ledger::book::taken_before;
use crate::ledger::{Claimed, LedgerError, Prepare};
use crate::order::{Attempt, Order};

/// Questions of one reading at most, and those that may wait; who finds no place asks the writer.
const MOST_TOGETHER: usize = 256;
const MOST_WAITING: usize = 4_096;

struct Question {
    order: Uuid,
    attempt: u32,
    prepare: Prepare,
    reply: oneshot::Sender<Option<Claimed>>,
}

/// The way to whoever reads; taken out by [`Self::close`].
pub(super) struct Taken(Mutex<Option<mpsc::Sender<Question>>>);

impl Taken {
    /// The way there, and what is to run at its end for as long as anybody may ask.
    pub(super) fn new(db: Database) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (asking, asked) = mpsc::channel(MOST_WAITING);
        (Self(Mutex::new(Some(asking))), answer(db, asked))
    }

    /// The attempt, if it was claimed before.
    pub(super) async fn look(&self, order: Uuid, attempt: u32, prepare: Prepare) -> Option<Claimed> {
        let (reply, answer) = oneshot::channel();
        self.0.lock().as_ref()?.try_send(Question { order, attempt, prepare, reply }).ok()?;
        answer.await.ok()?
    }

    /// Nobody asks any more.
    pub(super) fn close(&self) {
        self.0.lock().take();
    }
}

async fn answer(db: Database, mut asked: mpsc::Receiver<Question>) {
    while let Some(first) = asked.recv().await {
        let mut together = vec![first];
        while together.len() < MOST_TOGETHER
            && let Ok(question) = asked.try_recv()
        {
            together.push(question);
        }
        let ids: Vec<Uuid> = together.iter().map(|question| question.order).collect();
        let found = read(&db, &ids).await;
        let (orders, attempts) = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "claimed attempts could not be read; the ledger's writer is asked");
            Found::default()
        });
        for Question { order, attempt, prepare, reply } in together {
            let attempt = attempts.get(&(order, attempt)).map(|found| (attempt, found));
            let taken = orders.get(&order).zip(attempt);
            // A caller that has gone away no longer minds.
            let _ = reply.send(taken.and_then(|(order, (n, found))| taken_before(order, Some(found), n, prepare)));
        }
    }
}

/// Orders, and all of their attempts.
type Found = (HashMap<Uuid, Order>, HashMap<(Uuid, u32), Attempt>);

async fn read(db: &Database, ids: &[Uuid]) -> Result<Found, LedgerError> {
    match db {
        Database::Sqlite(db) => Ok(found(&reading(db).map_err(Failure::from)?, ids).await?),
        Database::Postgres(db) => Ok(found(db, ids).await?),
    }
}

async fn found<C: Reads>(db: &C, ids: &[Uuid]) -> Result<Found, Failure> {
    let orders = read::orders(db, ids, false).await?;
    let attempts = db.all_of(attempts::Entity::find(), attempts::Column::OrderId, ids.to_vec()).await?;
    let attempts: Result<Vec<Attempt>, _> = attempts.into_iter().map(rows::attempt).collect();
    let attempts = attempts?.into_iter().map(|attempt| ((attempt.order, attempt.number), attempt)).collect();
    Ok((orders.into_iter().map(|order| (order.id, order)).collect(), attempts))
}
