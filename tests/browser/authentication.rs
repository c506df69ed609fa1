//! Strong authentication (3-D Secure), as a shopper meets it: in a window of the bank's over the page.

use serde_json::json;

use super::shopper::{GOOD_CARD, SALE, SECURE_CARD, Shopper};

/// Asks for 3-D Secure, and is declined all the same.
const DECLINED_AFTERWARDS: &str = "4000008400001629";

/// A shopper whose bank asks.
async fn asked(shopper: &Shopper) -> String {
    shopper.visit().await;
    shopper.pay_with(SECURE_CARD).await;
    shopper.browser.by_css("dialog iframe").await;
    shopper.browser.until_says("alert", "").await;
    shopper.order_shown().await
}

/// A shop in which the time for the bank's question is short.
async fn in_a_hurry(capacity: u32) -> Shopper {
    let shopper = Shopper::with_shop(&[("DEMO", "false"), ("AUTHENTICATE_SECONDS", "3")]).await;
    shopper.shop.sale(SALE, capacity, &[]).await;
    shopper
}

#[tokio::test]
async fn who_passes_the_banks_challenge_has_tickets() {
    for card in [SECURE_CARD, "4000002760003184", "4000000000003220"] {
        let shopper = Shopper::start().await;
        shopper.visit().await;
        shopper.pay_with(card).await;
        shopper.browser.by_css("dialog iframe").await;
        let order = shopper.order_shown().await;
        shopper.browser.until_says("time-left", "Your tickets are kept for you for 4:").await;
        shopper.answer_bank("complete").await;
        assert_eq!(shopper.until_paid().await.0, order);
        shopper.browser.by_testid("ticket-code").await;
        shopper.browser.until("the bank's window to be gone", "!find('dialog')").await;
        let after = shopper.browser.exchanges_after_answer("POST", "/charges", 202).await;
        let of_the_shop: Vec<_> = after.iter().filter(|exchange| exchange.url.starts_with(&shopper.address)).collect();
        assert!(of_the_shop.len() <= 1, "the page waits for the push: {of_the_shop:#?}");
        shopper.charged(1).await;
        shopper.nothing_went_wrong().await;
    }
}

#[tokio::test]
async fn who_fails_the_challenge_is_told_why_and_pays_the_same_order_with_another_card() {
    let shopper = Shopper::start().await;
    let order = asked(&shopper).await;
    shopper.answer_bank("fail").await;
    shopper.browser.by_testid("declined").await;
    shopper.browser.until_says("reason", "did not confirm that it was you").await;
    shopper.pay_again_with(DECLINED_AFTERWARDS).await;
    shopper.answer_bank("complete").await;
    shopper.browser.until_says("reason", "Your bank declined the card").await;
    // The same bank asks about another card: its window opens by itself again.
    shopper.pay_again_with(SECURE_CARD).await;
    shopper.answer_bank("complete").await;
    assert_eq!(shopper.until_paid().await.0, order);
    assert_eq!(shopper.shop.stats().await["payment_intents"], 1, "one per order, whatever the attempts");
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_window_that_is_closed_can_be_opened_again_by_the_keyboard() {
    let shopper = Shopper::start().await;
    let browser = &shopper.browser;
    asked(&shopper).await;
    shopper.close_bank().await;
    browser.until_says("alert", "The confirmation was not finished.").await;
    browser.until_says("reason", "The confirmation was not finished.").await;
    browser.until_says("status", "Your bank wants to know it is you.").await;
    let has_focus = "document.activeElement?.matches('sale-order, sale-order *')";
    assert_eq!(browser.js(has_focus).await, true, "the focus is where the buyer goes on");
    for _ in 0..20 {
        if browser.js("document.activeElement?.dataset?.testid === 'confirm'").await == true {
            break;
        }
        browser.press("Tab").await;
    }
    browser.press("Enter").await;
    browser.until("the bank's frame to have the focus", "document.activeElement?.matches('dialog iframe')").await;
    browser.enter_frame("dialog iframe").await;
    browser.until("the question to be there", "document.hasFocus() && find('button[value=complete]')").await;
    browser.press("Tab").await;
    assert_eq!(browser.js("document.activeElement.value").await, "complete");
    browser.press("Enter").await;
    browser.leave_frame().await;
    shopper.until_paid().await;
    assert_eq!(browser.js(has_focus).await, true, "the button that went away hands the focus on");
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn who_would_rather_use_another_card_is_led_to_the_form_and_charged_once() {
    let shopper = Shopper::start().await;
    let order = asked(&shopper).await;
    shopper.close_bank().await;
    shopper.pay_instead_with(GOOD_CARD).await;
    shopper.is_paid_once(&order).await;
}

#[tokio::test]
async fn without_webhooks_the_page_says_once_that_it_is_done_and_hears_the_result() {
    let shopper = Shopper::start().await;
    shopper.shop.control_sandbox(json!({"webhooks": {"hold": true}})).await;
    asked(&shopper).await;
    let mark = shopper.browser.mark().await;
    shopper.answer_bank("complete").await;
    shopper.browser.until_says("status", "Checking with your bank.").await;
    shopper.until_paid().await;
    let exchanges = shopper.browser.exchanges_since(mark).await;
    let told: Vec<_> = exchanges.iter().filter(|exchange| exchange.url.starts_with(&shopper.address)).collect();
    assert!(told.len() == 1 && told[0].method == "POST" && told[0].url.ends_with("/refresh"), "{told:#?}");
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn the_bank_asks_in_the_tab_that_bought_and_the_other_tab_can_go_on_when_it_is_closed() {
    let shopper = Shopper::start().await;
    let browser = &shopper.browser;
    let order = asked(&shopper).await;
    browser.new_tab().await;
    let second = browser.tab().await;
    shopper.visit().await;
    browser.by_testid("confirm").await;
    assert_eq!(shopper.order_shown().await, order);
    browser.until_says("time-left", "Your tickets are kept for you for").await;
    assert_eq!(browser.js("Boolean(find('dialog'))").await, false, "nobody asked this tab to ask");

    let tabs = browser.client().windows().await.unwrap();
    let first = tabs.into_iter().find(|tab| *tab != second).expect("the tab that bought");
    browser.switch_to(&first).await;
    browser.client().close_window().await.unwrap();
    browser.switch_to(&second).await;
    browser.click("confirm").await;
    shopper.answer_bank("complete").await;
    shopper.is_paid_once(&order).await;
}

#[tokio::test]
async fn a_reload_in_the_middle_leads_back_to_the_question_and_both_tabs_hear_the_result() {
    let shopper = Shopper::start().await;
    let browser = &shopper.browser;
    let order = asked(&shopper).await;
    browser.reload().await;
    browser.by_testid("confirm").await;
    let first = browser.tab().await;
    browser.new_tab().await;
    shopper.visit().await;
    browser.click("confirm").await;
    shopper.answer_bank("complete").await;
    let paid = shopper.until_paid().await;
    assert_eq!(paid.0, order);
    browser.switch_to(&first).await;
    assert_eq!(shopper.until_paid().await, paid);
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn another_card_in_the_second_tab_pays_once_though_the_first_goes_on_with_its_challenge() {
    let shopper = Shopper::start().await;
    let browser = &shopper.browser;
    let order = asked(&shopper).await;
    let first = browser.tab().await;
    browser.new_tab().await;
    shopper.visit().await;
    shopper.pay_instead_with(GOOD_CARD).await;
    let paid = shopper.until_paid().await;
    assert_eq!(paid.0, order);
    browser.switch_to(&first).await;
    shopper.answer_bank("complete").await;
    assert_eq!(shopper.until_paid().await, paid);
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn who_never_answers_loses_the_tickets_when_the_time_is_over() {
    let shopper = in_a_hurry(1).await;
    asked(&shopper).await;
    shopper.close_bank().await;
    shopper.browser.by_testid("expired").await;
    shopper.browser.until_says("status", "You have not been charged.").await;
    shopper.browser.click("restart").await;
    shopper.browser.until_says("free-std", "1 left").await;
    let log = shopper.shop.sandbox_log().await;
    assert!(log.iter().any(|path| path.ends_with("/cancel")), "it was closed at Stripe first: {log:?}");
    shopper.charged(0).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn money_that_comes_after_the_end_is_fulfilled_while_there_are_tickets() {
    let shopper = in_a_hurry(1).await;
    let order = asked(&shopper).await;
    shopper.close_bank().await;
    shopper.browser.by_testid("expired").await;
    shopper.shop.pay_elsewhere(&order, 2_500).await;
    assert_eq!(shopper.until_paid().await.0, order);
    shopper.browser.by_testid("ticket-code").await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn money_that_comes_after_the_end_goes_back_when_the_tickets_are_gone() {
    let shopper = in_a_hurry(1).await;
    let order = asked(&shopper).await;
    shopper.close_bank().await;
    shopper.browser.by_testid("expired").await;
    let other = shopper.shop.customer().await;
    let mut room = other.room(&[]).await;
    let (bought, (status, answer)) = other.buy(SALE, 1, "pm_card_visa").await;
    assert_eq!(status, 202, "{answer}");
    room.until(bought, &["paid"]).await;
    shopper.shop.pay_elsewhere(&order, 2_500).await;
    shopper.given_back_once().await;
    shopper.browser.until_says("status", "All of the money is on its way back to you.").await;
    shopper.browser.until_text("Your payment came too late").await;
    shopper.shop.check(SALE).await;
    shopper.nothing_went_wrong().await;
}
