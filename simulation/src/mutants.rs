//! A shop that is worse than ours in a way that taking guards away does not show: one whose stock does not do as it is told.
//! (Guards are taken away by `shared::guards`.)

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shared::ledger::Image;
use shared::order::state::StockEffect;
use shared::stock::{
    Exhausted, Freed, Hold, Levels, LonePin, Pinned, Reserve, Reserved, Settlement, Stock, StockError,
};
use uuid::Uuid;

use crate::shop::Parts;

/// Longer than any world lasts.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// The stock does not free what was released, and nobody looks for drift.
pub(crate) fn forgets_to_free(parts: &mut Parts) {
    parts.stock = Arc::new(Forgetful(parts.stock.clone()));
    parts.patience.drift = FOR_EVER;
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
    async fn exhausted(&self, sale: &str, mark: &str) -> Result<Option<Exhausted>, StockError> {
        self.0.exhausted(sale, mark).await
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
