//! A random walk of refunds: wishes of operators, hands in Stripe's dashboard, events early, late and again, banks that
//! return money, interleaved with workers that fail and are killed. In the end the ledger's sums are Stripe's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use shared::env::{Env, Seeded};
use shared::jobs::Webhook;
use shared::ledger::{Ledger as _, RefundRequest, RefundState, RefundWhat};
use shared::queue::{Delivery, Finish, Job as _};
use shared::stripe::Refunded;

use super::till::Balance;
use super::world::{PRICE, Purchase, World, now};
use crate::sweep;

const SEEDS: u64 = 200;
const STEPS: u32 = 120;
const ORDERS: usize = 3;
const KINDS: [&str; 5] =
    ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated", "charge.refunded"];

enum Work {
    Event(Delivery, BoxFuture<'static, Finish>),
    Sweep(BoxFuture<'static, ()>),
}

struct Walk {
    world: World,
    dice: Env,
    orders: Vec<Purchase>,
    work: Vec<Work>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let world = World::with(seed, &[("std", PRICE, 10)]);
        let buy = |_| {
            let purchase = Purchase { quantity: 2, ..world.purchase("tok_visa") };
            now(super::world::buy(world.ctx.clone(), purchase.clone())).unwrap();
            purchase
        };
        let orders = (0..ORDERS).map(buy).collect();
        world.work();
        world.faults.by_chance(seed % 4 * 15, seed / 4 % 4 * 50);
        world.stripe.by_chance(seed / 16 % 4 * 80);
        Self { world, dice: Seeded::new(seed ^ 0xdead).env(), orders, work: vec![] }
    }

    fn roll(&self, sides: u64) -> u64 {
        self.dice.random_u64() % sides
    }

    fn any_order(&self) -> Purchase {
        self.orders[usize::try_from(self.roll(ORDERS as u64)).unwrap()].clone()
    }

    fn payment(&self, order: &Purchase) -> (String, i64) {
        let intent = self.world.stripe.intents(order.order).remove(0);
        (intent.id.clone(), intent.received - intent.refunded)
    }

    fn step(&mut self) {
        match self.roll(100) {
            0..=13 => self.wish(),
            14..=24 => self.by_hand(),
            25..=44 => self.tell(),
            45..=59 => self.take_event(),
            60..=71 => self.run(Work::Sweep({
                let ctx = self.world.ctx.clone();
                async move { sweep::round(&ctx).await }.boxed()
            })),
            72..=79 => self.go_on(),
            80..=83 => drop(self.work.pop()),
            84..=88 => {
                let balance = [Balance::Enough, Balance::Enough, Balance::Pends, Balance::Refuses];
                self.world.stripe.balance(balance[usize::try_from(self.roll(4)).unwrap()]);
            }
            89..=90 => self.world.stripe.settle_refunds(self.roll(3) > 0),
            91..=92 => self.return_one(),
            _ => {
                // What stops for longer has timed out.
                self.work.clear();
                let ms = [500, 1_500, 20_000, 90_000_000];
                self.world.pass(Duration::from_millis(ms[usize::try_from(self.roll(4)).unwrap()]));
            }
        }
    }

    fn wish(&mut self) {
        let (order, amount) = (self.any_order().order, 500 * i64::try_from(self.roll(6)).unwrap());
        let what = if amount == 0 { RefundWhat::All } else { RefundWhat::Amount(amount) };
        let (request, restock) = (self.world.env.uuid_v4(), self.roll(2) == 0);
        let wish = RefundRequest { request, order, what, note: None, restock, by: "ops".into() };
        now(self.world.ledger.request_refund(wish)).unwrap();
    }

    fn by_hand(&mut self) {
        let (payment, left) = self.payment(&self.any_order());
        if left > 0 {
            let amount = if self.roll(3) == 0 { left } else { left.min(700) };
            self.world.stripe.balance(Balance::Enough);
            self.world.stripe.refund_by_hand(&payment, amount);
        }
    }

    fn return_one(&mut self) {
        let (payment, _) = self.payment(&self.any_order());
        let made = self.world.stripe.refunds_of(&payment);
        let done = made.iter().find(|made| matches!(made.stands, Refunded::Succeeded { .. }));
        if let Some(refund) = done {
            self.world.stripe.return_refund(&refund.id);
            self.world.hear_of_refund("refund.failed", &refund.id, &payment, None);
        }
    }

    fn tell(&mut self) {
        let order = self.any_order();
        let (payment, _) = self.payment(&order);
        let made = self.world.stripe.refunds_of(&payment);
        let Some(refund) = made.get(usize::try_from(self.roll(4)).unwrap()) else { return };
        let kind = KINDS[usize::try_from(self.roll(5)).unwrap()];
        let named = refund.name.is_some() || kind == "charge.refunded";
        self.world.hear_of_refund(kind, &refund.id, &payment, named.then_some(order.order));
    }

    fn take_event(&mut self) {
        if let Some(delivery) = self.world.deliver(Webhook::QUEUE) {
            let handler = self.world.handler(&delivery);
            self.run(Work::Event(delivery, handler));
        }
    }

    fn go_on(&mut self) {
        if let Some(work) = self.work.pop() {
            self.run(work);
        }
    }

    /// Polls once; what stops is kept, to go on or to be killed later.
    fn run(&mut self, mut work: Work) {
        let ended = match &mut work {
            Work::Event(delivery, handler) => handler.now_or_never().map(|end| {
                self.world.finish(delivery, end);
            }),
            Work::Sweep(round) => round.now_or_never(),
        };
        if ended.is_none() {
            self.work.insert(0, work);
        }
    }

    /// What holds at every moment.
    fn check(&self) {
        self.world.levels();
        for purchase in &self.orders {
            let order = self.world.order(purchase);
            assert!(order.refunded >= 0 && order.refunding >= 0, "{order:?}");
            assert!(order.refunded + order.refunding <= order.amount, "{order:?}");
            let all = order.refunded + order.refunding == order.amount;
            assert!(!all || order.valid_tickets().count() == 0, "given back, and admits: {order:?}");
        }
    }

    /// Everything heals, Stripe tells once more, and time passes until nothing is left to do.
    fn settle_down(&mut self) {
        self.work.clear();
        self.world.faults.by_chance(0, 0);
        self.world.stripe.by_chance(0);
        self.world.stripe.balance(Balance::Enough);
        for _ in 0..200 {
            self.world.stripe.settle_refunds(true);
            self.world.live(Duration::from_secs(600));
            self.check();
            if self.world.unhandled() == 0 && self.orders.iter().all(|order| self.world.order(order).refunding == 0) {
                break;
            }
        }
        for purchase in self.orders.clone() {
            let (payment, _) = self.payment(&purchase);
            self.world.hear_of_refund("charge.refunded", "re_any", &payment, Some(purchase.order));
        }
        self.world.pass_secs(2);
        self.world.work();
        now(sweep::keep_stock(&self.world.ctx, &mut sweep::Watch::default()));
    }

    fn check_the_end(&self) {
        self.check();
        let image = now(self.world.ledger.image("demo")).unwrap().unwrap();
        assert_eq!(self.world.levels().tiers[0].sold, image.tiers[0].sold, "{image:?}");
        for purchase in &self.orders {
            let order = self.world.order(purchase);
            let rows = now(self.world.ledger.refunds_of(purchase.order)).unwrap();
            let (payment, left) = self.payment(purchase);
            assert_eq!((order.refunded, order.refunding), (order.amount - left, 0), "{order:?} {rows:#?}");
            let ours = rows.iter().filter(|row| row.state == RefundState::Succeeded);
            assert_eq!(ours.map(|row| row.amount).sum::<i64>(), order.refunded, "{rows:#?}");
            let listed = self.world.stripe.refunds_of(&payment);
            let known = |id: &String| rows.iter().filter(|row| row.stripe_id.as_ref() == Some(id)).count() == 1;
            assert!(listed.iter().all(|made| known(&made.id)), "{listed:#?} {rows:#?}");
            let told = self.world.told(purchase.order).unwrap();
            assert_eq!(told["version"].as_i64(), Some(order.version), "{order:?} {told}");
        }
    }
}

#[test]
fn whoever_gives_money_back_and_whatever_fails_the_ledgers_sums_are_stripes() {
    let mut failed = vec![];
    let (mut refunded, mut failures) = (0, 0);
    for seed in 0..SEEDS {
        let walked = catch_unwind(AssertUnwindSafe(|| {
            let mut walk = Walk::new(seed);
            for _ in 0..STEPS {
                walk.step();
                walk.check();
            }
            walk.settle_down();
            walk.check_the_end();
            walk
        }));
        match walked {
            Ok(walk) => {
                for order in &walk.orders {
                    let rows = now(walk.world.ledger.refunds_of(order.order)).unwrap();
                    refunded += u32::from(walk.world.order(order).refundable() == 0);
                    failures += u32::from(rows.iter().any(|row| row.state == RefundState::Failed));
                }
            }
            Err(_) => failed.push(seed),
        }
    }
    assert!(failed.is_empty(), "the walks of these seeds failed: {failed:?}");
    assert!(refunded > 50 && failures > 50, "the walks are too tame: {refunded} given back, {failures} with failures");
}
