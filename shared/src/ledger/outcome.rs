//! What is asked of the ledger, and what it answers. Outcomes are values; only broken machinery is an error.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::records::Refund;
use crate::env::Timestamp;
use crate::money::Currency;
use crate::order::state::StockEffect;
use crate::order::{Attempt, Order};
use crate::sale::PricedItem;

/// A purchase to accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The client's order id.
    pub order: Uuid,
    /// Who buys.
    pub customer: Uuid,
    /// The pinned hold; the order's own id in the one-call form.
    pub hold: Uuid,
    /// The sale's slug.
    pub sale: String,
    /// The epoch of the hold; `None` when no hold could be found, and only a repeat is possible.
    pub epoch: Option<u64>,
    /// What is bought, at the prices of the hold; empty when no hold could be found.
    pub items: Vec<PricedItem>,
    /// The hold's currency.
    pub currency: Currency,
    /// Where the tickets go.
    pub email: String,
    /// The buyer's name.
    pub name: String,
    /// The payment token.
    pub token: String,
    /// Thinking time left when the hold was pinned, in milliseconds.
    pub think_ms: i64,
    /// By the ledger's clock: too late after this, since the pin may have been freed.
    pub accept_by: Timestamp,
    /// How long a line is short, itself included: then a worker has it in a moment, and it is claimed in the transaction
    /// that accepts it. In a longer one it is claimed by its worker, and can be called off until then.
    pub short_line: u32,
}

/// What became of an [`Accept`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A new order; its charge is owed.
    New(Order),
    /// The next attempt of a declined order; its charge is owed.
    NextAttempt(Order),
    /// This very call was answered before: the order as it is now.
    Replay(Order),
    /// The order is there, with something else in it, or is somebody else's, or its hold belongs to another order.
    Conflict,
    /// Another token, while the outcome of the last one is open.
    InProgress,
    /// The order has ended without being paid.
    Ended(Order),
    /// Nobody holds stock for this order.
    NoHold,
    /// The ledger's own guard says that a tier is full, though the stock gave a hold: a failure of the first gate.
    SoldOut {
        /// The tier's id.
        tier: String,
    },
    /// More of a tier than one customer, or one mail address, may have.
    LimitReached {
        /// The tier's id.
        tier: String,
    },
    /// The hold is of an epoch that is over.
    WrongEpoch,
    /// The sale is paused.
    Paused,
    /// It took too long to get here; the pin may be gone.
    TooLate,
    /// There is no such sale or tier.
    Unknown,
    /// Every attempt of this order was used.
    NoAttemptsLeft(Order),
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The attempt is ours to send, its request stored; also when it was claimed as it was accepted, and after a worker died
    /// with it.
    Yes {
        /// The order, now charging.
        order: Box<Order>,
        /// The attempt, with its request.
        attempt: Box<Attempt>,
        /// This call moved the state; `false` when it was claimed before.
        first: bool,
    },
    /// There is nothing to charge: settled, closed, or another attempt is current.
    No(Box<Order>),
    /// No request could be made; the order went to review.
    Unpreparable(Box<Order>),
    /// There is no such order.
    Unknown,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The order as it is now, and what the stock must show for it.
    Order {
        /// The order.
        order: Box<Order>,
        /// What the stock must show.
        stock: StockEffect,
        /// `false` when it had happened already, or changed nothing.
        changed: bool,
    },
    /// It cannot happen in the order's state.
    Refused(Box<Order>),
    /// There is no such order.
    Unknown,
}

impl Applied {
    /// The order, whatever became of the change.
    #[must_use]
    pub fn order(&self) -> Option<&Order> {
        match self {
            Self::Order { order, .. } | Self::Refused(order) => Some(order),
            Self::Unknown => None,
        }
    }
}

/// What became of a [`RefundRequest`](super::RefundRequest).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundAsked {
    /// It is owed now.
    New {
        /// The order as it is now.
        order: Box<Order>,
        /// The refund.
        refund: Box<Refund>,
    },
    /// This very request was answered before: the refund as it is now.
    Replay {
        /// The order as it is now.
        order: Box<Order>,
        /// The refund.
        refund: Box<Refund>,
    },
    /// The request's id was used for something else.
    Conflict,
    /// There is no such order.
    Unknown,
    /// The order is not paid.
    NotPaid(Box<Order>),
    /// Nothing, or less than nothing, is no refund.
    NotPositive,
    /// More than is left of what was paid.
    TooMuch {
        /// What is left, in minor units.
        left: i64,
    },
    /// The order has no such ticket.
    UnknownTicket(Uuid),
    /// The ticket was voided by another refund.
    VoidTicket(Uuid),
}

/// What became of a new sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is there.
    Yes,
    /// The slug is taken.
    SlugTaken,
}

/// How an operator steers a sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Open it now, and end a pause.
    Open,
    /// Nothing new can be bought from now on.
    Close,
    /// Stop it for the moment.
    Pause,
    /// End a pause.
    Resume,
    /// More units of a tier.
    AddStock {
        /// The tier's id.
        tier: String,
        /// How many more.
        quantity: u32,
        /// Made by whoever asks: the same id again adds nothing.
        request: Uuid,
    },
}

/// Who steers, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Who, for the audit trail.
    pub by: String,
    /// The reason that was given; one line.
    pub why: Option<String>,
}

impl Word {
    /// Somebody who gives no reason.
    #[must_use]
    pub fn of(by: &str) -> Self {
        Self { by: by.to_owned(), why: None }
    }
}

/// Money that Stripe has, and that is not what an order costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The payment.
    pub payment_intent: String,
    /// How much, in minor units.
    pub amount: i64,
    /// The currency of `amount`.
    pub currency: Currency,
}

/// What became of a [`Control`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controlled {
    /// Done.
    Yes,
    /// The very request was done before; nothing changed.
    Again,
    /// The request's id was used for something else.
    Conflict,
    /// There is no such sale.
    UnknownSale,
    /// There is no such tier.
    UnknownTier,
    /// The capacity would be more than a tier may have.
    TooMuch,
}
