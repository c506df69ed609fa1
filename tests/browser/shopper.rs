//! A shopper in front of a shop: a real browser, the real binary, and the steps that most stories have in common.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tests::harness::browser::{Browser, PATIENCE};
use tests::harness::desk::Desk;
use tests::harness::shop::Shop;

use super::wire::Wire;

/// Succeeds.
pub(super) const GOOD_CARD: &str = "4242424242424242";
/// Is declined.
pub(super) const BAD_CARD: &str = "4000000000000002";
/// Asks for 3-D Secure.
pub(super) const SECURE_CARD: &str = "4000002500003155";

/// The slug of the sale in most stories.
pub(super) const SALE: &str = "gala";

/// One shop with one sale, and one shopper's browser.
pub(super) struct Shopper<S = Shop> {
    /// The shop, in one process or in many.
    pub(super) shop: S,
    /// The browser.
    pub(super) browser: Browser,
    /// Where the browser finds the shop: the shop itself, or a wire to it.
    pub(super) address: String,
}

impl Shopper<Shop> {
    /// A shop that sells a hundred tickets, and a browser that is not there yet.
    pub(super) async fn start() -> Self {
        Self::with_sale(100, &[]).await
    }

    /// A shop that sells this many tickets, with more options of `sale create`.
    pub(super) async fn with_sale(capacity: u32, more: &[&str]) -> Self {
        let shopper = Self::with_shop(&[("DEMO", "false")]).await;
        shopper.shop.sale(SALE, capacity, more).await;
        shopper
    }

    /// A shop with these settings, which sells only what its settings say.
    pub(super) async fn with_shop(settings: &[(&str, &str)]) -> Self {
        let shop = Shop::start(settings).await;
        let address = shop.url();
        Self { shop, browser: Browser::start().await, address }
    }

    /// From now on the browser reaches the shop over a wire that can be cut.
    pub(super) async fn over_a_wire(&mut self) -> Wire {
        let wire = Wire::to(&self.shop.url()).await;
        self.address = wire.url();
        wire
    }
}

impl<S: Deref<Target = Desk>> Shopper<S> {
    /// Opens the shop.
    pub(super) async fn visit(&self) {
        self.browser.open(&self.address).await;
    }

    /// Chooses tickets and goes on to the payment.
    pub(super) async fn reserve(&self, quantity: u32) {
        self.browser.fill("tier-std-quantity", &quantity.to_string()).await;
        self.press_continue().await;
    }

    /// Goes on to the payment with what is chosen.
    pub(super) async fn press_continue(&self) {
        self.browser.until("the room to be entered", "find('[data-testid=continue]:not([aria-disabled])')").await;
        self.browser.click("continue").await;
        self.browser.by_testid("hold-countdown").await;
    }

    /// Says who buys.
    pub(super) async fn introduce(&self) {
        self.browser.fill("name", "Ada Shopper").await;
        self.browser.fill("email", "ada@example.com").await;
    }

    /// Types a card into the frame of the card field.
    pub(super) async fn type_card(&self, number: &str) {
        let frame = "[data-testid=card] iframe";
        self.browser.enter_frame(frame).await;
        for (field, text) in [("#number", number), ("#expiry", "1234"), ("#cvc", "123")] {
            self.browser.by_css(field).await.send_keys(text).await.unwrap();
        }
        self.browser.leave_frame().await;
    }

    /// From the open page to the pressed button.
    pub(super) async fn pay_with(&self, number: &str) {
        self.reserve(1).await;
        self.introduce().await;
        self.type_card(number).await;
        self.browser.click("pay").await;
    }

    /// Tries another card after a decline.
    pub(super) async fn pay_again_with(&self, number: &str) {
        self.browser.click("try-again").await;
        self.type_card(number).await;
        self.browser.click("pay").await;
    }

    /// Pays by another card, rather than by what the order waits for.
    pub(super) async fn pay_instead_with(&self, number: &str) {
        self.browser.click("instead").await;
        self.browser.by_testid("hold-countdown").await;
        self.type_card(number).await;
        self.browser.click("pay").await;
    }

    /// Presses a button of the bank's window: `complete`, `fail` or `cancel`.
    pub(super) async fn answer_bank(&self, outcome: &str) {
        self.browser.enter_frame("dialog iframe").await;
        self.browser.by_css(&format!("button[value={outcome}]")).await.click().await.unwrap();
        self.browser.leave_frame().await;
    }

    /// Closes the bank's window without an answer.
    pub(super) async fn close_bank(&self) {
        self.browser.by_css("dialog > button").await.click().await.unwrap();
        self.browser.until("the bank's window to be gone", "!find('dialog')").await;
    }

    /// Waits until the page says that the order is paid; the order's id and the charge's.
    pub(super) async fn until_paid(&self) -> (String, String) {
        self.browser.by_testid("paid").await;
        let charge = self.browser.by_testid("charge-id").await.text().await.unwrap();
        assert!(charge.starts_with("ch_"), "{charge}");
        (self.order_shown().await, charge)
    }

    /// Waits until the page says that this order is paid: by one charge, and nothing went wrong on the way.
    pub(super) async fn is_paid_once(&self, order: &str) {
        assert_eq!(self.until_paid().await.0, order);
        self.charged(1).await;
        self.nothing_went_wrong().await;
    }

    /// The id of the order that is shown.
    pub(super) async fn order_shown(&self) -> String {
        self.browser.by_testid("order-id").await.text().await.unwrap()
    }

    /// From now on the sandbox charges cards, but tells of it only when [`Shopper::let_bank_answer`] is called.
    pub(super) async fn let_bank_hesitate(&self) {
        let hang = json!({"fault": "hang", "method": "POST", "path": "/v1/payment_intents"});
        self.shop.control_sandbox(json!({"faults": [hang], "webhooks": {"hold": true}})).await;
    }

    /// Waits until the sandbox has charged a card and holds its answer back.
    pub(super) async fn until_bank_hesitates(&self) {
        let held = async { while self.shop.stats().await["answers_held"] == 0 {} };
        tokio::time::timeout(PATIENCE, held).await.expect("the sandbox should hold an answer back");
    }

    /// Lets the answer go that [`Shopper::let_bank_hesitate`] holds back, once it is there.
    pub(super) async fn let_bank_answer(&self) {
        self.until_bank_hesitates().await;
        self.shop.control_sandbox(json!({"clear_faults": true, "release": true, "webhooks": {"hold": false}})).await;
    }

    /// Asserts that the sandbox charged so many orders, each once, and that nothing was counted wrong in the stock.
    pub(super) async fn charged(&self, orders: u32) {
        let stats = self.shop.stats().await;
        let counted = |name: &str| stats[name].clone();
        assert_eq!(counted("charges_succeeded"), orders, "{stats}");
        assert_eq!(counted("orders_charged"), orders, "{stats}");
        assert_eq!(counted("orders_charged_more_than_once"), 0, "{stats}");
        self.shop.check(SALE).await;
    }

    /// Asserts that the page has had nothing to complain about so far: no error, no refusal by its own policy.
    pub(super) async fn nothing_went_wrong(&self) {
        assert_eq!(self.browser.console_errors().await, Vec::<String>::new());
    }

    /// The requests over HTTP since a mark.
    pub(super) async fn requests_since(&self, mark: usize) -> Vec<String> {
        let exchanges = self.browser.exchanges_since(mark).await;
        let over_http = exchanges.into_iter().filter(|exchange| exchange.kind != "WebSocket");
        over_http.map(|exchange| format!("{} {}", exchange.method, exchange.url)).collect()
    }

    /// Keeps a picture of the page, when `STAMPEDE_SHOTS` names a folder for them.
    pub(super) async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("STAMPEDE_SHOTS") {
            self.browser.screenshot(&PathBuf::from(folder).join(format!("{name}.png"))).await;
        }
    }

    /// Waits until one charge was given back, whatever was charged besides.
    pub(super) async fn given_back_once(&self) {
        let given_back = async {
            while self.shop.stats().await["refunds"] == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, given_back).await.expect("a refund");
        let stats = self.shop.stats().await;
        assert_eq!((&stats["refunds"], &stats["orders_charged_more_than_once"]), (&1.into(), &0.into()), "{stats}");
    }

    /// How many times the page sent its order since a mark.
    pub(super) async fn orders_sent_since(&self, mark: usize) -> usize {
        self.browser.exchanges_since(mark).await.iter().filter(|exchange| exchange.is("POST", "/charges")).count()
    }
}
