//! A Redis server of the test's own, on a free port: it can be emptied, killed and started again.

use std::process::Stdio;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::ports::free_port;

/// How long the server may take to answer. The crate's own half second is too short for a machine that runs many tests.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running Redis server; killed with this value.
pub struct Redis {
    folder: TempDir,
    port: u16,
    options: Vec<String>,
    process: Option<Child>,
}

impl Redis {
    /// Starts a server that keeps nothing on disk.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with these options besides, as `["--appendonly", "yes"]`.
    pub async fn start_with(options: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("stampede-redis-").tempdir().expect("a temporary directory");
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Self { folder, port: free_port(), options, process: None };
        server.start_again().await;
        server
    }

    /// Starts the server on the port and in the folder of the one before, and waits until it answers.
    pub async fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(self.folder.path()).args(&self.options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.process = Some(command.spawn().expect("redis-server starts: `cargo xtask test` installs it"));
        let ready = async {
            while self.try_ask(&["PING"]).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(READY_WITHIN, ready).await.is_ok(), "redis-server does not answer");
    }

    /// Kills the server with SIGKILL and waits until it is gone.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("a process to kill");
        }
    }

    /// Ends the server in order, with everything that it knows on disk.
    pub async fn save_and_end(&mut self) {
        self.ask(&["SAVE"]).await;
        self.kill().await;
    }

    /// Deletes what a server that ended has left on disk.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.folder.path().join("dump.rdb"));
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// For `REDIS_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Gives one command; its answer.
    pub async fn ask(&self, command: &[&str]) -> redis::Value {
        self.try_ask(command).await.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// A connection of the test's own.
    pub async fn connection(&self) -> MultiplexedConnection {
        self.try_connect().await.unwrap_or_else(|error| panic!("{}: {error}", self.url()))
    }

    async fn try_connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(READY_WITHIN));
        redis::Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Gives one command to a server that may be gone.
    ///
    /// # Errors
    /// The server's, or the network's.
    pub async fn try_ask(&self, command: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut connection = self.try_connect().await?;
        let (name, arguments) = command.split_first().expect("a command");
        redis::cmd(name).arg(arguments).query_async(&mut connection).await
    }

    /// A number that `INFO` tells, as `used_memory`.
    pub async fn info(&self, name: &str) -> u64 {
        let text: String = redis::from_redis_value(self.ask(&["INFO"]).await).expect("text");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a field of INFO");
        value.trim().parse().expect("a number")
    }

    /// How many keys there are.
    pub async fn keys(&self) -> u64 {
        redis::from_redis_value(self.ask(&["DBSIZE"]).await).expect("a number")
    }
}
