//! The worker as a process runs it: the handlers under apalis, the sweep on its timer, until told to stop.
//!
//! This is the adapter: the only file of the crate that knows apalis and tokio's tasks.

use std::time::Duration;

use apalis::prelude::Monitor;
use shared::queue::worker::{WorkerOptions, register};
use tokio_util::sync::CancellationToken;

use crate::authentication::authentication;
use crate::create_charge::create_charge;
use crate::process_response::process_response;
use crate::webhook::webhook;
use crate::{Context, sweep};

/// How a worker process runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name, different in every process.
    pub name: String,
    /// Charges under way at the same time.
    pub concurrency: usize,
    /// How long running jobs may go on after the process was told to stop.
    pub drain: Duration,
}

/// Runs until `shutdown`, then lets running jobs end within the drain deadline.
///
/// # Errors
/// The monitor's, if it could not run.
pub async fn run(ctx: Context, options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let sweeper = tokio::spawn(sweep_until(ctx.clone(), shutdown.clone()));
    let worker =
        |concurrency| WorkerOptions { drain: options.drain, ..WorkerOptions::new(options.name.clone(), concurrency) };
    let (queue, env) = (ctx.queue.clone(), ctx.env.clone());
    let monitor = Monitor::new();
    let charges = worker(options.concurrency);
    let monitor = register(monitor, queue.clone(), env.clone(), charges, ctx.clone(), create_charge);
    let responses = worker(options.concurrency);
    let monitor = register(monitor, queue.clone(), env.clone(), responses, ctx.clone(), process_response);
    let events = worker(options.concurrency);
    let monitor = register(monitor, queue.clone(), env.clone(), events, ctx.clone(), webhook);
    let authentications = worker(options.concurrency);
    let monitor = register(monitor, queue, env, authentications, ctx, authentication);
    monitor
        .run_with_signal(async move {
            shutdown.cancelled().await;
            Ok(())
        })
        .await?;
    sweeper.await?;
    Ok(())
}

/// Sweeps every [`sweep::ROUND`], with jitter, so that several workers do not sweep in step.
async fn sweep_until(ctx: Context, shutdown: CancellationToken) {
    let mut watch = sweep::Watch::default();
    while !shutdown.is_cancelled() {
        let pause = sweep::ROUND + ctx.env.jitter(sweep::ROUND / 4);
        tokio::select! {
            () = ctx.env.sleep(pause) => {
                sweep::keep_stock(&ctx, &mut watch).await;
                sweep::round(&ctx).await;
            },
            () = shutdown.cancelled() => {}
        }
    }
}
