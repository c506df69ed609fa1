//! The wire between a browser and the shop, for stories in which it breaks.
//!
//! A browser's own "offline" leaves open sockets as they are; a cable that is pulled does not. All that the page knows
//! of the shop is this address, so that everything it sends can be cut here.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a proxy that knows no websockets answers.
const NO_SOCKETS: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How the wire is.
#[derive(Clone, Copy, Default)]
struct State {
    /// Open connections are broken, and new ones end at once.
    cut: bool,
    /// Websockets are refused.
    no_sockets: bool,
    /// It is cut at the moment at which the shop answers the next order.
    breaks_at_answer: bool,
    /// That order has passed: nothing that the shop says, on whatever connection, reaches the browser any more.
    silent: bool,
}

/// A wire to one shop.
pub(super) struct Wire {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Wire {
    /// Lays a wire to the shop at this address.
    pub(super) async fn to(shop: &str) -> Self {
        Self::between(shop, shop).await
    }

    /// Lays a wire to two doors of a shop: one for pages and calls, one for sockets, as a balancer may choose.
    pub(super) async fn between(calls: &str, sockets: &str) -> Self {
        let host = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
        let doors = Doors { calls: host(calls), sockets: host(sockets) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self { address: listener.local_addr().unwrap(), state: watch::Sender::default() };
        let state = wire.state.clone();
        tokio::spawn(async move {
            while let Ok((browser, _)) = listener.accept().await {
                if !state.borrow().cut {
                    tokio::spawn(carry(browser, doors.clone(), state.clone()));
                }
            }
        });
        wire
    }

    /// `http://127.0.0.1:port`
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks every connection, and lets none through any more.
    pub(super) fn cut(&self) {
        self.state.send_modify(|state| state.cut = true);
    }

    /// Lets connections through again.
    pub(super) fn mend(&self) {
        self.state.send_modify(|state| *state = State::default());
    }

    /// Refuses websockets, as some proxies do.
    pub(super) fn refuse_sockets(&self) {
        self.state.send_modify(|state| state.no_sockets = true);
    }

    /// Breaks by itself once the next order has reached the shop, before the page hears the answer.
    pub(super) fn break_at_answer(&self) {
        self.state.send_modify(|state| state.breaks_at_answer = true);
    }
}

/// Where the shop is.
#[derive(Clone)]
struct Doors {
    calls: String,
    sockets: String,
}

/// Carries one connection until either side closes it, or the wire is cut.
async fn carry(mut browser: TcpStream, doors: Doors, state: watch::Sender<State>) {
    let mut first = [0; 7];
    let door = match browser.peek(&mut first).await {
        Ok(_) if first.starts_with(b"GET /ws") => doors.sockets,
        _ => doors.calls,
    };
    let Ok(mut shop) = TcpStream::connect(door).await else { return };
    let mut news = state.subscribe();
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut answer_is_lost = false;
    loop {
        tokio::select! {
            () = until_cut(&mut news) => return,
            read = browser.read(&mut up) => {
                let sent = &up[..read.unwrap_or(0)];
                let State { no_sockets, breaks_at_answer, .. } = *state.borrow();
                if no_sockets && sent.starts_with(b"GET /ws") {
                    let _ = browser.write_all(NO_SOCKETS).await;
                    return;
                }
                if breaks_at_answer && sent.starts_with(b"POST /charges") {
                    answer_is_lost = true;
                    state.send_modify(|state| state.silent = true);
                }
                if sent.is_empty() || shop.write_all(sent).await.is_err() {
                    return;
                }
            }
            read = shop.read(&mut down) => {
                let said = &down[..read.unwrap_or(0)];
                if answer_is_lost {
                    state.send_modify(|state| state.cut = true);
                    return;
                }
                let silent = state.borrow().silent;
                if said.is_empty() || !silent && browser.write_all(said).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn until_cut(news: &mut watch::Receiver<State>) {
    let _ = news.wait_for(|state| state.cut).await;
}
