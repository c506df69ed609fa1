//! What a shopper sees of a shop that is spread over processes: nothing of it.

use tests::harness::browser::Browser;
use tests::harness::fleet::Fleet;

use super::shopper::{GOOD_CARD, SALE, Shopper};
use super::wire::Wire;

/// A shop of several processes, whose balancer sends sockets to one door and everything else to the other.
async fn shopper_between_doors() -> (Shopper<Fleet>, Wire) {
    let fleet = Fleet::start(&[]).await;
    fleet.sale(SALE, 100, &[]).await;
    let wire = Wire::between(&fleet.url(0), &fleet.url(1)).await;
    let address = format!("{}/sales/{SALE}", wire.url());
    (Shopper { shop: fleet, browser: Browser::start().await, address }, wire)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_at_one_door_is_told_through_the_socket_at_the_other() {
    let (shopper, _wire) = shopper_between_doors().await;
    shopper.visit().await;
    shopper.let_bank_hesitate().await;
    shopper.pay_with(GOOD_CARD).await;
    shopper.browser.until_says("position", "Next").await;
    shopper.let_bank_answer().await;
    shopper.until_paid().await;

    let exchanges = shopper.browser.exchanges().await;
    assert!(exchanges.iter().any(|exchange| exchange.kind == "WebSocket" && exchange.status == Some(101)));
    let after = shopper.browser.exchanges_after_answer("POST", "/charges", 202).await;
    assert!(after.is_empty(), "nobody polls: {after:#?}");
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_the_servers_lost_is_told_and_taken_again() {
    let (shopper, _wire) = shopper_between_doors().await;
    shopper.visit().await;
    shopper.reserve(2).await;
    shopper.shop.redis.ask(&["FLUSHALL"]).await;
    shopper.browser.until_says("status", "set aside once more, with new time").await;
    shopper.picture("hold-renewed").await;

    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    shopper.browser.click("pay").await;
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}
