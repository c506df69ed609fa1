//! One request, one reply, over connections that are kept.
//!
//! Opening a TLS connection for every charge costs two round trips and most of the throughput, so connections are
//! pooled. Nothing is retried here, with one exception that hyper makes by itself: a kept connection that turns out
//! to be closed before any byte was written is replaced.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::{Host, Url};

use crate::env::Env;

/// How long a connection may take to be made, within the time for the whole request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an unused connection is kept; below the minute after which balancers close theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many unused connections are kept: as many as a process has charges under way, for those of a group come and go
/// together.
const IDLE_CONNECTIONS_MAX: usize = 512;
/// The longest reply that is read, in bytes; a page of a hundred PaymentIntents has about half a million.
const REPLY_BYTES_MAX: usize = 8 << 20;
/// Stripe's own bound for an idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// A longer `Retry-After` is not believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const AGENT: &str = concat!("stampede/", env!("CARGO_PKG_VERSION"));

/// Why a client cannot be made of its settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The base address is not an address of a server.
    #[error("Stripe's address must look like https://api.stripe.com: {0}")]
    Base(String),
    /// A secret key would cross a network in the clear.
    #[error("Stripe's address must begin with https:// unless its host is this machine")]
    PlainHttp,
    /// The key is empty, publishable, or has characters that no header may have.
    #[error("not a secret key of Stripe's (sk_… or rk_…)")]
    Key,
}

/// A request to Stripe.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// With the leading `/v1`.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) body: Option<String>,
    pub(super) key: Option<&'a str>,
    pub(super) version: &'a str,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    /// `Stripe-Rate-Limited-Reason`
    pub(super) rate_reason: Option<String>,
    /// `Idempotent-Replayed`: the stored result of an earlier request with the same key.
    pub(super) replayed: bool,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoReply {
    /// The request, or its answer, was lost on the way; Stripe may have executed it.
    Lost(String),
    /// It was not this request's turn in time; Stripe has not seen it.
    OutOfTurn(Duration),
    /// The request cannot be put on the wire, today or ever; Stripe has not seen it.
    NotSent(String),
}

impl Reply {
    /// A reason that an operator can look up at Stripe.
    pub(super) fn named(&self, what: &str) -> String {
        format!("{} {what} (request {})", self.status, self.request_id.as_deref().unwrap_or("unnamed"))
    }
}

/// A pooled client for one account of one Stripe-compatible server.
#[derive(Clone)]
pub(super) struct Transport {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    authorization: HeaderValue,
    timeout: Duration,
    env: Env,
}

impl Transport {
    pub(super) fn new(base: &str, secret_key: &str, timeout: Duration, env: Env) -> Result<Self, ClientError> {
        let base = checked_base(base)?;
        if secret_key.is_empty() || secret_key.starts_with("pk_") {
            return Err(ClientError::Key);
        }
        let mut authorization = bearer(secret_key).map_err(|_| ClientError::Key)?;
        authorization.set_sensitive(true);
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = HttpsConnectorBuilder::new().with_webpki_roots();
        let schemes = if base.starts_with("https:") { tls.https_only() } else { tls.https_or_http() };
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(schemes.enable_http1().wrap_connector(tcp));
        Ok(Self { http, base, authorization, timeout, env })
    }

    /// Where the requests go.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request once and waits for the whole reply, within the time-out.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Reply, NoReply> {
        let request = self.request(call)?;
        match self.env.timeout(self.timeout, self.exchange(request)).await {
            Some(heard) => heard.map_err(NoReply::Lost),
            None => Err(NoReply::Lost(format!("no answer within {} ms", self.timeout.as_millis()))),
        }
    }

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, NoReply> {
        let not_sent = |what: &str| NoReply::NotSent(format!("never sent: {what}"));
        // Paths are made of ids that came from outside; none may lead anywhere else.
        let plain = call.path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'/');
        if !plain || !call.path.starts_with("/v1/") || call.path.contains("//") || call.path.ends_with('/') {
            return Err(not_sent("not a path of Stripe's"));
        }
        let query = call.query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}{query}", self.base, call.path))
            .header(AUTHORIZATION, &self.authorization)
            .header(STRIPE_VERSION, call.version)
            .header(USER_AGENT, AGENT);
        if let Some(key) = call.key {
            if key.is_empty() || key.len() > KEY_BYTES_MAX {
                return Err(not_sent("an idempotency key that is empty or too long"));
            }
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request
            .body(Full::new(Bytes::from(call.body.unwrap_or_default())))
            .map_err(|_| not_sent("a header or an address that HTTP does not allow"))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        let response = self.http.request(request).await.map_err(|error| {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{error}: {cause}")
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, REPLY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
        Ok(Reply {
            status: head.status.as_u16(),
            request_id: header(&head.headers, "request-id"),
            rate_reason: header(&head.headers, "stripe-rate-limited-reason"),
            replayed: header(&head.headers, "idempotent-replayed").as_deref() == Some("true"),
            retry_after: header(&head.headers, RETRY_AFTER.as_str())
                .and_then(|seconds| seconds.parse().ok())
                .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
            body,
        })
    }
}

fn bearer(secret_key: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&format!("Bearer {secret_key}"))
}

/// A header that is short and plain enough to be repeated in a log line.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    let plain = value.len() <= 80 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    plain.then(|| value.to_owned())
}

fn checked_base(base: &str) -> Result<String, ClientError> {
    let url = Url::parse(base).map_err(|error| ClientError::Base(error.to_string()))?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::Base("it has more than a scheme, a host and a path".to_owned()));
    }
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => return Err(ClientError::Base("it names no host".to_owned())),
    };
    match url.scheme() {
        "https" => {}
        "http" if here => {}
        "http" => return Err(ClientError::PlainHttp),
        _ => return Err(ClientError::Base("it is neither https nor http".to_owned())),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(base: &str, key: &str) -> Result<String, ClientError> {
        Transport::new(base, key, Duration::from_secs(1), Env::system()).map(|transport| transport.base)
    }

    #[test]
    fn a_secret_key_never_crosses_a_network_in_the_clear() {
        for base in ["https://api.stripe.com", "http://127.0.0.1:12111/", "http://[::1]:1", "http://localhost:1"] {
            assert_eq!(made(base, "sk_test_x").as_deref(), Ok(base.trim_end_matches('/')));
        }
        for base in ["http://api.stripe.com", "http://10.0.0.1", "http://localhost.example", "http://[::2]"] {
            assert_eq!(made(base, "sk_test_x"), Err(ClientError::PlainHttp), "{base}");
        }
        for base in ["api.stripe.com", "ftp://127.0.0.1", "https://a:b@api.stripe.com", "https://api.stripe.com/?x=1"] {
            assert!(matches!(made(base, "sk_test_x"), Err(ClientError::Base(_))), "{base}");
        }
    }

    #[test]
    fn a_key_that_cannot_work_is_refused_before_the_first_sale() {
        for key in ["", "pk_test_x", "sk_test\n"] {
            assert_eq!(made("https://api.stripe.com", key), Err(ClientError::Key));
        }
    }
}
