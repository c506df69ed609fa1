//! Traces: a purchase is one trace, from its call over queue, worker and Stripe to the push into its room.
//!
//! Without an address to send them to nothing of this is there: no layer beside the log's, no span beside the log's, no
//! word in a job or between processes. With one, the context travels as W3C's `traceparent`
//! (<https://www.w3.org/TR/trace-context/>): in a job as a field that a version without traces passes over, and through
//! the rooms in an envelope of its own for a room that no customer has.
//!
//! A trace begins in our web process, whatever its caller sends: who asks must not decide what is kept.
//!
//! | span | in | parent |
//! | --- | --- | --- |
//! | `request` | web | none |
//! | `queue` | worker: from the push of a job to its delivery | whoever pushed |
//! | `job` | worker | `queue` |
//! | `stripe` | worker: one request to Stripe | `job` |
//! | `push` | web: into a room, if somebody is in it here | `job` |
//!
//! Spans carry ids, names and sums; what logs may not hold, they may not either.

mod export;
mod sampling;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use crate::env::Timestamp;
use crate::rooms::Envelope;

pub use export::{Layer, layer};
pub use sampling::Sampling;

/// Where traces go, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// The collector's address, without `/v1/traces`.
    pub endpoint: String,
    /// Which are kept.
    pub sampling: Sampling,
}

/// What sends spans, in a process that has a collector.
struct Sending {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

static SENDING: OnceLock<Sending> = OnceLock::new();

/// Where a context stands in a job.
const FIELD: &str = "traceparent";
/// The room of envelopes that say of which trace the next one is. No customer has it: their ids are random.
const ROOM: Uuid = Uuid::max();

/// Whether this process sends traces.
#[must_use]
pub fn are_on() -> bool {
    SENDING.get().is_some()
}

/// Sends what is left. Blocks for a few seconds at most; call it when the process ends, while its runtime lives.
pub fn end() {
    if let Some(sending) = SENDING.get()
        && let Err(error) = sending.provider.shutdown_with_timeout(END_WITHIN)
    {
        tracing::warn!(%error, "the last traces were not sent");
    }
}

/// How long the last traces may take to be sent.
const END_WITHIN: Duration = Duration::from_secs(3);

/// The place in a trace from which something was sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(SpanContext);

impl Origin {
    /// Where this task is, in a trace that is kept or known.
    fn current() -> Option<Self> {
        if !are_on() {
            return None;
        }
        let context = Span::current().context();
        let at = context.span().span_context().clone();
        at.is_valid().then_some(Self(at))
    }

    /// Reads a `traceparent`, version 00.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let sized = trace.len() == 32 && span.len() == 16 && flags.len() == 2;
        if version != "00" || !sized || parts.next().is_some() {
            return None;
        }
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let at = SpanContext::new(trace, span, flags, true, TraceState::default());
        at.is_valid().then_some(Self(at))
    }

    fn write(&self) -> String {
        let Self(at) = self;
        format!("00-{}-{}-{:02x}", at.trace_id(), at.span_id(), at.trace_flags().to_u8() & 1)
    }

    fn context(&self) -> Context {
        Context::new().with_remote_span_context(self.0.clone())
    }
}

/// Writes where this task is into a job, which is a JSON object with at least one field.
pub fn put_into(payload: &mut Vec<u8>) {
    if let Some(origin) = Origin::current() {
        insert(payload, &origin);
    }
}

fn insert(payload: &mut Vec<u8>, origin: &Origin) {
    if payload.ends_with(b"}") && payload.len() > 2 {
        payload.pop();
        payload.extend_from_slice(format!(",\"{FIELD}\":\"{}\"}}", origin.write()).as_bytes());
    }
}

/// Where a job was pushed, if it says so and this process sends traces.
#[must_use]
pub fn origin_of(payload: &[u8]) -> Option<Origin> {
    are_on().then(|| read_from(payload)).flatten()
}

fn read_from(payload: &[u8]) -> Option<Origin> {
    #[derive(serde::Deserialize)]
    struct Carrier<'a> {
        #[serde(borrow)]
        traceparent: Option<&'a str>,
    }
    let carrier: Carrier<'_> = serde_json::from_slice(payload).ok()?;
    Origin::read(carrier.traceparent?)
}

/// Makes a job's span part of the trace in which it was pushed, behind a span for the time that it waited.
pub fn continue_job(job: &Span, origin: Option<&Origin>, queue: &'static str, pushed_at: Timestamp) {
    let (Some(origin), Some(sending)) = (origin, SENDING.get()) else { return };
    let delivered = SystemTime::now();
    let pushed = UNIX_EPOCH + Duration::from_millis(u64::try_from(pushed_at.0).unwrap_or(0));
    let waited = sending.tracer.span_builder("queue").with_kind(SpanKind::Internal);
    let waited = waited.with_attributes([KeyValue::new("queue", queue)]).with_start_time(pushed.min(delivered));
    let mut waited = waited.start_with_context(&sending.tracer, &origin.context());
    let at = waited.span_context().clone();
    waited.end_with_timestamp(delivered);
    // It fails when the span has begun, or no layer sees it: then it is a trace of its own.
    let _ = job.set_parent(Context::new().with_remote_span_context(at));
}

/// A span for one request to Stripe; record `outcome` and `status`. None without traces.
#[must_use]
pub fn stripe(operation: &'static str) -> Span {
    if !are_on() {
        return Span::none();
    }
    tracing::info_span!("stripe", operation, outcome = Empty, status = Empty, "otel.kind" = "client")
}

/// What is published about something that happened here: the envelope, behind one with its place in the trace.
#[must_use]
pub fn announced(envelope: Envelope) -> Vec<Envelope> {
    let mark = Origin::current().map(|origin| mark(&origin, envelope.room));
    mark.into_iter().chain([envelope]).collect()
}

fn mark(origin: &Origin, room: Uuid) -> Envelope {
    Envelope { room: ROOM, frame: format!("{} {room}", origin.write()).into() }
}

/// Reads marks on the way to the rooms.
#[derive(Debug, Default)]
pub struct Marks(Option<(Origin, Uuid)>);

impl Marks {
    /// The span of an envelope's push, if its room `is_here`; none without traces. `None` for a mark, which is for no room.
    pub fn span_of(&mut self, envelope: &Envelope, is_here: impl FnOnce() -> bool) -> Option<Span> {
        if envelope.room == ROOM {
            self.0 = are_on().then(|| read_mark(&envelope.frame)).flatten();
            return None;
        }
        let marked = self.0.take().filter(|(_, room)| *room == envelope.room && is_here());
        let Some((origin, _)) = marked else { return Some(Span::none()) };
        let span = tracing::info_span!("push", "otel.kind" = "producer");
        let _ = span.set_parent(origin.context());
        Some(span)
    }
}

fn read_mark(frame: &str) -> Option<(Origin, Uuid)> {
    let (origin, room) = frame.split_once(' ')?;
    Some((Origin::read(origin)?, room.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::CreateCharge;
    use crate::queue::NewJob;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_the_standard_writes_it_and_nonsense_is_none() {
        let origin = Origin::read(PARENT).unwrap();
        assert_eq!(origin.write(), PARENT);
        let zero = PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        let (long, other) = (format!("{PARENT}-x"), PARENT.replacen("00", "01", 1));
        for wrong in ["", "00", &PARENT[1..], &zero, &long, &other, &PARENT.replace('b', "x")] {
            assert_eq!(Origin::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_job_with_a_trace_is_read_by_a_version_without_and_the_other_way_round() {
        let job = CreateCharge::V1 { order: Uuid::nil(), attempt: 2 };
        let new = NewJob::of(&job).unwrap();
        let mut marked = new.payload.clone();
        insert(&mut marked, &Origin::read(PARENT).unwrap());
        assert_eq!(serde_json::from_slice::<CreateCharge>(&marked).unwrap(), job);
        assert_eq!(read_from(&marked), Origin::read(PARENT));
        assert_eq!(read_from(&new.payload), None);
    }

    #[test]
    fn without_a_collector_nothing_is_there() {
        assert!(!are_on() && Origin::current().is_none() && stripe("charge").is_none());
        let job = CreateCharge::V1 { order: Uuid::nil(), attempt: 2 };
        assert_eq!(NewJob::of(&job).unwrap().payload, serde_json::to_vec(&job).unwrap());
        let envelope = Envelope { room: Uuid::nil(), frame: "{}".into() };
        assert_eq!(announced(envelope.clone()), std::slice::from_ref(&envelope));
        let mut marks = Marks::default();
        assert!(marks.span_of(&mark(&Origin::read(PARENT).unwrap(), Uuid::nil()), || true).is_none());
        assert!(marks.span_of(&envelope, || true).is_some_and(|span| span.is_none()));
    }

    #[test]
    fn a_mark_is_for_its_room_alone() {
        let origin = Origin::read(PARENT).unwrap();
        assert_eq!(read_mark(&mark(&origin, Uuid::nil()).frame), Some((origin, Uuid::nil())));
        assert_eq!(read_mark("00-x 1"), None);
    }
}
