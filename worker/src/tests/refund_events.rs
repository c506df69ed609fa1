//! Refunds that Stripe tells of: ours before or after their answer, those of its dashboard, and those that fail later.

use std::time::Duration;

use futures::FutureExt as _;
use shared::jobs::{CreateCharge, Webhook};
use shared::ledger::{Ledger as _, Refund, RefundRequest, RefundState, RefundWhat};
use shared::order::State;
use shared::queue::{Finish, Job as _};
use uuid::Uuid;

use super::faults::Fate;
use super::stripe::{Call, Mood};
use super::till::Balance;
use super::world::{PRICE, Purchase, World, now};
use crate::sweep;

const CREATED: &str = "refund.created";
const UPDATED: &str = "refund.updated";
const FAILED: &str = "refund.failed";
const KINDS: [&str; 5] = [CREATED, UPDATED, FAILED, "charge.refund.updated", "charge.refunded"];

/// A shop of five with a paid order of one, whose payment is `pi_0001`.
fn paid() -> (World, Purchase) {
    let w = World::new(5);
    let order = w.buy("tok_visa");
    w.work();
    assert_eq!(w.state(&order), State::Paid);
    (w, order)
}

fn ask(w: &World, order: &Purchase, what: RefundWhat) {
    let (request, order) = (w.env.uuid_v4(), order.order);
    now(w.ledger.request_refund(RefundRequest { request, order, what, note: None, restock: false, by: "ops".into() }))
        .unwrap();
}

fn rows(w: &World, order: &Purchase) -> Vec<Refund> {
    now(w.ledger.refunds_of(order.order)).unwrap()
}

fn states(w: &World, order: &Purchase) -> Vec<RefundState> {
    rows(w, order).into_iter().map(|row| row.state).collect()
}

/// What the room was told last: the state, what has gone back, and how many tickets admit.
fn told(w: &World, order: &Purchase) -> (String, i64, usize) {
    let told = w.told(order.order).unwrap();
    let tickets = told["tickets"].as_array().unwrap().len();
    (told["state"].as_str().unwrap().to_owned(), told["refunded"].as_i64().unwrap(), tickets)
}

/// The ledger's sum is Stripe's.
fn sums_agree(w: &World, order: &Purchase) {
    let gone: i64 = w.stripe.intents(order.order).iter().map(|intent| intent.refunded).sum();
    let order = w.order(order);
    assert_eq!(order.refunded + order.refunding, gone, "{order:?}");
}

/// Hears of the last refund of the payment and heeds it when its answer had its moment.
fn heed(w: &World, kind: &str, order: Option<&Purchase>) -> Finish {
    let refund = w.stripe.refunds_of("pi_0001").first().map_or_else(|| "re_none".to_owned(), |last| last.id.clone());
    w.hear_of_refund(kind, &refund, "pi_0001", order.map(|order| order.order));
    w.pass_secs(1);
    w.heed()
}

fn settles(w: &World, kind: &str, order: Option<&Purchase>) {
    assert_eq!((heed(w, kind, order), w.unhandled()), (Finish::done(), 0), "{kind}");
}

#[test]
fn a_refund_made_in_the_dashboard_is_recorded_by_its_event_and_told() {
    for kind in KINDS {
        let (w, order) = paid();
        w.stripe.refund_by_hand("pi_0001", 1_000);
        // Nothing of ours is on it: Stripe says of which order its payment is.
        settles(&w, kind, None);
        assert_eq!(
            (states(&w, &order), told(&w, &order)),
            (vec![RefundState::Succeeded], ("partially_refunded".into(), 1_000, 1))
        );
        let before = w.order(&order);
        for again in KINDS {
            settles(&w, again, None);
        }
        assert_eq!((w.order(&order), rows(&w, &order).len()), (before, 1), "the same news is none");
        w.stripe.refund_by_hand("pi_0001", PRICE - 1_000);
        settles(&w, kind, None);
        assert_eq!((told(&w, &order), w.counts()), (("refunded".into(), PRICE, 0), (4, 0, 1)), "{kind}");
        sums_agree(&w, &order);
    }
}

#[test]
fn what_pends_is_settled_by_its_event_alone() {
    for (good, kind, by_hand) in
        [(true, UPDATED, false), (false, FAILED, false), (true, UPDATED, true), (false, "charge.refund.updated", true)]
    {
        let (w, order) = paid();
        w.stripe.balance(Balance::Pends);
        if by_hand {
            w.stripe.refund_by_hand("pi_0001", PRICE);
            settles(&w, CREATED, None);
        } else {
            ask(&w, &order, RefundWhat::All);
            w.sweep();
        }
        assert_eq!((states(&w, &order), told(&w, &order)), (vec![RefundState::Pending], ("paid".into(), 0, 0)));
        w.stripe.settle_refunds(good);
        settles(&w, kind, Some(&order).filter(|_| !by_hand));
        let (state, shown) = match good {
            true => (RefundState::Succeeded, ("refunded".into(), PRICE, 0)),
            false => (RefundState::Failed, ("paid".into(), 0, 1)),
        };
        assert_eq!((states(&w, &order), told(&w, &order)), (vec![state], shown), "{kind}, by hand: {by_hand}");
        assert_eq!(w.stripe.count(Call::RetrieveRefund), 0);
        sums_agree(&w, &order);
    }
}

#[test]
fn a_refund_that_looked_done_and_comes_back_weeks_later_is_noticed() {
    let (w, order) = paid();
    ask(&w, &order, RefundWhat::All);
    w.sweep();
    assert_eq!(told(&w, &order), ("refunded".into(), PRICE, 0));
    w.pass(Duration::from_secs(14 * 24 * 3_600));
    w.stripe.return_refund("re_0001");
    settles(&w, FAILED, Some(&order));
    assert_eq!((states(&w, &order), told(&w, &order)), (vec![RefundState::Failed], ("paid".into(), 0, 1)));
    ask(&w, &order, RefundWhat::All);
    w.sweep();
    assert_eq!(told(&w, &order), ("refunded".into(), PRICE, 0));
    sums_agree(&w, &order);
}

#[test]
fn the_event_before_the_answer_settles_the_refund_and_the_answer_changes_nothing() {
    let (w, order) = paid();
    ask(&w, &order, RefundWhat::Amount(1_000));
    w.faults.next("refund", Fate::StopsAfter);
    let mut sending = sweep::round(&w.ctx).boxed();
    assert!((&mut sending).now_or_never().is_none(), "Stripe has made it, and its answer is on its way");
    w.hear_of_refund(CREATED, "re_0001", "pi_0001", Some(order.order));
    assert!(matches!(w.heed(), Finish::Retry { .. }), "the answer has a moment to come first");
    assert_eq!(w.stripe.count(Call::Refunds), 0);
    w.pass_secs(1);
    assert_eq!(w.heed(), Finish::done());
    let settled = w.order(&order);
    assert_eq!((states(&w, &order), settled.refunded), (vec![RefundState::Succeeded], 1_000));
    now(sending);
    assert_eq!((w.order(&order), rows(&w, &order).len()), (settled, 1));
    sums_agree(&w, &order);
}

#[test]
fn the_events_after_the_answer_change_nothing_and_the_first_asks_nothing() {
    let (w, order) = paid();
    ask(&w, &order, RefundWhat::Amount(1_000));
    w.sweep();
    let settled = w.order(&order);
    settles(&w, CREATED, Some(&order));
    assert_eq!((w.stripe.count(Call::Refunds), w.stripe.count(Call::Retrieve)), (0, 0));
    for kind in KINDS {
        settles(&w, kind, Some(&order));
    }
    assert_eq!((w.order(&order), rows(&w, &order).len()), (settled, 1));
}

#[test]
fn an_answer_that_died_with_its_worker_is_made_good_by_the_event_and_the_refund_sent_once() {
    let (w, order) = paid();
    ask(&w, &order, RefundWhat::All);
    w.faults.next("refund", Fate::StopsAfter);
    assert!(sweep::round(&w.ctx).now_or_never().is_none());
    settles(&w, CREATED, Some(&order));
    w.live(Duration::from_secs(120));
    assert_eq!((told(&w, &order), w.stripe.count(Call::Refund)), (("refunded".into(), PRICE, 0), 1));
    sums_agree(&w, &order);
}

#[test]
fn a_wish_that_the_dashboard_has_overtaken_fails_and_no_ticket_is_valid_in_between() {
    for (by_hand, shown) in [(PRICE, ("refunded", PRICE, 0)), (1_000, ("partially_refunded", 1_000, 1))] {
        for told_first in [false, true] {
            let (w, order) = paid();
            ask(&w, &order, RefundWhat::All);
            w.stripe.refund_by_hand("pi_0001", by_hand);
            // What the refusal means is not concluded until it can be read.
            w.stripe.next(Call::Refunds, Mood::LostBefore);
            if told_first {
                w.pass_secs(2);
                assert!(matches!(heed(&w, CREATED, None), Finish::Retry { .. }));
                w.pass_secs(60);
                assert_eq!(w.heed(), Finish::done());
                assert_eq!(told(&w, &order).2, 0);
            }
            w.live(Duration::from_secs(120));
            let mut ends = states(&w, &order);
            ends.sort_unstable_by_key(|state| state.as_str());
            assert_eq!(ends, [RefundState::Failed, RefundState::Succeeded]);
            assert_eq!(told(&w, &order), (shown.0.to_owned(), shown.1, shown.2), "{by_hand}, told first: {told_first}");
            let valid = w.messages(order.order).iter().skip_while(|frame| frame["refunding"] == 0).any(|frame| {
                by_hand == PRICE && frame["tickets"].as_array().is_some_and(|tickets| !tickets.is_empty())
            });
            assert!(!valid, "nobody is told of a ticket whose price has gone");
            sums_agree(&w, &order);
        }
    }
}

#[test]
fn a_refund_of_a_payment_that_is_not_settled_yet_settles_the_payment_first() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.faults.next("send", Fate::StopsAfter);
    w.killed(CreateCharge::QUEUE);
    assert_eq!(w.state(&order), State::Charging);
    w.stripe.refund_by_hand("pi_0001", PRICE);
    settles(&w, CREATED, None);
    assert_eq!((w.state(&order), told(&w, &order)), (State::Paid, ("refunded".into(), PRICE, 0)));
    w.live(Duration::from_secs(300));
    assert_eq!((w.stripe.count(Call::Refund), told(&w, &order).0), (0, "refunded".to_owned()));
    sums_agree(&w, &order);
}

#[test]
fn money_that_came_twice_and_went_back_by_hand_does_not_go_back_again() {
    for told_of in [false, true] {
        let (w, order) = paid();
        let twice = w.stripe.pay_elsewhere(order.order, PRICE).payment_intent;
        w.stripe.refund_by_hand(&twice, PRICE);
        if told_of {
            w.hear_of_refund("charge.refunded", "re_0001", &twice, Some(order.order));
        } else {
            w.hear("payment_intent.succeeded", &twice, &order.order.to_string());
        }
        w.pass_secs(1);
        w.live(Duration::from_secs(120));
        let rows = rows(&w, &order);
        assert_eq!((rows.len(), rows[0].reason.as_str(), rows[0].state), (1, "paid_twice", RefundState::Succeeded));
        assert_eq!(rows[0].stripe_id.as_deref(), Some("re_0001"));
        assert_eq!((told(&w, &order), w.stripe.paid(order.order)), (("paid".into(), 0, 1), 1), "told of: {told_of}");
    }
}

#[test]
fn while_stripe_does_not_list_them_nothing_is_concluded() {
    for (call, mood) in [
        (Call::Refunds, Mood::LostBefore),
        (Call::Refunds, Mood::Throttled("endpoint-rate", None)),
        (Call::Retrieve, Mood::BrokenBefore),
        (Call::Retrieve, Mood::Throttled("global-rate", Some(Duration::from_secs(2)))),
        (Call::Retrieve, Mood::Unconfigured),
    ] {
        let (w, order) = paid();
        w.stripe.refund_by_hand("pi_0001", PRICE);
        w.stripe.next(call, mood);
        assert!(matches!(heed(&w, CREATED, None), Finish::Retry { .. }), "{call:?} {mood:?}");
        assert_eq!((rows(&w, &order).len(), w.unhandled()), (0, 1));
        w.pass_secs(60);
        assert_eq!(w.heed(), Finish::done(), "{call:?} {mood:?}");
        assert_eq!((told(&w, &order), w.unhandled()), (("refunded".into(), PRICE, 0), 0));
    }
}

#[test]
fn killed_anywhere_the_event_of_a_refund_is_heeded_again() {
    let calls =
        ["event", "retrieve", "order", "refunds_of", "refunds", "see_refund", "settle", "publish", "event_handled"];
    for call in calls {
        for fate in [Fate::StopsBefore, Fate::StopsAfter] {
            let (w, order) = paid();
            w.stripe.refund_by_hand("pi_0001", PRICE);
            w.hear_of_refund(CREATED, "re_0001", "pi_0001", None);
            w.pass_secs(1);
            w.faults.next(call, fate);
            w.killed(Webhook::QUEUE);
            w.live(Duration::from_secs(300));
            assert_eq!((rows(&w, &order).len(), w.unhandled()), (1, 0), "{call} {fate:?}");
            assert_eq!(told(&w, &order), ("refunded".into(), PRICE, 0), "{call} {fate:?}");
        }
    }
}

#[test]
fn refunds_of_other_peoples_payments_are_done_with_and_of_lost_orders_raised() {
    let (w, order) = paid();
    let strange = w.stripe.pay_elsewhere(Uuid::nil(), 700).payment_intent;
    let done = |event: &str| now(w.ledger.event(event)).unwrap().unwrap().handled;
    // It names an order, and the payment is another's.
    let astray = w.hear_of_refund(CREATED, "re_9", &strange, Some(order.order));
    let lost = w.hear_of_refund(UPDATED, "re_9", &strange, None);
    let without = w.hear_of_refund(UPDATED, "re_9", "", None);
    w.pass_secs(1);
    w.work();
    assert_eq!((done(&astray), done(&lost), done(&without)), (true, false, true));
    w.pass_secs(620);
    w.work();
    assert!(done(&lost), "after ten minutes");
    assert_eq!((rows(&w, &order).len(), told(&w, &order)), (0, ("paid".into(), 0, 1)));
}
