//! `stampede top`: beside one process, beside several, and beside none.

use serde_json::Value;
use tests::harness::desk::Desk;
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::process::READY_WITHIN;
use tests::harness::redis::Redis;
use tests::harness::shop::Shop;

use crate::access::said;

const SALE: &str = "gala";

/// What is told once the sale is: a look may be of a moment ago.
async fn overview(desk: &Desk) -> Value {
    let looking = async {
        loop {
            let overview = desk.cli_json(&["top", "--once"]).await;
            if overview["sales"][0].is_object() {
                return overview;
            }
        }
    };
    tokio::time::timeout(READY_WITHIN, looking).await.expect("a sale")
}

/// What a shop of four queues and a sale of fifty tells, whoever is asked.
async fn tells_of_the_sale(desk: &Desk) {
    let overview = overview(desk).await;
    let sale = &overview["sales"][0];
    assert_eq!((&overview["type"], &sale["sale"]), (&"overview".into(), &SALE.into()), "{overview}");
    assert_eq!((&sale["tiers"][0]["free"], &sale["conservation"]["holds"]), (&50.into(), &true.into()), "{sale}");
    assert_eq!(overview["queues"][0]["queue"], "create_charge", "{overview}");
    let (code, words) = said(&desk.cli(&["top", "--once"]).await);
    assert_eq!(code, Some(0), "{words}");
    for part in ["gala  open (gala)", "every unit has its place", "create_charge", "orders   "] {
        assert!(words.contains(part), "{part} in\n{words}");
    }
    assert!(!words.contains('\x1b'), "nobody sits at a pipe");
}

#[tokio::test]
async fn one_process_is_asked_how_it_is() {
    let shop = Shop::start(&[("DEMO", "false")]).await;
    shop.sale(SALE, 50, &[]).await;
    tells_of_the_sale(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_processes_what_they_share_is_looked_at() {
    let fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 1, 1, &[]).await;
    fleet.sale(SALE, 50, &[]).await;
    tells_of_the_sale(&fleet).await;
}

#[tokio::test]
async fn where_nothing_runs_there_is_nothing_to_see() {
    let mut shop = Shop::start(&[]).await;
    assert!(shop.stop().await.success());
    let (code, words) = said(&shop.cli(&["top", "--once"]).await);
    assert_eq!(
        (code, words.as_str()),
        (Some(1), "stampede: no process sells at the moment: there is nothing to see\n")
    );
}
