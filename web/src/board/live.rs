//! `GET /ops/live`: the overview, once a second, as a websocket.
//!
//! All who look get the same frame, which is written once. One who does not keep up misses frames, and nothing else: only
//! the newest is kept. It is asked every `ASK_EVERY` whether they may still look; a page that is merely left open does
//! not keep a session from idling, and says `active` when somebody is at it.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use serde_json::json;
use shared::access::Permission;
use shared::guards::Guard;
use tokio::time::{Instant, interval_at};

use super::Looker;
use crate::app::App;
use crate::login::described;
use crate::operator::{May, Operator, See, Still};
use crate::problem::Problem;
use crate::socket::{CLOSE_SERVICE_RESTART, FRAME_BYTES_MAX, PING_EVERY, Talk, hang_up, is_there, send};

/// Operators who have lost their right see what they see for so long at most.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long nobody may be able to say whether they may still look.
const NOBODY_KNOWS: Duration = Duration::from_secs(30);
/// A welcome with its history goes in one write, as far as this.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Opens a socket.
///
/// # Errors
/// 401, 403, and 503 when too many look already.
pub async fn open(
    State(app): State<App>,
    May { operator, .. }: May<See>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let looker = app.board.admit().ok_or_else(|| Problem::unavailable(&"too many operators look at this process"))?;
    let upgrade = upgrade
        .read_buffer_size(FRAME_BYTES_MAX)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_message_size(FRAME_BYTES_MAX);
    let conversations = app.conversations.clone();
    Ok(upgrade.on_upgrade(move |socket| conversations.track_future(serve(app, operator, looker, socket))))
}

/// Why it ended.
#[derive(Clone, Copy)]
enum End {
    Gone,
    TooMuchTalk,
    SessionEnded,
    NotAllowed,
    Unavailable,
    GoingDown,
}

async fn serve(app: App, operator: Operator, mut looker: Looker, mut socket: WebSocket) {
    let end = converse(&app, &operator, &mut looker, &mut socket).await;
    drop(looker);
    let (code, reason) = match end {
        End::Gone => return,
        End::TooMuchTalk => (close_code::POLICY, "too many or too large messages"),
        End::SessionEnded => (close_code::POLICY, "session_ended"),
        End::NotAllowed => (close_code::POLICY, "not_allowed"),
        End::Unavailable => (close_code::AGAIN, "not available: connect again"),
        End::GoingDown => {
            let _ = send(&mut socket, app.farewell.say(&app)).await;
            (CLOSE_SERVICE_RESTART, "this server goes down")
        }
    };
    if matches!(end, End::SessionEnded | End::NotAllowed) {
        // Not every proxy passes a reason on.
        let _ = send(&mut socket, json!({ "type": "end", "why": reason }).to_string().into()).await;
    }
    hang_up(&mut socket, code, reason).await;
}

async fn converse(app: &App, operator: &Operator, looker: &mut Looker, socket: &mut WebSocket) -> End {
    let welcome = json!({ "type": "welcome", "operator": described(operator), "history": app.board.history().await });
    if send(socket, welcome.to_string().into()).await.is_err() {
        return End::Gone;
    }
    let mut talk = Talk::begin();
    let (mut heard, mut known) = (Instant::now(), Instant::now());
    let mut active = false;
    let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    let mut ask = interval_at(Instant::now() + ASK_EVERY, ASK_EVERY);
    loop {
        tokio::select! {
            biased;
            () = app.going_down.cancelled() => return End::GoingDown,
            _ = ask.tick() => match operator.still_may(app, Permission::See, std::mem::take(&mut active)).await {
                Ok(still) if Guard::LookerMay.refuses(still != Still::Yes) => {
                    return if still == Still::NotAllowed { End::NotAllowed } else { End::SessionEnded };
                }
                Ok(_) => known = Instant::now(),
                Err(_) if known.elapsed() > NOBODY_KNOWS => return End::Unavailable,
                Err(error) => tracing::debug!(%error, "nobody knows whether an operator may still look"),
            },
            frame = looker.next() => match frame {
                Some(frame) => if send(socket, frame).await.is_err() { return End::Gone },
                None => return End::Unavailable,
            },
            said = socket.recv() => {
                heard = Instant::now();
                match said {
                    None | Some(Ok(Frame::Close(_))) => return End::Gone,
                    Some(Err(_)) => return End::TooMuchTalk,
                    Some(Ok(_)) if !talk.allows() => return End::TooMuchTalk,
                    Some(Ok(frame)) => active |= is_active(&frame),
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

/// Whether a page says that somebody is at it: `{"type":"active"}`.
fn is_active(frame: &Frame) -> bool {
    #[derive(serde::Deserialize)]
    struct Said<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
    }
    let Frame::Text(text) = frame else { return false };
    serde_json::from_str::<Said<'_>>(text).is_ok_and(|said| said.kind == "active")
}
