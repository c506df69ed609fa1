//! The sales as this process last read them from the ledger: what prices and opening times are taken from without
//! asking the ledger for each request. At most a second old, and read again at once when this process changed one.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use shared::ledger::{Ledger, LedgerError};
use shared::sale::Sale;

/// The sales as last read.
#[derive(Default)]
pub struct Catalogue {
    /// Replaced as a whole by a refresh; readers clone what they need.
    read: RwLock<Read>,
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
        let newest_first: Vec<Arc<Sale>> = ledger.sales().await?.into_iter().map(Arc::new).collect();
        let by_slug = newest_first.iter().map(|sale| (sale.slug.clone(), sale.clone())).collect();
        *self.read.write() = Read { newest_first, by_slug };
        Ok(())
    }

    /// One sale.
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
