//! Orders of many customers in one read: when a whole crowd comes back at once, the ledger is asked a few times, and not
//! once for each of them.
//!
//! At most one read is under way. Whoever comes meanwhile joins the one that will follow it: it begins after they asked,
//! so that what they get is never older than their question. A read is driven by everybody who waits for it, and so
//! goes on when one of them leaves.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use shared::ledger::{LedgerError, SharedLedger};
use shared::order::Order;
use uuid::Uuid;

/// Customers in one read at most.
const MOST: usize = 1_000;

/// Reads the orders of customers.
type Ask = Arc<dyn Fn(Vec<Uuid>) -> BoxFuture<'static, Result<Vec<Order>, LedgerError>> + Send + Sync>;
type Outcome = Result<Arc<HashMap<Uuid, Vec<Order>>>, Arc<LedgerError>>;

/// A read that is to come, is under way, or was the last one.
struct Read {
    /// For whom, each once however many tabs they have; taken away when it begins.
    customers: Arc<Mutex<Option<BTreeSet<Uuid>>>>,
    outcome: Shared<BoxFuture<'static, Outcome>>,
}

/// Reads orders by customer, for many customers at once.
pub struct Gathered {
    ask: Ask,
    last: Mutex<Option<Read>>,
}

impl Gathered {
    /// Reads of each customer the newest `most` orders.
    #[must_use]
    pub fn new(ledger: SharedLedger, most: u32) -> Self {
        Self::asking(move |customers: Vec<Uuid>| {
            let ledger = ledger.clone();
            async move { ledger.orders_of(&customers, most).await }.boxed()
        })
    }

    fn asking(
        ask: impl Fn(Vec<Uuid>) -> BoxFuture<'static, Result<Vec<Order>, LedgerError>> + Send + Sync + 'static,
    ) -> Self {
        Self { ask: Arc::new(ask), last: Mutex::default() }
    }

    /// A customer's orders as they are now or later, the newest first.
    ///
    /// # Errors
    /// When the ledger cannot be read; everybody who waited for the same read is told so.
    pub async fn orders_of(&self, customer: Uuid) -> Result<Vec<Order>, Arc<LedgerError>> {
        let outcome = self.join(customer);
        Ok(outcome.await?.get(&customer).cloned().unwrap_or_default())
    }

    fn join(&self, customer: Uuid) -> Shared<BoxFuture<'static, Outcome>> {
        let mut last = self.last.lock();
        if let Some(read) = &*last
            && let Some(customers) = read.customers.lock().as_mut().filter(|customers| customers.len() < MOST)
        {
            customers.insert(customer);
            return read.outcome.clone();
        }
        let before = last.take().map(|read| read.outcome);
        let customers = Arc::new(Mutex::new(Some(BTreeSet::from([customer]))));
        let outcome = read_after(before, self.ask.clone(), customers.clone()).boxed().shared();
        *last = Some(Read { customers, outcome: outcome.clone() });
        outcome
    }
}

async fn read_after(
    before: Option<Shared<BoxFuture<'static, Outcome>>>,
    ask: Ask,
    customers: Arc<Mutex<Option<BTreeSet<Uuid>>>>,
) -> Outcome {
    if let Some(before) = before {
        // What it came to is its own affair.
        let _ = before.await;
    }
    let customers: Vec<Uuid> = customers.lock().take().unwrap_or_default().into_iter().collect();
    let mut found: HashMap<Uuid, Vec<Order>> = HashMap::new();
    for order in ask(customers).await? {
        found.entry(order.customer).or_default().push(order);
    }
    Ok(Arc::new(found))
}

#[cfg(test)]
mod tests;
