//! Rooms within one process.

use async_trait::async_trait;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Envelope, Received, Rooms, RoomsError, Subscription};

/// Messages that a subscriber may be behind before it misses some.
pub const BUFFER: usize = 1 << 14;

/// Rooms in memory.
pub struct MemoryRooms {
    sender: broadcast::Sender<Envelope>,
}

impl Default for MemoryRooms {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BUFFER) }
    }
}

struct MemorySubscription(broadcast::Receiver<Envelope>);

#[async_trait]
impl Rooms for MemoryRooms {
    async fn publish(&self, envelopes: Vec<Envelope>) -> Result<(), RoomsError> {
        for envelope in envelopes {
            // An error means that nobody listens, which is fine.
            let _ = self.sender.send(envelope);
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, RoomsError> {
        Ok(Box::new(MemorySubscription(self.sender.subscribe())))
    }
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Option<Received> {
        match self.0.recv().await {
            Ok(envelope) => Some(Received::Message(envelope)),
            Err(RecvError::Lagged(_)) => Some(Received::Interrupted),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    #[tokio::test]
    async fn every_subscriber_gets_every_message_in_order() {
        conformance::every_subscriber_gets_every_message_in_order(&MemoryRooms::default()).await;
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_and_never_blocks_the_publisher() {
        conformance::a_slow_subscriber_is_told_and_never_blocks_the_publisher(&MemoryRooms::default(), BUFFER).await;
    }
}
