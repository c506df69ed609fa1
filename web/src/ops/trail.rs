//! `GET /ops/api/trail`: what operators and keys did.
//!
//! Whoever may see the shop sees what was done to it, by whom, why and with which result. Who came and went, who may do
//! what, and from which addresses, is for those who manage operators.

use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use shared::access::{Line, Look, Permission};

use super::{Fresh, fresh};
use crate::app::App;
use crate::operator::{May, See};
use crate::problem::Problem;

/// Lines of one answer.
const LINES: u32 = 100;

/// Where to go on.
#[derive(Debug, Deserialize)]
pub struct Page {
    before: Option<i64>,
}

/// Lines of the trail.
#[derive(Debug, Serialize)]
pub struct Trail {
    /// The newest first.
    trail: Vec<Told>,
    /// What to ask for as `before` to read on; none when there is nothing older.
    next: Option<i64>,
}

/// A line.
#[derive(Debug, Serialize)]
struct Told {
    number: i64,
    at: String,
    what: String,
    by: String,
    whom: Option<String>,
    note: Option<String>,
    why: Option<String>,
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

/// Reads the trail, a page at a time.
pub async fn list(
    State(app): State<App>,
    May { operator, .. }: May<See>,
    Query(page): Query<Page>,
) -> Result<Fresh<Trail>, Problem> {
    let manages = operator.permissions.has(Permission::Manage);
    let lines = app.access.log(Look { most: LINES, before: page.before, deeds_only: !manages }).await?;
    let next = lines.last().filter(|_| lines.len() == LINES as usize).map(|line| line.number);
    let told = |line: Line| Told {
        number: line.number,
        at: line.at.to_rfc3339(),
        what: line.what,
        by: line.who,
        whom: line.whom,
        note: line.note,
        why: line.why,
        result: line.result,
        address: line.address.filter(|_| manages),
    };
    Ok(fresh(Trail { trail: lines.into_iter().map(told).collect(), next }))
}
