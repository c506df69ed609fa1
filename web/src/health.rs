//! For operators: is it alive, is it ready, what does it count.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;

/// `GET /healthz`: the process runs.
pub async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: ledger and stock answer, and the process is not going down.
pub async fn ready(State(app): State<App>) -> Response {
    let ledger = app.ledger.ping().await;
    let stock = app.stock.run_id().await;
    let word = |good: bool| if good { "ok" } else { "unreachable" };
    let (ledger, stock, stays) = (ledger.is_ok(), stock.is_ok(), !app.going_down.is_cancelled());
    let status = if ledger && stock && stays { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ledger": word(ledger), "stock": word(stock), "going_down": !stays }))).into_response()
}

/// `GET /metrics`: Prometheus's text format.
pub async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}
