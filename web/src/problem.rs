//! The one mapping from what went wrong to what a client hears: `application/problem+json` (RFC 9457) with a stable
//! machine word in `code`, and a sentence for a person in `detail`.

use std::any::Any;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::request_id::RequestId;

/// A refusal or a failure, as a client hears it; one word large, since most results are good ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Body>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Body {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u64>,
    /// The request's, as its answer's header and the log have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Body {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            tier: None,
            field: None,
            retry_in_ms: None,
            request_id: None,
        }))
    }

    /// What a layer or an extractor refused, in the form of all other refusals.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::too_large(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::not_json(),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(&"a request took too long"),
            StatusCode::UPGRADE_REQUIRED => Self::new(status, "upgrade_required", "This address is a websocket."),
            status if status.is_server_error() => Self::new(status, "internal", "Something went wrong on our side."),
            status => Self::new(status, "malformed", "This request makes no sense here."),
        }
    }

    /// The stable machine word.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    fn of_tier(mut self, tier: String) -> Self {
        self.0.tier = Some(tier);
        self
    }

    fn retry_in_ms(mut self, ms: u64) -> Self {
        self.0.retry_in_ms = Some(ms);
        self
    }

    /// 409 with a machine word of the contract.
    #[must_use]
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 409 `sold_out`, naming the tier.
    #[must_use]
    pub fn sold_out(tier: String) -> Self {
        Self::conflict("sold_out", "Not enough of this tier is free.").of_tier(tier)
    }

    /// 409 `limit_reached`, naming the tier.
    #[must_use]
    pub fn limit_reached(tier: String) -> Self {
        let detail = "That is more of this tier than one customer may have.";
        Self::conflict("limit_reached", detail).of_tier(tier)
    }

    /// 409 `not_open`.
    #[must_use]
    pub fn not_open() -> Self {
        Self::conflict("not_open", "This cannot be bought now: it has not opened yet, or is over.")
    }

    /// 409 `paused`.
    #[must_use]
    pub fn paused() -> Self {
        Self::conflict("paused", "The sale is paused for a moment; what you hold is kept.")
    }

    /// 409 `hold_expired`.
    #[must_use]
    pub fn hold_expired() -> Self {
        Self::conflict("hold_expired", "These tickets are held for you no longer; please choose again.")
    }

    /// 409 `order_conflict`: bare, since the order may be somebody else's.
    #[must_use]
    pub fn order_conflict() -> Self {
        Self::conflict("order_conflict", "There is another order of this id.")
    }

    /// 422 `invalid`, with the field's name.
    #[must_use]
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        problem.0.field = Some(field.into());
        problem
    }

    /// 400 `malformed`: not JSON, or an address that makes no sense.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 400 with a machine word: this is not an event of ours.
    #[must_use]
    pub fn bad_event(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 503 `no_webhook_secret`.
    #[must_use]
    pub fn no_webhook_secret() -> Self {
        let detail = "This shop has no webhook secret to check signatures by: set STRIPE_WEBHOOK_SECRET.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_webhook_secret", detail)
    }

    /// 401 `no_customer`.
    #[must_use]
    pub fn no_customer() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "no_customer", "There is no valid session; get one at /api/session.")
    }

    /// 403 `cross_site`.
    #[must_use]
    pub fn cross_site() -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross_site", "This call came from another site's page.")
    }

    /// 401 `no_operator`.
    #[must_use]
    pub fn no_operator() -> Self {
        let detail = "This call takes an operator who has logged in, or a key.";
        Self::new(StatusCode::UNAUTHORIZED, "no_operator", detail)
    }

    /// 401 `bad_login`: which of the two is wrong is not told.
    #[must_use]
    pub fn bad_login() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "bad_login", "There is no operator of this name and password.")
    }

    /// 403 `not_allowed`.
    #[must_use]
    pub fn not_allowed() -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_allowed", "You are known here, and may not do this.")
    }

    /// 404 `not_found`.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
    }

    /// 413 `too_large`.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large.")
    }

    /// 415 `unsupported_media_type`.
    #[must_use]
    pub fn not_json() -> Self {
        let detail = "Send JSON, with Content-Type: application/json.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 429 `slow_down`.
    #[must_use]
    pub fn slow_down(retry_in_ms: u64) -> Self {
        let detail = "Too much at once; please try again in a moment.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", detail).retry_in_ms(retry_in_ms)
    }

    /// 503 `unavailable`; the reason is logged here, once, and not told.
    #[must_use]
    pub fn unavailable(reason: &dyn std::fmt::Display) -> Self {
        tracing::error!(%reason, "a part could not be reached");
        metrics::counter!("http_unavailable_total").increment(1);
        let detail = "Something on our side is not available. Nothing is lost; please try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_in_ms(1_000)
    }

    /// 503 `unavailable`: more want to buy than can be served now.
    #[must_use]
    pub fn crowded(retry_in_ms: u64) -> Self {
        let detail = "Very many are buying right now. Nothing is lost; please try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_in_ms(retry_in_ms)
    }

    /// 503 `unavailable`: the stock is being rebuilt, which takes a moment and is told by whoever does it.
    #[must_use]
    pub fn rebuilding() -> Self {
        metrics::counter!("http_unavailable_total").increment(1);
        let detail = "The sale is paused for a moment while its stock is counted again; please try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_in_ms(1_000)
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        self.0.request_id = RequestId::current().map(|id| id.to_string());
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = self.0.retry_in_ms.map(|ms| HeaderValue::from(ms.div_ceil(1_000).max(1)));
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(retry) = retry {
            headers.insert(header::RETRY_AFTER, retry);
        }
        response
    }
}

impl From<shared::ledger::LedgerError> for Problem {
    fn from(error: shared::ledger::LedgerError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<std::sync::Arc<shared::ledger::LedgerError>> for Problem {
    fn from(error: std::sync::Arc<shared::ledger::LedgerError>) -> Self {
        Self::unavailable(&error)
    }
}

impl From<shared::access::AccessError> for Problem {
    fn from(error: shared::access::AccessError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<shared::stock::StockError> for Problem {
    fn from(error: shared::stock::StockError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<std::sync::Arc<shared::stock::StockError>> for Problem {
    fn from(error: std::sync::Arc<shared::stock::StockError>) -> Self {
        Self::unavailable(&error)
    }
}

/// What unknown addresses answer.
pub async fn not_found() -> Problem {
    Problem::not_found()
}

/// What known addresses answer to another method.
pub async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This address takes another method.")
}

/// A handler panicked: a bug, told as such.
#[must_use]
pub fn after_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("unknown"), "a handler panicked");
    metrics::counter!("http_panics_total").increment(1);
    let detail = "Something went wrong on our side.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
}
