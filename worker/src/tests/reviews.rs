//! Orders in review in the hands of a person. No decision makes an order paid, or its stock free, without Stripe's word.

use std::time::Duration;

use shared::jobs::{CreateCharge, Decision};
use shared::ledger::{Change, Ledger as _, RefundState};
use shared::order::{Outcome, State};
use shared::queue::{Finish, Job as _};
use shared::steer::Decided;

use super::faults::Fate;
use super::letters::{helm, orders};
use super::stripe::{Call, Mood, Status};
use super::world::{Purchase, World, now};
use crate::settle::settle;

const MINUTE: Duration = Duration::from_secs(60);

fn decide(w: &World, order: &Purchase, decision: Decision) -> Decided {
    now(helm(w).decide(order.order, decision, &orders())).unwrap()
}

fn is_queued(decided: &Decided) -> bool {
    matches!(decided, Decided::Queued(_))
}

/// An order is given to a person.
fn stuck(w: &World, order: &Purchase) {
    let (attempt, outcome) = (w.order(order).attempt, Outcome::Stuck { reason: "a person looks".into() });
    now(settle(&w.ctx, order.order, Change::Observed { attempt, outcome })).unwrap();
    assert_eq!(w.state(order), State::Review);
}

/// An order in review whose payment Stripe has, though the answer was lost.
fn unheard(w: &World, token: &str) -> Purchase {
    let order = w.buy(token);
    w.stripe.next(Call::Send, Mood::LostAfter);
    assert!(matches!(w.charge(), Finish::Retry { .. }));
    stuck(w, &order);
    order
}

/// An order in review whose request never got to Stripe.
fn never_sent(w: &World) -> Purchase {
    let order = w.buy("tok_visa");
    w.faults.next("send", Fate::StopsBefore);
    w.killed(CreateCharge::QUEUE);
    stuck(w, &order);
    order
}

/// An order in review for which Stripe took another sum.
fn paid_otherwise(w: &World) -> Purchase {
    let order = w.buy("tok_cheap");
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Review, 1));
    order
}

#[test]
fn to_look_again_settles_what_stripe_has_and_nothing_else() {
    let w = World::new(3);
    let (paid, nowhere, other) = (unheard(&w, "tok_visa"), never_sent(&w), paid_otherwise(&w));
    for order in [&paid, &nowhere, &other] {
        assert!(is_queued(&decide(&w, order, Decision::LookAgain)));
    }
    w.live(MINUTE);
    assert_eq!((w.state(&paid), w.told_state(&paid).as_str(), w.stripe.paid(paid.order)), (State::Paid, "paid", 1));
    assert_eq!((w.state(&nowhere), w.state(&other)), (State::Review, State::Review));
    assert_eq!((w.counts(), w.stripe.count(Call::Send)), ((0, 2, 1), 2), "nothing was charged for it");
}

#[test]
fn to_charge_again_takes_the_money_once_whatever_stripe_has_already() {
    for paid in [true, false] {
        let w = World::new(1);
        let order = if paid { unheard(&w, "tok_visa") } else { never_sent(&w) };
        let Decided::Done(accepted) = decide(&w, &order, Decision::ChargeAgain) else { panic!("it was not done") };
        assert_eq!(accepted.state, State::Accepted);
        w.live(MINUTE);
        assert_eq!((w.state(&order), w.stripe.paid(order.order), w.counts()), (State::Paid, 1, (0, 0, 1)));
        let sent = w.stripe.sent();
        assert!(sent.iter().all(|send| *send == sent[0]), "the same bytes under the same key");
        assert!(matches!(decide(&w, &order, Decision::ChargeAgain), Decided::NotInReview(_)));
    }
}

#[test]
fn to_charge_again_takes_the_dead_letter_out_of_the_way() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    let delivery = w.deliver(CreateCharge::QUEUE).unwrap();
    w.finish(&delivery, Finish::Dead { reason: "it kills workers".into() });
    w.sweep();
    assert_eq!(w.state(&order), State::Review);
    assert!(matches!(decide(&w, &order, Decision::ChargeAgain), Decided::Done(_)));
    assert_eq!(w.gauges(CreateCharge::QUEUE).dead, 0);
    w.live(MINUTE);
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.unfinished()), (State::Paid, 1, 0));
    let story = now(w.ledger.audit(order.order)).unwrap();
    let decided = story.iter().find(|line| line.by == "cli").unwrap();
    assert_eq!((decided.what.as_str(), decided.note.as_deref()), ("accepted", Some("it was looked into")));
}

#[test]
fn to_cancel_ends_at_stripe_first_what_could_be_paid() {
    let w = World::new(1);
    let order = unheard(&w, "tok_action");
    assert!(is_queued(&decide(&w, &order, Decision::Cancel)));
    w.stripe.next(Call::Cancel, Mood::LostBefore);
    w.work();
    assert_eq!((w.state(&order), w.counts()), (State::Review, (0, 1, 0)), "Stripe has not said so");
    w.live(MINUTE);
    assert_eq!((w.state(&order), w.told_state(&order).as_str()), (State::Canceled, "canceled"));
    assert_eq!((w.counts(), w.stripe.intents(order.order)[0].status), ((1, 0, 0), Status::Canceled));
    let story = now(w.ledger.audit(order.order)).unwrap();
    let last = story.last().unwrap();
    let told = (last.what.as_str(), last.by.as_str(), last.note.as_deref());
    assert_eq!(told, ("canceled", "cli", Some("it was looked into")));
}

#[test]
fn to_cancel_cancels_nothing_that_is_paid() {
    let w = World::new(2);
    let (order, other) = (unheard(&w, "tok_visa"), paid_otherwise(&w));
    assert!(is_queued(&decide(&w, &order, Decision::Cancel)) && is_queued(&decide(&w, &other, Decision::Cancel)));
    w.live(MINUTE);
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
    assert_eq!(
        (w.state(&other), w.stripe.paid(other.order)),
        (State::Review, 1),
        "whether it goes back is not decided"
    );
    assert_eq!(w.counts(), (0, 1, 1));
}

#[test]
fn to_cancel_waits_until_no_request_can_be_on_its_way_any_more() {
    let w = World::new(1);
    let order = never_sent(&w);
    assert!(is_queued(&decide(&w, &order, Decision::Cancel)));
    w.live(9 * MINUTE);
    assert_eq!((w.state(&order), w.counts()), (State::Review, (0, 1, 0)));
    w.live(2 * MINUTE);
    assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Canceled, (1, 0, 0), 0));
}

#[test]
fn to_refund_gives_another_sum_back_once_and_frees_the_stock() {
    let w = World::new(1);
    let order = paid_otherwise(&w);
    assert!(matches!(decide(&w, &order, Decision::ChargeAgain), Decided::MoneyTaken(_)));
    for _ in 0..2 {
        assert!(is_queued(&decide(&w, &order, Decision::Refund)));
    }
    w.live(MINUTE);
    assert_eq!((w.state(&order), w.told_state(&order).as_str()), (State::Canceled, "canceled"));
    assert_eq!((w.counts(), w.stripe.paid(order.order)), ((1, 0, 0), 0));
    let refunds = now(w.ledger.refunds_of(order.order)).unwrap();
    let [refund] = refunds.as_slice() else { panic!("{refunds:?}") };
    assert_eq!((refund.reason.as_str(), refund.state), ("amount_differs", RefundState::Succeeded));
    assert_eq!(refund.amount, w.stripe.intents(order.order)[0].received);
    // An event that comes late tells of money that has gone back.
    w.hear("payment_intent.succeeded", &refund.payment_intent, &order.order.to_string());
    w.live(MINUTE);
    assert_eq!((w.state(&order), now(w.ledger.refunds_of(order.order)).unwrap().len()), (State::Canceled, 1));
    assert!(matches!(decide(&w, &order, Decision::Refund), Decided::NotInReview(_)));
}

#[test]
fn to_refund_takes_nothing_back_that_was_paid_as_it_should_or_not_at_all() {
    let w = World::new(2);
    let (order, nowhere) = (unheard(&w, "tok_visa"), never_sent(&w));
    assert!(is_queued(&decide(&w, &order, Decision::Refund)) && is_queued(&decide(&w, &nowhere, Decision::Refund)));
    w.live(MINUTE);
    assert_eq!((w.state(&order), w.state(&nowhere)), (State::Paid, State::Review));
    assert_eq!((w.stripe.count(Call::Refund), w.counts()), (0, (0, 1, 1)));
}

#[test]
fn while_stripe_is_silent_nothing_is_decided_and_in_the_end_it_is_left_to_a_person_again() {
    let w = World::new(1);
    let order = unheard(&w, "tok_action");
    w.stripe.by_chance(1_000);
    for decision in [Decision::LookAgain, Decision::Cancel, Decision::Refund] {
        assert!(is_queued(&decide(&w, &order, decision)));
    }
    w.live(60 * MINUTE);
    assert_eq!((w.state(&order), w.counts(), w.unfinished()), (State::Review, (0, 1, 0), 0));
    w.stripe.by_chance(0);
    assert!(is_queued(&decide(&w, &order, Decision::Cancel)));
    w.live(MINUTE);
    assert_eq!((w.state(&order), w.counts()), (State::Canceled, (1, 0, 0)));
}
