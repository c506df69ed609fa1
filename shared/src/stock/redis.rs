//! Stock in Redis, shared by every web and worker process.
//!
//! Each call is one Lua script over the keys of one sale (`keys.rs` lists them all), so it happens as a whole or not at
//! all, and takes one round trip; those who reserve or settle at the same time share one (`crowd.rs`). The scripts lie in `lua/`; `sale.lua` is what they have in common.
//!
//! **Whether a sale is known.** The server may come back with less than it had: restarted from nothing or from an old
//! snapshot, or another server after a failover. Every script is told the run id of the server process that its
//! connection ends at, and compares it with the one under which the sale was rebuilt. They differ, or nothing is
//! there: the sale is not known, nothing is sold from its counters, and it waits for a rebuild. So a loss is noticed by
//! the first call after it, without anybody looking for it.
//!
//! **Where a hold is found.** Who reserves or settles names the sale. Who pins or frees knows a hold and a customer
//! only, so the sales in which a customer has held something lately are noted under the customer (`index.rs`), by those
//! who got a hold and before they hear of it; the many who get none leave no trace.
//!
//! **Time** is the server's. Deadlines are scores of sorted sets and nothing else; what is due is freed by whatever
//! script comes next, a batch at a time, so that no buyer is refused because of a hold that is over.
//!
//! **Architecture invariants.** No script touches keys of two sales. Nothing stays behind for an order that has ended,
//! beyond a customer's count where a tier has a limit. A rebuild is shown as a whole, by its last call.

mod call;
mod crowd;
mod index;
mod keys;
mod rebuild;
mod reply;
mod scripts;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use redis::{RedisError, Script};
use uuid::Uuid;

use self::reply::Reply;
use self::scripts::Scripts;
use super::{
    Exhausted, Freed, Hold, Levels, LonePin, MOST_REMEMBERED, Pinned, REBUILD_WITHIN, Reserve, Reserved, Settlement,
    Stock, StockError, TierLevel,
};
use crate::env::Env;
use crate::gather::Gather;
use crate::ledger::Image;
use crate::redis_server::{Known, RedisServer};
use crate::sale::PricedItem;

#[cfg(any(test, feature = "conformance"))]
pub use self::keys::CLOCK_OF_TESTS;
pub use self::keys::{INDEX, PREFIX, SALES};

/// Sales that are asked at the same time.
const AT_ONCE: usize = 16;
/// Reservations or settlements that go in one call. Redis does nothing else meanwhile.
const MOST_TOGETHER: usize = 64;
/// The most pins that one sale is asked for at once.
const MOST_PINS: usize = 1_000;
/// Batches of dead holds that one call of [`Stock::expire`] frees, per sale.
const MOST_BATCHES: u32 = 10_000;

/// Stock in Redis; clones are the same.
#[derive(Clone)]
pub struct RedisStock {
    server: RedisServer,
    env: Env,
    scripts: Arc<Scripts>,
    reserving: Gather<Reserve, Result<Reserved, StockError>>,
    settling: Gather<Settlement, Result<(), StockError>>,
}

impl RedisStock {
    /// The stock that this server has.
    #[must_use]
    pub fn new(server: RedisServer, env: Env) -> Self {
        Self::by(scripts::CLOCK, server, env)
    }

    /// The same by a clock that stands still until a test moves it: the number of milliseconds at
    /// [`CLOCK_OF_TESTS`].
    #[cfg(any(test, feature = "conformance"))]
    #[must_use]
    pub fn by_clock_of_tests(server: RedisServer, env: Env) -> Self {
        Self::by(scripts::CLOCK_OF_TESTS, server, env)
    }

    fn by(clock: &str, server: RedisServer, env: Env) -> Self {
        let (reserving, settling) = (Gather::new(MOST_TOGETHER), Gather::new(MOST_TOGETHER));
        Self { server, env, scripts: Arc::new(Scripts::new(clock)), reserving, settling }
    }

    async fn known(&self) -> Result<Known, StockError> {
        let known = self.server.known().await.map_err(|error| StockError(error.to_string()))?;
        // Without it a server that lost something could not be told from one that did not.
        if known.run_id.is_empty() {
            return Err(StockError("the server does not tell its run id (INFO server)".into()));
        }
        Ok(known)
    }

    fn failed(&self, known: &Known, error: &RedisError) -> StockError {
        self.server.report(known, error);
        StockError(error.to_string())
    }

    /// One command that is no script.
    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, StockError> {
        let known = self.known().await?;
        let answer = command.query_async(&mut known.connection.clone()).await;
        answer.map_err(|error| self.failed(&known, &error))
    }

    /// Asks one script of every sale in which the customer has held something lately.
    async fn ask_where(
        &self,
        customer: Uuid,
        script: &Script,
        arguments: &[String],
    ) -> Result<Vec<(String, Reply)>, StockError> {
        let sales = self.sales_of(customer).await?;
        let asked = sales.into_iter().map(|sale| async move {
            let reply = self.call(script, &sale).await?.args(arguments).send().await?;
            Ok((sale, reply))
        });
        try_join_all(asked).await
    }

    /// Every sale that was ever rebuilt here.
    async fn sales(&self) -> Result<Vec<String>, StockError> {
        self.ask(redis::cmd("SMEMBERS").arg(SALES)).await
    }

    async fn expire_in(&self, sale: &str) -> Result<u64, StockError> {
        let mut freed = 0;
        for _ in 0..MOST_BATCHES {
            let mut reply = self.call(&self.scripts.expire, sale).await?.send().await?;
            match reply.word() {
                "freed" => freed += reply.number::<u64>()?,
                "unknown" => break,
                _ => return Err(reply.nonsense()),
            }
            if reply.number::<u8>()? == 0 {
                break;
            }
        }
        Ok(freed)
    }

    async fn lone_pins_in(&self, sale: &str, age: Duration, most: usize) -> Result<Vec<(u64, LonePin)>, StockError> {
        let call = self.call(&self.scripts.lone_pins, sale).await?;
        let mut reply = call.arg(millis(age)).arg(most.min(MOST_PINS)).send().await?;
        match reply.word() {
            "pins" => {}
            "unknown" => return Ok(Vec::new()),
            _ => return Err(reply.nonsense()),
        }
        let mut pins = Vec::new();
        while !reply.is_empty() {
            let since = reply.number()?;
            pins.push((since, LonePin { sale: sale.to_owned(), hold: reply.parsed()?, order: reply.parsed()? }));
        }
        Ok(pins)
    }
}

#[async_trait]
impl Stock for RedisStock {
    async fn run_id(&self) -> Result<String, StockError> {
        Ok(self.known().await?.run_id.to_string())
    }

    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StockError> {
        self.reserve_with_others(reserve).await
    }

    async fn pin(&self, hold: Uuid, order: Uuid, customer: Uuid) -> Result<Pinned, StockError> {
        let arguments = [text(hold), text(order), text(customer)];
        let mut found = Pinned::Gone;
        for (sale, mut reply) in self.ask_where(customer, &self.scripts.pin, &arguments).await? {
            match reply.word() {
                "pinned" => {
                    let new = reply.flag()?;
                    let hold = Hold {
                        id: hold,
                        sale,
                        customer,
                        order: Some(order),
                        epoch: reply.number()?,
                        think_ms: reply.number()?,
                        currency: reply.parsed()?,
                        items: reply.items()?,
                    };
                    found = Pinned::Yes { hold, new };
                }
                "taken" if found == Pinned::Gone => found = Pinned::Taken,
                "gone" | "taken" | "unknown" => {}
                _ => return Err(reply.nonsense()),
            }
        }
        Ok(found)
    }

    async fn unpin(&self, sale: &str, hold: Uuid, order: Uuid) -> Result<(), StockError> {
        let call = self.call(&self.scripts.unpin, sale).await?;
        let mut reply = call.arg(text(hold)).arg(text(order)).send().await?;
        match reply.word() {
            // However long it was pinned, its owner finds it for the rest of the time.
            "thinking" => {
                let customer = reply.parsed()?;
                self.touch(customer, sale, Duration::from_millis(reply.number()?)).await
            }
            "done" | "unknown" => Ok(()),
            _ => Err(reply.nonsense()),
        }
    }

    async fn free(&self, hold: Uuid, customer: Uuid) -> Result<Freed, StockError> {
        let arguments = [text(hold), text(customer)];
        let mut found = Freed::Gone;
        for (_, reply) in self.ask_where(customer, &self.scripts.free, &arguments).await? {
            match reply.word() {
                "freed" => found = Freed::Yes,
                "pinned" if found == Freed::Gone => found = Freed::Pinned,
                "gone" | "pinned" | "unknown" => {}
                _ => return Err(reply.nonsense()),
            }
        }
        Ok(found)
    }

    async fn free_orphan(&self, sale: &str, hold: Uuid, order: Uuid, age: Duration) -> Result<bool, StockError> {
        let call = self.call(&self.scripts.free_orphan, sale).await?;
        let reply = call.arg(text(hold)).arg(text(order)).arg(millis(age)).send().await?;
        match reply.word() {
            "freed" => Ok(true),
            "kept" | "unknown" => Ok(false),
            _ => Err(reply.nonsense()),
        }
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), StockError> {
        self.settle_with_others(settlement).await
    }

    async fn holds_of(&self, customer: Uuid) -> Result<Vec<Hold>, StockError> {
        let mut holds = Vec::new();
        for (sale, mut reply) in self.ask_where(customer, &self.scripts.holds_of, &[text(customer)]).await? {
            match reply.word() {
                "holds" => {}
                "unknown" => continue,
                _ => return Err(reply.nonsense()),
            }
            let epoch = reply.number()?;
            while !reply.is_empty() {
                holds.push(Hold {
                    id: reply.parsed()?,
                    think_ms: reply.number()?,
                    currency: reply.parsed()?,
                    items: reply.items()?,
                    sale: sale.clone(),
                    customer,
                    epoch,
                    order: None,
                });
            }
        }
        holds.sort_by_key(|hold| (hold.think_ms, hold.id));
        Ok(holds)
    }

    async fn levels(&self, sale: &str) -> Result<Option<Levels>, StockError> {
        let mut reply = self.call(&self.scripts.levels, sale).await?.send().await?;
        match reply.word() {
            "levels" => {}
            "unknown" => return Ok(None),
            _ => return Err(reply.nonsense()),
        }
        let mut levels = Levels { epoch: reply.number()?, tiers: Vec::new() };
        while !reply.is_empty() {
            levels.tiers.push(TierLevel {
                id: reply.text()?,
                capacity: reply.number()?,
                free: reply.number()?,
                held: reply.number()?,
                pinned: reply.number()?,
                sold: reply.number()?,
            });
        }
        Ok(Some(levels))
    }

    async fn exhausted(&self, sale: &str, mark: &str) -> Result<Option<Exhausted>, StockError> {
        let call = self.call(&self.scripts.exhausted, sale).await?;
        let mut reply = call.arg(mark).arg(MOST_REMEMBERED).send().await?;
        match reply.word() {
            "exhausted" => {}
            "many" | "unknown" => return Ok(None),
            _ => return Err(reply.nonsense()),
        }
        let (mark, has_holds, count) = (reply.text()?, reply.flag()?, reply.number::<usize>()?);
        let mut tiers = Vec::new();
        for _ in 0..count {
            tiers.push(reply.text()?);
        }
        let mut holds = Vec::new();
        while !reply.is_empty() {
            holds.push(reply.parsed()?);
        }
        Ok(Some(Exhausted { mark, tiers, holds: has_holds.then_some(holds) }))
    }

    async fn expire(&self) -> Result<u64, StockError> {
        let sales = self.sales().await?;
        let freed =
            stream::iter(sales).map(|sale| async move { self.expire_in(&sale).await }).buffer_unordered(AT_ONCE);
        freed.try_fold(0, |sum, freed| async move { Ok(sum + freed) }).await
    }

    async fn pins_older_than(&self, age: Duration, most: usize) -> Result<Vec<LonePin>, StockError> {
        let sales = self.sales().await?;
        let found = stream::iter(sales).map(|sale| async move { self.lone_pins_in(&sale, age, most).await });
        let mut pins = found.buffer_unordered(AT_ONCE).try_concat().await?;
        pins.sort_by_key(|(since, pin)| (*since, pin.hold));
        Ok(pins.into_iter().map(|(_, pin)| pin).take(most).collect())
    }

    async fn set_capacity(&self, sale: &str, tier: &str, capacity: u32) -> Result<(), StockError> {
        let reply = self.call(&self.scripts.set_capacity, sale).await?.arg(tier).arg(capacity).send().await?;
        match reply.word() {
            "done" | "unknown" => Ok(()),
            _ => Err(reply.nonsense()),
        }
    }

    async fn set_returned(&self, sale: &str, tier: &str, units: u32) -> Result<(), StockError> {
        let mut reply = self.call(&self.scripts.set_returned, sale).await?.arg(tier).arg(units).send().await?;
        match reply.word() {
            "done" => Ok(()),
            "short" => Err(StockError::not_sold_yet(tier, reply.number()?)),
            "unknown" => Err(StockError::unknown(sale)),
            _ => Err(reply.nonsense()),
        }
    }

    async fn epochs(&self, sales: &[String]) -> Result<Vec<Option<u64>>, StockError> {
        // An empty pipeline has no answer.
        if sales.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.known().await?;
        let mut pipeline = redis::pipe();
        for sale in sales {
            pipeline.cmd("HMGET").arg(keys::of_sale(sale)?.sale()).arg("run").arg("epoch");
        }
        let answer = pipeline.query_async(&mut known.connection.clone()).await;
        let shown: Vec<(Option<String>, Option<u64>)> = answer.map_err(|error| self.failed(&known, &error))?;
        let known_now =
            |(run, epoch): (Option<String>, Option<u64>)| epoch.filter(|_| run.as_deref() == Some(&*known.run_id));
        Ok(shown.into_iter().map(known_now).collect())
    }

    async fn begin_rebuild(&self, sale: &str) -> Result<bool, StockError> {
        let call = self.call(&self.scripts.begin_rebuild, sale).await?;
        let reply = call.arg(millis(REBUILD_WITHIN)).send().await?;
        match reply.word() {
            "begun" => Ok(true),
            "busy" => Ok(false),
            _ => Err(reply.nonsense()),
        }
    }

    async fn rebuild(&self, image: Image) -> Result<(), StockError> {
        self.show(image).await
    }
}

fn text(id: Uuid) -> String {
    id.hyphenated().to_string()
}

/// Whole milliseconds; a time so long that nobody means it is cut to three hundred centuries.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(999_999_999_999_999)
}

/// The form in which the scripts count: `std=2,vip=1`.
fn units_of(items: &[PricedItem]) -> String {
    items.iter().map(|item| format!("{}={}", item.tier, item.quantity)).collect::<Vec<_>>().join(",")
}

/// The form in which prices are kept; no script looks into it.
fn json(items: &[PricedItem]) -> Result<String, StockError> {
    serde_json::to_string(items).map_err(|error| StockError(error.to_string()))
}
