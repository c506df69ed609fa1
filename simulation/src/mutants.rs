//! Shops that are worse than ours, each in one way that the checker has to notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shared::env::Timestamp;
use shared::ledger::Image;
use shared::order::state::StockEffect;
use shared::stock::{Freed, Hold, Levels, LonePin, Pinned, Reserve, Reserved, Settlement, Stock, StockError};
use shared::stripe::{
    Answer, Found, ListedEvent, ListedPayment, NewRefund, NotRead, Page, Refunded, Refunds, StoredRequest, Stripe,
};
use uuid::Uuid;

use crate::shop::Parts;

/// Longer than any world lasts.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// A mutant: what is wrong with it, and how it comes to be.
pub(crate) type Mutant = (&'static str, fn(&mut Parts));

pub(crate) const MUTANTS: [Mutant; 8] = [
    ("stock and ledger sell one unit too many", |parts| parts.excess = 1),
    ("a key changes on retry", |parts| parts.stripe = Worse::of(parts, How::NewKeys)),
    ("units are released before Stripe has said no", |parts| parts.stripe = Worse::of(parts, How::CancelsInWordsOnly)),
    ("the key of a refund changes on retry", |parts| parts.stripe = Worse::of(parts, How::NewRefundKeys)),
    ("nobody looks for drift between stock and ledger", |parts| parts.patience.drift = FOR_EVER),
    ("the stock does not free what was released, and nobody looks for drift", |parts| {
        parts.stock = Arc::new(Forgetful(parts.stock.clone()));
        parts.patience.drift = FOR_EVER;
    }),
    ("messages are lost without a word, and nobody compares", |parts| {
        (parts.tells_of_gaps, parts.compares) = (false, false);
    }),
    ("what is owed is not queued again, and events are not read again", |parts| {
        (parts.patience.owed, parts.patience.inbox) = (FOR_EVER, FOR_EVER);
        parts.stripe = Worse::of(parts, How::ListsNothing);
    }),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    NewKeys,
    NewRefundKeys,
    CancelsInWordsOnly,
    ListsNothing,
}

struct Worse {
    stripe: Arc<dyn Stripe>,
    how: How,
    count: AtomicU64,
}

impl Worse {
    fn of(parts: &Parts, how: How) -> Arc<Self> {
        Arc::new(Self { stripe: parts.stripe.clone(), how, count: AtomicU64::new(0) })
    }

    fn key(&self, key: &str, how: How) -> String {
        if self.how == how { format!("{key}-{}", self.count.fetch_add(1, Ordering::Relaxed)) } else { key.to_owned() }
    }
}

#[async_trait]
impl Stripe for Worse {
    async fn send(&self, request: &StoredRequest, key: &str) -> Answer {
        self.stripe.send(request, &self.key(key, How::NewKeys)).await
    }

    async fn retrieve(&self, payment_intent: &str) -> Answer {
        self.stripe.retrieve(payment_intent).await
    }

    async fn cancel(&self, payment_intent: &str, key: &str) -> Answer {
        if self.how == How::CancelsInWordsOnly {
            return Answer::Canceled { payment_intent: payment_intent.to_owned() };
        }
        self.stripe.cancel(payment_intent, key).await
    }

    async fn find(&self, order: Uuid, created_from: Timestamp, created_to: Timestamp) -> Found {
        self.stripe.find(order, created_from, created_to).await
    }

    async fn retrieve_session(&self, session: &str) -> Answer {
        self.stripe.retrieve_session(session).await
    }

    async fn expire_session(&self, session: &str, key: &str) -> Answer {
        if self.how == How::CancelsInWordsOnly {
            return Answer::SessionExpired { session: session.to_owned() };
        }
        self.stripe.expire_session(session, key).await
    }

    async fn find_session(&self, order: Uuid, attempt: u32, created_from: Timestamp, created_to: Timestamp) -> Found {
        self.stripe.find_session(order, attempt, created_from, created_to).await
    }

    async fn refund(&self, refund: NewRefund<'_>, key: &str) -> Refunded {
        self.stripe.refund(refund, &self.key(key, How::NewRefundKeys)).await
    }

    async fn retrieve_refund(&self, stripe_id: &str) -> Refunded {
        self.stripe.retrieve_refund(stripe_id).await
    }

    async fn refunds(&self, payment_intent: &str) -> Refunds {
        self.stripe.refunds(payment_intent).await
    }

    async fn events(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedEvent>, NotRead> {
        if self.how == How::ListsNothing {
            return Ok(Page { items: Vec::new(), next: None });
        }
        self.stripe.events(created_from, after).await
    }

    async fn payments(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedPayment>, NotRead> {
        if self.how == How::ListsNothing {
            return Ok(Page { items: Vec::new(), next: None });
        }
        self.stripe.payments(created_from, after).await
    }
}

/// A stock that forgets to free what was released.
struct Forgetful(Arc<dyn Stock>);

#[async_trait]
impl Stock for Forgetful {
    async fn run_id(&self) -> Result<String, StockError> {
        self.0.run_id().await
    }
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StockError> {
        self.0.reserve(reserve).await
    }
    async fn pin(&self, hold: Uuid, order: Uuid, customer: Uuid) -> Result<Pinned, StockError> {
        self.0.pin(hold, order, customer).await
    }
    async fn unpin(&self, sale: &str, hold: Uuid, order: Uuid) -> Result<(), StockError> {
        self.0.unpin(sale, hold, order).await
    }
    async fn free(&self, hold: Uuid, customer: Uuid) -> Result<Freed, StockError> {
        self.0.free(hold, customer).await
    }
    async fn free_orphan(&self, sale: &str, hold: Uuid, order: Uuid, age: Duration) -> Result<bool, StockError> {
        self.0.free_orphan(sale, hold, order, age).await
    }
    async fn settle(&self, settlement: Settlement) -> Result<(), StockError> {
        if settlement.effect == StockEffect::Released {
            return Ok(());
        }
        self.0.settle(settlement).await
    }
    async fn holds_of(&self, customer: Uuid) -> Result<Vec<Hold>, StockError> {
        self.0.holds_of(customer).await
    }
    async fn levels(&self, sale: &str) -> Result<Option<Levels>, StockError> {
        self.0.levels(sale).await
    }
    async fn expire(&self) -> Result<u64, StockError> {
        self.0.expire().await
    }
    async fn pins_older_than(&self, age: Duration, most: usize) -> Result<Vec<LonePin>, StockError> {
        self.0.pins_older_than(age, most).await
    }
    async fn set_capacity(&self, sale: &str, tier: &str, capacity: u32) -> Result<(), StockError> {
        self.0.set_capacity(sale, tier, capacity).await
    }
    async fn set_returned(&self, sale: &str, tier: &str, units: u32) -> Result<(), StockError> {
        self.0.set_returned(sale, tier, units).await
    }
    async fn epochs(&self, sales: &[String]) -> Result<Vec<Option<u64>>, StockError> {
        self.0.epochs(sales).await
    }
    async fn begin_rebuild(&self, sale: &str) -> Result<bool, StockError> {
        self.0.begin_rebuild(sale).await
    }
    async fn rebuild(&self, image: Image) -> Result<(), StockError> {
        self.0.rebuild(image).await
    }
}
