//! Ledger, stock, queue and rooms that fail, stop or are cut off at a chosen call, before or after its effect.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::poll_fn;
use parking_lot::Mutex;
use shared::env::{Env, Timestamp};
use shared::ledger::{
    Accept, Accepted, Applied, AuditEntry, Change, Claimed, Committed, Control, Controlled, Created, Image, InboxEvent,
    Ledger, LedgerError, Left, OutboxEntry, Prepare, Refund, RefundAsked, RefundNews, RefundRequest, Returned,
    SaleCounters, SeenRefund, StoredEvent, Unmatched, Word,
};
use shared::order::{Attempt, Order};
use shared::queue::{DeadJob, Delivery, Finish, Gauges, Lease, NewJob, Pushed, Queue, QueueError};
use shared::rooms::{Envelope, Rooms, RoomsError, Subscription};
use shared::sale::Sale;
use shared::stock::{
    Exhausted, Freed, Hold, Levels, LonePin, Pinned, Reserve, Reserved, Settlement, Stock, StockError,
};
use std::task::Poll;
use std::time::Duration;
use uuid::Uuid;

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It works.
    Fine,
    /// It fails, and nothing was done.
    FailsBefore,
    /// It is done, but its answer is lost.
    FailsAfter,
    /// The caller stops before it; dropped there, it was killed.
    StopsBefore,
    /// The caller stops when it is done.
    StopsAfter,
}

/// Decides the fate of every call: by script, else by chance.
pub(super) struct Faults {
    env: Env,
    script: Mutex<VecDeque<(&'static str, Fate)>>,
    /// Calls in a thousand that fail, and that stop.
    rates: Mutex<(u64, u64)>,
}

impl Faults {
    pub(super) fn new(env: Env) -> Arc<Self> {
        Arc::new(Self { env, script: Mutex::default(), rates: Mutex::new((0, 0)) })
    }

    /// The next call of this name meets this fate.
    pub(super) fn next(&self, call: &'static str, fate: Fate) {
        self.script.lock().push_back((call, fate));
    }

    /// So many calls in a thousand fail, and so many stop.
    pub(super) fn by_chance(&self, fail: u64, stop: u64) {
        *self.rates.lock() = (fail, stop);
    }

    /// What was scripted and has not happened never will.
    pub(super) fn forget(&self) {
        self.script.lock().clear();
    }

    /// Whether everything that was scripted has happened.
    pub(super) fn all_happened(&self) -> bool {
        self.script.lock().is_empty()
    }

    fn fate(&self, call: &str) -> Fate {
        let mut script = self.script.lock();
        if let Some(place) = script.iter().position(|(name, _)| *name == call) {
            return script.remove(place).map_or(Fate::Fine, |(_, fate)| fate);
        }
        let (fail, stop) = *self.rates.lock();
        if fail + stop == 0 {
            return Fate::Fine;
        }
        let dice = self.env.random_u64();
        let after = dice & (1 << 40) != 0;
        match dice % 1_000 {
            n if n < fail => [Fate::FailsBefore, Fate::FailsAfter][usize::from(after)],
            n if n < fail + stop => [Fate::StopsBefore, Fate::StopsAfter][usize::from(after)],
            _ => Fate::Fine,
        }
    }

    pub(super) async fn around<T, E>(
        &self,
        call: &'static str,
        error: impl FnOnce() -> E + Send,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        match self.fate(call) {
            Fate::Fine => work.await,
            Fate::FailsBefore => Err(error()),
            Fate::FailsAfter => {
                work.await?;
                Err(error())
            }
            Fate::StopsBefore => {
                stop().await;
                work.await
            }
            Fate::StopsAfter => {
                let done = work.await;
                stop().await;
                done
            }
        }
    }
}

impl Faults {
    /// A call that never fails, though its caller may stop at it.
    pub(super) async fn stopping<T>(&self, call: &'static str, work: impl Future<Output = T> + Send) -> T {
        let fate = self.fate(call);
        if fate == Fate::StopsBefore {
            stop().await;
        }
        let done = work.await;
        if fate == Fate::StopsAfter {
            stop().await;
        }
        done
    }
}

/// Pending once.
async fn stop() {
    let mut stopped = false;
    poll_fn(move |_| if std::mem::replace(&mut stopped, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// A part with faults around every call.
pub(super) struct Flaky<P> {
    pub(super) inner: P,
    pub(super) faults: Arc<Faults>,
}

macro_rules! around {
    ($self:ident, $call:ident($($arg:expr),*)) => {
        $self.faults.around(stringify!($call), broken, $self.inner.$call($($arg),*)).await
    };
}

trait Broken {
    fn broken() -> Self;
}

fn broken<E: Broken>() -> E {
    E::broken()
}

impl Broken for LedgerError {
    fn broken() -> Self {
        Self("the disk is away".into())
    }
}

impl Broken for StockError {
    fn broken() -> Self {
        Self("no connection".into())
    }
}

impl Broken for RoomsError {
    fn broken() -> Self {
        Self("no connection".into())
    }
}

impl Broken for QueueError {
    fn broken() -> Self {
        Self::Store("no connection".into())
    }
}

#[async_trait]
impl<L: Ledger> Ledger for Flaky<Arc<L>> {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }
    async fn ping(&self) -> Result<(), LedgerError> {
        around!(self, ping())
    }
    async fn accept(&self, accept: Accept) -> Result<Accepted, LedgerError> {
        around!(self, accept(accept))
    }
    async fn claim(&self, order: Uuid, attempt: u32, prepare: Prepare) -> Result<Claimed, LedgerError> {
        around!(self, claim(order, attempt, prepare))
    }
    async fn apply(&self, order: Uuid, change: Change) -> Result<Applied, LedgerError> {
        around!(self, apply(order, change))
    }
    async fn order(&self, id: Uuid) -> Result<Option<Order>, LedgerError> {
        around!(self, order(id))
    }
    async fn orders(&self, ids: &[Uuid]) -> Result<Vec<Order>, LedgerError> {
        around!(self, orders(ids))
    }
    async fn orders_of(&self, customers: &[Uuid], most: u32) -> Result<Vec<Order>, LedgerError> {
        around!(self, orders_of(customers, most))
    }
    async fn order_ids(&self, sale: &str, most: u32) -> Result<Vec<Uuid>, LedgerError> {
        around!(self, order_ids(sale, most))
    }
    async fn attempt(&self, order: Uuid, number: u32) -> Result<Option<Attempt>, LedgerError> {
        around!(self, attempt(order, number))
    }
    async fn left(&self, what: Left, most: u32) -> Result<Vec<Order>, LedgerError> {
        around!(self, left(what, most))
    }
    async fn audit(&self, order: Uuid) -> Result<Vec<AuditEntry>, LedgerError> {
        around!(self, audit(order))
    }
    async fn create_sale(&self, sale: Sale) -> Result<Created, LedgerError> {
        around!(self, create_sale(sale))
    }
    async fn sales(&self) -> Result<Vec<Sale>, LedgerError> {
        around!(self, sales())
    }
    async fn control(&self, sale: &str, control: Control, word: &Word) -> Result<Controlled, LedgerError> {
        around!(self, control(sale, control, word))
    }
    async fn counters(&self, sale: &str) -> Result<Option<SaleCounters>, LedgerError> {
        around!(self, counters(sale))
    }
    async fn begin_epoch(&self, sale: &str, stock_run: &str) -> Result<Option<Image>, LedgerError> {
        around!(self, begin_epoch(sale, stock_run))
    }
    async fn image(&self, sale: &str) -> Result<Option<Image>, LedgerError> {
        around!(self, image(sale))
    }
    async fn store_events(&self, events: Vec<InboxEvent>) -> Result<Vec<bool>, LedgerError> {
        around!(self, store_events(events))
    }
    async fn unhandled_events(&self, most: u32) -> Result<Vec<InboxEvent>, LedgerError> {
        around!(self, unhandled_events(most))
    }
    async fn event(&self, id: &str) -> Result<Option<StoredEvent>, LedgerError> {
        around!(self, event(id))
    }
    async fn event_again(&self, id: &str) -> Result<(), LedgerError> {
        around!(self, event_again(id))
    }
    async fn event_handled(&self, id: &str) -> Result<(), LedgerError> {
        around!(self, event_handled(id))
    }
    async fn prune_events(&self, before: Timestamp, most: u32) -> Result<u64, LedgerError> {
        around!(self, prune_events(before, most))
    }
    async fn bookmark(&self, name: &str) -> Result<Option<String>, LedgerError> {
        around!(self, bookmark(name))
    }
    async fn set_bookmark(&self, name: &str, place: &str) -> Result<(), LedgerError> {
        around!(self, set_bookmark(name, place))
    }
    async fn paid(&self, after: (Timestamp, Uuid), until: Timestamp, most: u32) -> Result<Vec<Order>, LedgerError> {
        around!(self, paid(after, until, most))
    }
    async fn note_unmatched(&self, unmatched: Unmatched) -> Result<(), LedgerError> {
        around!(self, note_unmatched(unmatched))
    }
    async fn matched(&self, payment_intent: &str) -> Result<(), LedgerError> {
        around!(self, matched(payment_intent))
    }
    async fn unmatched(&self, most: u32) -> Result<Vec<Unmatched>, LedgerError> {
        around!(self, unmatched(most))
    }
    async fn committed(&self, sale: &str) -> Result<Option<Committed>, LedgerError> {
        around!(self, committed(sale))
    }
    async fn outbox(&self, most: u32) -> Result<Vec<OutboxEntry>, LedgerError> {
        around!(self, outbox(most))
    }
    async fn outbox_done(&self, id: Uuid) -> Result<(), LedgerError> {
        around!(self, outbox_done(id))
    }
    async fn request_refund(&self, asked: RefundRequest) -> Result<RefundAsked, LedgerError> {
        around!(self, request_refund(asked))
    }
    async fn record_refund(&self, order: Uuid, news: RefundNews) -> Result<Applied, LedgerError> {
        around!(self, record_refund(order, news))
    }
    async fn see_refund(&self, order: Uuid, seen: SeenRefund) -> Result<Applied, LedgerError> {
        around!(self, see_refund(order, seen))
    }
    async fn refunds_of(&self, order: Uuid) -> Result<Vec<Refund>, LedgerError> {
        around!(self, refunds_of(order))
    }
    async fn due_refunds(&self, most: u32) -> Result<Vec<Refund>, LedgerError> {
        around!(self, due_refunds(most))
    }
    async fn returned(&self) -> Result<Vec<Returned>, LedgerError> {
        around!(self, returned())
    }
}

#[async_trait]
impl<S: Stock> Stock for Flaky<Arc<S>> {
    async fn run_id(&self) -> Result<String, StockError> {
        around!(self, run_id())
    }
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StockError> {
        around!(self, reserve(reserve))
    }
    async fn pin(&self, hold: Uuid, order: Uuid, customer: Uuid) -> Result<Pinned, StockError> {
        around!(self, pin(hold, order, customer))
    }
    async fn unpin(&self, sale: &str, hold: Uuid, order: Uuid) -> Result<(), StockError> {
        around!(self, unpin(sale, hold, order))
    }
    async fn free(&self, hold: Uuid, customer: Uuid) -> Result<Freed, StockError> {
        around!(self, free(hold, customer))
    }
    async fn free_orphan(&self, sale: &str, hold: Uuid, order: Uuid, age: Duration) -> Result<bool, StockError> {
        around!(self, free_orphan(sale, hold, order, age))
    }
    async fn settle(&self, settlement: Settlement) -> Result<(), StockError> {
        around!(self, settle(settlement))
    }
    async fn holds_of(&self, customer: Uuid) -> Result<Vec<Hold>, StockError> {
        around!(self, holds_of(customer))
    }
    async fn levels(&self, sale: &str) -> Result<Option<Levels>, StockError> {
        around!(self, levels(sale))
    }
    async fn exhausted(&self, sale: &str, mark: &str) -> Result<Option<Exhausted>, StockError> {
        around!(self, exhausted(sale, mark))
    }
    async fn expire(&self) -> Result<u64, StockError> {
        around!(self, expire())
    }
    async fn pins_older_than(&self, age: Duration, most: usize) -> Result<Vec<LonePin>, StockError> {
        around!(self, pins_older_than(age, most))
    }
    async fn set_capacity(&self, sale: &str, tier: &str, capacity: u32) -> Result<(), StockError> {
        around!(self, set_capacity(sale, tier, capacity))
    }
    async fn set_returned(&self, sale: &str, tier: &str, units: u32) -> Result<(), StockError> {
        around!(self, set_returned(sale, tier, units))
    }
    async fn epochs(&self, sales: &[String]) -> Result<Vec<Option<u64>>, StockError> {
        around!(self, epochs(sales))
    }
    async fn begin_rebuild(&self, sale: &str) -> Result<bool, StockError> {
        around!(self, begin_rebuild(sale))
    }
    async fn rebuild(&self, image: Image) -> Result<(), StockError> {
        around!(self, rebuild(image))
    }
}

#[async_trait]
impl<R: Rooms> Rooms for Flaky<Arc<R>> {
    async fn publish(&self, envelopes: Vec<Envelope>) -> Result<(), RoomsError> {
        around!(self, publish(envelopes))
    }
    async fn subscribe(&self) -> Result<Box<dyn Subscription>, RoomsError> {
        self.inner.subscribe().await
    }
}

/// The queue as the handlers see it; its store can be lost, as by `FLUSHALL`.
pub(super) struct FlakyQueue<Q> {
    pub(super) store: Mutex<Arc<Q>>,
    pub(super) faults: Arc<Faults>,
}

impl<Q> FlakyQueue<Q> {
    pub(super) fn store(&self) -> Arc<Q> {
        self.store.lock().clone()
    }
}

#[async_trait]
impl<Q: Queue> Queue for FlakyQueue<Q> {
    fn lease(&self) -> Duration {
        self.store().lease()
    }
    async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, QueueError> {
        let store = self.store();
        self.faults.around("push", broken, store.push(jobs)).await
    }
    async fn fetch(&self, queue: &'static str, consumer: &str, max: usize) -> Result<Vec<Delivery>, QueueError> {
        self.store().fetch(queue, consumer, max).await
    }
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, QueueError> {
        self.store().renew(leases).await
    }
    async fn finish(&self, ends: &[(Lease, Finish)]) -> Result<Vec<bool>, QueueError> {
        self.store().finish(ends).await
    }
    async fn hand_back(&self, leases: &[Lease]) -> Result<(), QueueError> {
        self.store().hand_back(leases).await
    }
    async fn gauges(&self, queue: &'static str) -> Result<Gauges, QueueError> {
        self.store().gauges(queue).await
    }
    async fn dead(&self, queue: &'static str, max: usize) -> Result<Vec<DeadJob>, QueueError> {
        let store = self.store();
        self.faults.around("dead", broken, store.dead(queue, max)).await
    }
    async fn retry_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        self.store().retry_dead(queue, key).await
    }
    async fn discard_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        self.store().discard_dead(queue, key).await
    }
}
