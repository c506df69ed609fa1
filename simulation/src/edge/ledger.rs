//! The way to the ledger.

use async_trait::async_trait;
use futures::FutureExt as _;
use shared::env::Timestamp;
use shared::ledger::{
    Accept, Accepted, Applied, AuditEntry, Change, Claimed, Committed, Control, Controlled, Created, Image, InboxEvent,
    Ledger, LedgerError, Left, OutboxEntry, Prepare, Refund, RefundAsked, RefundNews, RefundRequest, Returned,
    SaleCounters, SeenRefund, StoredEvent, Unmatched, Word,
};
use shared::order::{Attempt, Order};
use shared::sale::Sale;
use uuid::Uuid;

use super::{Broken, Edge, pass};

impl Broken for LedgerError {
    fn broken() -> Self {
        Self("no connection".into())
    }
}

#[async_trait]
impl Ledger for Edge<dyn Ledger> {
    fn now(&self) -> Timestamp {
        self.part.now()
    }
    async fn ping(&self) -> Result<(), LedgerError> {
        pass!(self.ping())
    }
    async fn accept(&self, accept: Accept) -> Result<Accepted, LedgerError> {
        pass!(self.accept(accept), about accept.order, late)
    }
    async fn claim(&self, order: Uuid, attempt: u32, prepare: Prepare) -> Result<Claimed, LedgerError> {
        pass!(self.claim(order, attempt, prepare), about order)
    }
    async fn apply(&self, order: Uuid, change: Change) -> Result<Applied, LedgerError> {
        pass!(self.apply(order, change), about order, late)
    }
    async fn order(&self, id: Uuid) -> Result<Option<Order>, LedgerError> {
        pass!(self.order(id), about id)
    }
    async fn orders(&self, ids: &[Uuid]) -> Result<Vec<Order>, LedgerError> {
        pass!(self.orders(ids))
    }
    async fn orders_of(&self, customers: &[Uuid], most: u32) -> Result<Vec<Order>, LedgerError> {
        pass!(self.orders_of(customers, most))
    }
    async fn order_ids(&self, sale: &str, most: u32) -> Result<Vec<Uuid>, LedgerError> {
        pass!(self.order_ids(sale, most))
    }
    async fn attempt(&self, order: Uuid, number: u32) -> Result<Option<Attempt>, LedgerError> {
        pass!(self.attempt(order, number), about order)
    }
    async fn left(&self, what: Left, most: u32) -> Result<Vec<Order>, LedgerError> {
        pass!(self.left(what, most))
    }
    async fn audit(&self, order: Uuid) -> Result<Vec<AuditEntry>, LedgerError> {
        pass!(self.audit(order))
    }
    async fn create_sale(&self, sale: Sale) -> Result<Created, LedgerError> {
        pass!(self.create_sale(sale))
    }
    async fn sales(&self) -> Result<Vec<Sale>, LedgerError> {
        pass!(self.sales())
    }
    async fn control(&self, sale: &str, control: Control, word: &Word) -> Result<Controlled, LedgerError> {
        let more = match &control {
            Control::AddStock { tier, quantity, .. } => Some((tier.clone(), *quantity)),
            _ => None,
        };
        let scene = &self.scene;
        let steer = async {
            let steered = self.part.control(sale, control, word).await;
            if let (Ok(Controlled::Yes), Some((tier, quantity))) = (&steered, more) {
                *scene.capacity.lock().entry(tier).or_default() += quantity;
            }
            steered
        };
        self.call("control", None, steer, None).await
    }
    async fn counters(&self, sale: &str) -> Result<Option<SaleCounters>, LedgerError> {
        pass!(self.counters(sale))
    }
    async fn begin_epoch(&self, sale: &str, stock_run: &str) -> Result<Option<Image>, LedgerError> {
        pass!(self.begin_epoch(sale, stock_run))
    }
    async fn image(&self, sale: &str) -> Result<Option<Image>, LedgerError> {
        pass!(self.image(sale))
    }
    async fn store_events(&self, events: Vec<InboxEvent>) -> Result<Vec<bool>, LedgerError> {
        pass!(self.store_events(events))
    }
    async fn unhandled_events(&self, most: u32) -> Result<Vec<InboxEvent>, LedgerError> {
        pass!(self.unhandled_events(most))
    }
    async fn event(&self, id: &str) -> Result<Option<StoredEvent>, LedgerError> {
        pass!(self.event(id))
    }
    async fn event_again(&self, id: &str) -> Result<(), LedgerError> {
        pass!(self.event_again(id))
    }
    async fn event_handled(&self, id: &str) -> Result<(), LedgerError> {
        pass!(self.event_handled(id))
    }
    async fn prune_events(&self, before: Timestamp, most: u32) -> Result<u64, LedgerError> {
        pass!(self.prune_events(before, most))
    }
    async fn bookmark(&self, name: &str) -> Result<Option<String>, LedgerError> {
        pass!(self.bookmark(name))
    }
    async fn set_bookmark(&self, name: &str, place: &str) -> Result<(), LedgerError> {
        pass!(self.set_bookmark(name, place))
    }
    async fn paid(&self, after: (Timestamp, Uuid), until: Timestamp, most: u32) -> Result<Vec<Order>, LedgerError> {
        pass!(self.paid(after, until, most))
    }
    async fn note_unmatched(&self, unmatched: Unmatched) -> Result<(), LedgerError> {
        pass!(self.note_unmatched(unmatched))
    }
    async fn matched(&self, payment_intent: &str) -> Result<(), LedgerError> {
        pass!(self.matched(payment_intent))
    }
    async fn unmatched(&self, most: u32) -> Result<Vec<Unmatched>, LedgerError> {
        pass!(self.unmatched(most))
    }
    async fn committed(&self, sale: &str) -> Result<Option<Committed>, LedgerError> {
        pass!(self.committed(sale))
    }
    async fn outbox(&self, most: u32) -> Result<Vec<OutboxEntry>, LedgerError> {
        pass!(self.outbox(most))
    }
    async fn outbox_done(&self, id: Uuid) -> Result<(), LedgerError> {
        pass!(self.outbox_done(id))
    }
    async fn request_refund(&self, asked: RefundRequest) -> Result<RefundAsked, LedgerError> {
        pass!(self.request_refund(asked), about asked.order)
    }
    async fn record_refund(&self, order: Uuid, news: RefundNews) -> Result<Applied, LedgerError> {
        pass!(self.record_refund(order, news), about order)
    }
    async fn see_refund(&self, order: Uuid, seen: SeenRefund) -> Result<Applied, LedgerError> {
        pass!(self.see_refund(order, seen), about order)
    }
    async fn refunds_of(&self, order: Uuid) -> Result<Vec<Refund>, LedgerError> {
        pass!(self.refunds_of(order), about order)
    }
    async fn due_refunds(&self, most: u32) -> Result<Vec<Refund>, LedgerError> {
        pass!(self.due_refunds(most))
    }
    async fn returned(&self) -> Result<Vec<Returned>, LedgerError> {
        pass!(self.returned())
    }
}
