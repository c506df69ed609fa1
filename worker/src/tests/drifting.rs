//! A stock that shows something else than the ledger has.

use std::time::Duration;

use shared::ledger::{Change, Control, Ledger as _, Word};
use shared::order::{Outcome, State};
use shared::stock::Stock as _;

use super::world::{Purchase, World, now};
use crate::sweep::Agenda;
use crate::sweep::drift::Looks;

/// Looks every two seconds for so long; how often something had drifted.
fn look(w: &World, looks: &mut Looks, time: Duration) -> u64 {
    let mut found = 0;
    for _ in 0..time.as_secs() / 2 {
        w.pass_secs(2);
        found += now(looks.look(&w.ctx)).unwrap();
    }
    found
}

const MINUTE: Duration = Duration::from_secs(60);

/// A purchase that was accepted and waits, whose units come free behind the ledger's back.
fn freed_behind_the_ledgers_back(w: &World) -> Purchase {
    let order = w.buy("tok_visa");
    w.lose_queue();
    assert!(now(w.stock.free_orphan("demo", order.order, order.order, Duration::ZERO)).unwrap());
    order
}

#[test]
fn a_stock_that_agrees_is_left_alone_however_long_orders_and_holds_wait() {
    let w = World::new(9);
    for token in ["tok_visa", "tok_declined", "tok_processing"] {
        w.buy(token);
    }
    w.work();
    w.buy("tok_visa");
    assert_eq!(look(&w, &mut Looks::default(), 5 * MINUTE), 0);
    assert_eq!(w.counts(), (5, 3, 1));
}

#[test]
fn units_that_were_freed_behind_the_ledgers_back_are_found_and_taken_again() {
    let w = World::new(3);
    w.buy("tok_visa");
    w.work();
    let waits = freed_behind_the_ledgers_back(&w);
    assert_eq!((w.counts(), w.owed(&waits)), ((2, 0, 1), true));
    let mut looks = Looks::default();
    assert_eq!(look(&w, &mut looks, Duration::from_secs(14)), 0, "it may still be on its way");
    assert!(look(&w, &mut looks, MINUTE) >= 1);
    assert_eq!(w.counts(), (1, 1, 1));
    assert_eq!(look(&w, &mut looks, MINUTE), 0, "once it is mended it is well");
    w.sweep();
    w.work();
    assert_eq!((w.state(&waits), w.counts()), (State::Paid, (1, 0, 2)));
}

#[test]
fn a_settlement_that_never_reached_the_stock_is_found_and_mended() {
    let w = World::new(2);
    let order = w.buy("tok_declined");
    w.work();
    // The ledger lets go of it, and nobody tells the stock.
    now(w.ledger.apply(order.order, Change::TimeOver)).unwrap();
    let canceled = Outcome::Canceled { payment_intent: None };
    now(w.ledger.apply(order.order, Change::Observed { attempt: 1, outcome: canceled })).unwrap();
    assert_eq!((w.state(&order), w.counts()), (State::Expired, (1, 1, 0)));
    assert!(look(&w, &mut Looks::default(), 2 * MINUTE) >= 1);
    assert_eq!(w.counts(), (2, 0, 0));
}

#[test]
fn the_sweep_looks_for_drift_by_itself() {
    let w = World::new(2);
    w.buy("tok_visa");
    let waits = freed_behind_the_ledgers_back(&w);
    assert_eq!((w.counts(), w.owed(&waits)), ((1, 1, 0), true));
    let mut agenda = Agenda::default();
    for _ in 0..60 {
        w.pass_secs(1);
        now(agenda.here(&w.ctx));
    }
    assert_eq!(w.counts(), (0, 2, 0));
}

#[test]
fn a_capacity_that_never_reached_the_stock_is_set_without_touching_holds() {
    let w = World::new(2);
    let order = w.buy("tok_visa");
    let add = Control::AddStock { tier: "std".into(), quantity: 3, request: uuid::Uuid::from_u128(3) };
    now(w.ledger.control("demo", add, &Word::of("test"))).unwrap();
    assert_eq!(w.counts(), (1, 1, 0));
    let mut looks = Looks::default();
    assert_eq!(look(&w, &mut looks, MINUTE), 1);
    assert_eq!(w.counts(), (4, 1, 0));
    assert_eq!(now(w.ledger.sales()).unwrap()[0].epoch, 1, "no new epoch was needed");
    w.work();
    assert_eq!((w.state(&order), w.counts()), (State::Paid, (4, 0, 1)));
}

#[test]
fn a_crowd_that_buys_all_the_time_is_no_drift() {
    let w = World::new(2_000);
    let mut looks = Looks::default();
    let mut found = 0;
    for second in 0..300_u64 {
        w.pass_secs(1);
        for n in 0..3 {
            w.buy(["tok_visa", "tok_declined", "tok_processing"][n]);
        }
        // Some of them are between stock and ledger, or between ledger and stock, at every look.
        if second % 5 == 4 {
            w.work();
        }
        w.sweep();
        found += now(looks.look(&w.ctx)).unwrap();
    }
    assert_eq!(found, 0);
}

#[test]
fn a_stock_that_shows_too_little_taken_is_found_while_the_crowd_goes_on() {
    let w = World::new(2_000);
    freed_behind_the_ledgers_back(&w);
    let mut looks = Looks::default();
    let mut found = 0;
    for _ in 0..60 {
        w.pass_secs(2);
        w.buy("tok_visa");
        w.work();
        found += now(looks.look(&w.ctx)).unwrap();
    }
    assert!(found >= 1);
    assert_eq!(look(&w, &mut looks, MINUTE), 0);
    let (free, held, sold) = w.counts();
    assert_eq!((free, held, sold), (1_939, 1, 60));
}
