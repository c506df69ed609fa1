//! Which sales a customer has held something in lately.
//!
//! Written when a hold was got and before its owner hears of it, so whoever asks for a hold of theirs finds its sale.
//! An entry that is not true any more costs a question to that sale, and goes with its customer's key.

use std::time::Duration;

use redis::{ErrorKind, RedisResult, ServerErrorKind};
use uuid::Uuid;

use super::keys::INDEX;
use super::reply::Reply;
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
        self.touch_all(&[(customer, sale, think)]).await
    }

    /// The same for many, in one round trip: a call for each, since each speaks of a key of its own.
    pub(super) async fn touch_all(&self, touched: &[(Uuid, &str, Duration)]) -> Result<(), StockError> {
        if touched.is_empty() {
            return Ok(());
        }
        let script = &self.scripts.touch;
        let mut calls = redis::pipe();
        for (customer, sale, think) in touched {
            calls.cmd("EVALSHA").arg(script.get_hash()).arg(1).arg(key(*customer));
            calls.arg(*sale).arg(millis(think.saturating_add(AFTERWARDS))).arg(MOST_SALES);
        }
        let known = self.known().await?;
        let connection = &mut known.connection.clone();
        let mut told = calls.query_async::<Vec<Vec<String>>>(connection).await;
        if told.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            let loaded: RedisResult<String> = script.prepare_invoke().load_async(connection).await;
            loaded.map_err(|error| self.failed(&known, &error))?;
            told = calls.query_async(connection).await;
        }
        for answer in told.map_err(|error| self.failed(&known, &error))? {
            let reply = Reply::new(answer)?;
            if reply.word() != "done" {
                return Err(reply.nonsense());
            }
        }
        Ok(())
    }

    /// The sales that are noted of a customer; the newest first.
    pub(super) async fn sales_of(&self, customer: Uuid) -> Result<Vec<String>, StockError> {
        self.ask(redis::cmd("ZREVRANGE").arg(key(customer)).arg(0).arg(-1)).await
    }
}

fn key(customer: Uuid) -> String {
    format!("{INDEX}{{{}}}", text(customer))
}
