//! Around every request: its id and span, security headers, and the rules about other sites.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;
use tracing::field::Empty;
use url::Url;

use crate::app::{App, Page};
use crate::problem::Problem;
use crate::request_id::{self, RequestId};

/// Security headers and cross-site rules.
pub struct Policy {
    headers: HeaderMap,
    /// `https://host[:port]` of the public address, if it was said.
    public_origin: Option<String>,
}

impl Policy {
    /// The policy for pages that use this Stripe, at this address.
    #[must_use]
    pub fn new(page: &Page, public_url: Option<&str>) -> Self {
        let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin().ascii_serialization());
        let js = origin(&page.js).unwrap_or_default();
        let api = &page.api_origin;
        // What Stripe.js asks for: https://docs.stripe.com/security/guide#content-security-policy
        let frames =
            if page.sandbox { String::new() } else { " https://*.js.stripe.com https://hooks.stripe.com".into() };
        let scripts = if page.sandbox { String::new() } else { " https://*.js.stripe.com".into() };
        let csp = format!(
            "default-src 'none'; script-src 'self' {js}{scripts}; style-src 'self'; img-src 'self' data:; \
             font-src 'self'; connect-src 'self' {api}; frame-src {js}{frames}; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'; manifest-src 'self'"
        );
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put(header::CONTENT_SECURITY_POLICY, &csp);
        put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        put(header::X_FRAME_OPTIONS, "DENY");
        put(header::REFERRER_POLICY, "strict-origin-when-cross-origin");
        put(HeaderName::from_static("cross-origin-opener-policy"), "same-origin-allow-popups");
        put(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        put(HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()");
        let public_origin = public_url.and_then(origin);
        if public_origin.as_deref().is_some_and(|origin| origin.starts_with("https:")) {
            put(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        }
        Self { headers, public_origin }
    }
}

impl Policy {
    /// `https://host[:port]` under which the shop is reached: the public address, or else what the request says.
    #[must_use]
    pub fn origin(&self, headers: &HeaderMap) -> Option<String> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = || text(header::HOST).map(|host| format!("http://{host}"));
        let asked = || text(header::ORIGIN).map(str::to_owned).or_else(host);
        let origin = |url: String| Url::parse(&url).ok().map(|url| url.origin().ascii_serialization());
        self.public_origin.clone().or_else(|| asked().and_then(origin)).filter(|origin| origin.contains("://"))
    }
}

/// Whether a request with a cookie was sent by a page of ours.
///
/// A browser names the page's origin with every request that can change something, and with every socket; where it
/// does, that must be ours. A plain `GET` without any such word is a person or a script that reads its own data.
#[must_use]
pub fn is_same_site(policy: &Policy, parts: &Parts) -> bool {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(origin) = text("origin") {
        let host = text("host").or(parts.uri.host()).unwrap_or_default();
        let same_host = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        return same_host || policy.public_origin.as_deref() == Some(origin);
    }
    let reads = matches!(parts.method, Method::GET | Method::HEAD) && !parts.headers.contains_key(header::UPGRADE);
    match text("sec-fetch-site") {
        Some("same-origin" | "same-site") => true,
        Some("none") | None => reads,
        Some(_) => false,
    }
}

/// The token in the address of a socket or an event stream, for clients that cannot set headers there.
#[must_use]
pub fn access_token(parts: &Parts) -> Option<String> {
    if !matches!(parts.uri.path(), "/ws" | "/events") {
        return None;
    }
    let query = parts.uri.query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find_map(|(name, value)| (name == "access_token").then(|| value.into_owned()))
}

/// The middleware. Only the path is logged: a query may hold a token.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers(), &app.env);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", %id, %method, route, order = Empty);
    let started = Instant::now();
    let answering = async {
        let response = next.run(request).await;
        let bare = is_a_bare_refusal(&response);
        if bare { Problem::of_status(response.status()).into_response() } else { response }
    };
    let mut response = id.clone().within(answering).instrument(span.clone()).await;
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    span.in_scope(|| tracing::debug!(status, elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(0), "answered"));
    metrics::histogram!("http_request_seconds", "route" => route, "status" => status.to_string())
        .record(elapsed.as_secs_f64());
    let headers = response.headers_mut();
    for (name, value) in &app.policy.headers {
        // A page may be stricter than the shop.
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if let Some(id) = id.header() {
        headers.insert(request_id::HEADER, id);
    }
    response
}

/// Whether a layer or an extractor refused, in a form of its own.
fn is_a_bare_refusal(response: &Response) -> bool {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    (status.is_client_error() || status.is_server_error())
        && !["application/problem+json", "application/json", "text/html"].iter().any(|known| kind.starts_with(known))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn asked(method: &str, headers: &[(&str, &str)]) -> bool {
        let page = Page {
            publishable_key: String::new(),
            js: "http://127.0.0.1:12111/v3/".into(),
            api_origin: "http://127.0.0.1:12111".into(),
            sandbox: true,
        };
        let policy = Policy::new(&page, Some("https://shop.example.com/"));
        let mut request = Request::builder().method(method).uri("/charges").header("host", "127.0.0.1:3000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_same_site(&policy, &request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_cookie_counts_only_from_a_page_of_ours() {
        assert!(asked("POST", &[("origin", "http://127.0.0.1:3000")]));
        assert!(asked("POST", &[("origin", "https://shop.example.com")]));
        assert!(asked("POST", &[("sec-fetch-site", "same-origin")]));
        assert!(asked("GET", &[]));
        for foreign in ["https://evil.example", "null", "http://127.0.0.1:12111", "http://127.0.0.1:3000.evil.example"]
        {
            assert!(!asked("POST", &[("origin", foreign)]), "{foreign}");
            assert!(!asked("GET", &[("origin", foreign), ("upgrade", "websocket")]), "{foreign}");
        }
        assert!(!asked("POST", &[]), "a form of another site, in an old browser");
        assert!(!asked("GET", &[("sec-fetch-site", "cross-site")]));
        assert!(!asked("GET", &[("upgrade", "websocket")]), "a socket always names its origin");
    }
}
