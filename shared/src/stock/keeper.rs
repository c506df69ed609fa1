//! Keeping the stock true: whoever finds that it lost a sale rebuilds it from the ledger, under a new epoch.
//!
//! Every process looks, because any of them may be the only one that is left. One rebuilds; the others see the sale
//! come back. Until then nothing of it is sold.

use super::{Stock, StockError};
use crate::ledger::{Ledger, LedgerError};

/// A rebuild that did not come to its end; the next look begins it again.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The stock's.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// The ledger's.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Rebuilds those of these sales that the stock does not know, or knows from another epoch than the ledger has; which
/// this call rebuilt. `sales` are slugs and epochs, as they were just read from the ledger.
///
/// # Errors
/// When stock or ledger could not be reached.
pub async fn restore(
    ledger: &dyn Ledger,
    stock: &dyn Stock,
    sales: &[(String, u64)],
) -> Result<Vec<String>, KeeperError> {
    let slugs: Vec<String> = sales.iter().map(|(slug, _)| slug.clone()).collect();
    let shown = stock.epochs(&slugs).await?;
    let mut restored = Vec::new();
    for ((sale, epoch), shown) in sales.iter().zip(shown) {
        let right = match shown {
            None => false,
            // A rebuild makes the sale unknown before it begins an epoch: what is shown of an older one is not ours.
            Some(shown) if shown <= *epoch => shown == *epoch,
            // Rebuilt since the ledger was read; unless the ledger itself is an older one, as from a backup.
            Some(shown) => epoch_of(ledger, sale).await? >= Some(shown),
        };
        if !right && stock.begin_rebuild(sale).await? && rebuild(ledger, stock, sale).await? {
            tracing::info!(sale, "the stock did not know this sale, and shows it as the ledger has it");
            metrics::counter!("stock_rebuilds_total").increment(1);
            restored.push(sale.clone());
        }
    }
    Ok(restored)
}

/// Makes the stock show a sale as the ledger has it, although it knows the sale, and at the price of its unpaid holds;
/// `false` when somebody else has just begun to, or there is no such sale.
///
/// # Errors
/// When stock or ledger could not be reached.
pub async fn begin_anew(ledger: &dyn Ledger, stock: &dyn Stock, sale: &str) -> Result<bool, KeeperError> {
    Ok(stock.begin_rebuild(sale).await? && rebuild(ledger, stock, sale).await?)
}

async fn epoch_of(ledger: &dyn Ledger, sale: &str) -> Result<Option<u64>, LedgerError> {
    Ok(ledger.sales().await?.into_iter().find(|found| found.slug == sale).map(|found| found.epoch))
}

/// Makes the stock show a sale as the ledger has it, under a new epoch; `false` when the ledger has no such sale.
async fn rebuild(ledger: &dyn Ledger, stock: &dyn Stock, sale: &str) -> Result<bool, KeeperError> {
    let run_id = stock.run_id().await?;
    let Some(image) = ledger.begin_epoch(sale, &run_id).await? else { return Ok(false) };
    stock.rebuild(image).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Seeded;
    use crate::ledger::book::Terms;
    use crate::ledger::memory::MemoryLedger;
    use crate::sale::{Sale, Tier};
    use crate::stock::memory::MemoryStock;

    fn sale(ledger: &MemoryLedger) -> Sale {
        let tier = Tier {
            id: "std".into(),
            name: "Standard".into(),
            amount: 100,
            capacity: 5,
            max_per_customer: None,
            opens_at: None,
            closes_at: None,
        };
        Sale {
            slug: "demo".into(),
            name: "Demo".into(),
            currency: "usd".parse().unwrap(),
            opens_at: ledger.now(),
            closes_at: None,
            hold_ms: 60_000,
            late: crate::sale::LatePolicy::default(),
            paused: false,
            epoch: 0,
            tiers: vec![tier],
        }
    }

    async fn shop() -> (MemoryLedger, MemoryStock) {
        let env = Seeded::new(3).env();
        let ledger = MemoryLedger::new(env.clone(), Terms::default());
        ledger.create_sale(sale(&ledger)).await.unwrap();
        (ledger, MemoryStock::new(env))
    }

    async fn look(ledger: &MemoryLedger, stock: &MemoryStock, epoch: u64) -> usize {
        restore(ledger, stock, &[("demo".to_owned(), epoch)]).await.unwrap().len()
    }

    #[tokio::test]
    async fn what_is_unknown_is_rebuilt_once_and_what_is_known_left_alone() {
        let (ledger, stock) = shop().await;
        assert_eq!((look(&ledger, &stock, 0).await, look(&ledger, &stock, 1).await), (1, 0));
        assert_eq!(stock.levels("demo").await.unwrap().map(|levels| levels.epoch), Some(1));
    }

    #[tokio::test]
    async fn a_rebuild_since_the_ledger_was_read_is_not_done_again() {
        let (ledger, stock) = shop().await;
        look(&ledger, &stock, 0).await;
        assert_eq!(look(&ledger, &stock, 0).await, 0);
    }

    #[tokio::test]
    async fn a_stock_that_shows_another_ledgers_epoch_is_rebuilt() {
        let (ledger, stock) = shop().await;
        look(&ledger, &stock, 0).await;
        // A ledger from a backup, and one that has gone on without this stock.
        let (from_backup, _) = shop().await;
        let image = ledger.begin_epoch("demo", "run").await.unwrap().unwrap();
        stock.rebuild(image).await.unwrap();
        assert_eq!(look(&from_backup, &stock, 0).await, 1);
        assert_eq!(stock.levels("demo").await.unwrap().map(|levels| levels.epoch), Some(1));
        assert_eq!(look(&ledger, &stock, 2).await, 1);
        assert_eq!(stock.levels("demo").await.unwrap().map(|levels| levels.epoch), Some(3));
    }
}
