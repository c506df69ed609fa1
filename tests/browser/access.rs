//! The page for everybody: by keyboard alone, without motion, audited in every main state, light and dark, on a
//! telephone and on a desk.

use serde_json::{Value, json};

use super::shopper::{BAD_CARD, GOOD_CARD, SALE, SECURE_CARD, Shopper};

/// More steps than any page has, so that a focus that runs in a circle is found.
const TABS_MAX: usize = 60;

/// Presses Tab until the element with this `data-testid` has the focus.
pub(super) async fn tab_to(shopper: &Shopper, id: &str) {
    tab_until(shopper, &format!("document.activeElement?.dataset?.testid === {}", json!(id))).await;
}

async fn tab_until(shopper: &Shopper, there: &str) {
    for _ in 0..TABS_MAX {
        shopper.browser.press("Tab").await;
        if shopper.browser.js(there).await == true {
            return;
        }
    }
    panic!("the focus never came to where {there}");
}

#[tokio::test]
async fn the_keyboard_alone_can_buy() {
    let shopper = Shopper::start().await;
    let browser = &shopper.browser;
    shopper.visit().await;
    browser.until("the room to be entered", "find('[data-testid=continue]:not([aria-disabled])')").await;
    tab_to(&shopper, "tier-std-quantity").await;
    browser.type_keys("2").await;
    tab_to(&shopper, "continue").await;
    browser.press("Enter").await;
    browser.by_testid("hold-countdown").await;
    browser.by_css("[data-testid=card] iframe").await;
    tab_to(&shopper, "name").await;
    browser.type_keys("Ada Shopper").await;
    browser.press("Tab").await;
    browser.type_keys("ada@example.com").await;
    tab_until(&shopper, "document.activeElement?.matches('[data-testid=card] iframe')").await;
    // The field leads from number to date to code by itself.
    browser.type_keys(GOOD_CARD).await;
    browser.type_keys("1234").await;
    browser.type_keys("123").await;
    browser.press("Tab").await;
    assert_eq!(browser.js("document.activeElement.dataset.testid").await, "pay");
    browser.press("Enter").await;

    shopper.until_paid().await;
    tab_until(&shopper, "document.activeElement?.matches('a.button[href=\"/tickets\"]')").await;
    browser.press("Enter").await;
    browser.by_testid("ticket-code").await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn enter_in_the_card_field_pays_as_in_any_other_field() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    shopper.browser.enter_frame("[data-testid=card] iframe").await;
    shopper.browser.press("Enter").await;
    shopper.browser.leave_frame().await;
    shopper.until_paid().await;
    shopper.charged(1).await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn who_wants_no_motion_sees_none() {
    let shopper = Shopper::start().await;
    shopper.visit().await;
    shopper.let_bank_hesitate().await;
    shopper.pay_with(GOOD_CARD).await;
    shopper.browser.by_testid("pending").await;
    let running = "document.getAnimations().filter((each) => each.playState === 'running').length";
    assert_eq!(shopper.browser.js(running).await, 1, "the spinner turns");
    shopper.browser.prefers(false, true).await;
    shopper.browser.until("everything to stand still", &format!("{running} === 0")).await;
    shopper.let_bank_answer().await;
    shopper.until_paid().await;
    assert_eq!(shopper.browser.js(running).await, 0);
    shopper.nothing_went_wrong().await;
}

/// Audits the page as it is, light and dark, narrow and wide; and that it never scrolls sideways.
pub(super) async fn audit(shopper: &Shopper, state: &str) {
    for (dark, scheme) in [(false, "light"), (true, "dark")] {
        for width in [390, 1280] {
            let browser = &shopper.browser;
            browser.prefers(dark, true).await;
            browser.size(width).await;
            browser.until("the width to be told", &format!("innerWidth === {width}")).await;
            shopper.picture(&format!("{state}-{width}-{scheme}")).await;
            let found = browser.axe().await;
            let serious: Vec<_> = found.iter().filter(|violation| violation.is_serious()).collect();
            assert!(serious.is_empty(), "{state}, {scheme}, {width}: {serious:#?}");
            let sideways = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
            assert_eq!(browser.js(sideways).await, false, "{state} scrolls sideways at {width}");
        }
    }
    shopper.browser.size(1280).await;
}

#[tokio::test]
async fn the_audit_finds_nothing_serious_on_the_way_to_a_ticket() {
    let shopper = Shopper::with_shop(&[]).await;
    let browser = &shopper.browser;
    shopper.visit().await;
    browser.until("the room to be entered", "find('[data-testid=continue]:not([aria-disabled])')").await;
    browser.fill("tier-front-quantity", "2").await;
    audit(&shopper, "choose").await;

    shopper.reserve(1).await;
    browser.by_css("[data-testid=card] iframe").await;
    shopper.introduce().await;
    shopper.type_card(BAD_CARD).await;
    audit(&shopper, "pay").await;
    browser.click("pay").await;
    browser.by_testid("declined").await;
    audit(&shopper, "declined").await;

    shopper.pay_again_with(SECURE_CARD).await;
    browser.by_css("dialog iframe").await;
    audit(&shopper, "bank").await;
    shopper.close_bank().await;
    browser.until_says("alert", "was not finished").await;
    audit(&shopper, "authenticate").await;
    browser.click("instead").await;
    browser.by_testid("hold-countdown").await;
    browser.click("change").await;
    browser.by_testid("declined").await;

    shopper.let_bank_hesitate().await;
    shopper.pay_again_with(GOOD_CARD).await;
    browser.until_says("position", "Next").await;
    audit(&shopper, "pending").await;
    shopper.let_bank_answer().await;
    shopper.until_paid().await;
    audit(&shopper, "paid").await;

    browser.by_css("a.button[href='/tickets']").await.click().await.unwrap();
    browser.by_testid("ticket-code").await;
    audit(&shopper, "tickets").await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn the_audit_finds_nothing_serious_where_nothing_can_be_bought() {
    let shopper = Shopper::with_sale(1, &[]).await;
    let browser = &shopper.browser;
    shopper.visit().await;
    browser.until("the room to be entered", "find('[data-testid=continue]:not([aria-disabled])')").await;
    let (_, (status, answer)) = shopper.shop.customer().await.buy(SALE, 1, "pm_card_visa").await;
    assert_eq!(status, 202, "{answer}");
    browser.until_says("free-std", "Sold out").await;
    audit(&shopper, "sold-out").await;

    shopper.shop.sale("later", 200, &["--opens-at", "2099-01-01T20:00:00Z"]).await;
    shopper.visit().await;
    browser.by_testid("sale-later").await;
    audit(&shopper, "index").await;
    browser.click("sale-later").await;
    browser.by_testid("opens-in").await;
    audit(&shopper, "scheduled").await;
    browser.open(&format!("{}/tickets", shopper.address)).await;
    browser.until_text("You have no tickets yet.").await;
    audit(&shopper, "no-tickets").await;
    shopper.nothing_went_wrong().await;
}

#[tokio::test]
async fn the_audit_finds_nothing_serious_inside_the_card_frame() {
    let shopper = Shopper::start().await;
    for kind in ["card", "payment"] {
        let frame =
            format!("{}/_sandbox/elements/card?origin={}&type={kind}", shopper.shop.sandbox_url(), shopper.address);
        shopper.browser.open(&frame).await;
        shopper.browser.by_css("#number").await;
        let found = shopper.browser.axe().await;
        let serious: Vec<_> = found.iter().filter(|violation| violation.is_serious()).collect();
        assert!(serious.is_empty(), "{kind}: {serious:#?}");
    }
}

#[tokio::test]
async fn the_card_field_has_the_colours_of_the_page_light_and_dark() {
    let shopper = Shopper::start().await;
    let browser = &shopper.browser;
    browser.prefers(true, false).await;
    shopper.visit().await;
    shopper.reserve(1).await;
    shopper.introduce().await;
    shopper.type_card(GOOD_CARD).await;
    for dark in [true, false] {
        browser.prefers(dark, false).await;
        let ink = browser.js("getComputedStyle(document.body).color").await;
        let around = browser.js("getComputedStyle(find('[data-testid=card]')).backgroundColor").await;
        browser.enter_frame("[data-testid=card] iframe").await;
        let color = "getComputedStyle(document.querySelector('#number')).color";
        browser.until("the frame to hear of the colours", &format!("{color} === {ink}")).await;
        browser.leave_frame().await;
        assert_eq!(painted_in_the_card_frame(&shopper).await, around, "behind the number; dark: {dark}");
    }
    shopper.nothing_went_wrong().await;
}

/// The colour of the frame's first corner, where nothing is written, as the screen shows it.
async fn painted_in_the_card_frame(shopper: &Shopper) -> Value {
    let browser = &shopper.browser;
    let corner = "(scrollTo(0, 0), find('[data-testid=card] iframe').getBoundingClientRect())";
    let corner = browser.js(&format!("(({{x, y}}) => ({{x, y, width: 1, height: 1, scale: 1}}))({corner})")).await;
    let picture = browser.cdp("Page.captureScreenshot", json!({"clip": corner})).await;
    let read = format!(
        "createImageBitmap(new Blob([Uint8Array.from(atob({}), (c) => c.charCodeAt(0))])).then((picture) => {{
            const canvas = new OffscreenCanvas(1, 1).getContext('2d');
            canvas.drawImage(picture, 0, 0);
            const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
            return `rgb(${{r}}, ${{g}}, ${{b}})`;
        }})",
        picture["data"]
    );
    browser.js(&read).await
}
