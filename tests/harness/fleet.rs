//! A shop that is spread over processes, as a large one runs it: web and worker processes, one Redis, one ledger, and
//! the sandbox as a process of its own. Each of them can be killed and started again.

use std::net::Ipv4Addr;
use std::ops::Deref;

use super::client::Client;
use super::desk::{Desk, binary, counter_at};
use super::ports::free_port;
use super::postgres::{Database, fresh_database};
use super::process::Process;
use super::redis::Redis;

/// Signs the cookies of every fleet.
const SESSION_SECRET: &str = "a secret of the tests, and of the tests alone";

/// Where the ledger is.
pub enum Ledger {
    /// In a database of the run's PostgreSQL.
    Fresh(Database),
    /// In a database at this address.
    At(String),
    /// In a SQLite file, which all processes of the host share.
    Sqlite,
}

/// A running shop.
pub struct Fleet {
    desk: Desk,
    /// The web processes; `None` where one was killed.
    pub webs: Vec<Web>,
    /// The worker processes; `None` where one was killed.
    pub workers: Vec<Option<Process>>,
    started: usize,
    /// `None` where it was killed.
    sandbox: Option<Process>,
    /// The Redis server that all processes share.
    pub redis: Redis,
    /// Dropped last, when nobody is connected any more.
    _ledger: Ledger,
}

/// A web process and its address, which a successor takes over.
pub struct Web {
    port: u16,
    /// The process, if it runs.
    pub process: Option<Process>,
}

impl Web {
    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }
}

impl Fleet {
    /// Two web processes and two workers on a private Redis and a ledger in PostgreSQL.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let database = fresh_database().await;
        Self::start_on(Ledger::Fresh(database), Redis::start().await, 2, 2, settings).await
    }

    /// So many web processes and workers, with these settings besides.
    pub async fn start_on(
        ledger: Ledger,
        redis: Redis,
        webs: usize,
        workers: usize,
        settings: &[(&str, &str)],
    ) -> Self {
        let redis_url = redis.url();
        let mut all = vec![("REDIS_URL", redis_url.as_str()), ("SESSION_SECRET", SESSION_SECRET)];
        match &ledger {
            Ledger::Fresh(database) => all.push(("DATABASE_URL", database.url())),
            Ledger::At(url) => all.push(("DATABASE_URL", url)),
            Ledger::Sqlite => {}
        }
        all.extend(settings);
        let desk = Desk::new(&all);
        let migrated = desk.cli(&["migrate"]).await;
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let mut fleet = Self { desk, redis, _ledger: ledger, sandbox: None, webs: vec![], workers: vec![], started: 0 };
        fleet.start_sandbox().await;
        for place in 0..webs {
            fleet.add_web();
            fleet.start_web(place, &[]).await;
        }
        for _ in 0..workers {
            fleet.add_worker(&[]);
        }
        fleet
    }

    /// A place for one more web process, and its address.
    pub fn add_web(&mut self) -> String {
        self.webs.push(Web { port: free_port(), process: None });
        self.url(self.webs.len() - 1)
    }

    /// Starts the web process of a place, with these settings besides, and waits until it is ready.
    pub async fn start_web(&mut self, place: usize, besides: &[(&str, &str)]) {
        self.launch_web(place, besides);
        let ready = format!("{}/readyz", self.webs[place].url());
        self.webs[place].process.as_mut().expect("a running web process").until_answers(&ready).await;
    }

    /// Starts the web process of a place, with these settings besides, whether it becomes ready or not.
    pub fn launch_web(&mut self, place: usize, besides: &[(&str, &str)]) {
        let mut command = self.desk.command(&binary("STAMPEDE_WEB_BIN"));
        command.env("BIND", format!("127.0.0.1:{}", self.webs[place].port)).envs(besides.iter().copied());
        let process = self.launch("web", command);
        self.webs[place].process = Some(process);
    }

    /// Starts the sandbox on what it had on disk, and waits until it answers.
    pub async fn start_sandbox(&mut self) {
        let mut command = self.desk.command(&binary("STAMPEDE_BIN"));
        command.arg("sandbox");
        let mut process = Process::launch(command, &self.desk.folder().join("sandbox.log"));
        process.until_answers(&format!("{}/_sandbox/health", self.desk.sandbox_url())).await;
        self.sandbox = Some(process);
    }

    /// Kills the sandbox with SIGKILL.
    pub async fn kill_sandbox(&mut self) {
        self.sandbox.take().expect("a running sandbox").kill().await;
    }

    /// Changes a setting of whatever is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.desk.set(name, value);
    }

    /// Starts the worker of a place, with these settings besides.
    pub fn start_worker(&mut self, place: usize, besides: &[(&str, &str)]) {
        let mut command = self.desk.command(&binary("STAMPEDE_WORKER_BIN"));
        command.envs(besides.iter().copied());
        let process = self.launch("worker", command);
        self.workers[place] = Some(process);
    }

    /// Starts one more worker, with these settings besides.
    pub fn add_worker(&mut self, besides: &[(&str, &str)]) {
        self.workers.push(None);
        self.start_worker(self.workers.len() - 1, besides);
    }

    fn launch(&mut self, kind: &str, command: tokio::process::Command) -> Process {
        self.started += 1;
        Process::launch(command, &self.desk.folder().join(format!("{kind}-{}.log", self.started)))
    }

    /// Kills a worker with SIGKILL.
    pub async fn kill_worker(&mut self, place: usize) {
        self.workers[place].take().expect("a running worker").kill().await;
    }

    /// Kills a web process with SIGKILL.
    pub async fn kill_web(&mut self, place: usize) {
        self.webs[place].process.take().expect("a running web process").kill().await;
    }

    /// Waits until the worker of a place has ended by itself, as at a crash point.
    pub async fn worker_ended(&mut self, place: usize) {
        self.workers[place].take().expect("a running worker").ended().await;
    }

    /// Waits until the web process of a place has ended by itself, as at a crash point.
    pub async fn web_ended(&mut self, place: usize) {
        self.webs[place].process.take().expect("a running web process").ended().await;
    }

    /// The address of a web process.
    #[must_use]
    pub fn url(&self, place: usize) -> String {
        self.webs[place].url()
    }

    /// A new customer at a web process.
    pub async fn customer(&self, place: usize) -> Client {
        Client::new(&self.url(place)).await
    }

    /// The sum of a counter over all web processes that run.
    pub async fn counter(&self, name: &str) -> u64 {
        let mut sum = 0;
        for web in self.webs.iter().filter(|web| web.process.is_some()) {
            sum += counter_at(&web.url(), name).await;
        }
        sum
    }

    /// Asserts that every order was charged once at most, and that the second gate never had to close.
    pub async fn expect_single_charges(&self, charges: u64) {
        self.expect_charges(charges).await;
        assert_eq!(self.counter("second_gate_fired_total").await, 0);
    }

    /// What every process has logged.
    #[must_use]
    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.desk.folder()).expect("the folder").filter_map(Result::ok);
        let logs = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| format!("== {}\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default()))
            .collect()
    }
}

impl Deref for Fleet {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}
