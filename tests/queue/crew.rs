//! Worker processes in miniature: each has a runtime and connections of its own, and can be killed.

use std::time::Duration;

use apalis::prelude::{Monitor, MonitorError};
use serde::{Deserialize, Serialize};
use shared::env::Env;
use shared::queue::worker::{JobInfo, WorkerOptions, register};
use shared::queue::{Finish, Job, NewJob, QueueOptions};
use tests::harness::redis::Redis;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::connect_to;

/// How long anything may take that a story waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A lease that a story can wait for, and that a busy machine renews in time nevertheless.
pub(super) const SHORT: QueueOptions = QueueOptions { lease: Duration::from_millis(500), max_len: 100_000 };
/// A lease that no story outlives.
pub(super) const LONG: QueueOptions = QueueOptions { lease: Duration::from_secs(600), max_len: 100_000 };

/// What the stories push.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Number(pub(super) u32);

impl Job for Number {
    const QUEUE: &'static str = "numbers";

    fn key(&self) -> String {
        self.0.to_string()
    }
}

pub(super) fn numbers(numbers: impl IntoIterator<Item = u32>) -> Vec<NewJob> {
    numbers.into_iter().map(|n| NewJob::of(&Number(n)).unwrap()).collect()
}

/// Options with pauses after a crash that are hardly any.
pub(super) fn options(name: &str, concurrency: usize) -> WorkerOptions {
    WorkerOptions {
        crash_base: Duration::from_millis(1),
        crash_cap: Duration::from_millis(5),
        ..WorkerOptions::new(name, concurrency)
    }
}

/// A process with one worker.
pub(super) struct Crew {
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    work: JoinHandle<Result<(), MonitorError>>,
}

impl Crew {
    pub(super) fn start<C, F, Fut>(
        redis: &Redis,
        store: QueueOptions,
        options: WorkerOptions,
        ctx: C,
        handle: F,
    ) -> Self
    where
        C: Clone + Send + Sync + 'static,
        F: Fn(C, Number, JobInfo) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Finish> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let url = redis.url();
        let work = runtime.spawn(async move {
            let queue = connect_to(&url, store).await;
            let monitor = register::<Number, _, _, _>(Monitor::new(), queue, Env::system(), options, ctx, handle);
            let signal = async {
                let _ = stopped.await;
                Ok(())
            };
            monitor.run_with_signal(signal).await
        });
        Self { runtime: Some(runtime), stop: Some(stop), work }
    }

    /// Ends it where it stands: nothing is reported and nothing handed back.
    pub(super) fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    /// Asks it to stop, as a deployment does.
    pub(super) fn ask_to_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Asks it to stop, unless that was done, and waits until it has.
    pub(super) async fn stop(mut self) {
        if self.stop.is_some() {
            self.ask_to_stop();
        }
        tokio::time::timeout(PATIENCE, &mut self.work).await.expect("it stops").unwrap().unwrap();
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // A runtime must not be dropped where another one runs.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until something holds.
pub(super) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waited).await.is_ok(), "still not so after {PATIENCE:?}: {what}");
}

/// Waits for something to happen.
pub(super) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, event).await;
    waited.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}
