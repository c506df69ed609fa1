//! The whole shop as people run it: the real binary as a process of its own, in a data directory of its own, on free
//! ports. It can be killed and started again, and is killed when dropped.

use std::net::Ipv4Addr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};

use tokio::process::Command;

use super::client::Client;
use super::desk::{Desk, binary, counter_at};
use super::kept;
use super::ports::free_port;
use super::process::{Process, READY_WITHIN};

/// A running shop.
pub struct Shop {
    desk: Desk,
    port: u16,
    process: Option<Process>,
}

/// Runs the binary with these settings alone until it ends, in a folder of its own.
pub async fn run(settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    run_binary("STAMPEDE_BIN", settings, arguments).await
}

/// The same for another binary, by its variable.
pub async fn run_binary(variable: &str, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(binary(variable));
    settings.iter().for_each(|(name, value)| kept::setting(name, value));
    command.env_clear().env("DATA_DIR", folder.path()).envs(settings.iter().copied());
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(READY_WITHIN, command.output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{variable} {arguments:?} {settings:?} did not end"));
    let output = ended.expect("the binary starts");
    kept::text("command", &String::from_utf8_lossy(&output.stderr));
    output
}

impl Shop {
    /// Starts a shop with the sandbox at latency 0 and these settings besides.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let mut shop = Self::prepare(settings);
        shop.start_again(&[]).await;
        shop
    }

    /// Starts nothing but the sandbox, and waits until it answers.
    pub async fn sandbox_alone() -> Self {
        let mut shop = Self::prepare(&[]);
        shop.launch_command(&["sandbox"], &[]);
        let url = format!("{}/_sandbox/health", shop.sandbox_url());
        shop.process_mut().until_answers(&url).await;
        shop
    }

    fn prepare(settings: &[(&str, &str)]) -> Self {
        Self { desk: Desk::new(settings), port: free_port(), process: None }
    }

    /// Starts the process on the data of the one before, with these settings besides, and waits until it is ready.
    pub async fn start_again(&mut self, besides: &[(&str, &str)]) {
        self.launch(besides);
        let url = format!("{}/readyz", self.url());
        self.process_mut().until_answers(&url).await;
    }

    /// Starts the process without waiting for anything.
    pub fn launch(&mut self, besides: &[(&str, &str)]) {
        self.launch_command(&[], besides);
    }

    fn launch_command(&mut self, arguments: &[&str], besides: &[(&str, &str)]) {
        let mut command = self.desk.command(&binary("STAMPEDE_BIN"));
        command.env("BIND", format!("127.0.0.1:{}", self.port)).args(arguments).envs(besides.iter().copied());
        self.process = Some(Process::launch(command, &self.log_file()));
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Asks the process to end (SIGTERM) and waits until it has; how it ended.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.take().expect("a running shop").stop().await
    }

    /// Waits until the process has ended by itself, as at a crash point.
    pub async fn ended(&mut self) {
        self.process.take().expect("a running shop").ended().await;
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("a running shop")
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("a running shop")
    }

    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The sum of a counter over all its labels; 0 when it never counted.
    pub async fn counter(&self, name: &str) -> u64 {
        counter_at(&self.url(), name).await
    }

    /// A new customer with a bearer token.
    pub async fn customer(&self) -> Client {
        Client::new(&self.url()).await
    }

    /// Asserts that every order was charged once at most, and that the second gate never had to close.
    pub async fn expect_single_charges(&self, charges: u64) {
        self.expect_charges(charges).await;
        assert_eq!(self.counter("second_gate_fired_total").await, 0);
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// What the shop has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Deref for Shop {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}
