//! Reads of many things at once: when a whole crowd comes back at once, ledger and stock are asked a few times, and not
//! once for each of them.
//!
//! At most one read is under way. Whoever comes meanwhile joins the one that will follow it: it begins after they asked,
//! so that what they get is never older than their question. A read is driven by everybody who waits for it, and so
//! goes on when one of them leaves.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, join_all};
use parking_lot::Mutex;
use shared::ledger::{LedgerError, SharedLedger};
use shared::order::Order;
use shared::stock::{Levels, SharedStock, StockError};
use uuid::Uuid;

/// Things in one read at most.
const MOST: usize = 1_000;

/// Customers' orders, the newest first.
pub type Orders = Gathered<Uuid, Vec<Order>, LedgerError>;
/// How much there is of sales.
pub type StockLevels = Gathered<String, Levels, StockError>;

/// Reads what there is by these keys.
type Ask<K, V, E> = Arc<dyn Fn(Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, E>> + Send + Sync>;
type Outcome<K, V, E> = Result<Arc<HashMap<K, V>>, Arc<E>>;
type Reading<K, V, E> = Shared<BoxFuture<'static, Outcome<K, V, E>>>;
/// For what, each once however often it was asked; taken away when the read begins.
type Keys<K> = Arc<Mutex<Option<BTreeSet<K>>>>;

/// A read that is to come, is under way, or was the last one.
struct Read<K, V, E> {
    keys: Keys<K>,
    outcome: Reading<K, V, E>,
}

/// Reads by key, for many at once.
pub struct Gathered<K, V, E> {
    ask: Ask<K, V, E>,
    last: Mutex<Option<Read<K, V, E>>>,
}

impl Orders {
    /// Reads of each customer the newest `most` orders.
    #[must_use]
    pub fn new(ledger: SharedLedger, most: u32) -> Self {
        Self::asking(move |customers: Vec<Uuid>| {
            let ledger = ledger.clone();
            async move {
                let mut found: HashMap<Uuid, Vec<Order>> = HashMap::new();
                for order in ledger.orders_of(&customers, most).await? {
                    found.entry(order.customer).or_default().push(order);
                }
                Ok(found)
            }
            .boxed()
        })
    }
}

impl StockLevels {
    /// Reads how much the stock has of each sale.
    #[must_use]
    pub fn new(stock: SharedStock) -> Self {
        Self::asking(move |sales: Vec<String>| {
            let stock = stock.clone();
            async move {
                let read = join_all(sales.iter().map(|sale| stock.levels(sale))).await;
                let found = sales.into_iter().zip(read).map(|(sale, levels)| Ok(levels?.map(|levels| (sale, levels))));
                found.filter_map(Result::transpose).collect()
            }
            .boxed()
        })
    }
}

impl<K, V, E> Gathered<K, V, E>
where
    K: Clone + Ord + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    fn asking(ask: impl Fn(Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, E>> + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask), last: Mutex::default() }
    }

    /// What there is by this key, as it is now or later.
    ///
    /// # Errors
    /// The read's; everybody who waited for it is told so.
    pub async fn of(&self, key: K) -> Result<Option<V>, Arc<E>> {
        let outcome = self.join(key.clone());
        Ok(outcome.await?.get(&key).cloned())
    }

    fn join(&self, key: K) -> Reading<K, V, E> {
        let mut last = self.last.lock();
        if let Some(read) = &*last
            && let Some(keys) = read.keys.lock().as_mut().filter(|keys| keys.len() < MOST)
        {
            keys.insert(key);
            return read.outcome.clone();
        }
        let before = last.take().map(|read| read.outcome);
        let keys = Arc::new(Mutex::new(Some(BTreeSet::from([key]))));
        let outcome = read_after(before, self.ask.clone(), keys.clone()).boxed().shared();
        *last = Some(Read { keys, outcome: outcome.clone() });
        outcome
    }
}

async fn read_after<K, V, E>(before: Option<Reading<K, V, E>>, ask: Ask<K, V, E>, keys: Keys<K>) -> Outcome<K, V, E> {
    if let Some(before) = before {
        // What it came to is its own affair.
        let _ = before.await;
    }
    let keys: Vec<K> = keys.lock().take().unwrap_or_default().into_iter().collect();
    Ok(Arc::new(ask(keys).await?))
}

#[cfg(test)]
mod tests;
