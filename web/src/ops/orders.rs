//! `GET /ops/api/orders/{order}`, `GET /ops/api/reviews`, `POST /ops/api/orders/{order}/review`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use shared::access::Permission;
use shared::guards::Guard;
use shared::jobs::Decision;
use shared::steer::{Decided, OrderRow, Story};
use uuid::Uuid;

use super::{Fresh, fresh, orders};
use crate::app::App;
use crate::connection::Client;
use crate::input::Input;
use crate::operator::{May, SeeOrders, Steer};
use crate::problem::Problem;

/// Orders that wait for a person.
#[derive(Debug, Serialize)]
pub struct Reviews {
    /// The longest first.
    orders: Vec<OrderRow>,
}

/// What a person has decided.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    decision: Decision,
    reason: Option<String>,
}

/// What became of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    order: OrderRow,
    decision: Decision,
    /// A worker carries it out, and asks Stripe.
    queued: bool,
}

/// An order, its buyer, and all that happened to it.
pub async fn show(State(app): State<App>, _: May<SeeOrders>, Path(order): Path<Uuid>) -> Result<Fresh<Story>, Problem> {
    app.helm().story(order).await?.map(fresh).ok_or_else(Problem::not_found)
}

/// Orders that wait for a person.
pub async fn reviews(State(app): State<App>, _: May<SeeOrders>) -> Result<Fresh<Reviews>, Problem> {
    Ok(fresh(Reviews { orders: app.helm().reviews().await? }))
}

type Accepted = (StatusCode, [(HeaderName, HeaderValue); 1], Json<Outcome>);

/// Does what a person has decided about an order in review. Who has money given back needs the permission for that, too.
pub async fn decide(
    State(app): State<App>,
    May { operator, .. }: May<Steer>,
    client: Client,
    Path(order): Path<Uuid>,
    Input(Verdict { decision, reason }): Input<Verdict>,
) -> Result<Accepted, Problem> {
    let may_refund = operator.permissions.has(Permission::Refund);
    if decision == Decision::Refund && Guard::Permitted.refuses(!may_refund) {
        return Err(Problem::not_allowed());
    }
    let orders = orders(&app, &operator, client, reason)?;
    let (order, queued) = match app.helm().decide(order, decision, &orders).await? {
        Decided::Done(order) => (order, false),
        Decided::Queued(order) => (order, true),
        Decided::Unknown | Decided::NoQueue => return Err(Problem::not_found()),
        Decided::NotInReview(order) => {
            let detail = format!("This order is {}; it waits for nobody's decision.", order.state);
            return Err(Problem::conflict("not_in_review", detail));
        }
        Decided::MoneyTaken(_) => {
            let detail = "Stripe has taken another sum than the order's; decide whether it goes back.";
            return Err(Problem::conflict("money_taken", detail));
        }
    };
    let outcome = Outcome { order: OrderRow::new(&order), decision, queued };
    Ok((StatusCode::ACCEPTED, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(outcome)))
}
