//! The ledger in SQL: SQLite on one host, PostgreSQL for more, from one set of entities and migrations.
//!
//! # What a write is
//!
//! Callers hand their operations to one writer, which makes many of them durable in one transaction: a disk
//! that can wait for a few hundred flushes a second then carries tens of thousands of orders. Within it the rows
//! that the group speaks of are loaded into a [`Book`](super::book::Book), which decides in order of arrival; what it
//! changed is stored under guards of the database's own. An answer is sent when its transaction is on disk, never
//! before. What happens when something fails on the way, the writer's module tells.
//!
//! Several ledgers may work on one database: processes of one host on a SQLite file, which take turns, or processes of
//! many hosts on PostgreSQL, where a group locks its sales by slug and its orders by id.
//!
//! # The guards
//!
//! | what must not happen | guard |
//! | --- | --- |
//! | overselling | `committed = committed + n … BETWEEN 0 AND capacity`, and a check of the table |
//! | two orders from one hold, or one order twice | unique; an insert that finds a row counts as not written |
//! | a change on top of a state that is no more | compare-and-set on the order's version |
//! | a token charged twice | unique per order |
//! | tickets issued twice | unique per order and place |
//! | more given back than was paid | a check of the table; one refund per request and per refund of Stripe's, unique |
//! | history rewritten | triggers on the audit trail |
//!
//! A guard that fires means that something else was wrong: it is counted (`ledger_guard_fired_total`).

mod clock;
mod database;
mod entities;
mod failure;
mod group;
mod image;
mod load;
mod member;
mod migrations;
mod moving;
mod open;
mod read;
mod readers;
mod rows;
mod sqlite;
mod statements;
mod store;
mod taken;
mod turns;
mod writer;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use parking_lot::Mutex;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel, Statement, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use self::clock::Clock;
use self::failure::Failure;
use self::group::Desk;
use self::member::{Ask, Claim, Mark, Member, NewEpoch, Reply, Steering};
use self::moving::Moving;
use self::readers::{Readers, Turn};
use self::taken::Taken;
use self::turns::Turns;
use super::book::Terms;
use super::{
    Accept, Accepted, Applied, AuditEntry, Change, Claimed, Committed, Control, Controlled, Created, Image, InboxEvent,
    Ledger, LedgerError, Left, OutboxEntry, Prepare, Refund, RefundAsked, RefundNews, RefundRequest, Returned,
    SaleCounters, SeenRefund, StoredEvent, Unmatched, Word,
};
use crate::env::{Env, Timestamp};
use crate::order::{Attempt, Order};
use crate::sale::Sale;

/// The ledger in SQL.
pub struct SqlLedger {
    env: Env,
    clock: Clock,
    readers: Readers,
    taken: Taken,
    /// The way to the writer; taken out by [`Self::close`].
    writer: Mutex<Option<mpsc::Sender<Member>>>,
    /// Told when the writer has ended, and who reads what was claimed, to be waited for by [`Self::close`].
    working: Mutex<Vec<oneshot::Receiver<()>>>,
    #[cfg(test)]
    faults: tests::Faults,
}

impl SqlLedger {
    /// Opens the ledger at an address: `sqlite://path?mode=rwc` or `postgres://user:password@host:port/database`.
    ///
    /// A SQLite file is made and brought up to date by itself. A PostgreSQL database is not, since other processes
    /// may be using it: [`Self::migrate`] does that, once, before they start.
    ///
    /// # Errors
    /// A sentence that says which database could not be opened and why, without its password; for PostgreSQL also
    /// when migrations are missing.
    pub async fn connect(url: &str, env: Env, terms: Terms) -> Result<Self, LedgerError> {
        let opened = open::open(url).await?;
        let clock = Clock::default();
        clock.compare(&opened.writer, &env).await?;
        let (writer, asked) = mpsc::channel(writer::MOST_WAITING);
        let turns = opened.file.as_deref().map(|file| Turns::at(file, env.clone())).transpose();
        let turns = turns.map_err(|error| LedgerError(format!("a file next to it cannot be made: {error}")))?;
        let moving = Moving::new(opened.mover, env.clone());
        #[cfg(test)]
        let faults = tests::Faults::default();
        let desk = Desk {
            db: opened.writer,
            env: env.clone(),
            clock: clock.clone(),
            terms,
            turns,
            moving,
            #[cfg(test)]
            faults: faults.clone(),
        };
        let writing = on_a_thread("ledger-writer", writer::run(desk, asked))?;
        let (taken, looking) = Taken::new(opened.looker);
        let looking = on_a_thread("ledger-reader", looking)?;
        Ok(Self {
            readers: Readers::new(opened.readers, env.clone()),
            taken,
            env,
            clock,
            writer: Mutex::new(Some(writer)),
            working: Mutex::new(vec![writing, looking]),
            #[cfg(test)]
            faults,
        })
    }

    /// Brings the schema at an address up to date; repeats change nothing.
    ///
    /// # Errors
    /// A sentence that says which database and why, without its password.
    pub async fn migrate(url: &str) -> Result<(), LedgerError> {
        open::migrate(url).await
    }

    /// Takes no more writes, waits for those that were asked for, and closes the connections.
    pub async fn close(&self) {
        self.writer.lock().take();
        self.taken.close();
        let working = std::mem::take(&mut *self.working.lock());
        for ended in working {
            if let Err(error) = ended.await {
                tracing::error!(%error, "a thread of the ledger broke off");
            }
        }
        if let Err(error) = self.readers.close().await {
            tracing::warn!(%error, "a connection to the ledger was not closed in order");
        }
    }

    /// Asks the writer, and waits until its answer is durable.
    async fn ask<A>(&self, member: Member, reply: Reply<A>) -> Result<A, LedgerError> {
        let closed = || LedgerError("it is closed; nothing was written".to_owned());
        let writer = self.writer.lock().clone().ok_or_else(closed)?;
        writer.send(member).await.map_err(|_| closed())?;
        drop(writer);
        reply.await.map_err(|_| LedgerError("its writer broke off; what was written is unknown".to_owned()))?
    }

    /// A transaction that shows one state of the ledger to all its statements.
    async fn one_state(turn: &Turn<'_>) -> Result<DatabaseTransaction, Failure> {
        let options = match turn.get_database_backend() {
            DbBackend::Postgres => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
            // A SQLite transaction shows one state from its first statement on.
            _ => TransactionOptions::default(),
        };
        Ok(turn.begin_with_options(options).await?)
    }

    async fn mark(&self, mark: Mark) -> Result<u64, LedgerError> {
        let (ask, reply) = Ask::new(mark);
        self.ask(Member::Mark(ask), reply).await
    }
}

/// Runs the writer, or who reads what was claimed; both end when the ledger is dropped or closed.
///
/// On a thread of its own each: a group is a few dozen statements, one after the other, and each answer of the database would
/// have to wait among all that the crowd has made ready to run, with everybody else waiting for the group.
fn on_a_thread(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<oneshot::Receiver<()>, LedgerError> {
    let runtime = tokio::runtime::Handle::current();
    let (ended, working) = oneshot::channel();
    let run = move || {
        runtime.block_on(work);
        // Most often nobody asks.
        let _ = ended.send(());
    };
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|error| LedgerError(format!("there is no thread for it: {error}")))?;
    Ok(working)
}

#[async_trait]
impl Ledger for SqlLedger {
    fn now(&self) -> Timestamp {
        self.clock.now(&self.env)
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        let turn = self.readers.turn().await?;
        let read = Statement::from_string(turn.get_database_backend(), "SELECT 1");
        turn.query_one_raw(read).await.map_err(Failure::from)?;
        drop(turn);
        self.mark(Mark::Ping).await.map(drop)
    }

    async fn accept(&self, accept: Accept) -> Result<Accepted, LedgerError> {
        if [&accept.name, &accept.email, &accept.token, &accept.sale].iter().any(|text| text.contains('\0')) {
            // PostgreSQL cannot keep it. Refused here, it does not cost a whole group its transaction.
            return Err(LedgerError("a text with a NUL character cannot be kept; nothing was written".to_owned()));
        }
        let (ask, reply) = Ask::new(accept);
        self.ask(Member::Accept(ask), reply).await
    }

    async fn claim(&self, order: Uuid, attempt: u32, prepare: Prepare) -> Result<Claimed, LedgerError> {
        if let Some(claimed) = self.taken.look(order, attempt, prepare).await {
            return Ok(claimed);
        }
        let (ask, reply) = Ask::new(Claim { order, attempt, prepare });
        self.ask(Member::Claim(ask), reply).await
    }

    async fn apply(&self, order: Uuid, change: Change) -> Result<Applied, LedgerError> {
        let (ask, reply) = Ask::new((order, change));
        self.ask(Member::Apply(ask), reply).await
    }

    async fn order(&self, id: Uuid) -> Result<Option<Order>, LedgerError> {
        Ok(read::orders(&*self.readers.turn().await?, &[id], false).await?.pop())
    }

    async fn orders(&self, ids: &[Uuid]) -> Result<Vec<Order>, LedgerError> {
        let mut found = read::orders(&*self.readers.turn().await?, ids, false).await?;
        // In the order in which they were asked for.
        let place: std::collections::HashMap<Uuid, usize> = ids.iter().copied().zip(0..).collect();
        found.sort_by_key(|order| place.get(&order.id).copied());
        Ok(found)
    }

    async fn orders_of(&self, customers: &[Uuid], most: u32) -> Result<Vec<Order>, LedgerError> {
        Ok(read::orders_of(&*self.readers.turn().await?, customers, most).await?)
    }

    async fn order_ids(&self, sale: &str, most: u32) -> Result<Vec<Uuid>, LedgerError> {
        Ok(read::order_ids(&*self.readers.turn().await?, sale, most).await?)
    }

    async fn attempt(&self, order: Uuid, number: u32) -> Result<Option<Attempt>, LedgerError> {
        Ok(read::attempt(&*self.readers.turn().await?, order, number).await?)
    }

    async fn left(&self, what: Left, most: u32) -> Result<Vec<Order>, LedgerError> {
        Ok(read::left(&*self.readers.turn().await?, what, self.now(), most).await?)
    }

    async fn audit(&self, order: Uuid) -> Result<Vec<AuditEntry>, LedgerError> {
        Ok(read::audit(&*self.readers.turn().await?, order).await?)
    }

    async fn create_sale(&self, sale: Sale) -> Result<Created, LedgerError> {
        let (ask, reply) = Ask::new(sale);
        self.ask(Member::Create(ask), reply).await
    }

    async fn sales(&self) -> Result<Vec<Sale>, LedgerError> {
        Ok(read::sales(&*self.readers.turn().await?).await?)
    }

    async fn control(&self, sale: &str, control: Control, word: &Word) -> Result<Controlled, LedgerError> {
        let (ask, reply) = Ask::new(Steering { sale: sale.to_owned(), control, word: word.clone() });
        self.ask(Member::Control(ask), reply).await
    }

    async fn counters(&self, sale: &str) -> Result<Option<SaleCounters>, LedgerError> {
        Ok(read::counters(&*self.readers.turn().await?, sale).await?)
    }

    async fn committed(&self, sale: &str) -> Result<Option<Committed>, LedgerError> {
        let turn = self.readers.turn().await?;
        let tx = Self::one_state(&turn).await?;
        let committed = read::committed(&tx, sale).await?;
        tx.rollback().await.map_err(Failure::from)?;
        Ok(committed)
    }

    async fn begin_epoch(&self, sale: &str, stock_run: &str) -> Result<Option<Image>, LedgerError> {
        let (ask, reply) = Ask::new(NewEpoch { sale: sale.to_owned(), stock_run: stock_run.to_owned() });
        self.ask(Member::Epoch(ask), reply).await
    }

    async fn image(&self, sale: &str) -> Result<Option<Image>, LedgerError> {
        let turn = self.readers.turn().await?;
        let tx = Self::one_state(&turn).await?;
        let image = image::read(&tx, sale).await?;
        tx.rollback().await.map_err(Failure::from)?;
        Ok(image)
    }

    async fn store_events(&self, events: Vec<InboxEvent>) -> Result<Vec<bool>, LedgerError> {
        let (ask, reply) = Ask::new(events);
        self.ask(Member::Events(ask), reply).await
    }

    async fn unhandled_events(&self, most: u32) -> Result<Vec<InboxEvent>, LedgerError> {
        Ok(read::unhandled_events(&*self.readers.turn().await?, most).await?)
    }

    async fn event(&self, id: &str) -> Result<Option<StoredEvent>, LedgerError> {
        Ok(read::event(&*self.readers.turn().await?, id).await?)
    }

    async fn event_handled(&self, id: &str) -> Result<(), LedgerError> {
        self.mark(Mark::EventHandled { id: id.to_owned(), is: true }).await.map(drop)
    }

    async fn event_again(&self, id: &str) -> Result<(), LedgerError> {
        self.mark(Mark::EventHandled { id: id.to_owned(), is: false }).await.map(drop)
    }

    async fn prune_events(&self, before: Timestamp, most: u32) -> Result<u64, LedgerError> {
        self.mark(Mark::Prune { before, most }).await
    }

    async fn bookmark(&self, name: &str) -> Result<Option<String>, LedgerError> {
        Ok(read::bookmark(&*self.readers.turn().await?, name).await?)
    }

    async fn set_bookmark(&self, name: &str, place: &str) -> Result<(), LedgerError> {
        self.mark(Mark::Bookmark { name: name.to_owned(), place: place.to_owned() }).await.map(drop)
    }

    async fn paid(&self, after: (Timestamp, Uuid), until: Timestamp, most: u32) -> Result<Vec<Order>, LedgerError> {
        Ok(read::paid(&*self.readers.turn().await?, after, until, most).await?)
    }

    async fn note_unmatched(&self, unmatched: Unmatched) -> Result<(), LedgerError> {
        self.mark(Mark::Unmatched(unmatched)).await.map(drop)
    }

    async fn matched(&self, payment_intent: &str) -> Result<(), LedgerError> {
        self.mark(Mark::Matched(payment_intent.to_owned())).await.map(drop)
    }

    async fn unmatched(&self, most: u32) -> Result<Vec<Unmatched>, LedgerError> {
        Ok(read::unmatched(&*self.readers.turn().await?, most).await?)
    }

    async fn outbox(&self, most: u32) -> Result<Vec<OutboxEntry>, LedgerError> {
        Ok(read::outbox(&*self.readers.turn().await?, most).await?)
    }

    async fn outbox_done(&self, id: Uuid) -> Result<(), LedgerError> {
        self.mark(Mark::OutboxDone(id)).await.map(drop)
    }

    async fn request_refund(&self, asked: RefundRequest) -> Result<RefundAsked, LedgerError> {
        if asked.note.as_ref().is_some_and(|note| note.contains('\0')) {
            return Err(LedgerError("a text with a NUL character cannot be kept; nothing was written".to_owned()));
        }
        let (ask, reply) = Ask::new(asked);
        self.ask(Member::Refund(ask), reply).await
    }

    async fn record_refund(&self, order: Uuid, news: RefundNews) -> Result<Applied, LedgerError> {
        let (ask, reply) = Ask::new((order, news));
        self.ask(Member::News(ask), reply).await
    }

    async fn see_refund(&self, order: Uuid, seen: SeenRefund) -> Result<Applied, LedgerError> {
        let (ask, reply) = Ask::new((order, seen));
        self.ask(Member::Seen(ask), reply).await
    }

    async fn refunds_of(&self, order: Uuid) -> Result<Vec<Refund>, LedgerError> {
        Ok(read::refunds_of(&*self.readers.turn().await?, order).await?)
    }

    async fn due_refunds(&self, most: u32) -> Result<Vec<Refund>, LedgerError> {
        Ok(read::due_refunds(&*self.readers.turn().await?, self.now(), most).await?)
    }

    async fn returned(&self) -> Result<Vec<Returned>, LedgerError> {
        Ok(read::returned(&*self.readers.turn().await?).await?)
    }
}
