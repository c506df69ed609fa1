//! A page of the ledger in memory, and every decision about it: pure, without I/O or a clock of its own.
//!
//! See the parent module for why all stores decide here. A book notes what it changed in [`Changes`], so that a
//! store can write exactly that.

mod accept;
mod claim;
mod refund;
mod settle;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use uuid::Uuid;

pub use self::claim::taken_before;
use super::records::{AuditEntry, Image, ImagePin, ImageTier, OutboxEntry, Refund, SaleCounters};
use super::{Control, Controlled, LATELY, Word, counts_against_capacity};
use crate::env::{Env, Timestamp};
use crate::guards::Guard;
use crate::order::state::StockEffect;
use crate::order::{Attempt, Order, State, Ticket, email_key};
use crate::sale::{Item, MOST_CAPACITY, PricedItem, Sale};

/// How long an order may wait for its buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// After a decline the buyer has at least this long, also when that goes beyond `order`: an order may have waited its
    /// turn for most of that time. Attempts are bounded, and so is what comes together.
    pub retry: Duration,
    /// At strong authentication (3-D Secure) the buyer has this long, for the same reason also beyond `order`.
    pub authenticate: Duration,
    /// On Stripe's page (hosted Checkout) the buyer has this long, also when that goes beyond `order`; then its Session
    /// is expired, sooner than Stripe would do it.
    pub hosted: Duration,
    /// Thinking time that was left is granted within this time from acceptance, or the length of the sale's holds.
    pub order: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { retry: secs(120), authenticate: secs(300), hosted: secs(600), order: secs(900) }
    }
}

/// By what a limit per customer counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Buyer {
    /// The customer's id.
    Customer(Uuid),
    /// The normalised mail address.
    Email(String),
}

/// A sale, and the counts that move with it.
#[derive(Clone, Debug)]
pub struct SalePage {
    /// The sale.
    pub sale: Sale,
    /// For the place in the queue.
    pub counters: SaleCounters,
    /// Per tier: units of every order that counts against capacity.
    pub committed: BTreeMap<String, u32>,
    /// Per tier: units of refunded tickets that may be sold again; they are not among the committed ones.
    pub returned: BTreeMap<String, u32>,
}

/// A page of the ledger.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// By slug.
    pub sales: BTreeMap<String, SalePage>,
    /// By id.
    pub orders: HashMap<Uuid, Order>,
    /// By order and number.
    pub attempts: BTreeMap<(Uuid, u32), Attempt>,
    /// Which order has which hold.
    pub holds: HashMap<Uuid, Uuid>,
    /// Units that count against the limit: by sale, tier and buyer.
    pub units: HashMap<(String, String, Buyer), u32>,
    /// By id.
    pub refunds: BTreeMap<Uuid, Refund>,
    /// Units that were added: by request, the sale and the line about it.
    pub additions: HashMap<Uuid, (String, String)>,
    /// How long an order may wait.
    pub terms: Terms,
    changes: Changes,
}

/// What a book has changed since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Orders as they were read; `None` for new ones.
    pub orders: BTreeMap<Uuid, Option<Order>>,
    /// Attempts as they were read; `None` for new ones.
    pub attempts: BTreeMap<(Uuid, u32), Option<Attempt>>,
    /// Per sale and tier: how the committed units change.
    pub committed: BTreeMap<(String, String), i64>,
    /// Per sale: how its counters change.
    pub counters: BTreeMap<String, SaleCounters>,
    /// New tickets, with their order.
    pub tickets: Vec<(Uuid, Ticket)>,
    /// New lines of the audit trail.
    pub audit: Vec<AuditEntry>,
    /// New debts to the outside.
    pub outbox: Vec<OutboxEntry>,
    /// Refunds, and whether they are new.
    pub refunds: BTreeMap<Uuid, bool>,
    /// Tickets, and what voids them now.
    pub voided: BTreeMap<Uuid, Option<Uuid>>,
    /// Per sale and tier: units that may be sold again.
    pub returned: BTreeMap<(String, String), u32>,
}

/// The moment of an operation: the ledger's clock, and where ids come from.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The ledger's clock.
    pub now: Timestamp,
    /// Ids and randomness.
    pub env: &'a Env,
}

/// An audit line about an order.
struct Line<'a> {
    what: &'a str,
    by: &'a str,
    attempt: Option<u32>,
    note: Option<String>,
}

impl<'a> Line<'a> {
    fn new(what: &'a str, by: &'a str) -> Self {
        Self { what, by, attempt: None, note: None }
    }

    fn attempt(mut self, number: u32) -> Self {
        self.attempt = Some(number);
        self
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

impl Book {
    /// An empty book.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self { terms, ..Self::default() }
    }

    /// Takes out what was changed since the last time.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Puts a sale into the book, with the counts that were read for it.
    pub fn insert_sale(&mut self, sale: Sale, counters: SaleCounters, committed: BTreeMap<String, u32>) {
        self.sales.insert(sale.slug.clone(), SalePage { sale, counters, committed, returned: BTreeMap::new() });
    }

    /// Puts an order that was read into the book. Its units per buyer are put in apart, by [`Self::insert_units`].
    pub fn insert_order(&mut self, order: Order) {
        self.holds.insert(order.hold, order.id);
        self.orders.insert(order.id, order);
    }

    /// Puts in how many units of a tier a buyer has.
    pub fn insert_units(&mut self, sale: &str, tier: &str, buyer: Buyer, units: u32) {
        self.units.insert((sale.to_owned(), tier.to_owned(), buyer), units);
    }

    /// Steers a sale.
    pub fn control(&mut self, at: Moment<'_>, slug: &str, control: &Control, word: &Word) -> Controlled {
        let Some(page) = self.sales.get_mut(slug) else { return Controlled::UnknownSale };
        let sale = &mut page.sale;
        let mut id = None;
        let (what, note) = match control {
            Control::Open => {
                sale.opens_at = sale.opens_at.min(at.now);
                sale.closes_at = sale.closes_at.filter(|closes| *closes > at.now);
                sale.paused = false;
                ("sale_opened", None)
            }
            Control::Close => {
                sale.closes_at = Some(sale.closes_at.map_or(at.now, |closes| closes.min(at.now)));
                ("sale_closed", None)
            }
            Control::Pause => {
                sale.paused = true;
                ("sale_paused", None)
            }
            Control::Resume => {
                sale.paused = false;
                ("sale_resumed", None)
            }
            Control::AddStock { tier, quantity, request } => {
                let told = format!("{quantity} × {tier}");
                if let Some((of_sale, line)) = self.additions.get(request) {
                    let same = of_sale == slug && (*line == told || line.starts_with(&format!("{told}: ")));
                    return if same { Controlled::Again } else { Controlled::Conflict };
                }
                let Some(found) = sale.tiers.iter_mut().find(|t| t.id == *tier) else { return Controlled::UnknownTier };
                match found.capacity.checked_add(*quantity) {
                    Some(capacity) if capacity <= MOST_CAPACITY => found.capacity = capacity,
                    _ => return Controlled::TooMuch,
                }
                id = Some(*request);
                ("stock_added", Some(told))
            }
        };
        let note = [note, word.why.clone()].into_iter().flatten().reduce(|note, why| format!("{note}: {why}"));
        if let (Control::AddStock { request, .. }, Some(line)) = (control, &note) {
            self.additions.insert(*request, (slug.to_owned(), line.clone()));
        }
        self.changes.audit.push(AuditEntry {
            id: id.unwrap_or_else(|| at.env.uuid_v7()),
            order: None,
            sale: slug.to_owned(),
            at: at.now,
            what: what.to_owned(),
            attempt: None,
            version: None,
            note,
            by: word.by.clone(),
        });
        Controlled::Yes
    }

    /// What the stock must show for a sale, from every order in this book.
    #[must_use]
    pub fn image(&self, slug: &str) -> Option<Image> {
        let page = self.sales.get(slug)?;
        let mut image = Image::empty(&page.sale);
        let mut orders: Vec<&Order> = self.orders.values().filter(|order| order.sale == slug).collect();
        orders.sort_by_key(|order| order.id);
        for order in orders {
            image.add(order);
        }
        image.sold = self.sold_lately(slug);
        for tier in &mut image.tiers {
            tier.returned = page.returned.get(&tier.id).copied().unwrap_or(0);
            tier.sold = tier.sold.saturating_sub(tier.returned);
        }
        Some(image)
    }

    /// The orders of a sale that were paid last.
    fn sold_lately(&self, slug: &str) -> Vec<ImagePin> {
        let sold = |order: &&Order| order.sale == slug && order.state.stock() == StockEffect::Sold;
        let last = self.orders.values().filter(sold).map(|order| order.updated_at).max();
        let lately = |order: &&Order| last.is_some_and(|last| order.updated_at >= last.minus(LATELY));
        let mut sold: Vec<ImagePin> = self.orders.values().filter(sold).filter(lately).map(ImagePin::of).collect();
        sold.sort_by_key(|one| one.order);
        sold
    }

    fn audit(&mut self, at: Moment<'_>, order: &Order, line: Line<'_>) {
        self.changes.audit.push(AuditEntry {
            id: at.env.uuid_v7(),
            order: Some(order.id),
            sale: order.sale.clone(),
            at: at.now,
            what: line.what.to_owned(),
            attempt: line.attempt,
            version: Some(order.version),
            note: line.note,
            by: line.by.to_owned(),
        });
    }

    /// Writes a changed order back: version, time, and the counters of its sale.
    fn put(&mut self, at: Moment<'_>, mut order: Order, from: Option<State>) -> Order {
        order.version += 1;
        order.updated_at = at.now;
        let (was, is) = (from.is_some_and(State::is_in_queue), order.state.is_in_queue());
        if was != is
            && let Some(page) = self.sales.get_mut(&order.sale)
        {
            let change = self.changes.counters.entry(order.sale.clone()).or_default();
            if is {
                page.counters.accepted += 1;
                change.accepted += 1;
                order.queue_number = page.counters.accepted;
            } else {
                page.counters.finished += 1;
                change.finished += 1;
            }
        }
        self.holds.insert(order.hold, order.id);
        let read = self.orders.insert(order.id, order.clone());
        self.changes.orders.entry(order.id).or_insert(read);
        order
    }

    fn put_attempt(&mut self, attempt: Attempt) {
        let key = (attempt.order, attempt.number);
        let read = self.attempts.insert(key, attempt);
        self.changes.attempts.entry(key).or_insert(read);
    }

    /// Whether all items fit into what is left, by the ledger's own count; else the first tier that does not.
    fn first_full_tier(&self, slug: &str, items: &[PricedItem]) -> Option<String> {
        let page = self.sales.get(slug)?;
        items.iter().find_map(|item| {
            let capacity = page.sale.tier(&item.tier).map_or(0, |tier| tier.capacity);
            let committed = page.committed.get(&item.tier).copied().unwrap_or(0);
            Guard::LedgerUnits.refuses(committed.saturating_add(item.quantity) > capacity).then(|| item.tier.clone())
        })
    }

    /// Adds an order's units to what is committed, or takes them off.
    fn commit_units(&mut self, order: &Order, add: bool) {
        let Some(page) = self.sales.get_mut(&order.sale) else { return };
        for item in &order.items {
            let change = if add { i64::from(item.quantity) } else { -i64::from(item.quantity) };
            let committed = page.committed.entry(item.tier.clone()).or_default();
            *committed = committed.saturating_add_signed(i32::try_from(change).unwrap_or(0));
            *self.changes.committed.entry((order.sale.clone(), item.tier.clone())).or_default() += change;
            for buyer in [Buyer::Customer(order.customer), Buyer::Email(order.email_key.clone())] {
                let units = self.units.entry((order.sale.clone(), item.tier.clone(), buyer)).or_default();
                *units = units.saturating_add_signed(i32::try_from(change).unwrap_or(0));
            }
        }
    }
}

impl Image {
    /// What the stock shows of a sale without orders.
    #[must_use]
    pub fn empty(sale: &Sale) -> Self {
        Self {
            sale: sale.slug.clone(),
            currency: sale.currency,
            epoch: sale.epoch,
            paused: sale.paused,
            tiers: sale
                .tiers
                .iter()
                .map(|tier| ImageTier {
                    id: tier.id.clone(),
                    capacity: tier.capacity,
                    sold: 0,
                    returned: 0,
                    max_per_customer: tier.max_per_customer,
                })
                .collect(),
            pins: Vec::new(),
            bought: Vec::new(),
            sold: Vec::new(),
        }
    }

    /// Adds what one order has of the stock.
    pub fn add(&mut self, order: &Order) {
        match order.state.stock() {
            StockEffect::Released => {}
            StockEffect::Pinned => self.pins.push(ImagePin::of(order)),
            StockEffect::Sold => {
                for item in &order.items {
                    if let Some(tier) = self.tiers.iter_mut().find(|tier| tier.id == item.tier) {
                        tier.sold = tier.sold.saturating_add(item.quantity);
                    }
                    let item = Item { tier: item.tier.clone(), quantity: item.quantity };
                    self.bought.push((order.customer, item));
                }
            }
        }
        debug_assert_eq!(counts_against_capacity(order.state), order.state.stock() != StockEffect::Released);
    }
}

impl ImagePin {
    fn of(order: &Order) -> Self {
        Self {
            order: order.id,
            hold: order.hold,
            customer: order.customer,
            version: order.version,
            items: order.items.clone(),
        }
    }
}

/// The buyers that an order counts for.
#[must_use]
pub fn buyers(customer: Uuid, email: &str) -> [Buyer; 2] {
    [Buyer::Customer(customer), Buyer::Email(email_key(email))]
}
