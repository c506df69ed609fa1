//! Stock: the fast gate in front of the ledger. Counters and holds, shared by every web and worker process.
//!
//! The stock turns away the many losers of a stampede without asking the ledger, and it is allowed to be wrong:
//! the ledger's own guard is behind it. What it shows can always be rebuilt from the ledger ([`Stock::rebuild`])
//! under a new *epoch*; holds of an older epoch are gone, and unpaid ones are the only thing that is lost.
//!
//! A **hold** is a claim on units of several tiers, all or none. Its life:
//!
//! ```text
//!   reserve ──► held, with a deadline ──pin──► pinned to an order, without one ──settle──► sold
//!                  │                              │                               └──────► free
//!                  └─► free (deadline, or called off by its buyer)
//! ```
//!
//! **Architecture invariants.** Per tier, `capacity = free + held + sold` at every instant. A pinned hold never
//! expires here: its deadline is the ledger's. Every call is safe to repeat; a settlement carries the version of
//! its order, and an older one changes nothing.
//!
//! While the stock does not know a sale, because it lost what it knew or somebody rebuilds it, the sale's holds are as
//! good as gone: nothing is held, pinned or freed, and what an order has to settle waits.

pub mod keeper;
pub mod memory;
pub mod redis;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::ledger::Image;
use crate::money::Currency;
use crate::order::state::StockEffect;
use crate::sale::PricedItem;

/// Unpaid holds of one sale that one customer may have at the same time.
pub const MOST_HOLDS_PER_CUSTOMER: usize = 4;

/// Holds of one sale that [`Stock::exhausted`] tells at most.
pub const MOST_REMEMBERED: usize = 200_000;

/// How long a rebuild that was begun keeps others from beginning one.
pub const REBUILD_WITHIN: Duration = Duration::from_secs(3);

/// How long a hold whose units were sold is remembered, so that a purchase whose answer was lost on the way does not
/// take its units again, not even for the moment until the ledger has been asked. Every sale passes through here: what
/// the stock takes beyond its counters is what was sold in this time.
pub const REMEMBER_SOLD: Duration = Duration::from_secs(60);

/// How long a hold whose units were released is remembered, so that a payment that comes too late takes them again.
pub const REMEMBER_RELEASED: Duration = Duration::from_secs(900);

/// How long the end of a hold is remembered.
fn remembered_for(effect: StockEffect) -> Duration {
    match effect {
        StockEffect::Sold => REMEMBER_SOLD,
        StockEffect::Released | StockEffect::Pinned => REMEMBER_RELEASED,
    }
}

/// The stock could not do its work: its server is unreachable or answers nonsense. What became of the call is
/// unknown; it is safe to repeat.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the stock failed: {0}")]
pub struct StockError(pub String);

impl StockError {
    fn unknown(sale: &str) -> Self {
        Self(format!("{sale} is not known until it is rebuilt"))
    }

    fn not_sold_yet(tier: &str, missing: u32) -> Self {
        Self(format!("{missing} units of {tier} are to be returned that are not shown as sold yet"))
    }

    fn came_back_before(tier: &str, missing: u32) -> Self {
        Self(format!("{missing} units of {tier} have come back already"))
    }

    fn pins_first(tier: &str, missing: u32) -> Self {
        Self(format!("{missing} units of {tier} are in pins that have to end first"))
    }
}

/// Units to claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// The hold's id, made by whoever asks: the same id again is the same claim. It names one hold of one sale; a store
    /// need not notice when somebody gives the same id to another sale, where it is a claim of its own.
    pub hold: Uuid,
    /// The sale's slug.
    pub sale: String,
    /// Who claims.
    pub customer: Uuid,
    /// What, at which price: frozen from now on. Each tier once.
    pub items: Vec<PricedItem>,
    /// The currency of the prices.
    pub currency: Currency,
    /// How long the buyer may think.
    pub think: Duration,
    /// Pin it to this order at once.
    pub order: Option<Uuid>,
}

/// A claim on stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: Uuid,
    /// The sale's slug.
    pub sale: String,
    /// Whose it is.
    pub customer: Uuid,
    /// What, at which price.
    pub items: Vec<PricedItem>,
    /// The currency of the prices.
    pub currency: Currency,
    /// The epoch it was taken in.
    pub epoch: u64,
    /// Thinking time that is left; a pinned hold keeps what was left when it was pinned.
    pub think_ms: i64,
    /// The order it is pinned to.
    pub order: Option<Uuid>,
}

impl Hold {
    /// The total, in minor units.
    #[must_use]
    pub fn amount(&self) -> i64 {
        self.items.iter().map(|item| item.amount.saturating_mul(i64::from(item.quantity))).sum()
    }
}

/// What became of a [`Reserve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The units are held.
    Yes {
        /// The hold.
        hold: Hold,
        /// By this call, and not by an earlier one of the same id.
        new: bool,
    },
    /// Not enough of a tier.
    SoldOut {
        /// The tier's id.
        tier: String,
    },
    /// More of a tier than one customer may have.
    LimitReached {
        /// The tier's id.
        tier: String,
    },
    /// The customer has too many unpaid holds.
    TooManyHolds,
    /// The id is taken: by somebody else, for something else, or by an order that has ended.
    Taken,
    /// The stock does not know the sale, or a tier of it; it has to be rebuilt.
    Unknown,
}

/// What became of a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// It is pinned to the order.
    Yes {
        /// The hold.
        hold: Hold,
        /// By this call, and not by an earlier one: only who pinned may undo it.
        new: bool,
    },
    /// There is no such hold of this customer: expired, freed, or never there.
    Gone,
    /// It belongs to another order, or its order has ended.
    Taken,
}

/// What became of a wish to give a hold up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    /// The units are free again.
    Yes,
    /// There is no such hold of this customer.
    Gone,
    /// It is being paid for.
    Pinned,
}

/// What an order's state means for the stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The sale's slug.
    pub sale: String,
    /// The hold.
    pub hold: Uuid,
    /// The order it is pinned to.
    pub order: Uuid,
    /// The order's version: an older one than was seen changes nothing.
    pub version: i64,
    /// What the stock must show.
    pub effect: StockEffect,
}

/// A pin that no order has spoken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LonePin {
    /// The sale's slug.
    pub sale: String,
    /// The hold.
    pub hold: Uuid,
    /// The order that it is pinned to.
    pub order: Uuid,
}

/// How much there is of a sale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// The epoch of the counters.
    pub epoch: u64,
    /// In the order of the sale.
    pub tiers: Vec<TierLevel>,
}

/// How much there is of a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierLevel {
    /// The tier's id.
    pub id: String,
    /// How many units there are.
    pub capacity: u32,
    /// Can be had.
    pub free: u32,
    /// In holds, pinned or not.
    pub held: u32,
    /// Of those, in pinned holds.
    pub pinned: u32,
    /// Paid.
    pub sold: u32,
}

/// Of a sale: what is gone, and who need not hear so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exhausted {
    /// Changes with every hold that is taken.
    pub mark: String,
    /// Tiers of which nothing is free.
    pub tiers: Vec<String>,
    /// Every hold that is known, those of ended orders included while they are remembered; `None` when nothing was taken
    /// since the mark that the caller knew.
    pub holds: Option<Vec<Uuid>>,
}

/// The fast gate.
#[async_trait]
pub trait Stock: Send + Sync + 'static {
    /// Changes whenever the store may have lost what it knew.
    async fn run_id(&self) -> Result<String, StockError>;

    /// Claims units of all tiers, or of none. Again for the same order, it is a young pin anew. A hold that is reserved for
    /// an order is known to that order alone: whether [`Stock::pin`] and [`Stock::free`] find it is left to the store.
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StockError>;
    /// Binds a hold to the order that pays for it: its clock stops. Again for the same order, it is a young pin anew.
    async fn pin(&self, hold: Uuid, order: Uuid, customer: Uuid) -> Result<Pinned, StockError>;
    /// Undoes a pin whose order was refused: the buyer's clock goes on where it stopped.
    async fn unpin(&self, sale: &str, hold: Uuid, order: Uuid) -> Result<(), StockError>;
    /// Gives up a hold that is not being paid for.
    async fn free(&self, hold: Uuid, customer: Uuid) -> Result<Freed, StockError>;
    /// Frees a pinned hold whose order never came to be; nothing if it is not pinned to that order any more, or was
    /// pinned again since: then its buyer tries once more, and an accept may be on its way.
    async fn free_orphan(&self, sale: &str, hold: Uuid, order: Uuid, age: Duration) -> Result<bool, StockError>;
    /// Makes the stock show what an order's state says. An unknown hold is none of our business. While the stock does
    /// not know the sale this is an error: the rebuild may have read the ledger before the order got there.
    ///
    /// An order that is paid after its units were released takes them again: from what is free, else from unpaid
    /// holds, the one that would last longest first, since the ledger is the truth. Units in pins are not touched; if
    /// too many are there, nothing changes and this is an error, until those pins have ended. Units that came back by
    /// [`Stock::set_returned`] cannot come back once more: an order that is not paid after all, and whose tier does not
    /// show so many as sold, changes nothing and is an error.
    async fn settle(&self, settlement: Settlement) -> Result<(), StockError>;

    /// The unpaid and unpinned holds of a customer; the one that ends first comes first.
    async fn holds_of(&self, customer: Uuid) -> Result<Vec<Hold>, StockError>;
    /// How much there is of a sale; `None` when the stock does not know it.
    async fn levels(&self, sale: &str) -> Result<Option<Levels>, StockError>;
    /// Which tiers of a sale are gone, and which holds are known, if that has changed since `mark`: whoever asks for such a
    /// tier and has none of these holds would be refused. `None` while the stock does not know the sale, and when it has
    /// more than [`MOST_REMEMBERED`] holds.
    async fn exhausted(&self, sale: &str, mark: &str) -> Result<Option<Exhausted>, StockError>;
    /// Frees every hold whose deadline has passed and that no other call has met; how many there were.
    async fn expire(&self) -> Result<u64, StockError>;
    /// Pins that are older than `age` and that no order has spoken for; at most `most`.
    async fn pins_older_than(&self, age: Duration, most: usize) -> Result<Vec<LonePin>, StockError>;
    /// Sets a tier's capacity, as the ledger has it, without touching holds.
    async fn set_capacity(&self, sale: &str, tier: &str, capacity: u32) -> Result<(), StockError>;
    /// Sets how many units of a tier's refunded tickets may be sold again: those that were not free yet move from sold to
    /// free. The number only grows; a smaller one than before changes nothing. While the stock does not know the sale, or
    /// does not show as many units as sold yet, this is an error: ask again in a moment.
    async fn set_returned(&self, sale: &str, tier: &str, units: u32) -> Result<(), StockError>;
    /// The epoch that it shows of each of these sales; none of a sale that it does not know, or knows from before it may
    /// have lost something: that one has to be rebuilt.
    async fn epochs(&self, sales: &[String]) -> Result<Vec<Option<u64>>, StockError>;
    /// Which of these sales it does not know.
    async fn unknown(&self, sales: &[String]) -> Result<Vec<String>, StockError> {
        let epochs = self.epochs(sales).await?;
        Ok(sales.iter().zip(epochs).filter(|(_, epoch)| epoch.is_none()).map(|(sale, _)| sale.clone()).collect())
    }
    /// Begins a rebuild: from now on it does not know the sale. `false` when somebody else began one a moment ago; if
    /// nothing comes of that within [`REBUILD_WITHIN`], the next one who asks may.
    async fn begin_rebuild(&self, sale: &str) -> Result<bool, StockError>;
    /// Forgets what it knew of a sale and shows what the ledger says. Unpaid holds of the sale are gone; what was
    /// settled since the image was read stands. An image that is not newer than what it shows changes nothing.
    async fn rebuild(&self, image: Image) -> Result<(), StockError>;
}

/// Stock that is shared by everything in a process.
pub type SharedStock = Arc<dyn Stock>;
