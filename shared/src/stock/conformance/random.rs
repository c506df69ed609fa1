//! Random calls, next to a small model of what each hold has, and where.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::{Fixture, counts, id, open, reserve, settlement};
use crate::order::state::StockEffect;
use crate::stock::{Reserve, Reserved};

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
    let fixture = tokio::sync::Mutex::new(runtime.block_on(F::fresh()));
    proptest!(ProptestConfig::with_cases(256), |(calls in prop::collection::vec(call(), 1..60))| {
        runtime.block_on(async {
            let mut fixture = fixture.lock().await;
            fixture.clear().await;
            drive(&*fixture, calls).await;
        });
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
            Call::Pass(seconds) => fixture.pass(Duration::from_secs(seconds)).await,
        }
        assert_eq!(counts(stock, "std").await.2, sold.values().sum::<u32>(), "sold units belong to orders");
    }
}
