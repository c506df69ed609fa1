//! What a sale runs on: web and worker processes behind wires that can be cut, their servers, and a keeper that starts
//! again whatever has ended, as any supervisor would.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use shared::stripe::webhook::EVENT_TYPES;
use tests::harness::client::get;
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::postgres::fresh_database_in;
use tests::harness::proxy::Proxy;
use tests::harness::redis::Redis;
use xtask::cluster::Cluster;

use super::crowd::OPERATOR_KEY;

/// Web processes, and as many workers.
pub(super) const PLACES: usize = 2;
/// Deadlines of buyers, in seconds, short enough for a test that waits for all of them.
const TERMS: [(&str, &str); 4] =
    [("RETRY_SECONDS", "8"), ("ORDER_SECONDS", "20"), ("AUTHENTICATE_SECONDS", "15"), ("CHECKOUT_SECONDS", "15")];
/// How long all processes may take to be ready when nothing goes wrong any more.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Longer than any sale of a test.
const FOR_EVER: Duration = Duration::from_secs(24 * 3_600);

const SIGKILL: i32 = 9;

/// The PostgreSQL server of a run; its calls block.
pub(super) type SharedCluster = Arc<Mutex<Cluster>>;

/// A process that may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Web,
    Worker,
}

/// What the keeper knows of a process.
#[derive(Default)]
struct Kept {
    /// Stays down until then.
    down_until: Option<Instant>,
    /// The crash point at which it is to die, also if it has to be started more than once until it gets there.
    armed: Option<&'static str>,
    /// How often it died there.
    met: u64,
}

/// Everything that a sale runs on.
pub(super) struct Stage {
    pub(super) fleet: Fleet,
    pub(super) redis_wire: Proxy,
    pub(super) postgres_wire: Proxy,
    pub(super) cluster: SharedCluster,
    /// The ledger's address past the wire.
    pub(super) ledger: String,
    kept: [[Kept; PLACES]; 2],
    /// How often a process ended by itself, save at a crash point.
    pub(super) fell: u64,
}

impl Stage {
    /// Two web processes and two workers, with a sale `night` that is open.
    pub(super) async fn start(cluster: &SharedCluster, capacity: u32) -> Self {
        let address = cluster.lock().unwrap_or_else(PoisonError::into_inner).url().to_owned();
        let database = fresh_database_in(&address).await;
        let ledger = database.url().to_owned();
        let (before, name) = ledger.rsplit_once('/').expect("an address with a database");
        let (before, port) = before.rsplit_once(':').expect("an address with a port");
        let postgres_wire = Proxy::start(port.parse().expect("a port")).await;
        let wired = format!("{before}:{}/{name}", postgres_wire.port());
        let redis = Redis::start().await;
        let redis_wire = Proxy::start(redis.port()).await;
        let redis_url = format!("redis://127.0.0.1:{}", redis_wire.port());
        let mut settings = vec![
            ("DATABASE_URL", wired.as_str()),
            ("REDIS_URL", &redis_url),
            ("OPERATOR_KEY", OPERATOR_KEY),
            ("SANDBOX_LATENCY", "uniform:50ms-400ms"),
            ("LOG", "info"),
        ];
        settings.extend(TERMS);
        let mut fleet = Fleet::start_on(Ledger::Fresh(database), redis, 0, 0, &settings).await;
        let doors: Vec<String> = (0..PLACES).map(|_| fleet.add_web()).collect();
        let events: String = EVENT_TYPES.iter().map(|kind| format!("&enabled_events[]={kind}")).collect();
        let endpoint = format!("url={}/webhooks/stripe{events}", doors[0]);
        let endpoint = fleet.form("/v1/webhook_endpoints", endpoint).await.json();
        fleet.set("STRIPE_WEBHOOK_SECRET", endpoint["secret"].as_str().expect("a secret"));
        for place in 0..PLACES {
            fleet.start_web(place, &[]).await;
            fleet.add_worker(&[]);
        }
        fleet.sale("night", capacity, &["--hold-seconds", "10"]).await;
        let cluster = cluster.clone();
        Self { fleet, redis_wire, postgres_wire, cluster, ledger, kept: Default::default(), fell: 0 }
    }

    pub(super) fn process(&mut self, role: Role, place: usize) -> &mut Option<tests::harness::process::Process> {
        match role {
            Role::Web => &mut self.fleet.webs[place].process,
            Role::Worker => &mut self.fleet.workers[place],
        }
    }

    /// Kills a process, if it runs, which then stays down for a while; whether it ran.
    pub(super) async fn kill(&mut self, role: Role, place: usize, down: Duration) -> bool {
        self.kept[role as usize][place].down_until = Some(Instant::now() + down);
        let Some(mut process) = self.process(role, place).take() else { return false };
        let ran = process.runs();
        process.kill().await;
        ran
    }

    /// Asks a process to end (SIGTERM), which then stays down until it is started again; how it ended.
    pub(super) async fn retire(&mut self, role: Role, place: usize) -> ExitStatus {
        self.kept[role as usize][place].down_until = Some(Instant::now() + FOR_EVER);
        self.process(role, place).take().expect("a running process").stop().await
    }

    /// Starts a process that was retired.
    pub(super) fn bring_back(&mut self, role: Role, place: usize) {
        self.kept[role as usize][place].down_until = None;
        self.keep();
    }

    /// Starts a process in place of another one, that dies at a crash point.
    pub(super) async fn arm(&mut self, role: Role, place: usize, point: &'static str) {
        self.kill(role, place, Duration::ZERO).await;
        self.kept[role as usize][place].armed = Some(point);
        self.keep();
    }

    /// How often processes have died at a crash point.
    pub(super) fn died_at_a_point(&self, role: Role) -> u64 {
        self.kept[role as usize].iter().map(|kept| kept.met).sum()
    }

    fn launch(&mut self, role: Role, place: usize, besides: &[(&str, &str)]) {
        match role {
            Role::Web => self.fleet.launch_web(place, besides),
            Role::Worker => self.fleet.start_worker(place, besides),
        }
    }

    /// Starts again what has ended and need not stay down.
    pub(super) fn keep(&mut self) {
        for (role, place) in all() {
            let ending = self.process(role, place).as_mut().map(|process| process.ending());
            if ending.as_ref().is_some_and(Option::is_none) {
                continue;
            }
            if let Some(Some(status)) = ending {
                let kept = &mut self.kept[role as usize][place];
                // A server was away while it started, or it met its crash point: either way it is tried again.
                let at_its_point = kept.armed.is_some() && status.signal() == Some(SIGKILL);
                if at_its_point {
                    kept.armed = None;
                    kept.met += 1;
                }
                self.fell += u64::from(!at_its_point);
                kept.down_until = Some(Instant::now() + Duration::from_millis(500));
                *self.process(role, place) = None;
            }
            let kept = &self.kept[role as usize][place];
            if kept.down_until.is_none_or(|until| until <= Instant::now()) {
                let besides = kept.armed.map(|point| ("STAMPEDE_CRASH_AT", point));
                self.launch(role, place, besides.as_slice());
            }
        }
    }

    /// Waits until every web process is ready, and no process waits for its crash point any more.
    pub(super) async fn until_ready(&mut self) -> Result<(), String> {
        for (role, place) in all() {
            if self.kept[role as usize][place].armed.take().is_some() {
                self.kill(role, place, Duration::ZERO).await;
            }
        }
        let since = Instant::now();
        loop {
            self.keep();
            let mut ready = 0;
            for place in 0..PLACES {
                let url = format!("{}/readyz", self.fleet.url(place));
                let answer = tokio::time::timeout(Duration::from_secs(3), get(&url)).await;
                ready += usize::from(matches!(answer, Ok(Ok((200, _)))));
            }
            if ready == PLACES {
                return Ok(());
            }
            if since.elapsed() > READY_WITHIN {
                return Err(format!(
                    "only {ready} of {PLACES} web processes are ready {READY_WITHIN:?} after the last fault"
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the sandbox counts; `null` while it is gone.
    pub(super) async fn stripe(&self, what: &str) -> Value {
        let url = format!("{}/_sandbox/{what}", self.fleet.sandbox_url());
        get(&url).await.map(|(_, body)| body).unwrap_or_default()
    }

    /// Keeps what every process has logged, for whoever looks for the reason; where.
    pub(super) fn keep_logs(&self, seed: u64) -> PathBuf {
        let folder =
            std::env::var_os(super::LOGS).map_or_else(|| std::env::temp_dir().join("stampede-chaos"), PathBuf::from);
        let folder = folder.join(format!("seed-{seed}"));
        std::fs::create_dir_all(&folder).expect("a folder for logs");
        copy_logs(self.fleet.folder(), &folder);
        folder
    }
}

fn copy_logs(from: &Path, to: &Path) {
    let files = std::fs::read_dir(from).expect("the folder").filter_map(Result::ok).map(|file| file.path());
    for log in files.filter(|path| path.extension().is_some_and(|ending| ending == "log")) {
        std::fs::copy(&log, to.join(log.file_name().expect("a file"))).expect("a log is copied");
    }
}

fn all() -> impl Iterator<Item = (Role, usize)> {
    [Role::Web, Role::Worker].into_iter().flat_map(|role| (0..PLACES).map(move |place| (role, place)))
}
