//! The one browser of the browser tests: a headless Chromium behind a chromedriver of its own.
//!
//! WebDriver does the clicking and typing, as a person's hands would. What it lacks comes from Chromium's DevTools
//! protocol, through chromedriver's passage to it: the network log, light and dark, the viewport, being offline, and
//! scripts that no content security policy stops.
//!
//! Nothing here sleeps. A wait is a condition that the page watches for itself; when it does not come true within
//! [`PATIENCE`], the test fails and is shown what the page said instead.
//!
//! A [`Browser`] is one profile: its tabs share cookies and storage, as one shopper's do. Two shoppers are two browsers.

mod axe;
mod chromedriver;
mod network;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::{Element, ElementRef};
use fantoccini::error::{CmdError, ErrorStatus};
use fantoccini::wd::{WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

pub use axe::Violation;
pub use network::Exchange;

use chromedriver::Chromedriver;

/// How long a condition may take to come true. A bound for failures only: nothing waits longer than it must.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The key under which WebDriver writes a reference to an element (W3C WebDriver, section 12.1).
const ELEMENT_KEY: &str = "element-6066-11e4-a52e-4f735466cecf";

const FIND: &str = include_str!("browser/find.js");

/// A browser of one shopper. Everything is done in its current tab; closed when dropped.
pub struct Browser {
    client: Client,
    log: Mutex<network::Log>,
    // Dropped in this order: the driver ends Chromium, then its profile can be deleted.
    _driver: Chromedriver,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one, with an empty profile and one empty tab of 1280 × 900 points.
    pub async fn start() -> Self {
        let driver = Chromedriver::start();
        let profile = tempfile::Builder::new().prefix("stampede-browser-").tempdir().expect("a folder for the profile");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(chromedriver::capabilities(profile.path()))
            .connect(&driver.url())
            .await
            .unwrap_or_else(|error| panic!("chromedriver could not start Chromium: {error}"));
        let browser = Self { client, log: Mutex::default(), _driver: driver, _profile: profile };
        browser.size(1280).await;
        browser
    }

    /// The WebDriver client beneath, for what is needed once.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    // --- Where it is

    /// Opens an address and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        ok("open the page", self.client.goto(url).await);
    }

    /// Presses "reload".
    pub async fn reload(&self) {
        ok("reload the page", self.client.refresh().await);
    }

    /// Opens an empty tab, goes on in it, and returns its handle.
    pub async fn new_tab(&self) -> WindowHandle {
        let tab = ok("open a tab", self.client.new_window(true).await).handle;
        self.switch_to(&tab).await;
        self.size(1280).await;
        tab
    }

    /// The current tab's handle.
    pub async fn tab(&self) -> WindowHandle {
        ok("name the tab", self.client.window().await)
    }

    /// Goes on in another tab.
    pub async fn switch_to(&self, tab: &WindowHandle) {
        ok("switch to the tab", self.client.switch_to_window(tab.clone()).await);
    }

    // --- How it looks

    /// The viewport's width in CSS points; 390 is a telephone, without room for scrollbars, 1280 a desk. The height
    /// follows.
    pub async fn size(&self, width: u32) {
        let height = if width < 600 { 844 } else { 900 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// What the page is told of its reader's preferences: dark or light, and whether motion is unwelcome.
    pub async fn prefers(&self, dark: bool, reduced_motion: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let motion = if reduced_motion { "reduce" } else { "no-preference" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]);
        self.cdp("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Saves what is in the viewport as a PNG file; its folder is made when missing.
    pub async fn screenshot(&self, path: &Path) {
        let image = ok("take a picture", self.client.screenshot().await);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder can be made");
        std::fs::write(path, image).unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    }

    /// Every sentence on the page.
    pub async fn text(&self) -> String {
        self.js("pageText()").await.as_str().unwrap_or("").to_owned()
    }

    /// Audits the page for accessibility.
    pub async fn axe(&self) -> Vec<Violation> {
        self.evaluate(&format!("{}; true", axe::source())).await;
        axe::violations(&self.evaluate(axe::RUN).await)
    }

    // --- What is on it

    /// The visible element with this `data-testid`; waits for it.
    pub async fn by_testid(&self, id: &str) -> Element {
        self.by_css(&format!("[data-testid=\"{id}\"]")).await
    }

    /// The first visible element that a CSS selector finds; waits for it.
    pub async fn by_css(&self, selector: &str) -> Element {
        let found = self.watch(&format!("find({})", json!(selector)), &format!("{selector} to be visible")).await;
        let id = found[ELEMENT_KEY].as_str().expect("a reference to an element").to_owned();
        Element::from_element_id(self.client.clone(), ElementRef::from(id))
    }

    /// Waits until a JavaScript expression is true in the page; `what` is the end of "waited for …".
    /// The expression may use `find(selector)` and `pageText()`, which see through open shadow roots.
    pub async fn until(&self, what: &str, expression: &str) {
        self.watch(&format!("!!({expression})"), what).await;
    }

    /// Waits until the page says this.
    pub async fn until_text(&self, needle: &str) {
        let needle = json!(needle);
        self.until(&format!("the page to say {needle}"), &format!("pageText().includes({needle})")).await;
    }

    /// Waits until the element with this `data-testid` says this.
    pub async fn until_says(&self, id: &str, needle: &str) {
        let (selector, needle) = (json!(format!("[data-testid=\"{id}\"]")), json!(needle));
        let expression = format!("(find({selector})?.textContent ?? '').includes({needle})");
        self.until(&format!("{selector} to say {needle}"), &expression).await;
    }

    /// The value of a JavaScript expression in the page; a promise is awaited.
    pub async fn js(&self, expression: &str) -> Value {
        let script = format!("{FIND}; return ({expression});");
        ok(expression, self.client.execute(&script, Vec::new()).await)
    }

    async fn watch(&self, look: &str, what: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut last_error = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis();
            let script = format!("{FIND}; return watch(() => ({look}), {left});");
            match self.client.execute(&script, Vec::new()).await {
                Ok(value) if !value.is_null() => return value,
                Ok(_) => break,
                // The page was left while it watched: the next one watches on.
                Err(error) if left > 0 && !error.to_string().contains("SyntaxError") => last_error = Some(error),
                Err(error) => panic!("waited for {what}, but: {error}"),
            }
            tokio::task::yield_now().await;
        }
        let said = last_error.map(|error| format!(" (last error: {error})")).unwrap_or_default();
        let page = self.text().await;
        panic!("waited {PATIENCE:?} for {what}, in vain{said}. The page says:\n{page}");
    }

    // --- What a person does

    /// Clicks the element with this `data-testid`.
    pub async fn click(&self, id: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.by_testid(id).await.click().await {
                // The page drew the element anew between the look and the click.
                Err(CmdError::Standard(error))
                    if error.error == ErrorStatus::StaleElementReference && Instant::now() < deadline => {}
                outcome => return ok(&format!("click {id}"), outcome),
            }
        }
    }

    /// Empties the field with this `data-testid` and types into it.
    pub async fn fill(&self, id: &str, text: &str) {
        let field = self.by_testid(id).await;
        ok(&format!("empty {id}"), field.clear().await);
        ok(&format!("type into {id}"), field.send_keys(text).await);
    }

    /// Types into a field within a frame, such as the card number in Stripe's frame. Both are CSS selectors.
    pub async fn type_into_frame(&self, frame: &str, field: &str, text: &str) {
        self.enter_frame(frame).await;
        let field = self.by_css(field).await;
        ok("type into the frame", field.send_keys(text).await);
        self.leave_frame().await;
    }

    /// Goes on inside a frame, until [`Browser::leave_frame`].
    pub async fn enter_frame(&self, frame: &str) {
        let frame = self.by_css(frame).await;
        ok("enter the frame", frame.enter_frame().await);
    }

    /// Goes back to the page around the frame.
    pub async fn leave_frame(&self) {
        ok("leave the frame", self.client.enter_parent_frame().await);
    }

    /// Presses a key, or several together: `Tab`, `Shift+Tab`, `Enter`, `Space`, `Escape`, `ArrowDown`, `a`.
    pub async fn press(&self, keys: &str) {
        let held: Vec<char> = keys.split('+').map(key).collect();
        let down = held.iter().map(|&value| KeyAction::Down { value });
        let up = held.iter().rev().map(|&value| KeyAction::Up { value });
        let actions = down.chain(up).fold(KeyActions::new("keyboard".to_owned()), InputSource::then);
        ok(&format!("press {keys}"), self.client.perform_actions(actions).await);
    }

    /// Types into whatever has the focus.
    pub async fn type_keys(&self, text: &str) {
        let actions = text
            .chars()
            .flat_map(|value| [KeyAction::Down { value }, KeyAction::Up { value }])
            .fold(KeyActions::new("keyboard".to_owned()), InputSource::then);
        ok("type", self.client.perform_actions(actions).await);
    }

    // --- What it exchanges

    /// Cuts the page off from the network, or lets it back. As in a tunnel: new requests and websockets are refused, and
    /// what goes over an open websocket is held back until later. To break a socket, break it at the server's side.
    pub async fn offline(&self, offline: bool) {
        let conditions = json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.cdp("Network.emulateNetworkConditions", conditions).await;
    }

    /// A mark in the network log: the number of happenings so far.
    pub async fn mark(&self) -> usize {
        self.read_log().await;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).length()
    }

    /// Everything that was requested since the browser started, in every tab, oldest first.
    pub async fn exchanges(&self) -> Vec<Exchange> {
        self.read_log().await;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).exchanges().to_vec()
    }

    /// What was requested after a mark.
    pub async fn exchanges_since(&self, mark: usize) -> Vec<Exchange> {
        self.exchanges().await.into_iter().filter(|exchange| exchange.sent_at > mark).collect()
    }

    /// What was requested after the last answer of this status to this call; fails when there was none.
    pub async fn exchanges_after_answer(&self, method: &str, path: &str, status: u16) -> Vec<Exchange> {
        let all = self.exchanges().await;
        let answer = all.iter().rev().find(|e| e.is(method, path) && e.status == Some(status));
        let mark = answer.and_then(|exchange| exchange.answered_at);
        let mark = mark.unwrap_or_else(|| panic!("no {method} {path} was answered {status}; there were: {all:#?}"));
        all.into_iter().filter(|exchange| exchange.sent_at > mark).collect()
    }

    /// What went wrong in the page since the last call: uncaught errors, `console.error`, refusals by the content
    /// security policy. Error statuses and sockets that could not be opened are left out; they are in the network log.
    pub async fn console_errors(&self) -> Vec<String> {
        let entries = self.chrome("se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter(|entry| entry["level"] == "SEVERE" && entry["source"] != "network")
            .filter_map(|entry| entry["message"].as_str())
            .filter(|message| !message.contains("WebSocket connection to "))
            .map(ToOwned::to_owned)
            .collect()
    }

    async fn read_log(&self) {
        let entries = self.chrome("se/log", json!({"type": "performance"})).await;
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        entries.as_array().into_iter().flatten().for_each(|entry| log.take_in(entry));
    }

    // --- The passage to DevTools

    /// Runs a script as the developer tools do, past the page's content security policy.
    async fn evaluate(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.cdp("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "the script failed: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Sends one DevTools command to the current tab (<https://chromedevtools.github.io/devtools-protocol/>).
    pub async fn cdp(&self, command: &str, params: Value) -> Value {
        self.chrome("goog/cdp/execute", json!({"cmd": command, "params": params})).await
    }

    async fn chrome(&self, path: &'static str, body: Value) -> Value {
        let what = format!("{path} {}", body["cmd"].as_str().unwrap_or(""));
        ok(&what, self.client.issue_cmd(ChromeCommand { path, body }).await)
    }
}

/// A command of chromedriver beyond the standard.
#[derive(Debug)]
struct ChromeCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for ChromeCommand {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _url: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.body.to_string()))
    }
}

fn ok<T>(what: &str, outcome: Result<T, CmdError>) -> T {
    outcome.unwrap_or_else(|error| panic!("the browser could not do this: {what}: {error}"))
}

/// The character that stands for a key (W3C WebDriver, section 17.4.2).
fn key(name: &str) -> char {
    match name {
        "Backspace" => '\u{e003}',
        "Tab" => '\u{e004}',
        "Enter" => '\u{e007}',
        "Shift" => '\u{e008}',
        "Control" => '\u{e009}',
        "Escape" => '\u{e00c}',
        "Space" => ' ',
        "End" => '\u{e010}',
        "Home" => '\u{e011}',
        "ArrowLeft" => '\u{e012}',
        "ArrowUp" => '\u{e013}',
        "ArrowRight" => '\u{e014}',
        "ArrowDown" => '\u{e015}',
        _ => name.chars().next().filter(|_| name.chars().count() == 1).unwrap_or_else(|| panic!("no key {name:?}")),
    }
}
