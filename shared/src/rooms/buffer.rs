//! What lies between whoever publishes and a subscriber that is slower: a bounded buffer that forgets the oldest.

use async_trait::async_trait;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::task::AbortOnDropHandle;

use super::{Received, Subscription};

/// Messages that a subscriber may be behind before it misses some.
pub const BUFFER: usize = 1 << 14;

/// A subscription at the end of a buffer.
pub(super) struct Buffered {
    pub(super) receiver: broadcast::Receiver<Received>,
    /// The task that fills the buffer, if it is this subscription's own; it ends with it.
    pub(super) _filled_by: Option<AbortOnDropHandle<()>>,
}

#[async_trait]
impl Subscription for Buffered {
    async fn next(&mut self) -> Option<Received> {
        match self.receiver.recv().await {
            Ok(received) => Some(received),
            Err(RecvError::Lagged(_)) => Some(Received::Interrupted),
            Err(RecvError::Closed) => None,
        }
    }
}
