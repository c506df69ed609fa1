//! Stripe's payments against the ledger's orders.

use std::time::Duration;

use shared::jobs::CreateCharge;
use shared::ledger::Ledger as _;
use shared::order::State;
use shared::queue::Job;
use shared::stripe::Stripe as _;

use super::faults::Fate;
use super::stripe::{Call, Mood, Status};
use super::world::{PRICE, World, now};
use crate::sweep::Agenda;
use crate::sweep::payments::Comparison;

const HOUR: Duration = Duration::from_secs(3_600);

/// Compares the last hour, to the end.
fn compare(w: &World) {
    let mut comparison = Comparison::over(&w.ctx, HOUR);
    for _ in 0..1_000 {
        if now(comparison.go_on(&w.ctx)).unwrap().to_an_end {
            return;
        }
    }
    panic!("a comparison that never ends");
}

/// Why each payment is raised.
fn raised(w: &World) -> Vec<(String, String)> {
    let rows = now(w.ledger.unmatched(100)).unwrap();
    rows.into_iter().map(|row| (row.payment_intent, row.reason)).collect()
}

#[test]
fn a_shop_in_order_has_nothing_to_raise_and_asks_about_no_payment_by_itself() {
    let w = World::new(40);
    for n in 0..30 {
        w.buy(["tok_visa", "tok_declined", "tok_processing"][n % 3]);
    }
    w.work();
    w.pass_secs(61);
    let asked = w.stripe.count(Call::Retrieve);
    compare(&w);
    assert_eq!((raised(&w), w.stripe.count(Call::Retrieve)), (vec![], asked));
}

#[test]
fn money_whose_order_is_not_paid_settles_it_by_the_usual_path() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    // Charged, and then everything is lost: the answer, its worker, the queue, the webhook.
    w.faults.next("send", Fate::StopsAfter);
    w.killed(CreateCharge::QUEUE);
    w.lose_queue();
    compare(&w);
    assert_eq!(w.state(&order), State::Charging, "its own worker may be about to tell");
    w.pass_secs(61);
    compare(&w);
    assert_eq!((w.state(&order), w.counts(), raised(&w)), (State::Paid, (0, 0, 1), vec![]));
    assert_eq!(w.told_state(&order), "paid");
}

#[test]
fn money_that_came_too_late_or_twice_goes_back_and_is_not_raised() {
    let w = World::new(1);
    let paid = w.buy("tok_visa");
    w.work();
    w.pass_secs(61);
    w.stripe.pay_elsewhere(paid.order, PRICE);
    compare(&w);
    w.sweep();
    assert_eq!((w.state(&paid), w.stripe.paid(paid.order), raised(&w)), (State::Paid, 1, vec![]));
    let refunds = w.stripe.count(Call::Refund);
    compare(&w);
    w.sweep();
    assert_eq!((w.stripe.count(Call::Refund), raised(&w)), (refunds, vec![]), "once");
}

#[test]
fn money_for_an_order_that_nobody_knows_is_raised_once_with_its_sum() {
    let w = World::new(1);
    w.stripe.tell_of_a_stranger("0198f2c0-0000-7000-8000-00000000dead");
    compare(&w);
    compare(&w);
    let rows = now(w.ledger.unmatched(9)).unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.reason.as_str(), row.amount, row.currency.as_str()), ("unknown_order", 500, "usd"));
    assert_eq!(row.payment_intent, "pi_0001");
}

#[test]
fn a_paid_order_whose_payment_stripe_does_not_have_is_raised_and_taken_back_when_it_has() {
    for what in ["gone", "canceled"] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.work();
        w.pass_secs(61);
        match what {
            "gone" => w.stripe.lose("pi_0001"),
            _ => w.stripe.resolve("pi_0001", Status::Canceled),
        }
        compare(&w);
        assert_eq!(raised(&w), [("pi_0001".to_owned(), "not_paid_at_stripe".to_owned())], "{what}");
        assert_eq!(w.state(&order), State::Paid, "a person decides");
        if what == "canceled" {
            w.stripe.resolve("pi_0001", Status::Succeeded);
            compare(&w);
            assert_eq!(raised(&w), []);
        }
    }
}

#[test]
fn what_was_raised_is_looked_at_again_long_after_its_hour() {
    let w = World::new(1);
    w.buy("tok_visa");
    w.work();
    w.pass_secs(61);
    w.stripe.resolve("pi_0001", Status::Processing);
    compare(&w);
    assert_eq!(raised(&w).len(), 1);
    w.pass_secs(5 * 3_600);
    compare(&w);
    assert_eq!(raised(&w).len(), 1, "still");
    w.stripe.resolve("pi_0001", Status::Succeeded);
    compare(&w);
    assert_eq!(raised(&w), []);
}

#[test]
fn a_stripe_that_does_not_answer_raises_nothing_and_the_comparison_goes_on_where_it_stood() {
    let w = World::new(20);
    for _ in 0..20 {
        w.buy("tok_visa");
    }
    w.work();
    w.pass_secs(61);
    w.stripe.lose("pi_0003");
    let mut comparison = Comparison::over(&w.ctx, HOUR);
    let mut ended = false;
    for round in 0..40 {
        if round % 2 == 0 {
            w.stripe.next(Call::Payments, Mood::LostBefore);
            w.stripe.next(Call::Retrieve, Mood::Unconfigured);
        }
        ended |= now(comparison.go_on(&w.ctx)).is_ok_and(|came| came.to_an_end);
        if ended {
            break;
        }
    }
    assert!(ended);
    assert_eq!(raised(&w), [("pi_0003".to_owned(), "not_paid_at_stripe".to_owned())]);
}

#[test]
fn the_first_comparison_is_about_a_day_and_later_ones_about_the_time_since_and_an_hour() {
    let w = World::new(1);
    w.stripe.tell_of_a_stranger("0198f2c0-0000-7000-8000-00000000dead");
    w.pass_secs(23 * 3_600);
    let mut agenda = Agenda::default();
    let run = |agenda: &mut Agenda, rounds: u32| {
        for _ in 0..rounds {
            w.pass_secs(1);
            now(agenda.at_stripe(&w.ctx));
        }
    };
    run(&mut agenda, 10);
    assert_eq!(raised(&w).len(), 1, "of 23 hours ago");
    let lists = w.stripe.count(Call::Payments);
    run(&mut agenda, 200);
    assert_eq!(w.stripe.count(Call::Payments), lists, "every five minutes");
    // Nobody sweeps for three hours; what happened meanwhile is compared.
    w.pass_secs(100);
    w.stripe.tell_of_a_stranger("0198f2c0-0000-7000-8000-00000000beef");
    w.pass_secs(3 * 3_600);
    run(&mut Agenda::default(), 10);
    assert_eq!(raised(&w).len(), 2);
}

#[test]
fn other_peoples_payments_on_the_same_account_are_none_of_our_business() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.work();
    let mut page = now(w.stripe.payments(w.env.now().minus(HOUR), None)).unwrap();
    page.items[0].order = None;
    assert_eq!(w.state(&order), State::Paid);
    compare(&w);
    assert_eq!(raised(&w), []);
}
