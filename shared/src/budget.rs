//! How often Stripe may be asked: one budget, shared by everybody who asks.
//!
//! By default a Stripe account allows 25 requests a second to one endpoint, and 100 to all of them together
//! (<https://docs.stripe.com/rate-limits>). Asking more often earns refusals, and with them disorder; asking less often
//! makes a sale longer than it has to be. So the seconds are divided into *slots*, and whoever asks takes one first.
//!
//! - [`Slots`] keeps the books: one per shop. [`memory::MemorySlots`] for a process that is alone, [`redis::RedisSlots`]
//!   for several; both pass the suite `conformance`, and both follow the rule in `book`.
//! - [`Budget`] stands in front of them, one per process. Those who wait in it stand in line by their [`Ticket`]; only
//!   the first of an endpoint's line asks for a slot. So what was promised is never far ahead, a cut is felt at once, and
//!   who was refused by Stripe goes again before those who came later.
//!
//! A 429 cuts what its reason names ([`Throttle`]), by three tenths and once a second at most; what was cut grows back by a
//! fiftieth of the limit a second. A budget without limits costs nothing, until a 429 says that there is one.
//!
//! **Charges first.** Endpoints that take money ([`Endpoint::is_charge`]) may take slots ahead of time. All others take
//! of the total only what is free at the moment, and leave one; but for one a second, so that they come to an end, too.

mod book;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod endpoint;
pub mod forecast;
mod line;
pub mod memory;
pub mod redis;
mod standing;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use book::{Limits, MilliHertz};
pub use endpoint::Endpoint;
pub use standing::{Meter, Standing};
pub use turns::{Budget, Ticket, Turn};

/// A budget that is shared by everything in a process.
pub type SharedBudget = Arc<Budget>;

/// The books could not be reached; whether a slot was taken is not known, and a slot that is lost costs little.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the budget's books could not be reached: {0}")]
pub struct SlotsError(pub String);

/// A question for slots.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// For requests to this endpoint.
    pub endpoint: Endpoint,
    /// What the settings allow.
    pub limits: Limits,
    /// How many could be used at once; as many are given as fit into a fiftieth of a second, and always one.
    pub most: u32,
    /// Whether slots of the total may be taken that are still to come.
    pub ahead: bool,
    /// A slot that is further away than this is not taken.
    pub patience: Duration,
}

/// What became of an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// There is no limit.
    Unlimited,
    /// Slots, one after another.
    Slots {
        /// Until the first of them; zero when it is now.
        wait: Duration,
        /// Between two of them.
        gap: Duration,
        /// How many.
        count: u32,
    },
    /// Nothing was taken: the next slot is this far away.
    Later(Duration),
}

/// What a 429 is about, by its `Stripe-Rate-Limited-Reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// `endpoint-rate`, or no reason at all: too often to one endpoint.
    EndpointRate,
    /// `global-rate`: too often in all.
    GlobalRate,
    /// `endpoint-concurrency`: too many at the same time to one endpoint.
    EndpointConcurrency,
    /// `global-concurrency`: too many at the same time in all.
    GlobalConcurrency,
    /// `resource-specific`, `lock_timeout`, a key in use: this one object, and nobody else's business.
    Resource,
}

impl Throttle {
    /// What a reason of Stripe's is about.
    #[must_use]
    pub fn of(reason: &str, in_flight: bool) -> Self {
        match reason {
            _ if in_flight => Self::Resource,
            "global-rate" => Self::GlobalRate,
            "endpoint-concurrency" => Self::EndpointConcurrency,
            "global-concurrency" => Self::GlobalConcurrency,
            "resource-specific" | "lock_timeout" | "idempotency_key_in_use" => Self::Resource,
            _ => Self::EndpointRate,
        }
    }

    /// Its word, for the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndpointRate => "endpoint-rate",
            Self::GlobalRate => "global-rate",
            Self::EndpointConcurrency => "endpoint-concurrency",
            Self::GlobalConcurrency => "global-concurrency",
            Self::Resource => "resource",
        }
    }
}

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The rate of one endpoint.
    Endpoint(Endpoint),
    /// The rate of all of them together.
    Total,
}

/// The books: which slots are taken, and how many there are.
#[async_trait]
pub trait Slots: Send + Sync + 'static {
    /// Takes slots. First come, first served: each is later than all that were taken of the endpoint before.
    ///
    /// # Errors
    /// The server's, or the network's.
    async fn reserve(&self, ask: Ask) -> Result<Reserved, SlotsError>;

    /// Stripe has refused a request for coming too early: cuts what it names. `observed` is how often the endpoint was
    /// asked, which is what is cut where there was no limit. Whether anything was: twice in a second nothing is.
    ///
    /// # Errors
    /// The server's, or the network's.
    async fn cut(&self, scope: Scope, limits: Limits, observed: Option<MilliHertz>) -> Result<bool, SlotsError>;

    /// How the budget stands. Who shares it is counted for three seconds, and says how long Stripe takes.
    ///
    /// # Errors
    /// The server's, or the network's.
    async fn standing(&self, limits: Limits, sharer: Option<Sharer<'_>>) -> Result<Standing, SlotsError>;
}

/// A process that charges.
#[derive(Clone, Copy, Debug)]
pub struct Sharer<'a> {
    /// Its name, which no other has.
    pub name: &'a str,
    /// How long Stripe takes for a charge, if it knows.
    pub latency: Option<Duration>,
}
