//! Every key that the stock has in Redis.
//!
//! The braces are a hash tag: all keys of one sale are in one slot of a Redis Cluster, and so are a customer's.

use crate::sale::is_slug;
use crate::stock::StockError;

/// What every key of the stock begins with.
pub const PREFIX: &str = "stampede:stock:";

/// The set of all sales that were ever rebuilt here.
pub const SALES: &str = "stampede:stock:sales";

/// `stampede:stock:of:{<customer>}`: a sorted set of the sales in which a customer has held something lately, by time.
pub const INDEX: &str = "stampede:stock:of:";

/// What a clock of tests shows, in milliseconds.
#[cfg(any(test, feature = "conformance"))]
pub const CLOCK_OF_TESTS: &str = "stampede:stock:clock-of-tests";

/// The keys of a sale, `stampede:stock:{<slug>}:<name>`, in the order in which every script of a sale gets them.
const NAMES: [&str; 7] = [
    // A hash. Of the sale: `run`, the run id of the server process under which it was rebuilt, without which it is not
    // known; `epoch`, that of its counters; `taken`, how many holds were taken in it; `tiers`, in order, with commas. Of a tier: `capacity:<tier>`,
    // `free:<tier>`, `held:<tier>`, `pinned:<tier>`, `sold:<tier>`, `returned:<tier>`, and `limit:<tier>` if it has one. Of
    // a rebuild under way: `begun`, when it last gave a sign of life (ms); `rebuild`, its token and the run id; `writing`, its epoch.
    "sale",
    // A hash of every hold by id, those of ended orders included while they are remembered; a line each.
    "holds",
    // A sorted set of unpinned holds by deadline (ms).
    "deadlines",
    // A sorted set of pins that no order has spoken for, by age: since when (ms).
    "lone",
    // A sorted set of ended holds by when they are forgotten (ms).
    "ended",
    // A hash of the ids of unpinned holds by customer, with commas.
    "unpaid",
    // A hash of how many units a customer has of a tier with a limit, by `<tier>|<customer>`.
    "units",
];

/// What a rebuild writes until it is shown: the keys after those of [`NAMES`].
const NEW: [&str; 5] = ["new:sale", "new:holds", "new:lone", "new:ended", "new:units"];

/// The keys of one sale.
pub(super) struct SaleKeys {
    tag: String,
}

/// The keys of a sale.
///
/// # Errors
/// When this cannot be the name of a sale: it could break out of the tag.
pub(super) fn of_sale(slug: &str) -> Result<SaleKeys, StockError> {
    if !is_slug(slug) {
        return Err(StockError(format!("{slug:?} is no sale's name")));
    }
    Ok(SaleKeys { tag: format!("{PREFIX}{{{slug}}}:") })
}

impl SaleKeys {
    pub(super) fn sale(&self) -> String {
        self.key(NAMES[0])
    }

    pub(super) fn all(&self) -> [String; NAMES.len()] {
        NAMES.map(|name| self.key(name))
    }

    pub(super) fn unshown(&self) -> [String; NEW.len()] {
        NEW.map(|name| self.key(name))
    }

    fn key(&self, name: &str) -> String {
        [&self.tag, name].concat()
    }
}
