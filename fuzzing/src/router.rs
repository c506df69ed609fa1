//! Requests through the whole router of the web process, with the parts in memory.
//!
//! An input is a request as text: `METHOD /path`, header lines, an empty line, a body. Some words are replaced by what
//! nobody could guess: `$TOKEN` and `$COOKIE` of a customer, `$KEY` of the operator, `$SIGNED`, the signature of the body.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use shared::access::memory::MemoryAccess;
use shared::config::Secret;
use shared::env::{Env, Seeded};
use shared::fleet::memory::MemoryFleet;
use shared::ledger::SharedLedger;
use shared::ledger::book::Terms;
use shared::ledger::memory::MemoryLedger;
use shared::queue::QueueOptions;
use shared::queue::memory::Memory;
use shared::rooms::memory::MemoryRooms;
use shared::sale::{LatePolicy, Sale, Tier};
use shared::stock::SharedStock;
use shared::stock::memory::MemoryStock;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use uuid::Uuid;
use web::app::{App, Page, Parts};
use web::limits::Limits;
use web::session::Signer;
use web::webhooks::Door;

use crate::targets::{SECRET, sign};

/// The customer of `$TOKEN` and `$COOKIE`.
pub const CUSTOMER: Uuid = Uuid::from_u128(0x0198_f2c0_7c1e_7d6a_8f7e_0d6f_3c1b_2a39);
const KEY: &str = "an operator's key of enough letters";
const SESSION_SECRET: [u8; 32] = [7; 32];
/// A shop is asked so often, and then another one is opened: what it has sold is kept in memory.
const ASKED_MOST: u32 = 2_000;

/// A page for a purchase is waited for this long at most.
const LONGER_THAN_ANY_WAIT: Duration = Duration::from_secs(10);

struct Shop {
    runtime: Runtime,
    router: Router,
    env: Env,
    clock: Seeded,
    token: String,
    cookie: String,
    asked: u32,
}

thread_local! {
    static SHOP: RefCell<Option<Shop>> = const { RefCell::new(None) };
}

/// A request is answered, and never with a failure of ours; a refusal says why, in the form that the API promises.
pub fn request(bytes: &[u8]) {
    SHOP.with_borrow_mut(|shop| {
        if shop.as_ref().is_none_or(|shop| shop.asked >= ASKED_MOST) {
            *shop = Shop::open();
        }
        let Some(shop) = shop else { return };
        shop.asked += 1;
        let Some(request) = shop.request(bytes) else { return };
        let (is_head, path) = (request.method() == Method::HEAD, request.uri().path().to_owned());
        let answer = shop.router.clone().oneshot(request);
        shop.runtime.block_on(async {
            let mut answer = std::pin::pin!(answer);
            // Nothing here takes time but to wait for a worker, and there is none.
            let Ok(response) = match answer.as_mut().now_or_never() {
                Some(response) => response,
                None => {
                    shop.clock.advance(LONGER_THAN_ANY_WAIT);
                    answer.await
                }
            };
            let status = response.status();
            let no_worker_made_a_page = path == "/checkout" && status == StatusCode::SERVICE_UNAVAILABLE;
            assert!(status.as_u16() < 500 || no_worker_made_a_page, "{path} answers {status}");
            if !status.is_client_error() || is_head {
                return;
            }
            let kind = response.headers().get(header::CONTENT_TYPE).cloned();
            // A sale that is not there is told to a person by a page, as by all addresses that people type.
            let is_page = path.starts_with("/sales/") && status == StatusCode::NOT_FOUND;
            if is_page && kind.as_ref().is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
                return;
            }
            assert_eq!(kind.as_ref().map(HeaderValue::as_bytes), Some(&b"application/problem+json"[..]), "{path}");
            if response.headers().contains_key(header::CONTENT_ENCODING) {
                return;
            }
            let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
            assert_eq!(problem["status"], status.as_u16(), "{path}: {problem}");
            assert!(problem["code"].is_string() && problem["detail"].is_string(), "{path}: {problem}");
        });
    });
}

impl Shop {
    fn open() -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let seeded = Seeded::new(1);
        let env = seeded.env();
        let ledger: SharedLedger = Arc::new(MemoryLedger::new(env.clone(), Terms::default()));
        let stock: SharedStock = Arc::new(MemoryStock::new(env.clone()));
        runtime.block_on(async {
            ledger.create_sale(sale(&env)).await.ok()?;
            let image = ledger.begin_epoch("gate", "run").await.ok()??;
            stock.begin_rebuild("gate").await.ok()?;
            stock.rebuild(image).await.ok()
        })?;
        let app = App::new(Parts {
            env: env.clone(),
            ledger,
            stock,
            queue: Arc::new(Memory::new(env.clone(), QueueOptions::default())),
            rooms: Arc::new(MemoryRooms::default()),
            budget: Arc::new(shared::budget::Budget::alone(env.clone(), shared::budget::Limits::default())),
            fleet: Arc::new(MemoryFleet::new(env.clone())),
            session_secret: SESSION_SECRET.to_vec(),
            access: Arc::new(MemoryAccess::new(env.clone())),
            operator_key: Some(KEY.into()),
            page: Page::of_stripe("pk_test_1".into()),
            public_url: None,
            webhooks: Door::new(vec![Secret::new(SECRET)], false),
            limits: Limits::new(vec![[127, 0, 0, 1].into()], false),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
        });
        let signer = Signer::new(&SESSION_SECRET, false);
        let (_, cookie) = signer.set_cookie(CUSTOMER);
        let cookie = cookie.to_str().ok()?.split(';').next()?.to_owned();
        let token = signer.token(CUSTOMER);
        Some(Self { runtime, router: web::router(app), env, clock: seeded, token, cookie, asked: 0 })
    }

    fn request(&self, bytes: &[u8]) -> Option<Request<Body>> {
        let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
        let body = bytes.get(end + 2..).unwrap_or_default();
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.lines();
        let (method, path) = lines.next()?.split_once(' ')?;
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let value = self.spelled(value, body);
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                headers.append(name, value);
            }
        }
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).ok()?)
            .uri(self.spelled(path, body))
            .body(Body::from(body.to_vec()))
            .ok()?;
        *request.headers_mut() = headers;
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4))));
        Some(request)
    }

    fn spelled(&self, text: &str, body: &[u8]) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let seconds = (self.env.now().0 / 1_000).to_string();
        let signed = || format!("t={seconds},v1={}", sign(&seconds, body));
        let text = text.replace("$TOKEN", &self.token).replace("$COOKIE", &self.cookie).replace("$KEY", KEY);
        if text.contains("$SIGNED") { text.replace("$SIGNED", &signed()) } else { text }
    }
}

fn sale(env: &Env) -> Sale {
    let tier = |id: &str, most| Tier {
        id: id.into(),
        name: id.into(),
        amount: 2_500,
        capacity: 1_000,
        max_per_customer: most,
        opens_at: None,
        closes_at: None,
    };
    Sale {
        slug: "gate".into(),
        name: "Gate".into(),
        currency: shared::money::Currency::default(),
        opens_at: env.now(),
        closes_at: None,
        hold_ms: 60_000,
        paused: false,
        late: LatePolicy::default(),
        epoch: 0,
        tiers: vec![tier("std", None), tier("front", Some(2))],
    }
}
