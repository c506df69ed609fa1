//! `stampede worker list|drain|concurrency`: the processes of the shop, and what its workers are told.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::access::{By, SharedAccess};
use shared::fleet::{self, Ask, MOST_CONCURRENCY, Outlook, Process, Recommended, Wished};
use shared::ledger::records::is_note;
use shared::queue::Queue;

use crate::admin::Desk;
use crate::cli::Output;
use crate::report::Reply;

/// `stampede worker …`
#[derive(Debug, Args)]
#[command(after_help = "Without a command it starts a worker.")]
pub(crate) struct Worker {
    #[command(subcommand)]
    what: Option<What>,
}

/// What is to be done about workers.
#[derive(Debug, Subcommand)]
enum What {
    /// Lists all processes of the shop, and how many workers are enough
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Has a worker finish what it has, take nothing new, and end with code 0
    Drain {
        /// The worker's name, as `stampede worker list` shows it
        name: String,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        output: Output,
    },
    /// Sets how many charges a worker has under way at the same time, while it works
    Concurrency {
        /// The worker's name, as `stampede worker list` shows it
        name: String,
        /// How many; auto is what its settings and the budget say
        #[arg(value_name = "N|auto")]
        most: Most,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        output: Output,
    },
}

/// Why something is done.
#[derive(Clone, Debug, Args)]
struct Why {
    /// Why, for whoever reads the trail later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// How many charges at the same time.
#[derive(Clone, Copy, Debug)]
struct Most(Option<u32>);

impl FromStr for Most {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("a number from 1 to {MOST_CONCURRENCY}, or auto");
        match text {
            "auto" => Ok(Self(None)),
            text => {
                let most = text.parse().ok().filter(|most| (1..=MOST_CONCURRENCY).contains(most));
                most.map(|most| Self(Some(most))).ok_or_else(wrong)
            }
        }
    }
}

/// What is to be done about workers, as it goes to the process that sells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Asked {
    List,
    Drain { name: String, reason: Option<String> },
    Concurrency { name: String, most: Option<u32>, reason: Option<String> },
}

impl Worker {
    /// What was asked, and how to print the answer; `None` to be a worker.
    pub(crate) fn asked(self) -> Option<(Asked, Output)> {
        Some(match self.what? {
            What::List { output } => (Asked::List, output),
            What::Drain { name, why, output } => (Asked::Drain { name, reason: why.reason }, output),
            What::Concurrency { name, most, why, output } => {
                (Asked::Concurrency { name, most: most.0, reason: why.reason }, output)
            }
        })
    }
}

/// What an answer about workers is made from.
#[derive(Clone)]
pub(crate) struct Workers {
    pub outlook: Outlook,
    pub queue: Arc<dyn Queue>,
    pub access: SharedAccess,
}

impl Desk {
    /// Lists or steers workers.
    ///
    /// # Errors
    /// When the books, or the ledger that has the trail, cannot be reached.
    pub(crate) async fn workers(&self, asked: Asked) -> anyhow::Result<Reply> {
        let Some(workers) = &self.workers else {
            return Ok(Reply::refused("no process sells at the moment".to_owned()));
        };
        match asked {
            Asked::List => {
                let (processes, recommended) =
                    workers.outlook.read(&*workers.queue).await.map_err(anyhow::Error::msg)?;
                Ok(list(&processes, &recommended))
            }
            Asked::Drain { name, reason } => workers.steer(&name, Ask::Drain, reason).await,
            Asked::Concurrency { name, most, reason } => workers.steer(&name, Ask::Concurrency(most), reason).await,
        }
    }
}

impl Workers {
    async fn steer(&self, name: &str, ask: Ask, reason: Option<String>) -> anyhow::Result<Reply> {
        if reason.as_deref().is_some_and(|reason| !is_note(reason)) {
            return Ok(Reply::refused("a reason is one line of 500 characters at most".to_owned()));
        }
        let wished = fleet::steer(&*self.outlook.fleet, &*self.access, &By::cli(), name, ask, reason).await?;
        Ok(match wished {
            Wished::Unknown => Reply::refused(format!("no worker is called {name:?}")),
            Wished::WholeShop => {
                Reply::refused(format!("{name} is the whole shop in one process: stop it with Ctrl+C or SIGTERM"))
            }
            Wished::Yes => {
                let text = match ask {
                    Ask::Drain => format!("{name} finishes what it has, and ends.\n"),
                    Ask::Concurrency(Some(most)) => format!("{name} has {most} charges under way at most.\n"),
                    Ask::Concurrency(None) => format!("{name} has as many under way as settings and budget say.\n"),
                };
                Reply::made(text, json!({ "worker": name, "asked": ask.to_json() }))
            }
        })
    }
}

fn list(processes: &[Process], recommended: &Recommended) -> Reply {
    let mut text = format!(
        "{:<22} {:<9} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8}  host\n",
        "process", "state", "at most", "in hand", "charged", "sockets", "CPU s", "MiB"
    );
    for Process { beat, .. } in processes {
        let worker = |of: fn(&fleet::WorkerLoad) -> u64| beat.load.worker.as_ref().map(of);
        let cell = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let _ = writeln!(
            text,
            "{:<22} {:<9} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8}  {}",
            beat.name,
            beat.state.as_str(),
            cell(worker(|load| u64::from(load.concurrency))),
            cell(worker(|load| u64::from(load.in_hand))),
            cell(worker(|load| load.charged_total)),
            cell(beat.load.web.as_ref().map(|web| web.sockets)),
            beat.load.cpu_ms / 1_000,
            beat.load.resident_bytes >> 20,
            beat.host,
        );
    }
    let _ = writeln!(text, "Workers that are enough: {}. {}", recommended.workers, recommended.why);
    let rows: Vec<_> = processes.iter().map(Process::to_json).collect();
    Reply::made(text, json!({ "processes": rows, "recommended_workers": recommended.to_json() }))
}
