//! A shopper's session and socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

use super::crowd::Crowd;
use super::shopper::{Shopper, resolve};
use crate::adapter::{Dialect, Vars, all, fill};
use crate::wire::{Address, request};

/// How long a shopper may take to join their room.
const JOIN_WITHIN: Duration = Duration::from_secs(30);
/// A socket's read buffer: the default is 128 KiB, which thousands of sockets do not need.
const READ_BUFFER_BYTES: usize = 2 * 1024;

type Socket = WebSocketStream<TcpStream>;

/// Opens a shopper's session and socket, and waits until they have joined their room.
///
/// # Errors
/// What went wrong, in words: it is counted by them.
pub(super) async fn arrive(crowd: &Arc<Crowd>, index: u32) -> Result<(Arc<Shopper>, JoinHandle<()>), String> {
    let (options, adapter) = (&crowd.options, &crowd.adapter);
    let (id, declines) = (Uuid::new_v4(), options.declines(index));
    let token = if declines { &options.decline_token } else { &options.token };
    let mut vars = adapter.vars.clone();
    vars.extend(options.chosen(index).map(|(name, value)| (name.to_owned(), value.to_owned())));
    vars.extend([("token".to_owned(), token.clone()), ("uuid".to_owned(), id.to_string())]);
    vars.insert("i".to_owned(), index.to_string());
    open_session(crowd, &mut vars).await?;
    let socket = open_socket(crowd, &vars).await?;
    let shopper = Arc::new(Shopper::new(index, id, declines, adapter, vars.clone())?);

    let (tell, joined) = oneshot::channel();
    let (crowd_, shopper_) = (crowd.clone(), shopper.clone());
    let room = tokio::spawn(async move {
        let error = stay(&crowd_, &shopper_, &vars, socket, tell).await;
        crowd_.sockets_lost.fetch_add(1, Ordering::Relaxed);
        crowd_.error(&error);
    });
    match tokio::time::timeout(JOIN_WITHIN, joined).await {
        Ok(Ok(())) => Ok((shopper, room)),
        Ok(Err(_)) => Err("socket: closed before its room was joined".to_owned()),
        Err(_) => Err(format!("socket: not joined within {JOIN_WITHIN:?}")),
    }
}

async fn open_session(crowd: &Crowd, vars: &mut Vars) -> Result<(), String> {
    let Some(session) = &crowd.adapter.session else { return Ok(()) };
    let url = fill(&session.url, vars);
    let address = Address::parse(&url).ok_or_else(|| format!("{url} is no http:// address"))?;
    let request = request(&session.method, &address, &session.headers, &fill(&session.body, vars), vars);
    let answer = crowd.sessions.exchange(resolve(&address.authority)?, &request).await;
    let answer = answer.map_err(|error| format!("session: {error}"))?;
    if !(200..400).contains(&answer.status()) {
        return Err(format!("session: status {}: {}", answer.status(), String::from_utf8_lossy(&answer.body)));
    }
    let cookies: Vec<&str> = answer.header("set-cookie").filter_map(|line| line.split(';').next()).collect();
    vars.insert("cookies".to_owned(), cookies.join("; "));
    if session.capture.is_empty() {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| format!("session: {error}"))?;
    for (name, pointer) in &session.capture {
        let value = body.pointer(pointer).and_then(Value::as_str);
        let value = value.ok_or_else(|| format!("session: no text at {pointer}"))?;
        vars.insert(name.clone(), value.to_owned());
    }
    Ok(())
}

async fn open_socket(crowd: &Crowd, vars: &Vars) -> Result<Socket, String> {
    let url = fill(&crowd.adapter.ws.url, vars);
    let address = Address::parse(&url).ok_or_else(|| format!("{url} is no ws:// address"))?;
    let mut upgrade = url.into_client_request().map_err(|error| format!("socket: {error}"))?;
    for (name, value) in &crowd.adapter.ws.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|error| format!("socket: {error}"))?;
        let value = HeaderValue::try_from(fill(value, vars)).map_err(|error| format!("socket: {error}"))?;
        upgrade.headers_mut().insert(name, value);
    }
    let stream = crowd.sources.connect(resolve(&address.authority)?).await;
    let stream = stream.map_err(|error| format!("socket: {error}"))?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
    let opened = client_async_with_config(upgrade, stream, Some(config)).await;
    opened.map(|(socket, _)| socket).map_err(|error| format!("socket: {error}"))
}

/// Reads the socket until it ends; returns why it did.
async fn stay(
    crowd: &Crowd,
    shopper: &Shopper,
    vars: &Vars,
    mut socket: Socket,
    joined: oneshot::Sender<()>,
) -> String {
    let rules = &crowd.adapter.ws;
    let mut joined = Some(joined);
    if rules.kind == Dialect::Plain {
        for message in &rules.send {
            if let Err(error) = socket.send(Message::text(fill(message, vars))).await {
                return format!("socket: {error}");
            }
        }
        if rules.ready.is_empty() {
            joined.take().map(|tell| tell.send(()));
        }
    }
    while let Some(message) = socket.next().await {
        let text: Utf8Bytes = match message {
            Ok(Message::Text(text)) => text,
            Ok(Message::Close(_)) => break,
            Ok(Message::Binary(_)) => {
                crowd.unreadable.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            // The answer to a ping is ready, and goes out with the next write.
            Ok(Message::Ping(_)) => match socket.flush().await {
                Ok(()) => continue,
                Err(error) => return format!("socket: {error}"),
            },
            Ok(_) => continue,
            Err(error) => return format!("socket: {error}"),
        };
        match rules.kind {
            Dialect::Plain => hear_plain(crowd, shopper, &text, &mut joined),
            Dialect::Socketio => match hear_socketio(crowd, shopper, vars, &text, &mut joined) {
                Ok(replies) => {
                    for reply in replies {
                        if let Err(error) = socket.send(Message::text(reply)).await {
                            return format!("socket: {error}");
                        }
                    }
                }
                Err(error) => return error,
            },
        }
    }
    "socket: closed by the server".to_owned()
}

fn hear_plain(crowd: &Crowd, shopper: &Shopper, text: &str, joined: &mut Option<oneshot::Sender<()>>) {
    if joined.is_none() && !crowd.may_matter(text) {
        return;
    }
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        crowd.unreadable.fetch_add(1, Ordering::Relaxed);
        return;
    };
    if joined.is_some() && all(&crowd.adapter.ws.ready, &message) {
        joined.take().map(|tell| tell.send(()));
    }
    crowd.hear(shopper, &message);
}

/// Engine.IO 4: `0` open, `1` close, `2` ping, `3` pong, `4` message. Socket.IO 5 within `4`: `0` connect, `1` disconnect,
/// `2` event, `3` acknowledgement, `4` refusal. Returns what is to be sent.
fn hear_socketio(
    crowd: &Crowd,
    shopper: &Shopper,
    vars: &Vars,
    text: &str,
    joined: &mut Option<oneshot::Sender<()>>,
) -> Result<Vec<String>, String> {
    let rules = &crowd.adapter.ws;
    match text.as_bytes() {
        [b'0', ..] => Ok(vec!["40".to_owned()]),
        [b'2', ..] => Ok(vec![format!("3{}", &text[1..])]),
        [b'4', b'0', ..] => {
            if rules.send.is_empty() || !rules.ack {
                joined.take().map(|tell| tell.send(()));
            }
            let asks = |at: usize| if rules.ack && at + 1 == rules.send.len() { "0" } else { "" };
            let sent = rules.send.iter().enumerate();
            Ok(sent.map(|(at, message)| format!("42{}{}", asks(at), fill(message, vars))).collect())
        }
        [b'4', b'3', ..] => {
            joined.take().map(|tell| tell.send(()));
            Ok(Vec::new())
        }
        [b'4', b'2', ..] => {
            if crowd.may_matter(text) {
                let body = text[2..].trim_start_matches(|c: char| c.is_ascii_digit());
                match serde_json::from_str::<Vec<Value>>(body) {
                    Ok(event) if event.len() > 1 && event[0].as_str() == crowd.adapter.result.event.as_deref() => {
                        crowd.hear(shopper, &event[1]);
                    }
                    Ok(_) => {}
                    Err(_) => drop(crowd.unreadable.fetch_add(1, Ordering::Relaxed)),
                }
            }
            Ok(Vec::new())
        }
        [b'4', b'1' | b'4', ..] | [b'1', ..] => Err(format!("socket: refused or closed: {text}")),
        _ => Ok(Vec::new()),
    }
}
