//! The layer around every handler: it bounds the handler's time and turns whatever comes of it into a [`Finish`].

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::{BoxDynError, Task};
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

use super::hands::{Ended, InHand};
use super::worker::{JobInfo, WorkerOptions};
use super::{Finish, Job, metering};
use crate::env::Env;
use crate::telemetry::traces::Origin;

/// A job on its way from the fetcher to the handler.
pub(super) struct Ticket<J> {
    pub(super) job: J,
    pub(super) info: JobInfo,
    /// Where it was pushed, if that is in a trace.
    pub(super) origin: Option<Origin>,
    /// Taken by the layer; the handler itself cannot finish its job.
    pub(super) hand: Option<InHand>,
}

/// Made once per worker.
#[derive(Clone)]
pub(super) struct Finishing {
    pub(super) env: Env,
    pub(super) options: Arc<WorkerOptions>,
    pub(super) ends: mpsc::UnboundedSender<Ended>,
    /// Cancelled when the time to drain is over.
    pub(super) cut: CancellationToken,
}

impl<S> Layer<S> for Finishing {
    type Service = FinishingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FinishingService { inner, layer: self.clone() }
    }
}

pub(super) struct FinishingService<S> {
    inner: S,
    layer: Finishing,
}

impl<S, J> Service<Task<Ticket<J>>> for FinishingService<S>
where
    J: Job,
    S: Service<Task<Ticket<J>>, Response = Finish>,
    S::Error: Into<BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut task: Task<Ticket<J>>) -> Self::Future {
        // What is not in hand any more is somebody else's job.
        let Some(hand) = task.args.hand.take().filter(|hand| !hand.lost.is_cancelled()) else {
            return Box::pin(std::future::ready(Ok(())));
        };
        let info = task.args.info;
        let handler = self.inner.call(task);
        let layer = self.layer.clone();
        Box::pin(async move {
            layer.run::<J, _, _>(hand, info, handler).await;
            Ok(())
        })
    }
}

impl Finishing {
    async fn run<J, H, E>(self, hand: InHand, info: JobInfo, handler: H)
    where
        J: Job,
        H: Future<Output = Result<Finish, E>> + Send,
        E: Into<BoxDynError>,
    {
        if info.deliveries == 1 {
            metering::waited(J::QUEUE, self.env.now().since(info.pushed_at));
        }
        let started = self.env.monotonic();
        let timeout = self.options.job_timeout;
        let end = tokio::select! {
            biased;
            answer = handler => Some(answer.unwrap_or_else(|error| self.crashed(info, error.into().to_string()))),
            () = hand.lost.cancelled() => None,
            () = self.env.sleep(timeout) => Some(self.crashed(info, format!("no answer within {timeout:?}"))),
            // Not a crash: the job did nothing wrong.
            () = self.cut.cancelled() => Some(Finish::retry(Duration::ZERO, "cut off by a shutdown")),
        };
        metering::ran(J::QUEUE, self.env.monotonic().saturating_sub(started));
        match end {
            // Fails only when the reporter is gone with the whole worker; then the lease lapses.
            Some(end) => drop(self.ends.send(Ended { hand, end })),
            None => {
                metering::lost(J::QUEUE);
                tracing::warn!(queue = J::QUEUE, key = hand.key, "a running job was given up: its lease was lost");
            }
        }
    }

    fn crashed(&self, info: JobInfo, reason: String) -> Finish {
        let crashes = info.crashes.saturating_add(1);
        if crashes >= self.options.max_deliveries {
            return Finish::Dead { reason: format!("{reason} (crash {crashes}, the last one allowed)") };
        }
        Finish::Crashed {
            after: self.env.backoff(info.crashes, self.options.crash_base, self.options.crash_cap),
            reason,
        }
    }
}
