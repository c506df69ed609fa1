//! The ledger in memory: one [`Book`] behind a lock. For simulations, as the model of the other ledgers' tests, and
//! for whoever wants to know what the SQL costs. It forgets everything when the process ends.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use parking_lot::Mutex;
use uuid::Uuid;

use super::book::{Book, Moment, Terms};
use super::{
    Accept, Accepted, Applied, AuditEntry, Change, Claimed, Committed, Control, Controlled, Created, Image, InboxEvent,
    Ledger, LedgerError, Left, OutboxEntry, Prepare, Refund, RefundAsked, RefundNews, RefundRequest, RefundState,
    Returned, SaleCounters, SeenRefund, StoredEvent, Unmatched, Word,
};
use crate::env::{Env, Timestamp};
use crate::guards::Guard;
use crate::order::{Attempt, Order, State};
use crate::sale::Sale;

/// The ledger in memory.
pub struct MemoryLedger {
    env: Env,
    /// Everything; locked for one operation at a time, never across an await.
    store: Mutex<Store>,
}

struct Store {
    book: Book,
    /// Orders of each customer, the oldest first.
    by_customer: BTreeMap<Uuid, Vec<Uuid>>,
    /// Orders that are not final, with their state.
    open: BTreeSet<Uuid>,
    /// Sales, the oldest first.
    slugs: Vec<String>,
    audit: Vec<AuditEntry>,
    inbox: Vec<(InboxEvent, bool)>,
    outbox: BTreeMap<Uuid, OutboxEntry>,
    bookmarks: BTreeMap<String, String>,
    unmatched: Vec<Unmatched>,
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new(env: Env, terms: Terms) -> Self {
        let store = Store {
            book: Book::new(terms),
            by_customer: BTreeMap::new(),
            open: BTreeSet::new(),
            slugs: Vec::new(),
            audit: Vec::new(),
            inbox: Vec::new(),
            outbox: BTreeMap::new(),
            bookmarks: BTreeMap::new(),
            unmatched: Vec::new(),
        };
        Self { env, store: Mutex::new(store) }
    }

    /// Lets the book decide, and keeps what it noted.
    fn write<T>(&self, decide: impl FnOnce(&mut Book, Moment<'_>) -> T) -> T {
        let mut store = self.store.lock();
        let outcome = decide(&mut store.book, Moment { now: self.env.now(), env: &self.env });
        let changes = store.book.take_changes();
        for (id, read) in &changes.orders {
            let Some((customer, state)) = store.book.orders.get(id).map(|order| (order.customer, order.state)) else {
                continue;
            };
            if read.is_none() {
                store.by_customer.entry(customer).or_default().push(*id);
            }
            if state.is_final() {
                store.open.remove(id);
            } else {
                store.open.insert(*id);
            }
        }
        store.audit.extend(changes.audit);
        store.outbox.extend(changes.outbox.into_iter().map(|entry| (entry.id, entry)));
        outcome
    }

    fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.store.lock())
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    fn now(&self) -> Timestamp {
        self.env.now()
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn accept(&self, accept: Accept) -> Result<Accepted, LedgerError> {
        Ok(self.write(|book, at| book.accept(at, &accept)))
    }

    async fn claim(&self, order: Uuid, attempt: u32, prepare: Prepare) -> Result<Claimed, LedgerError> {
        Ok(self.write(|book, at| book.claim(at, order, attempt, prepare)))
    }

    async fn apply(&self, order: Uuid, change: Change) -> Result<Applied, LedgerError> {
        Ok(self.write(|book, at| book.apply(at, order, &change)))
    }

    async fn order(&self, id: Uuid) -> Result<Option<Order>, LedgerError> {
        Ok(self.read(|store| store.book.orders.get(&id).cloned()))
    }

    async fn orders(&self, ids: &[Uuid]) -> Result<Vec<Order>, LedgerError> {
        Ok(self.read(|store| ids.iter().filter_map(|id| store.book.orders.get(id).cloned()).collect()))
    }

    async fn orders_of(&self, customers: &[Uuid], most: u32) -> Result<Vec<Order>, LedgerError> {
        Ok(self.read(|store| {
            let of = |customer| store.by_customer.get(customer).map(Vec::as_slice).unwrap_or_default();
            let newest = |customer| of(customer).iter().rev().take(most as usize);
            customers.iter().flat_map(newest).filter_map(|id| store.book.orders.get(id).cloned()).collect()
        }))
    }

    async fn order_ids(&self, sale: &str, most: u32) -> Result<Vec<Uuid>, LedgerError> {
        let of_sale = |order: &&Order| order.sale == sale;
        Ok(self.read(|store| {
            store.book.orders.values().filter(of_sale).take(most as usize).map(|order| order.id).collect()
        }))
    }

    async fn attempt(&self, order: Uuid, number: u32) -> Result<Option<Attempt>, LedgerError> {
        Ok(self.read(|store| store.book.attempts.get(&(order, number)).cloned()))
    }

    async fn left(&self, what: Left, most: u32) -> Result<Vec<Order>, LedgerError> {
        let now = self.env.now();
        Ok(self.read(|store| {
            let mut left: Vec<&Order> = store
                .open
                .iter()
                .filter_map(|id| store.book.orders.get(id))
                .filter(|order| is_left(order, what, now))
                .collect();
            left.sort_by_key(|order| (order.updated_at, order.id));
            left.into_iter().take(most as usize).cloned().collect()
        }))
    }

    async fn audit(&self, order: Uuid) -> Result<Vec<AuditEntry>, LedgerError> {
        Ok(self.read(|store| store.audit.iter().filter(|line| line.order == Some(order)).cloned().collect()))
    }

    async fn create_sale(&self, sale: Sale) -> Result<Created, LedgerError> {
        let mut store = self.store.lock();
        if store.book.sales.contains_key(&sale.slug) {
            return Ok(Created::SlugTaken);
        }
        store.slugs.push(sale.slug.clone());
        store.book.insert_sale(sale, SaleCounters::default(), BTreeMap::new());
        Ok(Created::Yes)
    }

    async fn sales(&self) -> Result<Vec<Sale>, LedgerError> {
        Ok(self.read(|store| {
            let newest_first = store.slugs.iter().rev();
            newest_first.filter_map(|slug| store.book.sales.get(slug).map(|page| page.sale.clone())).collect()
        }))
    }

    async fn control(&self, sale: &str, control: Control, word: &Word) -> Result<Controlled, LedgerError> {
        Ok(self.write(|book, at| book.control(at, sale, &control, word)))
    }

    async fn counters(&self, sale: &str) -> Result<Option<SaleCounters>, LedgerError> {
        Ok(self.read(|store| store.book.sales.get(sale).map(|page| page.counters)))
    }

    async fn committed(&self, sale: &str) -> Result<Option<Committed>, LedgerError> {
        Ok(self.read(|store| {
            let page = store.book.sales.get(sale)?;
            let taken = |tier: &str| page.committed.get(tier).copied().unwrap_or(0);
            let tiers = page.sale.tiers.iter().map(|tier| (tier.id.clone(), tier.capacity, taken(&tier.id)));
            Some(Committed { epoch: page.sale.epoch, counters: page.counters, tiers: tiers.collect() })
        }))
    }

    async fn begin_epoch(&self, sale: &str, _stock_run: &str) -> Result<Option<Image>, LedgerError> {
        let mut store = self.store.lock();
        if let Some(page) = store.book.sales.get_mut(sale) {
            page.sale.epoch += 1;
        }
        Ok(store.book.image(sale))
    }

    async fn image(&self, sale: &str) -> Result<Option<Image>, LedgerError> {
        Ok(self.read(|store| store.book.image(sale)))
    }

    async fn store_events(&self, events: Vec<InboxEvent>) -> Result<Vec<bool>, LedgerError> {
        let mut store = self.store.lock();
        let store_one = |event: InboxEvent| {
            let new = store.inbox.iter().all(|(known, _)| Guard::InboxOnce.holds(known.id != event.id));
            if new {
                store.inbox.push((event, false));
            }
            new
        };
        Ok(events.into_iter().map(store_one).collect())
    }

    async fn unhandled_events(&self, most: u32) -> Result<Vec<InboxEvent>, LedgerError> {
        Ok(self.read(|store| {
            let unhandled = store.inbox.iter().filter(|(_, handled)| !handled);
            unhandled.take(most as usize).map(|(event, _)| event.clone()).collect()
        }))
    }

    async fn event(&self, id: &str) -> Result<Option<StoredEvent>, LedgerError> {
        Ok(self.read(|store| {
            let found = store.inbox.iter().find(|(event, _)| event.id == id);
            found.map(|(event, handled)| StoredEvent { event: event.clone(), handled: *handled })
        }))
    }

    async fn event_handled(&self, id: &str) -> Result<(), LedgerError> {
        let mut store = self.store.lock();
        if let Some((_, handled)) = store.inbox.iter_mut().find(|(event, _)| event.id == id) {
            *handled = true;
        }
        Ok(())
    }

    async fn event_again(&self, id: &str) -> Result<(), LedgerError> {
        let mut store = self.store.lock();
        if let Some((_, handled)) = store.inbox.iter_mut().find(|(event, _)| event.id == id) {
            *handled = false;
        }
        Ok(())
    }

    async fn prune_events(&self, before: Timestamp, most: u32) -> Result<u64, LedgerError> {
        let mut store = self.store.lock();
        let (events, mut pruned) = (store.inbox.len(), 0);
        store.inbox.sort_by_key(|(event, _)| event.received_at);
        store.inbox.retain(|(event, handled)| {
            let goes = *handled && event.received_at < before && pruned < most;
            pruned += u32::from(goes);
            !goes
        });
        Ok((events - store.inbox.len()) as u64)
    }

    async fn bookmark(&self, name: &str) -> Result<Option<String>, LedgerError> {
        Ok(self.read(|store| store.bookmarks.get(name).cloned()))
    }

    async fn set_bookmark(&self, name: &str, place: &str) -> Result<(), LedgerError> {
        self.store.lock().bookmarks.insert(name.to_owned(), place.to_owned());
        Ok(())
    }

    async fn paid(&self, after: (Timestamp, Uuid), until: Timestamp, most: u32) -> Result<Vec<Order>, LedgerError> {
        Ok(self.read(|store| {
            let place = |order: &Order| (order.updated_at, order.id);
            let paid = store.book.orders.values().filter(|order| order.state == State::Paid);
            let mut paid: Vec<&Order> = paid.filter(|order| place(order) > after && order.updated_at < until).collect();
            paid.sort_by_key(|order| place(order));
            paid.into_iter().take(most as usize).cloned().collect()
        }))
    }

    async fn note_unmatched(&self, unmatched: Unmatched) -> Result<(), LedgerError> {
        let mut store = self.store.lock();
        match store.unmatched.iter_mut().find(|known| known.payment_intent == unmatched.payment_intent) {
            Some(known) => known.reason = unmatched.reason,
            None => store.unmatched.push(unmatched),
        }
        Ok(())
    }

    async fn matched(&self, payment_intent: &str) -> Result<(), LedgerError> {
        self.store.lock().unmatched.retain(|known| known.payment_intent != payment_intent);
        Ok(())
    }

    async fn unmatched(&self, most: u32) -> Result<Vec<Unmatched>, LedgerError> {
        let mut unmatched = self.read(|store| store.unmatched.clone());
        unmatched.sort_by_key(|known| (known.noticed_at, known.payment_intent.clone()));
        unmatched.truncate(most as usize);
        Ok(unmatched)
    }

    async fn outbox(&self, most: u32) -> Result<Vec<OutboxEntry>, LedgerError> {
        Ok(self.read(|store| store.outbox.values().take(most as usize).cloned().collect()))
    }

    async fn outbox_done(&self, id: Uuid) -> Result<(), LedgerError> {
        self.store.lock().outbox.remove(&id);
        Ok(())
    }

    async fn request_refund(&self, asked: RefundRequest) -> Result<RefundAsked, LedgerError> {
        Ok(self.write(|book, at| book.request_refund(at, &asked)))
    }

    async fn record_refund(&self, order: Uuid, news: RefundNews) -> Result<Applied, LedgerError> {
        Ok(self.write(|book, at| book.record_refund(at, order, &news)))
    }

    async fn see_refund(&self, order: Uuid, seen: SeenRefund) -> Result<Applied, LedgerError> {
        Ok(self.write(|book, at| book.see_refund(at, order, &seen)))
    }

    async fn refunds_of(&self, order: Uuid) -> Result<Vec<Refund>, LedgerError> {
        Ok(self.read(|store| {
            let mut refunds: Vec<Refund> =
                store.book.refunds.values().filter(|refund| refund.order == order).cloned().collect();
            refunds.sort_by_key(|refund| (refund.created_at, refund.id));
            refunds
        }))
    }

    async fn due_refunds(&self, most: u32) -> Result<Vec<Refund>, LedgerError> {
        let now = self.env.now();
        Ok(self.read(|store| {
            let open = |refund: &&Refund| matches!(refund.state, RefundState::Owed | RefundState::Pending);
            let refunds = store.book.refunds.values().filter(open).filter(|refund| refund.ask_at <= now);
            let mut due: Vec<Refund> = refunds.cloned().collect();
            due.sort_by_key(|refund| (refund.ask_at, refund.id));
            due.truncate(most as usize);
            due
        }))
    }

    async fn returned(&self) -> Result<Vec<Returned>, LedgerError> {
        Ok(self.read(|store| {
            let of_sale = |(sale, page): (&String, &super::book::SalePage)| {
                let one =
                    |(tier, units): (&String, &u32)| Returned { sale: sale.clone(), tier: tier.clone(), units: *units };
                page.returned.iter().map(one).collect::<Vec<_>>()
            };
            store.book.sales.iter().flat_map(of_sale).collect()
        }))
    }
}

/// Whether an order is one of those that the sweep asks for.
fn is_left(order: &Order, what: Left, now: Timestamp) -> bool {
    match what {
        Left::Owed { since } => order.state.is_in_queue() && order.updated_at < since,
        Left::Due => {
            matches!(order.state, State::Declined | State::RequiresAction)
                && order.expires_at.is_some_and(|expires| expires <= now)
        }
        Left::Authenticating { since } => order.state == State::RequiresAction && order.updated_at < since,
        Left::Closing { since } => order.state == State::Closing && order.updated_at < since,
        Left::Review => order.state == State::Review,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::env::Seeded;
    use crate::ledger::conformance::{self, World};

    #[tokio::test]
    async fn the_memory_ledger_does_what_every_ledger_must_do() {
        conformance::run_all(async || {
            let env = Seeded::new(1).env();
            World { ledger: Arc::new(MemoryLedger::new(env.clone(), Terms::default())), env }
        })
        .await;
    }
}
