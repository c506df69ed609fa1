//! The queue that several processes share: Redis Streams with consumer groups.
//!
//! What is where stands in `keys`. Every change is one script, so it happens wholly or not at all, by the server's
//! own clock. Only waiting is no script: a fetcher sits in `XREADGROUP … BLOCK` on a connection of its own, and a job
//! that is pushed reaches it in one step (see `fetching`).
//!
//! # Leases
//!
//! A job that runs is *pending* in its group: Redis knows who has it, for how long nobody has renewed that, and how
//! often it was delivered. That count is the fence. It grows with every delivery and never falls, not even for a job
//! that was handed back, and a renewal (`XCLAIM … JUSTID`) leaves it alone. Whoever ends, renews or hands back a job has
//! to match the consumer's name and the count; nothing else is written down about a lease.
//!
//! # What may happen to the server
//!
//! - **It is emptied** (`FLUSHALL`): stream and group are made again by the next fetch, and all leases are lost. Who
//!   pushed the jobs has to know what is still owed.
//! - **It is away**: calls fail and are made again by whoever made them; nobody gives up.
//! - **It is full** (`maxmemory`): jobs can be fetched, and ended if nothing follows; all else fails until there is room.

mod fetching;
mod keys;
mod script;

use std::time::Duration;

use async_trait::async_trait;
use redis::{FromRedisValue, RedisError, Value};
use tracing::error;

use self::fetching::Fetching;
use self::script::{CALL_ITEMS, Call};
use super::{DeadJob, Delivery, Finish, Gauges, Lease, NewJob, Pushed, Queue, QueueError, QueueOptions};
use crate::env::{Env, Timestamp};
use crate::redis_server::RedisServer;

/// Most bytes of a payload, which should be ids and no more.
const PAYLOAD_BYTES: usize = 1 << 20;
/// Most bytes of a reason that are kept: what a panic says may be long.
const REASON_BYTES: usize = 4_096;
/// The longest delay: what is more could not be told in a number of Lua's.
const DELAY_MS: u64 = 1 << 50;

/// The [`Queue`] on Redis.
pub struct RedisQueue {
    server: RedisServer,
    env: Env,
    options: QueueOptions,
    fetching: Fetching,
}

impl RedisQueue {
    /// The queues of a server. Two of them on one server are the same queues, and should have the same options.
    #[must_use]
    pub fn new(server: RedisServer, env: Env, options: QueueOptions) -> Self {
        Self { server, env, options, fetching: Fetching::default() }
    }

    async fn ask<T: FromRedisValue>(&self, call: Call) -> Result<T, QueueError> {
        call.invoke(&mut self.server.commands()).await.map_err(store)
    }

    /// Makes as many calls as the items need; the answers for all of them, in order.
    async fn ask_each<I, T: FromRedisValue>(
        &self,
        start: impl Fn() -> Call,
        items: impl Iterator<Item = I>,
        write: impl Fn(&mut Call, I),
    ) -> Result<Vec<T>, QueueError> {
        let mut answers = Vec::with_capacity(items.size_hint().0);
        let mut call = start();
        for item in items {
            write(&mut call, item);
            call.item();
            if call.is_full() {
                let full = std::mem::replace(&mut call, start());
                answers.extend(self.ask::<Vec<T>>(full).await?);
            }
        }
        if !call.is_empty() {
            answers.extend(self.ask::<Vec<T>>(call).await?);
        }
        Ok(answers)
    }
}

#[async_trait]
impl Queue for RedisQueue {
    fn lease(&self) -> Duration {
        self.options.lease
    }

    async fn push(&self, jobs: Vec<NewJob>) -> Result<Vec<Pushed>, QueueError> {
        if let Some(sentence) = jobs.iter().find_map(too_large) {
            return Err(QueueError::Store(sentence.into()));
        }
        let start = || {
            let mut call = Call::new(&script::PUSH);
            call.number(self.options.max_len);
            call
        };
        let write = |call: &mut Call, job: NewJob| write_job(call, job.queue, job.key, job.payload);
        let told: Vec<String> = self.ask_each(start, jobs.into_iter(), write).await?;
        let pushed = |word: &String| match word.as_str() {
            "new" => Ok(Pushed::New),
            "duplicate" => Ok(Pushed::Duplicate),
            "full" => Ok(Pushed::Full),
            other => Err(QueueError::Store(format!("the script answered {other:?}").into())),
        };
        told.iter().map(pushed).collect()
    }

    async fn fetch(&self, queue: &'static str, consumer: &str, max: usize) -> Result<Vec<Delivery>, QueueError> {
        self.fetch_from(queue, consumer, max).await.map_err(store)
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, QueueError> {
        self.ask_each(|| Call::new(&script::RENEW), leases.iter(), write_lease).await
    }

    async fn finish(&self, ends: &[(Lease, Finish)]) -> Result<Vec<bool>, QueueError> {
        let answers: Vec<Value> = self.ask_each(|| Call::new(&script::FINISH), ends.iter(), write_end).await?;
        for (lease, end) in ends {
            if let Finish::Retry { after, .. } | Finish::Crashed { after, .. } = end {
                self.delayed(lease.queue, *after);
            }
        }
        Ok(answers.into_iter().zip(ends).map(|(answer, (lease, _))| has_ended(answer, lease)).collect())
    }

    async fn hand_back(&self, leases: &[Lease]) -> Result<(), QueueError> {
        // From the last to the first, for each goes before those that are in front.
        for leases in leases.rchunks(CALL_ITEMS) {
            let mut call = Call::new(&script::HAND_BACK);
            leases.iter().for_each(|lease| write_lease(&mut call, lease));
            self.ask::<u64>(call).await?;
        }
        Ok(())
    }

    async fn gauges(&self, queue: &'static str) -> Result<Gauges, QueueError> {
        let (waiting, running, delayed, dead, age_ms) = self.ask(Call::of(&script::GAUGES, queue)).await?;
        Ok(Gauges { waiting, running, delayed, dead, oldest_age: Duration::from_millis(age_ms) })
    }

    async fn dead(&self, queue: &'static str, max: usize) -> Result<Vec<DeadJob>, QueueError> {
        let mut letters = Vec::new();
        while letters.len() < max {
            let count = CALL_ITEMS.min(max - letters.len());
            let mut call = Call::of(&script::DEAD, queue);
            call.number(letters.len()).number(count);
            let page: Vec<(Vec<u8>, Vec<u8>, Vec<u8>, u32, i64, i64)> = self.ask(call).await?;
            let last = page.len() < count;
            letters.extend(page.into_iter().map(|(key, payload, reason, deliveries, pushed_at, died_at)| DeadJob {
                key: text(&key),
                payload,
                reason: text(&reason),
                deliveries,
                pushed_at: Timestamp(pushed_at),
                died_at: Timestamp(died_at),
            }));
            if last {
                break;
            }
        }
        Ok(letters)
    }

    async fn retry_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        let mut call = Call::of(&script::RETRY_DEAD, queue);
        call.arg(key);
        self.ask(call).await
    }

    async fn discard_dead(&self, queue: &'static str, key: &str) -> Result<bool, QueueError> {
        let mut call = Call::of(&script::DISCARD_DEAD, queue);
        call.arg(key);
        self.ask(call).await
    }
}

fn store(error: RedisError) -> QueueError {
    QueueError::Store(Box::new(error))
}

/// Keys are text; what another hand wrote may be anything.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Why a job cannot be sent, if it cannot.
fn too_large(job: &NewJob) -> Option<String> {
    let bytes = job.payload.len() + job.key.len();
    (bytes > PAYLOAD_BYTES).then(|| format!("a job of {} has {bytes} bytes; {PAYLOAD_BYTES} are the most", job.queue))
}

fn write_job(call: &mut Call, queue: &'static str, key: impl Into<Vec<u8>>, payload: impl Into<Vec<u8>>) {
    call.queue(queue).arg(key).arg(payload);
}

/// A lease that this store cannot have given is written as one that nobody holds.
fn write_lease(call: &mut Call, lease: &Lease) {
    let LeaseId { entry, consumer, .. } = read_id(&lease.id).unwrap_or(LeaseId::NOBODYS);
    call.queue(lease.queue).arg(entry).arg(consumer).number(lease.fence);
}

fn write_end(call: &mut Call, (lease, end): &(Lease, Finish)) {
    write_lease(call, lease);
    match end {
        Finish::Done { follow_ups } => {
            // It would never be taken, however often it was tried.
            if let Some(sentence) = follow_ups.iter().find_map(too_large) {
                call.arg("dead").arg(format!("its follow-up cannot be pushed: {sentence}"));
                return;
            }
            let key = read_id(&lease.id).map_or("", |id| id.key);
            call.arg("done").arg(key).number(follow_ups.len());
            for job in follow_ups {
                write_job(call, job.queue, job.key.as_str(), job.payload.as_slice());
            }
        }
        Finish::Retry { after, .. } => drop(call.arg("retry").number(delay_ms(*after))),
        Finish::Crashed { after, .. } => drop(call.arg("crashed").number(delay_ms(*after))),
        Finish::HandBack { .. } => drop(call.arg("back")),
        Finish::Dead { reason } => drop(call.arg("dead").arg(&reason[..reason.floor_char_boundary(REASON_BYTES)])),
    }
}

/// Not less than was asked for.
fn delay_ms(delay: Duration) -> u64 {
    u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).min(DELAY_MS)
}

/// An end that Redis refuses for good is told like a lost lease: to ask again would be of no use, and the job comes
/// again when its lease has lapsed. The other ends of its batch are not its concern.
fn has_ended(answer: Value, lease: &Lease) -> bool {
    match redis::from_redis_value::<u8>(answer.clone()) {
        Ok(taken) => taken == 1,
        Err(_) => {
            error!(queue = lease.queue, id = lease.id, ?answer, "Redis refuses to end this job");
            false
        }
    }
}

/// What the id of a lease says: the entry, who holds it, and the job's key, which may hold any letters like the
/// consumer's name: so its length stands before the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LeaseId<'a> {
    entry: &'a str,
    consumer: &'a str,
    key: &'a str,
}

impl LeaseId<'_> {
    /// Of an entry that no stream can have.
    const NOBODYS: Self = Self { entry: "0-0", consumer: "", key: "" };
}

fn lease_id(LeaseId { entry, consumer, key }: LeaseId<'_>) -> String {
    format!("{entry}@{}@{consumer}{key}", consumer.len())
}

fn read_id(id: &str) -> Option<LeaseId<'_>> {
    let mut parts = id.splitn(3, '@');
    let (entry, consumer_bytes, names) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    let (consumer, key) = names.split_at_checked(consumer_bytes)?;
    let (ms, sequence) = entry.split_once('-')?;
    let is_number = |text: &str| text.parse::<u64>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(ms) && is_number(sequence)).then_some(LeaseId { entry, consumer, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_as_it_was_written_whatever_its_consumer_and_its_job_are_called() {
        let names = ["web-1", "a@b", "", "käse 1-2", "3@x"];
        for (consumer, key) in names.into_iter().flat_map(|consumer| names.map(|key| (consumer, key))) {
            let id = LeaseId { entry: "1763715000000-12", consumer, key };
            assert_eq!(read_id(&lease_id(id)), Some(id));
        }
        let nonsense =
            ["", "nonsense", "1-2", "1-2@w", "1@1@wk", "-@1@wk", "+1-2@1@wk", "1-2-3@1@wk", "1-2@3@wk", "1-2@1@ä"];
        for nonsense in nonsense.into_iter().chain(["1-99999999999999999999@1@wk"]) {
            assert_eq!(read_id(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_delay_is_never_cut_short_and_always_a_number_that_lua_can_tell() {
        assert_eq!(delay_ms(Duration::ZERO), 0);
        assert_eq!(delay_ms(Duration::from_micros(1)), 1);
        assert_eq!(delay_ms(Duration::from_millis(1_500)), 1_500);
        assert_eq!(delay_ms(Duration::MAX), DELAY_MS);
    }
}
