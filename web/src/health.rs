//! For operators: is it alive, is it ready, what does it count. What is told is the same at every process ([`Watch`]).
//!
//! [`Watch`]: shared::telemetry::watch::Watch

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::telemetry::watch;

use crate::app::App;

/// `GET /healthz`: the process runs.
pub async fn live() -> &'static str {
    watch::ALIVE
}

/// `GET /readyz`: ledger and stock answer, and the process is not going down.
pub async fn ready(State(app): State<App>) -> Response {
    let readiness = app.watch.readiness().await;
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness.to_json())).into_response()
}

/// `GET /metrics`: Prometheus's text format.
pub async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, watch::METRICS_TYPE)], app.watch.metrics().await)
}
