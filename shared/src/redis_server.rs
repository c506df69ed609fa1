//! The Redis server that stock, queue and rooms share: how it is reached, and what it must be like.
//!
//! One connection is shared by all calls of a process; it is made again by the first call after it was lost, for
//! whatever reason the server or the network refused it meanwhile. Calls see it in two ways:
//!
//! - [`RedisServer::commands`] for calls that mean the same wherever they arrive.
//! - [`RedisServer::known`] for calls whose meaning depends on *which* server process answers. It carries that
//!   process's run id, and a process cannot change under a connection: a server that was restarted, or another one
//!   after a failover, is a new connection with another run id.
//!
//! [`RedisServer::blocking`] and [`RedisServer::pubsub`] are for a task that waits for the server and owns its connection.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo as _, Pipeline, RedisError, RedisFuture, RedisResult, Value,
};
use tokio::sync::Mutex;

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long a command may take. The crate's own half second is too short for a server that is busy or saves its data.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why a server cannot be used, in a sentence for whoever started the process.
#[derive(Debug, thiserror::Error)]
pub enum RedisServerError {
    /// The address makes no sense.
    #[error("REDIS_URL should be redis://[user:password@]host[:port][/database]")]
    Address,
    /// Nobody answers, or not as a Redis server does.
    #[error("Redis cannot be reached: {0}")]
    Unreachable(RedisError),
    /// It answers, and is not what is needed.
    #[error("{0}")]
    Unfit(String),
}

/// A Redis server; cheap to clone.
#[derive(Clone)]
pub struct RedisServer {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    database: i64,
    /// The connection that is given out. Replaced when one of its callers says that it is lost.
    known: RwLock<Option<Known>>,
    /// Held while a connection is made, so that a crowd of callers makes one.
    connecting: Mutex<()>,
    /// The tries to connect that failed, and what the last one came to: whoever waited for it needs no other.
    failed: RwLock<(u64, Option<RedisError>)>,
}

/// A connection to a server process that is known.
#[derive(Clone)]
pub struct Known {
    /// The connection; clones share it.
    pub connection: MultiplexedConnection,
    /// The run id of the process at its other end (`INFO server`).
    pub run_id: Arc<str>,
}

impl RedisServer {
    /// Connects, and makes sure that the server can be relied on.
    ///
    /// # Errors
    /// A sentence about what is wrong with the address or the server.
    pub async fn connect(url: &str) -> Result<Self, RedisServerError> {
        let info = url.into_connection_info().map_err(|_| RedisServerError::Address)?;
        let database = info.redis_settings().db();
        let client = Client::open(info).map_err(|_| RedisServerError::Address)?;
        let mut probe = connection(&client).await.map_err(RedisServerError::Unreachable)?;
        let info: String = redis::cmd("INFO").query_async(&mut probe).await.map_err(RedisServerError::Unreachable)?;
        unfit(&info).map_or(Ok(()), |sentence| Err(RedisServerError::Unfit(sentence)))?;
        let (known, connecting, failed) = (RwLock::default(), Mutex::default(), RwLock::default());
        Ok(Self { shared: Arc::new(Shared { client, database, known, connecting, failed }) })
    }

    /// The number of the database within the server; channels have to carry it, since they belong to no database.
    #[must_use]
    pub fn database(&self) -> i64 {
        self.shared.database
    }

    /// The connection for calls that mean the same wherever they arrive.
    #[must_use]
    pub fn commands(&self) -> Commands {
        Commands { server: self.clone() }
    }

    /// A connection whose commands may wait in the server as long as they like.
    ///
    /// # Errors
    /// The server's, or the network's.
    pub async fn blocking(&self) -> RedisResult<MultiplexedConnection> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_WITHIN)).set_response_timeout(None);
        self.shared.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A connection for subscriptions.
    ///
    /// # Errors
    /// The server's, or the network's.
    pub async fn pubsub(&self) -> RedisResult<PubSub> {
        self.shared.client.get_async_pubsub().await
    }

    /// The connection to a server process that is known; made anew when the one before was lost.
    ///
    /// # Errors
    /// The server's, or the network's.
    pub async fn known(&self) -> RedisResult<Known> {
        if let Some(known) = self.shared.known.read().clone() {
            return Ok(known);
        }
        let (failed_before, _) = *self.shared.failed.read();
        let _one_at_a_time = self.shared.connecting.lock().await;
        if let Some(known) = self.shared.known.read().clone() {
            return Ok(known);
        }
        if let (failed, Some(error)) = &*self.shared.failed.read()
            && *failed > failed_before
        {
            return Err(error.clone());
        }
        let met = meet(&self.shared.client).await;
        match &met {
            Ok(known) => *self.shared.known.write() = Some(known.clone()),
            Err(error) => {
                let mut failed = self.shared.failed.write();
                *failed = (failed.0 + 1, Some(error.clone()));
            }
        }
        met
    }

    /// Says what a call over `known` ended with: a connection that does not work any more is not given out again.
    pub fn report(&self, known: &Known, error: &RedisError) {
        if is_lost(error) {
            let mut current = self.shared.known.write();
            if current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.run_id, &known.run_id)) {
                *current = None;
            }
        }
    }
}

/// The shared connection, for commands and scripts of the `redis` crate.
#[derive(Clone)]
pub struct Commands {
    server: RedisServer,
}

impl Commands {
    async fn over<T>(&self, call: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>) -> RedisResult<T> {
        let mut known = self.server.known().await?;
        let answer = call(&mut known.connection).await;
        if let Err(error) = &answer {
            self.server.report(&known, error);
        }
        answer
    }
}

impl ConnectionLike for Commands {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.over(async move |connection| connection.req_packed_command(cmd).await))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.over(async move |connection| connection.req_packed_commands(pipeline, offset, count).await))
    }

    fn get_db(&self) -> i64 {
        self.server.database()
    }
}

/// Whether another connection may fare better: the wire is cut, silent, or ends at a replica.
fn is_lost(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_timeout()
        || matches!(error.kind(), redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly))
}

/// Connects, and asks who is there.
async fn meet(client: &Client) -> RedisResult<Known> {
    let mut connection = connection(client).await?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let run_id = field(&info, "run_id").unwrap_or_default().into();
    Ok(Known { connection, run_id })
}

async fn connection(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// The value of a line `name:value` of `INFO`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Why a server must not be used, as far as `INFO` tells. (`CONFIG` would tell more, but hosted servers forbid it.)
fn unfit(info: &str) -> Option<String> {
    let version = field(info, "redis_version").unwrap_or_default();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let known = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if known < (6, 2) {
        return Some(format!("Redis 6.2 or newer is needed, or Valkey; this server says that it is {version:?}"));
    }
    if field(info, "redis_mode") == Some("cluster") {
        return Some("this Redis is a cluster, which is not supported yet: use a single server".into());
    }
    if field(info, "role") == Some("slave") {
        return Some("this Redis is a replica: REDIS_URL should name the server that takes writes".into());
    }
    match field(info, "maxmemory_policy") {
        None | Some("noeviction") => None,
        Some(policy) => Some(format!(
            "this Redis may throw away what it was given (maxmemory-policy {policy}): jobs and holds would vanish. \
             Set maxmemory-policy to noeviction"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, mode: &str, role: &str, policy: &str) -> String {
        format!(
            "# Server\r\nredis_version:{version}\r\nredis_mode:{mode}\r\nrun_id:abc\r\n# Memory\r\n\
             maxmemory_policy:{policy}\r\n# Replication\r\nrole:{role}\r\n"
        )
    }

    #[test]
    fn a_server_that_would_lose_what_it_was_given_is_refused() {
        assert_eq!(unfit(&info("7.0.15", "standalone", "master", "noeviction")), None);
        assert_eq!(unfit(&info("6.2.0", "standalone", "master", "noeviction")), None);
        for (wrong, word) in [
            (info("6.0.16", "standalone", "master", "noeviction"), "6.2"),
            (info("7.0.15", "cluster", "master", "noeviction"), "cluster"),
            (info("7.0.15", "standalone", "slave", "noeviction"), "replica"),
            (info("7.0.15", "standalone", "master", "allkeys-lru"), "allkeys-lru"),
        ] {
            assert!(unfit(&wrong).is_some_and(|sentence| sentence.contains(word)), "{wrong}");
        }
    }

    #[test]
    fn fields_of_info_are_found_by_their_whole_name() {
        let info = info("7.0.15", "standalone", "master", "noeviction");
        assert_eq!(field(&info, "run_id"), Some("abc"));
        assert_eq!(field(&info, "run"), None);
    }
}
