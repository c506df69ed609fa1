//! The books in Redis, for several processes: one script, and so one round trip, a call, by the server's clock.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `stampede:{fleet}:beats` | sorted set | names of processes, by the ms at which their last beat lapses |
//! | `stampede:{fleet}:processes` | hash | what each of them said last, in JSON |
//! | `stampede:{fleet}:wishes` | hash | `<name>:concurrency` (empty: as set) and `<name>:drain` (empty or 1), where something was wished |
//!
//! Whoever beats strikes out those who have lapsed; the keys themselves end with the last one.

use async_trait::async_trait;
use redis::{RedisError, Script};

use super::{Ask, Fleet, FleetError, LAPSES_AFTER, Process, ProcessBeat, Wish, Wished};
use crate::redis_server::RedisServer;

/// Who beats, and until when it stands.
pub const BEATS: &str = "stampede:{fleet}:beats";
const PROCESSES: &str = "stampede:{fleet}:processes";
const WISHES: &str = "stampede:{fleet}:wishes";

/// Books in Redis.
pub struct RedisFleet {
    server: RedisServer,
    beat: Script,
    leave: Script,
    list: Script,
    ask: Script,
}

impl RedisFleet {
    /// The books that this server has.
    #[must_use]
    pub fn new(server: RedisServer) -> Self {
        Self {
            server,
            beat: Script::new(include_str!("redis/beat.lua")),
            leave: Script::new(include_str!("redis/leave.lua")),
            list: Script::new(include_str!("redis/list.lua")),
            ask: Script::new(include_str!("redis/ask.lua")),
        }
    }

    async fn call<T: redis::FromRedisValue>(&self, script: &Script, arguments: &[&str]) -> Result<T, FleetError> {
        let mut call = script.key(BEATS);
        call.key(PROCESSES).key(WISHES);
        for argument in arguments {
            call.arg(*argument);
        }
        call.invoke_async(&mut self.server.commands()).await.map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failed(error: RedisError) -> FleetError {
    FleetError(error.to_string())
}

fn wish(concurrency: &str, drain: &str) -> Wish {
    Wish { concurrency: concurrency.parse().ok(), drain: drain == "1" }
}

fn words(wish: Wish) -> (String, &'static str) {
    (wish.concurrency.map(|most| most.to_string()).unwrap_or_default(), if wish.drain { "1" } else { "" })
}

#[async_trait]
impl Fleet for RedisFleet {
    async fn beat(&self, beat: &ProcessBeat) -> Result<Wish, FleetError> {
        let told = serde_json::to_string(beat).map_err(|error| FleetError(error.to_string()))?;
        let (concurrency, drain) = words(beat.wish);
        let stands = LAPSES_AFTER.as_millis().to_string();
        let arguments = [beat.name.as_str(), &told, &stands, &concurrency, drain];
        let (concurrency, drain): (String, String) = self.call(&self.beat, &arguments).await?;
        Ok(wish(&concurrency, &drain))
    }

    async fn leave(&self, name: &str) -> Result<(), FleetError> {
        self.call(&self.leave, &[name]).await
    }

    async fn processes(&self) -> Result<Vec<Process>, FleetError> {
        let rows: Vec<(String, String, String)> = self.call(&self.list, &[]).await?;
        let read = |(told, concurrency, drain): (String, String, String)| match serde_json::from_str(&told) {
            Ok(beat) => Some(Process { beat, wish: wish(&concurrency, &drain) }),
            Err(error) => {
                tracing::debug!(%error, "a process of another version is passed over");
                None
            }
        };
        let mut processes: Vec<Process> = rows.into_iter().filter_map(read).collect();
        processes.sort_by(|one, other| one.beat.name.cmp(&other.beat.name));
        Ok(processes)
    }

    async fn ask(&self, name: &str, ask: Ask) -> Result<Wished, FleetError> {
        let (field, value) = match ask {
            Ask::Concurrency(most) => ("concurrency", most.map(|most| most.to_string()).unwrap_or_default()),
            Ask::Drain => ("drain", "1".to_owned()),
        };
        let word: String = self.call(&self.ask, &[name, field, &value]).await?;
        match word.as_str() {
            "yes" => Ok(Wished::Yes),
            "unknown" => Ok(Wished::Unknown),
            "whole_shop" => Ok(Wished::WholeShop),
            other => Err(FleetError(format!("an answer that makes no sense: {other}"))),
        }
    }
}
