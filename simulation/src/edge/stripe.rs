//! The way to Stripe. What goes wrong between the two is Stripe's mood; here a call takes its time, and its caller may die.

use std::sync::Arc;

use async_trait::async_trait;
use shared::env::Timestamp;
use shared::stripe::{
    Answer, Found, ListedEvent, ListedPayment, NewRefund, NotRead, Page, Refunded, Refunds, StoredRequest, Stripe,
};
use uuid::Uuid;

use crate::chance::Fault;
use crate::scene::Scene;
use crate::stage::Who;

/// A worker's way to Stripe.
pub(crate) struct ToStripe {
    pub(crate) scene: Arc<Scene>,
    pub(crate) who: Who,
    pub(crate) stripe: Arc<dyn Stripe>,
}

impl ToStripe {
    async fn call<T: Send>(&self, name: &'static str, work: impl Future<Output = T> + Send) -> T {
        let scene = &*self.scene;
        let dice = scene.faults.dice();
        let fate = scene.faults.first(&[(Fault::Killed, 12), (Fault::Slow, 24)]);
        let after = dice.below(2) == 0;
        if let Some(fault) = fate {
            scene.fault(self.who, fault, None, name);
        }
        // A request is on its way for longer than a call within the house.
        scene.sleep(dice.between(1, 60)).await;
        match fate {
            Some(Fault::Killed) if !after => scene.die(self.who).await,
            Some(Fault::Slow) if !after => scene.sleep(scene.slow()).await,
            _ => {}
        }
        let done = work.await;
        match fate {
            Some(Fault::Killed) if after => scene.die(self.who).await,
            Some(Fault::Slow) if after => scene.sleep(scene.slow()).await,
            _ => {}
        }
        scene.sleep(dice.between(1, 300)).await;
        done
    }
}

#[async_trait]
impl Stripe for ToStripe {
    async fn send(&self, request: &StoredRequest, key: &str) -> Answer {
        self.call("send", self.stripe.send(request, key)).await
    }

    async fn retrieve(&self, payment_intent: &str) -> Answer {
        self.call("retrieve", self.stripe.retrieve(payment_intent)).await
    }

    async fn cancel(&self, payment_intent: &str, key: &str) -> Answer {
        self.call("cancel", self.stripe.cancel(payment_intent, key)).await
    }

    async fn find(&self, order: Uuid, created_from: Timestamp, created_to: Timestamp) -> Found {
        self.call("find", self.stripe.find(order, created_from, created_to)).await
    }

    async fn retrieve_session(&self, session: &str) -> Answer {
        self.call("retrieve_session", self.stripe.retrieve_session(session)).await
    }

    async fn expire_session(&self, session: &str, key: &str) -> Answer {
        self.call("expire_session", self.stripe.expire_session(session, key)).await
    }

    async fn find_session(&self, order: Uuid, attempt: u32, created_from: Timestamp, created_to: Timestamp) -> Found {
        self.call("find_session", self.stripe.find_session(order, attempt, created_from, created_to)).await
    }

    async fn refund(&self, refund: NewRefund<'_>, key: &str) -> Refunded {
        self.call("refund", self.stripe.refund(refund, key)).await
    }

    async fn retrieve_refund(&self, stripe_id: &str) -> Refunded {
        self.call("retrieve_refund", self.stripe.retrieve_refund(stripe_id)).await
    }

    async fn refunds(&self, payment_intent: &str) -> Refunds {
        self.call("refunds", self.stripe.refunds(payment_intent)).await
    }

    async fn events(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedEvent>, NotRead> {
        self.call("events", self.stripe.events(created_from, after)).await
    }

    async fn payments(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedPayment>, NotRead> {
        self.call("payments", self.stripe.payments(created_from, after)).await
    }
}
