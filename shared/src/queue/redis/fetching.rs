//! Fetching: look, then wait.
//!
//! A look is one script (`take.lua`): it finds whatever can be delivered now, from lapsed leases to the end of the line.
//! When there is nothing, the fetcher waits in `XREADGROUP … BLOCK`, where a push reaches exactly one of those who wait.
//!
//! What becomes deliverable without a push rings no bell there. For lapsed leases and jobs that were handed back, a
//! fetcher looks again every [`LOOK_AGAIN`]. Delayed jobs are on time: who waits knows when the next one is due, from
//! the last look and from the ends that its own process reported since; then it puts what is due into the line
//! (`promote.lua`), and that reaches one of those who wait, as a push does.
//!
//! A connection is used by one fetch at a time, and kept for the next one only if that came to its end: dropping a fetch
//! closes its connection, so that Redis gives no job to somebody who has left.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamReadReply};
use redis::{RedisError, RedisResult};
use tokio::sync::Notify;

use super::script::{Call, PROMOTE, TAKE, TIDY};
use super::{Delivery, Lease, LeaseId, RedisQueue, keys, lease_id, text};
use crate::env::Timestamp;

/// Most jobs in one fetch, whatever was asked for.
const FETCH_MOST: usize = 256;
/// How long a fetcher waits at most before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How many leases a look takes in, in search of lapsed ones; in a small shop that is all of them.
const GLANCE: u32 = 50;
/// Of looks that follow each other faster than this, not each one takes in leases: none lapses so fast.
const GLANCE_AGAIN: Duration = Duration::from_millis(10);
/// How many it takes in when it is time for a search.
const SEARCH: u32 = 1_000;
/// The longest time between two searches; they come ten times in a lease, but no less often than this.
const SEARCH_AGAIN: Duration = Duration::from_secs(1);
/// Consumers that hold nothing and were given nothing for so many leases are gone; the list is looked through as often.
const GONE_AFTER_LEASES: u32 = 10;
/// How long an answer may take beyond the time that the server was asked to wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The cursor of a search that begins.
const BEGINNING: &str = "0-0";

/// What a store remembers between fetches.
#[derive(Default)]
pub(super) struct Fetching {
    /// Connections that nobody uses, at most one for each fetcher.
    idle: Mutex<Vec<MultiplexedConnection>>,
    lines: Mutex<HashMap<&'static str, Line>>,
}

/// One queue; times are those of the monotonic clock.
#[derive(Default)]
struct Line {
    /// Where the search for lapsed leases goes on.
    cursor: Option<String>,
    /// When a look last took leases in, and found none that had lapsed.
    glanced_at: Option<Duration>,
    /// When all leases had been looked at.
    searched_at: Option<Duration>,
    /// When the group's list of consumers was looked through.
    tidied_at: Option<Duration>,
    /// When a job is due that this process has delayed since the last look, unless that is over.
    due_at: Option<Duration>,
    /// Told when `due_at` comes sooner.
    sooner: Arc<Notify>,
}

impl Fetching {
    fn due_at(&self, queue: &'static str) -> Option<Duration> {
        self.lines.lock().get(queue)?.due_at
    }

    fn expect(&self, queue: &'static str, due_at: Duration) {
        let mut lines = self.lines.lock();
        let line = lines.entry(queue).or_default();
        if line.due_at.is_none_or(|before| due_at < before) {
            line.due_at = Some(due_at);
            line.sooner.notify_waiters();
        }
    }

    fn forget_due(&self, queue: &'static str, now: Duration) {
        let mut lines = self.lines.lock();
        let line = lines.entry(queue).or_default();
        line.due_at = line.due_at.filter(|at| *at > now);
    }
}

/// A job as `take.lua` tells it: entry, fence, key, payload, deliveries, retries, pushed at.
type Taken = (String, u64, Vec<u8>, Vec<u8>, u32, u32, i64);

impl RedisQueue {
    pub(super) async fn fetch_from(
        &self,
        queue: &'static str,
        consumer: &str,
        max: usize,
    ) -> RedisResult<Vec<Delivery>> {
        let kept = self.fetching.idle.lock().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.server.blocking().await?,
        };
        let fetched = self.look_and_wait(&mut connection, queue, consumer, max.clamp(1, FETCH_MOST)).await;
        let mut idle = self.fetching.idle.lock();
        match fetched {
            Ok(_) => idle.push(connection),
            // The others are likely to be cut, too.
            Err(_) => idle.clear(),
        }
        fetched
    }

    async fn look_and_wait(
        &self,
        connection: &mut MultiplexedConnection,
        queue: &'static str,
        consumer: &str,
        max: usize,
    ) -> RedisResult<Vec<Delivery>> {
        loop {
            self.tidy(connection, queue).await?;
            let (found, next_due) = self.look(connection, queue, consumer, max).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            let due_at = next_due.map(|wait| self.env.monotonic().saturating_add(wait));
            let arrived = self.wait(connection, queue, consumer, max, due_at).await?;
            if !arrived.is_empty() {
                return Ok(arrived);
            }
        }
    }

    /// Takes what is there, and says in how long the next delayed job is due.
    async fn look(
        &self,
        connection: &mut MultiplexedConnection,
        queue: &'static str,
        consumer: &str,
        max: usize,
    ) -> RedisResult<(Vec<Delivery>, Option<Duration>)> {
        let now = self.env.monotonic();
        let pause = SEARCH_AGAIN.min(self.options.lease / 10);
        let (cursor, leases) = {
            let mut lines = self.fetching.lines.lock();
            let line = lines.entry(queue).or_default();
            let is_time = |last: Option<Duration>, pause| last.is_none_or(|at| now.saturating_sub(at) >= pause);
            let leases = if is_time(line.searched_at, pause) {
                SEARCH
            } else if is_time(line.glanced_at, GLANCE_AGAIN) {
                GLANCE
            } else {
                0
            };
            (line.cursor.clone(), leases)
        };
        let mut call = Call::of(&TAKE, queue);
        call.arg(consumer).number(max).number(self.options.lease.as_millis());
        call.arg(cursor.as_deref().unwrap_or(BEGINNING)).number(leases);
        let (taken, cursor, due_ms): (Vec<Taken>, String, i64) =
            self.within(ANSWER_WITHIN, call.invoke(connection)).await?;
        {
            let mut lines = self.fetching.lines.lock();
            let line = lines.entry(queue).or_default();
            line.cursor = (cursor != BEGINNING).then_some(cursor);
            if leases > 0 {
                let found_one = taken.iter().any(|(_, fence, ..)| *fence > 1);
                line.glanced_at = Some(now).filter(|_| !found_one && line.cursor.is_none());
            }
            if leases > 0 && line.cursor.is_none() {
                line.searched_at = Some(now);
            }
        }
        let deliveries = taken.into_iter().map(|taken| delivery(queue, consumer, taken)).collect();
        Ok((deliveries, u64::try_from(due_ms).ok().map(Duration::from_millis)))
    }

    /// Waits for what joins the line, and puts delayed jobs there when they are due.
    async fn wait(
        &self,
        connection: &mut MultiplexedConnection,
        queue: &'static str,
        consumer: &str,
        max: usize,
        mut due_at: Option<Duration>,
    ) -> RedisResult<Vec<Delivery>> {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(keys::GROUP).arg(consumer).arg("COUNT").arg(max);
        read.arg("BLOCK").arg(LOOK_AGAIN.as_millis().to_string()).arg("STREAMS").arg(keys::line(queue)).arg(">");
        let read = read.query_async::<Option<StreamReadReply>>(connection);
        let mut read = pin!(self.within(LOOK_AGAIN + ANSWER_WITHIN, read));
        let sooner = self.fetching.lines.lock().entry(queue).or_default().sooner.clone();
        let reply = loop {
            // Listen before looking, or a delay between the two would go unheard.
            let told = sooner.notified();
            let next = due_at.into_iter().chain(self.fetching.due_at(queue)).min();
            let nap = next.map_or(ANSWER_WITHIN, |at| at.saturating_sub(self.env.monotonic()));
            tokio::select! {
                reply = &mut read => break reply,
                () = self.env.sleep(nap) => due_at = self.promote(queue).await,
                () = told => {}
            }
        };
        let arrived = match reply {
            Ok(reply) => reply.unwrap_or_default(),
            // The server was emptied meanwhile; the next look makes the group again.
            Err(error) if matches!(error.code(), Some("NOGROUP" | "UNBLOCKED")) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let entries = arrived.keys.into_iter().flat_map(|line| line.ids);
        Ok(entries.map(|entry| delivery(queue, consumer, first_taken(entry))).collect())
    }

    /// Puts delayed jobs that are due into the line; when the next one is. Should it fail, the next look makes good.
    async fn promote(&self, queue: &'static str) -> Option<Duration> {
        let now = self.env.monotonic();
        self.fetching.forget_due(queue, now);
        let due_ms: i64 = self.env.timeout(LOOK_AGAIN, self.ask(Call::of(&PROMOTE, queue))).await?.ok()?;
        Some(now.saturating_add(Duration::from_millis(u64::try_from(due_ms).ok()?)))
    }

    /// Hears that a job of a queue was delayed by this process.
    pub(super) fn delayed(&self, queue: &'static str, delay: Duration) {
        // Who waits for longer looks again before.
        if delay < LOOK_AGAIN * 2 {
            self.fetching.expect(queue, self.env.monotonic().saturating_add(delay));
        }
    }

    /// Takes those off the group's list who are gone, now and then.
    async fn tidy(&self, connection: &mut MultiplexedConnection, queue: &'static str) -> RedisResult<()> {
        let now = self.env.monotonic();
        let silent = self.options.lease.saturating_mul(GONE_AFTER_LEASES);
        {
            let mut lines = self.fetching.lines.lock();
            let line = lines.entry(queue).or_default();
            if line.tidied_at.is_some_and(|at| now.saturating_sub(at) < silent) {
                return Ok(());
            }
            line.tidied_at = Some(now);
        }
        let mut call = Call::of(&TIDY, queue);
        call.number(silent.as_millis());
        let gone: u64 = self.within(ANSWER_WITHIN, call.invoke(connection)).await?;
        if gone > 0 {
            tracing::debug!(queue, gone, "consumers that are gone were taken off the list");
        }
        Ok(())
    }

    /// A server that has vanished without a word must not keep a fetcher for ever.
    async fn within<T>(&self, limit: Duration, call: impl Future<Output = RedisResult<T>> + Send) -> RedisResult<T> {
        self.env.timeout(limit, call).await.unwrap_or_else(|| {
            Err(RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, "Redis does not answer")))
        })
    }
}

fn delivery(queue: &'static str, consumer: &str, taken: Taken) -> Delivery {
    let (entry, fence, key, payload, deliveries, retries, pushed_at) = taken;
    let key = text(&key);
    Delivery {
        lease: Lease { queue, id: lease_id(LeaseId { entry: &entry, consumer, key: &key }), fence },
        key,
        payload,
        deliveries,
        retries,
        pushed_at: Timestamp(pushed_at),
    }
}

/// An entry's first delivery, told as `take.lua` would.
fn first_taken(entry: StreamId) -> Taken {
    let bytes = |field: &str| entry.get::<Vec<u8>>(field);
    let count = |field: &str| entry.get::<u32>(field).unwrap_or_default();
    let key = bytes("key").unwrap_or_else(|| entry.id.clone().into_bytes());
    let payload = bytes("payload").unwrap_or_default();
    let pushed_at = entry.get("pushed_at").unwrap_or_default();
    let (deliveries, retries) = (count("deliveries").saturating_add(1), count("retries"));
    (entry.id, 1, key, payload, deliveries, retries, pushed_at)
}
