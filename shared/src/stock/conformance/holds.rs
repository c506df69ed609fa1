//! Claims of buyers who think.

use std::time::Duration;

use super::{Fixture, THINK, counts, held, id, image, open, purchase, reserve, settle, timeless};
use crate::ledger::Image;
use crate::order::state::StockEffect;
use crate::sale::Item;
use crate::stock::{Freed, MOST_HOLDS_PER_CUSTOMER, Pinned, Reserve, Reserved};

/// A cart of several items, one sold out: nothing is taken, and the tier is named.
pub async fn a_hold_takes_units_of_all_tiers_or_of_none(f: &impl Fixture) {
    let stock = f.stock();
    assert_eq!(stock.reserve(reserve(1, 1, &[("std", 1)])).await.unwrap(), Reserved::Unknown);
    assert_eq!(stock.levels("demo").await.unwrap(), None);
    open(stock, &[("std", 5, None), ("vip", 1, None)]).await;
    let sold_out = Reserved::SoldOut { tier: "vip".into() };
    assert_eq!(stock.reserve(reserve(1, 1, &[("std", 2), ("vip", 2)])).await.unwrap(), sold_out);
    assert_eq!(stock.reserve(reserve(1, 1, &[("std", 1), ("box", 1)])).await.unwrap(), Reserved::Unknown);
    assert_eq!(counts(stock, "std").await, (5, 0, 0));
    let hold = held(stock, reserve(1, 1, &[("std", 2), ("vip", 1)])).await;
    assert_eq!((hold.epoch, hold.amount(), hold.think_ms), (1, 300, 60_000));
    assert_eq!((counts(stock, "std").await, counts(stock, "vip").await), ((3, 2, 0), (0, 1, 0)));
}

/// The last unit goes to one of two who ask together.
pub async fn two_buyers_and_the_last_unit_one_wins(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 1, None)]).await;
    let asked = (1..=20).map(|n| stock.reserve(reserve(n, n, &[("std", 1)])));
    let answers = futures::future::join_all(asked).await;
    let won = answers.iter().filter(|answer| matches!(answer, Ok(Reserved::Yes { .. }))).count();
    assert_eq!((won, counts(stock, "std").await), (1, (0, 1, 0)));
}

/// A repeated call takes nothing more; the id cannot be used for anything else.
pub async fn the_same_hold_again_is_the_same_claim(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    let first = timeless(held(stock, reserve(1, 1, &[("std", 2)])).await);
    let again = stock.reserve(reserve(1, 1, &[("std", 2)])).await.unwrap();
    let Reserved::Yes { hold, new: false } = again else { panic!("not the same claim: {again:?}") };
    assert_eq!(timeless(hold), first);
    assert_eq!(stock.reserve(reserve(1, 1, &[("std", 3)])).await.unwrap(), Reserved::Taken);
    assert_eq!(stock.reserve(reserve(1, 2, &[("std", 2)])).await.unwrap(), Reserved::Taken);
    assert_eq!(counts(stock, "std").await, (3, 2, 0));
    let holds: Vec<_> = stock.holds_of(id(1)).await.unwrap().into_iter().map(timeless).collect();
    assert_eq!(holds, vec![first]);
}

/// Unpinned holds end with their deadline, and their units are free.
pub async fn a_hold_expires_by_the_buyers_thinking_time_only(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    f.pass(THINK - Duration::from_millis(500)).await;
    assert_eq!((stock.expire().await.unwrap(), counts(stock, "std").await), (0, (3, 2, 0)));
    f.pass(Duration::from_millis(600)).await;
    assert_eq!((stock.expire().await.unwrap(), counts(stock, "std").await), (1, (5, 0, 0)));
    assert_eq!(stock.pin(id(1), id(9), id(1)).await.unwrap(), Pinned::Gone);
    assert_eq!(stock.holds_of(id(1)).await.unwrap(), vec![]);
}

/// The buyer changes their mind, or somebody else tries to change it for them.
pub async fn a_hold_given_up_is_free_at_once(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    assert_eq!(stock.free(id(1), id(2)).await.unwrap(), Freed::Gone);
    assert_eq!(stock.free(id(1), id(1)).await.unwrap(), Freed::Yes);
    assert_eq!(stock.free(id(1), id(1)).await.unwrap(), Freed::Gone);
    assert_eq!(counts(stock, "std").await, (5, 0, 0));
    held(stock, Reserve { order: Some(id(9)), ..reserve(2, 1, &[("std", 2)]) }).await;
    assert_eq!(stock.free(id(2), id(1)).await.unwrap(), Freed::Pinned);
}

/// Two tabs, two carts: the limit counts what is held and what was bought.
pub async fn the_limit_per_customer_holds_over_all_their_holds(f: &impl Fixture) {
    let stock = f.stock();
    let bought = vec![(id(5), Item { tier: "std".into(), quantity: 3 })];
    let mut image = image(&[("std", 50, Some(4))]);
    image.tiers[0].sold = 3;
    stock.rebuild(Image { bought, ..image }).await.unwrap();
    let limit = Reserved::LimitReached { tier: "std".into() };
    assert_eq!(stock.reserve(reserve(1, 5, &[("std", 2)])).await.unwrap(), limit);
    held(stock, reserve(2, 5, &[("std", 1)])).await;
    assert_eq!(stock.reserve(reserve(3, 5, &[("std", 1)])).await.unwrap(), limit);
    held(stock, reserve(4, 6, &[("std", 3)])).await;
    assert_eq!(stock.reserve(reserve(5, 6, &[("std", 2)])).await.unwrap(), limit);
    stock.free(id(4), id(6)).await.unwrap();
    held(stock, purchase(6, &[("std", 4)])).await;
    settle(stock, 6, 6, 3, StockEffect::Sold).await;
    assert_eq!(stock.reserve(reserve(7, 6, &[("std", 1)])).await.unwrap(), limit);
}

/// Nobody hoards holds.
pub async fn a_customer_has_few_unpaid_holds(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 50, None)]).await;
    for n in 0..MOST_HOLDS_PER_CUSTOMER as u128 {
        held(stock, reserve(n, 1, &[("std", 1)])).await;
    }
    assert_eq!(stock.reserve(reserve(99, 1, &[("std", 1)])).await.unwrap(), Reserved::TooManyHolds);
    held(stock, reserve(100, 2, &[("std", 1)])).await;
}

/// An operator adds stock in mid-sale.
pub async fn capacity_can_be_added_while_holds_stand(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 2, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    stock.set_capacity("demo", "std", 5).await.unwrap();
    assert_eq!(counts(stock, "std").await, (3, 2, 0));
    stock.set_capacity("demo", "std", 1).await.unwrap();
    assert_eq!(counts(stock, "std").await, (0, 2, 0), "never below what is taken");
}

/// What is gone is told, and who has a hold, once after each that was taken.
pub async fn what_is_gone_and_who_has_a_hold_is_told(f: &impl Fixture) {
    let stock = f.stock();
    assert_eq!(stock.exhausted("demo", "").await.unwrap(), None, "nobody knows the sale");
    open(stock, &[("std", 2, None), ("vip", 1, None)]).await;
    let told = async |mark: &str| stock.exhausted("demo", mark).await.unwrap().unwrap();
    let empty = told("").await;
    assert_eq!((empty.tiers.len(), empty.holds), (0, Some(vec![])));
    held(stock, reserve(1, 1, &[("std", 1)])).await;
    held(stock, purchase(2, &[("std", 1)])).await;
    let gone = told(&empty.mark).await;
    let mut holds = gone.holds.unwrap();
    holds.sort_unstable();
    assert_eq!((gone.tiers, holds), (vec!["std".to_owned()], vec![id(1), id(2)]));
    held(stock, purchase(2, &[("std", 1)])).await;
    settle(stock, 2, 2, 2, StockEffect::Sold).await;
    let again = told(&gone.mark).await;
    assert_eq!((again.holds, &again.mark), (None, &gone.mark), "neither a repeat nor a sale takes anything");
    f.pass(THINK).await;
    assert!(told(&gone.mark).await.tiers.is_empty(), "a hold is over, whether or not somebody has looked after it");
    held(stock, reserve(3, 3, &[("std", 1)])).await;
    let taken = told(&gone.mark).await;
    assert_ne!(taken.mark, gone.mark);
    assert!(taken.holds.unwrap().contains(&id(3)) && taken.tiers == ["std"]);
    stock.rebuild(Image { epoch: 2, ..image(&[("std", 2, None)]) }).await.unwrap();
    assert_ne!(told(&taken.mark).await.mark, taken.mark, "another epoch");
}

/// Nobody is refused because of a hold that is over, whether or not somebody has looked after it.
pub async fn a_unit_of_a_dead_hold_is_the_next_buyers(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 300, None)]).await;
    for n in 0..300 {
        held(stock, reserve(n, n, &[("std", 1)])).await;
    }
    f.pass(THINK).await;
    held(stock, reserve(1_000, 1_000, &[("std", 300)])).await;
    assert_eq!(counts(stock, "std").await, (0, 300, 0));
}

/// A buyer of two events sees both.
pub async fn the_holds_of_a_customer_in_two_sales_come_in_the_order_of_their_ends(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    stock.rebuild(Image { sale: "other".into(), ..image(&[("std", 5, None)]) }).await.unwrap();
    for (hold, sale, think) in [(1, "demo", THINK * 3), (2, "other", THINK * 2), (3, "demo", THINK)] {
        held(stock, Reserve { sale: sale.into(), think, ..reserve(hold, 1, &[("std", 1)]) }).await;
    }
    let holds = stock.holds_of(id(1)).await.unwrap();
    let seen: Vec<_> = holds.iter().map(|hold| (hold.id, hold.sale.as_str())).collect();
    assert_eq!(seen, [(id(3), "demo"), (id(2), "other"), (id(1), "demo")]);
    assert!(matches!(stock.pin(id(2), id(9), id(1)).await.unwrap(), Pinned::Yes { new: true, .. }));
    assert_eq!(stock.free(id(3), id(1)).await.unwrap(), Freed::Yes);
    assert_eq!(stock.holds_of(id(1)).await.unwrap().len(), 1);
}

/// Nor of somebody who has one of their own in the same sale, whom a stock can find there.
pub async fn a_hold_is_nobodys_but_its_customers(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    held(stock, reserve(2, 2, &[("std", 1)])).await;
    assert_eq!(stock.free(id(1), id(2)).await.unwrap(), Freed::Gone);
    assert_eq!(stock.pin(id(1), id(9), id(2)).await.unwrap(), Pinned::Gone);
    assert_eq!(counts(stock, "std").await, (2, 3, 0));
    assert!(matches!(stock.pin(id(1), id(8), id(1)).await.unwrap(), Pinned::Yes { new: true, .. }));
    assert_eq!(stock.pin(id(1), id(9), id(1)).await.unwrap(), Pinned::Taken, "and it is one order's");
}
