//! The operators' page: who gets in, what they see while a crowd buys, and what they may do about it.

use std::ops::Deref;
use std::path::Path;

use serde_json::json;
use tests::harness::desk::Desk;
use tests::harness::shop::Shop;

use super::access::{audit, tab_to};
use super::shopper::{SALE, Shopper};
use crate::access::{PASSWORD, add};

/// A shop with a sale, an owner, and a browser that is not there yet.
async fn shop(settings: &[(&str, &str)], capacity: u32) -> Shopper<Shop> {
    let shopper = Shopper::with_shop(&[&[("DEMO", "false")], settings].concat()).await;
    shopper.shop.sale(SALE, capacity, &[]).await;
    add(&shopper.shop, "ann", "owner").await;
    shopper
}

/// Opens the page, and logs in.
pub(super) async fn enter<S: Deref<Target = Desk>>(shopper: &Shopper<S>, name: &str) {
    shopper.browser.open(&format!("{}/ops", shopper.address)).await;
    log_in_by_form(shopper, name, PASSWORD).await;
    shopper.browser.until_says("live", "Live").await;
    shopper.browser.by_testid(&format!("sale-{SALE}")).await;
}

async fn log_in_by_form<S>(shopper: &Shopper<S>, name: &str, password: &str) {
    shopper.browser.fill("name", name).await;
    shopper.browser.fill("password", password).await;
    shopper.browser.click("log-in").await;
}

/// Keeps a picture of the page, for whoever wants to look.
pub(super) async fn picture<S>(shopper: &Shopper<S>, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/shots");
    shopper.browser.screenshot(&folder.join(format!("{name}.png"))).await;
}

#[tokio::test]
async fn an_operator_logs_in_sees_the_shop_and_logs_out() {
    let shopper = shop(&[], 100).await;
    let browser = &shopper.browser;
    browser.open(&format!("{}/ops", shopper.address)).await;
    log_in_by_form(&shopper, "ann", "some other password").await;
    browser.until_says("login-alert", "no operator of this name and password").await;
    audit(&shopper, "ops-login").await;
    browser.fill("password", PASSWORD).await;
    browser.press("Enter").await;
    browser.until_says("who", "ann, owner").await;
    browser.until_says(&format!("free-{SALE}-std"), "100").await;
    browser.until_says(&format!("status-{SALE}"), "Open").await;
    browser.until_says(&format!("check-{SALE}"), "Every unit has its place; stock and ledger agree").await;
    audit(&shopper, "ops-quiet").await;
    shopper.nothing_went_wrong().await;
    let stored = "localStorage.length + sessionStorage.length + document.cookie.split('operator').length - 1";
    assert_eq!(browser.js(stored).await, 0, "nothing is remembered where a script can read it");

    browser.click("log-out").await;
    browser.until_says("login-alert", "You are logged out.").await;
    assert_eq!(browser.js("!!find('[data-testid=sales]')").await, false);
    browser.reload().await;
    browser.by_testid("log-in").await;
}

#[tokio::test]
async fn a_look_that_may_not_go_on_ends_at_the_form() {
    let shopper = shop(&[], 100).await;
    add(&shopper.shop, "bob", "operator").await;
    enter(&shopper, "bob").await;
    shopper.shop.cli_json(&["operator", "role", "bob", "support"]).await;
    shopper.browser.until_says("login-alert", "Your session has ended. Log in again.").await;
    log_in_by_form(&shopper, "bob", PASSWORD).await;
    shopper.browser.until_says("who", "bob, support").await;
    shopper.browser.until_says("live", "Live").await;
}

#[tokio::test]
async fn a_lost_connection_is_said_and_comes_back_by_itself() {
    let mut shopper = shop(&[], 100).await;
    let wire = shopper.over_a_wire().await;
    enter(&shopper, "ann").await;
    let browser = &shopper.browser;
    wire.cut();
    browser.until_says("live", "No connection").await;
    browser.until_says("status", "The figures stand still").await;
    browser.until("figures to be marked as old", "find('.board').dataset.old === 'true'").await;
    picture(&shopper, "ops-lost").await;
    wire.mend();
    browser.until_says("live", "Live").await;
    browser.until_says("status", "The connection is back.").await;
    browser.until("figures to be of now", "!find('.board').dataset.old").await;
}

#[tokio::test]
async fn figures_that_stand_still_are_called_old() {
    let shopper = shop(&[], 100).await;
    enter(&shopper, "ann").await;
    // A whole process that stands still, as a machine that swaps.
    let process = shopper.shop.process();
    process.signal("-STOP").await;
    shopper
        .browser
        .until("the page to notice", "/Figures are \\d+ seconds old/.test(find('[data-testid=live]').textContent)")
        .await;
    process.signal("-CONT").await;
    shopper.browser.until_says("live", "Live").await;
}

#[tokio::test]
async fn the_keyboard_alone_pauses_a_sale_and_resumes_it() {
    let shopper = shop(&[], 100).await;
    enter(&shopper, "ann").await;
    let browser = &shopper.browser;
    tab_to(&shopper, &format!("pause-{SALE}")).await;
    browser.press("Enter").await;
    browser.until("the reason to be asked for", "document.activeElement?.dataset?.testid === 'confirm-reason'").await;
    audit(&shopper, "ops-confirm").await;
    browser.press("Escape").await;
    browser.until("the dialog to close", "!document.querySelector('dialog')").await;
    let focused = "document.activeElement?.dataset?.testid";
    assert_eq!(browser.js(focused).await, format!("pause-{SALE}"), "nothing was done");
    browser.press("Enter").await;
    browser.by_testid("confirm").await;
    browser.type_keys("no power").await;
    browser.press("Enter").await;
    browser.until_says(&format!("status-{SALE}"), "Paused").await;
    browser.until("the focus to be where it was", &format!("{focused} === 'resume-{SALE}'")).await;
    browser.press("Enter").await;
    browser.by_testid("confirm").await;
    browser.press("Enter").await;
    browser.until_says(&format!("status-{SALE}"), "Open").await;
    browser.until_says("trail-list", "no power").await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn what_a_role_may_not_do_is_not_on_its_page_and_is_refused() {
    let shopper = shop(&[], 100).await;
    add(&shopper.shop, "ron", "read_only").await;
    enter(&shopper, "ron").await;
    let browser = &shopper.browser;
    browser.by_testid("order-id").await;
    let buttons = "[...document.querySelectorAll('main button')].map((button) => button.textContent)";
    assert_eq!(browser.js(buttons).await, json!(["Look up"]), "nothing that changes anything");
    let steer = format!(
        "fetch('/ops/api/sales/{SALE}/pause', {{method: 'POST', headers: {{'content-type': 'application/json'}}, \
         body: '{{}}'}}).then((answer) => answer.status)"
    );
    assert_eq!(browser.js(&steer).await, 403);
    browser.until_says(&format!("status-{SALE}"), "Open").await;
    picture(&shopper, "ops-read-only").await;
}
