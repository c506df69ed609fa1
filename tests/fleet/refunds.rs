//! Refunds where several processes sell: asked for by a command beside them, or at one of the doors.

use std::time::Duration;

use serde_json::{Value, json};
use tests::harness::client::post;
use tests::harness::crowd::insist;
use tests::harness::fleet::Fleet;
use uuid::Uuid;

const KEY: &str = "an operator's key of some length: 0123456789";

/// Polls until so many units are free, held and sold, in the stock and in the ledger.
async fn until_counted(fleet: &Fleet, expected: [u32; 3]) {
    let counted = async {
        loop {
            let tier = fleet.check("night").await["tiers"][0].clone();
            if [&tier["free"], &tier["held"], &tier["sold"]] == expected {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), counted).await.unwrap_or_else(|_| panic!("{expected:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_by_a_command_beside_the_processes_is_told_at_both_doors_and_its_unit_is_sold_again() {
    let fleet = Fleet::start(&[("LOG", "info")]).await;
    fleet.sale("night", 2, &[]).await;
    let client = fleet.customer(0).await;
    let (order, (status, answer)) = client.buy("night", 2, "pm_card_visa").await;
    assert_eq!(status, 202, "{answer}");
    let paid = client.room(&[]).await.until(order, &["paid"]).await;
    let mut tabs = [client.room(&[]).await, client.at(&fleet.url(1)).room(&[]).await];

    let ticket = paid["tickets"][0]["id"].as_str().unwrap();
    let (id, request) = (order.to_string(), Uuid::new_v4().to_string());
    let ask = ["order", "refund", &id, "--tickets", ticket, "--restock", "--request", &request];
    let said = fleet.cli_json(&ask).await;
    assert_eq!((&said["refund"]["amount"], &said["refund"]["restock"]), (&2_500.into(), &true.into()), "{said}");
    for tab in &mut tabs {
        let told = tab.until(order, &["partially_refunded"]).await;
        assert_eq!(told["voided"], json!([{"id": ticket, "tier": "std"}]), "{told}");
    }
    assert_eq!(fleet.cli_json(&ask).await["refund"]["refund"], said["refund"]["refund"], "the same again is the same");
    until_counted(&fleet, [1, 0, 1]).await;

    // What the stock shows survives the loss of all that Redis had.
    fleet.redis.ask(&["FLUSHALL"]).await;
    until_counted(&fleet, [1, 0, 1]).await;
    let other = fleet.customer(1).await;
    let again = Uuid::new_v4();
    let (status, answer) = insist(&other, "/charges", &other.purchase(again, "night", 1, "pm_card_visa")).await;
    assert_eq!(status, 202, "{answer}");
    other.room(&[]).await.until(again, &["paid"]).await;
    until_counted(&fleet, [0, 0, 2]).await;
    let stats = fleet.stats().await;
    assert_eq!((&stats["refunds"], &stats["amount_refunded"]), (&1.into(), &2_500.into()), "{stats}");
    assert_eq!(fleet.counter("second_gate_fired_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_asked_for_at_one_door_is_sent_once_by_two_workers_and_told_at_the_other() {
    let fleet = Fleet::start(&[("LOG", "info"), ("OPERATOR_KEY", KEY)]).await;
    fleet.sale("night", 5, &[]).await;
    let client = fleet.customer(0).await;
    let (order, _) = client.buy("night", 2, "pm_card_visa").await;
    client.room(&[]).await.until(order, &["paid"]).await;
    let mut tab = client.room(&[]).await;
    let url = format!("{}/api/orders/{order}/refunds", fleet.url(1));
    let body: Value = json!({"request": Uuid::new_v4()});
    let (status, answer) = post(&url, Some(KEY), &body).await.unwrap();
    assert_eq!((status, &answer["refund"]["amount"]), (202, &5_000.into()), "{answer}");
    let told = tab.until(order, &["refunded"]).await;
    assert_eq!((&told["refunded"], told["voided"].as_array().map(Vec::len)), (&5_000.into(), Some(2)), "{told}");
    until_counted(&fleet, [3, 0, 2]).await;
    let stats = fleet.stats().await;
    assert_eq!((&stats["refunds"], &stats["amount_refunded"]), (&1.into(), &5_000.into()), "{stats}");
}
