//! The driver itself, on a small page that this test serves: what it claims to see must be there, and what is wrong
//! must be found.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use tests::harness::browser::{Browser, Exchange, PATIENCE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PAGE: &str = include_str!("driver_page.html");
const FRAME: &str = "<!doctype html><title>Card</title><label>Card number <input name=number></label>";
/// As strict as the shop's: no script that the page brings along would run.
const POLICY: &str =
    "default-src 'self'; connect-src 'self' ws:; img-src 'self' data:; style-src 'self' 'unsafe-inline'";

/// Serves the page, its frame and its script, and answers everything else 202, until the test ends.
async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 16 * 1024];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let (status, kind, body) = match request.split(' ').nth(1) {
                    Some("/") => ("200 OK", "text/html", PAGE),
                    Some("/page.js") => ("200 OK", "text/javascript", include_str!("driver_page.js")),
                    Some("/frame") => ("200 OK", "text/html", FRAME),
                    Some("/missing") => ("404 Not Found", "text/plain", ""),
                    _ => ("202 Accepted", "application/json", "{}"),
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\n\
                     Content-Security-Policy: {POLICY}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

async fn page() -> Browser {
    let address = serve().await;
    let browser = Browser::start().await;
    browser.open(&format!("http://{address}/")).await;
    // What happens in the frame is told by another process of the browser, at its own pace.
    let framed = async {
        let loaded = |e: &Exchange| e.is("GET", "/frame") && e.status.is_some();
        while !browser.exchanges().await.iter().any(loaded) {}
    };
    tokio::time::timeout(PATIENCE, framed).await.expect("the frame loads");
    browser
}

#[tokio::test]
async fn driver_clicks_types_and_reads_what_appears_later() {
    let browser = page().await;
    browser.fill("name", "A. Shopper").await;
    browser.click("pay").await;
    browser.until_says("status", "Thank you, A. Shopper").await;
    browser.until_text("from a shadow root").await;
    assert_eq!(browser.by_testid("shadow").await.text().await.unwrap(), "from a shadow root");
    assert_eq!(browser.console_errors().await, Vec::<String>::new());
}

#[tokio::test]
async fn driver_types_into_a_frame_and_comes_back() {
    let browser = page().await;
    browser.type_into_frame("iframe", "input[name=number]", "4242424242424242").await;
    assert!(browser.text().await.contains("Buy a ticket"), "it is back in the page around the frame");
    browser.enter_frame("iframe").await;
    assert_eq!(browser.js("document.querySelector('input').value").await, "4242424242424242");
    browser.leave_frame().await;
}

#[tokio::test]
async fn driver_uses_the_keyboard_alone() {
    let browser = page().await;
    browser.press("Tab").await;
    browser.type_keys("Zoë").await;
    browser.press("Tab").await;
    assert_eq!(browser.js("document.activeElement.dataset.testid").await, "pay");
    browser.press("Shift+Tab").await;
    assert_eq!(browser.js("document.activeElement.dataset.testid").await, "name");
    browser.press("Tab").await;
    browser.press("Enter").await;
    browser.until_says("status", "Thank you, Zoë").await;
}

#[tokio::test]
async fn driver_sees_every_request_and_what_came_after_an_answer() {
    let browser = page().await;
    let mark = browser.mark().await;
    browser.click("pay").await;
    browser.until_says("status", "Thank you").await;
    let since = browser.exchanges_since(mark).await;
    assert_eq!(since.len(), 1, "{since:#?}");
    assert!(since[0].is("POST", "/charges"));
    assert_eq!((since[0].status, since[0].kind.as_str()), (Some(202), "Fetch"));
    assert!(browser.exchanges_after_answer("POST", "/charges", 202).await.is_empty());

    browser.js("fetch('/missing').then(r => r.status)").await;
    let after = browser.exchanges_after_answer("POST", "/charges", 202).await;
    assert_eq!(after.len(), 1, "{after:#?}");
    assert!(after[0].is("GET", "/missing") && after[0].status == Some(404));
    assert!(browser.exchanges().await.iter().any(|e| e.is("GET", "/") && e.kind == "Document"));
}

#[tokio::test]
async fn driver_shows_dark_and_light_wide_and_narrow_moving_and_still() {
    let browser = page().await;
    let background = "getComputedStyle(document.body).backgroundColor";
    browser.prefers(true, false).await;
    assert_eq!(browser.js(background).await, "rgb(0, 0, 0)");
    browser.prefers(false, true).await;
    assert_eq!(browser.js(background).await, "rgb(255, 255, 255)");
    assert_eq!(browser.js("matchMedia('(prefers-reduced-motion: reduce)').matches").await, true);
    for width in [390, 1280] {
        browser.size(width).await;
        assert_eq!(browser.js("innerWidth").await, width);
    }
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("pictures/page.png");
    browser.screenshot(&picture).await;
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn driver_finds_a_planted_accessibility_fault_past_a_strict_policy() {
    let browser = page().await;
    let found = browser.axe().await;
    let serious: Vec<_> = found.iter().filter(|violation| violation.is_serious()).collect();
    assert!(serious.is_empty(), "{serious:#?}");

    browser.js("document.querySelector('label').remove()").await;
    browser.js("document.body.insertAdjacentHTML('beforeend', '<img src=/missing>')").await;
    let found = browser.axe().await;
    assert!(found.iter().any(|violation| violation.id == "image-alt" && violation.is_serious()), "{found:#?}");
}

#[tokio::test]
async fn driver_goes_offline_and_back() {
    let browser = page().await;
    let reach = "fetch('/anything').then(r => r.status, () => 'lost')";
    browser.offline(true).await;
    assert_eq!(browser.js(reach).await, "lost");
    assert_eq!(browser.js("navigator.onLine").await, false);
    browser.offline(false).await;
    assert_eq!(browser.js(reach).await, 202);
}

#[tokio::test]
async fn driver_offline_holds_open_sockets_back_and_refuses_new_ones() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    socket.send(message).await.unwrap();
                }
            });
        }
    });
    let browser = page().await;
    let open = format!(
        "new Promise(r => {{ const s = window.socket = new WebSocket('ws://{address}/'); \
         s.onopen = () => r('open'); s.onerror = () => r('refused'); }})"
    );
    assert_eq!(browser.js(&open).await, "open");
    browser.js("void (window.first = socket, first.onmessage = m => window.heard = m.data)").await;
    browser.js("first.send('before')").await;
    browser.until("the echo", "heard === 'before'").await;

    browser.offline(true).await;
    browser.js("first.send('during')").await;
    assert_eq!(browser.js(&open).await, "refused");
    assert_eq!(browser.js("heard").await, "before");
    browser.offline(false).await;
    browser.until("the echo that was held back", "heard === 'during'").await;
    assert_eq!(browser.js(&open).await, "open");

    let sockets = browser.exchanges().await.into_iter().filter(|exchange| exchange.kind == "WebSocket");
    let statuses: Vec<_> = sockets.map(|socket| socket.status).collect();
    assert_eq!(statuses, [Some(101), None, Some(101)]);
}

#[tokio::test]
async fn driver_reports_errors_of_the_page() {
    let browser = page().await;
    browser.js("void setTimeout(() => { throw new Error('planted') })").await;
    browser.js("new Promise(r => setTimeout(r))").await;
    let errors = browser.console_errors().await;
    assert!(errors.iter().any(|error| error.contains("planted")), "{errors:?}");
    assert!(browser.console_errors().await.is_empty(), "an error is reported once");
}

#[tokio::test]
async fn driver_tabs_share_storage_and_browsers_do_not() {
    let browser = page().await;
    let (first, address) = (browser.tab().await, browser.js("location.href").await);
    browser.js("localStorage.setItem('order', '1')").await;
    browser.new_tab().await;
    browser.open(address.as_str().unwrap()).await;
    assert_eq!(browser.js("localStorage.getItem('order')").await, "1");
    browser.switch_to(&first).await;
    browser.reload().await;
    browser.by_testid("pay").await;

    let other = Browser::start().await;
    other.open(address.as_str().unwrap()).await;
    assert!(other.js("localStorage.getItem('order')").await.is_null());
}
