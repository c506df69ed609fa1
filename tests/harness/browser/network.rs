//! The page's traffic, as Chromium's DevTools protocol tells it.
//!
//! The log is one row of numbered happenings. An [`Exchange`] keeps the numbers at which it was sent and answered, so
//! that "nothing was requested after the answer to the purchase" is a comparison of two numbers.

use serde_json::Value;

/// One request of the page, or one websocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    id: String,
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole address.
    pub url: String,
    /// Chromium's word for its purpose: `Document`, `Script`, `Fetch`, `EventSource`, `WebSocket`, …
    pub kind: String,
    /// The status of the answer, once there is one.
    pub status: Option<u16>,
    /// Its place in the log.
    pub sent_at: usize,
    /// The place of its answer in the log.
    pub answered_at: Option<usize>,
    /// The place at which a websocket ended, or a request failed.
    pub ended_at: Option<usize>,
}

impl Exchange {
    /// Whether this is a request to a path that starts so, with this method.
    #[must_use]
    pub fn is(&self, method: &str, path: &str) -> bool {
        let url = url::Url::parse(&self.url).ok();
        self.method == method && url.is_some_and(|url| url.path().starts_with(path))
    }
}

/// All that was seen so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    exchanges: Vec<Exchange>,
    length: usize,
}

impl Log {
    pub(super) fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Takes in one entry of chromedriver's performance log: a DevTools message, written as JSON within JSON.
    pub(super) fn take_in(&mut self, entry: &Value) {
        let Some(text) = entry["message"].as_str() else { return };
        let Ok(entry) = serde_json::from_str::<Value>(text) else { return };
        let (method, params) = (entry["message"]["method"].as_str().unwrap_or(""), &entry["message"]["params"]);
        self.length += 1;
        let id = params["requestId"].as_str().unwrap_or("");
        match method {
            "Network.requestWillBeSent" => {
                // A redirect goes on under the same id: the answer so far closes the request so far.
                if let Some(status) = status_of(&params["redirectResponse"]) {
                    self.answered(id, status);
                }
                let (request, kind) = (&params["request"], params["type"].as_str().unwrap_or("Other"));
                self.sent(id, request["method"].as_str().unwrap_or("GET"), request["url"].as_str().unwrap_or(""), kind);
            }
            "Network.webSocketCreated" => self.sent(id, "GET", params["url"].as_str().unwrap_or(""), "WebSocket"),
            "Network.responseReceived" | "Network.webSocketHandshakeResponseReceived" => {
                if let Some(status) = status_of(&params["response"]) {
                    self.answered(id, status);
                }
            }
            "Network.loadingFailed" | "Network.webSocketClosed" => {
                let place = self.length;
                if let Some(exchange) = self.last(id) {
                    exchange.ended_at = Some(place);
                }
            }
            _ => {}
        }
    }

    fn sent(&mut self, id: &str, method: &str, url: &str, kind: &str) {
        // Data written into the page's own text never touched the network.
        if url.starts_with("data:") || url.starts_with("blob:") {
            return;
        }
        self.exchanges.push(Exchange {
            id: id.to_owned(),
            method: method.to_owned(),
            url: url.to_owned(),
            kind: kind.to_owned(),
            status: None,
            sent_at: self.length,
            answered_at: None,
            ended_at: None,
        });
    }

    fn answered(&mut self, id: &str, status: u16) {
        let place = self.length;
        if let Some(exchange) = self.last(id) {
            exchange.status = Some(status);
            exchange.answered_at = Some(place);
        }
    }

    fn last(&mut self, id: &str) -> Option<&mut Exchange> {
        self.exchanges.iter_mut().rev().find(|exchange| exchange.id == id)
    }
}

fn status_of(response: &Value) -> Option<u16> {
    response["status"].as_u64().and_then(|status| u16::try_from(status).ok())
}
