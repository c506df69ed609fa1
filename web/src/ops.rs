//! What operators do by HTTP: a call each for what `stampede` does as a command. Both ask the same [`Helm`].
//!
//! Every deed may come with a `reason`, and leaves its line in the trail. An answer is of the moment: it is kept by nobody.

pub mod jobs;
pub mod orders;
pub mod sales;
pub mod trail;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use shared::access::By;
use shared::steer::{Helm, Orders, SteerError};

use crate::app::App;
use crate::connection::Client;
use crate::operator::Operator;
use crate::problem::Problem;

impl App {
    /// What steers, with all that this process can reach.
    #[must_use]
    pub fn helm(&self) -> Helm {
        Helm {
            env: self.env.clone(),
            ledger: self.ledger.clone(),
            stock: Some(self.stock.clone()),
            queue: Some(self.queue.clone()),
            rooms: Some(self.rooms.clone()),
            access: self.access.clone(),
        }
    }
}

impl From<SteerError> for Problem {
    fn from(error: SteerError) -> Self {
        Self::unavailable(&error)
    }
}

/// A body with nothing but a reason.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    reason: Option<String>,
}

/// Whose orders these are.
fn orders(app: &App, operator: &Operator, client: Client, reason: Option<String>) -> Result<Orders, Problem> {
    let by: By = operator.from(app.limits.address(client));
    Orders::new(by, reason).map_err(|_| Problem::invalid("reason", "A reason is one line of 500 characters at most."))
}

type Fresh<T> = ([(HeaderName, HeaderValue); 1], Json<T>);

/// An answer that nobody keeps.
fn fresh<T: Serialize>(body: T) -> Fresh<T> {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body))
}
