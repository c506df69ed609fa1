//! The ledger's lesser records: what it keeps besides sales, orders and attempts.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::env::Timestamp;
use crate::guards::Guard;
use crate::money::Currency;
use crate::order::Order;
use crate::sale::Item;

/// One line of the append-only audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The line's id; sorts by time.
    pub id: Uuid,
    /// The order it speaks of; `None` for a sale.
    pub order: Option<Uuid>,
    /// The sale it speaks of.
    pub sale: String,
    /// When, by the ledger's clock.
    pub at: Timestamp,
    /// What happened, as a machine word: `accepted`, `paid`, `stock_added`.
    pub what: String,
    /// The attempt that it concerns.
    pub attempt: Option<u32>,
    /// The order's version afterwards.
    pub version: Option<i64>,
    /// Particulars for a person; no token, no mail address.
    pub note: Option<String>,
    /// Who: `buyer`, `worker`, `sweep`, or an operator's name.
    pub by: String,
}

/// A webhook event as it came, stored before it is answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxEvent {
    /// Stripe's event id (`evt_…`).
    pub id: String,
    /// When it was stored, by the ledger's clock.
    pub received_at: Timestamp,
    /// The raw body.
    pub body: String,
}

impl fmt::Debug for InboxEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InboxEvent({}, {} bytes not shown)", self.id, self.body.len())
    }
}

/// A webhook event, and whether anything remains to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// As it came.
    pub event: InboxEvent,
    /// What it told of is done.
    pub handled: bool,
}

/// Something that is owed to the outside, written in the same transaction as its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Its id; sorts by time.
    pub id: Uuid,
    /// What kind: `mail.tickets`, `mail.refunded`.
    pub kind: String,
    /// The order it concerns.
    pub order: Uuid,
    /// When it was written, by the ledger's clock.
    pub created_at: Timestamp,
}

/// Money that goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its id, which its idempotency key follows from.
    pub id: Uuid,
    /// The order.
    pub order: Uuid,
    /// The PaymentIntent that took the money.
    pub payment_intent: String,
    /// How much, in minor units.
    pub amount: i64,
    /// The currency of `amount`.
    pub currency: Currency,
    /// Why: `paid_late`, `paid_twice`, `amount_differs`, `requested`, or `elsewhere`.
    pub reason: String,
    /// Of one on request: whose repetition is this same refund.
    pub request: Option<Uuid>,
    /// Of one on request: what was asked for, as [`RefundWhat`] spells it; else empty.
    pub asked: String,
    /// The operator's reason, for people.
    pub note: Option<String>,
    /// Whether the units of its tickets can be sold again once it has succeeded.
    pub restock: bool,
    /// Keys that were used up: Stripe had stored an answer under each, and the money did not move.
    pub spent_keys: u32,
    /// When Stripe is asked next, by the ledger's clock.
    pub ask_at: Timestamp,
    /// Where it stands.
    pub state: RefundState,
    /// Stripe's id (`re_…`).
    pub stripe_id: Option<String>,
    /// When it was decided, by the ledger's clock.
    pub created_at: Timestamp,
}

/// The reason of refunds that somebody asked for.
pub const REQUESTED: &str = "requested";
/// The reason of refunds that were made without us, as in Stripe's dashboard.
pub const ELSEWHERE: &str = "elsewhere";

impl Refund {
    /// The key under which it is sent: one per row, until Stripe has stored an answer there that moved no money.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        Guard::RefundKeyStays.key(match self.spent_keys {
            0 => format!("refund-{}", self.id),
            spent => format!("refund-{}-{spent}", self.id),
        })
    }

    /// Whether it gives back what came by mistake.
    #[must_use]
    pub fn is_of_a_mistake(&self) -> bool {
        !matches!(self.reason.as_str(), REQUESTED | ELSEWHERE)
    }

    /// Whether it takes of what this order was paid; not so, if it gives back what came besides.
    #[must_use]
    pub fn takes_of(&self, order: &Order) -> bool {
        self.order == order.id
            && !self.is_of_a_mistake()
            && order.payment_intent.as_ref() == Some(&self.payment_intent)
            && self.currency == order.currency
    }
}

/// What is to be given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundWhat {
    /// All that is left.
    All,
    /// A sum in minor units; the tickets stay valid, unless it is all that is left.
    Amount(i64),
    /// The price of these tickets, which lose their validity.
    Tickets(Vec<Uuid>),
}

impl fmt::Display for RefundWhat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Amount(amount) => write!(f, "amount {amount}"),
            Self::Tickets(tickets) => {
                let mut ids: Vec<String> = tickets.iter().map(Uuid::to_string).collect();
                ids.sort_unstable();
                ids.dedup();
                write!(f, "tickets {}", ids.join(" "))
            }
        }
    }
}

/// A wish to give money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    /// Made by whoever asks: the same id again is the same refund.
    pub request: Uuid,
    /// The order.
    pub order: Uuid,
    /// What.
    pub what: RefundWhat,
    /// Why, for people.
    pub note: Option<String>,
    /// Whether the units of its tickets may be sold again once it has succeeded.
    pub restock: bool,
    /// Who asks, for the audit trail.
    pub by: String,
}

/// Characters that a note may have.
const NOTE_CHARS_MAX: usize = 500;

/// Whether this is a note that can be kept: one line, and not a book.
#[must_use]
pub fn is_note(text: &str) -> bool {
    text.chars().count() <= NOTE_CHARS_MAX && !text.chars().any(char::is_control)
}

/// What was learned of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundNews {
    /// Which.
    pub refund: Uuid,
    /// Where it stands now; `Owed` when nothing is known yet.
    pub state: RefundState,
    /// Stripe's id, if it told one.
    pub stripe_id: Option<String>,
    /// Stripe's reason, in machine words.
    pub note: Option<String>,
    /// Under the key of this number (see [`Refund::spent_keys`]) an answer is stored that moved no money: the next sending
    /// needs the next one. Old news of a key before it spends nothing: what is skipped could still be used by who is late.
    pub spent_key: Option<u32>,
}

/// A refund of a payment as Stripe lists it, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRefund {
    /// The payment.
    pub payment_intent: String,
    /// Stripe's id (`re_…`).
    pub stripe_id: String,
    /// Our id for it, by what Stripe keeps with it.
    pub name: Option<Uuid>,
    /// How much, in minor units.
    pub amount: i64,
    /// The currency of `amount`.
    pub currency: Currency,
    /// Where it stands: pending, succeeded or failed.
    pub state: RefundState,
    /// Stripe's reason, in machine words.
    pub note: Option<String>,
}

/// Units of refunded tickets that may be sold again, of one tier; the number only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The sale's slug.
    pub sale: String,
    /// The tier's id.
    pub tier: String,
    /// How many so far.
    pub units: u32,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// Not sent, or unanswered.
    Owed,
    /// Stripe has it and will say.
    Pending,
    /// Done.
    Succeeded,
    /// Stripe says that it cannot be done; a person has to look.
    Failed,
}

impl RefundState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Owed, Self::Pending, Self::Succeeded, Self::Failed];

    /// The word in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owed => "owed",
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// Counts for the place in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleCounters {
    /// Charges that were ever owed: the last queue number.
    pub accepted: i64,
    /// Charges that are owed no longer, however they ended.
    pub finished: i64,
}

/// What a sale has given away, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The sale's epoch.
    pub epoch: u64,
    /// How much was accepted and finished.
    pub counters: SaleCounters,
    /// Per tier: id, capacity, and the units of all orders that count against it.
    pub tiers: Vec<(String, u32, u32)>,
}

/// A payment that ledger and Stripe disagree about, for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmatched {
    /// `pi_…`; of a paid order without one, `order_` and the order's id.
    pub payment_intent: String,
    /// The order that it is about, known to the ledger or not.
    pub order: Uuid,
    /// Why: `unknown_order`, `not_settled`, `not_paid_at_stripe`, `without_payment`.
    pub reason: String,
    /// What was taken, in minor units; 0 when nothing was.
    pub amount: i64,
    /// Its currency, lower case; empty when nothing was taken.
    pub currency: String,
    /// When it was first noticed, by the ledger's clock.
    pub noticed_at: Timestamp,
}

/// What the stock must show, read from the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The sale's slug.
    pub sale: String,
    /// The currency of its prices.
    pub currency: Currency,
    /// The sale's epoch.
    pub epoch: u64,
    /// Stopped by an operator.
    pub paused: bool,
    /// Per tier: id, capacity, and units of paid orders.
    pub tiers: Vec<ImageTier>,
    /// Orders that have stock but are not paid.
    pub pins: Vec<ImagePin>,
    /// Units per customer in paid orders, for the limits.
    pub bought: Vec<(Uuid, Item)>,
    /// Orders that were paid last, in the order of their ids: within [`LATELY`](crate::ledger::LATELY) of the last one.
    /// Whoever asks again for one of these must not take its units once more, not even for a moment.
    pub sold: Vec<ImagePin>,
}

/// One tier of an [`Image`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTier {
    /// The tier's id.
    pub id: String,
    /// How many units there are.
    pub capacity: u32,
    /// Units of paid orders, without those that were returned.
    pub sold: u32,
    /// Units of refunded tickets that may be sold again.
    pub returned: u32,
    /// Units that one customer may have.
    pub max_per_customer: Option<u32>,
}

/// The stock of one order that is not paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePin {
    /// The order.
    pub order: Uuid,
    /// Its hold.
    pub hold: Uuid,
    /// Whose it is.
    pub customer: Uuid,
    /// The order's version.
    pub version: i64,
    /// Its units.
    pub items: Vec<crate::sale::PricedItem>,
}
