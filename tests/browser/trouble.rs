//! Impatient shoppers, broken wires and servers that die: each ends in one order and one charge.

use fantoccini::actions::{InputSource as _, MouseActions, PointerAction};

use super::shopper::{GOOD_CARD, Shopper};

#[tokio::test]
async fn a_double_click_on_pay_makes_one_order_and_one_charge() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    let mark = shopper.browser.mark().await;
    let down = PointerAction::Down { button: 0 };
    let up = PointerAction::Up { button: 0 };
    let over = PointerAction::MoveToElement {
        element: shopper.browser.by_testid("pay").await,
        duration: None,
        x: 0.0,
        y: 0.0,
    };
    let clicks = [over, down.clone(), up.clone(), down, up];
    let clicks = clicks.into_iter().fold(MouseActions::new("mouse".to_owned()), |all, action| all.then(action));
    shopper.browser.client().perform_actions(clicks).await.unwrap();

    shopper.until_paid().await;
    assert_eq!(shopper.orders_sent_since(mark).await, 1);
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn two_tabs_show_the_same_and_paying_in_both_at_once_charges_once() {
    let shopper = Shopper::start().await;
    let browser = &shopper.browser;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    shopper.visit().await;
    browser.by_testid("hold-countdown").await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;

    // A person has one mouse: the tabs tell each other when to press.
    let press = "find('[data-testid=pay]').click()";
    let listen = format!("void (window.both = new BroadcastChannel('both'), both.onmessage = () => {press})");
    shopper.let_bank_hesitate().await;
    browser.js(&listen).await;
    browser.switch_to(&first).await;
    browser.js(&listen).await;
    let mark = browser.mark().await;
    browser.js(&format!("void (both.postMessage(''), {press})")).await;
    browser.by_testid("pending").await;
    let order = shopper.order_shown().await;
    browser.switch_to(&second).await;
    browser.by_testid("pending").await;
    assert_eq!(shopper.order_shown().await, order);

    shopper.let_bank_answer().await;
    let paid = shopper.until_paid().await;
    shopper.nothing_went_wrong().await;
    browser.switch_to(&first).await;
    assert_eq!(shopper.until_paid().await, paid);
    assert_eq!(shopper.orders_sent_since(mark).await, 1);
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn what_one_tab_pays_for_the_other_shows_from_the_first_moment() {
    let shopper = Shopper::start().await;
    let browser = &shopper.browser;
    shopper.visit().await;
    shopper.reserve(1).await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    shopper.visit().await;
    browser.by_testid("hold-countdown").await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    shopper.let_bank_hesitate().await;
    browser.click("pay").await;
    browser.by_testid("pending").await;
    let order = shopper.order_shown().await;

    browser.switch_to(&first).await;
    browser.by_testid("pending").await;
    assert_eq!(shopper.order_shown().await, order);
    shopper.let_bank_answer().await;
    let paid = shopper.until_paid().await;
    browser.switch_to(&second).await;
    assert_eq!(shopper.until_paid().await, paid);
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_reload_while_pending_leads_back_to_the_same_order() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.let_bank_hesitate().await;
    shopper.pay_with(GOOD_CARD).await;
    shopper.browser.by_testid("pending").await;
    shopper.browser.until_says("position", "Next").await;
    let order = shopper.order_shown().await;

    let mark = shopper.browser.mark().await;
    shopper.browser.reload().await;
    shopper.browser.until_says("position", "Next").await;
    assert_eq!(shopper.order_shown().await, order);
    shopper.let_bank_answer().await;
    assert_eq!(shopper.until_paid().await.0, order);
    assert_eq!(shopper.orders_sent_since(mark).await, 0);
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_reload_while_choosing_a_card_keeps_the_tickets() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.reserve(3).await;
    shopper.browser.reload().await;
    shopper.browser.by_testid("hold-countdown").await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    shopper.browser.click("pay").await;
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_socket_that_breaks_while_pending_comes_back_with_the_result() {
    let mut shopper = Shopper::start().await;
    let wire = shopper.over_a_wire().await;
    shopper.visit().await;
    shopper.let_bank_hesitate().await;
    shopper.pay_with(GOOD_CARD).await;
    shopper.browser.until_says("position", "Next").await;

    wire.cut();
    shopper.browser.until_says("status", "Your order is safe; reconnecting.").await;
    shopper.let_bank_answer().await;
    wire.mend();
    shopper.until_paid().await;
    shopper.browser.until_says("status", "Paid").await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_server_killed_while_pending_ends_paid_and_charged_once() {
    let mut shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.let_bank_hesitate().await;
    shopper.pay_with(GOOD_CARD).await;
    shopper.browser.until_says("position", "Next").await;
    let order = shopper.order_shown().await;
    // The card is charged, and nobody but the sandbox knows.
    shopper.until_bank_hesitates().await;

    shopper.shop.kill().await;
    shopper.browser.until_says("status", "Your order is safe; reconnecting.").await;
    shopper.shop.start_again(&[]).await;
    shopper.is_paid_once(&order).await;
}

#[tokio::test]
async fn an_answer_lost_on_the_wire_is_asked_for_again_and_charged_once() {
    let mut shopper = Shopper::start().await;
    let wire = shopper.over_a_wire().await;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    wire.break_at_answer();
    shopper.browser.click("pay").await;
    shopper.browser.until_says("status", "you are charged once at most").await;

    wire.mend();
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_browser_that_is_offline_for_a_while_goes_on_by_itself() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.browser.until("the room to be entered", "find('[data-testid=continue]:not([aria-disabled])')").await;
    shopper.browser.fill("tier-std-quantity", "1").await;
    shopper.browser.offline(true).await;
    shopper.browser.click("continue").await;
    shopper.browser.until_says("status", "No answer yet.").await;

    shopper.browser.offline(false).await;
    shopper.browser.by_testid("hold-countdown").await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    shopper.browser.click("pay").await;
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn a_browser_closed_between_submit_and_answer_finds_its_order_later() {
    let mut shopper = Shopper::start().await;
    let wire = shopper.over_a_wire().await;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    wire.break_at_answer();
    shopper.browser.click("pay").await;
    shopper.browser.until_says("status", "you are charged once at most").await;
    shopper.browser.open("about:blank").await;

    wire.mend();
    shopper.visit().await;
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn without_websockets_the_same_messages_come_as_events() {
    let mut shopper = Shopper::start().await;
    let wire = shopper.over_a_wire().await;
    wire.refuse_sockets();
    shopper.visit().await;
    shopper.let_bank_hesitate().await;
    shopper.pay_with(GOOD_CARD).await;
    shopper.browser.until_says("position", "Next").await;
    shopper.let_bank_answer().await;
    shopper.until_paid().await;

    let exchanges = shopper.browser.exchanges().await;
    assert!(exchanges.iter().any(|exchange| exchange.is("GET", "/events") && exchange.status == Some(200)));
    assert!(!exchanges.iter().any(|exchange| exchange.kind == "WebSocket" && exchange.status == Some(101)));
    let after = shopper.browser.exchanges_after_answer("POST", "/charges", 202).await;
    assert!(after.is_empty(), "{after:#?}");
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}
