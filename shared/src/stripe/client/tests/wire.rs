//! What goes over the wire, what is kept, and what is told about it.

use serde_json::json;

use super::super::super::fixtures::{Act, Server};
use super::super::super::{Refusal, idempotency_key};
use super::super::*;
use super::{ORDER, TIMEOUT, charge, client, paid};
use crate::env::Seeded;

#[tokio::test]
async fn the_stored_bytes_are_sent_unchanged_with_their_key_and_version() {
    let server = Server::that([Act::intent("succeeded"), Act::intent("succeeded")]).await;
    let stored = StoredRequest { version: "2024-06-20".to_owned(), ..charge(Some("pi_1")) };
    let stripe = client(&server);
    stripe.send(&stored, &idempotency_key(ORDER, 2)).await;
    stripe.send(&stored, &idempotency_key(ORDER, 2)).await;
    let requests = server.requests();
    assert_eq!(requests[0], requests[1]);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, stored.body);
    assert!(head.starts_with("POST /v1/payment_intents/pi_1/confirm HTTP/1.1"), "{head}");
    for line in [
        "authorization: Bearer sk_test_s3cr3t",
        "idempotency-key: charge-0198f2c0-0000-7000-8000-000000000001-2",
        "stripe-version: 2024-06-20",
        concat!("user-agent: stampede/", env!("CARGO_PKG_VERSION")),
        "content-type: application/x-www-form-urlencoded",
    ] {
        assert!(head.lines().any(|l| l == line), "{line} is not in {head}");
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_unknown_after_the_time_out() {
    let server = Server::that([Act::Hang]).await;
    let seeded = Seeded::new(1);
    let stripe = HttpStripe::new(&server.base, "sk_test_x", TIMEOUT, seeded.env()).unwrap();
    let stored = charge(None);
    let send = stripe.send(&stored, "charge-1");
    let wait = async {
        server.has_heard_one().await;
        seeded.advance(TIMEOUT);
    };
    let (answer, ()) = tokio::join!(send, wait);
    assert!(matches!(answer, Answer::Unknown { replayed: false, .. }), "{answer:?}");
}

#[tokio::test]
async fn nobody_listening_is_unknown_too() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let stripe = HttpStripe::new(&format!("http://{closed}"), "sk_test_x", TIMEOUT, Env::system()).unwrap();
    assert!(matches!(stripe.send(&charge(None), "charge-1").await, Answer::Unknown { replayed: false, .. }));
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = Server::that((0..5).map(|_| Act::intent("succeeded"))).await;
    let stripe = client(&server);
    for _ in 0..5 {
        assert_eq!(stripe.retrieve("pi_1").await, paid());
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn an_id_from_outside_cannot_lead_to_another_path() {
    let server = Server::that([]).await;
    let stripe = client(&server);
    for id in ["../refunds", "pi_1/cancel?x=1", "pi_1 HTTP/1.1", "", "pi_1#"] {
        let answer = stripe.retrieve(id).await;
        assert!(matches!(answer, Answer::Refused { kind: Refusal::Request, .. }), "{id}: {answer:?}");
    }
    for key in ["", "a\r\nx: y", &"k".repeat(256)] {
        let answer = stripe.send(&charge(None), key).await;
        assert!(matches!(answer, Answer::Refused { kind: Refusal::Request, .. }), "{key}: {answer:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn every_request_is_measured_by_operation_and_outcome_and_every_429_by_its_reason() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let slow = Act::error(429, &["stripe-rate-limited-reason: endpoint-rate"], &json!({"code": "rate_limit"}));
    let server = Server::that([Act::intent("succeeded"), slow, Act::Reply(429, &[], String::new())]).await;
    let stripe = client(&server);
    stripe.send(&charge(None), "charge-1").await;
    stripe.retrieve("pi_1").await;
    stripe.cancel("pi_1", "close-1").await;
    let figures = figures.render();
    for line in [
        r#"stripe_request_seconds_count{operation="charge",outcome="succeeded"} 1"#,
        r#"stripe_request_seconds_count{operation="retrieve",outcome="throttled"} 1"#,
        r#"stripe_throttled_total{reason="endpoint-rate"} 1"#,
        r#"stripe_throttled_total{reason="rate_limit"} 1"#,
    ] {
        assert!(figures.lines().any(|l| l == line), "{line} is not in\n{figures}");
    }
}

/// What was logged, at every level.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_log_line_names_the_request_and_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let quoting = json!({"type": "invalid_request_error", "param": "amount",
        "message": "tok_visa a@example.com sk_test_s3cr3t pi_1_secret_s3cr3t"});
    let server = Server::that([Act::intent("requires_action"), Act::error(400, &[], &quoting), Act::CutAfter]).await;
    let stripe = client(&server);
    for _ in 0..3 {
        stripe.send(&charge(None), "charge-1").await;
    }
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(log.contains("req_1") && log.contains("operation=\"charge\""), "{log}");
    for secret in ["s3cr3t", "tok_visa", "example.com"] {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}

#[tokio::test]
async fn no_secret_shows_in_debug_output() {
    let server = Server::that([Act::intent("requires_action")]).await;
    let stripe = client(&server);
    let shown = format!("{stripe:?} {:?}", stripe.retrieve("pi_1").await);
    assert!(!shown.contains("s3cr3t"), "{shown}");
}
