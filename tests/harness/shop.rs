//! The whole shop as people run it: the real binary as a process of its own, in a data directory of its own, on free
//! ports. It can be killed and started again, and is killed when dropped.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::client::{Client, exchange, get};
use super::ports::free_port;

/// How long the shop may take to answer that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running shop.
pub struct Shop {
    data: TempDir,
    port: u16,
    sandbox_port: u16,
    settings: Vec<(String, String)>,
    process: Option<Child>,
}

/// Runs the binary with these settings alone until it ends, in a folder of its own.
pub async fn run(settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    let binary = std::env::var("STAMPEDE_BIN").expect("STAMPEDE_BIN: run the tests by `cargo xtask test`");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new(binary);
    command.env_clear().env("DATA_DIR", folder.path()).envs(settings.iter().copied());
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(READY_WITHIN, command.output()).await;
    ended.unwrap_or_else(|_| panic!("stampede {arguments:?} {settings:?} did not end")).expect("STAMPEDE_BIN starts")
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
        shop.until_answers(&url).await;
        shop
    }

    fn prepare(settings: &[(&str, &str)]) -> Self {
        let mut all = vec![("SANDBOX_LATENCY".to_owned(), "0".to_owned())];
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let data = tempfile::Builder::new().prefix("stampede-test-").tempdir().expect("a temporary directory");
        Self { data, port: free_port(), sandbox_port: free_port(), settings: all, process: None }
    }

    /// Starts the process on the data of the one before, with these settings besides, and waits until it is ready.
    pub async fn start_again(&mut self, besides: &[(&str, &str)]) {
        self.launch(besides);
        let url = format!("{}/readyz", self.url());
        self.until_answers(&url).await;
    }

    async fn until_answers(&mut self, url: &str) {
        let ready = async {
            loop {
                if let Some(status) = self.process.as_mut().and_then(|process| process.try_wait().expect("a process")) {
                    panic!("the shop ended while it started: {status}\n{}", self.log());
                }
                if get(url).await.is_ok_and(|(status, _)| status == 200) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(READY_WITHIN, ready).await.is_err() {
            panic!("the shop was not ready after {READY_WITHIN:?}:\n{}", self.log());
        }
    }

    /// Starts the process without waiting for anything.
    pub fn launch(&mut self, besides: &[(&str, &str)]) {
        self.launch_command(&[], besides);
    }

    fn launch_command(&mut self, arguments: &[&str], besides: &[(&str, &str)]) {
        let log = std::fs::File::options().create(true).append(true).open(self.log_file()).expect("a log file");
        let mut command = self.command();
        command.args(arguments).envs(besides.iter().copied());
        command.stdout(log.try_clone().expect("a log file")).stderr(log).kill_on_drop(true);
        self.process = Some(command.spawn().expect("STAMPEDE_BIN starts"));
    }

    fn command(&self) -> Command {
        let binary = std::env::var("STAMPEDE_BIN").expect("STAMPEDE_BIN: run the tests by `cargo xtask test`");
        let mut command = Command::new(binary);
        command
            .env_clear()
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("BIND", format!("127.0.0.1:{}", self.port))
            .env("SANDBOX_BIND", format!("127.0.0.1:{}", self.sandbox_port))
            .env("DATA_DIR", self.data.path())
            .current_dir(self.data.path())
            .stdin(Stdio::null());
        command
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("a process to kill");
        }
    }

    /// Asks the process to end (SIGTERM) and waits until it has; how it ended.
    pub async fn stop(&mut self) -> std::process::ExitStatus {
        let mut process = self.process.take().expect("a running shop");
        let pid = process.id().expect("a running shop").to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill");
        assert!(told.success());
        process.wait().await.expect("a process")
    }

    /// Waits until the process has ended by itself, as at a crash point.
    pub async fn ended(&mut self) {
        let mut process = self.process.take().expect("a running shop");
        let ended = tokio::time::timeout(READY_WITHIN, process.wait()).await;
        ended.unwrap_or_else(|_| panic!("the shop did not end by itself:\n{}", self.log())).expect("a process");
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().and_then(Child::id).expect("a running shop")
    }

    /// Its memory, in bytes (resident set).
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running shop");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The sandbox's address.
    #[must_use]
    pub fn sandbox_url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.sandbox_port)
    }

    /// What the sandbox counts.
    pub async fn stats(&self) -> Value {
        get(&format!("{}/_sandbox/stats", self.sandbox_url())).await.expect("the sandbox").1
    }

    /// The sum of a counter over all its labels; 0 when it never counted.
    pub async fn counter(&self, name: &str) -> u64 {
        let request = Request::get(format!("{}/metrics", self.url())).body(Full::default()).expect("a request");
        let text = exchange(request).await.expect("the shop").text();
        let of_it = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
        of_it.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a whole number")).sum()
    }

    /// The paths of the last requests that the sandbox got.
    pub async fn sandbox_log(&self) -> Vec<String> {
        let (_, log) = get(&format!("{}/_sandbox/log", self.sandbox_url())).await.expect("the sandbox");
        let paths = log["requests"].as_array().expect("a list").iter().map(|request| request["path"].as_str());
        paths.map(|path| path.expect("a path").to_owned()).collect()
    }

    /// Tells the sandbox to behave in some way.
    pub async fn control_sandbox(&self, what: Value) -> Value {
        let url = format!("{}/_sandbox/control", self.sandbox_url());
        let (status, body) = super::client::post(&url, None, &what).await.expect("the sandbox");
        assert_eq!(status, 200, "{body}");
        body
    }

    /// A new customer with a bearer token.
    pub async fn customer(&self) -> Client {
        Client::new(&self.url()).await
    }

    /// Runs a sub-command of the binary against this shop.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().await.expect("STAMPEDE_BIN starts")
    }

    /// Runs a sub-command that must succeed, with `--json`; what it prints.
    pub async fn cli_json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--json"]].concat()).await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "stampede {arguments:?}: {}\n{out}{err}", output.status);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Waits until the sandbox has met a fault `hang`.
    pub async fn until_the_sandbox_holds_an_answer(&self) {
        let held = async { while self.stats().await["answers_held"] == 0 {} };
        tokio::time::timeout(READY_WITHIN, held).await.expect("an answer that is held");
    }

    /// Makes a sale with one tier `std` at 25.00 USD.
    pub async fn sale(&self, slug: &str, capacity: u32, more: &[&str]) {
        let tier = format!("std:Standard:2500:{capacity}");
        self.sale_of(slug, &[&["--tier", &tier], more].concat()).await;
    }

    /// Makes a sale in USD with these tiers and options.
    pub async fn sale_of(&self, slug: &str, options: &[&str]) {
        let create = ["sale", "create", "--slug", slug, "--name", slug, "--currency", "usd"];
        self.cli_json(&[&create, options].concat()).await;
    }

    /// Asserts that every order was charged once at most, and that the second gate never had to close.
    pub async fn expect_single_charges(&self, charges: u64) {
        let stats = self.stats().await;
        assert_eq!(stats["charges_succeeded"], charges, "{stats}");
        assert_eq!(stats["orders_charged_more_than_once"], 0, "{stats}");
        assert_eq!(self.counter("second_gate_fired_total").await, 0);
    }

    /// Asserts that conservation holds and stock and ledger agree.
    pub async fn check(&self, sale: &str) -> Value {
        self.cli_json(&["stock", "check", sale]).await
    }

    fn log_file(&self) -> PathBuf {
        self.data.path().join("log")
    }

    /// What the shop has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}
