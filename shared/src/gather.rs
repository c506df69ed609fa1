//! One round trip for many callers: while one is under way, those who ask next gather, and go together.
//!
//! Nobody waits for others to come: an idle server is asked at once, a busy one in batches that grow with the load. Only
//! those who can run already have their turn first, since they may be about to ask the same. So a crowd costs a server
//! and this process little more per head than the work itself.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Those who wait, and for what.
type Waiting<Q, A> = Vec<(Q, oneshot::Sender<A>)>;

/// Questions of one kind that may go together. Clones are the same.
pub struct Gather<Q, A> {
    /// `None` while nobody asks; locked for a moment, never across an await.
    waiting: Arc<Mutex<Option<Waiting<Q, A>>>>,
    /// Questions that go together at most.
    most: usize,
}

impl<Q, A> Clone for Gather<Q, A> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone(), most: self.most }
    }
}

impl<Q: Send + 'static, A: Send + 'static> Gather<Q, A> {
    /// At most so many questions go together.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { waiting: Arc::default(), most: most.max(1) }
    }

    /// Asks together with whoever asks meanwhile. `act` answers many questions, in their order; every caller brings the
    /// same. `None` when there was no answer. Who stops waiting takes nothing back: the question is asked all the same.
    pub async fn ask<F, Fut>(&self, question: Q, act: F) -> Option<A>
    where
        F: Fn(Vec<Q>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<A>> + Send + 'static,
    {
        let (answer, told) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock();
            let is_first = waiting.is_none();
            waiting.get_or_insert_with(Vec::new).push((question, answer));
            is_first
        };
        if is_first {
            tokio::spawn(self.clone().run(act));
        }
        told.await.ok()
    }

    async fn run<F, Fut>(self, act: F)
    where
        F: Fn(Vec<Q>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<A>> + Send + 'static,
    {
        // Should `act` panic, whoever asks next begins anew.
        let ends = Ends(&self);
        loop {
            tokio::task::yield_now().await;
            let Some(batch) = self.next() else { break };
            let (questions, callers): (Vec<Q>, Vec<_>) = batch.into_iter().unzip();
            for (caller, answer) in callers.into_iter().zip(act(questions).await) {
                // Who does not wait any more need not hear it.
                let _ = caller.send(answer);
            }
        }
        std::mem::forget(ends);
    }

    /// Those who go next; nobody when it is over.
    fn next(&self) -> Option<Waiting<Q, A>> {
        let mut waiting = self.waiting.lock();
        let all = waiting.as_mut()?;
        if all.is_empty() {
            *waiting = None;
            return None;
        }
        let rest = all.split_off(self.most.min(all.len()));
        Some(std::mem::replace(all, rest))
    }
}

struct Ends<'a, Q, A>(&'a Gather<Q, A>);

impl<Q, A> Drop for Ends<'_, Q, A> {
    fn drop(&mut self) {
        *self.0.waiting.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_crowd_is_answered_in_few_batches_each_with_its_own_answer() {
        let (gather, batches) = (Gather::new(40), Arc::new(AtomicUsize::new(0)));
        let ask = |n: u32| {
            let (gather, batches) = (gather.clone(), batches.clone());
            async move {
                let act = move |questions: Vec<u32>| {
                    batches.fetch_add(1, Ordering::Relaxed);
                    assert!(questions.len() <= 40);
                    async move {
                        tokio::task::yield_now().await;
                        questions.into_iter().map(|n| n * 2).collect()
                    }
                };
                (n, gather.ask(n, act).await)
            }
        };
        for (n, answer) in futures::future::join_all((0..100).map(ask)).await {
            assert_eq!(answer, Some(n * 2));
        }
        assert_eq!(batches.load(Ordering::Relaxed), 3);
        assert_eq!(ask(7).await, (7, Some(14)), "and it begins anew");
    }

    #[tokio::test]
    async fn a_batch_that_panics_leaves_nobody_waiting_for_ever() {
        let gather: Gather<u32, u32> = Gather::new(10);
        let act = |questions: Vec<u32>| async move {
            assert!(!questions.contains(&1), "this is meant to panic");
            questions
        };
        assert_eq!(gather.ask(1, act).await, None);
        assert_eq!(gather.ask(2, act).await, Some(2));
    }
}
