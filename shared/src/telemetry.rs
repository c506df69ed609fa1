//! What a process tells of itself. Metrics: [`names`] says what each means, [`watch`] answers those who ask, [`door`]
//! lets them in where no shop listens. Logs: one line per thing that happened, with the request's or the job's span
//! around it.
//!
//! **Never logged**: secrets, keys, session cookies and tokens, payment tokens, client secrets, card data, mail
//! addresses, names of buyers, query strings. The types that carry them have no telling `Debug`.

pub mod door;
pub mod lately;
pub mod names;
pub mod standing;
pub mod watch;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging to standard error.
///
/// # Errors
/// A sentence about the filter, if it cannot be understood.
pub fn start(filter: &str, json: bool) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("LOG should be a tracing filter: {error}"))?;
    let colours = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = if json {
        subscriber.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        subscriber.with_target(false).try_init()
    };
    started.map_err(|error| error.to_string())
}
