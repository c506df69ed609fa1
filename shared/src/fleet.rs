//! The processes of a shop, as an operator sees and steers them.
//!
//! Each one writes a *beat* now and then: who it is, what it does, how it fares. A beat lapses by itself, so that a process
//! that died is gone from the books without anybody's doing. The answer to a beat is what an operator wants of the
//! process ([`Wish`]): a worker hears it within a second, and the books are asked for nothing besides.
//!
//! Why the answer, and not a channel: a worker subscribes to nothing, and a message that is published while its connection
//! is made anew would be lost, where the next answer says it again.
//!
//! **What was wished survives a server that forgets.** A process tells with each beat what it has heard, and books that
//! know no wish of it take that over.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod load;
pub mod memory;
pub mod outlook;
pub mod recommend;
pub mod redis;
pub mod reporter;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::{Access, AccessError, By, Deed};
use crate::env::Timestamp;

pub use load::{Load, Quantiles, WebLoad, WorkerLoad};
pub use outlook::Outlook;
pub use recommend::{Needs, Recommended};
pub use reporter::{Identity, Reporter, Seen};

/// A beat that was not followed by another one for so long is forgotten.
pub const LAPSES_AFTER: Duration = Duration::from_secs(10);
/// Most charges that a worker can be told to have under way at the same time.
pub const MOST_CONCURRENCY: u32 = 10_000;

/// The books could not be reached.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the books of the processes could not be reached: {0}")]
pub struct FleetError(pub String);

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Pages, calls, sockets.
    Web,
    /// Charges, settles, sweeps.
    Worker,
    /// Everything in one.
    Shop,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Worker => "worker",
            Self::Shop => "shop",
        }
    }

    /// Whether it charges.
    #[must_use]
    pub fn works(self) -> bool {
        self != Self::Web
    }
}

/// Whether a process goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does.
    Running,
    /// An operator has asked it to finish what it has, and to end.
    Draining,
    /// Its supervisor has asked it to end.
    Stopping,
}

impl State {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }
}

/// What an operator wants of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// So many charges under way at the same time at most; `None` is what its settings and the budget say.
    pub concurrency: Option<u32>,
    /// It finishes what it has, takes nothing new, and ends. There is no way back.
    pub drain: bool,
}

/// A change of a [`Wish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Another concurrency.
    Concurrency(Option<u32>),
    /// To drain.
    Drain,
}

impl Ask {
    /// For people's programs.
    #[must_use]
    pub fn to_json(self) -> Value {
        match self {
            Self::Concurrency(most) => json!({ "concurrency": most }),
            Self::Drain => json!({ "drain": true }),
        }
    }
}

impl Wish {
    /// This wish with a change.
    #[must_use]
    pub fn with(self, ask: Ask) -> Self {
        match ask {
            Ask::Concurrency(concurrency) => Self { concurrency, ..self },
            Ask::Drain => Self { drain: true, ..self },
        }
    }
}

/// What came of an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wished {
    /// The worker hears of it with its next beat.
    Yes,
    /// There is no worker of this name.
    Unknown,
    /// It is the whole shop: whoever wants to end it sends SIGTERM.
    WholeShop,
}

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessBeat {
    /// Its name, which no other process has or had.
    pub name: String,
    /// What it is there for.
    pub kind: Kind,
    /// Which Stampede it runs.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// Its id there.
    pub pid: u32,
    /// When it began, by its own clock.
    pub started_at: Timestamp,
    /// When it said this, by its own clock.
    pub beat_at: Timestamp,
    /// Whether it goes on.
    pub state: State,
    /// The wish that it has heard last.
    pub wish: Wish,
    /// How it fares.
    pub load: Load,
}

/// A process in the books.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// What it said last.
    pub beat: ProcessBeat,
    /// What it is to do, whether it has heard of it or not.
    pub wish: Wish,
}

impl Process {
    /// For people's programs: times in RFC 3339, rates a second.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let ProcessBeat { name, kind, version, host, pid, started_at, beat_at, state, load, .. } = &self.beat;
        json!({
            "name": name, "kind": kind, "version": version, "host": host, "pid": pid,
            "started_at": started_at.to_rfc3339(), "beat_at": beat_at.to_rfc3339(),
            "state": state, "wish": self.wish, "load": load.to_json(),
        })
    }
}

/// The books of a shop's processes.
///
/// # Errors
/// Every method fails when the books cannot be reached; refusals are values.
#[async_trait]
pub trait Fleet: Send + Sync + 'static {
    /// Writes a beat down, for [`LAPSES_AFTER`]; what is wished of the process.
    async fn beat(&self, beat: &ProcessBeat) -> Result<Wish, FleetError>;

    /// Strikes out a process that ends.
    async fn leave(&self, name: &str) -> Result<(), FleetError>;

    /// All whose beat has not lapsed, by name.
    async fn processes(&self) -> Result<Vec<Process>, FleetError>;

    /// Writes down what a worker should do.
    async fn ask(&self, name: &str, ask: Ask) -> Result<Wished, FleetError>;
}

/// Books that are shared by everything in a process.
pub type SharedFleet = Arc<dyn Fleet>;

/// Tells a worker something, and writes down who did and why, before the worker hears of it: nothing is done to one of which
/// nobody can read.
///
/// # Errors
/// When the trail or the books cannot be reached; the worker may have been told all the same if it was the latter.
pub async fn steer(
    fleet: &dyn Fleet,
    access: &dyn Access,
    by: &By,
    name: &str,
    ask: Ask,
    why: Option<String>,
) -> Result<Wished, SteerError> {
    let processes = fleet.processes().await?;
    let known = processes.iter().find(|process| process.beat.name == name).map(|process| process.beat.kind);
    match (known, ask) {
        (None | Some(Kind::Web), _) => return Ok(Wished::Unknown),
        (Some(Kind::Shop), Ask::Drain) => return Ok(Wished::WholeShop),
        _ => {}
    }
    let why = why.filter(|why| !why.is_empty());
    let (what, why) = match ask {
        Ask::Drain => ("worker_drained", why),
        Ask::Concurrency(most) => {
            let most = most.map_or_else(|| "auto".to_owned(), |most| most.to_string());
            ("worker_concurrency", Some(why.map_or_else(|| most.clone(), |why| format!("{most}: {why}"))))
        }
    };
    access.trail(by, Deed { what, whom: Some(format!("worker:{name}")), why }).await?;
    Ok(fleet.ask(name, ask).await?)
}

/// Why a worker could not be told something.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SteerError {
    /// The books of the processes.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The trail.
    #[error(transparent)]
    Access(#[from] AccessError),
}
