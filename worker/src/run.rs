//! The worker as a process runs it: the handlers under apalis, the sweep on its timer, until told to stop.
//!
//! This is the adapter: the only file of the crate that knows apalis and tokio's tasks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apalis::prelude::Monitor;
use shared::fleet::MOST_CONCURRENCY;
use shared::lease::SharedLease;
use shared::queue::worker::{WorkerOptions, register};
use tokio_util::sync::CancellationToken;

use crate::authentication::authentication;
use crate::create_charge::charge_and_settle;
use crate::pace::Pace;
use crate::process_response::process_response;
use crate::review::review;
use crate::webhook::webhook;
use crate::{Context, sweep};

/// The lease of the sweep.
const LEASE: &str = "sweep";
/// How long the sweep of a worker that died is nobody's; it is asked for three times as often.
const TERM: Duration = Duration::from_secs(3);

/// Jobs of each other kind that run at the same time, where Stripe's budget limits and where it does not: they settle what
/// is known, or ask Stripe.
const OTHERS: (usize, usize) = (100, 500);

/// Decisions of people that a worker carries out at the same time; there are few, and each asks Stripe.
const REVIEWS: usize = 2;
/// The budget is looked at this often.
const PACE: Duration = Duration::from_millis(500);

/// How a worker process runs.
#[derive(Clone)]
pub struct Options {
    /// Its name, different in every process.
    pub name: String,
    /// How many charges are under way at the same time.
    pub pace: Pace,
    /// How long running jobs may go on after the process was told to stop.
    pub drain: Duration,
    /// Decides which of several workers sweeps.
    pub lease: SharedLease,
}

/// Runs until `shutdown`, then lets running jobs end within the drain deadline.
///
/// # Errors
/// The monitor's, if it could not run.
pub async fn run(ctx: Context, options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let sweeper = Sweeper::new(ctx.clone(), &options, shutdown.clone());
    let sweeper = tokio::spawn(async move { sweeper.run().await });
    let worker =
        |concurrency| WorkerOptions { drain: options.drain, ..WorkerOptions::new(options.name.clone(), concurrency) };
    let (queue, env) = (ctx.queue.clone(), ctx.env.clone());
    let monitor = Monitor::new();
    options.pace.follow(&ctx.budget);
    let others = if ctx.budget.is_limited() { OTHERS.0 } else { OTHERS.1 };
    let charges = WorkerOptions {
        width: Some(options.pace.width()),
        in_hand: Some(options.pace.in_hand()),
        ..worker(usize::try_from(MOST_CONCURRENCY)?)
    };
    let pacer = tokio::spawn(shutdown.clone().run_until_cancelled_owned(keep_pace(ctx.clone(), options.pace.clone())));
    let monitor = register(monitor, queue.clone(), env.clone(), charges, ctx.clone(), charge_and_settle);
    let monitor = register(monitor, queue.clone(), env.clone(), worker(others), ctx.clone(), process_response);
    let monitor = register(monitor, queue.clone(), env.clone(), worker(others), ctx.clone(), webhook);
    let monitor = register(monitor, queue.clone(), env.clone(), worker(others), ctx.clone(), authentication);
    let monitor = register(monitor, queue, env, worker(REVIEWS), ctx, review);
    monitor
        .run_with_signal(async move {
            shutdown.cancelled().await;
            Ok(())
        })
        .await?;
    sweeper.await?;
    pacer.await?;
    Ok(())
}

/// Reads how the budget stands, and takes no more charges in hand than can be sent soon, nor than an operator wishes.
async fn keep_pace(ctx: Context, mut pace: Pace) {
    loop {
        ctx.budget.look(true).await;
        pace.follow(&ctx.budget);
        let until = ctx.env.monotonic() + PACE;
        while ctx.env.monotonic() < until {
            tokio::select! {
                () = ctx.env.sleep(until.saturating_sub(ctx.env.monotonic())) => {}
                () = pace.wished() => pace.follow(&ctx.budget),
            }
        }
    }
}

/// The sweep on its timers. What asks Stripe has a lane of its own, since it may take as long as Stripe does.
struct Sweeper {
    ctx: Context,
    name: String,
    lease: SharedLease,
    shutdown: CancellationToken,
    /// The lease was held when it was last asked for.
    holds: AtomicBool,
}

impl Sweeper {
    fn new(ctx: Context, options: &Options, shutdown: CancellationToken) -> Self {
        let (name, lease) = (options.name.clone(), options.lease.clone());
        Self { ctx, name, lease, shutdown, holds: AtomicBool::new(false) }
    }

    async fn run(&self) {
        tokio::join!(self.keep_lease(), self.keep_stock(), self.sweep_here(), self.sweep_at_stripe());
        if self.holds.load(Ordering::Relaxed)
            && let Err(error) = self.lease.release(LEASE, &self.name).await
        {
            tracing::debug!(%error, "the lease of the sweep is left to lapse");
        }
    }

    /// Asks for the lease again and again, however long the parts under it take.
    async fn keep_lease(&self) {
        while !self.shutdown.is_cancelled() {
            let held = self.lease.hold(LEASE, &self.name, TERM).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "nobody knows who sweeps");
                false
            });
            if self.holds.swap(held, Ordering::Relaxed) != held {
                let what = if held { "this worker sweeps" } else { "another worker sweeps" };
                tracing::info!(name = self.name, "{what}");
            }
            self.pause(TERM / 3).await;
        }
    }

    /// Every worker looks whether the stock was lost: while it is, nothing sells, and the stock itself lets one of those
    /// who look rebuild it.
    async fn keep_stock(&self) {
        let mut watch = sweep::Watch::default();
        while self.next_round().await {
            sweep::keep_stock(&self.ctx, &mut watch).await;
        }
    }

    async fn sweep_here(&self) {
        let mut agenda = sweep::Agenda::default();
        while self.next_round().await {
            if self.holds.load(Ordering::Relaxed) {
                sweep::here(&self.ctx).await;
                agenda.here(&self.ctx).await;
            }
        }
    }

    async fn sweep_at_stripe(&self) {
        let mut agenda = sweep::Agenda::default();
        while self.next_round().await {
            if self.holds.load(Ordering::Relaxed) {
                sweep::at_stripe(&self.ctx).await;
                agenda.at_stripe(&self.ctx).await;
            }
        }
    }

    /// Waits for the next [`sweep::ROUND`], with jitter, so that several workers do not look in step; `false` when there
    /// is none.
    async fn next_round(&self) -> bool {
        self.pause(sweep::ROUND + self.ctx.env.jitter(sweep::ROUND / 4)).await;
        !self.shutdown.is_cancelled()
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.ctx.env.sleep(pause) => {}
            () = self.shutdown.cancelled() => {}
        }
    }
}
