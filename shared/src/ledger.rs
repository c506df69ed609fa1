//! The ledger: the durable truth. Sales, orders, attempts, tickets, refunds, webhook inbox, outbox, audit trail.
//!
//! An order is here before its shopper hears 202 and before Stripe is called; everything else (stock, queue,
//! rooms) can burn and is rebuilt from here.
//!
//! # One set of decisions, three stores
//!
//! Whether an order may be accepted, claimed or settled is decided by [`book::Book`], a pure in-memory page of the
//! ledger. The memory ledger *is* one such book. The SQL ledger loads the rows that a group of operations speaks
//! of into a book, lets it decide in order of arrival, and writes back what changed in the same transaction, under
//! guards that hold even if the book had been wrong: a conditional update per tier, a unique index per hold, a
//! compare-and-set on the version of each order. So the stores cannot come to differ in what they decide.
//!
//! # Group commit
//!
//! Concurrent operations share a transaction ([`sql`]); a member that loses, or whose row is broken, never sinks
//! its neighbours.

pub mod book;
pub mod memory;
pub mod outcome;
pub mod records;
pub mod sql;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::env::Timestamp;
use crate::order::{Attempt, Order, Outcome, State, StoredRequest};
use crate::sale::Sale;

pub use outcome::{Accept, Accepted, Applied, Claimed, Control, Controlled, Created, RefundAsked, Taken, Word};
pub use records::{
    AuditEntry, Committed, Image, ImagePin, InboxEvent, OutboxEntry, Refund, RefundNews, RefundRequest, RefundState,
    RefundWhat, Returned, SaleCounters, SeenRefund, StoredEvent, Unmatched,
};

/// How long before the last payment of a sale another one counts as recent, for an [`Image`].
pub const LATELY: std::time::Duration = std::time::Duration::from_secs(60);

/// The ledger could not do its work: it is unreachable, full or broken. What became of a write is then unknown,
/// unless said otherwise; read before answering.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the ledger failed: {0}")]
pub struct LedgerError(pub String);

/// Makes the exact request of an attempt, or says why there is none: it runs inside the claiming transaction, so
/// that the bytes are stored before anything can be sent. The attempt says when it is first sent; the sale, what people
/// call the things that are bought.
pub type Prepare = fn(&Order, &Attempt, Option<&Sale>) -> Result<StoredRequest, String>;

/// What happens to an order: an outcome of an attempt, or a decision about the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Stripe was seen to say this about an attempt.
    Observed {
        /// The attempt's number.
        attempt: u32,
        /// What it said.
        outcome: Outcome,
    },
    /// The buyer's time is over: begin to close.
    TimeOver,
    /// The event was called off: begin to close.
    CalledOff,
    /// A person says: charge it.
    Approved(Word),
    /// A person says: call it off. Nothing can be paid at Stripe any more; what was taken there goes back.
    Rejected {
        /// Who, and why.
        word: Word,
        /// What Stripe has taken, if it has.
        taken: Option<Taken>,
    },
}

/// Which orders to list, for the sweep or for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// In one of the states that owe a charge (`accepted`, `charging`), unchanged since a time.
    Owed {
        /// Last changed before this.
        since: Timestamp,
    },
    /// Waiting for a buyer whose time is over.
    Due,
    /// At strong authentication, unchanged since a time.
    Authenticating {
        /// Last changed before this.
        since: Timestamp,
    },
    /// Closing, unchanged since a time.
    Closing {
        /// Last changed before this.
        since: Timestamp,
    },
    /// Waiting for a person to decide.
    Review,
}

/// The durable truth.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// The ledger's own clock, which every deadline of an order belongs to.
    fn now(&self) -> Timestamp;

    /// Answers when the ledger can read and write.
    async fn ping(&self) -> Result<(), LedgerError>;

    /// Accepts a purchase, or the next attempt of a declined one; safe to repeat.
    async fn accept(&self, accept: Accept) -> Result<Accepted, LedgerError>;
    /// A worker takes an attempt: `accepted → charging` by compare-and-set, and the exact request is stored, unless both
    /// happened when it was accepted.
    async fn claim(&self, order: Uuid, attempt: u32, prepare: Prepare) -> Result<Claimed, LedgerError>;
    /// Applies a change to an order; repeats change nothing.
    async fn apply(&self, order: Uuid, change: Change) -> Result<Applied, LedgerError>;

    /// One order.
    async fn order(&self, id: Uuid) -> Result<Option<Order>, LedgerError>;
    /// Several orders; those that do not exist are left out.
    async fn orders(&self, ids: &[Uuid]) -> Result<Vec<Order>, LedgerError>;
    /// Customers' orders: of one after another, the newest first, at most `most` of each.
    async fn orders_of(&self, customers: &[Uuid], most: u32) -> Result<Vec<Order>, LedgerError>;
    /// The ids of a sale's orders, at most `most` of them.
    async fn order_ids(&self, sale: &str, most: u32) -> Result<Vec<Uuid>, LedgerError>;
    /// One attempt.
    async fn attempt(&self, order: Uuid, number: u32) -> Result<Option<Attempt>, LedgerError>;
    /// Orders that something was left undone for, the oldest first, at most `most`.
    async fn left(&self, what: Left, most: u32) -> Result<Vec<Order>, LedgerError>;
    /// The audit trail of an order, the oldest first.
    async fn audit(&self, order: Uuid) -> Result<Vec<AuditEntry>, LedgerError>;

    /// Adds a sale.
    async fn create_sale(&self, sale: Sale) -> Result<Created, LedgerError>;
    /// All sales, the newest first.
    async fn sales(&self) -> Result<Vec<Sale>, LedgerError>;
    /// Steers a sale.
    async fn control(&self, sale: &str, control: Control, word: &Word) -> Result<Controlled, LedgerError>;
    /// How much of a sale was accepted and finished, for the place in the queue.
    async fn counters(&self, sale: &str) -> Result<Option<SaleCounters>, LedgerError>;

    /// What each tier of a sale has committed, in the order of the sale, and the counters that move with it; none when
    /// there is no such sale.
    async fn committed(&self, sale: &str) -> Result<Option<Committed>, LedgerError>;

    /// Begins a rebuild of the stock: bumps the sale's epoch, so that holds of the old one are refused from now on,
    /// and reads what the stock must show. `None` when there is no such sale.
    async fn begin_epoch(&self, sale: &str, stock_run: &str) -> Result<Option<Image>, LedgerError>;
    /// Reads what the stock must show, without changing anything.
    async fn image(&self, sale: &str) -> Result<Option<Image>, LedgerError>;

    /// Stores webhook events raw; `true` for each that was new.
    async fn store_events(&self, events: Vec<InboxEvent>) -> Result<Vec<bool>, LedgerError>;
    /// Webhook events that were not handled yet, the oldest first.
    async fn unhandled_events(&self, most: u32) -> Result<Vec<InboxEvent>, LedgerError>;
    /// One webhook event, by Stripe's id.
    async fn event(&self, id: &str) -> Result<Option<StoredEvent>, LedgerError>;
    /// Marks a webhook event as handled.
    async fn event_handled(&self, id: &str) -> Result<(), LedgerError>;
    /// Marks a webhook event as not handled: it is seen to once more.
    async fn event_again(&self, id: &str) -> Result<(), LedgerError>;
    /// Forgets handled webhook events that came before a time, at most `most`; how many there were.
    async fn prune_events(&self, before: Timestamp, most: u32) -> Result<u64, LedgerError>;

    /// Where a sweep has come to, by its own words; none before its first time.
    async fn bookmark(&self, name: &str) -> Result<Option<String>, LedgerError>;
    /// Notes where a sweep has come to.
    async fn set_bookmark(&self, name: &str, place: &str) -> Result<(), LedgerError>;

    /// Orders that are paid, and became so in a span of time: after `after` (a time, and of that very time the ids
    /// above this one) and before `until`; in this order, at most `most`.
    async fn paid(&self, after: (Timestamp, Uuid), until: Timestamp, most: u32) -> Result<Vec<Order>, LedgerError>;
    /// Notes that ledger and Stripe disagree about a payment. What was known of it stays, but for why.
    async fn note_unmatched(&self, unmatched: Unmatched) -> Result<(), LedgerError>;
    /// They agree about it by now.
    async fn matched(&self, payment_intent: &str) -> Result<(), LedgerError>;
    /// Payments that they disagree about, the oldest note first, at most `most`.
    async fn unmatched(&self, most: u32) -> Result<Vec<Unmatched>, LedgerError>;

    /// What is owed to the outside, the oldest first.
    async fn outbox(&self, most: u32) -> Result<Vec<OutboxEntry>, LedgerError>;
    /// Marks something owed as done.
    async fn outbox_done(&self, id: Uuid) -> Result<(), LedgerError>;

    /// Owes a buyer money; safe to repeat. Its tickets lose their validity at once.
    async fn request_refund(&self, asked: RefundRequest) -> Result<RefundAsked, LedgerError>;
    /// Records what was learned of a refund of an order, with all that it entails.
    async fn record_refund(&self, order: Uuid, news: RefundNews) -> Result<Applied, LedgerError>;
    /// Records a refund of an order's payment as Stripe lists it: news of one of ours, or one that was made elsewhere, as
    /// in Stripe's dashboard, which gets a row of its own. Refused when the order knows nothing of the payment.
    async fn see_refund(&self, order: Uuid, seen: SeenRefund) -> Result<Applied, LedgerError>;
    /// The refunds of an order, the oldest first.
    async fn refunds_of(&self, order: Uuid) -> Result<Vec<Refund>, LedgerError>;
    /// Refunds that are owed or pending, and that Stripe is due to be asked about; the most urgent first.
    async fn due_refunds(&self, most: u32) -> Result<Vec<Refund>, LedgerError>;
    /// How many units of refunded tickets may be sold again, of every tier that has any.
    async fn returned(&self) -> Result<Vec<Returned>, LedgerError>;
}

/// A ledger that is shared by everything in a process.
pub type SharedLedger = Arc<dyn Ledger>;

/// Whether an order in this state counts against its tiers' capacity.
#[must_use]
pub fn counts_against_capacity(state: State) -> bool {
    !matches!(state, State::Expired | State::Canceled)
}
