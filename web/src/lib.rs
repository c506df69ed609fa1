//! The web process: pages, the API, and the rooms' sockets.
//!
//! [`router`] is the route table on one screen. A purchase is three calls: `POST /api/holds` (or none, in the one-call
//! form), `POST /charges`, and a socket that was open before; everything after the 202 comes through the socket.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod admission;
pub mod announcements;
pub mod app;
pub mod assets;
pub mod authentication;
pub mod board;
pub mod catalogue;
pub mod charges;
pub mod checkout;
pub mod connection;
pub mod description;
pub mod events;
pub mod farewell;
pub mod gathered;
pub mod guard;
pub mod health;
pub mod holds;
pub mod hub;
pub mod input;
pub mod limits;
pub mod listen;
pub mod login;
pub mod losers;
pub mod operator;
pub mod ops;
pub mod orders;
pub mod problem;
pub mod process;
pub mod processes;
pub mod progress;
pub mod pushing;
pub mod refunds;
pub mod request_id;
pub mod sales;
pub mod serve;
pub mod session;
pub mod snapshot;
pub mod socket;
pub mod webhooks;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{delete, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

pub use app::{App, Parts};

/// The largest body that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a request may take before it is answered with 503.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Every route.
pub fn router(app: App) -> Router {
    let calls = Router::new()
        .route("/api/session", get(session::show).post(session::create))
        .route("/api/sales", get(sales::list))
        .route("/api/sales/{sale}", get(sales::show))
        .route("/api/holds", post(holds::create))
        .route("/api/holds/{hold}", delete(holds::remove))
        .route("/charges", post(charges::create))
        .route("/checkout", post(checkout::create))
        .route("/api/orders", get(orders::list))
        .route("/api/orders/{order}", get(orders::show))
        .route("/api/orders/{order}/refunds", post(refunds::create))
        .route("/api/orders/{order}/refresh", post(authentication::refresh))
        .route("/ops/api/login", post(login::log_in))
        .route("/ops/api/logout", post(login::log_out))
        .route("/ops/api/me", get(login::me))
        .merge(steering())
        .route("/ops/api/processes", get(processes::list))
        .route("/ops/api/workers/{name}/concurrency", post(processes::concurrency))
        .route("/ops/api/workers/{name}/drain", post(processes::drain))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    // Stripe has neither cookie nor token: what it sends is believed by its signature.
    let stripe = Router::new()
        .route("/webhooks/stripe", post(webhooks::receive))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(DefaultBodyLimit::max(webhooks::BODY_BYTES_MAX));
    let pages = Router::new()
        .route("/", get(assets::index))
        .route("/sales/{sale}", get(assets::sale))
        .route("/tickets", get(assets::tickets))
        .route("/ops", get(assets::ops))
        .route("/static/{build}/{*path}", get(assets::file))
        .route("/favicon.ico", get(assets::favicon))
        .route("/api", get(description::page))
        .route("/openapi.json", get(description::openapi))
        .route("/asyncapi.json", get(description::asyncapi));
    // What the page of operators lives on; what it does stands among the calls, under `/ops/api`.
    let live = Router::new().route("/ops/live", get(board::live::open));
    let rooms = Router::new().route("/ws", get(socket::open)).route("/events", get(events::open));
    let operators = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics));
    calls
        .merge(pages)
        .layer(CompressionLayer::new())
        .merge(stripe)
        .merge(rooms)
        .merge(live)
        .merge(operators)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        // Within the guard: who is told of a panic is told the request's id, and its log line has it.
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// What operators do.
fn steering() -> Router<App> {
    Router::new()
        .route("/ops/api/sales", get(ops::sales::list))
        .route("/ops/api/sales/{sale}/open", post(ops::sales::open))
        .route("/ops/api/sales/{sale}/pause", post(ops::sales::pause))
        .route("/ops/api/sales/{sale}/resume", post(ops::sales::resume))
        .route("/ops/api/sales/{sale}/close", post(ops::sales::close))
        .route("/ops/api/sales/{sale}/stock", post(ops::sales::add_stock))
        .route("/ops/api/jobs", get(ops::jobs::list))
        .route("/ops/api/jobs/retry", post(ops::jobs::retry))
        .route("/ops/api/jobs/discard", post(ops::jobs::discard))
        .route("/ops/api/orders/{order}", get(ops::orders::show))
        .route("/ops/api/orders/{order}/review", post(ops::orders::decide))
        .route("/ops/api/reviews", get(ops::orders::reviews))
        .route("/ops/api/trail", get(ops::trail::list))
}
