//! What Stripe sends, and a server that misbehaves on request while sending it.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A whole PaymentIntent in some state.
pub(super) fn intent(status: &str) -> Value {
    json!({
        "id": "pi_1", "object": "payment_intent", "amount": 2500, "amount_capturable": 0,
        "amount_received": if status == "succeeded" { 2500 } else { 0 },
        "capture_method": "automatic_async", "client_secret": "pi_1_secret_s3cr3t",
        "confirmation_method": "automatic", "created": 1_795_000_000, "currency": "usd",
        "latest_charge": if status == "succeeded" { json!("ch_1") } else { Value::Null },
        "last_payment_error": null, "livemode": false,
        "metadata": { "order": "0198f2c0-0000-7000-8000-000000000001", "attempt": "1" },
        "payment_method_types": ["card"], "status": status,
    })
}

/// What the server does with one request.
pub(super) enum Act {
    /// Answers with a status, further header lines, and a body.
    Reply(u16, &'static [&'static str], String),
    /// Closes the connection without reading the request.
    CutBefore,
    /// Reads the request, then closes the connection.
    CutAfter,
    /// Begins an answer, then closes the connection.
    CutWithin,
    /// Reads the request, and never answers.
    Hang,
}

impl Act {
    pub(super) fn json(status: u16, headers: &'static [&'static str], body: &Value) -> Self {
        Self::Reply(status, headers, body.to_string())
    }

    pub(super) fn intent(status: &str) -> Self {
        Self::json(200, &[], &intent(status))
    }

    pub(super) fn error(status: u16, headers: &'static [&'static str], error: &Value) -> Self {
        Self::json(status, headers, &json!({ "error": error }))
    }
}

/// A server that does one [`Act`] per request, in order, and remembers what it was sent.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) base: String,
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<std::collections::VecDeque<Act>>,
    requests: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    heard: Notify,
}

impl Server {
    pub(super) async fn that(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into_iter().collect()),
            requests: Mutex::default(),
            connections: Mutex::new(0),
            heard: Notify::new(),
        });
        let server = Self { base: format!("http://{}", listener.local_addr().unwrap()), shared: shared.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock() += 1;
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        server
    }

    /// Every request so far, head and body as one text.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().clone()
    }

    /// How many connections were accepted.
    pub(super) fn connections(&self) -> usize {
        *self.shared.connections.lock()
    }

    /// Waits for a request to have been read.
    pub(super) async fn has_heard_one(&self) {
        self.shared.heard.notified().await;
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    loop {
        if matches!(shared.script.lock().front(), Some(Act::CutBefore)) {
            shared.script.lock().pop_front();
            return;
        }
        let Some(request) = read_request(&mut stream).await else { return };
        shared.requests.lock().push(request);
        shared.heard.notify_one();
        let act = shared.script.lock().pop_front();
        match act {
            Some(Act::Reply(status, headers, body)) => {
                let extra: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
                let reply = format!(
                    "HTTP/1.1 {status} Whatever\r\nrequest-id: req_1\r\n{extra}content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                if stream.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
            Some(Act::CutWithin) => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"id\":\"pi_1\",").await;
                return;
            }
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::CutBefore | Act::CutAfter) | None => return,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if read.len() >= end + 4 + length.unwrap_or(0) {
                return String::from_utf8(read).ok();
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}
