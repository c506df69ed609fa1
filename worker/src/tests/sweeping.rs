//! What dead processes leave behind, and how the sweep finds it.

use std::time::Duration;

use futures::FutureExt as _;
use shared::jobs::CreateCharge;
use shared::ledger::{Accepted, Applied, Change, Ledger as _};
use shared::order::{Outcome, State};
use shared::queue::Job;

use super::faults::Fate;
use super::stripe::{Call, Mood};
use super::world::{Purchase, World, buy, now, pay};
use crate::settle::settle;
use crate::sweep;

#[test]
fn a_pin_whose_order_never_reached_the_ledger_is_freed() {
    let w = World::new(1);
    w.faults.next("accept", Fate::StopsBefore);
    assert!(buy(w.ctx.clone(), w.purchase("tok_visa")).now_or_never().is_none());
    w.pass_secs(9);
    w.sweep();
    assert_eq!(w.counts(), (0, 1, 0), "it may still be on its way");
    w.pass_secs(1);
    w.sweep();
    assert_eq!(w.counts(), (1, 0, 0));
}

#[test]
fn an_accept_that_comes_after_its_pin_was_freed_refuses_itself() {
    let w = World::new(1);
    let purchase = w.purchase("tok_visa");
    w.faults.next("accept", Fate::StopsBefore);
    let mut page = Box::pin(buy(w.ctx.clone(), purchase.clone()));
    assert!((&mut page).now_or_never().is_none());
    w.pass_secs(10);
    w.sweep();
    assert_eq!(now(page), Some(Accepted::TooLate));
    assert!(now(w.ledger.order(purchase.order)).unwrap().is_none());
    assert_eq!(w.counts(), (1, 0, 0));
}

#[test]
fn a_pin_that_its_buyer_renews_is_not_freed_under_an_accept_that_is_on_its_way() {
    let w = World::new(1);
    let purchase = w.purchase("tok_visa");
    w.faults.next("accept", Fate::FailsBefore);
    assert_eq!(now(buy(w.ctx.clone(), purchase.clone())), None);
    w.pass_secs(10);
    // The sweep has read that there is no such order, and stops; the buyer tries again.
    w.faults.next("orders", Fate::StopsAfter);
    let mut round = Box::pin(sweep::round(&w.ctx));
    assert!((&mut round).now_or_never().is_none());
    assert!(matches!(now(pay(w.ctx.clone(), purchase.clone())), Some(Accepted::New(_))));
    now(round);
    assert_eq!(w.counts(), (0, 1, 0));
    w.work();
    assert_eq!((w.state(&purchase), w.counts()), (State::Paid, (0, 0, 1)));
}

#[test]
fn a_pin_whose_order_exists_is_left_alone() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.lose_queue();
    w.pass_secs(30);
    w.sweep();
    assert_eq!((w.owed(&order), w.counts()), (true, (0, 1, 0)));
}

#[test]
fn an_owed_charge_that_nobody_queued_is_queued_again() {
    let w = World::new(1);
    w.faults.next("push", Fate::FailsBefore);
    let order = w.buy("tok_visa");
    assert_eq!(w.unfinished(), 0);
    w.pass_secs(59);
    w.sweep();
    assert_eq!(w.unfinished(), 0, "its page may still push it");
    w.pass_secs(2);
    w.sweep();
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
}

#[test]
fn an_order_that_merely_waits_its_turn_is_not_doubled() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.pass_secs(120);
    w.sweep();
    w.sweep();
    assert_eq!(w.gauges(CreateCharge::QUEUE).waiting, 1);
    w.work();
    assert_eq!((w.state(&order), w.stripe.sent().len()), (State::Paid, 1));
}

#[test]
fn everything_in_memory_is_lost_and_the_sale_goes_on_from_the_ledger() {
    let w = World::new(4);
    let (paid, charged, waiting) = (w.buy("tok_visa"), w.buy("tok_visa"), w.buy("tok_visa"));
    w.charge();
    w.respond();
    w.charge();
    w.rebuild();
    w.lose_queue();
    assert_eq!((w.state(&charged), w.counts()), (State::Charging, (1, 2, 1)));
    w.live(Duration::from_secs(120));
    for order in [&paid, &charged, &waiting] {
        assert_eq!((w.state(order), w.stripe.paid(order.order)), (State::Paid, 1));
    }
    assert_eq!(w.counts(), (1, 0, 3));
}

#[test]
fn a_sweep_killed_between_ledger_and_stock_leaves_no_unit_in_a_dead_hold() {
    for (call, fate) in [("push", Fate::StopsAfter), ("push", Fate::StopsBefore), ("apply", Fate::StopsAfter)] {
        let w = World::new(1);
        let order = w.buy("tok_declined");
        w.work();
        w.pass_secs(901);
        w.faults.next(call, fate);
        let _ = sweep::round(&w.ctx).now_or_never();
        let _ = sweep::round(&w.ctx).now_or_never();
        w.live(Duration::from_secs(90));
        assert_eq!((w.state(&order), w.counts()), (State::Expired, (1, 0, 0)), "{call} {fate:?}");
        assert_eq!(w.told_state(&order), "expired");
    }
}

#[test]
fn a_part_of_the_sweep_that_fails_keeps_no_other_from_its_work() {
    for call in ["expire", "pins_older_than", "left", "push", "dead", "due_refunds"] {
        let w = World::new(2);
        let order = w.buy("tok_declined");
        w.work();
        w.pass_secs(901);
        w.faults.next(call, Fate::FailsBefore);
        w.live(Duration::from_secs(60));
        assert!(w.faults.all_happened());
        assert_eq!((w.state(&order), w.counts()), (State::Expired, (2, 0, 0)), "{call}");
    }
}

/// A payment that came on another way, as a webhook tells of it.
fn paid_elsewhere(w: &World, order: &Purchase) -> Applied {
    let payment = w.stripe.pay_elsewhere(order.order, w.order(order).amount);
    tell(w, order, &payment.payment_intent, payment.amount)
}

fn tell(w: &World, order: &Purchase, payment_intent: &str, amount: i64) -> Applied {
    let outcome = Outcome::Succeeded {
        payment_intent: Some(payment_intent.to_owned()),
        charge: Some("ch_x".into()),
        amount,
        currency: "usd".parse().unwrap(),
    };
    now(settle(&w.ctx, order.order, Change::Observed { attempt: 1, outcome })).unwrap()
}

fn expired(w: &World) -> Purchase {
    let order = w.buy("tok_declined");
    w.work();
    w.pass_secs(901);
    w.live(Duration::from_secs(30));
    assert_eq!((w.state(&order), w.counts().1), (State::Expired, 0));
    order
}

#[test]
fn paid_after_release_stock_still_free_is_fulfilled() {
    let w = World::new(1);
    let order = expired(&w);
    paid_elsewhere(&w, &order);
    assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Paid, (0, 0, 1), 1));
    assert_eq!(w.told_state(&order), "paid");
}

#[test]
fn paid_after_release_takes_the_units_of_a_hold_that_nobody_paid_for() {
    let w = World::new(1);
    let order = expired(&w);
    let other = w.purchase("tok_visa");
    w.faults.next("pin", Fate::FailsBefore);
    assert_eq!(now(buy(w.ctx.clone(), other.clone())), None);
    assert_eq!(w.counts(), (0, 1, 0));
    paid_elsewhere(&w, &order);
    assert_eq!((w.state(&order), w.counts()), (State::Paid, (0, 0, 1)));
    assert_eq!(now(pay(w.ctx.clone(), other)), Some(Accepted::NoHold));
}

#[test]
fn paid_after_release_nothing_free_is_refunded_once_and_stays_so_when_units_come_free() {
    let w = World::new(1);
    let order = expired(&w);
    let other = w.buy("tok_declined");
    paid_elsewhere(&w, &order);
    let late = w.stripe.intents(order.order)[1].clone();
    assert_eq!((w.state(&order), w.counts()), (State::Expired, (0, 1, 0)));
    w.work();
    w.pass_secs(901);
    w.live(Duration::from_secs(60));
    assert_eq!((w.state(&other), w.counts(), w.stripe.paid(order.order)), (State::Expired, (1, 0, 0), 0));
    // The same news again, now that a unit is free: the money has gone back.
    tell(&w, &order, &late.id, late.received);
    w.live(Duration::from_secs(60));
    assert_eq!((w.state(&order), w.counts()), (State::Expired, (1, 0, 0)));
    assert_eq!(w.stripe.count(Call::Refund), 1);
}

#[test]
fn a_second_success_is_given_back_by_itself_with_a_key_per_refund() {
    for mood in
        [Mood::Fine, Mood::LostBefore, Mood::LostAfter, Mood::BrokenAfter, Mood::BrokenBefore, Mood::Unconfigured]
    {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.work();
        w.stripe.next(Call::Refund, mood);
        paid_elsewhere(&w, &order);
        assert_eq!(w.stripe.paid(order.order), 2);
        w.live(Duration::from_secs(60));
        assert_eq!((w.state(&order), w.stripe.paid(order.order), w.counts()), (State::Paid, 1, (0, 0, 1)), "{mood:?}");
        assert!(now(w.ledger.due_refunds(9)).unwrap().is_empty());
        let keys = w.stripe.keys(Call::Refund);
        assert!(keys.iter().all(|key| key.starts_with(&keys[0])), "{keys:?}");
        let refunded: i64 = w.stripe.intents(order.order).iter().map(|intent| intent.refunded).sum();
        assert_eq!(refunded, super::world::PRICE);
    }
}
