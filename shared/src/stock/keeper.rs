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

/// Rebuilds those of these sales that the stock does not know; which this call rebuilt.
///
/// # Errors
/// When stock or ledger could not be reached.
pub async fn restore(ledger: &dyn Ledger, stock: &dyn Stock, sales: &[String]) -> Result<Vec<String>, KeeperError> {
    let mut restored = Vec::new();
    for sale in stock.unknown(sales).await? {
        if stock.begin_rebuild(&sale).await? && rebuild(ledger, stock, &sale).await? {
            tracing::info!(sale, "the stock did not know this sale, and shows it as the ledger has it");
            metrics::counter!("stock_rebuilds_total").increment(1);
            restored.push(sale);
        }
    }
    Ok(restored)
}

/// Makes the stock show a sale as the ledger has it, under a new epoch; `false` when the ledger has no such sale.
///
/// # Errors
/// When stock or ledger could not be reached.
pub async fn rebuild(ledger: &dyn Ledger, stock: &dyn Stock, sale: &str) -> Result<bool, KeeperError> {
    let run_id = stock.run_id().await?;
    let Some(image) = ledger.begin_epoch(sale, &run_id).await? else { return Ok(false) };
    stock.rebuild(image).await?;
    Ok(true)
}
