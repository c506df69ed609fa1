//! A sandbox by itself: `SANDBOX_BIND`, `SANDBOX_DATABASE`, `SANDBOX_LATENCY` and `SANDBOX_RATE_LIMIT` set it up.
//!
//! Its first line is the origin that it listens on, for whoever started it on a free port.

use std::io::Write;

use sandbox::{Config, start};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut config = Config::default();
    let setting = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(bind) = setting("SANDBOX_BIND") {
        config.bind = bind.parse()?;
    }
    if let Some(latency) = setting("SANDBOX_LATENCY") {
        config.latency = latency.parse()?;
    }
    if let Some(limit) = setting("SANDBOX_RATE_LIMIT") {
        config.rate_limit = Some(limit.parse()?);
    }
    config.database = setting("SANDBOX_DATABASE").map(Into::into);
    let shutdown = CancellationToken::new();
    let running = start(config, shutdown.clone()).await?;
    writeln!(std::io::stdout(), "http://{}", running.address)?;
    tokio::signal::ctrl_c().await?;
    shutdown.cancel();
    running.stopped().await
}
