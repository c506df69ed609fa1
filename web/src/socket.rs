//! `GET /ws`: the room, as a websocket. It joins first, then sends a snapshot, then whatever comes.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use futures::SinkExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;
use crate::hub::{Connection, Hub, Refused, WATCHED_MAX};
use crate::problem::Problem;
use crate::session::Customer;
use crate::snapshot;

/// A socket's read buffer: as much as the longest frame. Most of what a waiting socket takes would be this, and the
/// default is a hundred times as much.
const READ_BUFFER_BYTES: usize = 1024;
/// Frames that are sent together go in one write, as far as this.
const WRITE_BUFFER_BYTES: usize = 2 * 1024;
/// Clients have nothing to say but "ping".
pub(crate) const FRAME_BYTES_MAX: usize = 1024;
/// Frames that a client may send in [`FRAMES_WINDOW`].
const FRAMES_MAX: u32 = 30;
const FRAMES_WINDOW: Duration = Duration::from_secs(10);
/// The server pings a silent client this often, and gives up on one that was silent for three of these.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(30);
/// A client that does not take a frame in this time is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that talked too much has this long to hear why it is closed.
const LINGER: Duration = Duration::from_secs(1);
/// What news of an order begin with.
const ORDER_NEWS: &str = r#"{"type":"order""#;
/// RFC 6455, with the registry at IANA: "service restart".
pub(crate) const CLOSE_SERVICE_RESTART: u16 = 1012;

/// Opens a socket.
pub async fn open(
    State(app): State<App>,
    customer: Customer,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let connection = join(&app, customer.id, query.as_deref()).await?;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_message_size(FRAME_BYTES_MAX);
    let conversations = app.conversations.clone();
    Ok(upgrade.on_upgrade(move |socket| conversations.track_future(serve(app, customer.id, connection, socket))))
}

/// Joins the room of a customer, watching the sales that the query names.
///
/// # Errors
/// 429 or 503, when there are too many connections.
pub async fn join(app: &App, customer: Uuid, query: Option<&str>) -> Result<Connection, Problem> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut named: Vec<String> = pairs.filter(|(name, _)| name == "sale").map(|(_, slug)| slug.into_owned()).collect();
    named.sort();
    named.dedup();
    named.truncate(WATCHED_MAX);
    let mut sales = Vec::new();
    for slug in named {
        if app.catalogue.find(&*app.ledger, &app.env, &slug).await.is_some() {
            sales.push(slug);
        }
    }
    Hub::join(app, customer, sales).map_err(|refused| match refused {
        Refused::Customer => Problem::slow_down(5_000),
        Refused::Process => Problem::unavailable(&"this process has all the connections it takes"),
    })
}

async fn serve(app: App, customer: Uuid, mut connection: Connection, mut socket: WebSocket) {
    let going_down = app.going_down.clone();
    let end = converse(&app, customer, &mut connection, &mut socket, &going_down).await;
    drop(connection);
    let (code, reason) = match end {
        End::Gone => return,
        End::TooMuchTalk => (close_code::POLICY, "too many or too large messages"),
        End::Slow => (close_code::AGAIN, "too slow: connect again"),
        End::Unavailable => (close_code::AGAIN, "not available: connect again"),
        End::GoingDown => {
            let _ = send(&mut socket, app.farewell.say(&app)).await;
            (CLOSE_SERVICE_RESTART, "this server goes down")
        }
    };
    hang_up(&mut socket, code, reason).await;
}

/// Closes a socket, and says why.
///
/// A connection that is closed with bytes unread is reset, and the reset may overtake our reason. So what somebody who
/// talked too much has on its way is taken in, and forgotten, for a moment.
pub(crate) async fn hang_up(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let close = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    let _ = tokio::time::timeout(SEND_TIMEOUT, socket.send(Frame::Close(Some(close)))).await;
    if code == close_code::POLICY {
        let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(LINGER, rest).await;
    }
}

/// Why a conversation ended.
enum End {
    Gone,
    TooMuchTalk,
    Slow,
    Unavailable,
    GoingDown,
}

async fn converse(
    app: &App,
    customer: Uuid,
    connection: &mut Connection,
    socket: &mut WebSocket,
    going_down: &CancellationToken,
) -> End {
    // In a box, so that a socket which only waits does not keep the room that this took.
    let snapshot = Box::pin(snapshot::take(app, customer, connection.sales())).await;
    let Ok(snapshot) = snapshot else { return End::Unavailable };
    if send_all(socket, snapshot).await.is_err() {
        return End::Gone;
    }
    let mut talk = Talk::begin();
    let mut heard = Instant::now();
    let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        tokio::select! {
            biased;
            () = going_down.cancelled() => return End::GoingDown,
            frame = connection.frames.recv() => match frame {
                Some(frame) => if push(socket, frame).await.is_err() { return End::Gone },
                None => return End::Slow,
            },
            said = socket.recv() => {
                heard = Instant::now();
                match said {
                    None | Some(Ok(Frame::Close(_))) => return End::Gone,
                    // Larger than allowed, or no websocket frame at all.
                    Some(Err(_)) => return End::TooMuchTalk,
                    Some(Ok(frame)) => {
                        if !talk.allows() {
                            return End::TooMuchTalk;
                        }
                        if is_ping(&frame) && send(socket, Utf8Bytes::from_static(r#"{"type":"pong"}"#)).await.is_err() {
                            return End::Gone;
                        }
                    }
                }
            }
            _ = ping.tick() => {
                if !is_there(socket, heard).await {
                    return End::Gone;
                }
            }
        }
    }
}

/// Whether a client that was last heard then is there still, and takes a ping.
pub(crate) async fn is_there(socket: &mut WebSocket, heard: Instant) -> bool {
    if heard.elapsed() > PING_EVERY * 3 {
        return false;
    }
    let sent = tokio::time::timeout(SEND_TIMEOUT, socket.send(Frame::Ping(Default::default()))).await;
    matches!(sent, Ok(Ok(())))
}

/// Sends what came for the room. News of an order is what somebody waits for: how long it takes is measured.
async fn push(socket: &mut WebSocket, frame: Utf8Bytes) -> Result<(), ()> {
    if !frame.starts_with(ORDER_NEWS) {
        return send(socket, frame).await;
    }
    let began = Instant::now();
    let sent = send(socket, frame).await;
    metrics::histogram!("room_push_seconds").record(began.elapsed().as_secs_f64());
    sent
}

pub(crate) async fn send(socket: &mut WebSocket, frame: Utf8Bytes) -> Result<(), ()> {
    match tokio::time::timeout(SEND_TIMEOUT, socket.send(Frame::Text(frame))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(()),
    }
}

/// Sends frames, of which the small ones go together.
async fn send_all(socket: &mut WebSocket, frames: Vec<Utf8Bytes>) -> Result<(), ()> {
    let sending = async {
        for frame in frames {
            socket.feed(Frame::Text(frame)).await?;
        }
        socket.flush().await
    };
    match tokio::time::timeout(SEND_TIMEOUT, sending).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(()),
    }
}

fn is_ping(frame: &Frame) -> bool {
    matches!(frame, Frame::Text(text) if says_ping(text))
}

/// Whether a client's text is the one thing that clients say.
#[must_use]
pub fn says_ping(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Said<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
    }
    serde_json::from_str::<Said<'_>>(text).is_ok_and(|said| said.kind == "ping")
}

/// How much a client has said lately.
pub(crate) struct Talk {
    window: Instant,
    frames: u32,
}

impl Talk {
    pub(crate) fn begin() -> Self {
        Self { window: Instant::now(), frames: 0 }
    }

    pub(crate) fn allows(&mut self) -> bool {
        if self.window.elapsed() > FRAMES_WINDOW {
            *self = Self::begin();
        }
        self.frames += 1;
        self.frames <= FRAMES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a call waits with.
    fn waits_with<A, B, C, D, F: Future>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_socket_that_waits_takes_little_memory() {
        assert!(waits_with(serve) < 2_048, "{} bytes", waits_with(serve));
    }
}
