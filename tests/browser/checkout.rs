//! Stripe's own payment page, as a shopper meets it: there and back.

use serde_json::json;

use super::access::{audit, tab_to};
use super::shopper::{BAD_CARD, GOOD_CARD, SALE, SECURE_CARD, Shopper};

/// Chooses Stripe's page, and is led there.
async fn goes_there(shopper: &Shopper) {
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    shopper.picture("checkout-choice").await;
    shopper.browser.click("pay-elsewhere").await;
    arrives(shopper).await;
}

async fn arrives(shopper: &Shopper) {
    shopper.browser.until("Stripe's page to be there", "location.pathname.startsWith('/c/pay/')").await;
    shopper.browser.by_css("input[name=number]").await;
}

/// Types a card into Stripe's page.
async fn pays_there(shopper: &Shopper, card: &str) {
    for (field, text) in [("number", card), ("expiry", "12 / 34"), ("cvc", "123"), ("name", "Ada")] {
        shopper.browser.by_css(&format!("input[name={field}]")).await.send_keys(text).await.unwrap();
    }
    shopper.browser.by_css("button.yes").await.click().await.unwrap();
}

async fn comes_back(shopper: &Shopper) {
    shopper.browser.by_css("a.back").await.click().await.unwrap();
    shopper.browser.by_testid("confirm").await;
}

#[tokio::test]
async fn who_pays_on_stripes_page_comes_back_to_tickets() {
    let shopper = Shopper::start().await;
    goes_there(&shopper).await;
    shopper.picture("checkout-page").await;
    pays_there(&shopper, BAD_CARD).await;
    shopper.browser.by_css("p.error").await;
    pays_there(&shopper, GOOD_CARD).await;
    shopper.until_paid().await;
    assert_eq!(shopper.browser.js("location.search").await, "", "the address is plain again");
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn who_comes_back_unpaid_goes_on_there_or_pays_with_a_card_here() {
    let shopper = Shopper::start().await;
    goes_there(&shopper).await;
    comes_back(&shopper).await;
    shopper.browser.until_says("time-left", "Your tickets are kept for you for 9:").await;
    shopper.browser.until_says("status", "Your payment on Stripe’s page is waiting for you.").await;
    shopper.picture("checkout-back").await;
    let order = shopper.order_shown().await;
    shopper.browser.click("confirm").await;
    arrives(&shopper).await;
    comes_back(&shopper).await;
    shopper.pay_instead_with(GOOD_CARD).await;
    shopper.is_paid_once(&order).await;
}

#[tokio::test]
async fn after_a_declined_card_the_same_order_is_paid_on_stripes_page_with_the_bank_asking() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.pay_with(BAD_CARD).await;
    shopper.browser.by_testid("declined").await;
    let order = shopper.order_shown().await;
    shopper.browser.click("try-again").await;
    shopper.browser.click("pay-elsewhere").await;
    arrives(&shopper).await;
    pays_there(&shopper, SECURE_CARD).await;
    shopper.browser.by_css("button[value=complete]").await.click().await.unwrap();
    shopper.is_paid_once(&order).await;
}

#[tokio::test]
async fn when_the_webhook_is_lost_the_page_has_stripe_asked_and_its_address_alone_pays_nothing() {
    let shopper = Shopper::start().await;
    shopper.shop.control_sandbox(json!({"webhooks": {"hold": true}})).await;
    goes_there(&shopper).await;
    comes_back(&shopper).await;
    let order = shopper.order_shown().await;
    let lie = format!("{}/sales/{SALE}?order={order}&checkout=done", shopper.address);
    shopper.browser.open(&lie).await;
    shopper.browser.until_says("status", "Checking your payment.").await;
    shopper.browser.until_says("status", "Your payment on Stripe’s page is waiting for you.").await;
    shopper.browser.click("confirm").await;
    arrives(&shopper).await;
    pays_there(&shopper, GOOD_CARD).await;
    assert_eq!(shopper.until_paid().await.0, order);
    shopper.charged(1).await;
}

/// A shop with one ticket, whose buyer has a few seconds on Stripe's page.
async fn in_a_hurry() -> Shopper {
    let shopper = Shopper::with_shop(&[("DEMO", "false"), ("CHECKOUT_SECONDS", "4")]).await;
    shopper.shop.sale(SALE, 1, &[]).await;
    shopper
}

#[tokio::test]
async fn a_page_that_nobody_pays_ends_with_the_order_and_the_tickets_are_on_sale_again() {
    let shopper = in_a_hurry().await;
    goes_there(&shopper).await;
    comes_back(&shopper).await;
    shopper.browser.by_testid("expired").await;
    shopper.charged(0).await;
    let stock = shopper.shop.check(SALE).await;
    assert_eq!(stock["tiers"][0]["free"], 1, "{stock}");
}

#[tokio::test]
async fn who_pays_there_after_the_time_is_over_has_paid_unless_stripe_had_ended_the_page() {
    let shopper = in_a_hurry().await;
    // Whoever wants to end the page hears nothing of use for a while.
    let refused = json!({"fault": "http_503_html", "method": "POST", "path": "/v1/checkout/sessions/", "count": 100});
    shopper.shop.control_sandbox(json!({"faults": [refused]})).await;
    goes_there(&shopper).await;
    let there = shopper.browser.js("location.href").await.as_str().unwrap().to_owned();
    comes_back(&shopper).await;
    let order = shopper.order_shown().await;
    shopper.browser.until_says("status", "The time to pay is up.").await;
    shopper.browser.open(&there).await;
    pays_there(&shopper, GOOD_CARD).await;
    assert_eq!(shopper.until_paid().await.0, order);
    shopper.charged(1).await;
    shopper.shop.check(SALE).await;
}

#[tokio::test]
async fn money_that_comes_after_the_page_has_ended_is_fulfilled_while_there_are_tickets() {
    let shopper = in_a_hurry().await;
    goes_there(&shopper).await;
    comes_back(&shopper).await;
    let order = shopper.order_shown().await;
    shopper.browser.by_testid("expired").await;
    shopper.shop.pay_elsewhere(&order, 2_500).await;
    assert_eq!(shopper.until_paid().await.0, order);
    shopper.charged(1).await;
}

#[tokio::test]
async fn money_that_comes_after_the_page_has_ended_goes_back_when_the_tickets_are_gone() {
    let shopper = in_a_hurry().await;
    goes_there(&shopper).await;
    comes_back(&shopper).await;
    let order = shopper.order_shown().await;
    shopper.browser.by_testid("expired").await;
    let other = shopper.shop.customer().await;
    let mut room = other.room(&[]).await;
    let (bought, (status, answer)) = other.buy(SALE, 1, "pm_card_visa").await;
    assert_eq!(status, 202, "{answer}");
    room.until(bought, &["paid"]).await;
    shopper.shop.pay_elsewhere(&order, 2_500).await;
    shopper.browser.until_says("status", "All of the money is on its way back to you.").await;
    shopper.given_back_once().await;
    shopper.shop.check(SALE).await;
}

#[tokio::test]
async fn two_tabs_one_there_and_one_here_are_charged_once() {
    let shopper = Shopper::start().await;
    goes_there(&shopper).await;
    let there = shopper.browser.js("location.href").await.as_str().unwrap().to_owned();
    comes_back(&shopper).await;
    shopper.pay_instead_with(GOOD_CARD).await;
    shopper.until_paid().await;
    shopper.browser.open(&there).await;
    shopper.browser.until("the page to be over", "document.body.textContent.includes('This page is over')").await;
    shopper.charged(1).await;
}

#[tokio::test]
async fn the_keyboard_alone_goes_there_and_the_audit_finds_nothing_serious_on_the_way_back() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    audit(&shopper, "checkout-choice").await;
    tab_to(&shopper, "pay-elsewhere").await;
    shopper.browser.press("Enter").await;
    arrives(&shopper).await;
    audit(&shopper, "checkout-there").await;
    comes_back(&shopper).await;
    audit(&shopper, "checkout-back").await;
    tab_to(&shopper, "instead").await;
    shopper.browser.press("Enter").await;
    shopper.browser.by_testid("hold-countdown").await;
    shopper.charged(0).await;
    shopper.nothing_went_wrong().await;
}
