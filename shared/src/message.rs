//! What the room is told: the shapes of the public contract, version 1. Pure; outside clients rely on every name.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use crate::env::Timestamp;
use crate::ledger::Refund;
use crate::order::{MOST_ATTEMPTS, Order, State};
use crate::sale::{Item, PricedItem, Sale, Status};
use crate::stock::{Hold, Levels};

/// What the public sees of a sale's state.
///
/// Without levels the stock is being rebuilt, or cannot be reached: what would be open is paused until it is back.
#[must_use]
pub fn status(sale: &Sale, levels: Option<&Levels>, now: Timestamp) -> Status {
    let Some(levels) = levels else {
        return match sale.status(now, 1) {
            Status::Open | Status::SoldOut => Status::Paused,
            status => status,
        };
    };
    sale.status(now, levels.tiers.iter().map(|tier| u64::from(tier.free)).sum())
}

/// An order as its shopper sees it.
#[derive(Clone, Debug, Serialize)]
pub struct OrderView<'a> {
    id: Uuid,
    hold: Uuid,
    state: &'static str,
    version: i64,
    sale: &'a str,
    items: Vec<ItemView<'a>>,
    amount: i64,
    currency: &'a str,
    charge: Option<&'a str>,
    decline: Option<DeclineView>,
    action: Option<ActionView<'a>>,
    queue: Option<Place>,
    /// Its number in the sale's queue, while a charge is owed; places are counted from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_number: Option<i64>,
    /// Those that admit.
    tickets: Vec<TicketView<'a>>,
    /// Those that were refunded, or are being refunded: without their code, so that nobody can take them for valid.
    voided: Vec<VoidView<'a>>,
    /// What has gone back on request, in minor units.
    refunded: i64,
    /// What is on its way back on request, in minor units.
    refunding: i64,
    /// Milliseconds that the buyer has left, while the order waits for them.
    expires_in_ms: Option<i64>,
    created_at: String,
}

#[derive(Clone, Debug, Serialize)]
struct ItemView<'a> {
    tier: &'a str,
    quantity: u32,
    amount: i64,
}

#[derive(Clone, Debug, Serialize)]
struct DeclineView {
    code: &'static str,
    message: &'static str,
    /// How long to wait before another card may be tried, in milliseconds; `null` when no attempt is left.
    retry_in_ms: Option<i64>,
}

#[derive(Clone, Serialize)]
#[serde(untagged)]
enum ActionView<'a> {
    /// `stripe.handleNextAction` shows the bank's question.
    Authenticate { client_secret: &'a str },
    /// Stripe's own page takes the payment.
    Leave { url: &'a str },
}

impl fmt::Debug for ActionView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActionView(…)")
    }
}

#[derive(Clone, Debug, Serialize)]
struct TicketView<'a> {
    id: Uuid,
    tier: &'a str,
    code: &'a str,
}

#[derive(Clone, Debug, Serialize)]
struct VoidView<'a> {
    id: Uuid,
    tier: &'a str,
}

/// A place in the queue, and an honest guess at the time left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// 1 is next.
    pub position: i64,
    /// By the rate of the last seconds; `null` while that is unknown.
    pub eta_ms: Option<i64>,
}

impl<'a> OrderView<'a> {
    /// An order at a time of the ledger's clock, with its place in the queue if it is known.
    #[must_use]
    pub fn new(order: &'a Order, now: Timestamp, place: Option<Place>) -> Self {
        Self {
            id: order.id,
            hold: order.hold,
            state: crate::order::displayed_state(order),
            version: order.version,
            sale: &order.sale,
            items: order.items.iter().map(ItemView::new).collect(),
            amount: order.amount,
            currency: order.currency.as_str(),
            charge: order.charge.as_deref(),
            decline: order.decline.as_ref().map(|decline| DeclineView {
                code: decline.class.as_str(),
                message: decline.class.message(),
                retry_in_ms: (order.state == State::Declined && order.attempt < MOST_ATTEMPTS).then_some(0),
            }),
            action: match (&order.client_secret, &order.session_url) {
                (Some(secret), _) => Some(ActionView::Authenticate { client_secret: secret.expose() }),
                (None, Some(url)) => Some(ActionView::Leave { url }),
                (None, None) => None,
            },
            queue: place.filter(|_| order.state.is_in_queue()),
            queue_number: order.state.is_in_queue().then_some(order.queue_number),
            refunded: order.refunded,
            refunding: order.refunding,
            voided: order
                .tickets
                .iter()
                .filter(|ticket| ticket.voided_by.is_some())
                .map(|ticket| VoidView { id: ticket.id, tier: &ticket.tier })
                .collect(),
            tickets: order
                .valid_tickets()
                .map(|ticket| TicketView { id: ticket.id, tier: &ticket.tier, code: &ticket.code })
                .collect(),
            expires_in_ms: order.expires_at.map(|at| at.ms_from(now)),
            created_at: order.accepted_at.to_rfc3339(),
        }
    }
}

impl<'a> ItemView<'a> {
    fn new(item: &'a PricedItem) -> Self {
        Self { tier: &item.tier, quantity: item.quantity, amount: item.amount }
    }
}

/// A refund as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct RefundView<'a> {
    refund: Uuid,
    request: Option<Uuid>,
    order: Uuid,
    amount: i64,
    currency: &'a str,
    state: &'static str,
    /// `requested`, `elsewhere` (as in Stripe's dashboard), or which mistake it mends.
    cause: &'a str,
    reason: Option<&'a str>,
    restock: bool,
    /// Stripe's id (`re_…`).
    stripe: Option<&'a str>,
    created_at: String,
}

impl<'a> RefundView<'a> {
    /// A refund as it is.
    #[must_use]
    pub fn new(refund: &'a Refund) -> Self {
        Self {
            refund: refund.id,
            request: refund.request,
            order: refund.order,
            amount: refund.amount,
            currency: refund.currency.as_str(),
            state: refund.state.as_str(),
            cause: &refund.reason,
            reason: refund.note.as_deref(),
            restock: refund.restock,
            stripe: refund.stripe_id.as_deref(),
            created_at: refund.created_at.to_rfc3339(),
        }
    }
}

/// A hold as its shopper sees it.
#[derive(Clone, Debug, Serialize)]
pub struct HoldView<'a> {
    hold: Uuid,
    sale: &'a str,
    items: Vec<ItemView<'a>>,
    amount: i64,
    currency: &'a str,
    expires_in_ms: i64,
    epoch: u64,
}

impl<'a> HoldView<'a> {
    /// A hold, as it was when it was read.
    #[must_use]
    pub fn new(hold: &'a Hold) -> Self {
        Self {
            hold: hold.id,
            sale: &hold.sale,
            items: hold.items.iter().map(ItemView::new).collect(),
            amount: hold.amount(),
            currency: hold.currency.as_str(),
            expires_in_ms: hold.think_ms,
            epoch: hold.epoch,
        }
    }
}

/// How much of a tier is free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FreeView<'a> {
    id: &'a str,
    free: u32,
}

/// A place in the queue of one order.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PlaceView {
    /// The order.
    pub id: Uuid,
    /// Its place.
    #[serde(flatten)]
    pub place: Place,
}

/// A message in the room.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message<'a> {
    /// Always first, and complete.
    Welcome {
        /// Whose room.
        customer: Uuid,
        /// RFC 3339.
        server_time: String,
        /// Of the sales that were named.
        epochs: std::collections::BTreeMap<&'a str, u64>,
        /// The newest first.
        orders: Vec<OrderView<'a>>,
        /// Unpaid ones.
        holds: Vec<HoldView<'a>>,
    },
    /// An order is now so.
    Order {
        /// The order.
        order: Box<OrderView<'a>>,
    },
    /// Places in the queue have moved.
    Queue {
        /// Of pending orders.
        orders: Vec<PlaceView>,
    },
    /// Stock of a sale is now so.
    Stock {
        /// The sale's slug.
        sale: &'a str,
        /// The epoch of the counters.
        epoch: u64,
        /// Whether it can be bought.
        status: Status,
        /// Of every tier.
        tiers: Vec<FreeView<'a>>,
    },
    /// This server goes down; connect again after a while.
    Reconnect {
        /// How long to wait, in milliseconds.
        retry_in_ms: i64,
    },
}

impl<'a> Message<'a> {
    /// An order is now so.
    #[must_use]
    pub fn order(order: &'a Order, now: Timestamp, place: Option<Place>) -> Self {
        Self::Order { order: Box::new(OrderView::new(order, now, place)) }
    }

    /// Stock of a sale is now so.
    #[must_use]
    pub fn stock(sale: &'a str, levels: &'a Levels, status: Status) -> Self {
        let tiers = levels.tiers.iter().map(|tier| FreeView { id: &tier.id, free: tier.free }).collect();
        Self::Stock { sale, epoch: levels.epoch, status, tiers }
    }

    /// The frame to send.
    #[must_use]
    pub fn to_json(&self) -> String {
        // These shapes have string keys only, so that encoding them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A basket as clients write it.
pub type Basket = Vec<Item>;
