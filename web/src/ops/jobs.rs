//! `GET /ops/api/jobs`, `POST /ops/api/jobs/retry|discard`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use shared::steer::{JobDone, Jobs};

use super::{Fresh, fresh, orders};
use crate::app::App;
use crate::connection::Client;
use crate::input::Input;
use crate::operator::{May, See, Steer};
use crate::problem::Problem;

/// A dead job.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    queue: String,
    key: String,
    reason: Option<String>,
}

/// Every queue, and its dead jobs.
pub async fn list(State(app): State<App>, _: May<See>) -> Result<Fresh<Jobs>, Problem> {
    Ok(fresh(app.helm().jobs().await?))
}

/// Has a dead job tried again.
pub async fn retry(
    State(app): State<App>,
    May { operator, .. }: May<Steer>,
    client: Client,
    Input(Which { queue, key, reason }): Input<Which>,
) -> Result<StatusCode, Problem> {
    let orders = orders(&app, &operator, client, reason)?;
    answer(app.helm().retry_job(&queue, &key, &orders).await?)
}

/// Forgets a dead job.
pub async fn discard(
    State(app): State<App>,
    May { operator, .. }: May<Steer>,
    client: Client,
    Input(Which { queue, key, reason }): Input<Which>,
) -> Result<StatusCode, Problem> {
    let orders = orders(&app, &operator, client, reason)?;
    answer(app.helm().discard_job(&queue, &key, &orders).await?)
}

fn answer(done: JobDone) -> Result<StatusCode, Problem> {
    match done {
        JobDone::Yes => Ok(StatusCode::NO_CONTENT),
        JobDone::Unknown | JobDone::NoQueue => Err(Problem::not_found()),
    }
}
