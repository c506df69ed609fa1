//! The processes of the shop, for operators: who runs and how each fares, how many workers are enough, and what a worker is
//! told. A worker hears of it within a second.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::fleet::{self, Ask, MOST_CONCURRENCY, Process, Wished};
use shared::ledger::records::is_note;

use crate::app::App;
use crate::connection::Client;
use crate::input::Input;
use crate::operator::{May, Operator, See, Steer};
use crate::problem::Problem;

type Told = ([(HeaderName, HeaderValue); 1], Json<Value>);

fn told(body: Value) -> Told {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body))
}

/// `GET /ops/api/processes`: who runs, and how many workers are enough.
pub async fn list(State(app): State<App>, _: May<See>) -> Result<Told, Problem> {
    let read = app.outlook.read(&*app.queue).await;
    let (processes, recommended) = read.map_err(|error| Problem::unavailable(&error))?;
    let processes: Vec<Value> = processes.iter().map(Process::to_json).collect();
    Ok(told(json!({ "processes": processes, "recommended_workers": recommended.to_json() })))
}

/// How many charges at the same time. `null` has to be said: it is not the same as nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    #[serde(deserialize_with = "Option::deserialize")]
    concurrency: Option<u32>,
    reason: Option<String>,
}

/// Why a worker is drained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    reason: Option<String>,
}

/// `POST /ops/api/workers/{name}/concurrency`
pub async fn concurrency(
    State(app): State<App>,
    May { operator, .. }: May<Steer>,
    client: Client,
    Path(name): Path<String>,
    Input(body): Input<Concurrency>,
) -> Result<Told, Problem> {
    if body.concurrency.is_some_and(|most| !(1..=MOST_CONCURRENCY).contains(&most)) {
        let detail = format!("A concurrency is a number from 1 to {MOST_CONCURRENCY}, or null.");
        return Err(Problem::invalid("concurrency", detail));
    }
    steer(&app, &operator, client, &name, Ask::Concurrency(body.concurrency), body.reason).await
}

/// `POST /ops/api/workers/{name}/drain`
pub async fn drain(
    State(app): State<App>,
    May { operator, .. }: May<Steer>,
    client: Client,
    Path(name): Path<String>,
    Input(body): Input<Drain>,
) -> Result<Told, Problem> {
    steer(&app, &operator, client, &name, Ask::Drain, body.reason).await
}

async fn steer(
    app: &App,
    operator: &Operator,
    client: Client,
    name: &str,
    ask: Ask,
    reason: Option<String>,
) -> Result<Told, Problem> {
    if reason.as_deref().is_some_and(|reason| !is_note(reason)) {
        return Err(Problem::invalid("reason", "A reason is one line of 500 characters at most."));
    }
    let (fleet, by) = (&*app.outlook.fleet, operator.from(app.limits.address(client)));
    let wished = fleet::steer(fleet, &*app.access, &by, name, ask, reason).await;
    match wished.map_err(|error| Problem::unavailable(&error))? {
        Wished::Unknown => Err(Problem::not_found()),
        Wished::WholeShop => {
            Err(Problem::conflict("whole_shop", "This process is the whole shop. End it where it was started."))
        }
        Wished::Yes => {
            tracing::info!(worker = name, ?ask, by = by.who, "a worker is told something");
            Ok(told(json!({ "worker": name, "asked": ask.to_json() })))
        }
    }
}
