//! `POST /api/orders/{order}/refresh`: the buyer is done with the bank's challenge (3-D Secure) or with Stripe's own page
//! (hosted Checkout), or gives it up.
//!
//! What a page says here is a hint. A job asks Stripe what the payment has become and settles that; the page hears of it
//! in its room like of everything else. The call is for shops whose webhooks do not arrive, and for buyers who would
//! rather pay with another card.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shared::guards::Guard;
use shared::jobs::{Authentication, Cause};
use shared::order::{Order, State as OrderState};
use shared::queue::{NewJob, Pushed};
use uuid::Uuid;

use crate::app::App;
use crate::input::Input;
use crate::orders;
use crate::problem::Problem;
use crate::session::Customer;

/// The body of the call; `{}` is enough.
#[derive(Deserialize)]
pub struct Body {
    /// Cancel what is still open, so that another card can be tried.
    #[serde(default)]
    give_up: bool,
}

/// Has the order's payment looked up: 202 when a job will ask Stripe, 200 when there is nothing to ask.
pub async fn refresh(
    State(app): State<App>,
    customer: Customer,
    Path(id): Path<Uuid>,
    Input(body): Input<Body>,
) -> Result<Response, Problem> {
    let is_theirs = |order: &Order| Guard::OrderOfCustomer.holds(order.customer == customer.id);
    let order = app.ledger.order(id).await?.filter(is_theirs);
    let order = order.ok_or_else(Problem::not_found)?;
    if order.state != OrderState::RequiresAction {
        return Ok((StatusCode::OK, Json(orders::view(&app, &order))).into_response());
    }
    // After the look at the ledger: what is remembered is bounded by orders that exist.
    app.limits.look_up(order.id).await?;
    let cause = if body.give_up { Cause::GivenUp } else { Cause::Asked };
    let job = NewJob::of(&Authentication::of(&order, cause)).map_err(|error| Problem::unavailable(&error))?;
    let pushed = app.queue.push(vec![job]).await.map_err(|error| Problem::unavailable(&error))?;
    if !pushed.iter().all(|pushed| matches!(pushed, Pushed::New | Pushed::Duplicate)) {
        return Err(Problem::unavailable(&"the queue is full"));
    }
    Ok((StatusCode::ACCEPTED, Json(orders::view(&app, &order))).into_response())
}
