//! Twin gates, taken away one by one and together: whichever is left holds, and says by its counter that the other one
//! did not; without all of them the shop sells what it does not have.

use futures::future::join_all;
use serde_json::Value;
use tests::harness::crowd::{Shopper, gather};
use tests::harness::shop::Shop;

const UNITS: u64 = 5;
const SHOPPERS: usize = 20;

/// What became of a crowd at a shop without these guards.
#[derive(Debug, PartialEq, Eq)]
struct Rush {
    /// Orders that were accepted.
    accepted: usize,
    /// Refusals of the ledger for what the stock had held.
    second_gate: bool,
    /// Whatever of the ledger refused.
    ledger: bool,
}

async fn rush(without: &str) -> Rush {
    let shop = Shop::start(&[("LOG", "error"), ("STAMPEDE_MUTANT", without)]).await;
    shop.sale("rush", u32::try_from(UNITS).unwrap(), &[]).await;
    let shoppers = gather(&[shop.url()], SHOPPERS).await;
    let buy = |shopper: &Shopper| {
        let client = shopper.client.clone();
        async move { client.buy("rush", 1, "pm_card_visa").await.1 }
    };
    let answers: Vec<(u16, Value)> = join_all(shoppers.iter().map(buy)).await;
    let accepted = answers.iter().filter(|(status, _)| *status == 202).count();
    let fired = async |counter| shop.counter(counter).await > 0;
    Rush {
        accepted,
        second_gate: fired("second_gate_fired_total").await,
        ledger: fired("ledger_guard_fired_total").await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_gates_against_overselling_whichever_is_left_holds_and_says_so() {
    let five = |second_gate, ledger| Rush { accepted: 5, second_gate, ledger };
    assert_eq!(rush("").await, five(false, false), "with all of them the first one is enough");
    assert_eq!(rush("LedgerUnits,SqlUnits,TableUnits").await, five(false, false), "the stock's alone");
    assert_eq!(rush("StockUnits").await, five(true, true), "the book's");
    assert_eq!(rush("StockUnits,LedgerUnits").await, five(false, true), "the statement's");
    assert_eq!(rush("StockUnits,LedgerUnits,SqlUnits").await.accepted, 5, "the table's");
    let none = rush("StockUnits,LedgerUnits,SqlUnits,TableUnits").await;
    assert_eq!(none, Rush { accepted: SHOPPERS, second_gate: false, ledger: false }, "it sells what it does not have");
}

/// Units that one customer gets who asks for two at a time where two is the most; and whether the ledger had to refuse.
async fn greed(without: &str) -> (u64, bool) {
    let shop = Shop::start(&[("LOG", "error"), ("STAMPEDE_MUTANT", without)]).await;
    shop.sale_of("few", &["--tier", "std:Standard:2500:50:2"]).await;
    let client = shop.customer().await;
    let mut units = 0;
    for _ in 0..3 {
        let (_, (status, _)) = client.buy("few", 2, "pm_card_visa").await;
        units += 2 * u64::from(status == 202);
    }
    (units, shop.counter("ledger_guard_fired_total").await > 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_limits_per_customer_whichever_is_left_holds_and_says_so() {
    assert_eq!(greed("").await, (2, false));
    assert_eq!(greed("LedgerLimit").await, (2, false), "the stock's alone");
    assert_eq!(greed("StockLimit").await, (2, true), "the ledger's");
    assert_eq!(greed("StockLimit,LedgerLimit").await, (6, false), "without both there is no limit");
}
