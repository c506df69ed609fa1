//! Rooms within one process.

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::buffer::{BUFFER, Buffered};
use super::{Envelope, Received, Rooms, RoomsError, Subscription};

/// Rooms in memory.
pub struct MemoryRooms {
    sender: broadcast::Sender<Received>,
}

impl Default for MemoryRooms {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BUFFER) }
    }
}

#[async_trait]
impl Rooms for MemoryRooms {
    async fn publish(&self, envelopes: Vec<Envelope>) -> Result<(), RoomsError> {
        for envelope in envelopes {
            // An error means that nobody listens, which is fine.
            let _ = self.sender.send(Received::Message(envelope));
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, RoomsError> {
        Ok(Box::new(Buffered { receiver: self.sender.subscribe(), _filled_by: None }))
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
        conformance::a_slow_subscriber_is_told_and_never_blocks_the_publisher(&MemoryRooms::default()).await;
    }
}
