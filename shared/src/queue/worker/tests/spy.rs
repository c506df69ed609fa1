//! A store that tells what it was asked, and fails when told to.

use super::*;
use crate::queue::{DeadJob, Gauges, Lease, Pushed, QueueError};

/// What was asked of the store.
#[derive(Debug, PartialEq)]
pub(super) enum Act {
    Ended(Finish, bool),
    Renewed(Vec<bool>),
    HandedBack(usize),
}

impl Act {
    pub(super) async fn next_end(acts: &mut mpsc::UnboundedReceiver<Self>) -> (Finish, bool) {
        loop {
            if let Self::Ended(end, taken) = acts.recv().await.unwrap() {
                return (end, taken);
            }
        }
    }
}

pub(super) struct Spy {
    inner: Memory,
    acts: mpsc::UnboundedSender<Act>,
    pub(super) fail_fetches: AtomicUsize,
    pub(super) fail_finishes: AtomicUsize,
    pub(super) fail_renewals: AtomicBool,
    pub(super) panic_in_fetch: AtomicBool,
}

impl Spy {
    pub(super) fn new(inner: Memory) -> (Arc<Self>, mpsc::UnboundedReceiver<Act>) {
        let (acts, seen) = mpsc::unbounded_channel();
        let spy = Self {
            inner,
            acts,
            fail_fetches: AtomicUsize::new(0),
            fail_finishes: AtomicUsize::new(0),
            fail_renewals: AtomicBool::new(false),
            panic_in_fetch: AtomicBool::new(false),
        };
        (Arc::new(spy), seen)
    }

    fn act(&self, act: Act) {
        // A test may have stopped listening.
        let _ = self.acts.send(act);
    }
}

fn fail_while(left: &AtomicUsize) -> Result<(), QueueError> {
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => Err(QueueError::Store("as told".into())),
        Err(_) => Ok(()),
    }
}

#[async_trait::async_trait]
impl Queue for Spy {
    fn lease(&self) -> Duration {
        self.inner.lease()
    }

    async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, QueueError> {
        self.inner.push(jobs).await
    }

    async fn fetch(&self, queue: &'static str, consumer: &str, max: usize) -> Result<Vec<Delivery>, QueueError> {
        fail_while(&self.fail_fetches)?;
        assert!(!self.panic_in_fetch.swap(false, Ordering::SeqCst), "as told");
        self.inner.fetch(queue, consumer, max).await
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, QueueError> {
        if self.fail_renewals.load(Ordering::SeqCst) {
            self.act(Act::Renewed(Vec::new()));
            return Err(QueueError::Store("as told".into()));
        }
        let kept = self.inner.renew(leases).await?;
        self.act(Act::Renewed(kept.clone()));
        Ok(kept)
    }

    async fn finish(&self, ends: &[(Lease, Finish)]) -> Result<Vec<bool>, QueueError> {
        fail_while(&self.fail_finishes)?;
        let taken = self.inner.finish(ends).await?;
        for ((_, end), taken) in ends.iter().zip(&taken) {
            self.act(Act::Ended(end.clone(), *taken));
        }
        Ok(taken)
    }

    async fn hand_back(&self, leases: &[Lease]) -> Result<(), QueueError> {
        self.inner.hand_back(leases).await?;
        self.act(Act::HandedBack(leases.len()));
        Ok(())
    }

    async fn gauges(&self, queue: &'static str) -> Result<Gauges, QueueError> {
        self.inner.gauges(queue).await
    }

    async fn dead(&self, queue: &'static str, max: usize) -> Result<Vec<DeadJob>, QueueError> {
        self.inner.dead(queue, max).await
    }

    async fn retry_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        self.inner.retry_dead(queue, key).await
    }

    async fn discard_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        self.inner.discard_dead(queue, key).await
    }
}
