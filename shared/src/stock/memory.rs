//! Stock in the memory of one process. A restart forgets it, and the ledger rebuilds it.
//!
//! Deadlines use the monotonic clock, so that a jump of the wall clock neither expires a hold nor keeps it.

mod shelves;
mod state;

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use uuid::Uuid;

use self::state::State;
use super::{Exhausted, Freed, Hold, Levels, LonePin, Pinned, Reserve, Reserved, Settlement, Stock, StockError};
use crate::env::Env;
use crate::ledger::Image;

/// Stock in memory.
pub struct MemoryStock {
    env: Env,
    run_id: String,
    /// Everything; locked for one call at a time, never across an await.
    state: Mutex<State>,
}

impl MemoryStock {
    /// Empty stock.
    #[must_use]
    pub fn new(env: Env) -> Self {
        let run_id = env.uuid_v4().to_string();
        Self { env, run_id, state: Mutex::new(State::default()) }
    }

    /// What a server shows that was restarted from a copy of now: it is another server, so that it knows no sale until it
    /// is rebuilt, and has the holds of now nevertheless.
    #[must_use]
    pub fn restarted_from_now(&self) -> Self {
        let run_id = self.env.uuid_v4().to_string();
        Self { env: self.env.clone(), run_id, state: Mutex::new(self.state.lock().left_over()) }
    }

    /// Does a thing with the state as it is now, deadlines applied.
    fn with<T>(&self, act: impl FnOnce(&mut State, Duration) -> T) -> Result<T, StockError> {
        let mut state = self.state.lock();
        let now = self.env.monotonic();
        state.expire(now);
        Ok(act(&mut state, now))
    }
}

#[async_trait]
impl Stock for MemoryStock {
    async fn run_id(&self) -> Result<String, StockError> {
        Ok(self.run_id.clone())
    }

    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StockError> {
        self.with(|state, now| state.reserve(now, reserve))
    }

    async fn pin(&self, hold: Uuid, order: Uuid, customer: Uuid) -> Result<Pinned, StockError> {
        self.with(|state, now| state.pin(now, hold, order, customer))
    }

    async fn unpin(&self, sale: &str, hold: Uuid, order: Uuid) -> Result<(), StockError> {
        self.with(|state, now| state.unpin(now, sale, hold, order))
    }

    async fn free(&self, hold: Uuid, customer: Uuid) -> Result<Freed, StockError> {
        self.with(|state, _| state.free(hold, customer))
    }

    async fn free_orphan(&self, sale: &str, hold: Uuid, order: Uuid, age: Duration) -> Result<bool, StockError> {
        self.with(|state, now| state.free_orphan(now, sale, hold, order, age))
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StockError> {
        self.with(|state, now| state.settle(now, &settlement))?
    }

    async fn holds_of(&self, customer: Uuid) -> Result<Vec<Hold>, StockError> {
        self.with(|state, now| state.holds_of(now, customer))
    }

    async fn levels(&self, sale: &str) -> Result<Option<Levels>, StockError> {
        self.with(|state, _| state.sales.get(sale).map(|sale| Levels { epoch: sale.epoch, tiers: sale.tiers.clone() }))
    }

    async fn exhausted(&self, sale: &str, mark: &str) -> Result<Option<Exhausted>, StockError> {
        self.with(|state, _| state.exhausted(sale, mark))
    }

    async fn expire(&self) -> Result<u64, StockError> {
        let mut state = self.state.lock();
        let now = self.env.monotonic();
        Ok(state.expire(now))
    }

    async fn pins_older_than(&self, age: Duration, most: usize) -> Result<Vec<LonePin>, StockError> {
        self.with(|state, now| state.pins_older_than(now, age, most))
    }

    async fn set_capacity(&self, sale: &str, tier: &str, capacity: u32) -> Result<(), StockError> {
        self.with(|state, _| {
            let level = state.sales.get_mut(sale).and_then(|sale| sale.tier_mut(tier));
            if let Some(level) = level {
                let taken = level.held.saturating_add(level.sold);
                level.capacity = capacity.max(taken);
                level.free = level.capacity - taken;
            }
        })
    }

    async fn set_returned(&self, sale: &str, tier: &str, units: u32) -> Result<(), StockError> {
        self.with(|state, _| state.set_returned(sale, tier, units))?
    }

    async fn epochs(&self, sales: &[String]) -> Result<Vec<Option<u64>>, StockError> {
        self.with(|state, _| sales.iter().map(|sale| state.sales.get(sale).map(|sale| sale.epoch)).collect())
    }

    async fn begin_rebuild(&self, sale: &str) -> Result<bool, StockError> {
        self.with(|state, now| state.begin_rebuild(now, sale))
    }

    async fn rebuild(&self, image: Image) -> Result<(), StockError> {
        self.with(|state, now| state.rebuild(now, image))
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{self, Fixture};
    use super::*;
    use crate::env::Seeded;
    use crate::stock::REMEMBER_RELEASED;

    struct InMemory {
        seeded: Seeded,
        stock: MemoryStock,
    }

    #[async_trait]
    impl Fixture for InMemory {
        async fn fresh() -> Self {
            let seeded = Seeded::new(11);
            let stock = MemoryStock::new(seeded.env());
            Self { seeded, stock }
        }

        async fn clear(&mut self) {
            *self = Self::fresh().await;
        }

        fn stock(&self) -> &dyn Stock {
            &self.stock
        }

        async fn pass(&self, time: Duration) {
            self.seeded.advance(time);
        }
    }

    conformance::suite!(InMemory);

    #[tokio::test]
    async fn what_has_ended_is_forgotten_in_the_end() {
        let fixture = InMemory::fresh().await;
        conformance::sell_and_release_many(&fixture).await;
        fixture.pass(REMEMBER_RELEASED).await;
        fixture.stock.expire().await.unwrap();
        let state = fixture.stock.state.lock();
        assert!(state.holds.is_empty() && state.deadlines.is_empty() && state.pins.is_empty());
        assert!(state.unpaid.is_empty());
    }
}
