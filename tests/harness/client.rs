//! An API client: a customer with a bearer token, its calls and its socket. Connections are reused.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use super::kept;

static HTTP: LazyLock<Http<HttpConnector, Full<Bytes>>> =
    LazyLock::new(|| Http::builder(TokioExecutor::new()).build_http());

/// The name that every customer gives.
const NAME: &str = "A. Shopper";
/// How long a message may take to come.
const MESSAGE_WITHIN: Duration = Duration::from_secs(30);

/// A status and a JSON body (`null` when it was none).
pub type Answer = (u16, Value);

/// Sends any request.
///
/// # Errors
/// When there is no answer.
pub async fn send(request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let response = HTTP.request(request).await.map_err(|error| format!("{error:?}"))?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Sends any request and keeps the whole answer.
///
/// # Errors
/// When there is no answer.
pub async fn exchange(request: Request<Full<Bytes>>) -> Result<Reply, String> {
    let response = HTTP.request(request).await.map_err(|error| format!("{error:?}"))?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// A header, or an empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON (`null` when it is none).
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Asserts that this is a refusal as the contract has it (RFC 9457), and not a failure of ours; its `code`.
    #[must_use]
    pub fn refusal(&self, what: &str) -> String {
        let problem = self.json();
        assert!((400..500).contains(&self.status), "{what}: {} {problem}", self.status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{what}: {} {}", self.status, self.text());
        assert_eq!(problem["status"], self.status, "{what}");
        for field in ["type", "title", "code", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{what}: no {field} in {problem}");
        }
        problem["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// `GET` without a customer.
///
/// # Errors
/// When there is no answer.
pub async fn get(url: &str) -> Result<Answer, String> {
    send(Request::get(url).body(Full::default()).map_err(|error| error.to_string())?).await
}

/// `POST` of JSON.
///
/// # Errors
/// When there is no answer.
pub async fn post(url: &str, token: Option<&str>, body: &Value) -> Result<Answer, String> {
    let mut request = Request::post(url).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    send(request.body(Full::from(body.to_string())).map_err(|error| error.to_string())?).await
}

/// A customer.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its UUID.
    pub id: Uuid,
    /// Its bearer token.
    pub token: String,
    base: String,
}

impl Client {
    /// A new customer of a shop.
    pub async fn new(base: &str) -> Self {
        Self::try_new(base).await.expect("the shop")
    }

    /// A new customer of a shop that may be gone.
    ///
    /// # Errors
    /// When there is no answer, or another one.
    pub async fn try_new(base: &str) -> Result<Self, String> {
        let (status, session) = post(&format!("{base}/api/session"), None, &json!({})).await?;
        if status != 200 {
            return Err(format!("{status} {session}"));
        }
        let text = |name: &str| session[name].as_str().expect("a session").to_owned();
        let client =
            Self { id: text("customer").parse().expect("a UUID"), token: text("token"), base: base.to_owned() };
        kept::secret(&client.token);
        kept::secret(&client.email());
        kept::secret(NAME);
        Ok(client)
    }

    /// The same customer at another address of the shop.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// `GET` of a path.
    pub async fn get(&self, path: &str) -> Answer {
        let request = Request::get(format!("{}{path}", self.base)).header("authorization", self.bearer());
        send(request.body(Full::default()).expect("a request")).await.expect("the shop")
    }

    /// `POST` of JSON to a path.
    ///
    /// # Errors
    /// When there is no answer, as when the shop dies.
    pub async fn try_post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        post(&format!("{}{path}", self.base), Some(&self.token), body).await
    }

    /// `POST` of JSON to a path.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).await.expect("the shop")
    }

    /// `DELETE` of a path.
    pub async fn delete(&self, path: &str) -> Answer {
        let request = Request::builder().method(Method::DELETE).uri(format!("{}{path}", self.base));
        let request = request.header("authorization", self.bearer()).body(Full::default());
        send(request.expect("a request")).await.expect("the shop")
    }

    /// The body of a purchase in one call.
    #[must_use]
    pub fn purchase(&self, order: Uuid, sale: &str, quantity: u32, token: &str) -> Value {
        self.purchase_of(order, sale, &[("std", quantity)], token)
    }

    /// The body of a purchase of several tiers in one call.
    #[must_use]
    pub fn purchase_of(&self, order: Uuid, sale: &str, items: &[(&str, u32)], token: &str) -> Value {
        json!({
            "order": order, "token": token, "sale": sale, "items": basket(items),
            "email": self.email(), "name": NAME,
        })
    }

    /// The body of a purchase of what is held.
    #[must_use]
    pub fn payment(&self, order: Uuid, hold: Uuid, token: &str) -> Value {
        json!({ "order": order, "token": token, "hold": hold, "email": self.email(), "name": NAME })
    }

    /// Holds units of the tier `std`; the hold's id and what was answered.
    pub async fn hold(&self, sale: &str, quantity: u32) -> (Uuid, Answer) {
        let hold = Uuid::new_v4();
        let body = json!({ "hold": hold, "sale": sale, "items": basket(&[("std", quantity)]) });
        (hold, self.post("/api/holds", &body).await)
    }

    /// The mail address that this customer gives.
    #[must_use]
    pub fn email(&self) -> String {
        format!("{}@example.com", self.id.simple())
    }

    /// Buys in one call; the answer.
    pub async fn buy(&self, sale: &str, quantity: u32, token: &str) -> (Uuid, Answer) {
        let order = Uuid::new_v4();
        let answer = self.post("/charges", &self.purchase(order, sale, quantity, token)).await;
        (order, answer)
    }

    /// Opens the room with the token in the address; the status that the server answered with if it did not open.
    ///
    /// # Errors
    /// The refusal's status, or 0 when there was none.
    pub async fn try_room(&self, sale: &str) -> Result<Room, u16> {
        let url = format!("{}/ws?sale={sale}&access_token={}", self.base.replacen("http", "ws", 1), self.token);
        match tokio_tungstenite::connect_async(url).await {
            Ok((socket, _)) => Ok(Room { socket }),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(_) => Err(0),
        }
    }

    /// Opens the same room as server-sent events.
    pub async fn events(&self, sale: &str) -> Events {
        let request = Request::get(format!("{}/events?sale={sale}", self.base)).header("authorization", self.bearer());
        let response = HTTP.request(request.body(Full::default()).expect("a request")).await.expect("the shop");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: response.into_body(), read: String::new() }
    }

    /// One of this customer's orders.
    pub async fn order(&self, order: Uuid) -> Value {
        let (status, body) = self.get(&format!("/api/orders/{order}")).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Opens the customer's room, watching the stock of these sales.
    pub async fn room(&self, sales: &[&str]) -> Room {
        let query: String = sales.iter().map(|sale| format!("sale={sale}&")).collect();
        let url = format!("{}/ws?{query}", self.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a request");
        request.headers_mut().insert("authorization", self.bearer().parse().expect("a header"));
        let (socket, _) = tokio_tungstenite::connect_async(request).await.expect("a socket");
        Room { socket }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

fn basket(items: &[(&str, u32)]) -> Value {
    items.iter().map(|(tier, quantity)| json!({ "tier": tier, "quantity": quantity })).collect()
}

/// A socket in a customer's room.
pub struct Room {
    /// The socket itself, for tests that misbehave.
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Room {
    /// The next message; `None` when the socket was closed.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(MESSAGE_WITHIN, self.socket.next()).await;
            match next.unwrap_or_else(|_| panic!("no message within {MESSAGE_WITHIN:?}")) {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message of this type; others are passed over.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("the socket closed before a {kind:?} message"));
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Waits until an order is in one of these states; the order.
    pub async fn until(&mut self, order: Uuid, states: &[&str]) -> Value {
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("the socket closed before {states:?}"));
            let orders = match message["type"].as_str() {
                Some("welcome") => message["orders"].as_array().cloned().unwrap_or_default(),
                Some("order") => vec![message["order"].clone()],
                _ => continue,
            };
            let wanted =
                |seen: &&Value| seen["id"] == order.to_string() && states.iter().any(|state| seen["state"] == **state);
            if let Some(found) = orders.iter().find(wanted) {
                return found.clone();
            }
        }
    }

    /// Reads until the socket is closed; every message, and the code it was closed with (`None` without a word). The
    /// time is for all of it: a socket that goes on telling and never ends is found, too.
    pub async fn rest(&mut self) -> (Vec<Value>, Option<u16>) {
        let mut messages = Vec::new();
        let end = Instant::now() + MESSAGE_WITHIN;
        loop {
            let next = tokio::time::timeout_at(end, self.socket.next()).await;
            match next.unwrap_or_else(|_| panic!("the socket was not closed within {MESSAGE_WITHIN:?}: {messages:?}")) {
                Some(Ok(Message::Text(text))) => messages.push(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return (messages, frame.map(|frame| frame.code.into())),
                Some(Err(_)) | None => return (messages, None),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Sends a text frame.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn say(&mut self, text: &str) -> Result<(), String> {
        self.socket.send(Message::text(text)).await.map_err(|error| error.to_string())
    }
}

/// A customer's room as server-sent events.
pub struct Events {
    body: Incoming,
    /// What was read and is not told yet.
    read: String,
}

impl Events {
    /// The next message; `None` when the stream ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((event, rest)) = self.read.split_once("\n\n") {
                let data: String = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                self.read = rest.to_owned();
                // What keeps the connection alive has no data.
                if !data.is_empty() {
                    return Some(serde_json::from_str(&data).expect("JSON"));
                }
            }
            let frame = tokio::time::timeout(MESSAGE_WITHIN, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("no event within {MESSAGE_WITHIN:?}"))?;
            if let Some(data) = frame.ok()?.data_ref() {
                self.read.push_str(&String::from_utf8_lossy(data));
            }
        }
    }
}
