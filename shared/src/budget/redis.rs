//! The books in Redis, for several processes: one script a call, by the server's clock.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `stampede:{budget}` | hash | `born` (µs), `latency` (µs), and for `total` and each endpoint `<name>:next` (µs), `:cut_at` (µs), `:cut` (thousandths a second), `:taken`, `:throttled` |
//! | `stampede:{budget}:sharers` | sorted set | the processes that share the budget, by the ms until which they do |
//!
//! A server that forgets them begins new books, which are empty for a tenth of a second: what was promised before goes
//! out in that time, so that the limit holds. What was cut is forgotten, and learned again.

use std::time::Duration;

use async_trait::async_trait;
use redis::{RedisError, Script, Value, from_redis_value};

use super::{Ask, Endpoint, Limits, Meter, MilliHertz, Reserved, Scope, Sharer, Slots, SlotsError, Standing};
use crate::redis_server::RedisServer;

/// The books; what every key of the budget begins with.
pub const KEY: &str = "stampede:{budget}";
const SHARERS: &str = "stampede:{budget}:sharers";
/// Who has not looked for so long shares no more.
const SHARED_FOR: Duration = Duration::from_secs(3);

/// Books in Redis.
pub struct RedisSlots {
    server: RedisServer,
    reserve: Script,
    cut: Script,
    standing: Script,
}

impl RedisSlots {
    /// The books that this server has.
    #[must_use]
    pub fn new(server: RedisServer) -> Self {
        let script = |own: &str| Script::new(&[include_str!("redis/budget.lua"), own].concat());
        Self {
            server,
            reserve: script(include_str!("redis/reserve.lua")),
            cut: script(include_str!("redis/cut.lua")),
            standing: script(include_str!("redis/standing.lua")),
        }
    }
}

/// As the scripts want it: 0 is none.
fn limit(per_second: Option<u32>) -> u64 {
    u64::from(per_second.unwrap_or(0)) * 1_000
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failed(error: RedisError) -> SlotsError {
    SlotsError(error.to_string())
}

fn odd(what: &impl std::fmt::Debug) -> SlotsError {
    SlotsError(format!("an answer that makes no sense: {what:?}"))
}

#[async_trait]
impl Slots for RedisSlots {
    async fn reserve(&self, ask: Ask) -> Result<Reserved, SlotsError> {
        let mut call = self.reserve.key(KEY);
        call.arg(ask.endpoint.as_str()).arg(limit(ask.limits.endpoint)).arg(limit(ask.limits.total)).arg(ask.most);
        // A number that Lua can still tell from its neighbours.
        call.arg(u8::from(ask.ahead)).arg(micros(ask.patience).min(1 << 50));
        let reply: Vec<Value> = call.invoke_async(&mut self.server.commands()).await.map_err(failed)?;
        let word: Option<String> = reply.first().and_then(|word| from_redis_value(word.clone()).ok());
        let numbers: Vec<u64> = reply.iter().skip(1).filter_map(|n| from_redis_value(n.clone()).ok()).collect();
        match (word.as_deref(), numbers.as_slice()) {
            (Some("unlimited"), []) => Ok(Reserved::Unlimited),
            (Some("later"), [wait]) => Ok(Reserved::Later(Duration::from_micros(*wait))),
            (Some("slots"), [wait, gap, count]) => Ok(Reserved::Slots {
                wait: Duration::from_micros(*wait),
                gap: Duration::from_micros(*gap),
                count: u32::try_from(*count).map_err(|_| odd(&reply))?,
            }),
            _ => Err(odd(&reply)),
        }
    }

    async fn cut(&self, scope: Scope, limits: Limits, observed: Option<MilliHertz>) -> Result<bool, SlotsError> {
        let (name, limited) = match scope {
            Scope::Endpoint(endpoint) => (endpoint.as_str(), limits.endpoint),
            Scope::Total => ("total", limits.total),
        };
        let mut call = self.cut.key(KEY);
        call.arg(name).arg(limit(limited)).arg(observed.unwrap_or(0));
        let cut: u8 = call.invoke_async(&mut self.server.commands()).await.map_err(failed)?;
        Ok(cut == 1)
    }

    async fn standing(&self, limits: Limits, sharer: Option<Sharer<'_>>) -> Result<Standing, SlotsError> {
        let mut call = self.standing.key(KEY);
        let latency = sharer.and_then(|sharer| sharer.latency).map_or(0, micros);
        call.key(SHARERS).arg(sharer.map_or("", |sharer| sharer.name)).arg(micros(SHARED_FOR) / 1_000);
        call.arg(limit(limits.endpoint)).arg(limit(limits.total)).arg(latency);
        let reply: Vec<Value> = call.invoke_async(&mut self.server.commands()).await.map_err(failed)?;
        let [sharers, latency, rows @ ..] = reply.as_slice() else { return Err(odd(&reply)) };
        let sharers: u32 = from_redis_value(sharers.clone()).map_err(|error| odd(&error))?;
        let latency: u64 = from_redis_value(latency.clone()).map_err(|error| odd(&error))?;
        let unasked = Some(limit(limits.endpoint)).filter(|rate| *rate > 0);
        let latency = Some(latency).filter(|latency| *latency > 0).map(Duration::from_micros);
        let mut standing = Standing { unasked, sharers: sharers.max(1), latency, ..Standing::default() };
        for row in rows {
            let (name, rate, taken, throttled): (String, u64, u64, u64) =
                from_redis_value(row.clone()).map_err(|error| odd(&error))?;
            let of = |limited| Meter {
                allowed: Some(rate).filter(|rate| *rate > 0),
                is_cut: rate != limit(limited),
                taken,
                throttled,
            };
            if name == "total" {
                standing.total = of(limits.total);
            } else if let Some(endpoint) = Endpoint::ALL.into_iter().find(|known| known.as_str() == name) {
                // Another version's endpoint is passed over.
                standing.endpoints.insert(endpoint, of(limits.endpoint));
            }
        }
        Ok(standing)
    }
}
