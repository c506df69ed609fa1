//! The wire between the shop's web processes and whoever is outside: shoppers' pages, operators, Stripe.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use futures::FutureExt as _;
use futures::channel::{mpsc, oneshot};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::BodyExt as _;
use serde_json::Value;
use sha2::Sha256;
use shared::ledger::Ledger as _;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::chance::Fault;
use crate::shop::{Shop, WEBHOOK_SECRET};
use crate::stage::Who;
use crate::stripe::Event;

/// A client gives a request up after this long.
const CLIENT_PATIENCE: Duration = Duration::from_secs(20);

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// The bearer token, if there is one.
    pub(crate) token: Option<String>,
    pub(crate) body: String,
    /// `Stripe-Signature`, of an event.
    pub(crate) signature: Option<String>,
    pub(crate) about: Option<Uuid>,
}

impl Call {
    pub(crate) fn post(path: impl Into<String>, token: Option<&str>, body: &Value, about: Option<Uuid>) -> Self {
        let token = token.map(ToOwned::to_owned);
        Self { method: "POST", path: path.into(), token, body: body.to_string(), signature: None, about }
    }

    fn request(&self) -> Option<Request<Body>> {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        request = request.header(header::CONTENT_TYPE, "application/json").header(header::HOST, "127.0.0.1:3000");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(signature) = &self.signature {
            request = request.header("stripe-signature", signature);
        }
        let mut request = request.body(Body::from(self.body.clone())).ok()?;
        // Addresses are limited by the machine's clock, which is none of this world's.
        request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::from(([127, 0, 0, 1], 40_000))));
        Some(request)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    /// The machine word of a refusal.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Shop {
    /// Sends a request to a web process; `None` when no answer came.
    pub(crate) async fn ask(self: &Arc<Self>, web: usize, call: Call) -> Option<Reply> {
        let scene = &self.scene;
        let about = call.about;
        let words = || format!("{} {}", call.method, call.path);
        scene.sleep(scene.faults.dice().between(0, 40)).await;
        if scene.faults.happens(Fault::RequestLost, 40) {
            scene.fault(Who::World, Fault::RequestLost, about, &words());
            scene.sleep(Duration::from_secs(3)).await;
            return None;
        }
        let twice = scene.faults.happens(Fault::RequestTwice, 40);
        let reply_lost = scene.faults.happens(Fault::ReplyLost, 40);
        if twice {
            scene.fault(Who::World, Fault::RequestTwice, about, &words());
            drop(self.answer(web, &call));
        }
        let answer = self.answer(web, &call)?;
        let reply = scene.env.timeout(CLIENT_PATIENCE, answer).await.and_then(Result::ok);
        if reply_lost {
            scene.fault(Who::World, Fault::ReplyLost, about, &words());
            return None;
        }
        scene.sleep(scene.faults.dice().between(0, 40)).await;
        if let Some(reply) = &reply {
            let told = || format!("answers {} {} with {} {}", call.method, call.path, reply.status, reply.code());
            scene.tell(Who::Web(web), about, told);
        }
        reply
    }

    /// Has the process work on a request, whoever waits for it.
    fn answer(self: &Arc<Self>, web: usize, call: &Call) -> Option<oneshot::Receiver<Reply>> {
        let (router, request) = (self.door(web)?, call.request()?);
        let (tell, told) = oneshot::channel();
        let (shop, call) = (self.clone(), call.clone());
        let task = async move {
            let Ok(response) = router.oneshot(request).await;
            let status = response.status();
            let bytes = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            shop.has_answered(web, &call, status, &body);
            let _ = tell.send(Reply { status: status.as_u16(), body });
        };
        self.scene.enter(Who::Web(web), task.boxed());
        Some(told)
    }

    /// What an answer may be, whether or not anybody hears it.
    fn has_answered(&self, web: usize, call: &Call, status: StatusCode, body: &Value) {
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            self.scene.broken(call.about, format!("web {} answers {} with 500: {body}", web + 1, call.path));
        }
        if status == StatusCode::ACCEPTED && call.path == "/charges" {
            let known = call.about.is_some_and(|order| self.ledger.order(order).now_or_never().is_some_and(is_there));
            if !known {
                self.scene.broken(call.about, "a purchase is answered with 202, and the ledger has no such order");
            }
        }
    }

    /// Opens a page's stream at a web process: its frames, until it breaks.
    pub(crate) fn open_stream(self: &Arc<Self>, web: usize, token: &str) -> Option<mpsc::UnboundedReceiver<Value>> {
        let (path, token) = (format!("/events?sale={}", Self::sale()), Some(token.to_owned()));
        let call = Call { method: "GET", path, token, body: String::new(), signature: None, about: None };
        let (router, request) = (self.door(web)?, call.request()?);
        let (tell, told) = mpsc::unbounded();
        let task = async move {
            let Ok(response) = router.oneshot(request).await;
            if response.status() != StatusCode::OK {
                return;
            }
            let (mut body, mut text) = (response.into_body(), String::new());
            while let Some(Ok(frame)) = body.frame().await {
                let Ok(data) = frame.into_data() else { continue };
                text.push_str(&String::from_utf8_lossy(&data));
                while let Some(end) = text.find("\n\n") {
                    let event: String = text.drain(..end + 2).collect();
                    let data = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect::<String>();
                    let frame = serde_json::from_str(&data).ok();
                    if frame.is_some_and(|frame| tell.unbounded_send(frame).is_err()) {
                        return;
                    }
                }
            }
        };
        self.scene.enter(Who::Web(web), task.boxed());
        Some(told)
    }

    /// Stripe tells the shop of an event until it is answered with 2xx, for a while
    /// (<https://docs.stripe.com/webhooks#retries>).
    pub(crate) async fn deliver(self: Arc<Self>, event: Event) {
        let (scene, about) = (self.scene.clone(), event.about);
        let dice = scene.faults.dice();
        if scene.faults.happens(Fault::WebhookLost, 160) {
            scene.fault(Who::World, Fault::WebhookLost, about, &event.id);
            return;
        }
        if scene.faults.happens(Fault::WebhookTwice, 160) {
            scene.fault(Who::World, Fault::WebhookTwice, about, &event.id);
            let (shop, event, pause) = (self.clone(), event.clone(), dice.between(0, 90_000));
            let again = async move {
                shop.scene.sleep(pause).await;
                shop.deliver_once(&event).await;
            };
            scene.enter(Who::World, again.boxed());
        }
        if scene.faults.happens(Fault::WebhookLate, 160) {
            scene.fault(Who::World, Fault::WebhookLate, about, &event.id);
            scene.sleep(dice.between(30_000, 1_200_000)).await;
        }
        scene.sleep(dice.between(0, 700)).await;
        for pause in [5_u64, 60, 600, 3_600, 18_000] {
            if self.deliver_once(&event).await {
                return;
            }
            scene.sleep(Duration::from_secs(pause)).await;
        }
    }

    async fn deliver_once(self: &Arc<Self>, event: &Event) -> bool {
        let time = self.scene.true_time().0.div_euclid(1_000).to_string();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()) else { return false };
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(event.body.as_bytes());
        let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let call = Call {
            method: "POST",
            path: "/webhooks/stripe".into(),
            token: None,
            body: event.body.clone(),
            signature: Some(format!("t={time},v1={signature}")),
            about: event.about,
        };
        let web = self.scene.dice.below(self.plan.webs);
        let told = || ("Stripe".to_owned(), format!("sends {} to web {}", event.id, web + 1));
        self.scene.tell_as(event.about, told);
        self.ask(web, call).await.is_some_and(|reply| (200..300).contains(&reply.status))
    }
}

fn is_there(found: Result<Option<shared::order::Order>, shared::ledger::LedgerError>) -> bool {
    found.is_ok_and(|order| order.is_some())
}
