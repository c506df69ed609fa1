//! Purchases, and what can come between a shopper and the tickets, with nothing broken.

use std::time::Duration;

use shared::env::Env;

use super::shopper::{BAD_CARD, GOOD_CARD, SALE, Shopper};

#[tokio::test]
async fn a_purchase_shows_the_spinner_then_paid_and_asks_nothing_after_the_202() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.let_bank_hesitate().await;
    shopper.pay_with(GOOD_CARD).await;

    shopper.browser.by_css("[data-testid=pending] [data-mark=turning]").await;
    shopper.browser.until_says("position", "Next").await;
    shopper.browser.by_testid("eta").await;
    shopper.let_bank_answer().await;
    let (order, charge) = shopper.until_paid().await;
    shopper.browser.until_says("status", "Paid").await;
    shopper.browser.by_testid("ticket-code").await;

    let after = shopper.browser.exchanges_after_answer("POST", "/charges", 202).await;
    assert!(after.is_empty(), "the page waits for the push and asks nothing: {after:#?}");
    let kept = shopper.shop.cli_json(&["order", "show", &order]).await;
    assert!(kept.to_string().contains(&charge), "{kept}");
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_bank_that_takes_its_time_shows_the_spinner_without_any_help() {
    let shopper = Shopper::with_shop(&[("SANDBOX_LATENCY", "lognormal:600ms:0.4")]).await;
    shopper.visit().await;
    // The page is asked to remember, lest a busy machine look away in that moment.
    let turning = "find('[data-testid=pending] [data-mark=turning]')";
    let remember = format!("new MutationObserver(() => window.turned ||= Boolean({turning}))");
    shopper.browser.js(&format!("void {remember}.observe(document, {{subtree: true, attributes: true}})")).await;
    shopper.pay_with(GOOD_CARD).await;
    shopper.until_paid().await;
    assert_eq!(shopper.browser.js("window.turned").await, true);
    let after = shopper.browser.exchanges_after_answer("POST", "/charges", 202).await;
    assert!(after.is_empty(), "{after:#?}");
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_declined_card_says_why_and_another_pays_the_same_order() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.pay_with(BAD_CARD).await;
    shopper.browser.by_testid("declined").await;
    shopper.browser.until_says("alert", "The card was declined.").await;
    shopper.browser.until_says("reason", "Your bank declined the card.").await;
    let declined = shopper.order_shown().await;

    shopper.pay_again_with(GOOD_CARD).await;
    let (paid, _) = shopper.until_paid().await;
    assert_eq!(paid, declined);
    assert_eq!(shopper.shop.stats().await["charges_declined"], 1);
    assert_eq!(shopper.shop.stats().await["payment_intents"], 1, "one per order, whatever the attempts");
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn every_card_of_the_test_list_does_what_the_list_says() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    let list = "[...document.querySelectorAll('[data-testid=test-cards] li')].map((row) =>
        [row.querySelector('code').textContent.replaceAll(' ', ''), row.querySelector('span').textContent])";
    let mut cards: Vec<(String, String)> = serde_json::from_value(shopper.browser.js(list).await).unwrap();
    // The one that succeeds ends the order: it comes last.
    cards.rotate_left(1);
    for (number, outcome) in &cards {
        shopper.type_card(number).await;
        shopper.browser.click("pay").await;
        let reason = match outcome.as_str() {
            "succeeds" => break,
            "is declined" => "Your bank declined the card",
            "has too little money" => "not enough money",
            "has expired" => "has expired",
            "has a wrong security code" => "security code is wrong",
            "asks for 3-D Secure" => {
                shopper.answer_bank("fail").await;
                "did not confirm that it was you"
            }
            other => panic!("a card that {other:?} needs a line here"),
        };
        shopper.browser.until_says("reason", reason).await;
        shopper.browser.click("try-again").await;
    }
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_card_that_is_incomplete_is_said_beside_the_field_and_nothing_is_sent() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    let mark = shopper.browser.mark().await;
    shopper.browser.click("pay").await;
    shopper.browser.until_text("Your card number is incomplete.").await;
    assert_eq!(shopper.orders_sent_since(mark).await, 0);

    shopper.type_card(GOOD_CARD).await;
    shopper.browser.click("pay").await;
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_hold_that_runs_out_while_its_buyer_thinks_is_told_and_can_be_taken_again() {
    let shopper = Shopper::with_sale(1, &["--hold-seconds", "10"]).await;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;

    shopper.browser.until_says("alert", "Your time to pay ran out").await;
    shopper.browser.until_says("free-std", "1 left").await;
    shopper.press_continue().await;
    shopper.type_card(GOOD_CARD).await;
    shopper.browser.click("pay").await;
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn the_last_ticket_goes_to_somebody_else_before_the_shoppers_eyes() {
    let shopper = Shopper::with_sale(1, &[]).await;
    shopper.visit().await;
    shopper.browser.until_says("free-std", "1 left").await;
    shopper.browser.until("the room to be entered", "find('[data-testid=continue]:not([aria-disabled])')").await;
    let mark = shopper.browser.mark().await;

    let (_, (status, answer)) = shopper.shop.customer().await.buy(SALE, 1, "pm_card_visa").await;
    assert_eq!(status, 202, "{answer}");
    shopper.browser.until_says("free-std", "Sold out").await;
    shopper.browser.until_says("status", "Everything is sold out.").await;
    shopper.browser.until("nothing to press", "!find('[data-testid=continue]')").await;
    assert_eq!(shopper.requests_since(mark).await, Vec::<String>::new());
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_sale_that_opens_later_counts_down_and_opens_by_itself() {
    let shopper = Shopper::with_shop(&[("DEMO", "false")]).await;
    let opens = Env::system().now().plus(Duration::from_secs(8)).to_rfc3339();
    shopper.shop.sale(SALE, 100, &["--opens-at", &opens]).await;
    shopper.visit().await;
    shopper.browser.by_testid("opens-in").await;
    shopper.browser.by_css("[data-testid=continue][aria-disabled]").await;
    shopper.browser.fill("tier-std-quantity", "2").await;

    shopper.press_continue().await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    shopper.browser.click("pay").await;
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn my_tickets_shows_every_code_and_back_leads_to_the_same_order() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.reserve(2).await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    shopper.browser.click("pay").await;
    let (order, _) = shopper.until_paid().await;
    let codes = codes(&shopper).await;
    assert_eq!(codes.len(), 2);

    let mark = shopper.browser.mark().await;
    shopper.browser.by_css("a.button[href='/tickets']").await.click().await.unwrap();
    shopper.browser.by_testid(&format!("order-{order}")).await;
    assert_eq!(self::codes(&shopper).await, codes);

    shopper.browser.client().back().await.unwrap();
    assert_eq!(shopper.until_paid().await.0, order);
    assert_eq!(self::codes(&shopper).await, codes);
    assert_eq!(shopper.orders_sent_since(mark).await, 0);
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

/// The ticket codes on the page.
async fn codes(shopper: &Shopper) -> Vec<String> {
    shopper.browser.by_testid("ticket-code").await;
    let codes = "[...document.querySelectorAll('[data-testid=ticket-code]')].map((code) => code.textContent)";
    serde_json::from_value(shopper.browser.js(codes).await).unwrap()
}

#[tokio::test]
async fn two_sales_make_an_index_that_leads_to_each() {
    let shopper = Shopper::start().await;
    shopper.shop.sale("matinee", 5, &[]).await;
    shopper.visit().await;
    shopper.browser.by_testid("sale-gala").await;
    shopper.browser.click("sale-matinee").await;
    shopper.browser.until_says("free-std", "5 left").await;
    shopper.pay_with(GOOD_CARD).await;
    shopper.until_paid().await;

    shopper.visit().await;
    shopper.browser.click("sale-gala").await;
    shopper.browser.until_says("free-std", "100 left").await;
    assert_eq!(shopper.shop.check("matinee").await["ok"], true);
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}
