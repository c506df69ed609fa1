//! Stock in the memory of one process. A restart forgets it, and the ledger rebuilds it.
//!
//! Deadlines use the monotonic clock, so that a jump of the wall clock neither expires a hold nor keeps it.

mod shelves;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use uuid::Uuid;

use self::shelves::{SaleStock, Shelf};

use super::{
    Freed, Hold, Levels, LonePin, MOST_HOLDS_PER_CUSTOMER, Pinned, REBUILD_WITHIN, Reserve, Reserved, Settlement,
    Stock, StockError, TierLevel,
};
use crate::env::Env;
use crate::ledger::Image;
use crate::order::state::StockEffect;

/// How long the end of a hold is remembered, so that a repeated purchase does not take its units again.
const REMEMBER_ENDED: Duration = Duration::from_secs(900);

/// Stock in memory.
pub struct MemoryStock {
    env: Env,
    run_id: String,
    /// Everything; locked for one call at a time, never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sales: HashMap<String, SaleStock>,
    /// Rebuilds that were begun, and when.
    rebuilding: HashMap<String, Duration>,
    holds: HashMap<Uuid, Record>,
    /// Deadlines of unpinned holds and of what is remembered of ended ones.
    deadlines: BTreeSet<(Duration, Uuid)>,
    /// Unpinned holds by customer.
    unpaid: HashMap<Uuid, Vec<Uuid>>,
    /// Pins by age.
    pins: BTreeSet<(Duration, Uuid)>,
}

struct Record {
    hold: Hold,
    stage: Stage,
    /// The newest order version that was seen.
    version: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Expires at this time.
    Thinking(Duration),
    /// Belongs to an order, since this time.
    Pinned(Duration),
    /// Its order ended so; forgotten at this time.
    Ended(StockEffect, Duration),
}

impl MemoryStock {
    /// Empty stock.
    #[must_use]
    pub fn new(env: Env) -> Self {
        let run_id = env.uuid_v4().to_string();
        Self { env, run_id, state: Mutex::new(State::default()) }
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
        self.with(|state, _| match state.holds.get(&hold) {
            Some(record) if record.hold.customer == customer => match record.stage {
                Stage::Thinking(_) => {
                    state.drop_hold(hold);
                    Freed::Yes
                }
                Stage::Pinned(_) => Freed::Pinned,
                Stage::Ended(..) => Freed::Gone,
            },
            _ => Freed::Gone,
        })
    }

    async fn free_orphan(&self, sale: &str, hold: Uuid, order: Uuid, age: Duration) -> Result<bool, StockError> {
        self.with(|state, now| {
            let ours = state.holds.get(&hold).is_some_and(|record| {
                let old = matches!(record.stage, Stage::Pinned(since) if since + age <= now);
                old && record.hold.sale == sale && record.hold.order == Some(order) && record.version == 0
            });
            if ours {
                state.drop_hold(hold);
            }
            ours
        })
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StockError> {
        self.with(|state, now| state.settle(now, &settlement))?
    }

    async fn holds_of(&self, customer: Uuid) -> Result<Vec<Hold>, StockError> {
        self.with(|state, now| {
            let known = state.unpaid_of(customer).filter(|record| state.sales.contains_key(&record.hold.sale));
            known.map(|record| record.seen_at(now)).collect()
        })
    }

    async fn levels(&self, sale: &str) -> Result<Option<Levels>, StockError> {
        self.with(|state, _| state.sales.get(sale).map(|sale| Levels { epoch: sale.epoch, tiers: sale.tiers.clone() }))
    }

    async fn expire(&self) -> Result<u64, StockError> {
        let mut state = self.state.lock();
        let now = self.env.monotonic();
        Ok(state.expire(now))
    }

    async fn pins_older_than(&self, age: Duration, most: usize) -> Result<Vec<LonePin>, StockError> {
        self.with(|state, now| {
            let old = state.pins.iter().take_while(|(since, _)| *since + age <= now);
            let pinned = old.filter_map(|(_, hold)| state.holds.get(hold));
            // Version 0: no order has spoken for it yet.
            let orphans = pinned.filter(|record| record.version == 0);
            let lone = |record: &Record| {
                Some(LonePin { sale: record.hold.sale.clone(), hold: record.hold.id, order: record.hold.order? })
            };
            orphans.filter_map(lone).take(most).collect()
        })
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

    async fn unknown(&self, sales: &[String]) -> Result<Vec<String>, StockError> {
        self.with(|state, _| sales.iter().filter(|sale| !state.sales.contains_key(*sale)).cloned().collect())
    }

    async fn begin_rebuild(&self, sale: &str) -> Result<bool, StockError> {
        self.with(|state, now| {
            let begun = state.rebuilding.get(sale).is_some_and(|since| *since + REBUILD_WITHIN > now);
            if !begun {
                state.sales.remove(sale);
                state.rebuilding.insert(sale.to_owned(), now);
            }
            !begun
        })
    }

    async fn rebuild(&self, image: Image) -> Result<(), StockError> {
        self.with(|state, now| state.rebuild(now, image))
    }
}

impl State {
    fn reserve(&mut self, now: Duration, reserve: Reserve) -> Reserved {
        if let Some(record) = self.holds.get(&reserve.hold) {
            let same = record.hold.customer == reserve.customer
                && record.hold.sale == reserve.sale
                && record.hold.items == reserve.items
                && !matches!(record.stage, Stage::Ended(..))
                && (reserve.order.is_none() || record.hold.order == reserve.order);
            return if same { Reserved::Yes { hold: record.seen_at(now), new: false } } else { Reserved::Taken };
        }
        let thinking = self.unpaid_of(reserve.customer).filter(|record| record.hold.sale == reserve.sale).count();
        let Some(sale) = self.sales.get_mut(&reserve.sale) else { return Reserved::Unknown };
        if reserve.order.is_none() && thinking >= MOST_HOLDS_PER_CUSTOMER {
            return Reserved::TooManyHolds;
        }
        if let Some(refusal) = sale.refusal(reserve.customer, &reserve.items) {
            return refusal;
        }
        sale.shift(reserve.customer, &reserve.items, Shelf::Free, Shelf::Held);
        let hold = Hold {
            id: reserve.hold,
            sale: reserve.sale,
            customer: reserve.customer,
            items: reserve.items,
            currency: reserve.currency,
            epoch: sale.epoch,
            think_ms: i64::try_from(reserve.think.as_millis()).unwrap_or(i64::MAX),
            order: reserve.order,
        };
        self.put(now, hold.clone(), 0);
        Reserved::Yes { hold, new: true }
    }

    fn pin(&mut self, now: Duration, id: Uuid, order: Uuid, customer: Uuid) -> Pinned {
        let Some(record) = self.holds.get(&id).filter(|record| record.hold.customer == customer) else {
            return Pinned::Gone;
        };
        match record.stage {
            Stage::Thinking(_) => {
                let hold = Hold { order: Some(order), ..record.seen_at(now) };
                self.forget(id);
                self.put(now, hold.clone(), 0);
                Pinned::Yes { hold, new: true }
            }
            Stage::Pinned(_) if record.hold.order == Some(order) => {
                let (hold, version) = (record.hold.clone(), record.version);
                self.forget(id);
                self.put(now, hold.clone(), version);
                Pinned::Yes { hold, new: false }
            }
            _ => Pinned::Taken,
        }
    }

    fn unpin(&mut self, now: Duration, sale: &str, id: Uuid, order: Uuid) {
        let Some(record) = self.holds.get(&id).filter(|record| record.hold.sale == sale) else { return };
        if matches!(record.stage, Stage::Pinned(_)) && record.hold.order == Some(order) && record.version == 0 {
            let hold = Hold { order: None, ..record.hold.clone() };
            self.forget(id);
            self.put(now, hold, 0);
        }
    }

    fn settle(&mut self, now: Duration, settlement: &Settlement) -> Result<(), StockError> {
        if !self.sales.contains_key(&settlement.sale) {
            return Err(StockError(format!("{} is not known until it is rebuilt", settlement.sale)));
        }
        let Some(record) = self.holds.get(&settlement.hold) else { return Ok(()) };
        if record.hold.sale != settlement.sale
            || record.hold.order != Some(settlement.order)
            || settlement.version <= record.version
        {
            return Ok(());
        }
        let shelf_of = |effect| match effect {
            StockEffect::Pinned => Shelf::Held,
            StockEffect::Sold => Shelf::Sold,
            StockEffect::Released => Shelf::Free,
        };
        let from = match record.stage {
            Stage::Thinking(_) | Stage::Pinned(_) => Shelf::Held,
            Stage::Ended(effect, _) => shelf_of(effect),
        };
        let to = shelf_of(settlement.effect);
        let (hold, version) = (record.hold.clone(), settlement.version);
        if from == Shelf::Free && to != Shelf::Free {
            self.make_room(&hold)?;
        }
        if let Some(record) = self.holds.get_mut(&hold.id) {
            record.version = version;
        }
        if from == to {
            return Ok(());
        }
        if let Some(sale) = self.sales.get_mut(&hold.sale) {
            sale.shift(hold.customer, &hold.items, from, to);
        }
        self.forget(settlement.hold);
        if settlement.effect == StockEffect::Pinned {
            self.put(now, hold, version);
        } else {
            let until = now + REMEMBER_ENDED;
            self.deadlines.insert((until, hold.id));
            self.holds.insert(hold.id, Record { hold, stage: Stage::Ended(settlement.effect, until), version });
        }
        Ok(())
    }

    /// Sees to it that the units of a hold that gave them up are free: the ledger says that they are its order's. What
    /// unpaid holds have of them is taken away, the hold that would last longest first. What is left may be in pins
    /// whose orders the ledger refuses or has ended; they are freed in a moment, so asking again helps.
    fn make_room(&mut self, hold: &Hold) -> Result<(), StockError> {
        for item in &hold.items {
            let has = |record: &Record| record.units_of(&hold.sale, &item.tier);
            let thinking = self.deadlines.iter().rev().filter_map(|(_, id)| self.holds.get(id));
            let mut missing = item.quantity.saturating_sub(self.free(&hold.sale, &item.tier));
            let mut ends = Vec::new();
            for record in thinking.filter(|record| matches!(record.stage, Stage::Thinking(_)) && has(record) > 0) {
                if missing == 0 {
                    break;
                }
                missing = missing.saturating_sub(has(record));
                ends.push(record.hold.id);
            }
            if missing > 0 {
                return Err(StockError(format!("{missing} units of {} are in pins that have to end first", item.tier)));
            }
            ends.into_iter().for_each(|id| self.drop_hold(id));
        }
        Ok(())
    }

    fn free(&self, sale: &str, tier: &str) -> u32 {
        let sale = self.sales.get(sale);
        sale.and_then(|sale| sale.tiers.iter().find(|level| level.id == tier)).map_or(0, |level| level.free)
    }

    fn unpaid_of(&self, customer: Uuid) -> impl Iterator<Item = &Record> {
        let ids = self.unpaid.get(&customer).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.holds.get(id))
    }

    fn rebuild(&mut self, now: Duration, image: Image) {
        if self.sales.get(&image.sale).is_some_and(|shown| shown.epoch > image.epoch) {
            return;
        }
        self.rebuilding.remove(&image.sale);
        let old: Vec<Uuid> =
            self.holds.values().filter(|record| record.hold.sale == image.sale).map(|record| record.hold.id).collect();
        for id in old {
            self.forget(id);
        }
        let mut sale = SaleStock { epoch: image.epoch, ..SaleStock::default() };
        for tier in image.tiers {
            if let Some(limit) = tier.max_per_customer {
                sale.limits.insert(tier.id.clone(), limit);
            }
            let free = tier.capacity.saturating_sub(tier.sold);
            let (capacity, sold) = (tier.capacity, tier.sold);
            sale.tiers.push(TierLevel { id: tier.id, capacity, free, sold, ..TierLevel::default() });
        }
        for (customer, item) in image.bought {
            sale.count(customer, &item.tier, i64::from(item.quantity));
        }
        let slug = image.sale;
        for pin in &image.pins {
            sale.shift(pin.customer, &pin.items, Shelf::Free, Shelf::Held);
        }
        self.sales.insert(slug.clone(), sale);
        for pin in image.pins {
            let hold = Hold {
                id: pin.hold,
                sale: slug.clone(),
                customer: pin.customer,
                items: pin.items,
                currency: image.currency,
                epoch: image.epoch,
                think_ms: 0,
                order: Some(pin.order),
            };
            self.put(now, hold, pin.version);
        }
    }

    /// Enters a hold whose units are on the held shelf already.
    fn put(&mut self, now: Duration, hold: Hold, version: i64) {
        let id = hold.id;
        let stage = if hold.order.is_some() {
            self.pins.insert((now, id));
            if let Some(sale) = self.sales.get_mut(&hold.sale) {
                sale.count_pinned(&hold.items, true);
            }
            Stage::Pinned(now)
        } else {
            let deadline = now + Duration::from_millis(u64::try_from(hold.think_ms).unwrap_or(0));
            self.deadlines.insert((deadline, id));
            self.unpaid.entry(hold.customer).or_default().push(id);
            Stage::Thinking(deadline)
        };
        self.holds.insert(id, Record { hold, stage, version });
    }

    /// Removes a hold from every index, and leaves its units where they are.
    fn forget(&mut self, id: Uuid) {
        let Some(record) = self.holds.remove(&id) else { return };
        match record.stage {
            Stage::Thinking(deadline) => {
                self.deadlines.remove(&(deadline, id));
                if let Some(ids) = self.unpaid.get_mut(&record.hold.customer) {
                    ids.retain(|other| *other != id);
                    if ids.is_empty() {
                        self.unpaid.remove(&record.hold.customer);
                    }
                }
            }
            Stage::Pinned(since) => {
                self.pins.remove(&(since, id));
                if let Some(sale) = self.sales.get_mut(&record.hold.sale) {
                    sale.count_pinned(&record.hold.items, false);
                }
            }
            Stage::Ended(_, until) => {
                self.deadlines.remove(&(until, id));
            }
        }
    }

    /// Frees the units of a hold and forgets it.
    fn drop_hold(&mut self, id: Uuid) {
        let Some(record) = self.holds.get(&id) else { return };
        let (slug, customer, items) = (record.hold.sale.clone(), record.hold.customer, record.hold.items.clone());
        self.forget(id);
        if let Some(sale) = self.sales.get_mut(&slug) {
            sale.shift(customer, &items, Shelf::Held, Shelf::Free);
        }
    }

    fn expire(&mut self, now: Duration) -> u64 {
        let mut expired = 0;
        while let Some((deadline, id)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            if self.holds.get(&id).is_some_and(|record| matches!(record.stage, Stage::Thinking(_))) {
                self.drop_hold(id);
                expired += 1;
            } else {
                self.forget(id);
            }
            self.deadlines.remove(&(deadline, id));
        }
        expired
    }
}

impl Record {
    fn units_of(&self, sale: &str, tier: &str) -> u32 {
        let items = self.hold.items.iter().filter(|item| self.hold.sale == sale && item.tier == tier);
        items.map(|item| item.quantity).sum()
    }

    /// The hold with the thinking time that is left of it.
    fn seen_at(&self, now: Duration) -> Hold {
        let mut hold = self.hold.clone();
        if let Stage::Thinking(deadline) = self.stage {
            hold.think_ms = i64::try_from(deadline.saturating_sub(now).as_millis()).unwrap_or(i64::MAX);
        }
        hold
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{self, Fixture};
    use super::*;
    use crate::env::Seeded;

    struct InMemory {
        seeded: Seeded,
        stock: MemoryStock,
    }

    impl Fixture for InMemory {
        fn fresh() -> Self {
            let seeded = Seeded::new(11);
            let stock = MemoryStock::new(seeded.env());
            Self { seeded, stock }
        }

        fn stock(&self) -> &dyn Stock {
            &self.stock
        }

        fn pass(&self, time: Duration) {
            self.seeded.advance(time);
        }
    }

    conformance::suite!(InMemory);

    #[tokio::test]
    async fn what_has_ended_is_forgotten_in_the_end() {
        let fixture = InMemory::fresh();
        conformance::sell_and_release_many(&fixture).await;
        fixture.pass(REMEMBER_ENDED);
        fixture.stock.expire().await.unwrap();
        let state = fixture.stock.state.lock();
        assert!(state.holds.is_empty() && state.deadlines.is_empty() && state.pins.is_empty());
        assert!(state.unpaid.is_empty());
    }
}
