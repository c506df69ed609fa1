//! Rooms over Redis: publish in one process, deliver in another.
//!
//! Every web process joins the same [`CHANNELS`] channels once, when it starts; a room belongs to the channel that its
//! id hashes to. So a new socket costs Redis nothing, and a message for a room that nobody here is in costs one
//! look-up. Redis promises no delivery: after a gap the subscriber says [`Received::Interrupted`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{RedisError, RedisResult};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::buffer::{BUFFER, Buffered};
use super::{Envelope, Received, Rooms, RoomsError, Subscription};
use crate::env::Env;
use crate::redis_server::RedisServer;

/// How many channels there are. Every process has to agree on it.
pub const CHANNELS: u128 = 64;
/// A silent connection is asked whether it is still there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long it may take to answer that, or to be made.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Messages that are taken from the connection at once, if they are there.
const BATCH: usize = 512;
/// The first and the longest pause before a connection is made again.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Rooms in Redis.
pub struct RedisRooms {
    server: RedisServer,
    env: Env,
}

impl RedisRooms {
    /// Rooms on this server.
    #[must_use]
    pub fn new(server: RedisServer, env: Env) -> Self {
        Self { server, env }
    }

    fn channel(&self, number: u128) -> String {
        // Channels are shared by all databases of a server, unlike keys.
        format!("stampede:{}:rooms:{number}", self.server.database())
    }
}

#[async_trait]
impl Rooms for RedisRooms {
    async fn publish(&self, envelopes: Vec<Envelope>) -> Result<(), RoomsError> {
        // An empty pipeline has no answer.
        if envelopes.is_empty() {
            return Ok(());
        }
        let mut calls = redis::pipe();
        for envelope in &envelopes {
            let mut payload = envelope.room.as_bytes().to_vec();
            payload.extend_from_slice(envelope.frame.as_bytes());
            calls.publish(self.channel(envelope.room.as_u128() % CHANNELS), payload).ignore();
        }
        calls.query_async(&mut self.server.commands()).await.map_err(failed)
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, RoomsError> {
        let channels = (0..CHANNELS).map(|number| self.channel(number)).collect();
        let (sender, receiver) = broadcast::channel(BUFFER);
        let mut reader = Reader { server: self.server.clone(), env: self.env.clone(), channels, sender };
        let wire = reader.join().await.map_err(failed)?;
        let reading = AbortOnDropHandle::new(tokio::spawn(reader.read(wire)));
        Ok(Box::new(Buffered { receiver, _filled_by: Some(reading) }))
    }
}

fn failed(error: RedisError) -> RoomsError {
    RoomsError(error.to_string())
}

type Wire = (PubSubSink, PubSubStream);

/// Reads a subscription's connection as fast as Redis sends, whatever its owner does, and makes it again for ever.
struct Reader {
    server: RedisServer,
    env: Env,
    channels: Vec<String>,
    sender: broadcast::Sender<Received>,
}

impl Reader {
    async fn join(&mut self) -> RedisResult<Wire> {
        let joining = async {
            let (mut sink, stream) = self.server.pubsub().await?.split();
            sink.subscribe(&self.channels).await?;
            Ok((sink, stream))
        };
        let joined = self.env.timeout(ANSWER_WITHIN, joining).await;
        joined.unwrap_or_else(|| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }

    async fn read(mut self, mut wire: Wire) {
        loop {
            self.until_lost(&mut wire).await;
            tracing::warn!("the subscription to the rooms is lost; it is made again");
            let mut tries = 0;
            wire = loop {
                match self.join().await {
                    Ok(wire) => break wire,
                    Err(error) => tracing::debug!(%error, "the rooms cannot be subscribed yet"),
                }
                self.env.sleep(self.env.backoff(tries, RECONNECT.0, RECONNECT.1)).await;
                tries = tries.saturating_add(1);
            };
            // Only now: what is published from here on is received, so a snapshot taken now misses nothing.
            self.tell(Received::Interrupted);
        }
    }

    async fn until_lost(&self, (sink, stream): &mut Wire) {
        let mut stream = stream.ready_chunks(BATCH);
        loop {
            match self.env.timeout(HEARTBEAT, stream.next()).await {
                Some(Some(messages)) => messages.iter().for_each(|message| self.pass_on(message)),
                Some(None) => return,
                None => {
                    let alive = self.env.timeout(ANSWER_WITHIN, sink.ping::<redis::Value>()).await;
                    if !matches!(alive, Some(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }

    fn pass_on(&self, message: &redis::Msg) {
        match envelope(message.get_payload_bytes()) {
            Some(envelope) => self.tell(Received::Message(envelope)),
            None => tracing::warn!(channel = message.get_channel_name(), "not a message of ours"),
        }
    }

    fn tell(&self, received: Received) {
        // An error means that the subscription was just dropped.
        let _ = self.sender.send(received);
    }
}

/// A payload is the room's id in 16 bytes, then the frame; `None` when it is no message of ours.
#[must_use]
pub fn envelope(payload: &[u8]) -> Option<Envelope> {
    let (room, frame) = payload.split_at_checked(16)?;
    let frame: Arc<str> = std::str::from_utf8(frame).ok()?.into();
    Some(Envelope { room: Uuid::from_slice(room).ok()?, frame })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_of_ours_is_told_apart() {
        assert_eq!(envelope(b"short"), None);
        assert_eq!(envelope(&[0xff; 17]), None, "not text");
        let room = Uuid::from_u128(7);
        let payload = [room.as_bytes().as_slice(), b"{}"].concat();
        assert_eq!(envelope(&payload), Some(Envelope { room, frame: "{}".into() }));
    }
}
