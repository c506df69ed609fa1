//! A random walk: shoppers, workers and a sweep, interleaved at every call, with failures, kills and a moody Stripe.
//!
//! The invariants are checked after every step. Then everything heals, and every order must come to its end. A seed
//! replays exactly; a failure names it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use shared::decline::DeclineClass;
use shared::env::Seeded;
use shared::jobs::{Authentication, Cause, CreateCharge, ProcessResponse, Webhook};
use shared::ledger::{Change, Ledger as _, Word};
use shared::order::{MOST_ATTEMPTS, Order, Outcome, State, hosted};
use shared::queue::{Delivery, Finish, Job};
use shared::stripe::Payment;
use shared::stripe::webhook::EVENT_TYPES;
use uuid::Uuid;

use super::stripe::{Page, Status};
use super::world::{PRICE, Purchase, World, buy, now, pay};
use crate::settle::settle;
use crate::sweep;

const SEEDS: u64 = 300;
const STEPS: u32 = 220;
const TIERS: [(&str, i64, u32); 2] = [("std", PRICE, 6), ("free", 0, 2)];

/// Something under way, stopped at a call.
enum Work {
    Job(Delivery, BoxFuture<'static, Finish>),
    Page(Uuid, BoxFuture<'static, ()>),
    /// A round of the sweep, or a webhook.
    Other(BoxFuture<'static, ()>),
}

/// Nothing goes on for longer: handlers have a time-out, and so has every call.
const TIME_OUT: Duration = Duration::from_secs(20);

struct Walk {
    world: World,
    /// Apart from the world's own, so that a walk is not changed by how many ids its handlers draw.
    dice: shared::env::Env,
    /// With the time when it began, by the monotonic clock.
    work: Vec<(Duration, Work)>,
    purchases: Vec<Purchase>,
    /// Payments that were made elsewhere, to be told until they are known.
    elsewhere: Vec<(Uuid, Payment)>,
    /// Of each order: the version and state last seen.
    seen: BTreeMap<Uuid, (i64, State)>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let world = World::with(seed, &TIERS);
        world.faults.by_chance(seed % 4 * 15, seed / 4 % 4 * 40);
        world.stripe.by_chance(seed / 16 % 4 * 80);
        let dice = Seeded::new(seed ^ 0x5eed).env();
        Self { world, dice, work: vec![], purchases: vec![], elsewhere: vec![], seen: BTreeMap::new() }
    }

    fn roll(&self, sides: usize) -> usize {
        usize::try_from(self.dice.random_u64() % sides as u64).unwrap()
    }

    fn pick<T: Clone>(&self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { from.get(self.roll(from.len())).cloned() }
    }

    fn token(&self) -> String {
        if self.roll(6) == 0 {
            return hosted::wish("https://shop.example");
        }
        let often = ["visa", "visa", "visa", "visa", "declined", "declined", "action", "processing", "used", "blank"];
        let cards: &[&str] = if self.roll(30) == 0 { &["cheap"] } else { &often };
        format!("tok_{}_{}", cards[self.roll(cards.len())], self.dice.random_u64())
    }

    fn step(&mut self) {
        match self.roll(100) {
            0..=14 => self.new_purchase(),
            15..=26 => self.page_again(),
            27..=49 => self.take_job(CreateCharge::QUEUE),
            50..=63 => self.take_job(ProcessResponse::QUEUE),
            64..=65 => self.hear_of_a_payment(),
            66 => self.take_job(Webhook::QUEUE),
            67 => self.take_job(Authentication::QUEUE),
            68..=76 => self.go_on(),
            77..=78 => self.kill(),
            79..=85 => self.start_sweep(),
            86..=93 => self.pass_ms([10, 1_000, 7_000, 40_000]),
            94 => self.pass_ms([100_000, 130_000, 650_000, 950_000]),
            95 => {
                self.bank_decides();
                self.buyer_on_stripes_page();
            }
            96 => self.person_approves(),
            97 => self.pay_elsewhere(),
            98 => self.lose_stock_and_queue(),
            _ => self.pass_ms([10_000, 3_600_000, 72_000_000, 90_000_000]),
        }
    }

    fn pass_ms(&mut self, choice: [u64; 4]) {
        self.world.pass(Duration::from_millis(choice[self.roll(4)]));
        let now = self.world.env.monotonic();
        self.work.retain(|(since, _)| *since + TIME_OUT > now);
    }

    fn new_purchase(&mut self) {
        if self.purchases.len() >= 16 {
            return;
        }
        let tier = TIERS[usize::from(self.roll(5) == 0)].0.to_owned();
        let quantity = u32::try_from(1 + self.roll(2)).unwrap();
        let purchase = Purchase { tier, quantity, ..self.world.purchase(&self.token()) };
        self.purchases.push(purchase.clone());
        let page = buy(self.world.ctx.clone(), purchase.clone()).map(drop).boxed();
        self.run(Work::Page(purchase.order, page));
    }

    /// The page sends again: the same token, or another card after a decline. One request at a time.
    fn page_again(&mut self) {
        let Some(purchase) = self.pick(&self.purchases) else { return };
        if self.work.iter().any(|(_, work)| matches!(work, Work::Page(order, _) if *order == purchase.order)) {
            return;
        }
        let known = self.order(purchase.order);
        if let Some(order) = known.as_ref().filter(|order| order.state == State::RequiresAction) {
            let cause = [Cause::Asked, Cause::GivenUp][usize::from(self.roll(3) == 0)];
            self.world.push(&Authentication::of(order, cause));
        }
        let declined = known.is_some_and(|order| order.state == State::Declined);
        let token = if declined { self.token() } else { purchase.token.clone() };
        let purchase = Purchase { token, ..purchase };
        for known in self.purchases.iter_mut().filter(|known| known.order == purchase.order) {
            known.token.clone_from(&purchase.token);
        }
        let page = pay(self.world.ctx.clone(), purchase.clone()).map(drop).boxed();
        self.run(Work::Page(purchase.order, page));
    }

    fn take_job(&mut self, queue: &'static str) {
        if let Some(delivery) = self.world.deliver(queue) {
            let handler = self.world.handler(&delivery);
            self.run(Work::Job(delivery, handler));
        }
    }

    fn start_sweep(&mut self) {
        let ctx = self.world.ctx.clone();
        self.run(Work::Other(async move { sweep::round(&ctx).await }.boxed()));
    }

    fn run(&mut self, work: Work) {
        self.go_on_with(self.world.env.monotonic(), work);
    }

    /// Polls once; what stops is kept, to go on or to be killed later.
    fn go_on_with(&mut self, since: Duration, mut work: Work) {
        let ended = match &mut work {
            Work::Job(delivery, handler) => handler.now_or_never().map(|end| {
                // Or killed after its end, before the queue heard of it.
                if self.roll(40) > 0 {
                    self.world.finish(delivery, end);
                }
            }),
            Work::Page(_, page) | Work::Other(page) => page.now_or_never(),
        };
        if ended.is_none() {
            self.work.push((since, work));
        }
    }

    fn go_on(&mut self) {
        if !self.work.is_empty() {
            let (since, work) = self.work.swap_remove(self.roll(self.work.len()));
            self.go_on_with(since, work);
        }
    }

    fn kill(&mut self) {
        if !self.work.is_empty() {
            drop(self.work.swap_remove(self.roll(self.work.len())));
        }
    }

    fn bank_decides(&mut self) {
        let intents = self.world.stripe.all();
        if let Some(intent) = self.pick(&intents) {
            let challenge = self.world.stripe.challenge(&intent.id);
            self.world.stripe.answer_challenge(&challenge, self.roll(3) > 0);
        }
        let processing: Vec<_> = intents.iter().filter(|intent| intent.status == Status::Processing).collect();
        if let Some(intent) = self.pick(&processing) {
            let status = match self.roll(2) {
                0 => Status::Succeeded,
                _ => Status::Declined(DeclineClass::CardDeclined),
            };
            self.world.stripe.resolve(&intent.id, status);
        }
    }

    /// On Stripe's page a card is paid with, or declined; or the page ends by itself.
    fn buyer_on_stripes_page(&mut self) {
        let sent_there: Vec<_> =
            self.purchases.iter().filter(|purchase| !self.world.stripe.sessions(purchase.order).is_empty()).collect();
        let Some(order) = self.pick(&sent_there).map(|purchase| purchase.order) else { return };
        match self.roll(6) {
            0 => self.world.stripe.page_ends(order),
            1 => drop(self.world.stripe.try_on_page(order, Status::Declined(DeclineClass::CardDeclined))),
            _ => drop(self.world.stripe.try_on_page(order, Status::Succeeded)),
        }
    }

    fn person_approves(&mut self) {
        let looked_at: Vec<Order> = self.orders().into_iter().filter(|order| order.state == State::Review).collect();
        let Some(order) = self.pick(&looked_at) else { return };
        let (ctx, change) = (self.world.ctx.clone(), Change::Approved(Word::of("operator")));
        self.run(Work::Other(async move { settle(&ctx, order.id, change).map(drop).await }.boxed()));
    }

    /// A payment that nobody asked for, of an order that has ended not long ago, as a webhook tells of it.
    fn pay_elsewhere(&mut self) {
        let ended: Vec<Order> = self.orders().into_iter().filter(|order| self.has_just_ended(order)).collect();
        let Some(order) = self.pick(&ended) else { return };
        if self.elsewhere.len() < 3 && !self.elsewhere.iter().any(|(id, _)| *id == order.id) {
            let payment = self.world.stripe.pay_elsewhere(order.id, order.amount);
            self.elsewhere.push((order.id, payment));
            self.tell_elsewhere();
        }
    }

    /// Stripe tells of any payment, early, late, or again.
    fn hear_of_a_payment(&mut self) {
        if let Some(intent) = self.pick(&self.world.stripe.all()) {
            let kind = EVENT_TYPES[self.roll(EVENT_TYPES.len())];
            self.world.hear(kind, &intent.id, &intent.order.to_string());
            if let Some(session) = self.world.stripe.sessions(intent.order).last() {
                self.world.hear("checkout.session.completed", &session.id, &intent.order.to_string());
            }
        }
    }

    fn has_just_ended(&self, order: &Order) -> bool {
        let ago = self.world.env.now().since(order.updated_at);
        order.amount > 0 && order.state.is_final() && ago < Duration::from_secs(300)
    }

    fn tell_elsewhere(&mut self) {
        for (order, payment) in self.elsewhere.clone() {
            let outcome = Outcome::Succeeded {
                payment_intent: Some(payment.payment_intent),
                charge: Some(payment.charge),
                amount: payment.amount,
                currency: payment.currency.parse().unwrap(),
            };
            let ctx = self.world.ctx.clone();
            let change = Change::Observed { attempt: 1, outcome };
            self.run(Work::Other(async move { settle(&ctx, order, change).map(drop).await }.boxed()));
        }
    }

    fn lose_stock_and_queue(&mut self) {
        // What was stopped at the lost server gets an error there, which is a kill to this walk.
        self.work.retain(|(_, work)| matches!(work, Work::Page(..)));
        self.world.rebuild();
        self.world.lose_queue();
        self.world.snapshot(&self.orders());
    }

    fn order(&self, id: Uuid) -> Option<Order> {
        now(self.world.ledger.order(id)).unwrap()
    }

    fn orders(&self) -> Vec<Order> {
        let ids: Vec<Uuid> = self.purchases.iter().map(|purchase| purchase.order).collect();
        now(self.world.ledger.orders(&ids)).unwrap()
    }

    /// What holds at every moment.
    fn check(&mut self) {
        self.world.levels();
        let image = now(self.world.ledger.image("demo")).unwrap().unwrap();
        for tier in &image.tiers {
            let pinned = image.pins.iter().flat_map(|pin| &pin.items).filter(|item| item.tier == tier.id);
            let taken = tier.sold + pinned.map(|item| item.quantity).sum::<u32>();
            assert!(taken <= tier.capacity, "oversold: {taken} of {tier:?}");
        }
        for order in self.orders() {
            self.check_order(&order);
        }
        for intent in self.world.stripe.all() {
            assert!(self.order(intent.order).is_some(), "a charge without an order: {intent:?}");
        }
    }

    fn check_order(&mut self, order: &Order) {
        let intents = self.world.stripe.intents(order.id);
        let ours: Vec<_> = intents.iter().filter(|intent| !intent.foreign).collect();
        assert!(ours.iter().filter(|intent| intent.has_money()).count() <= 1, "charged twice: {order:?} {intents:?}");
        if matches!(order.state, State::Expired | State::Canceled) {
            let over = ours.iter().all(|intent| intent.status == Status::Canceled);
            assert!(over, "released while it could be paid: {order:?} {intents:?}");
            let sessions = self.world.stripe.sessions(order.id);
            assert!(sessions.iter().all(|session| session.page != Page::Open), "released: {order:?} {sessions:?}");
        }
        assert_eq!(order.tickets.is_empty(), order.state != State::Paid, "{order:?}");
        if let Some((version, state)) = self.seen.insert(order.id, (order.version, order.state)) {
            assert!(order.version >= version, "versions go back");
            assert!(order.version > version || order.state == state, "a change without a version");
            assert!(state != State::Paid || order.state == State::Paid, "success was downgraded: {order:?}");
        }
    }

    /// Everything heals, and time passes until nothing is left to do.
    fn settle_down(&mut self) {
        self.world.faults.by_chance(0, 0);
        self.world.stripe.by_chance(0);
        while !self.work.is_empty() {
            self.go_on();
            self.check();
        }
        for round in 0..150 {
            for intent in self.world.stripe.all().iter().filter(|intent| intent.status == Status::Processing) {
                self.world.stripe.resolve(&intent.id, Status::Succeeded);
            }
            if round < 3 {
                self.tell_elsewhere();
            }
            self.world.pass_secs(16);
            self.world.sweep();
            self.world.work();
            self.check();
            if round > 10 && self.is_quiet() {
                break;
            }
        }
        // Thinking time is over for whoever never paid.
        self.world.pass_secs(700);
        self.world.sweep();
    }

    fn is_quiet(&self) -> bool {
        let ended = |order: &Order| order.state.is_final() || order.state == State::Review;
        self.world.unfinished() == 0
            && self.world.unhandled() == 0
            && self.orders().iter().all(ended)
            && now(self.world.ledger.due_refunds(1)).unwrap().is_empty()
    }

    fn check_the_end(&mut self) {
        self.check();
        assert!(self.is_quiet(), "{} jobs, {:#?}", self.world.unfinished(), self.unended());
        let levels = self.world.levels();
        let image = now(self.world.ledger.image("demo")).unwrap().unwrap();
        for (level, tier) in levels.tiers.iter().zip(&image.tiers) {
            let pinned = image.pins.iter().flat_map(|pin| &pin.items).filter(|item| item.tier == tier.id);
            assert_eq!(level.held, pinned.map(|item| item.quantity).sum::<u32>(), "held otherwise: {level:?} {tier:?}");
            // Paid so late that the stock had forgotten the hold: until a rebuild, only the ledger knows of its units.
            let forgotten = self.units_paid_late(&tier.id);
            let range = tier.sold.saturating_sub(forgotten)..=tier.sold;
            assert!(range.contains(&level.sold), "sold otherwise: {level:?} {tier:?}");
        }
        self.world.rebuild();
        for (level, tier) in self.world.levels().tiers.iter().zip(&image.tiers) {
            assert_eq!(level.sold, tier.sold, "after a rebuild");
        }
        let dead = now(self.world.ctx.queue.dead(ProcessResponse::QUEUE, 99)).unwrap();
        let dead: Vec<String> = dead.into_iter().map(|job| job.key).collect();
        for order in self.orders() {
            assert!(order.attempt <= MOST_ATTEMPTS);
            let paid = usize::from(order.state == State::Paid && order.amount > 0);
            if order.state == State::Review {
                assert!(order.review.is_some() && self.world.stripe.paid(order.id) <= 1, "{order:?}");
            } else {
                assert_eq!(
                    self.world.stripe.paid(order.id),
                    paid,
                    "{order:?} {:?}",
                    self.world.stripe.intents(order.id)
                );
                if dead.contains(&format!("{}:{}", order.id, order.attempt)) {
                    // A dead letter has the place of the job that tells of the end: then a kill can cost a message.
                    continue;
                }
                let told = self.world.told(order.id);
                let told = told.as_ref().map(|told| (told["version"].as_i64(), told["state"].as_str()));
                assert_eq!(told, Some((Some(order.version), Some(order.state.as_str()))), "{order:?}");
            }
        }
    }

    fn units_paid_late(&self, tier: &str) -> u32 {
        let is_late = |order: &Order| {
            let audit = now(self.world.ledger.audit(order.id)).unwrap();
            audit.iter().any(|line| line.what == "paid_late")
        };
        let late = self.orders().into_iter().filter(is_late);
        late.flat_map(|order| order.items).filter(|item| item.tier == tier).map(|item| item.quantity).sum()
    }

    fn paid_on_stripes_page(&self) -> usize {
        let sessions = |purchase: &Purchase| self.world.stripe.sessions(purchase.order);
        self.purchases.iter().flat_map(sessions).filter(|session| session.page == Page::Complete).count()
    }

    fn unended(&self) -> Vec<Order> {
        self.orders().into_iter().filter(|order| !order.state.is_final()).collect()
    }
}

fn walk(seed: u64) -> Walk {
    let mut walk = Walk::new(seed);
    for _ in 0..STEPS {
        walk.step();
        walk.check();
    }
    walk.settle_down();
    walk.check_the_end();
    walk
}

#[test]
fn whatever_fails_every_order_comes_to_its_end_and_nothing_is_charged_or_sold_twice() {
    let only = std::env::var("STAMPEDE_WALK_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
    let seeds = only.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let mut ends: BTreeMap<State, usize> = BTreeMap::new();
    let (mut failed, mut paid_there) = (vec![], 0);
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| walk(seed))) {
            Ok(walk) => {
                walk.orders().iter().for_each(|order| *ends.entry(order.state).or_default() += 1);
                paid_there += walk.paid_on_stripes_page();
            }
            Err(_) => {
                eprintln!("SEED {seed}");
                failed.push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "the walks of these seeds failed (STAMPEDE_WALK_SEED=… replays one): {failed:?}");
    if only.is_none() {
        for state in [State::Paid, State::Expired, State::Review] {
            assert!(ends.get(&state).is_some_and(|n| *n > 20), "the walks are too tame: {ends:?}");
        }
        assert!(paid_there > 20, "the walks are too tame: {paid_there} paid on Stripe's page");
    }
}

#[test]
fn a_seed_replays_exactly() {
    let tale = |seed| {
        let walk = walk(seed);
        walk.purchases.iter().flat_map(|purchase| walk.world.messages(purchase.order)).collect::<Vec<_>>()
    };
    assert_eq!(tale(7), tale(7));
}
