//! Every sale's units and every hold, and what each call does to them.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use uuid::Uuid;

use super::shelves::{SaleStock, Shelf};
use crate::guards::Guard;
use crate::ledger::{Image, ImagePin};
use crate::order::state::StockEffect;
use crate::sale::PricedItem;
use crate::stock::{
    Exhausted, Freed, Hold, LonePin, MOST_HOLDS_PER_CUSTOMER, MOST_REMEMBERED, Pinned, REBUILD_WITHIN, Reserve,
    Reserved, Settlement, StockError, TierLevel, remembered_for,
};

#[derive(Default)]
pub(super) struct State {
    pub(super) sales: HashMap<String, SaleStock>,
    /// Rebuilds that were begun, and when.
    rebuilding: HashMap<String, Duration>,
    /// Of a sale that is not known, the holds of orders only: a rebuild asks them what was settled since its image.
    pub(super) holds: HashMap<Uuid, Record>,
    /// Deadlines of unpinned holds and of what is remembered of ended ones.
    pub(super) deadlines: BTreeSet<(Duration, Uuid)>,
    /// Unpinned holds by customer.
    pub(super) unpaid: HashMap<Uuid, Vec<Uuid>>,
    /// Pins by age.
    pub(super) pins: BTreeSet<(Duration, Uuid)>,
}

#[derive(Clone)]
pub(super) struct Record {
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

impl State {
    /// What is left of it where no sale is known: the holds of orders.
    pub(super) fn left_over(&self) -> Self {
        let is_pin = |(_, id): &&(Duration, Uuid)| self.holds.contains_key(id);
        let kept = |record: &Record| !matches!(record.stage, Stage::Thinking(_));
        let holds: HashMap<Uuid, Record> =
            self.holds.iter().filter(|(_, record)| kept(record)).map(|(id, record)| (*id, record.clone())).collect();
        let deadlines = self.deadlines.iter().filter(|(_, id)| holds.contains_key(id)).copied().collect();
        let pins = self.pins.iter().filter(is_pin).copied().collect();
        Self { holds, deadlines, pins, ..Self::default() }
    }

    pub(super) fn reserve(&mut self, now: Duration, reserve: Reserve) -> Reserved {
        if let Some(record) = self.known(reserve.hold) {
            let same = record.hold.customer == reserve.customer
                && record.hold.sale == reserve.sale
                && record.hold.items == reserve.items
                && !matches!(record.stage, Stage::Ended(..))
                && (reserve.order.is_none() || record.hold.order == reserve.order);
            if !same {
                return Reserved::Taken;
            }
            let (hold, version) = (record.seen_at(now), record.version);
            if reserve.order.is_some() {
                self.put(now, hold.clone(), version);
            }
            return Reserved::Yes { hold, new: false };
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
        sale.taken += 1;
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

    pub(super) fn exhausted(&self, slug: &str, mark: &str) -> Option<Exhausted> {
        let sale = self.sales.get(slug)?;
        let is_now = format!("{}:{}", sale.epoch, sale.taken);
        let tiers = sale.tiers.iter().filter(|tier| tier.free == 0).map(|tier| tier.id.clone()).collect();
        let holds = (is_now != mark).then(|| {
            let of_sale = self.holds.iter().filter(|(_, record)| record.hold.sale == slug);
            of_sale.map(|(id, _)| *id).collect::<Vec<Uuid>>()
        });
        let few = holds.as_ref().is_none_or(|holds| holds.len() <= MOST_REMEMBERED);
        few.then_some(Exhausted { mark: is_now, tiers, holds })
    }

    pub(super) fn pin(&mut self, now: Duration, id: Uuid, order: Uuid, customer: Uuid) -> Pinned {
        let is_theirs = |record: &&Record| Guard::PinOfCustomer.holds(record.hold.customer == customer);
        let Some(record) = self.known(id).filter(is_theirs) else {
            return Pinned::Gone;
        };
        let (hold, version) = (Hold { order: Some(order), ..record.seen_at(now) }, record.version);
        let new = match record.stage {
            Stage::Thinking(_) => true,
            Stage::Pinned(_) if Guard::PinOfOrder.holds(record.hold.order == Some(order)) => false,
            _ => return Pinned::Taken,
        };
        self.put(now, hold.clone(), version);
        Pinned::Yes { hold, new }
    }

    pub(super) fn unpin(&mut self, now: Duration, sale: &str, id: Uuid, order: Uuid) {
        if let Some(record) = self.known(id).filter(|record| record.is_lone_pin(sale, order)) {
            let hold = Hold { order: None, ..record.hold.clone() };
            self.put(now, hold, 0);
        }
    }

    pub(super) fn free(&mut self, id: Uuid, customer: Uuid) -> Freed {
        let is_theirs = |record: &&Record| Guard::FreeOfCustomer.holds(record.hold.customer == customer);
        match self.known(id).filter(is_theirs).map(|record| record.stage) {
            Some(Stage::Thinking(_)) => {
                self.drop_hold(id);
                Freed::Yes
            }
            Some(Stage::Pinned(_)) => Freed::Pinned,
            Some(Stage::Ended(..)) | None => Freed::Gone,
        }
    }

    pub(super) fn free_orphan(&mut self, now: Duration, sale: &str, id: Uuid, order: Uuid, age: Duration) -> bool {
        let ours = self.known(id).is_some_and(|record| {
            record.is_lone_pin(sale, order) && matches!(record.stage, Stage::Pinned(since) if since + age <= now)
        });
        if ours {
            self.drop_hold(id);
        }
        ours
    }

    pub(super) fn settle(&mut self, now: Duration, settlement: &Settlement) -> Result<(), StockError> {
        if !self.sales.contains_key(&settlement.sale) {
            return Err(StockError::unknown(&settlement.sale));
        }
        let Some(record) = self.holds.get(&settlement.hold) else { return Ok(()) };
        if record.hold.sale != settlement.sale
            || record.hold.order != Some(settlement.order)
            || Guard::StockVersion.refuses(settlement.version <= record.version)
        {
            return Ok(());
        }
        let (from, to) = (record.shelf(), shelf_of(settlement.effect));
        let (hold, version) = (record.hold.clone(), settlement.version);
        if from == Shelf::Free && to != Shelf::Free {
            self.make_room(&hold)?;
        }
        if from == Shelf::Sold && to != Shelf::Sold {
            self.are_sold(&hold)?;
        }
        if from == to {
            if let Some(record) = self.holds.get_mut(&hold.id) {
                record.version = version;
            }
            return Ok(());
        }
        if let Some(sale) = self.sales.get_mut(&hold.sale) {
            sale.shift(hold.customer, &hold.items, from, to);
        }
        self.show(now, hold, version, settlement.effect, now + remembered_for(settlement.effect));
        Ok(())
    }

    pub(super) fn set_returned(&mut self, sale: &str, tier: &str, units: u32) -> Result<(), StockError> {
        let Some(shown) = self.sales.get_mut(sale) else { return Err(StockError::unknown(sale)) };
        let before = shown.returned.get(tier).copied().filter(|_| Guard::ReturnedOnce.is_on()).unwrap_or(0);
        let Some(level) = shown.tier_mut(tier).filter(|_| units > before) else { return Ok(()) };
        let more = units - before;
        if level.sold < more {
            return Err(StockError::not_sold_yet(tier, more - level.sold));
        }
        level.sold -= more;
        level.free = level.free.saturating_add(more);
        shown.returned.insert(tier.to_owned(), units);
        Ok(())
    }

    /// Sees to it that the units of a hold that gave them up are free: the ledger says that they are its order's. What
    /// unpaid holds have of them is taken away, the hold that would last longest first. What is left may be in pins
    /// whose orders the ledger refuses or has ended; they are freed in a moment, so asking again helps.
    fn make_room(&mut self, hold: &Hold) -> Result<(), StockError> {
        let lacks = |item: &PricedItem| item.quantity.saturating_sub(self.free_units(&hold.sale, &item.tier));
        let mut missing: Vec<(&str, u32)> = hold.items.iter().map(|item| (item.tier.as_str(), lacks(item))).collect();
        let mut ends: Vec<Uuid> = Vec::new();
        let latest = self.deadlines.iter().rev().filter_map(|(_, id)| self.holds.get(id));
        for record in latest.filter(|record| matches!(record.stage, Stage::Thinking(_))) {
            if missing.iter().any(|(tier, units)| *units > 0 && record.units_of(&hold.sale, tier) > 0) {
                ends.push(record.hold.id);
                for (tier, units) in &mut missing {
                    *units = units.saturating_sub(record.units_of(&hold.sale, tier));
                }
            }
        }
        if let Some((tier, units)) = missing.into_iter().find(|(_, units)| *units > 0) {
            return Err(StockError::pins_first(tier, units));
        }
        ends.into_iter().for_each(|id| self.drop_hold(id));
        Ok(())
    }

    /// Whether the units of a hold that is paid are on the sold shelf still.
    fn are_sold(&self, hold: &Hold) -> Result<(), StockError> {
        let sold = |tier: &str| {
            let levels = self.sales.get(&hold.sale).map(|sale| sale.tiers.iter());
            levels.and_then(|mut levels| levels.find(|level| level.id == tier)).map_or(0, |level| level.sold)
        };
        for item in &hold.items {
            let missing = item.quantity.saturating_sub(sold(&item.tier));
            if missing > 0 {
                return Err(StockError::came_back_before(&item.tier, missing));
            }
        }
        Ok(())
    }

    fn free_units(&self, sale: &str, tier: &str) -> u32 {
        let sale = self.sales.get(sale);
        sale.and_then(|sale| sale.tiers.iter().find(|level| level.id == tier)).map_or(0, |level| level.free)
    }

    /// A hold of a sale that is known: those of another one are as good as gone.
    fn known(&self, id: Uuid) -> Option<&Record> {
        self.holds.get(&id).filter(|record| self.sales.contains_key(&record.hold.sale))
    }

    fn unpaid_of(&self, customer: Uuid) -> impl Iterator<Item = &Record> {
        let ids = self.unpaid.get(&customer).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.holds.get(id))
    }

    pub(super) fn holds_of(&self, now: Duration, customer: Uuid) -> Vec<Hold> {
        let mut holds: Vec<Hold> = self.unpaid_of(customer).map(|record| record.seen_at(now)).collect();
        holds.sort_by_key(|hold| (hold.think_ms, hold.id));
        holds
    }

    pub(super) fn pins_older_than(&self, now: Duration, age: Duration, most: usize) -> Vec<LonePin> {
        let old = self.pins.iter().take_while(|(since, _)| *since + age <= now);
        let pinned = old.filter_map(|(_, hold)| self.known(*hold));
        // Version 0: no order has spoken for it yet.
        let orphans = pinned.filter(|record| Guard::LonePin.holds(record.version == 0));
        let lone = |record: &Record| {
            Some(LonePin { sale: record.hold.sale.clone(), hold: record.hold.id, order: record.hold.order? })
        };
        orphans.filter_map(lone).take(most).collect()
    }

    pub(super) fn begin_rebuild(&mut self, now: Duration, sale: &str) -> bool {
        if self.rebuilding.get(sale).is_some_and(|since| *since + REBUILD_WITHIN > now) {
            return false;
        }
        self.sales.remove(sale);
        self.rebuilding.insert(sale.to_owned(), now);
        let unpaid = self.holds.values().filter(|record| record.hold.sale == sale && record.hold.order.is_none());
        for id in unpaid.map(|record| record.hold.id).collect::<Vec<_>>() {
            self.forget(id);
        }
        true
    }

    pub(super) fn rebuild(&mut self, now: Duration, image: Image) {
        if self.sales.get(&image.sale).is_some_and(|shown| shown.epoch >= image.epoch) {
            return;
        }
        self.rebuilding.remove(&image.sale);
        let old: Vec<Uuid> =
            self.holds.values().filter(|record| record.hold.sale == image.sale).map(|record| record.hold.id).collect();
        let old: HashMap<Uuid, Record> = old.into_iter().filter_map(|id| Some((id, self.forget(id)?))).collect();
        let mut sale = SaleStock { epoch: image.epoch, ..SaleStock::default() };
        for tier in image.tiers {
            if let Some(limit) = tier.max_per_customer {
                sale.limits.insert(tier.id.clone(), limit);
            }
            sale.returned.insert(tier.id.clone(), tier.returned);
            let free = tier.capacity.saturating_sub(tier.sold);
            let (capacity, sold) = (tier.capacity, tier.sold);
            sale.tiers.push(TierLevel { id: tier.id, capacity, free, sold, ..TierLevel::default() });
        }
        for (customer, item) in image.bought {
            sale.count(customer, &item.tier, i64::from(item.quantity));
        }
        self.sales.insert(image.sale.clone(), sale);
        let hold_of = |pin: &ImagePin| Hold {
            id: pin.hold,
            sale: image.sale.clone(),
            customer: pin.customer,
            items: pin.items.clone(),
            currency: image.currency,
            epoch: image.epoch,
            think_ms: 0,
            order: Some(pin.order),
        };
        for pin in &image.pins {
            let hold = hold_of(pin);
            // What was settled since the image was read stands.
            let later = old.get(&pin.hold).filter(|old| old.hold.order == hold.order && old.version > pin.version);
            let (effect, version, until) = later.map_or((StockEffect::Pinned, pin.version, now), Record::settled);
            if let Some(sale) = self.sales.get_mut(&image.sale).filter(|_| effect != StockEffect::Released) {
                sale.shift(hold.customer, &hold.items, Shelf::Free, shelf_of(effect));
            }
            self.show(now, hold, version, effect, until);
        }
        for sold in &image.sold {
            let until = now + remembered_for(StockEffect::Sold);
            self.show(now, hold_of(sold), sold.version, StockEffect::Sold, until);
        }
    }

    /// Enters a hold whose units are where its order's state wants them.
    fn show(&mut self, now: Duration, hold: Hold, version: i64, effect: StockEffect, until: Duration) {
        if effect == StockEffect::Pinned {
            self.put(now, hold, version);
        } else {
            self.forget(hold.id);
            self.deadlines.insert((until, hold.id));
            self.holds.insert(hold.id, Record { hold, stage: Stage::Ended(effect, until), version });
        }
    }

    /// Enters a hold whose units are on the held shelf already, in place of what is known of it.
    fn put(&mut self, now: Duration, hold: Hold, version: i64) {
        let id = hold.id;
        self.forget(id);
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
    fn forget(&mut self, id: Uuid) -> Option<Record> {
        let record = self.holds.remove(&id)?;
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
        Some(record)
    }

    /// Frees the units of a hold and forgets it.
    fn drop_hold(&mut self, id: Uuid) {
        let Some(Record { hold, .. }) = self.forget(id) else { return };
        if let Some(sale) = self.sales.get_mut(&hold.sale) {
            sale.shift(hold.customer, &hold.items, Shelf::Held, Shelf::Free);
        }
    }

    pub(super) fn expire(&mut self, now: Duration) -> u64 {
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

fn shelf_of(effect: StockEffect) -> Shelf {
    match effect {
        StockEffect::Pinned => Shelf::Held,
        StockEffect::Sold => Shelf::Sold,
        StockEffect::Released => Shelf::Free,
    }
}

impl Record {
    fn shelf(&self) -> Shelf {
        match self.stage {
            Stage::Thinking(_) | Stage::Pinned(_) => Shelf::Held,
            Stage::Ended(effect, _) => shelf_of(effect),
        }
    }

    /// What its order's newest version said, and until when an end is remembered.
    fn settled(&self) -> (StockEffect, i64, Duration) {
        match self.stage {
            Stage::Ended(effect, until) => (effect, self.version, until),
            Stage::Thinking(at) | Stage::Pinned(at) => (StockEffect::Pinned, self.version, at),
        }
    }

    /// Whether it is pinned to this order, which has not spoken for it yet.
    fn is_lone_pin(&self, sale: &str, order: Uuid) -> bool {
        let pinned = matches!(self.stage, Stage::Pinned(_)) && self.hold.order == Some(order);
        pinned && self.hold.sale == sale && Guard::LonePin.holds(self.version == 0)
    }

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
