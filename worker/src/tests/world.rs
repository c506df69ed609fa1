//! A shop in one thread: the in-memory parts, a small Stripe, a seeded clock, and a web process of a few lines.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use shared::budget::{Budget, Limits};
use shared::env::{Env, Seeded};
use shared::jobs::{Authentication, Cause, CreateCharge, ProcessResponse, QUEUES, Review, Webhook};
use shared::ledger::book::Terms;
use shared::ledger::memory::MemoryLedger;
use shared::ledger::{Accept, Accepted, Created, InboxEvent, Ledger as _};
use shared::message::Message;
use shared::order::{Order, State};
use shared::queue::memory::Memory;
use shared::queue::worker::JobInfo;
use shared::queue::{Delivery, Finish, Gauges, Job, NewJob, Queue as _, QueueOptions};
use shared::rooms::memory::MemoryRooms;
use shared::rooms::{Received, Rooms as _, Subscription};
use shared::sale::{PricedItem, Sale, Tier};
use shared::stock::memory::MemoryStock;
use shared::stock::{Levels, Pinned, Reserve, Reserved, Stock as _};
use uuid::Uuid;

use super::faults::{Faults, Flaky, FlakyQueue};
use super::stripe::SmallStripe;
use crate::authentication::authentication;
use crate::create_charge::create_charge;
use crate::process_response::process_response;
use crate::review::review;
use crate::webhook::webhook;
use crate::{Context, Patience, sweep};

/// Every queue, in the order in which [`World::work`] looks.
/// The price of a unit, in minor units.
pub(super) const PRICE: i64 = 2_500;
/// How long a buyer may think.
pub(super) const THINK: Duration = Duration::from_secs(600);
/// How long the web process waits for the ledger: half of what an orphan pin is left alone for.
const ACCEPT_WITHIN: Duration = Duration::from_secs(5);

/// What a shopper's page remembers.
#[derive(Clone, Debug)]
pub(super) struct Purchase {
    pub(super) order: Uuid,
    pub(super) customer: Uuid,
    pub(super) tier: String,
    pub(super) quantity: u32,
    pub(super) token: String,
}

/// The shop.
pub(super) struct World {
    pub(super) seeded: Seeded,
    pub(super) env: Env,
    pub(super) faults: Arc<Faults>,
    pub(super) ledger: Arc<MemoryLedger>,
    pub(super) stock: Arc<MemoryStock>,
    pub(super) queue: Arc<FlakyQueue<Memory>>,
    pub(super) stripe: Arc<SmallStripe>,
    pub(super) ctx: Context,
    subscription: Mutex<Box<dyn Subscription>>,
    /// Per order, every frame about it.
    heard: Mutex<HashMap<Uuid, Vec<Value>>>,
}

/// The result of a future that has no reason to wait.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits here")
}

impl World {
    /// A shop with these tiers: id, price, capacity.
    pub(super) fn with(seed: u64, tiers: &[(&str, i64, u32)]) -> Self {
        let seeded = Seeded::new(seed);
        let env = seeded.env();
        let faults = Faults::new(env.clone());
        let ledger = Arc::new(MemoryLedger::new(env.clone(), Terms::default()));
        let stock = Arc::new(MemoryStock::new(env.clone()));
        let rooms = Arc::new(MemoryRooms::default());
        let store = Arc::new(Memory::new(env.clone(), QueueOptions::default()));
        let queue = Arc::new(FlakyQueue { store: Mutex::new(store), faults: faults.clone() });
        let stripe = SmallStripe::new(env.clone(), faults.clone());
        let ctx = Context {
            env: env.clone(),
            ledger: Arc::new(Flaky { inner: ledger.clone(), faults: faults.clone() }),
            stock: Arc::new(Flaky { inner: stock.clone(), faults: faults.clone() }),
            queue: queue.clone(),
            rooms: Arc::new(Flaky { inner: rooms.clone(), faults: faults.clone() }),
            stripe: stripe.clone(),
            budget: Arc::new(Budget::alone(env.clone(), Limits::default())),
            patience: Patience::default(),
        };
        let subscription = Mutex::new(now(rooms.subscribe()).unwrap());
        assert_eq!(now(ledger.create_sale(sale(&env, tiers))).unwrap(), Created::Yes);
        let world =
            Self { seeded, env, faults, ledger, stock, queue, stripe, ctx, subscription, heard: Mutex::default() };
        world.rebuild();
        world
    }

    /// A shop with so many equal tickets.
    pub(super) fn new(capacity: u32) -> Self {
        Self::with(1, &[("std", PRICE, capacity)])
    }

    /// The stock is made anew from the ledger.
    pub(super) fn rebuild(&self) {
        let image = now(self.ledger.begin_epoch("demo", "run")).unwrap().unwrap();
        now(self.stock.rebuild(image)).unwrap();
    }

    /// The queue's store loses everything.
    pub(super) fn lose_queue(&self) {
        *self.queue.store.lock() = Arc::new(Memory::new(self.env.clone(), QueueOptions::default()));
    }

    pub(super) fn pass(&self, time: Duration) {
        self.seeded.advance(time);
    }

    pub(super) fn pass_secs(&self, secs: u64) {
        self.pass(Duration::from_secs(secs));
    }

    /// A purchase of one standard ticket, not sent yet.
    pub(super) fn purchase(&self, token: &str) -> Purchase {
        let (order, customer) = (self.env.uuid_v7(), self.env.uuid_v4());
        Purchase { order, customer, tier: "std".into(), quantity: 1, token: token.into() }
    }

    /// Holds, pins, accepts and queues a purchase of one standard ticket.
    pub(super) fn buy(&self, token: &str) -> Purchase {
        let purchase = self.purchase(token);
        let accepted = now(buy(self.ctx.clone(), purchase.clone()));
        assert!(matches!(accepted, Some(Accepted::New(_))), "{accepted:?}");
        purchase
    }

    /// Another card for the same order.
    pub(super) fn pay_again(&self, purchase: &Purchase, token: &str) -> Option<Accepted> {
        now(pay(self.ctx.clone(), Purchase { token: token.into(), ..purchase.clone() }))
    }

    pub(super) fn order(&self, purchase: &Purchase) -> Order {
        now(self.ledger.order(purchase.order)).unwrap().expect("no such order")
    }

    pub(super) fn state(&self, purchase: &Purchase) -> State {
        self.order(purchase).state
    }

    /// Whether a charge is owed, and has been neither settled nor given up.
    pub(super) fn owed(&self, purchase: &Purchase) -> bool {
        self.state(purchase).is_in_queue()
    }

    /// Takes the next job of a queue, if one can be delivered.
    pub(super) fn deliver(&self, queue: &'static str) -> Option<Delivery> {
        let fetched = self.queue.store().fetch(queue, "worker", 1).now_or_never()?;
        fetched.unwrap().pop()
    }

    /// The handler of a delivered job, not yet polled.
    pub(super) fn handler(&self, delivery: &Delivery) -> BoxFuture<'static, Finish> {
        const CRASHES: u32 = 5;
        let (ctx, info) = (self.ctx.clone(), JobInfo::of(delivery));
        let admitted = match delivery.lease.queue {
            CreateCharge::QUEUE => delivery.admit(CRASHES).map(|job| create_charge(ctx, job, info).boxed()),
            ProcessResponse::QUEUE => delivery.admit(CRASHES).map(|job| process_response(ctx, job, info).boxed()),
            Authentication::QUEUE => delivery.admit(CRASHES).map(|job| authentication(ctx, job, info).boxed()),
            Review::QUEUE => delivery.admit(CRASHES).map(|job| review(ctx, job, info).boxed()),
            _ => delivery.admit(CRASHES).map(|job| webhook(ctx, job, info).boxed()),
        };
        admitted.unwrap_or_else(|dead| std::future::ready(dead).boxed())
    }

    pub(super) fn finish(&self, delivery: &Delivery, end: Finish) -> bool {
        now(self.queue.store().finish(&[(delivery.lease.clone(), end)])).unwrap()[0]
    }

    /// Runs something to its end. Where it waits for a time, that time passes.
    pub(super) fn to_the_end<T>(&self, mut work: BoxFuture<'_, T>) -> T {
        loop {
            if let Some(end) = (&mut work).now_or_never() {
                return end;
            }
            self.pass(self.seeded.next_wake().expect("it waits for nothing that comes by itself"));
        }
    }

    fn step(&self, queue: &'static str) -> Finish {
        let delivery = self.deliver(queue).expect("no job can be delivered");
        let end = self.to_the_end(self.handler(&delivery));
        assert!(self.finish(&delivery, end.clone()));
        end
    }

    /// Takes the next charge from the queue to its end.
    pub(super) fn charge(&self) -> Finish {
        self.step(CreateCharge::QUEUE)
    }

    /// Takes the next response from the queue to its end.
    pub(super) fn respond(&self) -> Finish {
        self.step(ProcessResponse::QUEUE)
    }

    /// A worker takes the next job and is killed where it stops.
    pub(super) fn killed(&self, queue: &'static str) {
        let delivery = self.deliver(queue).expect("no job can be delivered");
        assert!(self.handler(&delivery).now_or_never().is_none(), "it was to stop, and did not");
        assert!(self.faults.all_happened());
    }

    /// Takes the next webhook event from the queue to its end.
    pub(super) fn heed(&self) -> Finish {
        self.step(Webhook::QUEUE)
    }

    /// What the web process does when a page says how far its buyer is.
    pub(super) fn refresh(&self, purchase: &Purchase, cause: Cause) {
        self.push(&Authentication::of(&self.order(purchase), cause));
    }

    /// Works off whatever can be delivered now.
    pub(super) fn work(&self) {
        while let Some(delivery) = QUEUES.into_iter().find_map(|queue| self.deliver(queue)) {
            let end = self.to_the_end(self.handler(&delivery));
            self.finish(&delivery, end);
        }
    }

    /// One round of the sweep, and the jobs that it leads to.
    pub(super) fn sweep(&self) {
        now(sweep::round(&self.ctx));
    }

    /// Lets time pass, sweeping and working as a worker process would, in steps of half a minute.
    pub(super) fn live(&self, time: Duration) {
        let step = Duration::from_secs(30);
        for _ in 0..time.as_secs().div_ceil(step.as_secs()) {
            self.pass(step);
            self.sweep();
            self.work();
        }
    }

    /// Pushes a job by hand, as a webhook would.
    pub(super) fn push<J: Job>(&self, job: &J) {
        now(self.queue.store().push(vec![NewJob::of(job).unwrap()])).unwrap();
    }

    pub(super) fn gauges(&self, queue: &'static str) -> Gauges {
        now(self.queue.store().gauges(queue)).unwrap()
    }

    /// What the web process does with an event of Stripe's; its id.
    pub(super) fn hear(&self, kind: &str, payment_intent: &str, order: &str) -> String {
        let object_kind = if payment_intent.starts_with("cs_") { "checkout.session" } else { "payment_intent" };
        let object = json!({"id": payment_intent, "object": object_kind, "metadata": {"order": order}});
        self.hear_object(kind, &object)
    }

    /// The same with an event about a refund; one of the dashboard's names no order.
    pub(super) fn hear_of_refund(&self, kind: &str, refund: &str, payment_intent: &str, order: Option<Uuid>) -> String {
        let object = json!({
            "id": refund, "object": "refund", "payment_intent": payment_intent,
            "metadata": order.map_or_else(|| json!({}), |order| json!({"order": order})),
        });
        self.hear_object(kind, &object)
    }

    fn hear_object(&self, kind: &str, object: &Value) -> String {
        let id = format!("evt_{}", self.env.uuid_v7().simple());
        let body = json!({"id": id, "type": kind, "livemode": false, "data": {"object": object}}).to_string();
        let event = InboxEvent { id: id.clone(), received_at: self.env.now(), body };
        assert_eq!(now(self.ledger.store_events(vec![event])).unwrap(), [true]);
        self.push(&Webhook::of(&id));
        id
    }

    /// Events of the inbox that something remains to be done about.
    pub(super) fn unhandled(&self) -> usize {
        now(self.ledger.unhandled_events(1_000)).unwrap().len()
    }

    /// Jobs of all queues that are not dead.
    pub(super) fn unfinished(&self) -> u64 {
        let open = |g: Gauges| g.waiting + g.running + g.delayed;
        QUEUES.into_iter().map(|queue| open(self.gauges(queue))).sum()
    }

    pub(super) fn levels(&self) -> Levels {
        let levels = now(self.stock.levels("demo")).unwrap().unwrap();
        for tier in &levels.tiers {
            assert_eq!(tier.capacity, tier.free + tier.held + tier.sold, "conservation: {tier:?}");
            assert!(tier.pinned <= tier.held, "{tier:?}");
        }
        levels
    }

    /// Free, held and sold standard tickets.
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        let tier = &self.levels().tiers[0];
        (tier.free, tier.held, tier.sold)
    }

    fn listen(&self) {
        let mut subscription = self.subscription.lock();
        let mut heard = self.heard.lock();
        while let Some(received) = subscription.next().now_or_never() {
            let Some(Received::Message(message)) = received else { panic!("messages were lost") };
            let mut frame: Value = serde_json::from_str(&message.frame).unwrap();
            let order = frame["order"].take();
            heard.entry(order["id"].as_str().unwrap().parse().unwrap()).or_default().push(order);
        }
    }

    /// Every message about an order.
    pub(super) fn messages(&self, order: Uuid) -> Vec<Value> {
        self.listen();
        self.heard.lock().get(&order).cloned().unwrap_or_default()
    }

    /// The web process subscribes anew, and takes a snapshot of its rooms.
    pub(super) fn snapshot(&self, orders: &[Order]) {
        self.listen();
        for order in orders {
            let frame = Message::order(order, self.env.now(), None).to_json();
            let order_view = serde_json::from_str::<Value>(&frame).unwrap()["order"].take();
            self.heard.lock().entry(order.id).or_default().push(order_view);
        }
    }

    /// What its room was last told of an order: the message of the highest version.
    pub(super) fn told(&self, order: Uuid) -> Option<Value> {
        self.messages(order).into_iter().max_by_key(|order| order["version"].as_i64())
    }

    /// The state that its room was last told.
    pub(super) fn told_state(&self, purchase: &Purchase) -> String {
        self.told(purchase.order).map_or_else(String::new, |order| order["state"].as_str().unwrap().to_owned())
    }
}

fn sale(env: &Env, tiers: &[(&str, i64, u32)]) -> Sale {
    let tier = |(id, amount, capacity): &(&str, i64, u32)| Tier {
        id: (*id).into(),
        name: (*id).into(),
        amount: *amount,
        capacity: *capacity,
        max_per_customer: None,
        opens_at: None,
        closes_at: None,
    };
    Sale {
        slug: "demo".into(),
        name: "Demo".into(),
        currency: "usd".parse().unwrap(),
        opens_at: env.now(),
        closes_at: None,
        hold_ms: i64::try_from(THINK.as_millis()).unwrap(),
        late: shared::sale::LatePolicy::default(),
        paused: false,
        epoch: 0,
        tiers: tiers.iter().map(tier).collect(),
    }
}

/// What the web process does with a new purchase; `None` when it could not say.
pub(super) async fn buy(ctx: Context, purchase: Purchase) -> Option<Accepted> {
    let sale = ctx.ledger.sales().await.ok()?.pop()?;
    let amount = sale.tier(&purchase.tier)?.amount;
    let reserve = Reserve {
        hold: purchase.order,
        sale: sale.slug,
        customer: purchase.customer,
        items: vec![PricedItem { tier: purchase.tier.clone(), quantity: purchase.quantity, amount }],
        currency: sale.currency,
        think: THINK,
        order: None,
    };
    match ctx.stock.reserve(reserve).await.ok()? {
        Reserved::Yes { .. } => pay(ctx, purchase).await,
        Reserved::SoldOut { tier } => Some(Accepted::SoldOut { tier }),
        _ => None,
    }
}

/// What the web process does with a token: pin, accept, queue.
pub(super) async fn pay(ctx: Context, purchase: Purchase) -> Option<Accepted> {
    let accept_by = ctx.ledger.now().plus(ACCEPT_WITHIN);
    let (hold, order, customer) = (purchase.order, purchase.order, purchase.customer);
    let pinned = match ctx.stock.pin(hold, order, customer).await.ok()? {
        Pinned::Yes { hold, new } => Some((hold, new)),
        Pinned::Gone | Pinned::Taken => None,
    };
    let (pinned, new) = pinned.map_or((None, false), |(hold, new)| (Some(hold), new));
    let accept = Accept {
        order,
        customer,
        hold,
        sale: pinned.as_ref().map(|hold| hold.sale.clone()).unwrap_or_default(),
        epoch: pinned.as_ref().map(|hold| hold.epoch),
        items: pinned.as_ref().map(|hold| hold.items.clone()).unwrap_or_default(),
        currency: "usd".parse().unwrap(),
        email: format!("{customer}@example.com"),
        name: "A. Shopper".into(),
        token: purchase.token,
        think_ms: pinned.as_ref().map_or(0, |hold| hold.think_ms),
        accept_by,
        // Some find a line of this length, and others do not.
        short_line: u32::from(order.as_bytes()[15] % 4),
    };
    let accepted = ctx.ledger.accept(accept).await.ok()?;
    match &accepted {
        Accepted::New(order) | Accepted::NextAttempt(order) | Accepted::Replay(order) if order.state.is_in_queue() => {
            // What is not pushed is owed, and the sweep pushes it.
            let _ = ctx.queue.push(vec![NewJob::of(&CreateCharge::of(order)).unwrap()]).await;
        }
        Accepted::Replay(_) => {}
        Accepted::Conflict | Accepted::InProgress | Accepted::Ended(_) | Accepted::NoAttemptsLeft(_) => {}
        // Only who pinned may undo it.
        _ if new => {
            let sale = pinned.map(|hold| hold.sale).unwrap_or_default();
            let _ = ctx.stock.unpin(&sale, hold, order).await;
        }
        _ => {}
    }
    Some(accepted)
}
