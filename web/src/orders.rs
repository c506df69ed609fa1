//! `GET /api/orders`, `GET /api/orders/{order}`: a customer's own orders, for a client without a socket.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use shared::guards::Guard;
use shared::message::OrderView;
use shared::order::Order;
use uuid::Uuid;

use crate::app::App;
use crate::problem::Problem;
use crate::session::Customer;

/// The customer's orders, the newest first.
pub async fn list(State(app): State<App>, customer: Customer) -> Result<Response, Problem> {
    let orders = app.orders.of(customer.id).await?.unwrap_or_default();
    let views: Vec<_> = orders.iter().map(|order| view(&app, order)).collect();
    Ok(private(json!({ "orders": views })))
}

/// One of the customer's orders; somebody else's is not there.
pub async fn show(State(app): State<App>, customer: Customer, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let is_theirs = |order: &Order| Guard::OrderOfCustomer.holds(order.customer == customer.id);
    let order = app.ledger.order(id).await?.filter(is_theirs);
    let order = order.ok_or_else(Problem::not_found)?;
    Ok(private(json!(view(&app, &order))))
}

/// An order as its shopper sees it now.
#[must_use]
pub fn view<'a>(app: &App, order: &'a Order) -> OrderView<'a> {
    OrderView::new(order, app.ledger.now(), app.progress.place_of(order))
}

fn private(body: serde_json::Value) -> Response {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}
