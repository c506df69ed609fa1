//! The systems that are measured: what each is made of, and how it is started.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Places;

/// A system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Stampede in one process, SQLite on disk
    StampedeEmbedded,
    /// Stampede as web and worker processes, Redis, SQLite on disk
    StampedeSqlite,
    /// Stampede as web and worker processes, Redis, PostgreSQL with fsync
    StampedePostgres,
    /// Fastify, socket.io, BullMQ
    Bullmq,
    /// Flask-SocketIO, Celery with processes
    CeleryPrefork,
    /// Flask-SocketIO, Celery with greenlets
    CeleryGevent,
    /// Nothing behind a socket: what the load driver leaves
    #[default]
    Null,
}

/// The circumstances of a run that the system is told.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) ports: u16,
    pub(super) webs: u16,
    pub(super) latency_ms: u64,
    pub(super) concurrency: Option<u32>,
    /// Tickets of the sale `demo`, enough for everybody.
    pub(super) units: u64,
    /// Tickets of the sale `rush`, which sells out.
    pub(super) tickets: Option<u32>,
    /// Whether system and driver have cores of their own.
    pub(super) apart: bool,
    /// Whether the system counts for how long it waits for Stripe.
    pub(super) counts: bool,
}

/// A process to start.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) folder: PathBuf,
    pub(super) ready: Ready,
}

/// When a process is ready.
#[derive(Clone, Debug)]
pub(super) enum Ready {
    /// An address answers 200.
    Answers(String),
    /// Somebody listens on its port.
    Listens(u16),
    /// A charge will tell.
    Unknown,
}

/// Signs cookies and tokens of nobody but made-up shoppers.
const SESSION_SECRET: &str = "made up for measuring, and for that alone";

/// Where the worker is asked for its metrics.
fn workers_door(stage: &Stage) -> String {
    format!("127.0.0.1:{}", stage.ports + 2)
}

impl System {
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(super) fn adapter(self) -> &'static str {
        match self {
            Self::StampedeEmbedded | Self::StampedeSqlite | Self::StampedePostgres => "stampede.toml",
            Self::Bullmq => "bullmq.toml",
            Self::CeleryPrefork | Self::CeleryGevent => "celery.toml",
            Self::Null => "null.toml",
        }
    }

    /// Whether it is Stampede, which alone has stock, purchases with names, and several web processes.
    pub(super) fn is_stampede(self) -> bool {
        self.adapter() == "stampede.toml"
    }

    /// Whether several web processes can share its load.
    pub(super) fn has_web_processes(self) -> bool {
        matches!(self, Self::StampedeSqlite | Self::StampedePostgres)
    }

    pub(super) fn needs_redis(self) -> bool {
        !matches!(self, Self::StampedeEmbedded | Self::Null)
    }

    /// Where drivers connect to.
    pub(super) fn hosts(self, stage: &Stage) -> Vec<String> {
        (0..stage.webs).map(|web| format!("127.0.0.1:{}", self.port(stage, web))).collect()
    }

    /// Where it tells for how long it waited for Stripe, if it counts that.
    pub(super) fn metrics(self, stage: &Stage) -> Option<String> {
        match self {
            _ if !stage.counts => None,
            Self::StampedeEmbedded => Some(format!("http://127.0.0.1:{}/metrics", self.port(stage, 0))),
            Self::StampedeSqlite | Self::StampedePostgres => Some(format!("http://{}/metrics", workers_door(stage))),
            Self::CeleryPrefork | Self::CeleryGevent | Self::Bullmq | Self::Null => None,
        }
    }

    fn port(self, stage: &Stage, web: u16) -> u16 {
        let offset = match self {
            Self::CeleryPrefork | Self::CeleryGevent => 10,
            Self::Bullmq => 20,
            Self::Null => 30,
            Self::StampedeEmbedded | Self::StampedeSqlite | Self::StampedePostgres => 40,
        };
        stage.ports + offset + web
    }

    /// Its own processes, in the order in which they are started.
    pub(super) fn launches(self, places: &Places, stage: &Stage, settings: &[(String, String)]) -> Vec<Launch> {
        match self {
            Self::StampedeEmbedded => vec![self.stampede(places, stage, settings, "web", &[], 0)],
            Self::StampedeSqlite | Self::StampedePostgres => {
                let webs = (0..stage.webs).map(|web| self.stampede(places, stage, settings, "web", &["web"], web));
                let mut all: Vec<Launch> = webs.collect();
                let worker = self.stampede(places, stage, settings, "worker", &["worker"], 0);
                all.push(Launch { ready: Ready::Unknown, ..worker });
                all
            }
            Self::Bullmq => self.bullmq(places, stage),
            Self::CeleryPrefork => self.celery(places, stage, &["-P", "prefork", "-c", "16"]),
            Self::CeleryGevent => {
                let most = stage.concurrency.unwrap_or(200).to_string();
                self.celery(places, stage, &["-P", "gevent", "-c", &most])
            }
            Self::Null => {
                let port = self.port(stage, 0);
                vec![Launch {
                    name: "web",
                    program: places.programs.join("null_system"),
                    arguments: vec![port.to_string()],
                    environment: Vec::new(),
                    folder: places.root.clone(),
                    ready: Ready::Listens(port),
                }]
            }
        }
    }

    /// The settings of all of Stampede's processes and commands.
    pub(super) fn settings(self, stage: &Stage, data: &str, postgres: Option<&str>) -> Vec<(String, String)> {
        let mut settings = vec![
            ("DATA_DIR", data.to_owned()),
            ("SESSION_SECRET", SESSION_SECRET.to_owned()),
            ("STRIPE_SECRET_KEY", "sk_test_x".to_owned()),
            ("STRIPE_PUBLISHABLE_KEY", "pk_test_x".to_owned()),
            ("STRIPE_API_BASE", format!("http://127.0.0.1:{}", stage.ports)),
            ("STRIPE_RATE_PER_SECOND", "0".to_owned()),
            ("DEMO", "false".to_owned()),
            ("LOG", "warn".to_owned()),
        ];
        settings.extend(stage.concurrency.map(|most| ("WORKER_CONCURRENCY", most.to_string())));
        settings.extend(self.needs_redis().then(|| ("REDIS_URL", format!("redis://127.0.0.1:{}", stage.ports + 1))));
        settings.extend(postgres.map(|server| ("DATABASE_URL", format!("{server}/postgres"))));
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn stampede(
        self,
        places: &Places,
        stage: &Stage,
        settings: &[(String, String)],
        name: &'static str,
        arguments: &[&str],
        web: u16,
    ) -> Launch {
        let bind = format!("127.0.0.1:{}", self.port(stage, web));
        let mut environment = settings.to_vec();
        environment.push(("BIND".to_owned(), bind.clone()));
        if name == "worker" && stage.counts {
            environment.push(("METRICS_BIND".to_owned(), workers_door(stage)));
        }
        Launch {
            name,
            program: places.programs.join("stampede"),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            environment,
            folder: places.root.clone(),
            ready: Ready::Answers(format!("http://{bind}/readyz")),
        }
    }

    fn bullmq(self, places: &Places, stage: &Stage) -> Vec<Launch> {
        let port = self.port(stage, 0);
        let environment: Vec<(String, String)> = [
            ("NODE_ENV", "production".to_owned()),
            ("NODE_PATH", places.peers.join("bullmq/node_modules").display().to_string()),
            ("REDIS", format!("127.0.0.1:{}", stage.ports + 1)),
            ("STRIPE_PORT", stage.ports.to_string()),
            ("WEB_PORT", port.to_string()),
            ("CONCURRENCY", stage.concurrency.unwrap_or(100).to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let launch = |name: &'static str, file: &str, ready: Ready| Launch {
            name,
            program: "node".into(),
            arguments: vec![file.to_owned()],
            environment: environment.clone(),
            folder: places.root.join("bench/peers/bullmq"),
            ready,
        };
        let health = format!("http://127.0.0.1:{port}/health");
        vec![launch("web", "web.js", Ready::Answers(health)), launch("worker", "worker.js", Ready::Unknown)]
    }

    fn celery(self, places: &Places, stage: &Stage, pool: &[&str]) -> Vec<Launch> {
        let port = self.port(stage, 0);
        let environment: Vec<(String, String)> = [
            ("PYTHONPYCACHEPREFIX", places.peers.join("pycache").display().to_string()),
            ("C_FORCE_ROOT", "1".to_owned()),
            ("REDIS_URL", format!("redis://127.0.0.1:{}/0", stage.ports + 1)),
            ("STRIPE_BASE", format!("http://127.0.0.1:{}", stage.ports)),
            ("NOTIFY_URL", format!("http://127.0.0.1:{port}/notify")),
            ("WEB_PORT", port.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let launch = |name: &'static str, program: &str, arguments: &[&str], ready: Ready| Launch {
            name,
            program: places.peers.join("venv/bin").join(program),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            environment: environment.clone(),
            folder: places.root.join("bench/peers/celery"),
            ready,
        };
        let health = Ready::Answers(format!("http://127.0.0.1:{port}/health"));
        let quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"];
        let worker = [&["-A", "tasks", "worker"], pool, &["-Q", "charges,notify"], &quiet].concat();
        vec![
            launch("web", "gunicorn", &["-c", "gunicorn_conf.py", "web:app"], health),
            launch("worker", "celery", &worker, Ready::Unknown),
        ]
    }
}
