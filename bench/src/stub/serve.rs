//! The stand-in's server: one thread per listener, connections kept.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::LocalSet;

use super::answers::{Asked, error};
use super::state::{Found, State, count};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;
/// `GET` of any list.
const NOTHING: &str = r#"{"object": "list", "data": [], "has_more": false, "url": "/v1"}"#;

/// A stand-in for Stripe, for measuring.
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "stripe_stub", disable_help_subcommand = true)]
pub struct Options {
    /// Port on 127.0.0.1
    #[arg(long, env = "PORT", default_value_t = 7600)]
    pub port: u16,
    /// Milliseconds that a charge takes
    #[arg(long, env = "LATENCY_MS", default_value_t = 0)]
    pub latency: u64,
    /// Threads
    #[arg(long, env = "THREADS", default_value_t = 1)]
    pub threads: usize,
}

/// Serves until the process is ended.
///
/// # Errors
/// When the port is taken.
pub fn run(options: Options) -> Result<()> {
    let state = Arc::new(State::new());
    for _ in 1..options.threads {
        let state = state.clone();
        std::thread::spawn(move || serve(options, state));
    }
    serve(options, state)
}

fn serve(options: Options, state: Arc<State>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let latency = Duration::from_millis(options.latency);
    LocalSet::new().block_on(&runtime, async move {
        let listener = listen(options.port, options.threads > 1)?;
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of files: some will be closed.
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            count(&state.counts.connections);
            let state = state.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| answer(state.clone(), latency, request));
                // A client that hangs up is its own business.
                let _ =
                    http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

fn listen(port: u16, shared: bool) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    if shared {
        socket.set_reuseport(true)?;
    }
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket.listen(BACKLOG)?)
}

/// Counts a request as under way for as long as it lives, also when its client hangs up.
struct UnderWay(Arc<State>);

impl UnderWay {
    fn begin(state: &Arc<State>) -> Self {
        count(&state.counts.requests);
        let now = state.counts.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        state.counts.most_in_flight.fetch_max(now, Ordering::Relaxed);
        Self(state.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer(
    state: Arc<State>,
    latency: Duration,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let asked = match (request.method(), path) {
        (&Method::POST, "/v1/charges") => Asked::Charge,
        (&Method::POST, "/v1/payment_intents") => Asked::Intent,
        (&Method::POST, path) => {
            let id = path.strip_prefix("/v1/payment_intents/").and_then(|rest| rest.strip_suffix("/confirm"));
            match id {
                Some(id) => Asked::Confirm(id.to_owned()),
                None => return Ok(aside(&state, &Method::POST, path)),
            }
        }
        (method, path) => return Ok(aside(&state, method, path)),
    };
    Ok(charge(&state, latency, asked, request).await)
}

/// What is no charge.
fn aside(state: &State, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let body = match (method, path) {
        (&Method::GET, "/stats") => Bytes::from(state.stats().to_string()),
        (&Method::GET, "/health") => Bytes::from_static(b"{\"ok\": true}\n"),
        (&Method::GET, path) if path.starts_with("/v1/payment_intents/") => {
            let id = path.rsplit('/').next().unwrap_or_default();
            let Some(body) = state.intent(id) else {
                let (code, message) = (Some("resource_missing"), format!("No such payment_intent: '{id}'"));
                return respond(state, 404, error("invalid_request_error", code, &message, ""), false);
            };
            body
        }
        (&Method::GET, path) if path.starts_with("/v1/") => Bytes::from_static(NOTHING.as_bytes()),
        (&Method::POST, "/reset") => {
            state.reset();
            Bytes::from_static(b"{\"ok\": true}\n")
        }
        (method, path) => {
            let message = format!("Unrecognized request URL ({method}: {path}).");
            return respond(state, 404, error("invalid_request_error", None, &message, ""), false);
        }
    };
    respond(state, 200, body, false)
}

async fn charge(
    state: &Arc<State>,
    latency: Duration,
    asked: Asked,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let under_way = UnderWay::begin(state);
    let refuse = |status: u16, kind: &str, message: &str| respond(state, status, error(kind, None, message, ""), false);
    if !request.headers().contains_key(AUTHORIZATION) {
        count(&state.counts.unauthorized);
        return refuse(401, "invalid_request_error", "You did not provide an API key.");
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
        return refuse(400, "invalid_request_error", "The request broke off.");
    };
    let key = parts.headers.get("idempotency-key").map(|key| key.as_bytes().to_vec()).filter(|key| !key.is_empty());
    match &key {
        None => count(&state.counts.without_key),
        Some(key) => match state.claim(key, state.fingerprint(parts.uri.path(), &body)) {
            Found::New => {}
            Found::UnderWay => {
                return refuse(
                    409,
                    "idempotency_error",
                    "There is another request under way with this Idempotent Key.",
                );
            }
            Found::OtherParameters => {
                return refuse(400, "idempotency_error", "This Idempotent Key was used with other parameters.");
            }
            Found::Replay(status, body) => return respond(state, status, body, true),
        },
    }
    if latency.is_zero() {
        let (status, body) = state.carry_out(&asked, key.as_deref(), &body);
        return respond(state, status, body, false);
    }
    // A task of its own: a client that hangs up meanwhile does not undo the charge.
    let shared = state.clone();
    let made = tokio::task::spawn_local(async move {
        tokio::time::sleep(latency).await;
        drop(under_way);
        shared.carry_out(&asked, key.as_deref(), &body)
    });
    match made.await {
        Ok((status, body)) => respond(state, status, body, false),
        Err(_) => refuse(500, "api_error", "An unknown error occurred."),
    }
}

fn respond(state: &State, status: u16, body: Bytes, replayed: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(&state.ids.make("req_")) {
        headers.insert("request-id", id);
    }
    if replayed {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}
