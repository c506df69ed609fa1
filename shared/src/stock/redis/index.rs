//! Which sales a customer has held something in lately.
//!
//! Written when a hold was got and before its owner hears of it, so whoever asks for a hold of theirs finds its sale.
//! An entry that is not true any more costs a question to that sale, and goes with its customer's key.

use std::time::Duration;

use uuid::Uuid;

use super::keys::INDEX;
use super::{RedisStock, millis, text};
use crate::stock::StockError;

/// Sales that are noted of one customer: the newest ones.
const MOST_SALES: usize = 32;

/// How much longer than its owner may think a sale is noted: while a purchase is likely to be repeated. Who asks later
/// hears that the hold is gone, and is answered by the ledger.
const AFTERWARDS: Duration = Duration::from_secs(60);

impl RedisStock {
    /// Notes that a customer has a hold in a sale, with so much time to think.
    pub(super) async fn touch(&self, customer: Uuid, sale: &str, think: Duration) -> Result<(), StockError> {
        let call = self.bare_call(&self.scripts.touch).await?.key(&key(customer));
        let reply = call.arg(sale).arg(millis(think.saturating_add(AFTERWARDS))).arg(MOST_SALES).send().await?;
        if reply.word() == "done" { Ok(()) } else { Err(reply.nonsense()) }
    }

    /// The sales that are noted of a customer; the newest first.
    pub(super) async fn sales_of(&self, customer: Uuid) -> Result<Vec<String>, StockError> {
        self.ask(redis::cmd("ZREVRANGE").arg(key(customer)).arg(0).arg(-1)).await
    }
}

fn key(customer: Uuid) -> String {
    format!("{INDEX}{{{}}}", text(customer))
}
