//! Sends spans to a collector: OTLP as protobuf over HTTP, in batches, from a thread of the exporter's own.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Metadata;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{FilterFn, Filtered, filter_fn};
use tracing_subscriber::layer::Layer as _;
use tracing_subscriber::registry::LookupSpan;

use super::{SENDING, Sending, Traces};

/// How long a collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer of a collector that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// The spans that are sent, of those that logs have, and those that are for traces alone.
const SPANS: [&str; 4] = ["request", "job", "stripe", "push"];

/// The layer that makes traces of spans.
pub type Layer<S> = Filtered<OpenTelemetryLayer<S, SdkTracer>, FilterFn, S>;

/// Begins to send traces of this process, under its name. Needs a runtime, as long as the process lives.
///
/// # Errors
/// A sentence, if that cannot be.
pub fn layer<S>(traces: &Traces, process: &'static str) -> Result<Layer<S>, String>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let runtime = Handle::try_current().map_err(|error| error.to_string())?;
    let tls = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let http = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(tls.wrap_connector(tcp));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Http { http, runtime })
        .with_endpoint(format!("{}/v1/traces", traces.endpoint.trim_end_matches('/')))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| format!("traces cannot be sent: {error}"))?;
    let service = if process == "stampede" { process.to_owned() } else { format!("stampede-{process}") };
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder_empty().with_service_name(service).with_attribute(version).build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(traces.sampling.sampler())
        .with_resource(resource)
        .build();
    let tracer = provider.tracer("stampede");
    if SENDING.set(Sending { provider, tracer: tracer.clone() }).is_err() {
        return Err("traces are sent already".into());
    }
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    let layer = layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
    let is_sent = |metadata: &Metadata<'_>| metadata.is_span() && SPANS.contains(&metadata.name());
    Ok(layer.with_filter(filter_fn(is_sent as fn(&Metadata<'_>) -> bool)))
}

/// Our HTTP client, for the exporter's thread, which has no runtime.
#[derive(Debug)]
struct Http {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let asked = self.http.request(request.map(Full::new));
        let asking = async move {
            let (head, body) = asked.await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        self.runtime.spawn(async move { tokio::time::timeout(TIMEOUT, asking).await }).await??
    }
}
