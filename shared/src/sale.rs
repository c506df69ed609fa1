//! Sales and their tiers: what is sold, at which price, from when to when, and how much to one customer.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::money::{Currency, Money, MoneyError};

/// Tiers that one sale may have.
pub const MOST_TIERS: usize = 64;
/// Units that one tier may have.
pub const MOST_CAPACITY: u32 = 10_000_000;
/// Units that one order may take of all tiers together.
pub const MOST_UNITS_PER_ORDER: u32 = 100;

/// The window in which an event's tiers can be bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sale {
    /// The name in addresses: lower-case letters, digits and hyphens.
    pub slug: String,
    /// The name for people.
    pub name: String,
    /// The currency of every tier.
    pub currency: Currency,
    /// Before this time nothing can be bought.
    pub opens_at: Timestamp,
    /// From this time on nothing new can be bought; `None` while nobody has said.
    pub closes_at: Option<Timestamp>,
    /// How long an unpaid hold lasts, in milliseconds.
    pub hold_ms: i64,
    /// What becomes of money that comes when its order has ended.
    #[serde(default)]
    pub late: LatePolicy,
    /// Stopped by an operator, or by a rebuild of the stock.
    pub paused: bool,
    /// Grows whenever the stock is rebuilt from the ledger; holds of an older epoch are gone.
    pub epoch: u64,
    /// Price categories, in the order in which they are shown.
    pub tiers: Vec<Tier>,
}

/// What a sale does with money that comes when its order has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatePolicy {
    /// The order is fulfilled if its units are free; else the money goes back.
    #[default]
    Fulfil,
    /// The money goes back, whatever is free.
    Refund,
}

impl LatePolicy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::Fulfil, Self::Refund];

    /// The word in the ledger and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fulfil => "fulfil",
            Self::Refund => "refund",
        }
    }
}

impl FromStr for LatePolicy {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|policy| policy.as_str() == word);
        known.ok_or_else(|| format!("{word:?} is not one of fulfil and refund"))
    }
}

/// A price category with a capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Unique within its sale: lower-case letters, digits, hyphens and underscores.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The price of one unit, in minor units of the sale's currency.
    pub amount: i64,
    /// How many units there are.
    pub capacity: u32,
    /// Units that one customer (and one mail address) may have; `None` is no limit.
    pub max_per_customer: Option<u32>,
    /// When this tier opens, if later than its sale.
    pub opens_at: Option<Timestamp>,
    /// When this tier closes, if earlier than its sale.
    pub closes_at: Option<Timestamp>,
}

/// A sale as the public sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not open yet.
    Scheduled,
    /// Can be bought.
    Open,
    /// Stopped for the moment.
    Paused,
    /// Open, with nothing free.
    SoldOut,
    /// Over.
    Closed,
}

/// Some units of one tier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    /// The tier's id.
    pub tier: String,
    /// How many; at least 1.
    pub quantity: u32,
}

/// Units of a tier at the price of the moment they were held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedItem {
    /// The tier's id.
    pub tier: String,
    /// How many; at least 1.
    pub quantity: u32,
    /// The price of one unit, in minor units.
    pub amount: i64,
}

/// Why a basket cannot be priced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasketError {
    /// Nothing in it, or a quantity of zero.
    #[error("choose at least one ticket")]
    Empty,
    /// A tier that this sale does not have.
    #[error("this sale has no tier {0:?}")]
    UnknownTier(String),
    /// The same tier twice.
    #[error("the tier {0:?} stands twice")]
    Twice(String),
    /// More units than [`MOST_UNITS_PER_ORDER`].
    #[error("an order takes at most {MOST_UNITS_PER_ORDER} tickets")]
    TooMany,
    /// A tier that is not open at this time.
    #[error("the tier {0:?} is not open")]
    NotOpen(String),
    /// More of a tier than one customer may have.
    #[error("at most {most} of the tier {tier:?} for one customer")]
    Limit {
        /// The tier.
        tier: String,
        /// Its limit.
        most: u32,
    },
    /// The total is more than can be charged.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Sale {
    /// How long an unpaid hold lasts.
    #[must_use]
    pub fn hold_for(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.hold_ms).unwrap_or(0))
    }

    /// The tier of that id.
    #[must_use]
    pub fn tier(&self, id: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.id == id)
    }

    /// What the public sees at a time, given how many units are free.
    #[must_use]
    pub fn status(&self, now: Timestamp, free: u64) -> Status {
        let over = |closes: Option<Timestamp>| closes.is_some_and(|at| at <= now);
        if over(self.closes_at) || (!self.tiers.is_empty() && self.tiers.iter().all(|tier| over(tier.closes_at))) {
            Status::Closed
        } else if self.paused {
            Status::Paused
        } else if !self.tiers.iter().any(|tier| self.tier_opens_at(tier) <= now) {
            Status::Scheduled
        } else if free == 0 {
            Status::SoldOut
        } else {
            Status::Open
        }
    }

    /// When a tier opens: its own time, but never before its sale.
    #[must_use]
    pub fn tier_opens_at(&self, tier: &Tier) -> Timestamp {
        tier.opens_at.map_or(self.opens_at, |at| at.max(self.opens_at))
    }

    /// When a tier closes: its own time, but never after its sale.
    #[must_use]
    pub fn tier_closes_at(&self, tier: &Tier) -> Option<Timestamp> {
        match (tier.closes_at, self.closes_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Whether a tier can be bought at a time, the pause aside.
    #[must_use]
    pub fn is_open(&self, tier: &Tier, now: Timestamp) -> bool {
        self.tier_opens_at(tier) <= now && self.tier_closes_at(tier).is_none_or(|at| now < at)
    }

    /// Puts today's price to each item of a basket, and adds up.
    ///
    /// # Errors
    /// What is wrong with the basket, naming the tier.
    pub fn price(&self, basket: &[Item], now: Timestamp) -> Result<(Vec<PricedItem>, Money), BasketError> {
        let mut total = Money::zero(self.currency);
        let mut items: Vec<PricedItem> = Vec::with_capacity(basket.len());
        let mut units: u32 = 0;
        if basket.len() > MOST_TIERS {
            return Err(BasketError::TooMany);
        }
        for Item { tier: id, quantity } in basket {
            let tier = self.tier(id).ok_or_else(|| BasketError::UnknownTier(id.clone()))?;
            if *quantity == 0 {
                return Err(BasketError::Empty);
            }
            if items.iter().any(|item| item.tier == *id) {
                return Err(BasketError::Twice(id.clone()));
            }
            units = units.saturating_add(*quantity);
            if units > MOST_UNITS_PER_ORDER {
                return Err(BasketError::TooMany);
            }
            if let Some(most) = tier.max_per_customer.filter(|most| quantity > most) {
                return Err(BasketError::Limit { tier: id.clone(), most });
            }
            if !self.is_open(tier, now) {
                return Err(BasketError::NotOpen(id.clone()));
            }
            total = total.plus(Money::new(tier.amount, self.currency)?.times(*quantity)?)?;
            items.push(PricedItem { tier: id.clone(), quantity: *quantity, amount: tier.amount });
        }
        if items.is_empty() {
            return Err(BasketError::Empty);
        }
        Ok((items, total))
    }

    /// Checks a sale that somebody wrote down.
    ///
    /// # Errors
    /// A sentence about the first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        if !is_slug(&self.slug) {
            return Err("a slug has 1 to 64 lower-case letters, digits, hyphens or underscores".into());
        }
        if self.name.trim().is_empty() || self.name.chars().count() > 200 {
            return Err("a sale's name has 1 to 200 characters".into());
        }
        if self.tiers.is_empty() || self.tiers.len() > MOST_TIERS {
            return Err(format!("a sale has 1 to {MOST_TIERS} tiers"));
        }
        if !(10_000..=86_400_000).contains(&self.hold_ms) {
            return Err("a hold lasts between 10 seconds and a day".into());
        }
        if self.closes_at.is_some_and(|closes| closes <= self.opens_at) {
            return Err("a sale closes after it opens".into());
        }
        for (index, tier) in self.tiers.iter().enumerate() {
            tier.check(self.currency)?;
            if self.tiers[..index].iter().any(|other| other.id == tier.id) {
                return Err(format!("the tier {:?} stands twice", tier.id));
            }
        }
        Ok(())
    }
}

impl Tier {
    fn check(&self, currency: Currency) -> Result<(), String> {
        let id = &self.id;
        if !is_slug(id) {
            return Err("a tier's id has 1 to 64 lower-case letters, digits, hyphens or underscores".into());
        }
        if self.name.trim().is_empty() || self.name.chars().count() > 200 {
            return Err(format!("tier {id}: a name has 1 to 200 characters"));
        }
        if self.amount < 0 {
            return Err(format!("tier {id}: the price is not negative"));
        }
        Money::new(self.amount, currency).map_err(|e| format!("tier {id}: {e}"))?;
        if let Some(least) = currency.minimum_charge().filter(|least| (1..*least).contains(&self.amount)) {
            return Err(format!("tier {id}: a card is charged {least} minor units at least; or let it be free"));
        }
        if self.capacity > MOST_CAPACITY {
            return Err(format!("tier {id}: the capacity is at most {MOST_CAPACITY}"));
        }
        if self.max_per_customer == Some(0) {
            return Err(format!("tier {id}: the limit per customer is at least 1; leave it out for no limit"));
        }
        if let (Some(opens), Some(closes)) = (self.opens_at, self.closes_at)
            && closes <= opens
        {
            return Err(format!("tier {id}: it closes after it opens"));
        }
        Ok(())
    }
}

/// Whether a text can be a slug or a tier's id.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(id: &str, amount: i64) -> Tier {
        Tier {
            id: id.into(),
            name: id.to_uppercase(),
            amount,
            capacity: 10,
            max_per_customer: None,
            opens_at: None,
            closes_at: None,
        }
    }

    fn sale() -> Sale {
        Sale {
            slug: "demo".into(),
            name: "Demo".into(),
            currency: "usd".parse().unwrap(),
            opens_at: Timestamp(1_000),
            closes_at: Some(Timestamp(9_000)),
            hold_ms: 600_000,
            late: LatePolicy::default(),
            paused: false,
            epoch: 1,
            tiers: vec![tier("std", 2_500), Tier { opens_at: Some(Timestamp(5_000)), ..tier("vip", 9_900) }],
        }
    }

    fn item(tier: &str, quantity: u32) -> Item {
        Item { tier: tier.into(), quantity }
    }

    #[test]
    fn tiers_open_and_close_at_times_of_their_own_within_their_sale() {
        let mut sale = sale();
        assert_eq!(sale.status(Timestamp(999), 20), Status::Scheduled);
        assert_eq!(sale.status(Timestamp(1_000), 20), Status::Open);
        assert_eq!(sale.status(Timestamp(1_000), 0), Status::SoldOut);
        assert_eq!(sale.status(Timestamp(9_000), 20), Status::Closed);
        assert_eq!(sale.price(&[item("vip", 1)], Timestamp(4_999)), Err(BasketError::NotOpen("vip".into())));
        assert!(sale.price(&[item("vip", 1)], Timestamp(5_000)).is_ok());
        sale.tiers[0].closes_at = Some(Timestamp(2_000));
        assert_eq!(sale.price(&[item("std", 1)], Timestamp(2_000)), Err(BasketError::NotOpen("std".into())));
        sale.paused = true;
        assert_eq!(sale.status(Timestamp(5_000), 20), Status::Paused);
    }

    #[test]
    fn a_basket_is_priced_by_the_server_or_refused_with_its_reason() {
        let mut sale = sale();
        let now = Timestamp(6_000);
        let (items, total) = sale.price(&[item("std", 2), item("vip", 1)], now).unwrap();
        assert_eq!((items.len(), total.amount), (2, 14_900));
        assert_eq!(sale.price(&[], now), Err(BasketError::Empty));
        assert_eq!(sale.price(&[item("std", 0)], now), Err(BasketError::Empty));
        assert_eq!(sale.price(&[item("std", u32::MAX)], now), Err(BasketError::TooMany));
        assert_eq!(sale.price(&[item("box", 1)], now), Err(BasketError::UnknownTier("box".into())));
        assert_eq!(sale.price(&[item("std", 1), item("std", 1)], now), Err(BasketError::Twice("std".into())));
        sale.tiers[0].max_per_customer = Some(2);
        assert_eq!(sale.price(&[item("std", 3)], now), Err(BasketError::Limit { tier: "std".into(), most: 2 }));
    }

    #[test]
    fn a_sale_that_cannot_be_is_refused_with_a_sentence() {
        type Spoil = fn(&mut Sale);
        assert_eq!(sale().check(), Ok(()));
        let spoils: [Spoil; 9] = [
            |s| s.slug = "No Slug".into(),
            |s| s.name = " ".into(),
            |s| s.tiers.clear(),
            |s| s.tiers[1].id = "std".into(),
            |s| s.tiers[0].amount = -1,
            |s| s.tiers[0].amount = 49,
            |s| s.tiers[0].capacity = MOST_CAPACITY + 1,
            |s| s.hold_ms = 1,
            |s| s.closes_at = Some(s.opens_at),
        ];
        for spoil in spoils {
            let mut sale = sale();
            spoil(&mut sale);
            assert!(sale.check().is_err(), "{sale:?}");
        }
    }
}
