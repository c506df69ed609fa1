//! One process of ours: it can be killed and asked to end, and is killed when dropped.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::client::get;
use super::kept;

/// How long a process may take to answer that it is ready, or to end when it should.
pub const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running process.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it, with everything that it says in this file.
    pub fn launch(mut command: Command, log: &Path) -> Self {
        let file = kept::log(log);
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a log file")).stderr(file).kill_on_drop(true);
        Self { child: command.spawn().expect("the binary starts"), log: log.to_owned() }
    }

    /// Waits until an address answers with 200.
    pub async fn until_answers(&mut self, url: &str) {
        let ready = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a process") {
                    panic!("the process ended while it started: {status}\n{}", self.log());
                }
                if get(url).await.is_ok_and(|(status, _)| status == 200) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(READY_WITHIN, ready).await.is_err() {
            panic!("{url} did not answer after {READY_WITHIN:?}:\n{}", self.log());
        }
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a process to kill");
    }

    /// Asks it to end (SIGTERM) and waits until it has; how it ended.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal("-TERM").await;
        self.child.wait().await.expect("a process")
    }

    /// Sends a signal, as `-STOP`.
    pub async fn signal(&self, signal: &str) {
        let told = Command::new("kill").args([signal, &self.pid().to_string()]).status().await.expect("kill");
        assert!(told.success());
    }

    /// Waits until it has ended by itself, as at a crash point.
    pub async fn ended(mut self) {
        let ended = tokio::time::timeout(READY_WITHIN, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("the process did not end by itself:\n{}", self.log())).expect("a process");
    }

    /// How it has ended; `None` while it runs.
    pub fn ending(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a process")
    }

    /// Whether it runs still.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a process").is_none()
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// Its memory, in bytes (resident set).
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
