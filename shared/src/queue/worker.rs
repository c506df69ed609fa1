//! Running handlers: the one call that a worker process makes.
//!
//! A handler is a plain `async fn(ctx, job, info) -> Finish`. It knows nothing of apalis, leases or stores, so a test
//! or a simulation calls it directly. Whatever it answers is told to the store; if it panics or takes too long, that
//! counts as a crash, and after [`WorkerOptions::max_deliveries`] of them the job is a dead letter.
//!
//! **Handlers are repeated.** A worker may die after its handler ended and before the store heard of it. And one whose
//! lease was lost is dropped in the middle, at an `await`.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::layers::catch_panic::CatchPanicLayer;
use apalis::prelude::{Monitor, Task, WorkerBuilder};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tower::Service;
use tower::limit::GlobalConcurrencyLimitLayer;
use tracing::Instrument as _;

use super::backend::QueueBackend;
use super::middleware::Ticket;
use super::width::Width;
use super::{Delivery, Finish, Job, Queue};
use crate::env::{Env, Timestamp};

/// How long a handler may take, unless something else is said.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(20);

/// How a worker works.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Its name in logs and in the store's books; different in every process.
    pub name: String,
    /// Most jobs that run at once. They share one thread: a handler waits, it does not compute.
    pub concurrency: usize,
    /// How many may run at the moment, where that changes; it counts instead of `concurrency`, which bounds what may be
    /// in hand.
    pub width: Option<Width>,
    /// How many jobs may be in hand at the moment, of those that may ever be; `None` is all of them. What cannot be begun
    /// soon is better left in the queue, where its order is kept.
    pub in_hand: Option<watch::Receiver<usize>>,
    /// Most jobs at hand beyond those that run: fetched, or ended with the store not yet told.
    pub prefetch: usize,
    /// How long a handler may take.
    pub job_timeout: Duration,
    /// How long running jobs may go on after the worker was told to stop. Those cut off then are delivered again at
    /// once, to whoever is there. Longer than `job_timeout`, or a deployment cuts jobs off.
    pub drain: Duration,
    /// How many crashes of a job make it a dead letter; see [`Delivery::crashes`].
    pub max_deliveries: u32,
    /// The first pause after a crash; each further one doubles it.
    pub crash_base: Duration,
    /// The longest pause after a crash.
    pub crash_cap: Duration,
}

impl WorkerOptions {
    /// Options for `concurrency` jobs at once: a quarter as many prefetched, 20 s for a job, 25 s to drain, five
    /// crashes a job with pauses of 1 s to 1 min.
    #[must_use]
    pub fn new(name: impl Into<String>, concurrency: usize) -> Self {
        Self {
            name: name.into(),
            concurrency,
            width: None,
            in_hand: None,
            prefetch: concurrency / 4 + 1,
            job_timeout: JOB_TIMEOUT,
            drain: Duration::from_secs(25),
            max_deliveries: 5,
            crash_base: Duration::from_secs(1),
            crash_cap: Duration::from_secs(60),
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.concurrency.max(1).saturating_add(self.prefetch).min(tokio::sync::Semaphore::MAX_PERMITS)
    }
}

/// What a handler may want to know of its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobInfo {
    /// How often the job was delivered, this time included: 1 is the first.
    pub deliveries: u32,
    /// How many earlier deliveries ended in [`Finish::Retry`].
    pub retries: u32,
    /// How many ended without an answer of the handler's.
    pub crashes: u32,
    /// When the job was pushed, by the store's clock.
    pub pushed_at: Timestamp,
}

impl JobInfo {
    /// What a delivery says.
    #[must_use]
    pub fn of(delivery: &Delivery) -> Self {
        Self {
            deliveries: delivery.deliveries,
            retries: delivery.retries,
            crashes: delivery.crashes(),
            pushed_at: delivery.pushed_at,
        }
    }
}

/// Adds a worker for the jobs of one kind to a monitor.
///
/// The worker ends when the monitor is told to stop, and for no other reason: one that fails in itself is restarted.
/// It then fetches nothing more, gives back what it has not started, and waits for what runs ([`WorkerOptions::drain`]).
#[must_use]
pub fn register<J, C, F, Fut>(
    monitor: Monitor,
    queue: Arc<dyn Queue>,
    env: Env,
    options: WorkerOptions,
    ctx: C,
    handler: F,
) -> Monitor
where
    J: Job,
    C: Clone + Send + Sync + 'static,
    F: Fn(C, J, JobInfo) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Finish> + Send + 'static,
{
    let options = Arc::new(options);
    monitor.should_restart(|_, _| true).register(move |restarts| {
        let backend = QueueBackend::<J>::new(queue.clone(), env.clone(), options.clone(), restarts);
        let width = options.width.as_ref().map_or_else(|| Width::new(options.concurrency), Width::clone);
        WorkerBuilder::new(format!("{}-{}-{restarts}", options.name, J::QUEUE))
            .backend(backend)
            .layer(GlobalConcurrencyLimitLayer::with_semaphore(width.permits()))
            .layer(CatchPanicLayer::with_panic_handler(panicked as fn(&Box<dyn Any + Send>) -> Panicked))
            .build(Handler { ctx: ctx.clone(), handle: handler.clone(), width })
    })
}

#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct Panicked(String);

fn panicked(payload: &Box<dyn Any + Send>) -> Panicked {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    Panicked(text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default())
}

/// A handler as the service that apalis calls.
struct Handler<C, F> {
    ctx: C,
    handle: F,
    width: Width,
}

impl<J, C, F, Fut> Service<Task<Ticket<J>>> for Handler<C, F>
where
    J: Job,
    C: Clone + Send + 'static,
    F: Fn(C, J, JobInfo) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Finish> + Send + 'static,
{
    type Response = Finish;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Finish, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Ticket<J>>) -> Self::Future {
        let Ticket { job, info, .. } = task.args;
        let span = tracing::info_span!("job", queue = J::QUEUE, key = job.key(), deliveries = info.deliveries);
        let (ctx, handle) = (self.ctx.clone(), self.handle.clone());
        let width = self.width.clone();
        let running = async move {
            let _running = width.begin();
            Ok(handle(ctx, job, info).await)
        };
        Box::pin(running.instrument(span))
    }
}

#[cfg(test)]
mod tests;
