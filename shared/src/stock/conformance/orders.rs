//! Holds of orders: pinned, sold, released.

use std::time::Duration;

use super::{Fixture, THINK, counts, held, id, open, purchase, reserve, settle, settlement};
use crate::order::state::StockEffect;
use crate::stock::{LonePin, Pinned, REMEMBER_RELEASED, REMEMBER_SOLD, Reserve, Reserved};

/// We may be slow: a pinned hold waits.
pub async fn a_pinned_hold_never_expires(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    f.pass(Duration::from_secs(20)).await;
    let Pinned::Yes { hold, new: true } = stock.pin(id(1), id(9), id(1)).await.unwrap() else { panic!("not pinned") };
    assert!((39_000..=40_000).contains(&hold.think_ms), "{}", hold.think_ms);
    assert_eq!(stock.pin(id(1), id(9), id(1)).await.unwrap(), Pinned::Yes { hold, new: false });
    assert_eq!(stock.pin(id(1), id(8), id(1)).await.unwrap(), Pinned::Taken);
    assert_eq!(stock.pin(id(1), id(9), id(2)).await.unwrap(), Pinned::Gone);
    f.pass(THINK * 10).await;
    assert_eq!((stock.expire().await.unwrap(), counts(stock, "std").await), (0, (3, 2, 0)));
}

/// An unpinned hold is as before.
pub async fn a_refused_order_gives_the_buyer_the_rest_of_the_thinking_time(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    stock.pin(id(1), id(9), id(1)).await.unwrap();
    f.pass(THINK * 2).await;
    stock.unpin("demo", id(1), id(8)).await.unwrap();
    assert_eq!(stock.holds_of(id(1)).await.unwrap(), vec![], "another order cannot unpin it");
    stock.unpin("demo", id(1), id(9)).await.unwrap();
    assert_eq!(stock.holds_of(id(1)).await.unwrap().len(), 1);
    f.pass(THINK + Duration::from_millis(100)).await;
    assert_eq!((stock.expire().await.unwrap(), counts(stock, "std").await), (1, (5, 0, 0)));
}

/// Units move once, whatever comes twice, late or for a hold that nobody knows.
pub async fn settling_twice_or_late_changes_nothing(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    for (hold, effect, after) in [(1, StockEffect::Sold, (3, 0, 2)), (2, StockEffect::Released, (3, 0, 2))] {
        held(stock, purchase(hold, &[("std", 2)])).await;
        settle(stock, hold, hold, 2, StockEffect::Pinned).await;
        let old = StockEffect::Pinned;
        for (version, told) in [(3, effect), (3, effect), (1, effect), (2, effect), (2, old), (1, old), (3, old)] {
            settle(stock, hold, hold, version, told).await;
            assert_eq!(counts(stock, "std").await, after, "version {version}: {told:?}");
        }
        let pinned = stock.pin(id(hold), id(hold), id(hold)).await.unwrap();
        assert!(matches!(pinned, Pinned::Taken | Pinned::Gone), "{pinned:?}");
        let again = purchase(hold, &[("std", 2)]);
        assert_eq!(stock.reserve(again).await.unwrap(), Reserved::Taken, "an ended hold takes no units again");
    }
    settle(stock, 77, 77, 3, StockEffect::Sold).await;
    assert_eq!(counts(stock, "std").await, (3, 0, 2));
}

/// The number in the ledger says how many, however often it is told.
pub async fn units_that_were_refunded_come_back_once(f: &impl Fixture) {
    let stock = f.stock();
    assert!(stock.set_returned("demo", "std", 1).await.is_err(), "it has to be rebuilt first");
    open(stock, &[("std", 5, None)]).await;
    held(stock, purchase(1, &[("std", 3)])).await;
    assert!(stock.set_returned("demo", "std", 2).await.is_err(), "its order is not shown as paid yet");
    assert_eq!(counts(stock, "std").await, (2, 3, 0));
    settle(stock, 1, 1, 2, StockEffect::Sold).await;
    for (units, after) in [(2, (4, 0, 1)), (2, (4, 0, 1)), (1, (4, 0, 1)), (3, (5, 0, 0)), (0, (5, 0, 0))] {
        stock.set_returned("demo", "std", units).await.unwrap();
        assert_eq!(counts(stock, "std").await, after, "{units}");
    }
    assert!(stock.set_returned("demo", "std", 4).await.is_err());
    let not_paid_after_all = settlement(1, 1, 3, StockEffect::Released);
    assert!(stock.settle(not_paid_after_all).await.is_err(), "its units came back already");
    assert_eq!(counts(stock, "std").await, (5, 0, 0));
    stock.set_returned("demo", "box", 1).await.unwrap();
    // A rebuild knows what had come back.
    let mut image = super::image(&[("std", 5, None)]);
    (image.epoch, image.tiers[0].sold, image.tiers[0].returned) = (2, 1, 3);
    stock.rebuild(image).await.unwrap();
    stock.set_returned("demo", "std", 3).await.unwrap();
    assert_eq!(counts(stock, "std").await, (4, 0, 1));
    stock.set_returned("demo", "std", 4).await.unwrap();
    assert_eq!(counts(stock, "std").await, (5, 0, 0));
}

/// The ledger said so: it has the units.
pub async fn paid_after_release_takes_the_units_again(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, purchase(1, &[("std", 2)])).await;
    settle(stock, 1, 1, 4, StockEffect::Released).await;
    assert_eq!(counts(stock, "std").await, (5, 0, 0));
    settle(stock, 1, 1, 5, StockEffect::Sold).await;
    assert_eq!(counts(stock, "std").await, (3, 0, 2));
}

/// The ledger fulfils it, so the units are its order's, though the stock has held them for others since.
pub async fn paid_after_release_takes_the_units_of_unpaid_holds_and_never_of_pins(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 4, None)]).await;
    held(stock, purchase(1, &[("std", 2)])).await;
    settle(stock, 1, 1, 4, StockEffect::Released).await;
    for (n, pin) in [(2, false), (3, true), (4, false), (5, true)] {
        held(stock, Reserve { order: pin.then(|| id(n)), ..reserve(n, n, &[("std", 1)]) }).await;
        f.pass(Duration::from_secs(1)).await;
    }
    stock.free(id(2), id(2)).await.unwrap();
    held(stock, purchase(6, &[("std", 1)])).await;
    let sold = settlement(1, 1, 5, StockEffect::Sold);
    assert!(stock.settle(sold.clone()).await.is_err(), "three pins have three of four units");
    assert_eq!(counts(stock, "std").await, (0, 4, 0));
    assert_eq!(stock.holds_of(id(4)).await.unwrap().len(), 1, "nobody lost a hold for nothing");
    stock.unpin("demo", id(6), id(6)).await.unwrap();
    stock.settle(sold.clone()).await.unwrap();
    assert_eq!(counts(stock, "std").await, (0, 2, 2));
    assert_eq!((stock.holds_of(id(4)).await.unwrap(), stock.holds_of(id(6)).await.unwrap()), (vec![], vec![]));
    for n in [3, 5] {
        let again = Reserve { order: Some(id(n)), ..reserve(n, n, &[("std", 1)]) };
        assert!(matches!(stock.reserve(again).await.unwrap(), Reserved::Yes { new: false, .. }), "pins stand");
    }
    stock.settle(sold).await.unwrap();
    assert_eq!(counts(stock, "std").await, (0, 2, 2), "the second time changes nothing");
}

/// A pin whose order never reached the ledger does not keep its units for ever.
pub async fn an_orphan_pin_is_freed_and_an_order_that_spoke_is_not(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 10, None)]).await;
    for n in [1, 2] {
        held(stock, purchase(n, &[("std", 1)])).await;
    }
    settle(stock, 2, 2, 1, StockEffect::Pinned).await;
    let age = Duration::from_secs(10);
    assert_eq!(stock.pins_older_than(age, 10).await.unwrap(), vec![]);
    f.pass(age).await;
    assert_eq!(
        stock.pins_older_than(age, 10).await.unwrap(),
        vec![LonePin { sale: "demo".into(), hold: id(1), order: id(1) }]
    );
    assert!(!stock.free_orphan("demo", id(1), id(9), age).await.unwrap(), "pinned to another order");
    assert!(!stock.free_orphan("demo", id(2), id(2), age).await.unwrap(), "its order is in the ledger");
    held(stock, purchase(1, &[("std", 1)])).await;
    assert!(!stock.free_orphan("demo", id(1), id(1), age).await.unwrap(), "its buyer tries once more");
    assert_eq!(stock.pins_older_than(age, 10).await.unwrap(), vec![]);
    f.pass(age).await;
    assert!(stock.free_orphan("demo", id(1), id(1), age).await.unwrap());
    assert!(!stock.free_orphan("demo", id(1), id(1), age).await.unwrap());
    assert_eq!(counts(stock, "std").await, (9, 1, 0));
}

/// Many holds that are sold or released; for tests about memory.
pub async fn sell_and_release_many(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 1_000, None)]).await;
    for n in 0..1_000 {
        held(stock, purchase(n, &[("std", 1)])).await;
        settle(stock, n, n, 2, if n % 2 == 0 { StockEffect::Sold } else { StockEffect::Released }).await;
    }
    assert_eq!(counts(stock, "std").await, (500, 0, 500));
}

/// An end is remembered while the purchase may still be repeated, and takes no place for ever.
pub async fn what_has_ended_is_forgotten_after_a_while(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    for (order, effect) in [(1, StockEffect::Sold), (2, StockEffect::Released)] {
        held(stock, purchase(order, &[("std", 1)])).await;
        settle(stock, order, order, 3, effect).await;
    }
    f.pass(REMEMBER_SOLD - Duration::from_secs(10)).await;
    assert_eq!(stock.reserve(purchase(1, &[("std", 1)])).await.unwrap(), Reserved::Taken);
    f.pass(REMEMBER_RELEASED - REMEMBER_SOLD).await;
    assert_eq!(stock.reserve(purchase(2, &[("std", 1)])).await.unwrap(), Reserved::Taken);
    f.pass(Duration::from_secs(10)).await;
    settle(stock, 2, 2, 5, StockEffect::Sold).await;
    assert_eq!(counts(stock, "std").await, (4, 0, 1), "a hold that nobody knows is none of our business");
    assert_eq!(stock.pin(id(1), id(1), id(1)).await.unwrap(), Pinned::Gone);
    held(stock, purchase(2, &[("std", 1)])).await;
}

/// One tier's units are in unpaid holds, another's in a pin: nobody loses a hold for an order that cannot be shown.
pub async fn paid_after_release_takes_all_tiers_or_none(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 1, None), ("vip", 1, None)]).await;
    held(stock, purchase(1, &[("std", 1), ("vip", 1)])).await;
    settle(stock, 1, 1, 4, StockEffect::Released).await;
    held(stock, reserve(2, 2, &[("std", 1)])).await;
    held(stock, purchase(3, &[("vip", 1)])).await;
    assert!(stock.settle(settlement(1, 1, 5, StockEffect::Sold)).await.is_err());
    assert_eq!((counts(stock, "std").await, counts(stock, "vip").await), ((0, 1, 0), (0, 1, 0)));
    assert_eq!(stock.holds_of(id(2)).await.unwrap().len(), 1);
    assert!(stock.free_orphan("demo", id(3), id(3), Duration::ZERO).await.unwrap());
    settle(stock, 1, 1, 5, StockEffect::Sold).await;
    assert_eq!((counts(stock, "std").await, counts(stock, "vip").await), ((0, 0, 1), (0, 0, 1)));
    assert_eq!(stock.holds_of(id(2)).await.unwrap(), vec![]);
}

/// The first call died after its pin; while the second one accepts, nobody may take the pin for an orphan.
pub async fn a_purchase_in_one_call_that_is_repeated_is_young_again(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, purchase(1, &[("std", 1)])).await;
    let age = Duration::from_secs(10);
    f.pass(age).await;
    let again = stock.reserve(purchase(1, &[("std", 1)])).await.unwrap();
    assert!(matches!(again, Reserved::Yes { new: false, .. }), "{again:?}");
    assert!(!stock.free_orphan("demo", id(1), id(1), age).await.unwrap());
    assert_eq!(stock.pins_older_than(age, 10).await.unwrap(), vec![]);
    assert_eq!(counts(stock, "std").await, (4, 1, 0));
}
