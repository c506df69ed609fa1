//! Rooms over Redis: publish in one process, deliver in another.
//!
//! Every web process joins the same [`CHANNELS`] channels once, when it starts. So a new socket costs Redis nothing, and
//! a message for a room that nobody here is in costs one look-up. What is published at the same time goes as one message,
//! in the channel that its first room's id hashes to. Redis promises no delivery: after a gap the subscriber says
//! [`Received::Interrupted`].

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
use crate::gather::Gather;
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

/// Envelopes that go as one message at most.
const MOST_TOGETHER: usize = 256;

/// Rooms in Redis; clones are the same.
#[derive(Clone)]
pub struct RedisRooms {
    server: RedisServer,
    env: Env,
    publishing: Gather<Vec<Envelope>, Result<(), RoomsError>>,
}

impl RedisRooms {
    /// Rooms on this server.
    #[must_use]
    pub fn new(server: RedisServer, env: Env) -> Self {
        Self { server, env, publishing: Gather::new(MOST_TOGETHER) }
    }

    async fn send(&self, envelopes: &[Envelope]) -> Result<(), RoomsError> {
        let mut calls = redis::pipe();
        for together in envelopes.chunks(MOST_TOGETHER) {
            let Some(first) = together.first() else { continue };
            calls.publish(self.channel(first.room.as_u128() % CHANNELS), pack(together)).ignore();
        }
        calls.query_async(&mut self.server.commands()).await.map_err(failed)
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
        let rooms = self.clone();
        let together = move |asked: Vec<Vec<Envelope>>| {
            let rooms = rooms.clone();
            async move {
                let callers = asked.len();
                let all: Vec<Envelope> = asked.into_iter().flatten().collect();
                vec![rooms.send(&all).await; callers]
            }
        };
        let sent = self.publishing.ask(envelopes, together).await;
        sent.unwrap_or_else(|| Err(RoomsError("the call in which this went was given up".into())))
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
        match unpack(message.get_payload_bytes()) {
            Some(envelopes) => envelopes.into_iter().for_each(|envelope| self.tell(Received::Message(envelope))),
            None => tracing::warn!(channel = message.get_channel_name(), "not a message of ours"),
        }
    }

    fn tell(&self, received: Received) {
        // An error means that the subscription was just dropped.
        let _ = self.sender.send(received);
    }
}

/// For each envelope the room's id in 16 bytes, the frame's length in 4 with the highest first, and the frame.
fn pack(envelopes: &[Envelope]) -> Vec<u8> {
    let bytes = envelopes.iter().map(|envelope| 20 + envelope.frame.len()).sum();
    let mut payload = Vec::with_capacity(bytes);
    for envelope in envelopes {
        let length = u32::try_from(envelope.frame.len()).unwrap_or(u32::MAX);
        payload.extend_from_slice(envelope.room.as_bytes());
        payload.extend_from_slice(&length.to_be_bytes());
        payload.extend_from_slice(envelope.frame.as_bytes());
    }
    payload
}

/// What was packed; `None` when it is no message of ours.
#[must_use]
pub fn unpack(mut payload: &[u8]) -> Option<Vec<Envelope>> {
    let mut envelopes = Vec::new();
    while !payload.is_empty() {
        let (room, rest) = payload.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (frame, rest) = rest.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
        let frame: Arc<str> = std::str::from_utf8(frame).ok()?.into();
        envelopes.push(Envelope { room: Uuid::from_bytes(*room), frame });
        payload = rest;
    }
    Some(envelopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_of_ours_is_told_apart() {
        assert_eq!(unpack(b"short"), None);
        assert_eq!(unpack(&[0xff; 20]), None, "shorter than it says");
        let message = |room, frame: &str| Envelope { room: Uuid::from_u128(room), frame: frame.into() };
        let sent = [message(7, "{}"), message(8, ""), message(7, "\u{fc}")];
        let mut payload = pack(&sent);
        assert_eq!(unpack(&payload).as_deref(), Some(&sent[..]));
        payload.pop();
        assert_eq!(unpack(&payload), None, "cut off");
        assert_eq!(unpack(&[&[0; 19][..], &[1, 0xff]].concat()), None, "not text");
    }
}
