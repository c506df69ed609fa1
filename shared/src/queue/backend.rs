//! The apalis [`Backend`] over any [`Queue`].
//!
//! Four tasks serve one worker: the *fetcher* asks the store for as many jobs as there are free slots, and waits there
//! for the next push, so a job starts as soon as it is pushed; the *keeper* renews leases; the *reporter* tells the
//! store of ends; the *watcher* notices a shutdown. None of them ends because the store fails: they back off.
//!
//! A slot is free again once the store took the end of its job. There are more slots than handlers
//! ([`WorkerOptions::prefetch`]), so that the next job is at hand while ends are on their way.
//!
//! The backend is an ephemeral one in apalis's words: it hands out decoded jobs. Its durable kind decodes inside apalis,
//! where a payload that cannot be read ends the worker; here it becomes a dead letter.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::{Backend, Task, TaskBuilder, TaskId, WorkerContext};
use apalis_core::backend::BackendConfig;
use apalis_core::backend::finalize::Ephemeral;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::hands::{Ended, Hands, back_off, report, store_pause};
use super::middleware::{Finishing, Ticket};
use super::worker::{JobInfo, WorkerOptions};
use super::{Delivery, Job, Lease, Queue, QueueError};
use crate::env::Env;

/// Most jobs in one fetch.
const FETCH_BATCH: usize = 256;
/// apalis tells nobody that it begins to stop while jobs run; its flag is looked at this often.
const SHUTDOWN_CHECK: Duration = Duration::from_millis(50);
/// How long a closing worker tries to tell the store of its last ends.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Jobs that were fetched and not started: filled by the fetcher, read by the worker, emptied at a shutdown.
type Tickets<J> = Arc<Mutex<mpsc::UnboundedReceiver<Ticket<J>>>>;

/// One worker's view of a queue.
pub(super) struct QueueBackend<J> {
    queue: Arc<dyn Queue>,
    env: Env,
    options: Arc<WorkerOptions>,
    restarts: u32,
    tickets: Tickets<J>,
    ends: mpsc::UnboundedSender<Ended>,
    /// The other ends of the channels, until the start.
    idle: Option<(mpsc::UnboundedSender<Ticket<J>>, mpsc::UnboundedReceiver<Ended>)>,
    /// From the start to the closing.
    tasks: Option<Tasks>,
    closing: Option<BoxFuture<'static, ()>>,
    /// No job is fetched or started any more.
    stop: CancellationToken,
    /// Running jobs are cut off.
    cut: CancellationToken,
}

struct Tasks {
    fetcher: AbortOnDropHandle<()>,
    reporter: AbortOnDropHandle<()>,
    _keeper: AbortOnDropHandle<()>,
    _watcher: AbortOnDropHandle<()>,
    _width: Option<AbortOnDropHandle<()>>,
    /// The reporter reports what is left and ends.
    last_ends: CancellationToken,
}

impl<J: Job> QueueBackend<J> {
    /// `restarts`: how often the worker broke before. A store that always panics must not make it spin.
    pub(super) fn new(queue: Arc<dyn Queue>, env: Env, options: Arc<WorkerOptions>, restarts: usize) -> Self {
        // Neither channel needs a bound of its own: whatever is in them holds a slot.
        let (fetched, tickets) = mpsc::unbounded_channel();
        let (ends, unreported) = mpsc::unbounded_channel();
        Self {
            queue,
            env,
            options,
            restarts: u32::try_from(restarts).unwrap_or(u32::MAX),
            tickets: Arc::new(Mutex::new(tickets)),
            ends,
            idle: Some((fetched, unreported)),
            tasks: None,
            closing: None,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    fn start(&mut self, worker: &WorkerContext) {
        let Some((fetched, unreported)) = self.idle.take() else { return };
        let hands = Arc::new(Hands::default());
        let last_ends = CancellationToken::new();
        let fetcher = Fetcher {
            queue: self.queue.clone(),
            env: self.env.clone(),
            options: self.options.clone(),
            restarts: self.restarts,
            consumer: worker.name().to_owned(),
            slots: Arc::new(Semaphore::new(self.options.slots())),
            hands: hands.clone(),
            fetched,
            tickets: self.tickets.clone(),
            ends: self.ends.clone(),
            stop: self.stop.clone(),
        };
        let reporter = report(self.queue.clone(), self.env.clone(), unreported, last_ends.clone());
        let watcher = watch(worker.clone(), self.env.clone(), self.options.drain, self.stop.clone(), self.cut.clone());
        let width = self.options.width.clone();
        let width = width.map(|width| AbortOnDropHandle::new(tokio::spawn(async move { width.keep().await })));
        self.tasks = Some(Tasks {
            fetcher: AbortOnDropHandle::new(tokio::spawn(fetcher.run())),
            reporter: AbortOnDropHandle::new(tokio::spawn(reporter)),
            _keeper: AbortOnDropHandle::new(tokio::spawn(hands.keep(self.queue.clone(), self.env.clone()))),
            _watcher: AbortOnDropHandle::new(tokio::spawn(watcher)),
            _width: width,
            last_ends,
        });
    }
}

impl<J: Job> Backend for QueueBackend<J> {
    type Task = Task<Ticket<J>>;
    type Error = QueueError;

    fn poll_ready(&mut self, _: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), QueueError>> {
        self.start(worker);
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Self::Task, QueueError>>> {
        match self.tickets.lock().poll_recv(cx) {
            Poll::Ready(Some(ticket)) => {
                let id =
                    TaskId::from_string(ticket.hand.as_ref().map(|hand| hand.lease.id.as_str()).unwrap_or_default());
                Poll::Ready(Some(Ok(TaskBuilder::new(ticket).task_id(id).build())))
            }
            // Stopping: the worker finds out by itself.
            Poll::Ready(None) if self.stop.is_cancelled() => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Some(Err(QueueError::FetcherEnded { queue: J::QUEUE }))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Called once nothing runs any more.
    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), QueueError>> {
        self.stop.cancel();
        if let Some(tasks) = self.tasks.take() {
            let env = self.env.clone();
            self.closing = Some(Box::pin(async move {
                if env.timeout(CLOSE_LIMIT, tasks.close()).await.is_none() {
                    warn!(queue = J::QUEUE, "the last jobs could not be reported; their leases will lapse");
                }
            }));
        }
        match &mut self.closing {
            Some(closing) => closing.poll_unpin(cx).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<J: Job> BackendConfig for QueueBackend<J> {
    type Args = Ticket<J>;
    type Id = String;
    type Kind = Ephemeral;
    type Config = WorkerOptions;
    type Layer = Finishing;

    fn config(&self) -> &WorkerOptions {
        &self.options
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Finishing {
        let (env, options) = (self.env.clone(), self.options.clone());
        Finishing { env, options, ends: self.ends.clone(), cut: self.cut.clone() }
    }
}

impl Tasks {
    async fn close(self) {
        // The fetcher first, for it may still send ends. That a task panicked was logged by the panic itself.
        let _ = self.fetcher.await;
        self.last_ends.cancel();
        let _ = self.reporter.await;
    }
}

/// Stops fetching as soon as the worker is to stop, and cuts off after `drain` what then still runs.
async fn watch(worker: WorkerContext, env: Env, drain: Duration, stop: CancellationToken, cut: CancellationToken) {
    while !worker.is_shutting_down() {
        env.sleep(SHUTDOWN_CHECK).await;
    }
    stop.cancel();
    env.sleep(drain).await;
    cut.cancel();
}

/// Slots that are kept free for as long as fewer jobs may be in hand than there are slots.
struct Kept {
    most: Option<watch::Receiver<usize>>,
    slots: Vec<OwnedSemaphorePermit>,
}

impl Kept {
    fn new(most: Option<watch::Receiver<usize>>) -> Self {
        Self { most, slots: Vec::new() }
    }

    /// Gives back what is kept too many; whether as many are kept as should be.
    fn adjust(&mut self, all: usize) -> bool {
        let most = self.most.as_mut().map_or(all, |most| (*most.borrow_and_update()).max(1));
        let wanted = all.saturating_sub(most);
        self.slots.truncate(wanted);
        self.slots.len() == wanted
    }

    async fn changed(&mut self) {
        let Some(most) = &mut self.most else { return std::future::pending().await };
        // Who set it is gone: it stays as it is.
        if most.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

struct Fetcher<J> {
    queue: Arc<dyn Queue>,
    env: Env,
    options: Arc<WorkerOptions>,
    restarts: u32,
    consumer: String,
    slots: Arc<Semaphore>,
    hands: Arc<Hands>,
    fetched: mpsc::UnboundedSender<Ticket<J>>,
    tickets: Tickets<J>,
    ends: mpsc::UnboundedSender<Ended>,
    stop: CancellationToken,
}

impl<J: Job> Fetcher<J> {
    async fn run(self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.fetch() => {}
        }
        self.hand_back().await;
    }

    async fn fetch(&self) {
        if self.restarts > 0 {
            self.env.sleep(store_pause(&self.env, self.restarts - 1)).await;
        }
        let mut failures = 0;
        let mut kept = Kept::new(self.options.in_hand.clone());
        while let Some(mut slots) = self.free_slots(&mut kept).await {
            match self.queue.fetch(J::QUEUE, &self.consumer, slots.num_permits()).await {
                Ok(deliveries) => {
                    failures = 0;
                    for delivery in deliveries {
                        // More than was asked for would be the store's mistake; it lapses.
                        let Some(slot) = slots.split(1) else { break };
                        self.deliver(delivery, slot);
                    }
                }
                Err(error) => back_off(&self.env, &mut failures, &error).await,
            }
        }
    }

    /// Waits for a free slot, and takes the others that are free with it, but for those that are to be kept.
    async fn free_slots(&self, kept: &mut Kept) -> Option<OwnedSemaphorePermit> {
        let mut slots = loop {
            let is_enough = kept.adjust(self.options.slots());
            tokio::select! {
                biased;
                () = kept.changed() => {}
                slot = self.slots.clone().acquire_owned() => match slot.ok()? {
                    slot if is_enough => break slot,
                    slot => kept.slots.push(slot),
                }
            }
        };
        let more = u32::try_from(self.slots.available_permits().min(FETCH_BATCH - 1)).unwrap_or(0);
        if let Ok(more) = self.slots.clone().try_acquire_many_owned(more) {
            slots.merge(more);
        }
        Some(slots)
    }

    fn deliver(&self, delivery: Delivery, slot: OwnedSemaphorePermit) {
        let admitted = delivery.admit::<J>(self.options.max_deliveries);
        let info = JobInfo::of(&delivery);
        let hand = self.hands.take(delivery.lease, delivery.key, slot);
        // Sending fails only when the worker is gone; then the lease lapses.
        match admitted {
            Ok(job) => drop(self.fetched.send(Ticket { job, info, hand: Some(hand) })),
            Err(end) => drop(self.ends.send(Ended { hand, end })),
        }
    }

    async fn hand_back(self) {
        let hands: Vec<_> = {
            let mut tickets = self.tickets.lock();
            tickets.close();
            std::iter::from_fn(|| tickets.try_recv().ok()).filter_map(|ticket| ticket.hand).collect()
        };
        let leases: Vec<Lease> = hands.iter().map(|hand| hand.lease.clone()).collect();
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.queue.hand_back(&leases).await {
            warn!(%error, jobs = leases.len(), "jobs were not handed back; their leases will lapse");
        }
    }
}
