//! What can be called and heard here, for programs and for people: `GET /openapi.json` (the HTTP calls, OpenAPI 3.1),
//! `GET /asyncapi.json` (the sockets, AsyncAPI 3), and `GET /api`, a page of our own that shows both.
//!
//! The descriptions are written by hand, and tests hold them against the routes, against real answers and real messages,
//! and against what a fuzzer makes of them (`docs/decisions/0020-descriptions-by-hand.md`).

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::assets;

const OPENAPI: &str = include_str!("../api/openapi.json");
const ASYNCAPI: &str = include_str!("../api/asyncapi.json");

const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

/// The HTTP calls.
pub async fn openapi() -> Response {
    (HEADERS, OPENAPI).into_response()
}

/// The sockets.
pub async fn asyncapi() -> Response {
    (HEADERS, ASYNCAPI).into_response()
}

/// Both, for people.
pub async fn page() -> Response {
    assets::page("api.html", HeaderMap::new())
}
