//! The jobs that one worker has in its hands: their leases are renewed while they are, and their ends reported in
//! batches.
//!
//! **Invariant.** A job is in hand from its delivery until the store took its end. So a store that is away for a while
//! costs nothing but time, and a worker never holds more jobs than it has slots.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Finish, Lease, Queue, QueueError, metering};
use crate::env::Env;

/// Most leases in one call of the store.
const RENEW_BATCH: usize = 500;
/// Most ends in one call of the store.
const FINISH_BATCH: usize = 256;

/// All jobs in hand.
#[derive(Default)]
pub(super) struct Hands {
    held: Mutex<HashMap<Lease, CancellationToken>>,
}

/// One job in hand; dropped without an end, its lease lapses.
pub(super) struct InHand {
    pub(super) lease: Lease,
    pub(super) key: String,
    /// Cancelled when the job is somebody else's.
    pub(super) lost: CancellationToken,
    hands: Arc<Hands>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.hands.held.lock().remove(&self.lease);
    }
}

/// A job whose end the store has not heard of yet.
pub(super) struct Ended {
    pub(super) hand: InHand,
    pub(super) end: Finish,
}

impl Hands {
    /// Takes a delivered job in hand.
    pub(super) fn take(self: &Arc<Self>, lease: Lease, key: String, slot: OwnedSemaphorePermit) -> InHand {
        let lost = CancellationToken::new();
        self.held.lock().insert(lease.clone(), lost.clone());
        InHand { lease, key, lost, hands: self.clone(), _slot: slot }
    }

    /// Renews all leases at a third of their time, for ever. Two renewals may fail before a lease lapses.
    pub(super) async fn keep(self: Arc<Self>, queue: Arc<dyn Queue>, env: Env) {
        loop {
            env.sleep(queue.lease() / 3).await;
            let leases: Vec<Lease> = self.held.lock().keys().cloned().collect();
            for batch in leases.chunks(RENEW_BATCH) {
                match queue.renew(batch).await {
                    Ok(kept) => self.let_go(batch, &kept),
                    Err(error) => warn!(%error, leases = batch.len(), "leases not renewed"),
                }
            }
        }
    }

    fn let_go(&self, leases: &[Lease], kept: &[bool]) {
        let held = self.held.lock();
        for (lease, _) in leases.iter().zip(kept).filter(|(_, kept)| !**kept) {
            // Those that ended meanwhile are gone from the map.
            if let Some(lost) = held.get(lease) {
                lost.cancel();
            }
        }
    }
}

/// Tells the store of ends, as they come and in batches, until `closing`; then the rest.
pub(super) async fn report(
    queue: Arc<dyn Queue>,
    env: Env,
    mut ends: mpsc::UnboundedReceiver<Ended>,
    closing: CancellationToken,
) {
    let mut batch = Vec::with_capacity(FINISH_BATCH);
    loop {
        tokio::select! {
            biased;
            n = ends.recv_many(&mut batch, FINISH_BATCH) => if n == 0 { return },
            () = closing.cancelled(), if !ends.is_closed() => {
                ends.close();
                continue;
            }
        }
        let (hands, told): (Vec<InHand>, Vec<(Lease, Finish)>) = batch
            .drain(..)
            .map(|Ended { hand, end }| {
                let lease = hand.lease.clone();
                (hand, (lease, end))
            })
            .unzip();
        let mut failures = 0;
        let taken = loop {
            match queue.finish(&told).await {
                Ok(taken) => break taken,
                Err(error) => back_off(&env, &mut failures, &error).await,
            }
        };
        for ((hand, (lease, end)), taken) in hands.iter().zip(&told).zip(taken) {
            tell(&hand.key, lease, end, taken);
        }
    }
}

fn tell(key: &str, lease: &Lease, end: &Finish, taken: bool) {
    let queue = lease.queue;
    if !taken {
        metering::lost(queue);
        warn!(queue, key, "a job ended after its lease was lost");
        return;
    }
    metering::ended(queue, end);
    match end {
        Finish::Done { .. } => {}
        Finish::Retry { after, reason } => info!(queue, key, ?after, reason, "a job will be tried again"),
        Finish::Crashed { after, reason } => warn!(queue, key, ?after, reason, "a job crashed"),
        Finish::Dead { reason } => error!(queue, key, reason, "a job is dead"),
        Finish::HandBack { reason } => info!(queue, key, reason, "a job keeps its place in the line"),
    }
}

/// Waits before the store is asked again.
pub(super) async fn back_off(env: &Env, failures: &mut u32, error: &QueueError) {
    let wait = store_pause(env, *failures);
    warn!(%error, ?wait, failures, "the queue's store failed");
    *failures = failures.saturating_add(1);
    env.sleep(wait).await;
}

/// The pause after so many failures in a row.
pub(super) fn store_pause(env: &Env, failures: u32) -> Duration {
    env.backoff(failures, Duration::from_millis(100), Duration::from_secs(5))
}
