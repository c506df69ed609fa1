//! A shop in processes, every one of which a Prometheus scrapes, and what can be done to it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use http_body_util::Full;
use hyper::Request;
use tests::harness::client::{Client, exchange};
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::ports::free_port;
use tests::harness::postgres::{Database, fresh_database};
use tests::harness::prometheus::Prometheus;
use tests::harness::proxy::Proxy;
use tests::harness::redis::Redis;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// The key of whoever refunds.
pub(super) const KEY: &str = "an operator's key of some length: 0123456789";
/// An alert that has not fired after so long does not.
const FIRES_WITHIN: Duration = Duration::from_secs(90);

/// The web process that shoppers use; the one that limits its clients; the one that takes one purchase at a time, and
/// panics after each.
pub(super) const SHOP: usize = 0;
pub(super) const LIMITED: usize = 1;
pub(super) const PANICKING: usize = 2;

pub(super) struct Stage {
    pub(super) fleet: Fleet,
    pub(super) prometheus: Prometheus,
    /// The way to PostgreSQL.
    pub(super) wire: Proxy,
    /// Signs webhooks.
    pub(super) webhook_secret: String,
    /// Where workers tell their metrics.
    doors: Vec<String>,
    stand_in: JoinHandle<()>,
    /// What the stand-in tells.
    sockets: Arc<AtomicU32>,
    fired: Mutex<BTreeSet<String>>,
    /// Dropped last, when nobody is connected any more.
    pub(super) database: Database,
}

impl Stage {
    /// Three web processes and two workers on PostgreSQL behind a wire, and an endpoint for Stripe's events.
    pub(super) async fn set() -> Self {
        let database = fresh_database().await;
        let mut url = Url::parse(database.url()).expect("an address");
        let wire = Proxy::start(url.port().expect("a port")).await;
        url.set_port(Some(wire.port())).expect("an address with a port");
        let settings = [("OPERATOR_KEY", KEY), ("STRIPE_RATE_PER_SECOND", "200")];
        let mut fleet = Fleet::start_on(Ledger::At(url.into()), Redis::start().await, 0, 0, &settings).await;
        let webs: Vec<String> = (0..3).map(|_| fleet.add_web()).collect();
        let webhook_secret = endpoint(&fleet, &webs[SHOP]).await;
        fleet.set("STRIPE_WEBHOOK_SECRET", &webhook_secret);
        fleet.start_web(SHOP, &[]).await;
        fleet.start_web(LIMITED, &[("LIMIT_LOOPBACK", "true")]).await;
        let panicking = [("STAMPEDE_PANIC_AT", "after_push"), ("PURCHASES_AT_ONCE", "1"), ("PURCHASES_WAITING", "0")];
        fleet.start_web(PANICKING, &panicking).await;
        let doors: Vec<String> = (0..2).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let sockets = Arc::new(AtomicU32::new(1));
        let (stand_in, address) = stand_in(sockets.clone()).await;
        let mut targets: Vec<String> = webs.iter().map(|url| url.replace("http://", "")).collect();
        targets.push(address);
        for door in &doors {
            fleet.add_worker(&[("METRICS_BIND", door)]);
        }
        for door in &doors {
            let url = format!("http://{door}/healthz");
            fleet.workers[0].as_mut().expect("a worker").until_answers(&url).await;
        }
        let prometheus = Prometheus::start(&targets, &doors).await;
        let fired = Mutex::default();
        Self { fleet, prometheus, wire, webhook_secret, doors, stand_in, sockets, fired, database }
    }

    /// Starts the workers that were killed.
    pub(super) fn start_workers(&mut self) {
        for (place, door) in self.doors.iter().enumerate() {
            if self.fleet.workers[place].is_none() {
                self.fleet.start_worker(place, &[("METRICS_BIND", door)]);
            }
        }
    }

    /// The stand-in has so many sockets from now on.
    pub(super) fn set_sockets(&self, sockets: u32) {
        self.sockets.store(sockets, Ordering::Relaxed);
    }

    /// A new customer of the shop.
    pub(super) async fn customer(&self) -> Client {
        self.fleet.customer(SHOP).await
    }

    /// Alerts that were waited for, and came.
    pub(super) fn fired(&self) -> BTreeSet<String> {
        self.fired.lock().expect("nobody panicked").clone()
    }

    /// Asserts that alerts, whose fault comes next, have not fired yet.
    pub(super) async fn quiet<const N: usize>(&self, alerts: [&str; N]) {
        let fired = self.prometheus.fired().await;
        if let Some(alert) = alerts.into_iter().find(|alert| fired.contains(*alert)) {
            let when = self.prometheus.query(&format!(r#"ALERTS{{alertname="{alert}"}}[1h]"#)).await;
            panic!("{alert} has fired before its fault was caused: {when:?}");
        }
    }

    /// Asserts that an alert has not fired yet; then causes its fault again and again until it does.
    pub(super) async fn fires(&self, alert: &str, again: impl AsyncFn()) {
        self.quiet([alert]).await;
        self.until_fires(alert, again).await;
    }

    /// Waits until alerts fire whose fault was caused.
    pub(super) async fn fire<const N: usize>(&self, alerts: [&str; N]) {
        join_all(alerts.map(|alert| self.until_fires(alert, async || ()))).await;
    }

    /// Does the same again and again until an alert fires.
    pub(super) async fn until_fires(&self, alert: &str, again: impl AsyncFn()) {
        let causing = async {
            while !self.prometheus.firing().await.contains(alert) {
                again().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(FIRES_WITHIN, causing).await.is_err() {
            let rules = self.prometheus.ask("alerts").await;
            panic!("{alert} does not fire; what does, or is about to: {rules}");
        }
        self.fired.lock().expect("nobody panicked").insert(alert.to_owned());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stand_in.abort();
    }
}

/// Has Stripe send its events to this shop; the secret that signs them.
async fn endpoint(fleet: &Fleet, shop: &str) -> String {
    let form = format!("url={shop}/webhooks/stripe&enabled_events[]=*");
    let reply = fleet.form("/v1/webhook_endpoints", form).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["secret"].as_str().expect("a secret").to_owned()
}

/// A process that tells nothing but how many sockets it has; and where.
async fn stand_in(sockets: Arc<AtomicU32>) -> (JoinHandle<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let body = format!("# TYPE room_connections gauge\nroom_connections {}\n", sockets.load(Ordering::Relaxed));
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n";
            let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (serving, address)
}

/// Sends a form to the sandbox under an idempotency key.
pub(super) async fn form_with_key(fleet: &Fleet, path: &str, key: &str, form: String) -> u16 {
    let request = Request::post(format!("{}{path}", fleet.sandbox_url()))
        .header("authorization", "Bearer sk_test_sandbox")
        .header("idempotency-key", key)
        .header("content-type", "application/x-www-form-urlencoded");
    exchange(request.body(Full::from(form)).expect("a request")).await.expect("the sandbox").status
}
