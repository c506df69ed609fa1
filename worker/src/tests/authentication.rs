//! Strong authentication (3-D Secure): the buyer is asked, and answers, fails, leaves, or gives it up.

use std::time::Duration;

use shared::jobs::{Authentication, Cause, CreateCharge};
use shared::ledger::{Accepted, Change};
use shared::order::{MOST_ATTEMPTS, State};
use shared::queue::{Finish, Job as _};

use super::faults::Fate;
use super::stripe::{Call, Mood, Status};
use super::world::{Purchase, World, now};
use crate::settle::settle;

const SUCCEEDED: &str = "payment_intent.succeeded";
const FAILED: &str = "payment_intent.payment_failed";
const ASKS: &str = "payment_intent.requires_action";
/// How long the buyer has.
const TIME: u64 = 300;

/// An order whose buyer is being asked by the bank.
fn asked(w: &World) -> Purchase {
    let order = w.buy("tok_action");
    w.work();
    assert_eq!(w.state(&order), State::RequiresAction);
    order
}

/// The buyer answers the challenge that the order waits with.
fn answer(w: &World, purchase: &Purchase, passed: bool) {
    let payment_intent = w.order(purchase).payment_intent.expect("pi_…");
    assert!(w.stripe.answer_challenge(&w.stripe.challenge(&payment_intent), passed));
}

fn hear(w: &World, kind: &str, purchase: &Purchase) {
    w.hear(kind, "pi_0001", &purchase.order.to_string());
    w.work();
}

fn secret_told(w: &World, purchase: &Purchase) -> Option<String> {
    let told = w.told(purchase.order).unwrap();
    told["action"]["client_secret"].as_str().map(ToOwned::to_owned)
}

#[test]
fn the_page_is_given_the_secret_and_the_time_and_the_stock_is_kept() {
    let w = World::new(1);
    let order = asked(&w);
    assert_eq!((w.told_state(&order).as_str(), w.counts()), ("requires_action", (0, 1, 0)));
    assert_eq!(secret_told(&w, &order).as_deref(), Some("pi_0001_secret"));
    assert_eq!(w.told(order.order).unwrap()["expires_in_ms"], TIME * 1_000);
    assert_eq!(w.unfinished(), 0, "nobody waits for the buyer");
    w.pass_secs(100);
    w.snapshot(&[w.order(&order)]);
    let told = w.told(order.order).unwrap();
    assert_eq!(
        (&told["expires_in_ms"], told["action"].is_object()),
        (&200_000.into(), true),
        "a page that comes later"
    );
}

#[test]
fn who_passes_pays_and_nobody_has_the_secret_any_more() {
    let w = World::new(1);
    let order = asked(&w);
    answer(&w, &order, true);
    hear(&w, SUCCEEDED, &order);
    assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Paid, (0, 0, 1), 1));
    assert_eq!((w.order(&order).client_secret, secret_told(&w, &order)), (None, None));
    assert_eq!(w.stripe.count(Call::Send), 1);
}

#[test]
fn who_fails_is_told_why_and_pays_with_another_card_on_the_same_payment() {
    let w = World::new(1);
    let order = asked(&w);
    answer(&w, &order, false);
    hear(&w, FAILED, &order);
    assert_eq!(w.state(&order), State::Declined);
    assert_eq!(w.told(order.order).unwrap()["decline"]["code"], "authentication_required");
    assert_eq!(secret_told(&w, &order), None);
    assert!(matches!(w.pay_again(&order, "tok_visa_2"), Some(Accepted::NextAttempt(_))));
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.stripe.intents(order.order).len()), (State::Paid, 1, 1));
}

#[test]
fn another_card_while_the_bank_asks_is_refused() {
    let w = World::new(1);
    let order = asked(&w);
    assert!(matches!(w.pay_again(&order, "tok_visa_2"), Some(Accepted::InProgress)));
    assert!(matches!(w.pay_again(&order, "tok_action"), Some(Accepted::Replay(_))), "the same one is a replay");
}

#[test]
fn who_never_answers_loses_the_stock_only_when_stripe_has_canceled() {
    for mood in [Mood::Fine, Mood::LostBefore, Mood::LostAfter, Mood::BrokenBefore, Mood::BrokenAfter] {
        let w = World::new(1);
        let order = asked(&w);
        w.pass_secs(TIME - 1);
        w.sweep();
        w.work();
        assert_eq!(w.state(&order), State::RequiresAction, "{mood:?}");
        w.stripe.next(Call::Cancel, mood);
        w.pass_secs(1);
        w.sweep();
        w.work();
        if mood != Mood::Fine {
            assert_eq!((w.state(&order), w.counts()), (State::Closing, (0, 1, 0)), "{mood:?}");
            assert_eq!(secret_told(&w, &order), None, "{mood:?}");
        }
        w.live(Duration::from_secs(60));
        assert_eq!((w.state(&order), w.counts()), (State::Expired, (1, 0, 0)), "{mood:?}");
        assert_eq!(
            (w.told_state(&order).as_str(), w.stripe.intents(order.order)[0].status),
            ("expired", Status::Canceled)
        );
    }
}

#[test]
fn who_passes_in_the_last_moment_has_paid_though_the_order_was_closing() {
    let w = World::new(1);
    let order = asked(&w);
    w.pass_secs(TIME);
    answer(&w, &order, true);
    w.sweep();
    w.work();
    assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Paid, (0, 0, 1), 1));
    hear(&w, SUCCEEDED, &order);
    assert_eq!(w.order(&order).tickets.len(), 1);
}

#[test]
fn an_order_that_waited_long_for_its_turn_still_leaves_its_buyer_time_for_the_bank() {
    let w = World::new(1);
    let order = w.buy("tok_action");
    w.pass_secs(3_000);
    w.work();
    assert_eq!(w.state(&order), State::RequiresAction);
    assert_eq!(w.told(order.order).unwrap()["expires_in_ms"], TIME * 1_000);
    answer(&w, &order, false);
    hear(&w, FAILED, &order);
    w.sweep();
    w.work();
    assert_eq!(w.state(&order), State::Declined, "and two minutes for another card");
    w.pass_secs(120);
    w.sweep();
    w.work();
    assert_eq!(w.state(&order), State::Expired, "and no more than that: the bound on the whole order is over");
}

#[test]
fn the_last_attempt_has_its_time_for_the_bank_too() {
    let w = World::new(1);
    let order = w.buy("tok_declined_1");
    for number in 2..=MOST_ATTEMPTS {
        w.work();
        let card = if number == MOST_ATTEMPTS { "action" } else { "declined" };
        assert!(matches!(w.pay_again(&order, &format!("tok_{card}_{number}")), Some(Accepted::NextAttempt(_))));
    }
    w.work();
    w.sweep();
    w.work();
    assert_eq!(w.state(&order), State::RequiresAction);
    answer(&w, &order, true);
    hear(&w, SUCCEEDED, &order);
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
}

#[test]
fn an_event_that_comes_before_the_answer_waits_for_it_and_a_success_does_not() {
    let w = World::new(1);
    let order = w.buy("tok_action");
    w.faults.next("send", Fate::StopsAfter);
    w.killed(CreateCharge::QUEUE);
    w.hear(ASKS, "pi_0001", &order.order.to_string());
    w.pass_secs(2);
    assert!(matches!(w.heed(), Finish::Retry { .. }));
    assert_eq!(w.state(&order), State::Charging);
    // The same bytes under the same key say the same again.
    w.live(Duration::from_secs(90));
    assert_eq!((w.state(&order), w.unhandled(), w.stripe.intents(order.order).len()), (State::RequiresAction, 0, 1));
    // Doubled, late, and after the fact: nothing moves.
    let before = w.order(&order);
    hear(&w, ASKS, &order);
    hear(&w, ASKS, &order);
    assert_eq!(w.order(&order), before);
}

#[test]
fn a_replayed_answer_after_the_success_changes_nothing() {
    let w = World::new(1);
    let order = w.buy("tok_action");
    w.charge();
    // The answer is on its way to be settled; its twin of an earlier delivery has let the buyer pass.
    w.stripe.resolve("pi_0001", Status::Succeeded);
    w.hear(SUCCEEDED, "pi_0001", &order.order.to_string());
    w.pass_secs(1);
    w.heed();
    let paid = w.order(&order);
    assert_eq!(paid.state, State::Paid);
    w.respond();
    assert_eq!((w.order(&order), secret_told(&w, &order)), (paid, None));
}

#[test]
fn a_lost_event_is_made_good_by_the_page_that_says_it_is_done() {
    for (passed, state) in [(true, State::Paid), (false, State::Declined)] {
        let w = World::new(1);
        let order = asked(&w);
        answer(&w, &order, passed);
        w.refresh(&order, Cause::Asked);
        w.work();
        assert_eq!((w.state(&order), w.told_state(&order)), (state, state.to_string()));
        assert_eq!((w.unfinished(), w.stripe.count(Call::Retrieve)), (0, 1));
    }
}

#[test]
fn a_page_that_says_so_too_early_costs_one_look_and_changes_nothing() {
    let w = World::new(1);
    let order = asked(&w);
    let before = w.order(&order);
    for _ in 0..5 {
        w.refresh(&order, Cause::Asked);
    }
    w.work();
    assert_eq!((w.order(&order), w.stripe.count(Call::Retrieve), w.unfinished()), (before, 1, 0));
}

#[test]
fn a_page_that_is_closed_and_an_event_that_is_lost_are_made_good_by_the_sweep() {
    let w = World::new(1);
    let order = asked(&w);
    w.pass_secs(59);
    w.sweep();
    assert_eq!(w.gauges(Authentication::QUEUE).waiting, 0, "an event may be on its way");
    w.pass_secs(2);
    w.sweep();
    w.work();
    assert_eq!((w.state(&order), w.stripe.count(Call::Retrieve)), (State::RequiresAction, 1));
    for _ in 0..30 {
        w.pass_secs(1);
        w.sweep();
        w.work();
    }
    assert_eq!(w.stripe.count(Call::Retrieve), 1, "it looks now and then only");
    answer(&w, &order, true);
    w.live(Duration::from_secs(90));
    assert_eq!((w.state(&order), w.counts(), w.unfinished()), (State::Paid, (0, 0, 1), 0));
}

#[test]
fn while_stripe_does_not_say_the_look_is_repeated_and_nothing_is_concluded() {
    for mood in [
        Mood::LostBefore,
        Mood::BrokenBefore,
        Mood::Throttled("global-rate", Some(Duration::from_secs(3))),
        Mood::Throttled("endpoint-rate", None),
        Mood::Unconfigured,
        Mood::Wrong,
    ] {
        for cause in [Cause::Asked, Cause::GivenUp, Cause::Silence] {
            let w = World::new(1);
            let order = asked(&w);
            answer(&w, &order, true);
            w.stripe.next(Call::Retrieve, mood);
            w.refresh(&order, cause);
            w.work();
            assert_eq!(w.state(&order), State::RequiresAction, "{mood:?} {cause:?}");
            w.pass_secs(40);
            w.work();
            assert_eq!((w.state(&order), w.unfinished()), (State::Paid, 0), "{mood:?} {cause:?}");
        }
    }
}

#[test]
fn who_gives_up_is_canceled_at_stripe_before_another_card_can_be_tried() {
    for mood in [Mood::Fine, Mood::LostBefore, Mood::LostAfter, Mood::BrokenBefore, Mood::BrokenAfter] {
        let w = World::new(1);
        let order = asked(&w);
        let challenge = w.stripe.challenge("pi_0001");
        w.stripe.next(Call::Cancel, mood);
        w.refresh(&order, Cause::GivenUp);
        w.work();
        if mood != Mood::Fine {
            assert_eq!(w.state(&order), State::RequiresAction, "{mood:?}");
            w.pass_secs(5);
            w.work();
        }
        assert_eq!((w.state(&order), w.stripe.intents(order.order)[0].status), (State::Declined, Status::Canceled));
        assert!(!w.stripe.answer_challenge(&challenge, true), "{mood:?}: it is too late for the old one");
        assert!(matches!(w.pay_again(&order, "tok_action_2"), Some(Accepted::NextAttempt(_))));
        w.work();
        let second = w.order(&order);
        assert_eq!((second.state, second.payment_intent.as_deref()), (State::RequiresAction, Some("pi_0002")));
        answer(&w, &order, true);
        w.refresh(&order, Cause::Asked);
        w.work();
        assert_eq!((w.state(&order), w.stripe.paid(order.order), w.counts()), (State::Paid, 1, (0, 0, 1)), "{mood:?}");
    }
}

#[test]
fn who_gives_up_just_after_passing_has_paid() {
    let w = World::new(1);
    let order = asked(&w);
    // Stripe still says that it waits when it is asked, and has the money when it is told to cancel.
    w.refresh(&order, Cause::GivenUp);
    w.faults.next("retrieve", Fate::StopsAfter);
    let delivery = w.deliver(Authentication::QUEUE).unwrap();
    let mut handler = w.handler(&delivery);
    assert!(futures::FutureExt::now_or_never(&mut handler).is_none());
    answer(&w, &order, true);
    let end = now(handler);
    w.finish(&delivery, end);
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.counts()), (State::Paid, 1, (0, 0, 1)));
}

#[test]
fn a_look_at_an_attempt_that_is_over_changes_nothing() {
    let w = World::new(1);
    let order = asked(&w);
    for cause in [Cause::Asked, Cause::GivenUp, Cause::Silence] {
        w.refresh(&order, cause);
    }
    answer(&w, &order, false);
    w.hear(FAILED, "pi_0001", &order.order.to_string());
    w.heed();
    w.pay_again(&order, "tok_action_2");
    w.charge();
    w.respond();
    let second = w.order(&order);
    assert_eq!((second.state, second.attempt), (State::RequiresAction, 2));
    w.work();
    assert_eq!((w.order(&order), w.unfinished()), (second, 0));
}

#[test]
fn what_the_bank_thinks_about_after_the_challenge_is_charging_until_it_is_known() {
    for (status, state) in [(Status::Succeeded, State::Paid), (Status::Canceled, State::Declined)] {
        let w = World::new(1);
        let order = asked(&w);
        w.stripe.resolve("pi_0001", Status::Processing);
        hear(&w, "payment_intent.processing", &order);
        assert_eq!((w.state(&order), secret_told(&w, &order), w.counts()), (State::Charging, None, (0, 1, 0)));
        w.live(Duration::from_secs(400));
        assert_eq!(w.state(&order), State::Charging, "it has no deadline: it is the bank's turn");
        w.stripe.resolve("pi_0001", status);
        w.live(Duration::from_secs(120));
        assert_eq!(w.state(&order), state);
    }
}

#[test]
fn killed_anywhere_the_outcome_is_found_all_the_same() {
    for cause in [Cause::Asked, Cause::GivenUp, Cause::Silence] {
        for call in ["order", "retrieve", "apply", "settle", "publish"] {
            for fate in [Fate::StopsBefore, Fate::StopsAfter] {
                let w = World::new(1);
                let order = asked(&w);
                answer(&w, &order, true);
                w.refresh(&order, cause);
                w.faults.next(call, fate);
                w.killed(Authentication::QUEUE);
                w.live(Duration::from_secs(300));
                let told = (w.state(&order), w.told_state(&order), w.counts(), w.stripe.paid(order.order));
                assert_eq!(told, (State::Paid, "paid".to_owned(), (0, 0, 1), 1), "{cause:?} {call} {fate:?}");
            }
        }
    }
}

#[test]
fn everything_in_memory_is_lost_while_the_bank_asks_and_the_order_goes_on() {
    let w = World::new(2);
    let order = asked(&w);
    w.rebuild();
    w.lose_queue();
    assert_eq!(w.counts(), (1, 1, 0));
    answer(&w, &order, true);
    w.live(Duration::from_secs(90));
    assert_eq!((w.state(&order), w.counts()), (State::Paid, (1, 0, 1)));
}

#[test]
fn an_order_that_is_called_off_while_the_bank_asks_is_canceled_there_first() {
    let w = World::new(1);
    let order = asked(&w);
    now(settle(&w.ctx, order.order, Change::CalledOff)).unwrap();
    assert_eq!((w.state(&order), secret_told(&w, &order)), (State::Closing, None));
    w.live(Duration::from_secs(60));
    assert_eq!((w.state(&order), w.counts()), (State::Canceled, (1, 0, 0)));
    assert_eq!(w.stripe.intents(order.order)[0].status, Status::Canceled);
}
