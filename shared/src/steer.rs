//! Steering: what an operator does to sales, jobs and orders, by a call over HTTP or by a command. Both ask a [`Helm`], so
//! that they do the same, refuse the same, and leave the same trail.
//!
//! - **A deed happens where the truth is**: in the ledger or in the queue. What the stock has to show follows; if it does
//!   not get there, the sweep makes it good.
//! - **Whoever shows sales hears at once.** Each web process reads the sales every second by itself; [`news`] makes it do
//!   so now, wherever it runs. News that is lost costs that second.
//! - **Everything is in the trail**: who, what, to what, why, and what came of it, also of what was refused or failed. What
//!   changes the ledger has its line there besides, written with the change or neither.

mod jobs;
mod order;
mod row;

use std::sync::Arc;

use uuid::Uuid;

use crate::access::trail::{DONE, FAILED};
use crate::access::{AccessError, By, Came, Deed, SharedAccess};
use crate::env::Env;
use crate::ledger::records::is_note;
use crate::ledger::{Control, Controlled, LedgerError, SharedLedger, Word};
use crate::queue::{Queue, QueueError};
use crate::rooms::{Envelope, SharedRooms};
use crate::sale::Sale;
use crate::stock::{SharedStock, StockError};

pub use jobs::{DeadRow, JobDone, Jobs, QueueRow};
pub use order::{AttemptRow, Decided, Event, OrderRow, RefundRow, Story};
pub use row::{SaleRow, TierRow, expected};

/// The room of news for every web process. No customer has this id.
pub const NEWS: Uuid = Uuid::nil();

/// What a web process hears there. What has changed it reads for itself.
const SALES_CHANGED: &str = r#"{"type":"sales"}"#;

/// A part could not be reached. What became of the deed is unknown; to ask for the same again does no harm.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SteerError(pub String);

macro_rules! broken {
    ($($error:ty),*) => {
        $(impl From<$error> for SteerError {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        })*
    };
}
broken!(LedgerError, StockError, QueueError, AccessError);

/// Who steers, from where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// Who.
    pub by: By,
    /// The reason: one line.
    pub why: Option<String>,
}

impl Orders {
    /// Somebody's, for a reason.
    ///
    /// # Errors
    /// A sentence when the reason is longer than a line, or than a line should be.
    pub fn new(by: By, why: Option<String>) -> Result<Self, String> {
        if why.as_deref().is_some_and(|why| !is_note(why)) {
            return Err("a reason is one line of 500 characters at most".to_owned());
        }
        Ok(Self { by, why: why.filter(|why| !why.trim().is_empty()) })
    }

    fn word(&self) -> Word {
        Word { by: self.by.who.clone(), why: self.why.clone() }
    }
}

/// What steering needs; cheap to clone.
#[derive(Clone)]
pub struct Helm {
    /// Time and ids.
    pub env: Env,
    /// The truth.
    pub ledger: SharedLedger,
    /// The stock; `None` when no process sells and it would be in one's memory.
    pub stock: Option<SharedStock>,
    /// The jobs; `None` likewise.
    pub queue: Option<Arc<dyn Queue>>,
    /// Where web processes are told; `None` likewise.
    pub rooms: Option<SharedRooms>,
    /// Who may what, and the trail.
    pub access: SharedAccess,
}

impl Helm {
    /// Steers a sale: in the ledger, then in the stock, and every web process knows at once.
    ///
    /// # Errors
    /// When ledger or stock cannot be reached.
    pub async fn sale(&self, slug: &str, control: Control, orders: &Orders) -> Result<Controlled, SteerError> {
        let (what, note) = told(&control);
        let steered = self.control(slug, control, orders).await;
        if matches!(steered, Ok(Controlled::Yes | Controlled::Again) | Err(_)) {
            news(self.rooms.as_ref()).await;
        }
        let result = steered.as_ref().map_or(FAILED, |steered| result_of(*steered));
        self.note(what, format!("sale:{slug}"), Came { note, result }, orders).await?;
        steered
    }

    async fn control(&self, slug: &str, control: Control, orders: &Orders) -> Result<Controlled, SteerError> {
        let steered = self.ledger.control(slug, control.clone(), &orders.word()).await?;
        if let (Controlled::Yes | Controlled::Again, Control::AddStock { tier, .. }, Some(stock)) =
            (steered, &control, &self.stock)
            && let Some(sale) = self.find(slug).await?
            && let Some(found) = sale.tier(tier)
        {
            stock.set_capacity(slug, tier, found.capacity).await?;
        }
        Ok(steered)
    }

    /// One sale, as the ledger has it.
    ///
    /// # Errors
    /// When the ledger cannot be reached.
    pub async fn find(&self, slug: &str) -> Result<Option<Sale>, SteerError> {
        Ok(self.ledger.sales().await?.into_iter().find(|sale| sale.slug == slug))
    }

    /// Writes down what somebody did, and says it in the log.
    async fn note(&self, what: &'static str, whom: String, came: Came, orders: &Orders) -> Result<(), SteerError> {
        tracing::info!(who = orders.by.who, what, whom, result = came.result, "steered");
        let deed = Deed { what, whom: Some(whom), why: orders.why.clone() };
        Ok(self.access.did(&orders.by, deed, came).await?)
    }
}

/// Tells every web process that sales have changed. Nobody waits for that: it is a message that may be lost.
pub async fn news(rooms: Option<&SharedRooms>) {
    let Some(rooms) = rooms else { return };
    if let Err(error) = rooms.publish(vec![Envelope { room: NEWS, frame: SALES_CHANGED.into() }]).await {
        tracing::warn!(%error, "web processes were not told that a sale was steered; they see it within a second");
    }
}

/// What a deed is called, and its particulars.
fn told(control: &Control) -> (&'static str, Option<String>) {
    match control {
        Control::Open => ("sale_opened", None),
        Control::Close => ("sale_closed", None),
        Control::Pause => ("sale_paused", None),
        Control::Resume => ("sale_resumed", None),
        Control::AddStock { tier, quantity, .. } => ("stock_added", Some(format!("{quantity} × {tier}"))),
    }
}

fn result_of(steered: Controlled) -> &'static str {
    match steered {
        Controlled::Yes => DONE,
        Controlled::Again => "again",
        Controlled::Conflict => "request_conflict",
        Controlled::UnknownSale => "unknown_sale",
        Controlled::UnknownTier => "unknown_tier",
        Controlled::TooMuch => "too_much",
    }
}
