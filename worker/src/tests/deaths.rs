//! Workers that are killed, jobs that come twice, and parts that fail: nothing is lost, nothing happens twice.

use std::time::Duration;

use shared::jobs::{CreateCharge, ProcessResponse};
use shared::ledger::{Claimed, Ledger as _};
use shared::order::{Attempt, Order, State, StoredRequest};
use shared::queue::{Finish, Job};
use shared::stripe::Stripe as _;

use super::faults::Fate;
use super::stripe::{Call, Mood};
use super::world::{World, now};

/// Longer than a lease.
const LAPSE: Duration = Duration::from_secs(31);

#[test]
fn a_worker_killed_after_stripe_said_yes_charges_once() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    w.faults.next("send", Fate::StopsAfter);
    w.killed(CreateCharge::QUEUE);
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Charging, 1));
    w.pass(LAPSE);
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.counts()), (State::Paid, 1, (0, 0, 1)));
    let sent = w.stripe.sent();
    assert_eq!((sent.len(), &sent[0]), (2, &sent[1]), "the same bytes under the same key");
}

#[test]
fn a_worker_killed_between_claim_and_charge_charges_once() {
    for (call, fate) in [("claim", Fate::StopsAfter), ("send", Fate::StopsBefore)] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.faults.next(call, fate);
        w.killed(CreateCharge::QUEUE);
        assert_eq!((w.state(&order), w.stripe.sent().len()), (State::Charging, 0));
        w.pass(LAPSE);
        w.work();
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
    }
}

#[test]
fn a_worker_killed_anywhere_while_settling_leaves_nothing_undone() {
    let places = [("apply", Fate::StopsBefore), ("apply", Fate::StopsAfter), ("settle", Fate::StopsAfter)];
    for (call, fate) in places.into_iter().chain([("publish", Fate::StopsBefore), ("publish", Fate::StopsAfter)]) {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.charge();
        w.faults.next(call, fate);
        w.killed(ProcessResponse::QUEUE);
        w.pass(LAPSE);
        w.work();
        assert_eq!((w.state(&order), w.counts(), w.unfinished()), (State::Paid, (0, 0, 1), 0), "{call} {fate:?}");
        let seen = w.order(&order);
        assert_eq!((seen.version, seen.tickets.len(), w.told_state(&order).as_str()), (3, 1, "paid"));
    }
}

#[test]
fn a_worker_killed_more_than_23_hours_ago_is_looked_after_first_and_never_sent_again() {
    for (fate, state, paid) in [(Fate::StopsAfter, State::Paid, 1), (Fate::StopsBefore, State::Declined, 0)] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.faults.next("send", fate);
        w.killed(CreateCharge::QUEUE);
        let sent = w.stripe.sent().len();
        w.pass_secs(23 * 3_600 + 1);
        w.work();
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (state, paid));
        assert_eq!((w.stripe.sent().len(), w.stripe.count(Call::Find)), (sent, 1));
    }
}

#[test]
fn a_deploy_between_send_and_retry_sends_the_bytes_of_the_old_build() {
    fn old_build(order: &Order, attempt: &Attempt, _: Option<&shared::sale::Sale>) -> Result<StoredRequest, String> {
        Ok(StoredRequest {
            path: "/v1/payment_intents".into(),
            body: format!(
                "amount={}&currency=usd&metadata[attempt]={}&metadata[order]={}&payment_method_data[card][token]={}&old=1",
                order.amount, attempt.number, order.id, attempt.token
            ),
            version: "2026-01-01.older".into(),
        })
    }
    let w = World::new(1);
    let order = w.buy("tok_visa");
    let Claimed::Yes { attempt, .. } = now(w.ledger.claim(order.order, 1, old_build)).unwrap() else { panic!() };
    let (request, key) = (attempt.request.unwrap(), shared::stripe::idempotency_key(order.order, 1));
    w.stripe.next(Call::Send, Mood::LostAfter);
    now(w.stripe.send(&request, &key));
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Paid, 1));
    for (used, sent) in w.stripe.sent() {
        assert_eq!((used, sent), (key.clone(), request.clone()), "letter by letter, version included");
    }
}

#[test]
fn an_answer_lost_until_stripe_has_forgotten_the_key_is_looked_up() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    for _ in 0..3 {
        w.stripe.next(Call::Send, Mood::LostAfter);
        assert!(matches!(w.charge(), Finish::Retry { .. }));
        w.pass_secs(60);
    }
    w.pass_secs(25 * 3_600);
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.stripe.sent().len()), (State::Paid, 1, 3));
}

#[test]
fn a_job_that_comes_twice_changes_nothing_the_second_time() {
    for token in ["tok_visa", "tok_declined"] {
        let w = World::new(1);
        let order = w.buy(token);
        let charge = CreateCharge::of(&w.order(&order));
        let response = w.charge();
        let Finish::Done { follow_ups } = response else { panic!("{response:?}") };
        w.work();
        let (before, counts) = (w.order(&order), w.counts());
        for _ in 0..2 {
            now(shared::queue::Queue::push(&*w.queue, follow_ups.clone())).unwrap();
            w.push(&charge);
            w.work();
        }
        assert_eq!((w.order(&order), w.counts(), w.stripe.sent().len()), (before, counts, 1));
    }
}

#[test]
fn whatever_part_fails_the_job_is_tried_again_and_nothing_is_lost() {
    let parts = [("claim", 0), ("apply", 1), ("settle", 1), ("publish", 1)];
    for ((call, step), fate) in
        parts.into_iter().flat_map(|part| [Fate::FailsBefore, Fate::FailsAfter].map(|fate| (part, fate)))
    {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.faults.next(call, fate);
        let end = if step == 0 {
            w.charge()
        } else {
            w.charge();
            w.respond()
        };
        assert!(matches!(end, Finish::Retry { .. }) && w.faults.all_happened(), "{call} {fate:?}: {end:?}");
        w.pass_secs(30);
        w.work();
        assert_eq!((w.state(&order), w.counts(), w.stripe.paid(order.order)), (State::Paid, (0, 0, 1), 1));
        assert_eq!((w.told_state(&order).as_str(), w.unfinished()), ("paid", 0));
    }
}

#[test]
fn a_poison_job_is_a_dead_letter_that_raises_review_with_the_stock_kept_and_blocks_nobody() {
    let w = World::new(2);
    let (poison, other) = (w.buy("tok_visa"), w.buy("tok_visa"));
    for _ in 0..5 {
        w.faults.next("claim", Fate::StopsBefore);
        w.killed(CreateCharge::QUEUE);
        w.pass(LAPSE);
    }
    w.work();
    assert_eq!((w.owed(&poison), w.state(&other)), (true, State::Paid));
    assert_eq!(w.gauges(CreateCharge::QUEUE).dead, 1);
    w.sweep();
    assert_eq!((w.state(&poison), w.told_state(&poison).as_str()), (State::Review, "review"));
    assert_eq!((w.counts(), w.gauges(CreateCharge::QUEUE).dead), ((0, 1, 1), 1), "pinned, and left to a person");
    let version = w.order(&poison).version;
    w.live(Duration::from_secs(300));
    assert_eq!(w.order(&poison).version, version);
}

#[test]
fn an_approved_order_is_sent_again_with_the_bytes_and_the_clock_of_its_first_sending() {
    for (hours, sent) in [(1, 2), (25, 1)] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.stripe.next(Call::Send, Mood::LostAfter);
        w.charge();
        let stuck = shared::order::Outcome::Stuck { reason: "a person looks".into() };
        let change = shared::ledger::Change::Observed { attempt: 1, outcome: stuck };
        now(crate::settle::settle(&w.ctx, order.order, change)).unwrap();
        w.pass_secs(hours * 3_600);
        w.work();
        assert_eq!(w.state(&order), State::Review);
        let approved = shared::ledger::Change::Approved(shared::ledger::Word::of("operator"));
        now(crate::settle::settle(&w.ctx, order.order, approved)).unwrap();
        w.live(Duration::from_secs(120));
        assert_eq!((w.state(&order), w.stripe.intents(order.order).len()), (State::Paid, 1));
        let all = w.stripe.sent();
        assert!(all.len() == sent && all.iter().all(|send| *send == all[0]), "{} sent after {hours} h", all.len());
    }
}
