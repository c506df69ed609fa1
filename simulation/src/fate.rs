//! Fate: processes that die or stand still, a Redis that forgets, clocks that jump; banks that make up their mind; and
//! operators, who steer the sale and give money back.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use shared::ledger::{Change, Control, Ledger as _, Word};
use shared::order::{Order, State};
use uuid::Uuid;

use crate::chance::{Dice, Fault};
use crate::shop::Shop;
use crate::shopper::{Crowd, refund_call};
use crate::stage::Who;
use crate::stripe::Status;

/// Strikes now and then, until the faults are over.
pub(crate) async fn strike(shop: Arc<Shop>) {
    let scene = shop.scene.clone();
    let dice = scene.faults.dice();
    let most = shop.plan.fate_secs * 2_000;
    loop {
        scene.sleep(dice.between(1_000, most)).await;
        if dice.below(2) == 0 {
            shop.redis.copy();
        }
        let who = any_process(&shop, dice);
        let strokes = [
            (Fault::Killed, 400),
            (Fault::Stalled, 300),
            (Fault::Wiped, 120),
            (Fault::RolledBack, 120),
            (Fault::ClockJump, 200),
            (Fault::NoBalance, 160),
            (Fault::Blackout, 40),
        ];
        let Some(fault) = scene.faults.first(&strokes) else { continue };
        scene.fault(who, fault, None, "fate");
        match fault {
            Fault::Killed => scene.cues.die(who),
            Fault::Stalled => scene.cues.stall(who, scene.env.monotonic() + scene.slow() * 2),
            Fault::Wiped => shop.redis.lose(false),
            Fault::RolledBack => shop.redis.lose(true),
            Fault::ClockJump => scene.jump(dice.below(3) == 0),
            Fault::NoBalance => {
                shop.stripe.balance(false);
                scene.sleep(dice.between(10_000, 300_000)).await;
                shop.stripe.settle_refunds(dice.below(3) > 0);
                shop.stripe.balance(true);
            }
            _ => blackout(&shop, dice),
        }
        scene.has_changed();
    }
}

fn any_process(shop: &Shop, dice: &Dice) -> Who {
    let at = dice.below(shop.plan.webs + shop.plan.workers);
    if at < shop.plan.webs { Who::Web(at) } else { Who::Worker(at - shop.plan.webs) }
}

/// All processes are down for minutes, or for longer than Stripe remembers keys.
fn blackout(shop: &Shop, dice: &Dice) {
    let (least, most) = [(30_000, 600_000), (600_000, 7_200_000), (80_000_000, 108_000_000)][dice.below(3)];
    *shop.dark_until.lock() = shop.scene.env.monotonic() + dice.between(least, most);
    for web in 0..shop.plan.webs {
        shop.scene.cues.die(Who::Web(web));
    }
    for worker in 0..shop.plan.workers {
        shop.scene.cues.die(Who::Worker(worker));
    }
}

/// Starts a process again that has died, after a while.
pub(crate) async fn raise(shop: Arc<Shop>, who: Who) {
    shop.scene.sleep(shop.scene.faults.dice().between(200, 8_000)).await;
    loop {
        let dark = shop.dark_until.lock().saturating_sub(shop.scene.env.monotonic());
        if dark.is_zero() {
            return shop.start(who);
        }
        shop.scene.sleep(dark.min(Duration::from_secs(60))).await;
    }
}

/// Banks that took their time make up their mind.
pub(crate) async fn bank(shop: Arc<Shop>) {
    let dice = Dice::new(0xba9c);
    loop {
        shop.scene.sleep(dice.between(3_000, 90_000)).await;
        for intent in shop.stripe.intents() {
            if intent.status == Status::Processing && (shop.scene.faults.over() || dice.below(3) == 0) {
                shop.stripe.decide(&intent.id, Status::Processing, None, dice.below(3) > 0);
            }
        }
    }
}

/// Operators at work, until the faults are over.
pub(crate) async fn operate(shop: Arc<Shop>, crowd: Arc<Crowd>, seed: u64) {
    let (dice, ids) = (Dice::new(seed ^ 0x09e7), shared::env::Seeded::new(seed ^ 0x09e7).env());
    let most = shop.plan.fate_secs * 3_000;
    while !shop.scene.faults.over() {
        shop.scene.sleep(dice.between(1_000, most)).await;
        match dice.below(12) {
            0..=3 => give_back(&shop, &crowd, &dice, ids.uuid_v4()).await,
            4 => by_hand(&shop, &dice),
            5 => add_stock(&shop, &dice, ids.uuid_v4()).await,
            6 => {
                steer(&shop, Control::Pause).await;
                shop.scene.sleep(dice.between(1_000, 60_000)).await;
                steer(&shop, Control::Resume).await;
            }
            _ => look_after(&shop, &crowd).await,
        }
    }
}

async fn give_back(shop: &Arc<Shop>, crowd: &Crowd, dice: &Dice, request: Uuid) {
    let paid: Vec<Order> = orders(shop, crowd).into_iter().filter(|order| order.refundable() > 0).collect();
    let Some(order) = paid.get(dice.below(paid.len())) else { return };
    let amount = [None, Some(order.amount / 2), Some(700)][dice.below(3)].filter(|amount| *amount > 0);
    let restock = dice.below(2) == 0;
    shop.scene.tell(Who::Operator, Some(order.id), || format!("asks for a refund of {amount:?}, restock: {restock}"));
    // The same request again is the same refund.
    for _ in 0..1 + dice.below(3) {
        let call = refund_call(order.id, request, amount, restock);
        shop.ask(dice.below(shop.plan.webs), call).await;
    }
}

fn by_hand(shop: &Shop, dice: &Dice) {
    let paid: Vec<_> = shop.stripe.intents().into_iter().filter(|intent| intent.has_money()).collect();
    let Some(intent) = paid.get(dice.below(paid.len())) else { return };
    let left = intent.received - intent.refunded;
    let amount = if dice.below(2) == 0 { left } else { left.min(600) };
    shop.scene.tell(Who::Operator, Some(intent.order), || format!("gives {amount} back in Stripe's dashboard"));
    shop.stripe.refund_by_hand(&intent.id, amount);
}

/// Steers the sale, again and again until the ledger has said yes: what it has done, it does not do twice.
async fn steer(shop: &Arc<Shop>, control: Control) {
    let ledger = shop.ledger_of(Who::Operator);
    while ledger.control(Shop::sale(), control.clone(), &Word::of("operator")).await.is_err() {
        shop.scene.sleep(Duration::from_secs(1)).await;
    }
}

async fn add_stock(shop: &Arc<Shop>, dice: &Dice, request: Uuid) {
    let tiers: Vec<&'static str> = shop.plan.tiers.iter().map(|(id, ..)| *id).collect();
    let tier = dice.pick(&tiers, "std");
    let (ledger, stock) = (shop.ledger_of(Who::Operator), shop.stock_of(Who::Operator));
    shop.scene.tell(Who::Operator, None, || format!("adds a unit of {tier}"));
    let control = Control::AddStock { tier: tier.to_owned(), quantity: 1, request };
    // Once: after an error nobody knows whether it happened.
    if ledger.control(Shop::sale(), control, &Word::of("operator")).await.is_err() {
        return;
    }
    let Ok(sales) = ledger.sales().await else { return };
    if let Some(found) = sales.first().and_then(|sale| sale.tier(tier)) {
        // What does not get there is made good by the sweep.
        let _ = stock.set_capacity(Shop::sale(), tier, found.capacity).await;
    }
}

/// Looks at what was raised for a person: dead letters are tried again, orders in review are charged after all.
pub(crate) async fn look_after(shop: &Arc<Shop>, crowd: &Crowd) {
    let ctx = shop.context(Who::Operator);
    for queue in ["create_charge", "process_response", "webhook", "authentication"] {
        for dead in ctx.queue.dead(queue, 100).await.unwrap_or_default() {
            shop.scene.tell(Who::Operator, None, || format!("has {queue} {} tried again: {}", dead.key, dead.reason));
            let _ = ctx.queue.retry_dead(queue, &dead.key).await;
        }
    }
    for order in orders(shop, crowd).iter().filter(|order| order.state == State::Review) {
        shop.scene.tell(Who::Operator, Some(order.id), || format!("approves: {:?}", order.review));
        let _ = worker::settle::settle(&ctx, order.id, Change::Approved(Word::of("operator"))).await;
    }
}

/// Every order that there is.
pub(crate) fn orders(shop: &Shop, crowd: &Crowd) -> Vec<Order> {
    let customers: Vec<Uuid> = crowd.customers.lock().iter().map(|(_, id, _)| *id).collect();
    shop.ledger.orders_of(&customers, 1_000).now_or_never().and_then(Result::ok).unwrap_or_default()
}
