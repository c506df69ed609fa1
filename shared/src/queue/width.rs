//! How many handlers of a worker run at the same time: a number that can be changed while they do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, watch};

/// How many handlers run at the same time, at most; clones are the same.
///
/// Whoever runs goes on when there are to be fewer. Then nobody begins until enough have ended: the permits that come back
/// go to whoever takes them away, who stands in the same line.
#[derive(Clone, Debug)]
pub struct Width(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permits: Arc<Semaphore>,
    /// As it should be.
    most: watch::Sender<usize>,
    /// As it is: permits that are free or taken.
    is: AtomicUsize,
    /// Handlers that run. A permit may be taken before there is a job for it.
    running: AtomicUsize,
}

/// A handler that runs, until this is dropped.
pub(super) struct Running(Width);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Width {
    /// So many, one at least.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = bounded(most);
        let permits = Arc::new(Semaphore::new(most));
        Self(Arc::new(Inner {
            permits,
            most: watch::Sender::new(most),
            is: AtomicUsize::new(most),
            running: AtomicUsize::new(0),
        }))
    }

    /// So many from now on, one at least.
    pub fn set(&self, most: usize) {
        let most = bounded(most);
        self.0.most.send_if_modified(|before| std::mem::replace(before, most) != most);
    }

    /// How many run at most, once those have ended that are too many.
    #[must_use]
    pub fn most(&self) -> usize {
        *self.0.most.borrow()
    }

    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// One more runs.
    pub(super) fn begin(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    pub(super) fn permits(&self) -> Arc<Semaphore> {
        self.0.permits.clone()
    }

    /// Makes it so, for ever. One of them at a time: the next one goes on where the last one was dropped.
    pub(super) async fn keep(&self) {
        let Inner { permits, most, is, .. } = &*self.0;
        let mut wanted = most.subscribe();
        loop {
            let (now, then) = (is.load(Ordering::Relaxed), *wanted.borrow_and_update());
            if now < then {
                permits.add_permits(then - now);
                is.store(then, Ordering::Relaxed);
            }
            let surplus = u32::try_from(now.saturating_sub(then)).unwrap_or(u32::MAX);
            tokio::select! {
                biased;
                // Who sets it is this very value.
                _ = wanted.changed() => {}
                taken = permits.acquire_many(surplus), if surplus > 0 => {
                    let Ok(taken) = taken else { return };
                    taken.forget();
                    is.store(then, Ordering::Relaxed);
                }
            }
        }
    }
}

fn bounded(most: usize) -> usize {
    most.clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn who_runs_goes_on_and_nobody_begins_until_enough_have_ended() {
        let width = Width::new(4);
        let mut keep = Box::pin(width.keep());
        let mut kept = || assert!((&mut keep).now_or_never().is_none());
        let permits = width.permits();
        let begin = || Some((permits.clone().try_acquire_owned().ok()?, width.begin()));
        let mut running: Vec<_> = std::iter::from_fn(begin).collect();
        assert_eq!((running.len(), width.running(), width.most()), (4, 4, 4));
        width.set(2);
        kept();
        assert_eq!((width.running(), width.most()), (4, 2));
        for left in [3, 2] {
            running.pop();
            kept();
            assert!(begin().is_none(), "{left} are enough");
        }
        assert_eq!(width.running(), 2);
        running.pop();
        running.extend(begin());
        assert_eq!((running.len(), begin().is_none()), (2, true));
        width.set(5);
        kept();
        running.extend(std::iter::from_fn(begin));
        assert_eq!((running.len(), width.running()), (5, 5));
    }

    #[test]
    fn a_number_that_changes_again_before_it_came_about_is_forgotten() {
        let width = Width::new(3);
        let mut keep = Box::pin(width.keep());
        let permits = width.permits();
        let running: Vec<_> = (0..3).map(|_| permits.clone().try_acquire_owned().unwrap()).collect();
        width.set(1);
        assert!((&mut keep).now_or_never().is_none());
        width.set(3);
        assert!((&mut keep).now_or_never().is_none());
        drop(running);
        assert!((&mut keep).now_or_never().is_none());
        assert_eq!(permits.available_permits(), 3);
        width.set(0);
        assert!((&mut keep).now_or_never().is_none());
        assert_eq!((permits.available_permits(), width.most()), (1, 1), "none at all would be no worker");
    }
}
