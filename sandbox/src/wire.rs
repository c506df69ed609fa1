//! Requests as they come off the wire, and answers as they go onto it.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::{disk::SavedAnswer, failure::Failure, render::API_VERSION, work::new_id};

/// Bytes of a body.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// A request, read.
pub(crate) struct Incoming {
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: String,
    /// The origin under which the caller reached the sandbox.
    pub(crate) base: String,
    pub(crate) authorization: Option<String>,
    pub(crate) key: Option<String>,
    /// The API's version that the caller speaks, as `2026-09-30.endive`; none: the account's own, an older one.
    pub(crate) version: Option<String>,
}

/// An answer, before it is put on the wire.
pub(crate) struct Outgoing {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) content_type: &'static str,
    pub(crate) throttled: Option<&'static str>,
    /// The request that made a replayed answer.
    pub(crate) original: Option<String>,
}

impl Outgoing {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let (content_type, throttled, original) = ("application/json", None, None);
        Self { status, body: body.to_string(), content_type, throttled, original }
    }

    pub(crate) fn failure(failure: &Failure, request: &str) -> Self {
        Self { throttled: failure.throttled, ..Self::json(failure.status, &failure.body(request)) }
    }

    pub(crate) fn replay(saved: &SavedAnswer) -> Self {
        let (content_type, original) = ("application/json", Some(saved.request.clone()));
        Self { status: saved.status, body: saved.body.clone(), content_type, throttled: None, original }
    }

    pub(crate) fn html_503() -> Self {
        let body = "<html><head><title>503 Service Temporarily Unavailable</title></head><body><center><h1>503 Service Temporarily Unavailable</h1></center></body></html>\n";
        Self { status: 503, body: body.to_owned(), content_type: "text/html", throttled: None, original: None }
    }
}

/// Reads a request within its bounds; what cannot be read is answered at once.
pub(crate) async fn read(request: Request, origin: &str) -> Result<Incoming, Response> {
    let (parts, body) = request.into_parts();
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let refuse = |status, message| {
        let id = new_id("req_");
        respond(Outgoing { status, ..Outgoing::failure(&Failure::invalid(message), &id) }, &id, None)
    };
    let bytes = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(refuse(413, "The request body is too large."));
        }
        Err(_) => return Err(refuse(400, "The request body ended early.")),
    };
    let form = text(header::CONTENT_TYPE).is_none_or(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !form && !bytes.is_empty() {
        return Err(refuse(400, "Invalid request: the content type must be application/x-www-form-urlencoded."));
    }
    let Ok(body) = String::from_utf8(bytes.to_vec()) else {
        return Err(refuse(400, "Invalid request: the body is not UTF-8."));
    };
    let scheme = match text(HeaderName::from_static("x-forwarded-proto")).as_deref() {
        Some("https") => "https",
        _ => "http",
    };
    let base = text(header::HOST).map_or_else(|| origin.to_owned(), |host| format!("{scheme}://{host}"));
    Ok(Incoming {
        id: new_id("req_"),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body,
        base,
        authorization: text(header::AUTHORIZATION),
        key: text(HeaderName::from_static("idempotency-key")).filter(|key| !key.is_empty()),
        version: text(HeaderName::from_static("stripe-version")),
        method: parts.method,
    })
}

/// What a browser needs to call from another origin.
pub(crate) fn cors() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, HEAD, PUT, POST, DELETE"),
        ("access-control-allow-headers", "authorization, content-type, idempotency-key, stripe-version"),
        ("access-control-expose-headers", "Request-Id, Stripe-Rate-Limited-Reason, Idempotent-Replayed"),
        ("access-control-max-age", "300"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

pub(crate) fn respond(outgoing: Outgoing, request: &str, key: Option<&str>) -> Response {
    let mut headers = cors();
    let mut set = |name: &'static str, value: &str| {
        // What cannot be a header's value was not one in the request either.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("content-type", outgoing.content_type);
    set("cache-control", "no-cache, no-store");
    if outgoing.content_type == "application/json" {
        set("request-id", request);
        set("stripe-version", API_VERSION);
    }
    if let Some(key) = key {
        set("idempotency-key", key);
    }
    if let Some(original) = &outgoing.original {
        set("idempotent-replayed", "true");
        set("original-request", original);
    }
    if let Some(reason) = outgoing.throttled {
        set("stripe-rate-limited-reason", reason);
    }
    let status = StatusCode::from_u16(outgoing.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, headers, Body::from(outgoing.body)).into_response()
}
