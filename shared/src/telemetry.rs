//! What a process tells of itself. Metrics: [`names`] says what each means, [`watch`] answers those who ask, [`door`]
//! lets them in where no shop listens. Logs: one line per thing that happened, with the request's or the job's span
//! around it. [`traces`]: where a purchase was, and for how long, if somebody collects that.
//!
//! **Never in a log, a trace or a metric**: secrets, keys, session cookies and tokens, payment tokens, client secrets,
//! card data, mail addresses, names of buyers, query strings. The types that carry them have no telling `Debug`, and
//! whatever the tests' processes wrote is looked through for them (`xtask/src/secrets.rs`).

pub mod door;
pub mod lately;
pub mod names;
pub mod standing;
pub mod traces;
pub mod watch;

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

use crate::config::Settings;

/// Starts logging to standard error, and sending traces if there is somewhere to send them. Needs a runtime, which traces
/// are sent on; `process` is the name that they come under.
///
/// # Errors
/// A sentence about a setting that cannot be understood.
pub fn start(settings: &Settings, process: &'static str) -> Result<(), String> {
    let filter = &settings.log;
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("LOG should be a tracing filter: {error}"))?;
    let started = match &settings.traces {
        // What the filter keeps out is then made by nobody.
        None => Registry::default().with(filter).with(lines(settings.log_json)).try_init(),
        Some(traces) => {
            let lines = lines(settings.log_json).with_filter(filter);
            Registry::default().with(lines).with(traces::layer(traces, process)?).try_init()
        }
    };
    started.map_err(|error| error.to_string())
}

/// The log: as text, or as JSON with the fields of every span around.
fn lines<S>(json: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(true).boxed()
    } else {
        lines.with_target(false).boxed()
    }
}
