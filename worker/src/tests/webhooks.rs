//! What Stripe tells by itself: before the answer, after it, twice, in any order, and of things that are not there.

use std::time::Duration;

use futures::FutureExt as _;
use shared::decline::DeclineClass;
use shared::jobs::{CreateCharge, ProcessResponse, Webhook};
use shared::ledger::{Change, Ledger as _};
use shared::order::{Outcome, State};
use shared::queue::{Finish, Job as _};

use super::faults::Fate;
use super::stripe::{Call, Mood, Status};
use super::world::{PRICE, Purchase, World, now};
use crate::settle::settle;
use crate::sweep;

const SUCCEEDED: &str = "payment_intent.succeeded";
const FAILED: &str = "payment_intent.payment_failed";
const CANCELED: &str = "payment_intent.canceled";

/// An order whose card is charged, and whose worker died before it could tell.
fn charged_and_killed(w: &World) -> Purchase {
    let order = w.buy("tok_visa");
    w.faults.next("send", Fate::StopsAfter);
    w.killed(CreateCharge::QUEUE);
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Charging, 1));
    order
}

fn hear(w: &World, kind: &str, purchase: &Purchase) -> String {
    w.hear(kind, "pi_0001", &purchase.order.to_string())
}

fn is_done(finish: &Finish) -> bool {
    *finish == Finish::done()
}

#[test]
fn an_answer_that_died_with_its_worker_is_made_good_by_the_event_alone() {
    let w = World::new(1);
    let order = charged_and_killed(&w);
    hear(&w, SUCCEEDED, &order);
    assert!(matches!(w.heed(), Finish::Retry { .. }), "its own answer has a moment to come first");
    assert_eq!(w.stripe.count(Call::Retrieve), 0);
    w.pass_secs(1);
    assert!(is_done(&w.heed()));
    assert_eq!((w.state(&order), w.counts(), w.told_state(&order)), (State::Paid, (0, 0, 1), "paid".to_owned()));
    assert_eq!((w.stripe.count(Call::Send), w.unhandled()), (1, 0));
}

#[test]
fn the_answer_that_comes_after_its_event_changes_nothing() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    assert!(matches!(w.charge(), Finish::Done { .. }));
    hear(&w, SUCCEEDED, &order);
    w.pass_secs(1);
    assert!(is_done(&w.heed()));
    let paid = w.order(&order);
    assert_eq!(paid.state, State::Paid);
    w.respond();
    assert_eq!(w.order(&order), paid);
}

#[test]
fn the_same_event_five_times_and_a_second_one_of_the_same_fact_settle_once() {
    let w = World::new(2);
    let order = w.buy("tok_visa");
    w.work();
    let paid = w.order(&order);
    let event = hear(&w, SUCCEEDED, &order);
    for _ in 0..5 {
        w.push(&Webhook::of(&event));
        w.work();
    }
    hear(&w, SUCCEEDED, &order);
    w.work();
    assert_eq!((w.order(&order), w.unhandled(), w.counts()), (paid, 0, (1, 0, 1)));
    assert_eq!(w.stripe.count(Call::Retrieve), 0, "what is paid cannot become anything else: nothing to ask");
}

#[test]
fn a_failure_that_is_told_after_the_success_does_not_downgrade_it() {
    let w = World::new(1);
    let order = charged_and_killed(&w);
    w.pass_secs(1);
    for kind in [SUCCEEDED, FAILED, CANCELED, "payment_intent.processing"] {
        hear(&w, kind, &order);
        w.pass_secs(1);
        w.work();
        assert_eq!((w.state(&order), w.unhandled()), (State::Paid, 0), "{kind}");
    }
}

#[test]
fn a_failure_that_is_told_of_a_payment_that_has_succeeded_since_is_a_success() {
    let w = World::new(1);
    let order = charged_and_killed(&w);
    hear(&w, FAILED, &order);
    w.pass_secs(1);
    assert!(is_done(&w.heed()));
    assert_eq!(w.state(&order), State::Paid);
}

#[test]
fn an_earlier_attempts_failure_does_not_settle_a_request_that_is_unanswered() {
    let w = World::new(1);
    let order = w.buy("tok_declined");
    w.work();
    assert_eq!(w.state(&order), State::Declined);
    w.pay_again(&order, "tok_visa_2");
    // The second request is lost on its way: Stripe still shows the first one's failure.
    w.stripe.next(Call::Send, Mood::LostBefore);
    assert!(matches!(w.charge(), Finish::Retry { .. }));
    hear(&w, FAILED, &order);
    w.pass_secs(2);
    assert!(matches!(w.heed(), Finish::Retry { .. }));
    assert_eq!(w.state(&order), State::Charging);
    w.work();
    w.pass_secs(30);
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.unhandled()), (State::Paid, 1, 0));
}

#[test]
fn what_the_bank_decides_after_processing_is_told_by_its_event() {
    for (status, kind, state) in [
        (Status::Succeeded, SUCCEEDED, State::Paid),
        (Status::Declined(DeclineClass::CardDeclined), FAILED, State::Declined),
        (Status::Canceled, CANCELED, State::Declined),
    ] {
        let w = World::new(1);
        let order = w.buy("tok_processing");
        w.charge();
        w.respond();
        assert_eq!(w.state(&order), State::Charging);
        w.stripe.resolve("pi_0001", status);
        hear(&w, kind, &order);
        assert!(is_done(&w.heed()), "{kind}");
        assert_eq!((w.state(&order), w.told_state(&order)), (state, state.to_string()), "{kind}");
    }
}

#[test]
fn a_payment_that_stripe_canceled_by_itself_ends_an_order_that_is_closing() {
    let w = World::new(1);
    let order = w.buy("tok_declined");
    w.work();
    now(settle(&w.ctx, order.order, Change::TimeOver)).unwrap();
    w.stripe.resolve("pi_0001", Status::Canceled);
    hear(&w, CANCELED, &order);
    assert!(is_done(&w.heed()));
    assert_eq!((w.state(&order), w.counts()), (State::Expired, (1, 0, 0)));
}

#[test]
fn an_event_of_another_payment_than_the_orders_own_ends_nothing() {
    let w = World::new(1);
    let order = w.buy("tok_processing");
    w.charge();
    w.respond();
    let other = w.stripe.pay_elsewhere(order.order, 1).payment_intent;
    w.stripe.resolve(&other, Status::Canceled);
    w.hear(CANCELED, &other, &order.order.to_string());
    assert!(is_done(&w.heed()));
    assert_eq!(w.state(&order), State::Charging);
}

#[test]
fn while_stripe_does_not_say_the_event_waits_and_nothing_is_concluded() {
    for mood in [
        Mood::LostBefore,
        Mood::BrokenBefore,
        Mood::Throttled("global-rate", Some(Duration::from_secs(3))),
        Mood::Throttled("endpoint-rate", None),
        Mood::Unconfigured,
        Mood::Wrong,
    ] {
        let w = World::new(1);
        let order = charged_and_killed(&w);
        w.pass_secs(1);
        w.stripe.next(Call::Retrieve, mood);
        hear(&w, FAILED, &order);
        w.pass_secs(1);
        assert!(matches!(w.heed(), Finish::Retry { .. }), "{mood:?}");
        assert_eq!((w.state(&order), w.unhandled()), (State::Charging, 1), "{mood:?}");
        w.pass_secs(60);
        assert!(is_done(&w.heed()), "{mood:?}");
        assert_eq!((w.state(&order), w.unhandled()), (State::Paid, 0), "{mood:?}");
    }
}

#[test]
fn an_event_of_an_order_that_nobody_knows_is_tried_for_ten_minutes_and_then_raised() {
    let w = World::new(1);
    let stranger = w.purchase("tok_visa");
    hear(&w, SUCCEEDED, &stranger);
    assert!(matches!(w.heed(), Finish::Retry { .. }));
    w.pass_secs(590);
    assert!(matches!(w.heed(), Finish::Retry { .. }));
    w.pass_secs(30);
    assert!(is_done(&w.heed()));
    assert_eq!((w.unhandled(), w.unfinished(), w.stripe.count(Call::Retrieve)), (0, 0, 0));
}

#[test]
fn a_silent_stripe_is_asked_about_an_event_for_a_day() {
    let w = World::new(1);
    let order = charged_and_killed(&w);
    hear(&w, SUCCEEDED, &order);
    w.pass_secs(24 * 3600);
    w.stripe.next(Call::Retrieve, Mood::LostBefore);
    assert!(is_done(&w.heed()));
    assert_eq!((w.state(&order), w.unhandled()), (State::Charging, 0), "left to whoever owes the charge");
}

#[test]
fn events_of_other_kinds_and_of_other_peoples_payments_are_kept_and_done_with() {
    let w = World::new(1);
    let order = charged_and_killed(&w);
    for (kind, order) in [
        ("customer.created", order.order.to_string()),
        ("payment_intent.something_new", order.order.to_string()),
        (SUCCEEDED, "not a UUID".to_owned()),
        (SUCCEEDED, String::new()),
    ] {
        let event = w.hear(kind, "pi_0001", &order);
        w.pass_secs(1);
        assert!(is_done(&w.heed()), "{kind}");
        assert!(now(w.ledger.event(&event)).unwrap().unwrap().handled, "{kind}");
    }
    assert_eq!((w.state(&order), w.stripe.count(Call::Retrieve)), (State::Charging, 0));
}

#[test]
fn an_order_that_the_event_names_wrongly_is_not_paid_by_it() {
    let w = World::new(2);
    let paid = charged_and_killed(&w);
    let other = w.buy("tok_declined");
    w.pass_secs(1);
    w.hear(SUCCEEDED, "pi_0001", &other.order.to_string());
    w.pass_secs(1);
    let event = w.deliver(Webhook::QUEUE).unwrap();
    assert!(is_done(&now(w.handler(&event))));
    assert_eq!((w.owed(&other), w.state(&paid)), (true, State::Charging));
}

#[test]
fn an_event_whose_push_was_lost_is_queued_again_by_the_sweep() {
    let w = World::new(1);
    let order = charged_and_killed(&w);
    hear(&w, SUCCEEDED, &order);
    w.lose_queue();
    w.pass_secs(4);
    w.sweep();
    assert_eq!(w.gauges(Webhook::QUEUE).waiting, 0, "its push may be on its way");
    w.pass_secs(1);
    w.sweep();
    w.sweep();
    assert_eq!(w.gauges(Webhook::QUEUE).waiting, 1);
    w.work();
    assert_eq!((w.state(&order), w.unhandled()), (State::Paid, 0));
    w.pass_secs(60);
    w.sweep();
    assert_eq!(w.gauges(Webhook::QUEUE).waiting, 0);
}

#[test]
fn killed_anywhere_the_event_is_heeded_again() {
    for call in ["event", "order", "attempt", "retrieve", "apply", "settle", "publish", "event_handled"] {
        for fate in [Fate::StopsBefore, Fate::StopsAfter] {
            let w = World::new(1);
            let order = charged_and_killed(&w);
            hear(&w, SUCCEEDED, &order);
            w.pass_secs(1);
            w.faults.next(call, fate);
            w.killed(Webhook::QUEUE);
            w.live(Duration::from_secs(300));
            assert_eq!((w.state(&order), w.counts(), w.unhandled()), (State::Paid, (0, 0, 1), 0), "{call} {fate:?}");
            assert_eq!((w.told_state(&order), w.stripe.paid(order.order)), ("paid".to_owned(), 1), "{call} {fate:?}");
        }
    }
}

#[test]
fn a_dead_letter_is_raised_once_and_keeps_no_other_event_from_its_turn() {
    let w = World::new(1);
    let order = charged_and_killed(&w);
    let event = hear(&w, SUCCEEDED, &order);
    let delivery = w.deliver(Webhook::QUEUE).unwrap();
    w.finish(&delivery, Finish::Dead { reason: "it kills workers".into() });
    w.pass_secs(10);
    now(sweep::round(&w.ctx));
    assert!(now(w.ledger.event(&event)).unwrap().unwrap().handled);
    now(sweep::round(&w.ctx));
    assert_eq!(now(w.ctx.queue.dead(Webhook::QUEUE, 9)).unwrap().len(), 1, "it stays for a person to see");
    w.live(Duration::from_secs(120));
    assert_eq!(w.state(&order), State::Paid, "the order has its own way");
}

#[test]
fn a_success_that_is_told_when_the_order_has_expired_is_paid_late_or_given_back() {
    for taken in [false, true] {
        let w = World::new(1);
        let order = w.buy("tok_declined");
        w.work();
        w.live(Duration::from_secs(1_000));
        assert_eq!(w.state(&order), State::Expired);
        if taken {
            w.buy("tok_visa");
            w.work();
        }
        let late = w.stripe.pay_elsewhere(order.order, PRICE);
        w.hear(SUCCEEDED, &late.payment_intent, &order.order.to_string());
        w.work();
        w.sweep();
        let (state, kept) = if taken { (State::Expired, 0) } else { (State::Paid, 1) };
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (state, kept), "taken: {taken}");
    }
}

#[test]
fn a_response_job_and_an_event_at_once_settle_once() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.charge();
    hear(&w, SUCCEEDED, &order);
    w.pass_secs(1);
    // Each has read the order, and neither has settled it.
    w.faults.next("apply", Fate::StopsBefore);
    w.faults.next("apply", Fate::StopsBefore);
    let (event, response) = (w.deliver(Webhook::QUEUE).unwrap(), w.deliver(ProcessResponse::QUEUE).unwrap());
    let (mut heeding, mut responding) = (w.handler(&event), w.handler(&response));
    assert!((&mut heeding).now_or_never().is_none() && (&mut responding).now_or_never().is_none());
    assert!(is_done(&now(heeding)));
    let paid = w.order(&order);
    now(responding);
    assert_eq!((w.order(&order), w.counts()), (paid, (0, 0, 1)));
    let audit = now(w.ledger.audit(order.order)).unwrap();
    assert_eq!(audit.iter().filter(|line| line.what == "paid").count(), 1);
    let outcome = Outcome::Canceled { payment_intent: Some("pi_0001".into()) };
    now(settle(&w.ctx, order.order, Change::Observed { attempt: 1, outcome })).unwrap();
    assert_eq!(w.state(&order), State::Paid);
}

#[test]
fn a_worker_killed_between_what_an_event_told_and_the_stock_leaves_no_ticket_behind() {
    let w = World::new(1);
    let order = w.buy("tok_declined");
    w.work();
    w.pass_secs(901);
    // Whoever closes it dies as well, so that the event alone tells that it can be paid no more.
    w.faults.next("push", Fate::StopsBefore);
    let _ = sweep::round(&w.ctx).now_or_never();
    assert_eq!(w.state(&order), State::Closing);
    hear(&w, CANCELED, &order);
    w.pass_secs(1);
    w.faults.next("settle", Fate::StopsBefore);
    w.killed(Webhook::QUEUE);
    assert_eq!((w.state(&order), w.counts()), (State::Expired, (0, 1, 0)));
    w.pass_secs(31);
    assert!(is_done(&w.heed()));
    assert_eq!((w.counts(), w.told_state(&order).as_str()), ((1, 0, 0), "expired"));
}
