//! Random calls to a stock, and what it answers in a form that can be compared.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use shared::ledger::records::{Image, ImagePin, ImageTier};
use shared::order::state::StockEffect;
use shared::sale::{Item, PricedItem};
use shared::stock::conformance::Fixture as _;
use shared::stock::{Reserve, Settlement, Stock};
use uuid::Uuid;

use super::fixture::OnServer;

/// A tier: how many units, and how many for one customer.
type Tier = (&'static str, u32, Option<u32>);
/// The sales that the calls are about.
const SALES: [(&str, &[Tier]); 2] =
    [("demo", &[("std", 6, None), ("vip", 6, Some(4))]), ("other", &[("std", 5, Some(3))])];
const CUSTOMERS: u128 = 3;
/// An id names one hold of one sale: all but the last few are of the first.
const HOLDS: u128 = 11;

/// A call.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Reserve {
        hold: u128,
        customer: u128,
        items: Vec<(&'static str, u32)>,
        order: Option<u128>,
        think: u64,
    },
    Pin {
        hold: u128,
        order: u128,
        customer: u128,
    },
    Unpin {
        sale: usize,
        hold: u128,
        order: u128,
    },
    Free {
        hold: u128,
        customer: u128,
    },
    FreeOrphan {
        sale: usize,
        hold: u128,
        order: u128,
        age: u64,
    },
    Settle {
        sale: usize,
        hold: u128,
        order: u128,
        version: i64,
        effect: StockEffect,
    },
    Expire,
    LonePins {
        age: u64,
        most: usize,
    },
    SetCapacity {
        sale: usize,
        tier: &'static str,
        capacity: u32,
    },
    SetReturned {
        sale: usize,
        tier: &'static str,
        units: u32,
    },
    BeginRebuild {
        sale: usize,
    },
    Rebuild {
        sale: usize,
        newer_by: u64,
        /// Units of every tier that are paid, and that came back.
        counts: (u32, u32),
        pins: BTreeMap<u128, (u128, i64, u32)>,
        bought: Vec<(u128, u32)>,
    },
    Pass {
        ms: u64,
    },
    Look,
}

impl Call {
    /// Opens a sale with nothing sold.
    pub(super) fn open(sale: usize) -> Self {
        Self::Rebuild { sale, newer_by: 1, counts: (0, 0), pins: BTreeMap::new(), bought: Vec::new() }
    }
}

fn sale_of(hold: u128) -> usize {
    usize::from(hold >= 8)
}

/// Whose a hold mostly is: one customer has many, so that they come to know their bounds.
fn customer_of(hold: u128) -> u128 {
    match hold {
        0..5 => 0,
        5..7 => 1,
        7 => 2,
        _ => hold - 8,
    }
}

/// A hold, its sale, its customer and its order, whose number is the hold's: mostly.
fn hold() -> impl Strategy<Value = (u128, usize, u128, u128)> {
    (0..HOLDS).prop_flat_map(|hold| {
        let sale = sale_of(hold);
        (
            Just(hold),
            prop_oneof![15 => Just(sale), 1 => Just(1 - sale)],
            prop_oneof![15 => Just(customer_of(hold)), 1 => 0..CUSTOMERS],
            prop_oneof![7 => Just(hold), 1 => 0..HOLDS],
        )
    })
}

fn items(hold: u128) -> BoxedStrategy<Vec<(&'static str, u32)>> {
    let one = select(vec![1, 1, 1, 2, 3]).prop_map(|n| vec![("std", n)]);
    if sale_of(hold) == 1 {
        return prop_oneof![19 => one, 1 => Just(vec![("std", 1), ("vip", 1)])].boxed();
    }
    prop_oneof![
        8 => one,
        6 => (1..4_u32, 1..3_u32).prop_map(|(a, b)| vec![("std", a), ("vip", b)]),
        5 => (1..3_u32, 1..4_u32).prop_map(|(a, b)| vec![("vip", a), ("std", b)]),
        1 => Just(vec![("std", 1), ("box", 1)]),
    ]
    .boxed()
}

fn time() -> impl Strategy<Value = u64> {
    let edges = select(vec![1, 2_999, 3_000, 10_000, 59_999, 60_000, 900_000]);
    prop_oneof![2 => Just(0), 1 => edges, 6 => 0..5_000_u64]
}

fn effect() -> impl Strategy<Value = StockEffect> {
    select(vec![StockEffect::Pinned, StockEffect::Sold, StockEffect::Released])
}

fn rebuild() -> impl Strategy<Value = Call> {
    let own = prop_oneof![4 => Just(true), 1 => Just(false)];
    let pins = prop::collection::btree_map(0..HOLDS, (own, 0..5_i64, 1..3_u32), 0..5);
    let bought = prop::collection::vec((0..CUSTOMERS, 1..3_u32), 0..3);
    (0..2_usize, select(vec![0, 1, 1, 1, 2]), (0..4_u32, 0..3_u32), pins, bought).prop_map(
        |(sale, newer_by, counts, pins, bought)| {
            let pins = pins.into_iter().filter(|(hold, _)| sale_of(*hold) == sale);
            let pins = pins.map(|(hold, (own, version, n))| (hold, (if own { hold } else { HOLDS }, version, n)));
            Call::Rebuild { sale, newer_by, counts, pins: pins.collect(), bought }
        },
    )
}

/// Any call.
pub(super) fn call() -> impl Strategy<Value = Call> {
    let reserve = (hold(), prop::bool::weighted(0.3), select(vec![0, 10_000, 60_000, 60_000, 60_000])).prop_flat_map(
        |((hold, _, customer, order), pin, think)| {
            let order = pin.then_some(order);
            items(hold).prop_map(move |items| Call::Reserve { hold, customer, items, order, think })
        },
    );
    prop_oneof![
        24 => reserve,
        10 => hold().prop_map(|(hold, _, customer, order)| Call::Pin { hold, order, customer }),
        4 => hold().prop_map(|(hold, sale, _, order)| Call::Unpin { sale, hold, order }),
        3 => hold().prop_map(|(hold, _, customer, _)| Call::Free { hold, customer }),
        4 => (hold(), time()).prop_map(|((hold, sale, _, order), age)| Call::FreeOrphan { sale, hold, order, age }),
        24 => (hold(), 1..20_i64, effect()).prop_map(|((hold, sale, _, order), version, effect)| {
            Call::Settle { sale, hold, order, version, effect }
        }),
        1 => Just(Call::Expire),
        3 => (time(), 0..6_usize).prop_map(|(age, most)| Call::LonePins { age, most }),
        1 => (0..2_usize, select(vec!["std", "vip", "box"]), 0..20_u32)
            .prop_map(|(sale, tier, capacity)| Call::SetCapacity { sale, tier, capacity }),
        1 => (0..2_usize, select(vec!["std", "vip", "box"]), 0..5_u32)
            .prop_map(|(sale, tier, units)| Call::SetReturned { sale, tier, units }),
        1 => prop_oneof![
            1 => (0..2_usize).prop_map(|sale| Call::BeginRebuild { sale }),
            5 => rebuild(),
        ],
        5 => time().prop_map(|ms| Call::Pass { ms }),
        4 => Just(Call::Look),
    ]
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n + 1)
}

fn priced(items: &[(&str, u32)]) -> Vec<PricedItem> {
    items.iter().map(|(tier, n)| PricedItem { tier: (*tier).to_owned(), quantity: *n, amount: i64::MAX - 7 }).collect()
}

/// Makes a call; the answer.
pub(super) async fn answer(stock: &dyn Stock, call: &Call, epochs: [u64; 2]) -> String {
    let ms = Duration::from_millis;
    match call.clone() {
        Call::Reserve { hold, customer, items, order, think } => {
            let reserve = Reserve {
                hold: id(hold),
                sale: SALES[sale_of(hold)].0.to_owned(),
                customer: id(customer),
                items: priced(&items),
                currency: "usd".parse().unwrap(),
                think: ms(think),
                order: order.map(id),
            };
            format!("{:?}", stock.reserve(reserve).await)
        }
        Call::Pin { hold, order, customer } => format!("{:?}", stock.pin(id(hold), id(order), id(customer)).await),
        Call::Unpin { sale, hold, order } => format!("{:?}", stock.unpin(SALES[sale].0, id(hold), id(order)).await),
        Call::Free { hold, customer } => format!("{:?}", stock.free(id(hold), id(customer)).await),
        Call::FreeOrphan { sale, hold, order, age } => {
            format!("{:?}", stock.free_orphan(SALES[sale].0, id(hold), id(order), ms(age)).await)
        }
        Call::Settle { sale, hold, order, version, effect } => {
            let sale = SALES[sale].0.to_owned();
            format!("{:?}", stock.settle(Settlement { sale, hold: id(hold), order: id(order), version, effect }).await)
        }
        // How many are left for it depends on which sales other calls have met.
        Call::Expire => format!("{:?}", stock.expire().await.map(|_| ())),
        Call::LonePins { age, most } => format!("{:?}", stock.pins_older_than(ms(age), most).await),
        Call::SetCapacity { sale, tier, capacity } => {
            format!("{:?}", stock.set_capacity(SALES[sale].0, tier, capacity).await)
        }
        Call::SetReturned { sale, tier, units } => {
            format!("{:?}", stock.set_returned(SALES[sale].0, tier, units).await)
        }
        Call::BeginRebuild { sale } => format!("{:?}", stock.begin_rebuild(SALES[sale].0).await),
        Call::Rebuild { sale, counts, pins, bought, .. } => {
            format!("{:?}", stock.rebuild(image(sale, epochs[sale], counts, &pins, &bought)).await)
        }
        Call::Pass { .. } => String::new(),
        Call::Look => look(stock).await,
    }
}

fn image(
    sale: usize,
    epoch: u64,
    (sold, returned): (u32, u32),
    pins: &BTreeMap<u128, (u128, i64, u32)>,
    bought: &[(u128, u32)],
) -> Image {
    let (slug, tiers) = SALES[sale];
    let tier = |(id, capacity, limit): &Tier| ImageTier {
        id: (*id).to_owned(),
        capacity: *capacity,
        sold,
        returned,
        max_per_customer: *limit,
    };
    let pin = |(hold, (order, version, n)): (&u128, &(u128, i64, u32))| ImagePin {
        order: id(*order),
        hold: id(*hold),
        customer: id(customer_of(*hold)),
        version: *version,
        items: priced(&tiers.iter().map(|(tier, ..)| (*tier, *n)).collect::<Vec<_>>()),
    };
    let bought = bought.iter().flat_map(|(customer, n)| {
        tiers.iter().map(|(tier, ..)| (id(*customer), Item { tier: (*tier).to_owned(), quantity: *n }))
    });
    Image {
        sale: slug.to_owned(),
        currency: "usd".parse().unwrap(),
        epoch,
        paused: false,
        tiers: tiers.iter().map(tier).collect(),
        pins: pins.iter().map(pin).collect(),
        bought: bought.collect(),
        sold: Vec::new(),
    }
}

/// Makes so many calls, the same ones each time.
pub(super) async fn play_at_random(on: &OnServer, calls: u32) {
    let (mut runner, mut epochs) = (TestRunner::deterministic(), [0; 2]);
    for n in 0..calls {
        let any = call().new_tree(&mut runner).expect("any call").current();
        let call = if n < 2 { Call::open(n as usize) } else { any };
        match &call {
            Call::Pass { ms } => on.pass(Duration::from_millis(*ms)).await,
            Call::Rebuild { sale, newer_by, .. } => epochs[*sale] += newer_by,
            _ => {}
        }
        answer(&on.stock, &call, epochs).await;
    }
}

/// All that can be seen.
async fn look(stock: &dyn Stock) -> String {
    let names: Vec<String> = SALES.iter().map(|(sale, _)| (*sale).to_owned()).collect();
    let mut seen = format!("unknown {:?}", stock.unknown(&names).await);
    for sale in &names {
        seen.push_str(&format!("\n{sale} {:?}", stock.levels(sale).await));
    }
    for customer in 0..CUSTOMERS {
        seen.push_str(&format!("\nholds of {customer}: {:?}", stock.holds_of(id(customer)).await));
    }
    seen.push_str(&format!("\nlone pins: {:?}", stock.pins_older_than(Duration::ZERO, 100).await));
    seen
}
