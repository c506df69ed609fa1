//! What every stock must do: one suite, run on each implementation through [`suite!`].
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test suite, kept where other crates can run it")]

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Freed, Hold, Levels, LonePin, MOST_HOLDS_PER_CUSTOMER, Pinned, REBUILD_WITHIN, Reserve, Reserved, Settlement, Stock,
};
use crate::ledger::records::{Image, ImagePin, ImageTier};
use crate::order::state::StockEffect;
use crate::sale::{Item, PricedItem};

/// How the suite gets at an implementation.
pub trait Fixture: Send + Sync {
    /// Empty stock.
    fn fresh() -> Self;
    /// The stock.
    fn stock(&self) -> &dyn Stock;
    /// Lets time pass for the stock.
    fn pass(&self, time: Duration);
}

/// Runs the suite on a [`Fixture`].
#[macro_export]
macro_rules! stock_conformance_suite {
    ($fixture:ty) => {
        $crate::stock_conformance_suite!(@ $fixture:
            a_hold_takes_units_of_all_tiers_or_of_none,
            two_buyers_and_the_last_unit_one_wins,
            the_same_hold_again_is_the_same_claim,
            a_hold_expires_by_the_buyers_thinking_time_only,
            a_pinned_hold_never_expires,
            a_hold_given_up_is_free_at_once,
            a_refused_order_gives_the_buyer_the_rest_of_the_thinking_time,
            settling_twice_or_late_changes_nothing,
            paid_after_release_takes_the_units_again,
            paid_after_release_takes_the_units_of_unpaid_holds_and_never_of_pins,
            the_limit_per_customer_holds_over_all_their_holds,
            a_customer_has_few_unpaid_holds,
            a_rebuild_shows_the_ledger_and_forgets_unpaid_holds,
            an_orphan_pin_is_freed_and_an_order_that_spoke_is_not,
            capacity_can_be_added_while_holds_stand,
            a_rebuild_is_begun_once_and_sells_nothing_until_it_ends,
            a_slow_rebuild_does_not_overtake_a_newer_one,
        );
        #[test]
        fn conservation_holds_under_random_calls() {
            $crate::stock::conformance::conservation_holds_under_random_calls::<$fixture>();
        }
    };
    (@ $fixture:ty: $($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::stock::conformance::$name(&<$fixture as $crate::stock::conformance::Fixture>::fresh()).await;
        })*
    };
}
pub use stock_conformance_suite as suite;

const THINK: Duration = Duration::from_secs(60);

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn image(tiers: &[(&str, u32, Option<u32>)]) -> Image {
    let tier = |(id, capacity, limit): &(&str, u32, Option<u32>)| ImageTier {
        id: (*id).to_owned(),
        capacity: *capacity,
        sold: 0,
        max_per_customer: *limit,
    };
    Image {
        sale: "demo".into(),
        currency: "usd".parse().unwrap(),
        epoch: 1,
        paused: false,
        tiers: tiers.iter().map(tier).collect(),
        pins: vec![],
        bought: vec![],
    }
}

fn items(items: &[(&str, u32)]) -> Vec<PricedItem> {
    let item = |(tier, quantity): &(&str, u32)| PricedItem { tier: (*tier).into(), quantity: *quantity, amount: 100 };
    items.iter().map(item).collect()
}

fn reserve(hold: u128, customer: u128, what: &[(&str, u32)]) -> Reserve {
    Reserve {
        hold: id(hold),
        sale: "demo".into(),
        customer: id(customer),
        items: items(what),
        currency: "usd".parse().unwrap(),
        think: THINK,
        order: None,
    }
}

async fn open(stock: &dyn Stock, tiers: &[(&str, u32, Option<u32>)]) {
    stock.rebuild(image(tiers)).await.unwrap();
}

async fn held(stock: &dyn Stock, reserve: Reserve) -> Hold {
    match stock.reserve(reserve).await.unwrap() {
        Reserved::Yes { hold, .. } => hold,
        other => panic!("not held: {other:?}"),
    }
}

/// Free, held and sold units of a tier; conservation is checked on the way.
async fn counts(stock: &dyn Stock, tier: &str) -> (u32, u32, u32) {
    let levels = stock.levels("demo").await.unwrap().unwrap();
    conserved(&levels);
    let level = levels.tiers.into_iter().find(|level| level.id == tier).unwrap();
    (level.free, level.held, level.sold)
}

fn conserved(levels: &Levels) {
    for tier in &levels.tiers {
        assert_eq!(tier.capacity, tier.free + tier.held + tier.sold, "conservation: {tier:?}");
        assert!(tier.pinned <= tier.held, "{tier:?}");
    }
}

fn settlement(hold: u128, order: u128, version: i64, effect: StockEffect) -> Settlement {
    Settlement { sale: "demo".into(), hold: id(hold), order: id(order), version, effect }
}

async fn settle(stock: &dyn Stock, hold: u128, order: u128, version: i64, effect: StockEffect) {
    stock.settle(settlement(hold, order, version, effect)).await.unwrap();
}

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
    let first = held(stock, reserve(1, 1, &[("std", 2)])).await;
    assert_eq!(held(stock, reserve(1, 1, &[("std", 2)])).await, first);
    assert_eq!(stock.reserve(reserve(1, 1, &[("std", 3)])).await.unwrap(), Reserved::Taken);
    assert_eq!(stock.reserve(reserve(1, 2, &[("std", 2)])).await.unwrap(), Reserved::Taken);
    assert_eq!(counts(stock, "std").await, (3, 2, 0));
    assert_eq!(stock.holds_of(id(1)).await.unwrap(), vec![first]);
}

/// Unpinned holds end with their deadline, and their units are free.
pub async fn a_hold_expires_by_the_buyers_thinking_time_only(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    f.pass(THINK - Duration::from_millis(500));
    assert_eq!((stock.expire().await.unwrap(), counts(stock, "std").await), (0, (3, 2, 0)));
    f.pass(Duration::from_millis(600));
    assert_eq!((stock.expire().await.unwrap(), counts(stock, "std").await), (1, (5, 0, 0)));
    assert_eq!(stock.pin(id(1), id(9), id(1)).await.unwrap(), Pinned::Gone);
    assert_eq!(stock.holds_of(id(1)).await.unwrap(), vec![]);
}

/// We may be slow: a pinned hold waits.
pub async fn a_pinned_hold_never_expires(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    f.pass(Duration::from_secs(20));
    let Pinned::Yes { hold, new: true } = stock.pin(id(1), id(9), id(1)).await.unwrap() else { panic!("not pinned") };
    assert!((39_000..=40_000).contains(&hold.think_ms), "{}", hold.think_ms);
    assert_eq!(stock.pin(id(1), id(9), id(1)).await.unwrap(), Pinned::Yes { hold, new: false });
    assert_eq!(stock.pin(id(1), id(8), id(1)).await.unwrap(), Pinned::Taken);
    assert_eq!(stock.pin(id(1), id(9), id(2)).await.unwrap(), Pinned::Gone);
    f.pass(THINK * 10);
    assert_eq!((stock.expire().await.unwrap(), counts(stock, "std").await), (0, (3, 2, 0)));
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

/// An unpinned hold is as before.
pub async fn a_refused_order_gives_the_buyer_the_rest_of_the_thinking_time(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    stock.pin(id(1), id(9), id(1)).await.unwrap();
    f.pass(THINK * 2);
    stock.unpin("demo", id(1), id(8)).await.unwrap();
    assert_eq!(stock.holds_of(id(1)).await.unwrap(), vec![], "another order cannot unpin it");
    stock.unpin("demo", id(1), id(9)).await.unwrap();
    assert_eq!(stock.holds_of(id(1)).await.unwrap().len(), 1);
    f.pass(THINK + Duration::from_millis(100));
    assert_eq!((stock.expire().await.unwrap(), counts(stock, "std").await), (1, (5, 0, 0)));
}

/// Units move once, whatever comes twice, late or for a hold that nobody knows.
pub async fn settling_twice_or_late_changes_nothing(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    for (hold, effect, after) in [(1, StockEffect::Sold, (3, 0, 2)), (2, StockEffect::Released, (3, 0, 2))] {
        held(stock, Reserve { order: Some(id(hold)), ..reserve(hold, hold, &[("std", 2)]) }).await;
        settle(stock, hold, hold, 2, StockEffect::Pinned).await;
        for version in [3, 3, 1, 2] {
            settle(stock, hold, hold, version, effect).await;
            assert_eq!(counts(stock, "std").await, after);
        }
        assert_eq!(stock.pin(id(hold), id(hold), id(hold)).await.unwrap(), Pinned::Taken);
        let again = Reserve { order: Some(id(hold)), ..reserve(hold, hold, &[("std", 2)]) };
        assert_eq!(stock.reserve(again).await.unwrap(), Reserved::Taken, "an ended hold takes no units again");
    }
    settle(stock, 77, 77, 3, StockEffect::Sold).await;
    assert_eq!(counts(stock, "std").await, (3, 0, 2));
}

/// The ledger said so: it has the units.
pub async fn paid_after_release_takes_the_units_again(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 5, None)]).await;
    held(stock, Reserve { order: Some(id(1)), ..reserve(1, 1, &[("std", 2)]) }).await;
    settle(stock, 1, 1, 4, StockEffect::Released).await;
    assert_eq!(counts(stock, "std").await, (5, 0, 0));
    settle(stock, 1, 1, 5, StockEffect::Sold).await;
    assert_eq!(counts(stock, "std").await, (3, 0, 2));
}

/// The ledger fulfils it, so the units are its order's, though the stock has held them for others since.
pub async fn paid_after_release_takes_the_units_of_unpaid_holds_and_never_of_pins(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 4, None)]).await;
    held(stock, Reserve { order: Some(id(1)), ..reserve(1, 1, &[("std", 2)]) }).await;
    settle(stock, 1, 1, 4, StockEffect::Released).await;
    for (n, pin) in [(2, false), (3, true), (4, false), (5, true)] {
        held(stock, Reserve { order: pin.then(|| id(n)), ..reserve(n, n, &[("std", 1)]) }).await;
        f.pass(Duration::from_secs(1));
    }
    stock.free(id(2), id(2)).await.unwrap();
    held(stock, Reserve { order: Some(id(6)), ..reserve(6, 6, &[("std", 1)]) }).await;
    let sold = settlement(1, 1, 5, StockEffect::Sold);
    assert!(stock.settle(sold.clone()).await.is_err(), "three pins have three of four units");
    assert_eq!(counts(stock, "std").await, (0, 4, 0));
    assert_eq!(stock.holds_of(id(4)).await.unwrap().len(), 1, "nobody lost a hold for nothing");
    stock.unpin("demo", id(6), id(6)).await.unwrap();
    stock.settle(sold.clone()).await.unwrap();
    assert_eq!(counts(stock, "std").await, (0, 2, 2));
    assert_eq!((stock.holds_of(id(4)).await.unwrap(), stock.holds_of(id(6)).await.unwrap()), (vec![], vec![]));
    for (hold, order) in [(3, 3), (5, 5)] {
        assert!(matches!(stock.pin(id(hold), id(order), id(order)).await.unwrap(), Pinned::Yes { .. }), "pins stand");
    }
    stock.settle(sold).await.unwrap();
    assert_eq!(counts(stock, "std").await, (0, 2, 2), "the second time changes nothing");
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
    held(stock, Reserve { order: Some(id(6)), ..reserve(6, 6, &[("std", 4)]) }).await;
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

/// After a rebuild the counters are the ledger's; pins stand, unpaid holds are gone.
pub async fn a_rebuild_shows_the_ledger_and_forgets_unpaid_holds(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 10, None)]).await;
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    held(stock, Reserve { order: Some(id(2)), ..reserve(2, 2, &[("std", 1)]) }).await;
    let mut after = image(&[("std", 10, None)]);
    after.epoch = 2;
    after.tiers[0].sold = 4;
    after.pins = vec![ImagePin { order: id(2), hold: id(2), customer: id(2), version: 2, items: items(&[("std", 1)]) }];
    stock.rebuild(after).await.unwrap();
    assert_eq!(counts(stock, "std").await, (5, 1, 4));
    assert_eq!(stock.levels("demo").await.unwrap().unwrap().epoch, 2);
    assert_eq!(stock.pin(id(1), id(9), id(1)).await.unwrap(), Pinned::Gone);
    settle(stock, 2, 2, 3, StockEffect::Sold).await;
    assert_eq!(counts(stock, "std").await, (5, 0, 5));
    assert_eq!(held(stock, reserve(3, 3, &[("std", 1)])).await.epoch, 2);
}

/// A pin whose order never reached the ledger does not keep its units for ever.
pub async fn an_orphan_pin_is_freed_and_an_order_that_spoke_is_not(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 10, None)]).await;
    for n in [1, 2] {
        held(stock, Reserve { order: Some(id(n)), ..reserve(n, n, &[("std", 1)]) }).await;
    }
    settle(stock, 2, 2, 1, StockEffect::Pinned).await;
    let age = Duration::from_secs(10);
    assert_eq!(stock.pins_older_than(age, 10).await.unwrap(), vec![]);
    f.pass(age);
    assert_eq!(
        stock.pins_older_than(age, 10).await.unwrap(),
        vec![LonePin { sale: "demo".into(), hold: id(1), order: id(1) }]
    );
    assert!(!stock.free_orphan("demo", id(1), id(9), age).await.unwrap(), "pinned to another order");
    assert!(!stock.free_orphan("demo", id(2), id(2), age).await.unwrap(), "its order is in the ledger");
    assert!(matches!(stock.pin(id(1), id(1), id(1)).await.unwrap(), Pinned::Yes { .. }));
    assert!(!stock.free_orphan("demo", id(1), id(1), age).await.unwrap(), "its buyer tries once more");
    assert_eq!(stock.pins_older_than(age, 10).await.unwrap(), vec![]);
    f.pass(age);
    assert!(stock.free_orphan("demo", id(1), id(1), age).await.unwrap());
    assert!(!stock.free_orphan("demo", id(1), id(1), age).await.unwrap());
    assert_eq!(counts(stock, "std").await, (9, 1, 0));
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

/// Two processes notice at once that the stock is lost; one rebuilds, and what is settled meanwhile waits.
pub async fn a_rebuild_is_begun_once_and_sells_nothing_until_it_ends(f: &impl Fixture) {
    let stock = f.stock();
    let sales = ["demo".to_owned()];
    assert_eq!(stock.unknown(&sales).await.unwrap(), sales);
    assert!(stock.begin_rebuild("demo").await.unwrap());
    open(stock, &[("std", 5, None)]).await;
    assert_eq!(stock.unknown(&sales).await.unwrap(), Vec::<String>::new());

    held(stock, Reserve { order: Some(id(1)), ..reserve(1, 1, &[("std", 2)]) }).await;
    assert!(stock.begin_rebuild("demo").await.unwrap());
    assert!(!stock.begin_rebuild("demo").await.unwrap(), "somebody is at it");
    assert_eq!(stock.unknown(&sales).await.unwrap(), sales);
    assert_eq!(stock.levels("demo").await.unwrap(), None);
    assert_eq!(stock.reserve(reserve(2, 2, &[("std", 1)])).await.unwrap(), Reserved::Unknown);
    assert!(stock.settle(settlement(1, 1, 3, StockEffect::Sold)).await.is_err(), "it would be lost");
    f.pass(REBUILD_WITHIN);
    assert!(stock.begin_rebuild("demo").await.unwrap(), "whoever was at it has died");

    let pins = vec![ImagePin { order: id(1), hold: id(1), customer: id(1), version: 2, items: items(&[("std", 2)]) }];
    stock.rebuild(Image { epoch: 2, pins, ..image(&[("std", 5, None)]) }).await.unwrap();
    settle(stock, 1, 1, 3, StockEffect::Sold).await;
    assert_eq!(counts(stock, "std").await, (3, 0, 2));
}

/// The image of a process that was stopped in between is old when it comes.
pub async fn a_slow_rebuild_does_not_overtake_a_newer_one(f: &impl Fixture) {
    let stock = f.stock();
    stock.rebuild(Image { epoch: 3, ..image(&[("std", 5, None)]) }).await.unwrap();
    held(stock, reserve(1, 1, &[("std", 2)])).await;
    stock.rebuild(Image { epoch: 2, ..image(&[("std", 9, None)]) }).await.unwrap();
    assert_eq!(counts(stock, "std").await, (3, 2, 0));
    assert_eq!(stock.levels("demo").await.unwrap().unwrap().epoch, 3);
}

/// Many holds that are sold or released; for tests about memory.
pub async fn sell_and_release_many(f: &impl Fixture) {
    let stock = f.stock();
    open(stock, &[("std", 1_000, None)]).await;
    for n in 0..1_000 {
        held(stock, Reserve { order: Some(id(n)), ..reserve(n, n, &[("std", 1)]) }).await;
        settle(stock, n, n, 2, if n % 2 == 0 { StockEffect::Sold } else { StockEffect::Released }).await;
    }
    assert_eq!(counts(stock, "std").await, (500, 0, 500));
}

/// One random call.
#[derive(Clone, Debug)]
enum Call {
    Reserve { hold: u128, quantity: u32, pin: bool },
    Pin(u128),
    Unpin(u128),
    Free(u128),
    Settle(u128, i64, bool),
    Pass(u64),
}

fn call() -> impl Strategy<Value = Call> {
    let hold = 0..12_u128;
    prop_oneof![
        (hold.clone(), 1..4_u32, any::<bool>()).prop_map(|(hold, quantity, pin)| Call::Reserve { hold, quantity, pin }),
        hold.clone().prop_map(Call::Pin),
        hold.clone().prop_map(Call::Unpin),
        hold.clone().prop_map(Call::Free),
        (hold, 1..5_i64, any::<bool>()).prop_map(|(hold, version, sold)| Call::Settle(hold, version, sold)),
        (0..70_u64).prop_map(Call::Pass),
    ]
}

/// Drives the stock with random calls next to a small model: what each hold has, and where.
pub fn conservation_holds_under_random_calls<F: Fixture>() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    proptest!(ProptestConfig::with_cases(256), |(calls in prop::collection::vec(call(), 1..60))| {
        let fixture = F::fresh();
        runtime.block_on(drive(&fixture, calls));
    });
}

async fn drive(fixture: &impl Fixture, calls: Vec<Call>) {
    const CAPACITY: u32 = 10;
    let stock = fixture.stock();
    open(stock, &[("std", CAPACITY, None)]).await;
    let mut sold: HashMap<u128, u32> = HashMap::new();
    for call in calls {
        match call {
            Call::Reserve { hold, quantity, pin } => {
                let free = counts(stock, "std").await.0;
                let order = pin.then(|| id(hold));
                let answer =
                    stock.reserve(Reserve { order, ..reserve(hold, hold, &[("std", quantity)]) }).await.unwrap();
                if matches!(answer, Reserved::SoldOut { .. }) {
                    assert!(free < quantity, "refused {quantity} while {free} were free");
                }
            }
            Call::Pin(hold) => drop(stock.pin(id(hold), id(hold), id(hold)).await.unwrap()),
            Call::Unpin(hold) => stock.unpin("demo", id(hold), id(hold)).await.unwrap(),
            Call::Free(hold) => drop(stock.free(id(hold), id(hold)).await.unwrap()),
            Call::Settle(hold, version, sell) => {
                let effect = if sell { StockEffect::Sold } else { StockEffect::Released };
                let before = counts(stock, "std").await;
                // An error is a paid order whose units are in others' pins: nothing has changed then.
                let settlement = settlement(hold, hold, version, effect);
                let first = stock.settle(settlement.clone()).await.is_ok();
                let after = counts(stock, "std").await;
                assert!(first || before == after, "an error, and yet a change");
                assert_eq!(stock.settle(settlement).await.is_ok(), first);
                assert_eq!(after, counts(stock, "std").await, "the second time changes nothing");
                let entry = sold.entry(hold).or_default();
                *entry = entry.saturating_add_signed(after.2.cast_signed() - before.2.cast_signed());
            }
            Call::Pass(seconds) => fixture.pass(Duration::from_secs(seconds)),
        }
        assert_eq!(counts(stock, "std").await.2, sold.values().sum::<u32>(), "sold units belong to orders");
    }
}
