//! Every row of the table of answers, as the order, the stock, the room and Stripe's books see it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use shared::budget::{Budget, Endpoint, Limits};
use shared::jobs::CreateCharge;
use shared::ledger::Ledger as _;
use shared::order::{AttemptState, State};
use shared::queue::{Finish, Job as _};

use super::stripe::{Call, Mood, Status};
use super::world::{World, now};
use crate::Context;

#[test]
fn a_card_that_pays_leaves_a_paid_order_sold_stock_a_ticket_and_a_message() {
    let w = World::new(2);
    let order = w.buy("tok_visa");
    w.work();
    assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Paid, (1, 0, 1), 1));
    let told = w.told(order.order).unwrap();
    assert_eq!((told["state"].as_str(), told["tickets"].as_array().unwrap().len()), (Some("paid"), 1));
    assert!(told["charge"].as_str().unwrap().starts_with("ch_"));
    assert_eq!(w.unfinished(), 0);
}

#[test]
fn a_declined_card_is_final_for_its_attempt_and_keeps_the_stock() {
    let w = World::new(2);
    let order = w.buy("tok_declined");
    w.work();
    assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Declined, (1, 1, 0), 0));
    assert_eq!(w.told(order.order).unwrap()["decline"]["code"], "insufficient_funds");
    assert_eq!(w.order(&order).payment_intent.as_deref(), Some("pi_0001"));
}

#[test]
fn a_throttled_charge_waits_with_its_hold_pinned_and_goes_out_with_the_same_key() {
    let wait = Some(Duration::from_secs(3));
    for (reason, after) in [("endpoint-rate", None), ("global-rate", wait), ("lock_timeout", None)] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.stripe.next(Call::Send, Mood::Throttled(reason, after));
        let began = w.env.monotonic();
        let charged = w.deliver(CreateCharge::QUEUE).unwrap();
        let mut charging = w.handler(&charged);
        assert!((&mut charging).now_or_never().is_none(), "it waits in hand: its place is kept");
        assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Charging, (0, 1, 0), 0));
        let end = w.to_the_end(charging);
        assert!(w.env.monotonic() - began >= after.unwrap_or_default());
        assert!(w.finish(&charged, end));
        w.work();
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
        assert_sent_the_same(&w, 2);
    }
}

#[test]
fn a_charge_that_stripe_puts_off_for_longer_than_a_job_may_take_comes_again_then() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.stripe.next(Call::Send, Mood::Throttled("global-rate", Some(Duration::from_secs(60))));
    let Finish::Retry { after, reason } = w.charge() else { panic!("not tried again") };
    assert!(after >= Duration::from_secs(60) && reason == "global-rate", "{after:?} {reason}");
    w.pass_secs(100);
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
    assert_sent_the_same(&w, 2);
}

/// A shop whose budget is this.
fn limited(capacity: u32, per_second: u32) -> World {
    let mut w = World::new(capacity);
    let limits = Limits { endpoint: Some(per_second), total: None };
    w.ctx = Context { budget: Arc::new(Budget::alone(w.env.clone(), limits)), ..w.ctx.clone() };
    w.pass_secs(1);
    w
}

fn key_of(order: uuid::Uuid) -> String {
    shared::stripe::idempotency_key(order, 1)
}

#[test]
fn who_is_refused_is_charged_before_those_who_came_later() {
    let w = limited(40, 25);
    let orders: Vec<_> = (0..40).map(|_| w.buy("tok_visa").order).collect();
    w.stripe.next(Call::Send, Mood::Throttled("endpoint-rate", None));
    let deliveries: Vec<_> = (0..40).map(|_| w.deliver(CreateCharge::QUEUE).unwrap()).collect();
    let together = deliveries.iter().map(|delivery| w.handler(delivery));
    let ends = w.to_the_end(futures::future::join_all(together).boxed());
    assert!(ends.iter().all(|end| matches!(end, Finish::Done { .. })), "nobody went back to the queue: {ends:?}");
    let sent = w.stripe.sent();
    let firsts: Vec<usize> =
        orders.iter().map(|order| sent.iter().rposition(|(key, _)| *key == key_of(*order)).unwrap()).collect();
    assert_eq!(sent.len(), 41, "one refusal");
    assert!(firsts[0] <= 8, "it went again while its pause was over, before all who came later: place {}", firsts[0]);
    assert!(firsts[1..].is_sorted(), "the others went in the order of their coming");
}

fn assert_sent_the_same(w: &World, times: usize) {
    let sent = w.stripe.sent();
    assert_eq!(sent.len(), times);
    assert!(sent.iter().all(|send| *send == sent[0]), "other bytes or another key");
}

#[test]
fn timeout_or_5xx_is_unknown_keeps_the_stock_and_is_never_shown_as_failed() {
    for mood in [Mood::LostBefore, Mood::LostAfter] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.stripe.next(Call::Send, mood);
        assert!(matches!(w.charge(), Finish::Retry { .. }));
        assert_eq!((w.state(&order), w.counts()), (State::Charging, (0, 1, 0)));
        assert!(w.messages(order.order).is_empty(), "silence is no news");
        w.pass_secs(30);
        w.work();
        assert_eq!((w.state(&order), w.stripe.intents(order.order).len()), (State::Paid, 1), "{mood:?}");
        assert_sent_the_same(&w, 2);
    }
}

#[test]
fn a_stored_500_that_replays_is_looked_up_instead() {
    for (mood, state, paid) in [(Mood::BrokenAfter, State::Paid, 1), (Mood::BrokenBefore, State::Declined, 0)] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.stripe.next(Call::Send, mood);
        assert!(matches!(w.charge(), Finish::Retry { .. }));
        w.pass_secs(30);
        w.work();
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (state, paid), "{mood:?}");
        assert_eq!((w.stripe.count(Call::Find), w.counts().0), (1, 0));
        if paid == 0 {
            assert_eq!(w.told(order.order).unwrap()["decline"]["code"], "processing_error");
        }
    }
}

#[test]
fn a_look_up_that_cannot_be_read_proves_nothing_and_is_tried_again() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.stripe.next(Call::Send, Mood::BrokenAfter);
    w.stripe.next(Call::Find, Mood::LostBefore);
    w.charge();
    w.pass_secs(1);
    assert!(matches!(w.charge(), Finish::Retry { .. }));
    assert_eq!((w.state(&order), w.counts()), (State::Charging, (0, 1, 0)));
    w.pass_secs(30);
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
}

#[test]
fn a_request_that_stripe_refuses_as_wrong_goes_to_a_person_with_its_stock() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.stripe.next(Call::Send, Mood::Wrong);
    w.work();
    let seen = w.order(&order);
    assert_eq!((seen.state, seen.review.is_some(), w.counts()), (State::Review, true, (0, 1, 0)));
    assert_eq!((w.told_state(&order).as_str(), w.stripe.paid(order.order)), ("review", 0));
}

#[test]
fn a_wrong_key_of_ours_halts_loudly_and_loses_nothing() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.stripe.next(Call::Send, Mood::Unconfigured);
    let Finish::Retry { after, .. } = w.charge() else { panic!("lost") };
    assert!(after >= Duration::from_secs(30));
    assert_eq!((w.state(&order), w.counts()), (State::Charging, (0, 1, 0)));
    w.pass_secs(60);
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
}

#[test]
fn an_asynchronous_payment_stays_charging_and_is_asked_after_until_the_bank_has_decided() {
    for (status, state) in [
        (Status::Succeeded, State::Paid),
        (Status::Declined(shared::decline::DeclineClass::CardDeclined), State::Declined),
    ] {
        let w = World::new(1);
        let order = w.buy("tok_processing");
        w.work();
        assert_eq!((w.state(&order), w.counts()), (State::Charging, (0, 1, 0)));
        let attempt = now(w.ledger.attempt(order.order, 1)).unwrap().unwrap();
        assert_eq!(attempt.state, AttemptState::Waiting);
        w.live(Duration::from_secs(300));
        assert_eq!(w.state(&order), State::Charging);
        assert!(w.stripe.count(Call::Retrieve) <= 20, "asked too often");
        w.stripe.resolve("pi_0001", status);
        w.live(Duration::from_secs(90));
        assert_eq!((w.state(&order), w.stripe.sent().len()), (state, 1));
    }
}

#[test]
fn a_payment_that_no_card_was_tried_on_is_canceled_and_the_buyer_may_try_again() {
    let w = World::new(1);
    let order = w.buy("tok_blank");
    w.work();
    assert_eq!((w.state(&order), w.stripe.intents(order.order)[0].status), (State::Declined, Status::Canceled));
    w.pay_again(&order, "tok_visa_2");
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
}

#[test]
fn amount_in_stripe_differs_from_the_order_is_not_fulfilled_but_set_aside() {
    let w = World::new(1);
    let order = w.buy("tok_cheap");
    w.work();
    let seen = w.order(&order);
    assert_eq!((seen.state, seen.tickets.len(), w.counts()), (State::Review, 0, (0, 1, 0)));
    assert!(seen.review.unwrap().contains("instead of"));
}

#[test]
fn a_free_order_skips_stripe_and_goes_the_same_way() {
    let w = World::with(1, &[("std", 0, 1)]);
    let order = w.buy("tok_visa");
    w.work();
    assert_eq!((w.state(&order), w.counts()), (State::Paid, (0, 0, 1)));
    assert_eq!((w.stripe.sent().len(), w.told_state(&order).as_str()), (0, "paid"));
}

#[test]
fn a_used_up_budget_charges_nothing_and_keeps_the_order_and_its_place() {
    let w = limited(2, 1);
    let hour = Duration::from_secs(3_600);
    let budget = w.ctx.budget.clone();
    // Others stand in line, and nobody lets them go.
    let others = (0..20).map(|_| budget.turn(Endpoint::CreateIntent, budget.ticket(), hour));
    let mut others: Vec<_> = others.map(Box::pin).collect();
    for other in &mut others {
        // The first one goes at once, and is over.
        let _ = other.now_or_never();
    }
    let (first, second) = (w.buy("tok_visa"), w.buy("tok_visa"));
    let Finish::HandBack { reason } = w.charge() else { panic!("not put off") };
    assert!(reason.contains("budget"));
    assert_eq!((w.state(&first), w.counts(), w.stripe.sent().len()), (State::Charging, (0, 2, 0), 0));
    drop(others);
    let again = w.deliver(CreateCharge::QUEUE).unwrap();
    assert!(again.key.starts_with(&first.order.to_string()), "it is in front of those that came later");
    assert_eq!((again.deliveries, again.retries), (1, 0));
    let end = w.to_the_end(w.handler(&again));
    w.finish(&again, end);
    w.work();
    assert_eq!((w.state(&first), w.state(&second)), (State::Paid, State::Paid));
}

#[test]
fn a_key_used_with_other_parameters_stops_the_order_and_is_looked_up_never_mended_by_a_new_key() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    // Somebody has used the order's key for something else.
    let key = shared::stripe::idempotency_key(order.order, 1);
    now(shared::stripe::Stripe::cancel(&*w.stripe, "pi_none", &key));
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Declined, 0));
    assert_eq!((w.stripe.count(Call::Find), w.stripe.sent().len(), w.counts()), (1, 1, (0, 1, 0)));
}
