//! The way to the stock.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use shared::ledger::Image;
use shared::stock::{
    Exhausted, Freed, Hold, Levels, LonePin, Pinned, Reserve, Reserved, Settlement, Stock, StockError,
};
use uuid::Uuid;

use super::{Broken, Edge, Redis, pass};

impl Broken for StockError {
    fn broken() -> Self {
        Self("no connection".into())
    }
}

#[async_trait]
impl Stock for Edge<dyn Stock> {
    async fn run_id(&self) -> Result<String, StockError> {
        pass!(self.run_id())
    }
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StockError> {
        pass!(self.reserve(reserve), about reserve.hold, late)
    }
    async fn pin(&self, hold: Uuid, order: Uuid, customer: Uuid) -> Result<Pinned, StockError> {
        pass!(self.pin(hold, order, customer), about order, late)
    }
    async fn unpin(&self, sale: &str, hold: Uuid, order: Uuid) -> Result<(), StockError> {
        pass!(self.unpin(sale, hold, order), about order)
    }
    async fn free(&self, hold: Uuid, customer: Uuid) -> Result<Freed, StockError> {
        pass!(self.free(hold, customer))
    }
    async fn free_orphan(&self, sale: &str, hold: Uuid, order: Uuid, age: Duration) -> Result<bool, StockError> {
        pass!(self.free_orphan(sale, hold, order, age), about order)
    }
    async fn settle(&self, settlement: Settlement) -> Result<(), StockError> {
        pass!(self.settle(settlement), about settlement.order, late)
    }
    async fn holds_of(&self, customer: Uuid) -> Result<Vec<Hold>, StockError> {
        pass!(self.holds_of(customer))
    }
    async fn levels(&self, sale: &str) -> Result<Option<Levels>, StockError> {
        pass!(self.levels(sale))
    }
    async fn exhausted(&self, sale: &str, mark: &str) -> Result<Option<Exhausted>, StockError> {
        pass!(self.exhausted(sale, mark))
    }
    async fn expire(&self) -> Result<u64, StockError> {
        pass!(self.expire())
    }
    async fn pins_older_than(&self, age: Duration, most: usize) -> Result<Vec<LonePin>, StockError> {
        pass!(self.pins_older_than(age, most))
    }
    async fn set_capacity(&self, sale: &str, tier: &str, capacity: u32) -> Result<(), StockError> {
        pass!(self.set_capacity(sale, tier, capacity))
    }
    async fn set_returned(&self, sale: &str, tier: &str, units: u32) -> Result<(), StockError> {
        pass!(self.set_returned(sale, tier, units))
    }
    async fn epochs(&self, sales: &[String]) -> Result<Vec<Option<u64>>, StockError> {
        pass!(self.epochs(sales))
    }
    async fn begin_rebuild(&self, sale: &str) -> Result<bool, StockError> {
        pass!(self.begin_rebuild(sale))
    }
    async fn rebuild(&self, image: Image) -> Result<(), StockError> {
        pass!(self.rebuild(image))
    }
}

/// The stock that the server has now.
#[async_trait]
impl Stock for Redis {
    async fn run_id(&self) -> Result<String, StockError> {
        self.stock().run_id().await
    }
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StockError> {
        self.stock().reserve(reserve).await
    }
    async fn pin(&self, hold: Uuid, order: Uuid, customer: Uuid) -> Result<Pinned, StockError> {
        self.stock().pin(hold, order, customer).await
    }
    async fn unpin(&self, sale: &str, hold: Uuid, order: Uuid) -> Result<(), StockError> {
        self.stock().unpin(sale, hold, order).await
    }
    async fn free(&self, hold: Uuid, customer: Uuid) -> Result<Freed, StockError> {
        self.stock().free(hold, customer).await
    }
    async fn free_orphan(&self, sale: &str, hold: Uuid, order: Uuid, age: Duration) -> Result<bool, StockError> {
        self.stock().free_orphan(sale, hold, order, age).await
    }
    async fn settle(&self, settlement: Settlement) -> Result<(), StockError> {
        self.stock().settle(settlement).await
    }
    async fn holds_of(&self, customer: Uuid) -> Result<Vec<Hold>, StockError> {
        self.stock().holds_of(customer).await
    }
    async fn levels(&self, sale: &str) -> Result<Option<Levels>, StockError> {
        self.stock().levels(sale).await
    }
    async fn exhausted(&self, sale: &str, mark: &str) -> Result<Option<Exhausted>, StockError> {
        self.stock().exhausted(sale, mark).await
    }
    async fn expire(&self) -> Result<u64, StockError> {
        self.stock().expire().await
    }
    async fn pins_older_than(&self, age: Duration, most: usize) -> Result<Vec<LonePin>, StockError> {
        self.stock().pins_older_than(age, most).await
    }
    async fn set_capacity(&self, sale: &str, tier: &str, capacity: u32) -> Result<(), StockError> {
        self.stock().set_capacity(sale, tier, capacity).await
    }
    async fn set_returned(&self, sale: &str, tier: &str, units: u32) -> Result<(), StockError> {
        self.stock().set_returned(sale, tier, units).await
    }
    async fn epochs(&self, sales: &[String]) -> Result<Vec<Option<u64>>, StockError> {
        self.stock().epochs(sales).await
    }
    async fn begin_rebuild(&self, sale: &str) -> Result<bool, StockError> {
        self.stock().begin_rebuild(sale).await
    }
    async fn rebuild(&self, image: Image) -> Result<(), StockError> {
        self.stock().rebuild(image).await
    }
}
