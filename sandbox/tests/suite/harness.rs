//! One sandbox on a free port, and a small HTTP client for it.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use sandbox::{Config, Latency, Running, start};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A client of one sandbox; and the sandbox itself, when this test started it.
pub(crate) struct Api {
    pub(crate) base: String,
    client: Client<HttpConnector, Full<Bytes>>,
    key: &'static str,
    _stop: Option<DropGuard>,
    running: Option<Running>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body, which must be that of a success.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json
    }

    /// The error object, which must come with this status.
    pub(crate) fn error(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json["error"].clone()
    }
}

/// In memory, on a free port, without any latency.
pub(crate) fn quick() -> Config {
    Config { bind: ([127, 0, 0, 1], 0).into(), latency: Latency::ZERO, ..Config::default() }
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(quick()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let shutdown = CancellationToken::new();
        let running = start(config, shutdown.clone()).await.unwrap();
        let base = format!("http://{}", running.address);
        Self { _stop: Some(shutdown.drop_guard()), running: Some(running), ..Self::at(base) }
    }

    /// A client of a sandbox that runs elsewhere.
    pub(crate) fn at(base: String) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { base, client, key: "sk_test_sandbox", _stop: None, running: None }
    }

    /// The same sandbox with another key.
    pub(crate) fn with_key(&self, key: &'static str) -> Self {
        Self { key, ..Self::at(self.base.clone()) }
    }

    /// Stops the sandbox in good order.
    pub(crate) async fn stop(mut self) {
        drop(self._stop.take());
        self.running.take().unwrap().stopped().await.unwrap();
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
        key: Option<&str>,
    ) -> Result<Answer, Error> {
        let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let (path, body) = match method {
            Method::GET if !encoded.is_empty() => (format!("{path}?{encoded}"), String::new()),
            _ => (path.to_owned(), encoded),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.answer(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let (parts, body) = self.client.request(request).await?.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, text, json })
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.try_send(Method::POST, path, form, None).await.unwrap()
    }

    pub(crate) async fn keyed(&self, key: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        self.try_send(Method::POST, path, form, Some(key)).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.try_send(Method::GET, path, form, None).await.unwrap()
    }

    /// A PaymentIntent, created and confirmed in one call.
    pub(crate) async fn pay(&self, method: &str) -> Answer {
        self.post("/v1/payment_intents", &purchase(method)).await
    }

    /// Sets faults, latency, webhooks and the like.
    pub(crate) async fn control(&self, settings: Value) {
        let request = Request::post(format!("{}/_sandbox/control", self.base));
        let answer = self.answer(request.body(Full::new(settings.to_string().into())).unwrap()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    pub(crate) async fn stat(&self, name: &str) -> i64 {
        self.get("/_sandbox/stats", &[]).await.ok()[name].as_i64().unwrap()
    }

    /// Answers the 3-D Secure challenge of an intent as its payer would.
    pub(crate) async fn answer_challenge(&self, intent: &Value, outcome: &str) -> Answer {
        let path = format!("/_sandbox/3ds/{}", intent["id"].as_str().unwrap());
        let secret = intent["client_secret"].as_str().unwrap();
        self.post(&path, &[("client_secret", secret), ("outcome", outcome)]).await
    }

    pub(crate) async fn intent(&self, id: &Value) -> Value {
        self.get(&format!("/v1/payment_intents/{}", id.as_str().unwrap()), &[]).await.ok()
    }
}

/// The parameters of a purchase of 25.00 USD.
pub(crate) fn purchase(method: &str) -> [(&str, &str); 6] {
    [
        ("amount", "2500"),
        ("currency", "usd"),
        ("confirm", "true"),
        ("payment_method_types[]", "card"),
        ("payment_method", method),
        ("metadata[order]", "order-1"),
    ]
}
