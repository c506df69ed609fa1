//! Rooms: what a worker says about an order reaches every socket of its customer, whichever web process has them.
//!
//! Publishing follows the commit, and promises nothing: a message that is lost costs a snapshot, never a wrong state.
//! A subscriber that missed something is told so ([`Received::Interrupted`]) and takes a snapshot of its live rooms.

mod buffer;
pub mod memory;
pub mod redis;

pub use buffer::BUFFER;

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

/// The rooms could not be reached.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the rooms failed: {0}")]
pub struct RoomsError(pub String);

/// Something for one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The customer, whose id is the room's name.
    pub room: Uuid,
    /// The frame, as the sockets send it.
    pub frame: Arc<str>,
}

/// What a subscription gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Something for a room.
    Message(Envelope),
    /// Messages may have been lost.
    Interrupted,
}

/// A subscription to all rooms.
#[async_trait]
pub trait Subscription: Send {
    /// The next message; `None` when there will never be another.
    async fn next(&mut self) -> Option<Received>;
}

/// Publish and subscribe by room.
#[async_trait]
pub trait Rooms: Send + Sync + 'static {
    /// Publishes to rooms; nobody listening is no error.
    async fn publish(&self, envelopes: Vec<Envelope>) -> Result<(), RoomsError>;
    /// Subscribes to all rooms. Messages that are published after this returned are received.
    async fn subscribe(&self) -> Result<Box<dyn Subscription>, RoomsError>;
}

/// Rooms that are shared by everything in a process.
pub type SharedRooms = Arc<dyn Rooms>;

/// What every implementation must do; run on each.
#[cfg(any(test, feature = "conformance"))]
pub mod conformance {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test suite, kept where other crates can run it")]

    use std::time::Duration;

    use uuid::Uuid;

    use super::{BUFFER, Envelope, Received, Rooms};
    use crate::env::Env;

    fn envelope(room: u128, frame: &str) -> Envelope {
        Envelope { room: Uuid::from_u128(room), frame: frame.into() }
    }

    /// Every subscriber gets every message, in order; publishing to nobody is fine.
    pub async fn every_subscriber_gets_every_message_in_order(rooms: &dyn Rooms) {
        rooms.publish(vec![]).await.unwrap();
        rooms.publish(vec![envelope(1, "before")]).await.unwrap();
        let mut subscriptions = [rooms.subscribe().await.unwrap(), rooms.subscribe().await.unwrap()];
        for n in 0..100 {
            rooms.publish(vec![envelope(n % 7, &format!("a{n}")), envelope(n % 5, &format!("b{n}"))]).await.unwrap();
        }
        for subscription in &mut subscriptions {
            for n in 0..100 {
                let (a, b) = (envelope(n % 7, &format!("a{n}")), envelope(n % 5, &format!("b{n}")));
                assert_eq!(subscription.next().await, Some(Received::Message(a)));
                assert_eq!(subscription.next().await, Some(Received::Message(b)));
            }
        }
    }

    /// A subscriber that does not keep up is told that it missed something, and goes on.
    pub async fn a_slow_subscriber_is_told_and_never_blocks_the_publisher(rooms: &dyn Rooms) {
        let env = Env::system();
        let mut slow = rooms.subscribe().await.unwrap();
        // What is published may still be on its way: one that is read makes room for one more.
        loop {
            let many = (0..BUFFER + 10).map(|n| envelope(1, &n.to_string())).collect();
            rooms.publish(many).await.unwrap();
            match slow.next().await {
                Some(Received::Interrupted) => break,
                Some(Received::Message(_)) => {}
                None => panic!("the subscription ended"),
            }
        }
        rooms.publish(vec![envelope(1, "last")]).await.unwrap();
        loop {
            match env.timeout(Duration::from_secs(1), slow.next()).await {
                Some(Some(Received::Message(message))) if &*message.frame == "last" => break,
                Some(Some(_)) => {}
                Some(None) => panic!("the subscription ended"),
                // It missed even that, as it may.
                None => rooms.publish(vec![envelope(1, "last")]).await.unwrap(),
            }
        }
    }
}
