//! Dead letters in the hands of a person: retried or discarded, whatever their order stands at, nothing is lost with them.

use std::sync::Arc;
use std::time::Duration;

use shared::access::memory::MemoryAccess;
use shared::access::{By, Look};
use shared::jobs::{Authentication, Cause, CreateCharge, ProcessResponse, Webhook};
use shared::ledger::{Ledger as _, Left};
use shared::order::State;
use shared::queue::{Finish, Job as _, Queue as _};
use shared::steer::{Helm, JobDone, Orders};

use super::stripe::{Call, Mood};
use super::world::{Purchase, World, now};
use crate::sweep;

/// What steers this shop.
pub(super) fn helm(w: &World) -> Helm {
    Helm {
        env: w.env.clone(),
        ledger: w.ledger.clone(),
        stock: Some(w.stock.clone()),
        queue: Some(w.queue.store()),
        rooms: None,
        access: Arc::new(MemoryAccess::new(w.env.clone())),
    }
}

pub(super) fn orders() -> Orders {
    Orders::new(By::cli(), Some("it was looked into".into())).unwrap()
}

/// The next job of a queue is given up.
fn dies(w: &World, queue: &'static str) -> String {
    let delivery = w.deliver(queue).expect("no job can be delivered");
    assert!(w.finish(&delivery, Finish::Dead { reason: "it kills workers".into() }));
    delivery.key
}

fn reviews(w: &World) -> Vec<uuid::Uuid> {
    now(w.ledger.left(Left::Review, 9)).unwrap().iter().map(|order| order.id).collect()
}

fn is_paid_once(w: &World, order: &Purchase) {
    assert_eq!((w.state(order), w.stripe.paid(order.order), w.counts()), (State::Paid, 1, (0, 0, 1)));
    assert_eq!((w.told_state(order).as_str(), w.unfinished()), ("paid", 0));
}

#[test]
fn an_order_whose_dead_charge_is_discarded_before_it_was_raised_is_queued_again_by_the_sweep() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    let key = dies(&w, CreateCharge::QUEUE);
    assert_eq!(now(helm(&w).discard_job(CreateCharge::QUEUE, &key, &orders())).unwrap(), JobDone::Yes);
    assert_eq!((w.owed(&order), w.unfinished()), (true, 0));
    w.live(Duration::from_secs(120));
    is_paid_once(&w, &order);
}

#[test]
fn an_order_whose_dead_charge_is_discarded_after_it_was_raised_waits_for_a_person_with_its_stock() {
    let w = World::new(1);
    let order = w.buy("tok_visa");
    let key = dies(&w, CreateCharge::QUEUE);
    w.sweep();
    assert_eq!((w.state(&order), reviews(&w)), (State::Review, vec![order.order]));
    let helm = helm(&w);
    assert_eq!(now(helm.discard_job(CreateCharge::QUEUE, &key, &orders())).unwrap(), JobDone::Yes);
    w.live(Duration::from_secs(3_600));
    assert_eq!((w.state(&order), w.counts(), reviews(&w)), (State::Review, (0, 1, 0), vec![order.order]));
    assert_eq!(now(helm.discard_job(CreateCharge::QUEUE, &key, &orders())).unwrap(), JobDone::Unknown);
    assert_eq!(now(helm.retry_job(CreateCharge::QUEUE, &key, &orders())).unwrap(), JobDone::Unknown);
}

#[test]
fn a_dead_charge_that_is_retried_is_charged_once_whether_its_order_was_raised_or_not() {
    for (raised, sent) in [(false, false), (true, false), (false, true), (true, true)] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        if sent {
            w.stripe.next(Call::Send, Mood::LostAfter);
            assert!(matches!(w.charge(), Finish::Retry { .. }));
            w.pass_secs(30);
        }
        let key = dies(&w, CreateCharge::QUEUE);
        if raised {
            w.sweep();
            assert_eq!(w.state(&order), State::Review);
        }
        assert_eq!(now(helm(&w).retry_job(CreateCharge::QUEUE, &key, &orders())).unwrap(), JobDone::Yes);
        w.live(Duration::from_secs(30));
        is_paid_once(&w, &order);
        assert!(reviews(&w).is_empty());
        let story = now(w.ledger.audit(order.order)).unwrap();
        let approved = story.iter().find(|line| line.by == "cli");
        assert_eq!(approved.map(|line| line.note.as_deref()), raised.then_some(Some("it was looked into")));
    }
}

#[test]
fn what_stripe_said_is_settled_when_its_dead_job_is_retried_and_asked_for_again_when_it_is_discarded() {
    for (raised, discard) in [(false, false), (true, false), (false, true)] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        assert!(matches!(w.charge(), Finish::Done { .. }));
        let key = dies(&w, ProcessResponse::QUEUE);
        assert_eq!((w.state(&order), w.stripe.paid(order.order)), (State::Charging, 1));
        if raised {
            w.sweep();
            assert_eq!(w.state(&order), State::Review);
        }
        let helm = helm(&w);
        let done = if discard {
            now(helm.discard_job(ProcessResponse::QUEUE, &key, &orders()))
        } else {
            now(helm.retry_job(ProcessResponse::QUEUE, &key, &orders()))
        };
        assert_eq!(done.unwrap(), JobDone::Yes);
        w.live(Duration::from_secs(120));
        is_paid_once(&w, &order);
    }
}

#[test]
fn an_event_whose_dead_job_is_retried_is_seen_to_and_one_that_is_discarded_is_not_needed() {
    for (raised, discard) in [(true, false), (false, false), (true, true), (false, true)] {
        let w = World::new(1);
        let order = w.buy("tok_visa");
        w.work();
        let event = w.hear("payment_intent.succeeded", "pi_0001", &order.order.to_string());
        let key = dies(&w, Webhook::QUEUE);
        if raised {
            now(sweep::round(&w.ctx));
            assert_eq!(w.unhandled(), 0, "it counts as seen to");
        }
        let helm = helm(&w);
        let done = if discard {
            now(helm.discard_job(Webhook::QUEUE, &key, &orders()))
        } else {
            now(helm.retry_job(Webhook::QUEUE, &key, &orders()))
        };
        assert_eq!(done.unwrap(), JobDone::Yes);
        if !discard {
            assert!(!now(w.ledger.event(&event)).unwrap().unwrap().handled, "somebody is to look at it again");
        }
        w.live(Duration::from_secs(60));
        assert_eq!(w.unhandled(), 0);
        assert_eq!(now(w.queue.dead(Webhook::QUEUE, 9)).unwrap(), []);
        is_paid_once(&w, &order);
    }
}

#[test]
fn a_buyer_at_the_bank_whose_dead_job_is_discarded_is_asked_after_by_the_sweep() {
    for discard in [true, false] {
        let w = World::new(1);
        let order = w.buy("tok_action");
        w.work();
        w.refresh(&order, Cause::Silence);
        let key = dies(&w, Authentication::QUEUE);
        let intent = w.order(&order).payment_intent.expect("pi_…");
        assert!(w.stripe.answer_challenge(&w.stripe.challenge(&intent), true));
        w.live(Duration::from_secs(60));
        assert_eq!(w.state(&order), State::RequiresAction, "the dead job keeps its place");
        let helm = helm(&w);
        let done = if discard {
            now(helm.discard_job(Authentication::QUEUE, &key, &orders()))
        } else {
            now(helm.retry_job(Authentication::QUEUE, &key, &orders()))
        };
        assert_eq!(done.unwrap(), JobDone::Yes);
        w.live(Duration::from_secs(90));
        is_paid_once(&w, &order);
    }
}

#[test]
fn the_trail_says_which_job_and_what_came_of_it() {
    let w = World::new(1);
    w.buy("tok_visa");
    let key = dies(&w, CreateCharge::QUEUE);
    let helm = helm(&w);
    let shown = now(helm.jobs()).unwrap();
    assert_eq!((shown.dead.len(), shown.dead[0].key.as_str(), shown.dead[0].deliveries), (1, key.as_str(), 1));
    assert_eq!((shown.queues[0].queue, shown.queues[0].dead), ("create_charge", 1));
    now(helm.retry_job(CreateCharge::QUEUE, "nothing:1", &orders())).unwrap();
    now(helm.discard_job("no_queue\n", &key, &orders())).unwrap();
    now(helm.discard_job(CreateCharge::QUEUE, &key, &orders())).unwrap();
    let lines = now(helm.access.log(Look::newest(9))).unwrap();
    let told = |line: &shared::access::Line| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        (line.what.clone(), text(&line.whom), text(&line.why), text(&line.result))
    };
    let line = |what: &str, whom: &str, result: &str| {
        (what.to_owned(), whom.to_owned(), "it was looked into".to_owned(), result.to_owned())
    };
    let expected = [
        line("job_discarded", &format!("job:create_charge/{key}"), "done"),
        line("job_discarded", &format!("job:create_charge/{key}"), "asked"),
        line("job_discarded", &format!("job:no_queue/{key}"), "unknown_job"),
        line("job_retried", "job:create_charge/nothing:1", "unknown_job"),
        line("job_retried", "job:create_charge/nothing:1", "asked"),
    ];
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
}
