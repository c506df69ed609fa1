//! Webhooks that never came, and how Stripe's list of events makes up for them.

use std::time::Duration;

use shared::env::Timestamp;
use shared::jobs::Webhook;
use shared::ledger::Ledger as _;
use shared::order::State;
use shared::queue::{Finish, Job};

use super::faults::Fate;
use super::stripe::{Call, Mood, Status};
use super::world::{Purchase, World, now};
use crate::sweep::events::read_missed;
use crate::sweep::{Agenda, Came};

/// Reads until the pass is at its end; how many events were not known.
fn read_all(w: &World) -> u64 {
    let mut found = 0;
    for _ in 0..100 {
        let Came { items, to_an_end } = now(read_missed(&w.ctx)).unwrap();
        found += items;
        if to_an_end {
            return found;
        }
    }
    panic!("a pass that never ends");
}

/// A worker's minute: everything that is due, and the jobs that it leads to.
fn a_minute(w: &World, agenda: &mut Agenda) {
    for _ in 0..60 {
        w.pass_secs(1);
        w.sweep();
        now(agenda.at_stripe(&w.ctx));
        w.work();
    }
}

/// The bank thinks, and the card's answer comes while nobody hears webhooks.
fn thinking(w: &World) -> Purchase {
    let order = w.buy("tok_processing");
    w.charge();
    w.respond();
    assert_eq!(w.state(&order), State::Charging);
    order
}

#[test]
fn an_endpoint_that_was_down_for_six_hours_costs_nothing_and_all_orders_are_right_within_a_minute() {
    let w = World::new(200);
    let mut agenda = Agenda::default();
    a_minute(&w, &mut agenda);
    // Nothing asks but the list: whoever waits for its bank has lost its own job as well.
    let orders: Vec<Purchase> = (0..60).map(|_| thinking(&w)).collect();
    w.lose_queue();
    for (n, order) in orders.iter().enumerate() {
        w.pass_secs(360);
        let id = w.stripe.intents(order.order)[0].id.clone();
        let what = if n % 3 == 0 { Status::Canceled } else { Status::Succeeded };
        w.stripe.resolve(&id, what);
    }
    assert!(w.stripe.told() >= 120, "{}", w.stripe.told());
    a_minute(&w, &mut agenda);
    let mut ends = [0, 0];
    for order in &orders {
        match w.state(order) {
            State::Paid => ends[0] += 1,
            // Canceled by the bank; the buyer may try another card.
            State::Declined => ends[1] += 1,
            other => panic!("{other}"),
        }
        assert!(w.stripe.paid(order.order) <= 1);
    }
    assert_eq!((ends, w.counts()), ([40, 20], (140, 20, 40)));
    for _ in 0..3 {
        a_minute(&w, &mut agenda);
    }
    assert_eq!(w.counts(), (160, 0, 40), "nobody came back with another card");
    assert_eq!(w.unhandled(), 0);
}

#[test]
fn an_event_is_stored_and_queued_once_however_often_it_is_listed() {
    let w = World::new(3);
    for _ in 0..3 {
        w.buy("tok_visa");
    }
    w.work();
    assert_eq!(read_all(&w), 3);
    assert_eq!(w.gauges(Webhook::QUEUE).waiting, 3);
    w.pass_secs(2);
    w.work();
    assert_eq!((read_all(&w), read_all(&w), w.unhandled()), (0, 0, 0));
    assert_eq!(w.gauges(Webhook::QUEUE).waiting, 0);
}

#[test]
fn a_pass_is_bounded_per_round_and_goes_on_where_it_stood_even_in_another_worker() {
    let w = World::new(100);
    for _ in 0..90 {
        w.buy("tok_visa");
    }
    w.work();
    let first = now(read_missed(&w.ctx)).unwrap();
    assert_eq!(first, Came { items: 40, to_an_end: false }, "ten pages of four");
    assert_eq!(w.stripe.count(Call::Events), 10);
    let second = now(read_missed(&w.ctx)).unwrap();
    let third = now(read_missed(&w.ctx)).unwrap();
    assert_eq!((second.items, third), (40, Came { items: 10, to_an_end: true }));
    assert_eq!(w.stripe.count(Call::Events), 23, "no page was read twice");
}

#[test]
fn an_event_that_shows_up_late_and_out_of_order_is_not_missed() {
    let w = World::new(9);
    w.pass_secs(3_600);
    let late = thinking(&w);
    w.buy("tok_visa");
    w.work();
    // It happened before others that were listed already, and is listed after them.
    let before = w.env.now().minus(Duration::from_secs(100));
    w.pass_secs(30);
    read_all(&w);
    w.stripe.resolve(&w.stripe.intents(late.order)[0].id, Status::Succeeded);
    let last = format!("evt_{:04}", w.stripe.told());
    w.stripe.back_date(&last, before);
    assert_eq!(read_all(&w), 1);
}

#[test]
fn a_place_in_the_list_that_is_gone_begins_the_pass_again() {
    let w = World::new(100);
    for _ in 0..60 {
        w.buy("tok_visa");
    }
    w.work();
    assert!(!now(read_missed(&w.ctx)).unwrap().to_an_end);
    w.stripe.forget_event("evt_0021");
    assert!(now(read_missed(&w.ctx)).is_err());
    assert_eq!(read_all(&w), 20, "those that were not read before");
}

#[test]
fn a_clock_that_was_ahead_once_does_not_hide_what_comes_after() {
    let w = World::new(9);
    let far = serde_json::json!({"seen": w.env.now().0 + 86_400_000, "pass": null});
    now(w.ledger.set_bookmark("stripe_events", &far.to_string())).unwrap();
    w.buy("tok_visa");
    w.work();
    assert_eq!(read_all(&w), 1);
    now(w.ledger.set_bookmark("stripe_events", "written by another version")).unwrap();
    assert_eq!(read_all(&w), 0);
}

#[test]
fn stopped_or_failing_anywhere_the_next_pass_finds_what_this_one_did_not_store() {
    for call in ["bookmark", "events", "store_events", "set_bookmark", "push"] {
        for fate in [Fate::StopsBefore, Fate::StopsAfter, Fate::FailsBefore, Fate::FailsAfter] {
            if call == "events" && matches!(fate, Fate::FailsBefore | Fate::FailsAfter) {
                continue;
            }
            let w = World::new(1);
            let order = thinking(&w);
            w.lose_queue();
            w.stripe.resolve("pi_0001", Status::Succeeded);
            w.faults.next(call, fate);
            let _ = futures::FutureExt::now_or_never(read_missed(&w.ctx));
            assert!(w.faults.all_happened(), "{call} {fate:?}");
            read_all(&w);
            w.pass_secs(6);
            w.sweep();
            w.work();
            assert_eq!((w.state(&order), w.counts()), (State::Paid, (0, 0, 1)), "{call} {fate:?}");
        }
    }
}

#[test]
fn a_stripe_that_throttles_the_list_is_left_alone_for_a_while_and_charges_go_on() {
    let w = World::new(5);
    let mut agenda = Agenda::default();
    for _ in 0..3 {
        w.stripe.next(Call::Events, Mood::Throttled("endpoint-rate", None));
    }
    w.buy("tok_visa");
    for _ in 0..4 {
        w.pass_secs(1);
        now(agenda.at_stripe(&w.ctx));
    }
    assert_eq!(w.stripe.count(Call::Events), 1, "not once a second");
    w.work();
    assert_eq!(w.counts(), (4, 0, 1));
    a_minute(&w, &mut agenda);
    assert!(w.stripe.count(Call::Events) >= 4);
}

#[test]
fn while_webhooks_arrive_the_list_costs_a_page_or_so_a_minute() {
    let w = World::new(5);
    let mut agenda = Agenda::default();
    for _ in 0..10 {
        a_minute(&w, &mut agenda);
    }
    let asked = w.stripe.count(Call::Events);
    assert!((8..=12).contains(&asked), "{asked}");
}

#[test]
fn an_event_of_an_order_that_nobody_knows_is_kept_tried_again_and_then_raised() {
    let w = World::new(1);
    w.stripe.tell_of_a_stranger("0198f2c0-0000-7000-8000-00000000dead");
    assert_eq!(read_all(&w), 1);
    assert!(matches!(w.heed(), Finish::Retry { .. }));
    assert_eq!(w.unhandled(), 1);
    w.live(Duration::from_secs(660));
    assert_eq!((w.unhandled(), read_all(&w)), (0, 0));
    let stored = now(w.ledger.event("evt_0001")).unwrap().unwrap();
    assert!(stored.handled, "it stays in the inbox, and is not tried again");
}

#[test]
fn handled_events_are_forgotten_after_thirty_days_in_bounded_batches() {
    let w = World::new(1);
    let mut agenda = Agenda::default();
    let event = |n: usize| shared::ledger::InboxEvent {
        id: format!("evt_old_{n}"),
        received_at: Timestamp(w.env.now().0),
        body: "{}".into(),
    };
    now(w.ledger.store_events((0..1_200).map(event).collect())).unwrap();
    for n in 0..1_199 {
        now(w.ledger.event_handled(&format!("evt_old_{n}"))).unwrap();
    }
    let left = || (0..1_200).filter(|n| now(w.ledger.event(&format!("evt_old_{n}"))).unwrap().is_some()).count();
    now(agenda.here(&w.ctx));
    assert_eq!(left(), 1_200);
    w.pass_secs(30 * 24 * 3_600 + 1);
    let mut counts = Vec::new();
    for _ in 0..3 {
        now(agenda.here(&w.ctx));
        counts.push(left());
        w.pass_secs(1);
    }
    assert_eq!(counts, [700, 200, 1], "what is not handled stays");
}
