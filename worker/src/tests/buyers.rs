//! Declined cards, other cards, and buyers who go away.

use std::time::Duration;

use shared::ledger::Accepted;
use shared::order::{MOST_ATTEMPTS, State};

use super::stripe::{Call, Mood, Status};
use super::world::{Purchase, World};

#[test]
fn card_declined_another_card_is_a_new_attempt_on_the_same_payment_with_its_own_key() {
    let w = World::new(1);
    let order = w.buy("tok_declined");
    w.work();
    assert!(matches!(w.pay_again(&order, "tok_visa_2"), Some(Accepted::NextAttempt(_))));
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.counts()), (State::Paid, 1, (0, 0, 1)));
    let sent = w.stripe.sent();
    assert_eq!((sent.len(), w.stripe.intents(order.order).len()), (2, 1));
    assert_ne!(sent[0].0, sent[1].0);
    assert_eq!(sent[1].1.path, "/v1/payment_intents/pi_0001/confirm");
}

#[test]
fn a_token_that_stripe_refuses_does_not_cost_the_order_its_payment() {
    let w = World::new(1);
    let order = w.buy("tok_declined");
    w.work();
    w.pay_again(&order, "tok_used_2");
    w.work();
    let seen = w.order(&order);
    assert_eq!((seen.state, seen.payment_intent.as_deref()), (State::Declined, Some("pi_0001")));
    w.pay_again(&order, "tok_visa_3");
    w.work();
    assert_eq!((w.state(&order), w.stripe.intents(order.order).len()), (State::Paid, 1));
}

#[test]
fn attempts_are_capped_and_then_the_order_closes_and_its_stock_is_free() {
    let w = World::new(1);
    let order = w.buy("tok_declined_1");
    for number in 2..=MOST_ATTEMPTS {
        w.work();
        assert!(matches!(w.pay_again(&order, &format!("tok_declined_{number}")), Some(Accepted::NextAttempt(_))));
    }
    w.work();
    assert!(matches!(w.pay_again(&order, "tok_visa"), Some(Accepted::NoAttemptsLeft(_))));
    w.sweep();
    w.work();
    assert_eq!((w.state(&order), w.counts()), (State::Expired, (1, 0, 0)));
    assert_eq!((w.told_state(&order).as_str(), w.stripe.intents(order.order)[0].status), ("expired", Status::Canceled));
}

/// A declined order whose time is over, before the sweep.
fn due(w: &World) -> Purchase {
    let order = w.buy("tok_declined");
    w.work();
    w.pass_secs(901);
    order
}

#[test]
fn stock_of_a_pending_payment_is_released_only_when_stripe_has_said_that_it_cannot_be_paid() {
    for mood in [Mood::LostBefore, Mood::LostAfter, Mood::BrokenBefore, Mood::BrokenAfter, Mood::Unconfigured] {
        let w = World::new(1);
        let order = due(&w);
        w.stripe.next(Call::Cancel, mood);
        w.sweep();
        w.work();
        assert_eq!((w.state(&order), w.counts()), (State::Closing, (0, 1, 0)), "{mood:?}");
        assert_eq!(w.told_state(&order), "closing");
        w.live(Duration::from_secs(60));
        assert_eq!((w.state(&order), w.counts()), (State::Expired, (1, 0, 0)), "{mood:?}");
        assert_eq!((w.told_state(&order).as_str(), w.stripe.paid(order.order)), ("expired", 0));
    }
}

#[test]
fn cancel_refused_because_it_succeeded_means_paid_and_the_unit_is_kept() {
    let w = World::new(1);
    let order = due(&w);
    w.stripe.resolve("pi_0001", Status::Succeeded);
    w.sweep();
    w.work();
    assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Paid, (0, 0, 1), 1));
    assert_eq!(w.told_state(&order), "paid");
}

#[test]
fn cancel_refused_because_it_is_under_way_is_charging_again_with_the_hold_kept() {
    let w = World::new(1);
    let order = due(&w);
    w.stripe.resolve("pi_0001", Status::Processing);
    w.sweep();
    w.work();
    assert_eq!((w.state(&order), w.counts()), (State::Charging, (0, 1, 0)));
    w.stripe.resolve("pi_0001", Status::Succeeded);
    w.live(Duration::from_secs(120));
    assert_eq!((w.state(&order), w.counts()), (State::Paid, (0, 0, 1)));
}

#[test]
fn no_card_can_be_tried_while_the_order_closes() {
    let w = World::new(1);
    let order = due(&w);
    w.stripe.next(Call::Cancel, Mood::LostBefore);
    w.sweep();
    assert!(matches!(w.pay_again(&order, "tok_visa_2"), Some(Accepted::InProgress)));
    w.live(Duration::from_secs(60));
    assert!(matches!(w.pay_again(&order, "tok_visa_3"), Some(Accepted::Ended(_))));
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.counts()), (State::Expired, 0, (1, 0, 0)));
}

#[test]
fn a_second_card_while_the_first_is_undecided_is_refused() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.stripe.next(Call::Send, Mood::LostAfter);
    w.charge();
    assert!(matches!(w.pay_again(&order, "tok_visa_2"), Some(Accepted::InProgress)));
    w.pass_secs(30);
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
}

#[test]
fn a_buyer_who_closes_the_tab_finds_the_result_in_the_ledger() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.live(Duration::from_secs(30));
    assert_eq!((w.state(&order), w.order(&order).tickets.len()), (State::Paid, 1));
}
