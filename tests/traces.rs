//! Traces: a purchase is one, wherever it was worked on, and nothing in it is secret.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::kept;
use tests::harness::process::READY_WITHIN;
use tests::harness::redis::Redis;
use tests::harness::shop::Shop;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use xtask::secrets::found_in;

/// A span, as the collector has it.
#[derive(Clone, Debug)]
struct Span {
    process: String,
    name: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    /// Nanoseconds.
    time: (u64, u64),
    attributes: BTreeMap<String, String>,
}

/// A collector of traces on a free port.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    serving: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
        kept::text("traces", &self.spans().iter().map(|span| format!("{span:?}\n")).collect::<String>());
    }
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let serving = tokio::spawn(accept(listener, spans.clone()));
        Self { url, spans, serving }
    }

    fn settings(&self) -> [(&str, &str); 2] {
        [("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url), ("OTEL_BSP_SCHEDULE_DELAY", "200")]
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("nobody panicked").clone()
    }

    /// Waits for a trace with all of these spans that began with a purchase.
    async fn purchase(&self, names: &[&str]) -> Vec<Span> {
        let coming = async {
            loop {
                let all = self.spans();
                let began = all.iter().find(|span| span.name == "request" && span.said("route") == "/charges");
                let trace: Vec<Span> =
                    all.iter().filter(|span| began.is_some_and(|began| began.trace == span.trace)).cloned().collect();
                if names.iter().all(|name| trace.iter().any(|span| span.name == *name)) {
                    return trace;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let came = tokio::time::timeout(READY_WITHIN, coming).await;
        came.unwrap_or_else(|_| panic!("no trace with {names:?}: {:#?}", self.spans()))
    }
}

impl Span {
    fn said(&self, attribute: &str) -> &str {
        self.attributes.get(attribute).map_or("", String::as_str)
    }
}

async fn accept(listener: TcpListener, spans: Arc<Mutex<Vec<Span>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let spans = spans.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let spans = spans.clone();
            async move {
                assert_eq!(request.uri().path(), "/v1/traces");
                assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                let body = request.into_body().collect().await.expect("a body").to_bytes();
                let read = read(&body);
                spans.lock().expect("nobody panicked").extend(read);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

fn read(body: &[u8]) -> Vec<Span> {
    let batch = ExportTraceServiceRequest::decode(body).expect("protobuf");
    let mut spans = Vec::new();
    for of_process in batch.resource_spans {
        let resource = texts(&of_process.resource.expect("a resource").attributes);
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                process: resource["service.name"].clone(),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                time: (span.start_time_unix_nano, span.end_time_unix_nano),
                attributes: texts(&span.attributes),
            });
        }
    }
    spans
}

/// Name, process and parent of each span but those that come more than once.
fn family(trace: &[Span]) -> Vec<(&str, &str, &str)> {
    let parent =
        |span: &Span| trace.iter().find(|other| other.id == span.parent).map_or("", |other| other.name.as_str());
    let mut family: Vec<_> =
        trace.iter().map(|span| (span.name.as_str(), span.process.as_str(), parent(span))).collect();
    family.sort_unstable();
    family.dedup();
    family
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_one_trace_from_its_call_over_queue_worker_and_stripe_to_the_push() {
    let collector = Collector::start().await;
    let settings = [&collector.settings()[..], &[("SANDBOX_LATENCY", "50ms")]].concat();
    let fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 2, 1, &settings).await;
    fleet.sale("night", 10, &[]).await;
    let client = fleet.customer(0).await;
    let mut room = client.room(&[]).await;
    let (order, (status, answer)) = client.buy("night", 1, "pm_card_visa").await;
    assert_eq!(status, 202, "{answer}");
    room.until(order, &["paid"]).await;

    let trace = collector.purchase(&["request", "queue", "job", "stripe", "push"]).await;
    let (web, worker) = ("stampede-web", "stampede-worker");
    let expected = [
        ("job", worker, "queue"),
        ("push", web, "job"),
        ("queue", worker, "request"),
        ("request", web, ""),
        ("stripe", worker, "job"),
    ];
    assert_eq!(family(&trace), expected, "{trace:#?}");
    let of = |name: &str| trace.iter().find(|span| span.name == name).expect("it is there");
    let pushes = trace.iter().filter(|span| span.name == "push").count();
    assert_eq!(pushes, 1, "by the one web process that has the room: {trace:#?}");
    for name in ["request", "job"] {
        assert_eq!(of(name).said("order"), order.to_string(), "{:?}", of(name));
    }
    assert_eq!((of("stripe").said("operation"), of("stripe").said("outcome")), ("charge", "succeeded"));
    let nanos = |span: &Span| span.time.1 - span.time.0;
    assert!(nanos(of("stripe")) >= 50_000_000, "{:?}", of("stripe"));
    assert!(nanos(of("job")) >= nanos(of("stripe")));

    for span in collector.spans() {
        let text = format!("{span:?}");
        assert_eq!(found_in(&text), None, "{text}");
        for secret in [&client.token, &client.email(), "pm_card_visa", "A. Shopper"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_sends_its_last_spans_and_one_that_samples_nothing_sends_none() {
    for (sampler, sends) in [("always_on", true), ("always_off", false)] {
        let collector = Collector::start().await;
        // Later than the test takes: only the end of the process sends them.
        let late = [("OTEL_BSP_SCHEDULE_DELAY", "600000"), ("OTEL_TRACES_SAMPLER", sampler)];
        let mut shop = Shop::start(&[&collector.settings()[..1], &late].concat()).await;
        let client = shop.customer().await;
        let mut room = client.room(&[]).await;
        let (order, _) = client.buy("demo", 1, "pm_card_visa").await;
        room.until(order, &["paid"]).await;
        assert!(shop.stop().await.success());
        if sends {
            let trace = collector.purchase(&["request", "queue", "job", "stripe", "push"]).await;
            assert!(trace.iter().all(|span| span.process == "stampede"), "{trace:#?}");
        } else {
            assert!(collector.spans().is_empty(), "{:#?}", collector.spans());
        }
    }
}
