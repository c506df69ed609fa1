//! The servers beneath the workers forget: stock and jobs are had again from the ledger.

use std::time::Duration;

use shared::jobs::CreateCharge;
use shared::order::State;
use shared::queue::{Finish, Job as _};
use shared::stock::{REBUILD_WITHIN, Stock as _};

use super::world::{World, now};
use crate::sweep::{Watch, keep_stock};

/// What a worker knows that has been running for a while.
fn watch(w: &World) -> Watch {
    let mut watch = Watch::default();
    now(keep_stock(&w.ctx, &mut watch));
    watch
}

/// The stock forgets the sale, whose rebuild nobody has begun.
fn forget(w: &World) {
    assert!(now(w.stock.begin_rebuild("demo")).unwrap());
    w.pass(REBUILD_WITHIN);
}

#[test]
fn a_worker_that_finds_the_stock_lost_rebuilds_it_and_queues_what_is_owed() {
    let w = World::new(4);
    let mut watch = watch(&w);
    let order = w.buy("tok_visa");
    forget(&w);
    w.lose_queue();
    now(keep_stock(&w.ctx, &mut watch));
    assert_eq!((w.counts(), w.gauges(CreateCharge::QUEUE).waiting), ((3, 1, 0), 1));
    w.work();
    assert_eq!((w.state(&order), w.stripe.paid(order.order), w.counts()), (State::Paid, 1, (3, 0, 1)));
}

#[test]
fn a_rebuild_by_another_process_makes_a_worker_queue_what_is_owed() {
    let w = World::new(4);
    let mut watch = watch(&w);
    let order = w.buy("tok_visa");
    w.lose_queue();
    w.rebuild();
    now(keep_stock(&w.ctx, &mut watch));
    w.work();
    assert_eq!((w.state(&order), w.counts()), (State::Paid, (3, 0, 1)));
}

#[test]
fn a_worker_that_starts_queues_what_was_lost_before_it_came() {
    let w = World::new(4);
    let order = w.buy("tok_visa");
    w.lose_queue();
    watch(&w);
    w.work();
    assert_eq!(w.state(&order), State::Paid);
}

#[test]
fn while_nothing_is_lost_nothing_is_queued_again() {
    let w = World::new(4);
    let mut watch = watch(&w);
    w.buy("tok_visa");
    w.lose_queue();
    now(keep_stock(&w.ctx, &mut watch));
    assert_eq!(w.unfinished(), 0, "only the sweep's patience finds that");
}

#[test]
fn what_is_settled_while_the_stock_is_rebuilt_waits_and_is_shown_afterwards() {
    let w = World::new(4);
    let mut watch = watch(&w);
    let order = w.buy("tok_visa");
    w.charge();
    // Another process has begun, and read the ledger before this order was settled.
    assert!(now(w.stock.begin_rebuild("demo")).unwrap());
    let image = now(w.ctx.ledger.begin_epoch("demo", "run")).unwrap().unwrap();
    assert!(matches!(w.respond(), Finish::Retry { .. }));
    assert_eq!(w.state(&order), State::Paid, "the ledger knows");
    now(keep_stock(&w.ctx, &mut watch));
    assert_eq!(now(w.stock.levels("demo")).unwrap(), None, "one is at it: the worker leaves it alone");
    now(w.stock.rebuild(image)).unwrap();
    assert_eq!(w.counts(), (3, 1, 0));
    w.pass(Duration::from_secs(1));
    w.work();
    assert_eq!((w.counts(), w.stripe.paid(order.order)), ((3, 0, 1), 1));
}
