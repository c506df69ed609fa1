//! Who comes too late is told so from memory.
//!
//! When something of a sale is gone, nearly everybody who still comes is refused. What is gone is then kept here, asked of
//! the stock several times within the quarter of a second that a refusal may be behind, and neither the stock nor the
//! ledger is asked for each of them.
//!
//! Whoever bought must not be refused when they ask again with the same order, whichever process took it. So every hold
//! that the stock knows, and every order that the ledger has, is kept here as well; whose id is among them goes the long
//! way. A mark tells whether a hold was taken since: then the holds are read again, and nobody is refused before the next
//! look finds nothing new. For a moment a repeated call may take what it gives back when the ledger knows its order.

use std::collections::HashSet;
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use shared::env::Env;
use shared::ledger::Ledger;
use shared::sale::Item;
use shared::stock::{MOST_REMEMBERED, Stock};
use tokio::sync::Notify;
use uuid::Uuid;

/// What is gone is asked for this often.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What was heard longer ago refuses nobody.
const STALE_AFTER: Duration = Duration::from_millis(250);
/// A sale for which nobody was refused in this time is looked at no longer.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// What is gone of the sales that people still ask for.
pub struct Losers {
    env: Env,
    sales: DashMap<String, Gone>,
    /// Told when a sale is to be looked at that was not before.
    new: Notify,
    /// What was asked for before this counts no longer.
    doubted_at: Mutex<Duration>,
}

/// Times are those of the monotonic clock.
struct Gone {
    mark: String,
    tiers: HashSet<String>,
    /// Those who may have bought.
    ids: HashSet<Uuid>,
    /// The orders of the ledger are among them.
    has_orders: bool,
    /// When the stock was asked, if it is known what is gone.
    since: Option<Duration>,
    /// When somebody was last refused.
    refused_at: Duration,
}

impl Losers {
    /// Nothing is gone.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self { env, sales: DashMap::new(), new: Notify::new(), doubted_at: Mutex::default() }
    }

    /// The tier for which whoever comes with this order or hold is too late, if that is known.
    pub fn refuses(&self, sale: &str, items: &[Item], id: Uuid) -> Option<String> {
        let mut gone = self.sales.get_mut(sale)?;
        let now = self.env.monotonic();
        gone.since.filter(|since| now.saturating_sub(*since) <= STALE_AFTER)?;
        let tier = items.iter().find(|item| gone.tiers.contains(&item.tier))?.tier.clone();
        if gone.ids.contains(&id) {
            return None;
        }
        gone.refused_at = now;
        metrics::counter!("refused_from_memory_total").increment(1);
        Some(tier)
    }

    /// The stock has refused somebody for want of units.
    pub fn refused(&self, sale: &str) {
        let now = self.env.monotonic();
        if let Some(mut gone) = self.sales.get_mut(sale) {
            gone.refused_at = now;
            return;
        }
        let (mark, tiers, ids) = (String::new(), HashSet::new(), HashSet::new());
        self.sales.insert(sale.to_owned(), Gone { mark, tiers, ids, has_orders: false, since: None, refused_at: now });
        self.new.notify_one();
    }

    /// This process has made something free: nobody is refused before it was looked again.
    pub fn doubt(&self) {
        *self.doubted_at.lock() = self.env.monotonic();
        self.sales.iter_mut().for_each(|mut gone| gone.since = None);
    }

    /// Nobody was refused lately.
    #[must_use]
    pub fn are_gone(&self) -> bool {
        self.sales.is_empty()
    }

    /// Waits until somebody was refused in a sale that was not looked at.
    pub async fn somebody(&self) {
        self.new.notified().await;
    }

    /// Asks what is gone.
    pub async fn look(&self, stock: &dyn Stock, ledger: &dyn Ledger) {
        let now = self.env.monotonic();
        self.sales.retain(|_, gone| now.saturating_sub(gone.refused_at) <= IDLE_AFTER);
        let mut sales: Vec<String> = self.sales.iter().map(|entry| entry.key().clone()).collect();
        sales.sort_unstable();
        for sale in sales {
            self.look_at(stock, ledger, &sale).await;
        }
    }

    async fn look_at(&self, stock: &dyn Stock, ledger: &dyn Ledger, sale: &str) {
        let Some((mark, has_orders)) = self.sales.get(sale).map(|gone| (gone.mark.clone(), gone.has_orders)) else {
            return;
        };
        // Before the question: what is told is at least as new.
        let asked_at = self.env.monotonic();
        let Ok(Some(told)) = stock.exhausted(sale, &mark).await else { return };
        // An order that the stock has forgotten was paid a while ago, so the ledger has it by now; later ones are known
        // from their holds.
        let orders = if has_orders {
            Vec::new()
        } else {
            let most = u32::try_from(MOST_REMEMBERED).unwrap_or(u32::MAX);
            match ledger.order_ids(sale, most).await {
                Ok(orders) if orders.len() < MOST_REMEMBERED => orders,
                _ => return,
            }
        };
        if let Some(mut gone) = self.sales.get_mut(sale) {
            let stands_still = told.holds.is_none();
            gone.ids.extend(told.holds.into_iter().flatten().chain(orders));
            gone.has_orders = gone.ids.len() <= MOST_REMEMBERED;
            gone.mark = told.mark;
            gone.tiers = told.tiers.into_iter().collect();
            let is_new = asked_at >= *self.doubted_at.lock();
            gone.since = (gone.has_orders && is_new && stands_still).then_some(asked_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::env::Seeded;
    use shared::ledger::book::Terms;
    use shared::ledger::conformance::demo;
    use shared::ledger::memory::MemoryLedger;
    use shared::sale::PricedItem;
    use shared::stock::memory::MemoryStock;
    use shared::stock::{Freed, Reserve, Reserved};

    use super::*;
    use crate::serve::tests::now;

    struct Door {
        seeded: Seeded,
        losers: Losers,
        stock: MemoryStock,
        ledger: MemoryLedger,
    }

    impl Door {
        /// A sale of so many units.
        fn selling(units: u32) -> Self {
            let seeded = Seeded::new(3);
            let env = seeded.env();
            let stock = MemoryStock::new(env.clone());
            let ledger = MemoryLedger::new(env.clone(), Terms::default());
            now(ledger.create_sale(demo(units, None))).unwrap();
            let image = now(ledger.begin_epoch("demo", "run")).unwrap().unwrap();
            now(stock.rebuild(image)).unwrap();
            Self { losers: Losers::new(env), seeded, stock, ledger }
        }

        fn take(&self, id: u128) -> Reserved {
            let items = vec![PricedItem { tier: "std".into(), quantity: 1, amount: 2_500 }];
            let (hold, sale, customer) = (Uuid::from_u128(id), "demo".into(), Uuid::from_u128(id));
            let (currency, think) = ("usd".parse().unwrap(), Duration::from_secs(60));
            now(self.stock.reserve(Reserve { hold, sale, customer, items, currency, think, order: None })).unwrap()
        }

        fn look(&self) {
            now(self.losers.look(&self.stock, &self.ledger));
        }

        fn look_twice(&self) {
            self.look();
            self.look();
        }

        fn refuses(&self, tier: &str, id: u128) -> bool {
            let items = [Item { tier: tier.into(), quantity: 1 }];
            self.losers.refuses("demo", &items, Uuid::from_u128(id)).is_some()
        }
    }

    #[test]
    fn who_comes_too_late_is_refused_from_memory_and_who_has_bought_is_not() {
        let door = Door::selling(1);
        assert!(matches!(door.take(1), Reserved::Yes { .. }));
        assert!(!door.refuses("std", 2), "nobody has asked yet what is gone");
        door.losers.refused("demo");
        assert!(!door.refuses("std", 2), "nobody has answered yet");
        door.look();
        assert!(!door.refuses("std", 2), "what was taken a moment ago may come back");
        door.look();
        assert!(door.refuses("std", 2));
        assert!(!door.refuses("vip", 2), "of that there is some");
        assert!(!door.refuses("std", 1), "who has the unit and asks again is answered in full");
    }

    #[test]
    fn a_refusal_is_never_older_than_a_quarter_of_a_second() {
        let door = Door::selling(1);
        door.take(1);
        door.losers.refused("demo");
        door.look_twice();
        assert_eq!(now(door.stock.free(Uuid::from_u128(1), Uuid::from_u128(1))).unwrap(), Freed::Yes);
        assert!(door.refuses("std", 2), "if another process did that, it is not known here yet");
        door.seeded.advance(Duration::from_millis(251));
        assert!(!door.refuses("std", 2), "what is this old refuses nobody");
        door.look();
        assert!(!door.refuses("std", 2), "a unit is free");
        assert!(matches!(door.take(3), Reserved::Yes { .. }));
        door.look_twice();
        assert!(door.refuses("std", 2));
        assert!(!door.refuses("std", 3), "taken elsewhere meanwhile, and asked again here");
    }

    #[test]
    fn what_this_process_makes_free_is_there_for_the_next_one() {
        let door = Door::selling(1);
        door.take(1);
        door.losers.refused("demo");
        door.look_twice();
        assert!(door.refuses("std", 2));
        door.losers.doubt();
        assert!(!door.refuses("std", 2));
        door.look();
        assert!(door.refuses("std", 2), "nothing was free");
    }

    #[test]
    fn a_sale_that_nobody_asks_for_is_looked_at_no_longer() {
        let door = Door::selling(1);
        door.take(1);
        door.losers.refused("demo");
        door.seeded.advance(IDLE_AFTER + Duration::from_millis(1));
        door.look();
        assert!(door.losers.sales.is_empty());
    }
}
