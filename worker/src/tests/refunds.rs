//! Refunds on request, from the wish to the message in the room.

use std::time::Duration;

use futures::FutureExt as _;
use shared::ledger::{Ledger as _, RefundAsked, RefundNews, RefundRequest, RefundState, RefundWhat};
use shared::order::displayed_state;
use uuid::Uuid;

use super::faults::Fate;
use super::stripe::{Call, Mood};
use super::till::Balance;
use super::world::{PRICE, Purchase, World, now};
use crate::sweep;

/// A shop of five with a paid order of one.
fn paid() -> (World, Purchase) {
    let w = World::new(5);
    let order = w.buy("tok_visa");
    w.work();
    assert_eq!(w.counts(), (4, 0, 1));
    (w, order)
}

fn ask(w: &World, order: &Purchase, what: RefundWhat, restock: bool) -> Uuid {
    let (request, order) = (w.env.uuid_v4(), order.order);
    let asked = RefundRequest { request, order, what, note: None, restock, by: "ops".into() };
    match now(w.ledger.request_refund(asked)).unwrap() {
        RefundAsked::New { refund, .. } => refund.id,
        other => panic!("not owed: {other:?}"),
    }
}

fn state(w: &World, order: &Purchase) -> RefundState {
    now(w.ledger.refunds_of(order.order)).unwrap().last().unwrap().state
}

/// What Stripe has given back of an order.
fn gone(w: &World, order: &Purchase) -> i64 {
    w.stripe.intents(order.order).iter().map(|intent| intent.refunded).sum()
}

#[test]
fn a_refund_is_sent_once_and_its_room_is_told() {
    for mood in [Mood::Fine, Mood::LostBefore, Mood::LostAfter, Mood::BrokenAfter, Mood::BrokenBefore] {
        let (w, order) = paid();
        ask(&w, &order, RefundWhat::Amount(1_000), false);
        w.stripe.next(Call::Refund, mood);
        w.live(Duration::from_secs(90));
        assert_eq!((state(&w, &order), gone(&w, &order)), (RefundState::Succeeded, 1_000), "{mood:?}");
        let told = w.told(order.order).unwrap();
        assert_eq!((&told["state"], &told["refunded"]), (&"partially_refunded".into(), &1_000.into()), "{mood:?}");
        assert_eq!(told["tickets"].as_array().map(Vec::len), Some(1));
        assert_eq!(w.counts(), (4, 0, 1));
    }
}

#[test]
fn a_worker_killed_around_stripes_answer_gives_the_money_back_once() {
    for (call, fate) in
        [("refund", Fate::StopsBefore), ("refund", Fate::StopsAfter), ("record_refund", Fate::StopsBefore)]
    {
        let (w, order) = paid();
        ask(&w, &order, RefundWhat::Amount(1_000), false);
        w.faults.next(call, fate);
        assert!(sweep::round(&w.ctx).now_or_never().is_none());
        w.live(Duration::from_secs(60));
        assert_eq!((state(&w, &order), gone(&w, &order)), (RefundState::Succeeded, 1_000), "{call} {fate:?}");
    }
}

#[test]
fn what_a_stored_500_or_a_forgotten_key_hides_is_looked_up_before_it_is_sent_again() {
    let (w, order) = paid();
    ask(&w, &order, RefundWhat::Amount(1_000), false);
    w.stripe.next(Call::Refund, Mood::LostAfter);
    w.sweep();
    // Stripe was away for a day, and has forgotten the key.
    w.pass(Duration::from_secs(25 * 3_600));
    w.stripe.next(Call::Refunds, Mood::LostBefore);
    w.live(Duration::from_secs(1_300));
    assert_eq!((state(&w, &order), gone(&w, &order)), (RefundState::Succeeded, 1_000));
    assert_eq!(w.stripe.count(Call::Refund), 1);
}

#[test]
fn with_an_empty_balance_a_refund_waits_and_is_done_later() {
    for balance in [Balance::Pends, Balance::Refuses] {
        let (w, order) = paid();
        w.stripe.balance(balance);
        ask(&w, &order, RefundWhat::All, false);
        w.live(Duration::from_secs(120));
        let open = if balance == Balance::Pends { RefundState::Pending } else { RefundState::Owed };
        assert_eq!((state(&w, &order), displayed_state(&w.order(&order))), (open, "paid"), "{balance:?}");
        w.stripe.balance(Balance::Enough);
        w.stripe.settle_refunds(true);
        w.live(Duration::from_secs(120));
        assert_eq!((state(&w, &order), gone(&w, &order)), (RefundState::Succeeded, PRICE), "{balance:?}");
        assert_eq!(w.told_state(&order), "refunded");
        assert_eq!(w.told(order.order).unwrap()["voided"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn two_workers_that_hear_of_an_empty_balance_at_once_skip_no_key_and_give_the_money_back_once() {
    let (w, order) = paid();
    let refund = ask(&w, &order, RefundWhat::Amount(1_000), false);
    let sweeper = || {
        let ctx = w.ctx.clone();
        async move { crate::refunds::send_due(&ctx, 20).await }.boxed()
    };
    let stopped_at = |call, fate| {
        w.faults.next(call, fate);
        let mut sweep = sweeper();
        assert!((&mut sweep).now_or_never().is_none());
        sweep
    };
    w.stripe.balance(Balance::Refuses);
    let hears_late = stopped_at("record_refund", Fate::StopsBefore);
    now(sweeper()).unwrap();
    let sends_late = stopped_at("refund", Fate::StopsBefore);
    now(hears_late).unwrap();
    w.stripe.balance(Balance::Enough);
    w.pass_secs(30);
    now(sweeper()).unwrap();
    now(sends_late).unwrap();
    assert_eq!((state(&w, &order), gone(&w, &order)), (RefundState::Succeeded, 1_000));
    // That there is nothing left to refund, as an even later request would hear, does not undo what was done.
    let (state_told, note) = (RefundState::Failed, Some("all of it had gone back on another way".into()));
    let news = RefundNews { refund, state: state_told, stripe_id: None, note, spent_key: None };
    now(w.ledger.record_refund(order.order, news)).unwrap();
    assert_eq!(state(&w, &order), RefundState::Succeeded);
}

#[test]
fn a_refund_that_fails_later_makes_the_tickets_valid_again_and_can_be_tried_anew() {
    let (w, order) = paid();
    w.stripe.balance(Balance::Pends);
    ask(&w, &order, RefundWhat::All, true);
    w.live(Duration::from_secs(30));
    w.stripe.settle_refunds(false);
    w.live(Duration::from_secs(60));
    assert_eq!((state(&w, &order), gone(&w, &order), w.counts()), (RefundState::Failed, 0, (4, 0, 1)));
    let told = w.told(order.order).unwrap();
    assert_eq!((&told["state"], told["tickets"].as_array().map(Vec::len)), (&"paid".into(), Some(1)));
    w.stripe.balance(Balance::Enough);
    ask(&w, &order, RefundWhat::All, false);
    w.live(Duration::from_secs(60));
    assert_eq!((state(&w, &order), gone(&w, &order)), (RefundState::Succeeded, PRICE));
}

#[test]
fn units_that_may_be_sold_again_are_free_although_a_worker_dies_in_between() {
    for (call, fate) in [
        ("record_refund", Fate::StopsAfter),
        ("settle", Fate::StopsBefore),
        ("set_returned", Fate::StopsBefore),
        ("set_returned", Fate::FailsAfter),
        ("returned", Fate::FailsBefore),
    ] {
        let (w, order) = paid();
        ask(&w, &order, RefundWhat::All, true);
        w.faults.next(call, fate);
        let mut watch = sweep::Watch::default();
        let _ = sweep::round(&w.ctx).now_or_never();
        let _ = sweep::keep_stock(&w.ctx, &mut watch).now_or_never();
        // Another worker, or the same one started again.
        let mut watch = sweep::Watch::default();
        for _ in 0..3 {
            w.pass_secs(30);
            now(sweep::keep_stock(&w.ctx, &mut watch));
            w.sweep();
        }
        now(sweep::keep_stock(&w.ctx, &mut watch));
        assert!(w.faults.all_happened(), "{call}");
        assert_eq!((state(&w, &order), gone(&w, &order)), (RefundState::Succeeded, PRICE), "{call} {fate:?}");
        assert_eq!(w.counts(), (5, 0, 0), "{call} {fate:?}");
        w.rebuild();
        assert_eq!(w.counts(), (5, 0, 0), "a rebuild shows the same");
    }
}
