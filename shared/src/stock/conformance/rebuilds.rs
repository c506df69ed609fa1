//! What the ledger says takes the place of what the stock knew.

use std::time::Duration;

use super::{Fixture, counts, held, id, image, open, pin_of, purchase, reserve, settle, settlement};
use crate::ledger::Image;
use crate::order::state::StockEffect;
use crate::stock::{Freed, Pinned, REBUILD_WITHIN, Reserve, Reserved};

/// After a rebuild the counters are the ledger's; pins stand, unpaid holds are gone.
pub async fn a_rebuild_shows_the_ledger_and_forgets_unpaid_holds(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 10, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    held(stock, purchase(2, &[("std", 1)])).await;
    let mut after = image(&[("std", 10, None)]);
    after.epoch = 2;
    after.tiers[0].sold = 4;
    after.pins = vec![pin_of(2, 2, &[("std", 1)])];
    stock.rebuild(after).await.unwrap();
    assert_eq!(counts(stock, "std").await, (5, 1, 4));
    assert_eq!(stock.levels("demo").await.unwrap().unwrap().epoch, 2);
    assert_eq!(stock.pin(id(1), id(9), id(1)).await.unwrap(), Pinned::Gone);
    assert!(matches!(stock.pin(id(2), id(2), id(2)).await.unwrap(), Pinned::Yes { new: false, .. }));
    settle(stock, 2, 2, 3, StockEffect::Sold).await;
    assert_eq!(counts(stock, "std").await, (5, 0, 5));
    assert_eq!(held(stock, reserve(3, 3, &[("std", 1)])).await.epoch, 2);
}

/// Two processes notice at once that the stock is lost; one rebuilds, and what is settled meanwhile waits.
pub async fn a_rebuild_is_begun_once_and_sells_nothing_until_it_ends(f: &impl Fixture) {
    let stock = f.stock();
    let sales = ["demo".to_owned()];
    assert_eq!(stock.unknown(&sales).await.unwrap(), sales);
    assert!(stock.begin_rebuild("demo").await.unwrap());
    open(stock, &[("std", 5, None)]).await;
    assert_eq!(stock.unknown(&sales).await.unwrap(), Vec::<String>::new());

    held(stock, purchase(1, &[("std", 2)])).await;
    assert!(stock.begin_rebuild("demo").await.unwrap());
    assert!(!stock.begin_rebuild("demo").await.unwrap(), "somebody is at it");
    assert_eq!(stock.unknown(&sales).await.unwrap(), sales);
    assert_eq!(stock.levels("demo").await.unwrap(), None);
    assert_eq!(stock.reserve(reserve(2, 2, &[("std", 1)])).await.unwrap(), Reserved::Unknown);
    assert!(stock.settle(settlement(1, 1, 3, StockEffect::Sold)).await.is_err(), "it would be lost");
    f.pass(REBUILD_WITHIN).await;
    assert!(stock.begin_rebuild("demo").await.unwrap(), "whoever was at it has died");

    let pins = vec![pin_of(1, 2, &[("std", 2)])];
    stock.rebuild(Image { epoch: 2, pins, ..image(&[("std", 5, None)]) }).await.unwrap();
    settle(stock, 1, 1, 3, StockEffect::Sold).await;
    assert_eq!(counts(stock, "std").await, (3, 0, 2));
}

/// The image of a process that was stopped in between is old when it comes.
pub async fn a_slow_rebuild_does_not_overtake_a_newer_one(f: &impl Fixture) {
    let stock = f.stock();
    stock.rebuild(Image { epoch: 3, ..image(&[("std", 5, None)]) }).await.unwrap();
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    for epoch in [2, 3] {
        stock.rebuild(Image { epoch, ..image(&[("std", 9, None)]) }).await.unwrap();
    }
    assert_eq!(counts(stock, "std").await, (3, 2, 0));
    assert_eq!(stock.levels("demo").await.unwrap().unwrap().epoch, 3);
    assert!(stock.begin_rebuild("demo").await.unwrap());
    stock.rebuild(Image { epoch: 1, ..image(&[("std", 9, None)]) }).await.unwrap();
    assert_eq!(counts(stock, "std").await, (9, 0, 0), "any image is better than none");
}

/// Somebody rebuilds: what anybody held there cannot be relied on any more.
pub async fn a_sale_that_is_not_known_has_no_holds(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 1)])).await;
    held(stock, purchase(2, &[("std", 1)])).await;
    assert!(stock.begin_rebuild("demo").await.unwrap());
    assert_eq!(stock.reserve(reserve(1, 1, &[("std", 1)])).await.unwrap(), Reserved::Unknown);
    assert_eq!(stock.reserve(purchase(2, &[("std", 1)])).await.unwrap(), Reserved::Unknown);
    for n in [1, 2] {
        assert_eq!(stock.pin(id(n), id(n), id(n)).await.unwrap(), Pinned::Gone);
        assert_eq!(stock.free(id(n), id(n)).await.unwrap(), Freed::Gone);
        assert_eq!(stock.holds_of(id(n)).await.unwrap(), vec![]);
    }
    stock.unpin("demo", id(2), id(2)).await.unwrap();
    assert!(!stock.free_orphan("demo", id(2), id(2), Duration::ZERO).await.unwrap());
    assert_eq!(stock.pins_older_than(Duration::ZERO, 10).await.unwrap(), vec![]);
    stock.set_capacity("demo", "std", 50).await.unwrap();
    assert_eq!(stock.levels("demo").await.unwrap(), None);
    stock.rebuild(Image { epoch: 2, ..image(&[("std", 5, None)]) }).await.unwrap();
    assert_eq!(counts(stock, "std").await, (5, 0, 0));
}

/// The image says "pinned"; the settlements came while it was under way.
pub async fn what_was_settled_since_the_image_was_read_stands(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 10, Some(1))]).await;
    for order in 1..=5 {
        held(stock, purchase(order, &[("std", 1)])).await;
    }
    settle(stock, 1, 1, 3, StockEffect::Sold).await;
    settle(stock, 2, 2, 3, StockEffect::Released).await;
    settle(stock, 3, 3, 3, StockEffect::Pinned).await;
    settle(stock, 4, 4, 1, StockEffect::Released).await;
    assert!(stock.begin_rebuild("demo").await.unwrap());
    let pins = (1..=5).map(|order| pin_of(order, 2, &[("std", 1)])).collect();
    stock.rebuild(Image { epoch: 2, pins, ..image(&[("std", 10, Some(1))]) }).await.unwrap();
    assert_eq!(counts(stock, "std").await, (6, 3, 1), "of the fourth, the image knew more");
    for version in [2, 3] {
        settle(stock, 3, 3, version, StockEffect::Released).await;
        assert_eq!(counts(stock, "std").await, (6, 3, 1), "version {version} is old");
    }
    let limit = Reserved::LimitReached { tier: "std".into() };
    assert_eq!(stock.reserve(reserve(11, 1, &[("std", 1)])).await.unwrap(), limit);
    held(stock, reserve(12, 2, &[("std", 1)])).await;
}

/// Each sale has its own epoch.
pub async fn a_rebuild_of_one_sale_leaves_the_others_alone(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    let sales = ["demo".to_owned(), "other".to_owned()];
    assert_eq!(stock.unknown(&sales).await.unwrap(), ["other"]);
    assert_eq!(stock.unknown(&[]).await.unwrap(), Vec::<String>::new());
    assert!(stock.begin_rebuild("other").await.unwrap());
    stock.rebuild(Image { sale: "other".into(), epoch: 7, ..image(&[("std", 9, None)]) }).await.unwrap();
    assert_eq!(stock.unknown(&sales).await.unwrap(), Vec::<String>::new());
    assert_eq!(counts(stock, "std").await, (3, 2, 0));
    let order = Reserve { sale: "other".into(), ..purchase(2, &[("std", 1)]) };
    held(stock, order).await;
    settle(stock, 2, 2, 3, StockEffect::Sold).await;
    let other = stock.levels("other").await.unwrap().unwrap();
    assert_eq!((other.epoch, other.tiers[0].held), (7, 1), "another sale's settlement is none of its business");
}
