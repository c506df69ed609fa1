//! A sale as operators see it.

use serde::Serialize;

use super::{Helm, SteerError};
use crate::env::Timestamp;
use crate::ledger::Image;
use crate::message::status;
use crate::money::Currency;
use crate::sale::{Sale, Status};
use crate::stock::{Levels, TierLevel};

/// A sale and its stock.
#[derive(Clone, Debug, Serialize)]
pub struct SaleRow {
    /// The sale's slug.
    pub sale: String,
    /// Its name for people.
    pub name: String,
    /// What the public sees.
    pub status: Status,
    /// RFC 3339.
    pub opens_at: String,
    /// RFC 3339; none if it is not to close by itself.
    pub closes_at: Option<String>,
    /// How long an unpaid hold lasts, in seconds.
    pub hold_seconds: i64,
    /// What becomes of money that comes late.
    pub late: &'static str,
    /// Of the stock's counters, as the ledger has it.
    pub epoch: u64,
    /// In the order in which they are shown.
    pub tiers: Vec<TierRow>,
}

/// A tier and its stock: `capacity` is `free + held + sold + blocked`.
#[derive(Clone, Debug, Serialize)]
pub struct TierRow {
    /// The tier's id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The price, in minor units.
    pub amount: i64,
    /// Three lower-case letters.
    pub currency: Currency,
    /// Units that there are.
    pub capacity: u32,
    /// Units that can be had.
    pub free: u32,
    /// Units in holds, paid for at the moment or not.
    pub held: u32,
    /// Units that are paid.
    pub sold: u32,
    /// Units that are kept from sale. There is no way to block any yet.
    pub blocked: u32,
    /// Units that one customer may have.
    pub max_per_customer: Option<u32>,
}

impl SaleRow {
    /// A sale with these counters.
    #[must_use]
    pub fn new(sale: &Sale, levels: &Levels, now: Timestamp) -> Self {
        let tier = |tier: &crate::sale::Tier| {
            let level = levels.tiers.iter().find(|level| level.id == tier.id).cloned().unwrap_or_default();
            TierRow {
                id: tier.id.clone(),
                name: tier.name.clone(),
                amount: tier.amount,
                currency: sale.currency,
                capacity: tier.capacity,
                free: level.free,
                held: level.held,
                sold: level.sold,
                blocked: 0,
                max_per_customer: tier.max_per_customer,
            }
        };
        Self {
            sale: sale.slug.clone(),
            name: sale.name.clone(),
            status: status(sale, Some(levels), now),
            opens_at: sale.opens_at.to_rfc3339(),
            closes_at: sale.closes_at.map(Timestamp::to_rfc3339),
            hold_seconds: sale.hold_ms / 1_000,
            late: sale.late.as_str(),
            epoch: sale.epoch,
            tiers: sale.tiers.iter().map(tier).collect(),
        }
    }
}

impl Helm {
    /// All sales, the newest first.
    ///
    /// # Errors
    /// When ledger or stock cannot be reached.
    pub async fn rows(&self) -> Result<Vec<SaleRow>, SteerError> {
        let mut rows = Vec::new();
        for sale in self.ledger.sales().await? {
            rows.push(self.row_of(&sale).await?);
        }
        Ok(rows)
    }

    /// One sale.
    ///
    /// # Errors
    /// When ledger or stock cannot be reached.
    pub async fn row(&self, slug: &str) -> Result<Option<SaleRow>, SteerError> {
        let Some(sale) = self.find(slug).await? else { return Ok(None) };
        Ok(Some(self.row_of(&sale).await?))
    }

    async fn row_of(&self, sale: &Sale) -> Result<SaleRow, SteerError> {
        let levels = self.levels(&sale.slug).await?;
        Ok(SaleRow::new(sale, &levels, self.ledger.now()))
    }

    /// Counters of the stock, or what the stock would show if there were one.
    ///
    /// # Errors
    /// When ledger or stock cannot be reached.
    pub async fn levels(&self, slug: &str) -> Result<Levels, SteerError> {
        if let Some(stock) = &self.stock
            && let Some(levels) = stock.levels(slug).await?
        {
            return Ok(levels);
        }
        Ok(self.ledger.image(slug).await?.map(|image| expected(&image)).unwrap_or_default())
    }
}

/// What the stock shows when the ledger is all there is.
#[must_use]
pub fn expected(image: &Image) -> Levels {
    let tiers = image.tiers.iter().map(|tier| {
        let items = image.pins.iter().flat_map(|pin| &pin.items);
        let pinned: u32 = items.filter(|item| item.tier == tier.id).map(|item| item.quantity).sum();
        let free = tier.capacity.saturating_sub(tier.sold).saturating_sub(pinned);
        let (id, capacity, sold) = (tier.id.clone(), tier.capacity, tier.sold);
        TierLevel { id, capacity, free, held: pinned, pinned, sold }
    });
    Levels { epoch: image.epoch, tiers: tiers.collect() }
}
