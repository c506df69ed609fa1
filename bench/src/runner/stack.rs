//! One system, started for one run: the stand-in for Stripe, Redis, PostgreSQL, the system's own processes. All of it is
//! stopped again, by process id, also when the run fails or is interrupted.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use xtask::cluster::Cluster;

use super::Places;
use super::machine::Side;
use super::system::{Launch, Ready, Stage, System};
use super::waited::Waited;
use super::web::{ask, listens};
use crate::measure::processes::Group;

/// How long a process may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(8);
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// A running system.
pub(super) struct Stack {
    started: Vec<Started>,
    cluster: Option<Cluster>,
    /// What it keeps on disk.
    data: PathBuf,
    logs: PathBuf,
    stub: String,
    command: Vec<(String, String)>,
    program: PathBuf,
    /// Whether driver and system have cores of their own.
    apart: bool,
    /// Where the system tells for how long it waited for Stripe.
    metrics: Option<String>,
}

struct Started {
    name: &'static str,
    child: Child,
    group: Group,
}

impl Stack {
    /// Starts everything, and makes the sales.
    pub(super) async fn start(places: &Places, system: System, stage: &Stage, logs: &Path) -> Result<Self> {
        let data = logs.join("data");
        let _ = std::fs::remove_dir_all(logs);
        std::fs::create_dir_all(&data)?;
        let stub = format!("http://127.0.0.1:{}", stage.ports);
        let program = places.programs.join("stampede");
        let mut stack = Self {
            started: Vec::new(),
            cluster: None,
            data,
            logs: logs.to_owned(),
            stub,
            command: Vec::new(),
            program,
            apart: stage.apart,
            metrics: system.metrics(stage),
        };
        stack.start_all(places, system, stage).await?;
        Ok(stack)
    }

    async fn start_all(&mut self, places: &Places, system: System, stage: &Stage) -> Result<()> {
        let latency = stage.latency_ms.to_string();
        let stub = Launch {
            name: "~stub",
            program: places.programs.join("stripe_stub"),
            arguments: ["--port", &stage.ports.to_string(), "--latency", &latency].map(str::to_owned).to_vec(),
            environment: Vec::new(),
            folder: places.root.clone(),
            ready: Ready::Answers(format!("{}/health", self.stub)),
        };
        self.launch(stub).await?;
        if system.needs_redis() {
            self.launch(redis(&self.data, stage.ports + 1)).await?;
        }
        if system == System::StampedePostgres {
            self.cluster = Some(tokio::task::spawn_blocking(Cluster::start).await??);
        }
        let postgres = self.cluster.as_ref().map(|cluster| cluster.url().to_owned());
        self.command = system.settings(stage, &self.data.display().to_string(), postgres.as_deref());
        if system.is_stampede() {
            self.make_sales(stage).await?;
        }
        for launch in system.launches(places, stage, &self.command.clone()) {
            self.launch(launch).await?;
        }
        Ok(())
    }

    async fn make_sales(&self, stage: &Stage) -> Result<()> {
        self.stampede(&["migrate"]).await?;
        let sales = [("demo", Some(stage.units)), ("rush", stage.tickets.map(u64::from))];
        for (slug, units) in sales.into_iter().filter_map(|(slug, units)| Some((slug, units?))) {
            let tier = format!("std:Standard:2500:{units}");
            let sale = ["sale", "create", "--slug", slug, "--name", slug, "--currency", "usd", "--tier", &tier];
            self.stampede(&sale).await?;
        }
        Ok(())
    }

    /// Runs a sub-command of Stampede with this system's settings.
    async fn stampede(&self, arguments: &[&str]) -> Result<()> {
        let mut command = clean(&self.program);
        command.args(arguments).envs(self.command.iter().cloned()).current_dir(&self.data);
        let output = command.output().await.with_context(|| format!("{} does not start", self.program.display()))?;
        if !output.status.success() {
            bail!("stampede {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// The same as a line for a shell.
    pub(super) fn stampede_line(&self, arguments: &str) -> String {
        let settings = self.command.iter().map(|(name, value)| format!("{name}='{value}'"));
        let settings: Vec<String> = settings.collect();
        format!("cd '{}' && {} '{}' {arguments}", self.data.display(), settings.join(" "), self.program.display())
    }

    async fn launch(&mut self, launch: Launch) -> Result<()> {
        let Launch { name, program, arguments, environment, folder, ready } = launch;
        let port = match &ready {
            Ready::Listens(port) => Some(*port),
            Ready::Answers(url) => url.split([':', '/']).nth(4).and_then(|port| port.parse().ok()),
            Ready::Unknown => None,
        };
        if let Some(port) = port
            && listens(port).await
        {
            bail!("somebody listens on port {port} already: stop them, or choose other ports by --ports");
        }
        let path = self.logs.join(format!("{}.log", name.trim_start_matches('~')));
        let log = std::fs::File::options().create(true).append(true).open(&path)?;
        let side = if name.starts_with('~') { Side::Driver } else { Side::System };
        let words = side.start(&program, self.apart);
        let mut command = clean(&words[0]);
        command.args(&words[1..]).args(arguments).envs(environment).current_dir(folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{} does not start", program.display()))?;
        let id = child.id().context("a process that was just started has an id")?;
        self.started.push(Started { name, child, group: Group::of(name, vec![id]) });
        let since = Instant::now();
        while !is_ready(&ready).await {
            let ended = self.started.last_mut().map(|started| started.child.try_wait()).transpose()?.flatten();
            if let Some(status) = ended {
                bail!("{name} ended with {status}; see {}", path.display());
            }
            if since.elapsed() > READY_WITHIN {
                bail!("{name} is not ready after {READY_WITHIN:?}; see {}", path.display());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// What is measured: processes of the same name together.
    pub(super) fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let postgres = self.cluster.as_ref().and_then(Cluster::server).map(|id| Group::of("postgres", vec![id]));
        for group in self.started.iter().map(|started| started.group.clone()).chain(postgres) {
            match groups.iter_mut().find(|known| known.name == group.name) {
                Some(known) => known.roots.extend(group.roots),
                None => groups.push(group),
            }
        }
        groups
    }

    /// What the stand-in for Stripe counted since it was asked to forget.
    pub(super) async fn stub_stats(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&ask("GET", &format!("{}/stats", self.stub)).await?)?)
    }

    /// For how long the system waited for Stripe until now, where it counts that.
    pub(super) async fn waited_for_stripe(&self) -> Result<Option<Waited>> {
        let Some(metrics) = &self.metrics else { return Ok(None) };
        let text = String::from_utf8(ask("GET", metrics).await?)?;
        Waited::read(&text).with_context(|| format!("{metrics} does not tell how long charges took")).map(Some)
    }

    /// Lets the stand-in for Stripe forget the warm-up.
    pub(super) async fn reset_stub(&self) -> Result<()> {
        ask("POST", &format!("{}/reset", self.stub)).await.map(drop)
    }

    /// The folder of its logs.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// Stops everything, the last that was started first.
    pub(super) async fn stop(mut self) {
        for started in self.started.iter_mut().rev() {
            let members = started.group.members();
            started.group.roots.iter().for_each(|id| send(*id, Signal::TERM));
            if tokio::time::timeout(END_WITHIN, started.child.wait()).await.is_err() {
                eprintln!("{} did not end when it was asked to: it is killed", started.name);
                members.into_iter().for_each(|id| send(id, Signal::KILL));
                let _ = started.child.wait().await;
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for started in self.started.iter_mut().rev() {
            if let Ok(None) = started.child.try_wait() {
                started.group.members().into_iter().for_each(|id| send(id, Signal::KILL));
            }
        }
        self.cluster = None;
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn send(id: u32, signal: Signal) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile.
        let _ = kill_process(id, signal);
    }
}

/// A command that is told nothing of the environment but where programs are.
fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    for name in ["PATH", "HOME", "LANG", "TMPDIR"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// The same Redis for everybody, without persistence.
fn redis(data: &Path, port: u16) -> Launch {
    let port_text = port.to_string();
    let data_text = data.display().to_string();
    let bind = ["--port", &port_text, "--bind", "127.0.0.1", "--dir", &data_text];
    let keep = ["--save", "", "--appendonly", "no", "--tcp-backlog", "4096", "--loglevel", "warning"];
    Launch {
        name: "redis",
        program: "redis-server".into(),
        arguments: bind.iter().chain(&keep).map(|word| (*word).to_owned()).collect(),
        environment: Vec::new(),
        folder: data.to_owned(),
        ready: Ready::Listens(port),
    }
}

async fn is_ready(ready: &Ready) -> bool {
    match ready {
        Ready::Answers(url) => ask("GET", url).await.is_ok(),
        Ready::Listens(port) => listens(*port).await,
        Ready::Unknown => true,
    }
}
