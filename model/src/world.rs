//! What the world is at one moment.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use shared::decline::Decline;
use shared::env::{Env, Source, Timestamp};
use shared::ledger::SaleCounters;
use shared::ledger::book::{Book, Moment, Terms};
use shared::order::state::StockEffect;
use shared::order::{Order, Outcome, State};
use shared::sale::{Sale, Tier};
use uuid::Uuid;
use worker::decide::Step;

use crate::rules::{Mishaps, Rules, Wrong};
use crate::stripe::Stripe;

/// What a ticket costs, in minor units.
pub const AMOUNT: i64 = 2_500;
/// The sale's slug.
pub const SALE: &str = "gate";
/// The tier's id.
pub const TIER: &str = "standing";
const START: Timestamp = Timestamp(1_767_225_600_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The id of an order, which is its hold's, too.
#[must_use]
pub fn id_of(order: u8) -> Uuid {
    Uuid::from_u128(0x100 + u128::from(order))
}

/// The order of an id.
#[must_use]
pub fn number_of(id: Uuid) -> u8 {
    u8::try_from(id.as_u128().saturating_sub(0x100)).unwrap_or(u8::MAX)
}

/// A value of the product's that cannot be hashed, with the hash of what matters of it.
#[derive(Clone)]
pub struct Known<T>(Arc<T>, u64);

impl<T> Known<T> {
    /// Keeps a value; `digest` is of what matters of it.
    pub fn new(value: T, digest: u64) -> Self {
        Self(Arc::new(value), digest)
    }
}

impl<T: fmt::Debug> Known<T> {
    /// Keeps a value whose debug output shows everything that matters.
    pub fn shown(value: T) -> Self {
        let digest = digest(&format!("{value:?}"));
        Self::new(value, digest)
    }
}

impl<T> std::ops::Deref for Known<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> PartialEq for Known<T> {
    fn eq(&self, other: &Self) -> bool {
        self.1 == other.1
    }
}

impl<T> Eq for Known<T> {}

impl<T> Hash for Known<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.1.hash(hasher);
    }
}

impl<T: fmt::Debug> fmt::Debug for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An order as somebody read it.
pub type Seen = Known<Order>;

/// What matters of an order.
#[must_use]
pub fn seen(order: &Order) -> Seen {
    Known::new(order.clone(), digest(&of_order(order)))
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn of_order(order: &Order) -> impl Hash + use<'_> {
    (
        (number_of(order.id), order.state, order.version, order.attempt),
        (&order.payment_intent, &order.charge, order.closing.map(|closing| (closing.from, closing.to))),
        (order.expires_at.is_some(), order.review.is_some(), order.tickets.len()),
    )
}

/// The ledger's page: the product's own book.
pub type Page = Known<Book>;

fn of_book(book: &Book) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut orders: Vec<&Order> = book.orders.values().collect();
    orders.sort_by_key(|order| order.id);
    for order in orders {
        of_order(order).hash(&mut hasher);
    }
    for ((order, number), attempt) in &book.attempts {
        let request = attempt.request.as_ref().map(|request| (&request.path, &request.body));
        (number_of(*order), number, attempt.state as u8, request, &attempt.payment_intent).hash(&mut hasher);
        attempt.first_sent_at.hash(&mut hasher);
    }
    let mut refunds: Vec<_> = book.refunds.values().map(|r| (&r.payment_intent, r.state as u8, &r.reason)).collect();
    refunds.sort();
    refunds.hash(&mut hasher);
    for page in book.sales.values() {
        page.committed.hash(&mut hasher);
    }
    hasher.finish()
}

/// What the stock shows of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shelf {
    /// The version of its order that it was last told of.
    pub version: i64,
    /// What it shows.
    pub effect: StockEffect,
}

impl Hash for Shelf {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.version, self.effect as u8).hash(hasher);
    }
}

/// Where a buyer's call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Has not asked yet.
    Browses,
    /// The stock holds a ticket; the ledger has not been asked. Whether it is too late for that by now.
    Pinned {
        /// The pin was freed: the ledger refuses what comes later.
        late: bool,
    },
    /// In the ledger; the job is not queued yet.
    Committed,
    /// Answered, or given up.
    Over,
}

/// A job's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// `create_charge`, of an order's attempt.
    Charge(u8, u32),
    /// `process_response`, of an order's attempt.
    Respond(u8, u32),
    /// `webhook`, about a PaymentIntent; two events of it can be seen to at once.
    Hint(usize, u8),
    /// `authentication`, of an order's attempt; whether the buyer wants another card.
    Buyer(u8, u32, bool),
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Job {
    /// Who has it.
    pub lease: Option<usize>,
    /// It is a dead letter.
    pub dead: bool,
    /// Of `process_response`.
    pub outcome: Option<Known<Outcome>>,
}

/// For what a worker asks Stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// To charge: what is learned becomes a job.
    Charge(Key),
    /// To see after a charge that Stripe thinks about: so does what it comes to.
    SeeAfter(Key),
    /// An event spoke of it, or its buyer was silent: what is learned is settled at once.
    Settle(Key),
    /// To close an order: what is learned becomes a job.
    Close,
}

/// Where a worker is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// Has nothing to do.
    Idle,
    /// Is about to look up a payment.
    LooksUp(Task, Seen),
    /// Has read the ledger, and is about to read what Stripe says of this PaymentIntent.
    Reads(Key, Seen, usize),
    /// Has a request under way.
    Waits(Task, Seen, Option<Known<Decline>>),
    /// Knows what an answer asks for.
    Knows(Task, Seen, Known<Step>),
    /// Is about to make the stock show an order.
    Shows(Seen, Key),
    /// Knows that Stripe gave this payment back.
    Refunded(usize),
}

/// What is on its way to Stripe, and may arrive long after its sender has given it up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// Who waits for the answer.
    pub waiter: Option<usize>,
    /// What it asks.
    pub what: What,
}

/// See [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// An attempt's stored request, under this key.
    Charge(u8, u32, String),
    /// Cancel a PaymentIntent.
    Cancel(usize),
}

/// The world at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The ledger.
    pub ledger: Page,
    /// The stock, by order.
    pub shelves: Vec<Option<Shelf>>,
    /// The buyers' calls, by order.
    pub calls: Vec<Call>,
    /// The queue.
    pub jobs: BTreeMap<Key, Job>,
    /// The workers.
    pub workers: Vec<At>,
    /// What is on its way.
    pub network: Vec<Request>,
    /// Stripe.
    pub stripe: Stripe,
    /// How much may still happen.
    pub left: Mishaps,
    /// Orders that a person called off, on their own word that nothing can be paid any more.
    pub rejected: Vec<bool>,
    /// A rule that a step broke.
    pub broken: Option<&'static str>,
}

impl World {
    /// Before anybody asks.
    #[must_use]
    pub fn new(rules: &Rules) -> Self {
        let mut book = Book::new(Terms::default());
        let capacity = if rules.wrong == Some(Wrong::NoSecondGate) { u32::from(u8::MAX) } else { rules.tickets };
        book.insert_sale(sale(rules, capacity), SaleCounters::default(), BTreeMap::new());
        let buyers = usize::from(rules.shoppers);
        let digest = of_book(&book);
        Self {
            ledger: Known::new(book, digest),
            shelves: vec![None; buyers],
            calls: vec![Call::Browses; buyers],
            jobs: BTreeMap::new(),
            workers: vec![At::Idle; usize::from(rules.workers)],
            network: Vec::new(),
            stripe: Stripe::default(),
            left: rules.mishaps,
            rejected: vec![false; buyers],
            broken: None,
        }
    }

    /// An order, if it was accepted.
    #[must_use]
    pub fn order(&self, order: u8) -> Option<&Order> {
        self.ledger.orders.get(&id_of(order))
    }

    /// Every accepted order.
    pub fn orders(&self) -> impl Iterator<Item = (u8, &Order)> {
        (0..self.calls.len()).filter_map(|at| {
            let at = u8::try_from(at).ok()?;
            Some((at, self.order(at)?))
        })
    }

    /// The ledger's clock.
    #[must_use]
    pub fn now(&self, rules: &Rules) -> Timestamp {
        START.plus(DAY * u32::from(rules.mishaps.days - self.left.days))
    }

    /// Lets the book decide.
    pub fn write<T>(&mut self, rules: &Rules, decide: impl FnOnce(&mut Book, Moment<'_>) -> T) -> T {
        let mut book = (*self.ledger).clone();
        let env = Env::new(Arc::new(Ids(self.ledger.1.into(), self.now(rules))));
        let outcome = decide(&mut book, Moment { now: env.now(), env: &env });
        book.take_changes();
        for (id, was) in &self.ledger.orders {
            let Some(is) = book.orders.get(id) else { continue };
            self.broken = self.broken.or(breach(was, is));
        }
        let digest = of_book(&book);
        self.ledger = Known::new(book, digest);
        outcome
    }

    /// Puts a job into the queue; a key that is there is not put in again.
    pub fn push(&mut self, key: Key, outcome: Option<Known<Outcome>>) {
        self.jobs.entry(key).or_insert(Job { outcome, ..Job::default() });
    }

    /// Whether a job is still this worker's: who lost the lease ends nothing.
    #[must_use]
    pub fn has(&self, worker: usize, key: Key) -> bool {
        self.jobs.get(&key).is_some_and(|job| job.lease == Some(worker))
    }

    /// A worker is done with a job.
    pub fn finish(&mut self, worker: usize, key: Key) {
        if self.has(worker, key) {
            self.jobs.remove(&key);
        }
        self.workers[worker] = At::Idle;
    }

    /// A worker gives a job back, to be done again.
    pub fn again(&mut self, worker: usize, key: Key) {
        if self.has(worker, key)
            && let Some(job) = self.jobs.get_mut(&key)
        {
            job.lease = None;
        }
        self.workers[worker] = At::Idle;
    }

    /// The stock is told of an order; `false` when it has no room for one that is paid late.
    pub fn settle_stock(&mut self, rules: &Rules, order: &Order) -> bool {
        let settlement = worker::settle::settlement(order);
        let taken = self.shelves.iter().flatten().filter(|shelf| shelf.effect != StockEffect::Released).count();
        let Some(Some(shelf)) = self.shelves.get_mut(usize::from(number_of(settlement.order))) else { return true };
        if settlement.version <= shelf.version && rules.wrong != Some(Wrong::NoVersions) {
            return true;
        }
        let takes = shelf.effect == StockEffect::Released && settlement.effect != StockEffect::Released;
        if takes && taken >= usize::try_from(rules.tickets).unwrap_or(usize::MAX) {
            return false;
        }
        *shelf = Shelf { version: settlement.version, effect: settlement.effect };
        true
    }

    /// Brings workers, who are all alike, into one order: what differs only in who does it is one world.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.network.sort();
        let [first, second] = self.workers.as_slice() else { return self };
        if digest(first) <= digest(second) {
            return self;
        }
        self.workers.swap(0, 1);
        for job in self.jobs.values_mut() {
            job.lease = job.lease.map(|worker| 1 - worker);
        }
        for request in &mut self.network {
            request.waiter = request.waiter.map(|worker| 1 - worker);
        }
        self.network.sort();
        self
    }
}

/// What no step may do to an order.
fn breach(was: &Order, is: &Order) -> Option<&'static str> {
    if is.version < was.version || (is.state != was.state && is.version == was.version) {
        return Some("a version does not grow");
    }
    match (was.state, is.state) {
        (State::Paid, to) if to != State::Paid => Some("a success is taken back"),
        (State::Expired | State::Canceled, to) if to != was.state && to != State::Paid => Some("an end is no end"),
        _ if is.tickets.len() < was.tickets.len() => Some("a ticket is lost"),
        _ => None,
    }
}

fn sale(rules: &Rules, capacity: u32) -> Sale {
    let tier = Tier {
        id: TIER.into(),
        name: TIER.into(),
        amount: AMOUNT,
        capacity,
        max_per_customer: None,
        opens_at: None,
        closes_at: None,
    };
    Sale {
        slug: SALE.into(),
        name: SALE.into(),
        currency: shared::money::Currency::default(),
        opens_at: START,
        closes_at: None,
        hold_ms: 600_000,
        late: rules.late,
        paused: false,
        epoch: 1,
        tiers: vec![tier],
    }
}

/// Ids that follow from the page that they are written on.
struct Ids(std::sync::atomic::AtomicU64, Timestamp);

impl Source for Ids {
    fn now(&self) -> Timestamp {
        self.1
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn random_u64(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, std::sync::atomic::Ordering::Relaxed)
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}
