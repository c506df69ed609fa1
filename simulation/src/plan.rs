//! What a seed decides before its world begins.

use shared::env::Timestamp;
use shared::sale::{LatePolicy, Sale, Tier};

use crate::chance::{Dice, Without};

/// The one sale.
pub(crate) const SALE: &str = "demo";

/// A world's plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) webs: usize,
    pub(crate) workers: usize,
    pub(crate) shoppers: usize,
    /// Id, price, capacity, most per customer.
    pub(crate) tiers: Vec<(&'static str, i64, u32, Option<u32>)>,
    /// Seconds that an unpaid hold lasts.
    hold_secs: i64,
    /// How much slower than in production what comes round does so.
    pub(crate) pace: u32,
    pub(crate) stripe_per_second: Option<u32>,
    /// What happens to money that comes when its order has ended.
    pub(crate) late: LatePolicy,
    /// Seconds within which shoppers arrive.
    pub(crate) rush_secs: u64,
    /// Seconds between two strokes of fate, on average.
    pub(crate) fate_secs: u64,
}

impl Plan {
    pub(crate) fn of(seed: u64, without: &Without) -> Self {
        let dice = Dice::new(seed ^ 0x91a7);
        let units = |least: usize, most: usize| u32::try_from(least + dice.below(most - least)).unwrap_or(1);
        let limit = [None, Some(4), Some(2)][dice.below(3)];
        let mut tiers = vec![("std", 2_500, units(1, 13), limit)];
        if dice.below(3) == 0 {
            tiers.push(("vip", 9_900, units(1, 4), None));
        }
        if dice.below(5) == 0 {
            tiers.push(("free", 0, units(1, 3), None));
        }
        let shoppers = 2 + dice.below(14);
        Self {
            webs: 1 + dice.below(2),
            workers: 1 + dice.below(2),
            shoppers: without.shoppers.map_or(shoppers, |most| shoppers.min(most)),
            tiers,
            hold_secs: [60, 180, 600][dice.below(3)],
            pace: [1, 2, 4][dice.below(3)],
            stripe_per_second: [None, Some(25), Some(2)][dice.below(3)],
            rush_secs: [2, 30, 240][dice.below(3)],
            fate_secs: [15, 40, 120][dice.below(3)],
            late: LatePolicy::ALL[dice.below(2)],
        }
    }

    pub(crate) fn sale(&self, now: Timestamp) -> Sale {
        let tier = |(id, amount, capacity, limit): &(&str, i64, u32, Option<u32>)| Tier {
            id: (*id).to_owned(),
            name: (*id).to_owned(),
            amount: *amount,
            capacity: *capacity,
            max_per_customer: *limit,
            opens_at: None,
            closes_at: None,
        };
        Sale {
            slug: SALE.to_owned(),
            name: "Demo".to_owned(),
            currency: shared::money::Currency::default(),
            // A clock that jumps back must not close the sale.
            opens_at: now.minus(std::time::Duration::from_secs(86_400)),
            closes_at: None,
            hold_ms: self.hold_secs * 1_000,
            paused: false,
            late: self.late,
            epoch: 0,
            tiers: self.tiers.iter().map(tier).collect(),
        }
    }

    /// What a unit costs.
    pub(crate) fn price(&self, tier: &str) -> i64 {
        self.tiers.iter().find(|(id, ..)| *id == tier).map_or(0, |(_, amount, ..)| *amount)
    }

    /// Units of a tier that one customer may have.
    pub(crate) fn limit(&self, tier: &str) -> Option<u32> {
        self.tiers.iter().find(|(id, ..)| *id == tier).and_then(|(.., limit)| *limit)
    }
}
