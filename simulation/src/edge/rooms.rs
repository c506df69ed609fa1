//! The way to the rooms, and from them: a subscription that has lost something says so.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use shared::rooms::memory::MemoryRooms;
use shared::rooms::{Envelope, Received, Rooms, RoomsError, Subscription};

use super::{Broken, Edge, Redis};
use crate::chance::Fault;
use crate::scene::Scene;
use crate::stage::Who;

impl Broken for RoomsError {
    fn broken() -> Self {
        Self("no connection".into())
    }
}

/// The rooms of the one Redis.
pub(crate) struct Hall {
    pub(crate) rooms: MemoryRooms,
    pub(crate) redis: Arc<Redis>,
}

#[async_trait]
impl Rooms for Edge<Hall> {
    async fn publish(&self, envelopes: Vec<Envelope>) -> Result<(), RoomsError> {
        let (hall, late) = (self.part.clone(), envelopes.clone());
        let late = async move { drop(hall.rooms.publish(late).await) };
        self.call("publish", None, self.part.rooms.publish(envelopes), Some(late.boxed())).await
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, RoomsError> {
        let inner = self.part.rooms.subscribe().await?;
        let (scene, who, hall) = (self.scene.clone(), self.who, self.part.clone());
        let losses = hall.redis.losses();
        Ok(Box::new(Frail { inner, scene, who, hall, losses, owes_word: false }))
    }
}

struct Frail {
    inner: Box<dyn Subscription>,
    scene: Arc<Scene>,
    who: Who,
    hall: Arc<Hall>,
    losses: u64,
    /// Something was lost, and nothing was said yet.
    owes_word: bool,
}

#[async_trait]
impl Subscription for Frail {
    async fn next(&mut self) -> Option<Received> {
        loop {
            if std::mem::take(&mut self.owes_word) {
                return Some(Received::Interrupted);
            }
            let lost = self.hall.redis.lost.notified();
            let received = match futures::future::select(self.inner.next(), std::pin::pin!(lost)).await {
                futures::future::Either::Left((received, _)) => received,
                futures::future::Either::Right(_) => None,
            };
            let losses = self.hall.redis.losses();
            if losses != std::mem::replace(&mut self.losses, losses) {
                self.owes_word = true;
                continue;
            }
            if self.scene.faults.happens(Fault::Gap, 48) {
                self.scene.fault(self.who, Fault::Gap, None, "subscription");
                // Until it is there again, nothing is heard.
                self.scene.sleep(self.scene.faults.dice().between(20, 20_000)).await;
                while self.inner.next().now_or_never().is_some() {}
                self.owes_word = true;
                continue;
            }
            return received;
        }
    }
}
