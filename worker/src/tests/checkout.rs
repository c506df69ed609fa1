//! Stripe's own payment page: made, paid, left, given up, and ended, whatever dies or is lost in between.

use std::time::Duration;

use shared::jobs::{Cause, CreateCharge};
use shared::ledger::{Accepted, Ledger as _, RefundState};
use shared::order::{State, hosted};
use shared::queue::Job as _;

use super::faults::Fate;
use super::stripe::{Call, Mood, Page, Status};
use super::world::{Purchase, World, now};

const COMPLETED: &str = "checkout.session.completed";
const EXPIRED: &str = "checkout.session.expired";
/// How long the buyer has on Stripe's page.
const TIME: u64 = 600;

fn wish() -> String {
    hosted::wish("https://shop.example")
}

/// An order whose buyer was sent to Stripe's page.
fn sent_there(w: &World) -> Purchase {
    let order = w.buy(&wish());
    w.work();
    assert_eq!(w.state(&order), State::RequiresAction);
    order
}

/// An order that was declined with a card, and whose buyer then chose Stripe's page.
fn declined(w: &World) -> Purchase {
    let order = w.buy("tok_declined");
    w.work();
    assert_eq!(w.state(&order), State::Declined);
    order
}

fn hear(w: &World, kind: &str, order: &Purchase) {
    let session = w.stripe.sessions(order.order).last().unwrap().id.clone();
    w.hear(kind, &session, &order.order.to_string());
    w.work();
}

fn address_told(w: &World, order: &Purchase) -> Option<String> {
    w.told(order.order).unwrap()["action"]["url"].as_str().map(ToOwned::to_owned)
}

fn pages(w: &World, order: &Purchase) -> Vec<Page> {
    w.stripe.sessions(order.order).iter().map(|session| session.page).collect()
}

#[test]
fn the_buyer_is_told_where_to_pay_and_pays_there() {
    let w = World::new(1);
    let order = sent_there(&w);
    assert_eq!(address_told(&w, &order).as_deref(), Some("https://stripe.example/cs_0001"));
    assert_eq!((w.told(order.order).unwrap()["expires_in_ms"].as_u64(), w.counts()), (Some(TIME * 1_000), (0, 1, 0)));
    assert!(w.stripe.try_on_page(order.order, Status::Succeeded));
    hear(&w, COMPLETED, &order);
    assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Paid, (0, 0, 1), 1));
    assert_eq!((address_told(&w, &order), w.order(&order).session), (None, None));
    let (key, request) = w.stripe.sent().remove(0);
    assert_eq!(key, format!("charge-{}-1", order.order));
    for pair in [
        "mode=payment",
        "allowed_payment_method_types[]=card",
        "adaptive_pricing[enabled]=false",
        "line_items[0][quantity]=1",
        "line_items[0][price_data][unit_amount]=2500",
        "line_items[0][price_data][currency]=usd",
    ] {
        assert!(request.body.split('&').any(|sent| sent == pair), "{pair}: {}", request.body);
    }
    let back =
        format!("success_url=https%3A%2F%2Fshop.example%2Fsales%2Fdemo%3Forder%3D{}%26checkout%3Ddone", order.order);
    assert!(request.body.contains(&back), "{}", request.body);
}

#[test]
fn a_repeat_while_the_page_is_open_is_the_same_page_and_a_card_has_to_wait() {
    let w = World::new(1);
    let order = sent_there(&w);
    assert!(matches!(w.pay_again(&order, &wish()), Some(Accepted::Replay(_))));
    assert!(matches!(w.pay_again(&order, "tok_visa"), Some(Accepted::InProgress)));
    assert_eq!(pages(&w, &order), [Page::Open]);
}

#[test]
fn who_comes_back_pays_with_a_card_once_the_page_is_dead() {
    let w = World::new(1);
    let order = sent_there(&w);
    w.stripe.try_on_page(order.order, Status::Declined(shared::decline::DeclineClass::InsufficientFunds));
    w.hear("payment_intent.payment_failed", "pi_0001", &order.order.to_string());
    w.work();
    assert_eq!(w.state(&order), State::RequiresAction, "who is declined there tries again there");
    w.refresh(&order, Cause::GivenUp);
    w.work();
    assert_eq!((w.state(&order), pages(&w, &order)), (State::Declined, vec![Page::Expired]));
    hear(&w, EXPIRED, &order);
    assert!(matches!(w.pay_again(&order, "tok_visa"), Some(Accepted::NextAttempt(_))));
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.counts()), (State::Paid, 1, (0, 0, 1)));
}

#[test]
fn a_page_that_was_paid_before_it_could_be_given_up_is_paid() {
    for mood in [Mood::Fine, Mood::LostBefore, Mood::LostAfter, Mood::BrokenAfter] {
        let w = World::new(1);
        let order = sent_there(&w);
        w.stripe.next(Call::Expire, mood);
        w.stripe.try_on_page(order.order, Status::Succeeded);
        w.refresh(&order, Cause::GivenUp);
        w.work();
        w.live(Duration::from_secs(60));
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1), "{mood:?}");
        assert!(matches!(w.pay_again(&order, "tok_visa"), Some(Accepted::Replay(_))));
    }
}

#[test]
fn after_a_declined_card_the_page_is_made_only_when_the_card_can_pay_no_more() {
    for mood in [Mood::Fine, Mood::LostBefore, Mood::LostAfter, Mood::BrokenBefore, Mood::BrokenAfter] {
        let w = World::new(1);
        let order = declined(&w);
        w.stripe.next(Call::Cancel, mood);
        assert!(matches!(w.pay_again(&order, &wish()), Some(Accepted::NextAttempt(_))));
        w.work();
        w.live(Duration::from_secs(60));
        assert_eq!(
            (w.state(&order), w.stripe.intents(order.order)[0].status),
            (State::RequiresAction, Status::Canceled)
        );
        assert!(w.stripe.try_on_page(order.order, Status::Succeeded));
        hear(&w, COMPLETED, &order);
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1), "{mood:?}");
    }
}

#[test]
fn a_card_that_paid_after_all_needs_no_page() {
    let w = World::new(1);
    let order = declined(&w);
    w.stripe.pass_all_the_same("pi_0001");
    w.pay_again(&order, &wish());
    w.work();
    assert_eq!((w.state(&order), pages(&w, &order), w.stripe.paid(order.order)), (State::Paid, vec![], 1));
}

#[test]
fn who_never_pays_there_loses_the_stock_only_when_stripe_has_ended_the_page() {
    for mood in [Mood::Fine, Mood::LostBefore, Mood::LostAfter, Mood::BrokenBefore, Mood::BrokenAfter, Mood::Wrong] {
        let w = World::new(1);
        let order = sent_there(&w);
        w.pass_secs(TIME - 1);
        w.sweep();
        w.work();
        assert_eq!(w.state(&order), State::RequiresAction, "{mood:?}");
        w.stripe.next(Call::Expire, mood);
        w.pass_secs(1);
        w.sweep();
        w.work();
        if mood != Mood::Fine {
            assert_eq!((w.state(&order), w.counts(), address_told(&w, &order)), (State::Closing, (0, 1, 0), None));
        }
        w.live(Duration::from_secs(60));
        assert_eq!((w.state(&order), w.counts(), pages(&w, &order)), (State::Expired, (1, 0, 0), vec![Page::Expired]));
    }
}

#[test]
fn a_page_that_is_paid_while_it_is_being_ended_is_paid() {
    let w = World::new(1);
    let order = sent_there(&w);
    w.pass_secs(TIME);
    w.stripe.next(Call::Expire, Mood::LostBefore);
    w.sweep();
    assert_eq!(w.state(&order), State::Closing);
    assert!(w.stripe.try_on_page(order.order, Status::Succeeded), "it is still open at Stripe");
    w.live(Duration::from_secs(60));
    assert_eq!((w.state(&order), w.counts()), (State::Paid, (0, 0, 1)));
}

#[test]
fn what_is_paid_after_the_end_is_fulfilled_or_given_back_as_the_stock_and_the_sale_allow() {
    for (sold_meanwhile, state, refunds) in [(false, State::Paid, 0), (true, State::Expired, 1)] {
        let w = World::new(1);
        let order = sent_there(&w);
        w.live(Duration::from_secs(TIME + 60));
        assert_eq!(w.state(&order), State::Expired);
        if sold_meanwhile {
            w.buy("tok_visa");
            w.work();
        }
        w.stripe.try_all_the_same(order.order, Status::Succeeded);
        hear(&w, COMPLETED, &order);
        w.live(Duration::from_secs(60));
        let owed = now(w.ledger.refunds_of(order.order)).unwrap();
        assert_eq!((w.state(&order), owed.len()), (state, refunds), "sold meanwhile: {sold_meanwhile}");
        assert!(owed.iter().all(|refund| refund.state == RefundState::Succeeded && refund.reason == "paid_late"));
        assert_eq!(w.stripe.paid(order.order), 1 - refunds);
    }
}

#[test]
fn a_lost_event_is_made_good_by_the_page_or_by_the_sweep() {
    for page_asks in [true, false] {
        let w = World::new(1);
        let order = sent_there(&w);
        w.refresh(&order, Cause::Asked);
        w.work();
        assert_eq!(w.state(&order), State::RequiresAction, "to say so pays nothing");
        w.stripe.try_on_page(order.order, Status::Succeeded);
        if page_asks {
            w.refresh(&order, Cause::Asked);
            w.work();
        } else {
            w.live(Duration::from_secs(180));
        }
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1), "the page asks: {page_asks}");
    }
}

#[test]
fn a_page_that_stripe_ended_leaves_the_buyer_a_while_to_try_again() {
    let w = World::new(1);
    let order = sent_there(&w);
    w.stripe.page_ends(order.order);
    hear(&w, EXPIRED, &order);
    assert_eq!((w.state(&order), w.counts()), (State::Declined, (0, 1, 0)));
    assert!(matches!(w.pay_again(&order, &wish()), Some(Accepted::NextAttempt(_))));
    w.work();
    assert_eq!((w.state(&order), pages(&w, &order)), (State::RequiresAction, vec![Page::Expired, Page::Open]));
}

#[test]
fn whatever_becomes_of_the_answer_there_is_one_page_and_it_is_paid_once() {
    let moods = [
        Mood::LostBefore,
        Mood::LostAfter,
        Mood::BrokenBefore,
        Mood::BrokenAfter,
        Mood::Throttled("endpoint-rate", None),
        Mood::Unconfigured,
    ];
    for mood in moods {
        let w = World::new(1);
        w.stripe.next(Call::Send, mood);
        let order = w.buy(&wish());
        w.work();
        w.live(Duration::from_secs(120));
        if mood == Mood::BrokenBefore {
            assert_eq!((w.state(&order), pages(&w, &order).len()), (State::Declined, 0), "nothing was made");
            continue;
        }
        assert_eq!((w.state(&order), pages(&w, &order)), (State::RequiresAction, vec![Page::Open]), "{mood:?}");
        let sent = w.stripe.sent();
        assert!(sent.iter().all(|request| *request == sent[0]), "the same bytes, the same key");
        assert!(w.stripe.try_on_page(order.order, Status::Succeeded));
        hear(&w, COMPLETED, &order);
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1), "{mood:?}");
    }
}

#[test]
fn a_worker_killed_around_the_making_of_a_page_leaves_one_page() {
    for (call, fate) in [
        ("send", Fate::StopsBefore),
        ("send", Fate::StopsAfter),
        ("cancel", Fate::StopsAfter),
        ("claim", Fate::StopsAfter),
    ] {
        let w = World::new(1);
        let order = declined(&w);
        w.pay_again(&order, &wish());
        w.faults.next(call, fate);
        w.killed(CreateCharge::QUEUE);
        w.live(Duration::from_secs(120));
        assert_eq!((w.state(&order), pages(&w, &order)), (State::RequiresAction, vec![Page::Open]), "{call} {fate:?}");
    }
}

#[test]
fn a_request_that_is_too_old_for_stripe_is_looked_up_and_nothing_was_made() {
    let w = World::new(1);
    w.stripe.next(Call::Send, Mood::LostBefore);
    let order = w.buy(&wish());
    w.work();
    w.pass_secs(1_800);
    w.stripe.next(Call::Send, Mood::Wrong);
    w.sweep();
    w.work();
    assert_eq!((w.state(&order), w.stripe.count(Call::FindSession)), (State::Declined, 1));
}

#[test]
fn two_tabs_one_on_stripes_page_and_one_with_a_card_are_never_charged_twice() {
    let w = World::new(1);
    let order = sent_there(&w);
    w.refresh(&order, Cause::GivenUp);
    w.work();
    w.pay_again(&order, "tok_visa");
    assert!(!w.stripe.try_on_page(order.order, Status::Succeeded), "the other tab's page is over");
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
    // What no rule allows, and what becomes of it all the same.
    w.stripe.try_all_the_same(order.order, Status::Succeeded);
    hear(&w, COMPLETED, &order);
    w.live(Duration::from_secs(60));
    let refunds = now(w.ledger.refunds_of(order.order)).unwrap();
    assert_eq!((refunds.len(), refunds[0].reason.as_str()), (1, "paid_twice"));
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
}
