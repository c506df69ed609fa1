//! What every stock must do: one suite, run on each implementation through [`suite!`].
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test suite, kept where other crates can run it")]

mod holds;
mod orders;
mod random;
mod rebuilds;

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Hold, Levels, Reserve, Reserved, Settlement, Stock};
use crate::ledger::records::{Image, ImagePin, ImageTier};
use crate::order::state::StockEffect;
use crate::sale::PricedItem;

pub use holds::*;
pub use orders::*;
pub use random::conservation_holds_under_random_calls;
pub use rebuilds::*;

/// How the suite gets at an implementation.
#[async_trait]
pub trait Fixture: Send + Sync + Sized {
    /// Empty stock.
    async fn fresh() -> Self;
    /// Makes the stock empty again, as if nothing had ever been in it.
    async fn clear(&mut self);
    /// The stock.
    fn stock(&self) -> &dyn Stock;
    /// Lets time pass for the stock. Of a stock whose clock is its server's, a little more passes between two calls.
    async fn pass(&self, time: Duration);
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
            a_unit_of_a_dead_hold_is_the_next_buyers,
            a_hold_given_up_is_free_at_once,
            what_is_gone_and_who_has_a_hold_is_told,
            the_limit_per_customer_holds_over_all_their_holds,
            a_customer_has_few_unpaid_holds,
            the_holds_of_a_customer_in_two_sales_come_in_the_order_of_their_ends,
            capacity_can_be_added_while_holds_stand,
            a_hold_is_nobodys_but_its_customers,
            a_pinned_hold_never_expires,
            a_refused_order_gives_the_buyer_the_rest_of_the_thinking_time,
            settling_twice_or_late_changes_nothing,
            units_that_were_refunded_come_back_once,
            what_has_ended_is_forgotten_after_a_while,
            paid_after_release_takes_the_units_again,
            paid_after_release_takes_the_units_of_unpaid_holds_and_never_of_pins,
            paid_after_release_takes_all_tiers_or_none,
            an_orphan_pin_is_freed_and_an_order_that_spoke_is_not,
            a_purchase_in_one_call_that_is_repeated_is_young_again,
            a_rebuild_shows_the_ledger_and_forgets_unpaid_holds,
            a_rebuild_is_begun_once_and_sells_nothing_until_it_ends,
            a_sale_that_is_not_known_has_no_holds,
            a_slow_rebuild_does_not_overtake_a_newer_one,
            what_was_settled_since_the_image_was_read_stands,
            a_rebuild_of_one_sale_leaves_the_others_alone,
        );
        #[test]
        fn conservation_holds_under_random_calls() {
            $crate::stock::conformance::conservation_holds_under_random_calls::<$fixture>();
        }
    };
    (@ $fixture:ty: $($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::stock::conformance::$name(&<$fixture as $crate::stock::conformance::Fixture>::fresh().await).await;
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
        returned: 0,
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
        sold: Vec::new(),
    }
}

/// The stock of an order that the ledger has; order, hold and customer share a number.
fn pin_of(order: u128, version: i64, what: &[(&str, u32)]) -> ImagePin {
    ImagePin { order: id(order), hold: id(order), customer: id(order), version, items: items(what) }
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

/// A purchase in one call: order, hold and customer share a number.
fn purchase(order: u128, what: &[(&str, u32)]) -> Reserve {
    Reserve { order: Some(id(order)), ..reserve(order, order, what) }
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

/// The same hold, whatever the time.
fn timeless(hold: Hold) -> Hold {
    Hold { think_ms: 0, ..hold }
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
