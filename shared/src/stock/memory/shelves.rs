//! The units of one sale: which of them are free, held or sold, and how many each customer has.

use std::collections::HashMap;

use uuid::Uuid;

use crate::guards::Guard;
use crate::sale::PricedItem;
use crate::stock::{Reserved, TierLevel};

#[derive(Default)]
pub(super) struct SaleStock {
    pub(super) epoch: u64,
    pub(super) tiers: Vec<TierLevel>,
    pub(super) limits: HashMap<String, u32>,
    /// Units per tier and customer, where the tier has a limit.
    pub(super) units: HashMap<(String, Uuid), u32>,
    /// Units per tier that were given back and may be sold again.
    pub(super) returned: HashMap<String, u32>,
    /// Holds that were ever taken.
    pub(super) taken: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    Free,
    Held,
    Sold,
}

impl SaleStock {
    pub(super) fn tier_mut(&mut self, id: &str) -> Option<&mut TierLevel> {
        self.tiers.iter_mut().find(|tier| tier.id == id)
    }

    pub(super) fn refusal(&self, customer: Uuid, items: &[PricedItem]) -> Option<Reserved> {
        for item in items {
            let Some(tier) = self.tiers.iter().find(|tier| tier.id == item.tier) else {
                return Some(Reserved::Unknown);
            };
            if Guard::StockUnits.refuses(tier.free < item.quantity) {
                return Some(Reserved::SoldOut { tier: item.tier.clone() });
            }
            let has = self.units.get(&(item.tier.clone(), customer)).copied().unwrap_or(0);
            let over = self.limits.get(&item.tier).is_some_and(|most| has.saturating_add(item.quantity) > *most);
            if Guard::StockLimit.refuses(over) {
                return Some(Reserved::LimitReached { tier: item.tier.clone() });
            }
        }
        None
    }

    /// Moves units from one shelf to another, and keeps the customer's count.
    pub(super) fn shift(&mut self, customer: Uuid, items: &[PricedItem], from: Shelf, to: Shelf) {
        for item in items {
            let Some(tier) = self.tier_mut(&item.tier) else { continue };
            for (shelf, add) in [(from, false), (to, true)] {
                let count = match shelf {
                    Shelf::Free => &mut tier.free,
                    Shelf::Held => &mut tier.held,
                    Shelf::Sold => &mut tier.sold,
                };
                *count = if add { count.saturating_add(item.quantity) } else { count.saturating_sub(item.quantity) };
            }
            match (from, to) {
                (Shelf::Free, _) => self.count(customer, &item.tier, i64::from(item.quantity)),
                (_, Shelf::Free) => self.count(customer, &item.tier, -i64::from(item.quantity)),
                _ => {}
            }
        }
    }

    pub(super) fn count(&mut self, customer: Uuid, tier: &str, change: i64) {
        if !self.limits.contains_key(tier) {
            return;
        }
        let key = (tier.to_owned(), customer);
        let units = i64::from(self.units.get(&key).copied().unwrap_or(0)) + change;
        match u32::try_from(units) {
            Ok(units) if units > 0 => self.units.insert(key, units),
            _ => self.units.remove(&key),
        };
    }

    pub(super) fn count_pinned(&mut self, items: &[PricedItem], add: bool) {
        for item in items {
            if let Some(tier) = self.tier_mut(&item.tier) {
                let pinned = if add { tier.pinned + item.quantity } else { tier.pinned.saturating_sub(item.quantity) };
                tier.pinned = pinned;
            }
        }
    }
}
