//! The sales as this process last read them from the ledger: what prices and opening times are taken from without
//! asking the ledger for each request. At most a second old, and read again at once when this process changed one, or
//! is asked for one that it does not know: another process may just have made it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use shared::env::Env;
use shared::ledger::{Ledger, LedgerError};
use shared::sale::{Sale, is_slug};
use tokio::sync::Mutex;

/// The ledger is asked for unknown sales this often at most.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The sales as last read.
#[derive(Default)]
pub struct Catalogue {
    /// Replaced as a whole by a refresh; readers clone what they need.
    read: RwLock<Read>,
    /// Held while the ledger is read: what was read earlier must not replace what was read later.
    reading: Mutex<()>,
    /// When the ledger may be asked for an unknown sale again, by the monotonic clock.
    next_look: Mutex<Duration>,
}

#[derive(Default)]
struct Read {
    newest_first: Vec<Arc<Sale>>,
    by_slug: HashMap<String, Arc<Sale>>,
}

impl Catalogue {
    /// Reads all sales again.
    ///
    /// # Errors
    /// The ledger's; what was known stays.
    pub async fn refresh(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        let _one_after_the_other = self.reading.lock().await;
        let newest_first: Vec<Arc<Sale>> = ledger.sales().await?.into_iter().map(Arc::new).collect();
        let by_slug = newest_first.iter().map(|sale| (sale.slug.clone(), sale.clone())).collect();
        *self.read.write() = Read { newest_first, by_slug };
        Ok(())
    }

    /// One sale; if it is not known the ledger is asked, a few times a second at most.
    pub async fn find(&self, ledger: &dyn Ledger, env: &Env, slug: &str) -> Option<Arc<Sale>> {
        let known = self.sale(slug);
        if known.is_some() || !is_slug(slug) {
            return known;
        }
        // Who comes meanwhile waits, and sees what was read.
        let mut next = self.next_look.lock().await;
        if self.sale(slug).is_none() && *next <= env.monotonic() {
            if let Err(error) = self.refresh(ledger).await {
                tracing::warn!(%error, "the sales could not be read again");
            }
            *next = env.monotonic() + LOOK_EVERY;
        }
        self.sale(slug)
    }

    /// One sale, as last read.
    #[must_use]
    pub fn sale(&self, slug: &str) -> Option<Arc<Sale>> {
        self.read.read().by_slug.get(slug).cloned()
    }

    /// All sales, the newest first.
    #[must_use]
    pub fn sales(&self) -> Vec<Arc<Sale>> {
        self.read.read().newest_first.clone()
    }
}
