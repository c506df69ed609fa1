//! `POST /api/orders/{order}/refunds`: an operator gives money back, all of it or a part.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use shared::ledger::{RefundAsked, RefundRequest, RefundWhat, records};
use shared::message::RefundView;
use uuid::Uuid;

use crate::app::App;
use crate::charges::tell_room;
use crate::input::Input;
use crate::operator::{May, Refund};
use crate::orders;
use crate::problem::Problem;

/// What is sent. A field that nobody knows is refused: a sum that is misspelt would give back everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    request: Uuid,
    amount: Option<i64>,
    tickets: Option<Vec<Uuid>>,
    reason: Option<String>,
    #[serde(default)]
    restock: bool,
}

/// Owes a buyer money; a worker sends it.
pub async fn create(
    State(app): State<App>,
    May { operator, .. }: May<Refund>,
    Path(order): Path<Uuid>,
    Input(body): Input<Body>,
) -> Result<Response, Problem> {
    let asked = app.ledger.request_refund(wish(order, body, operator.by)?).await?;
    let (order, refund) = match asked {
        RefundAsked::New { order, refund } => {
            tell_room(&app, &order).await;
            (order, refund)
        }
        RefundAsked::Replay { order, refund } => (order, refund),
        refused => return Err(refusal(&refused)),
    };
    let body = json!({ "refund": RefundView::new(&refund), "order": orders::view(&app, &order) });
    Ok((StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

fn wish(order: Uuid, body: Body, by: String) -> Result<RefundRequest, Problem> {
    let what = match (body.amount, body.tickets) {
        (None, None) => RefundWhat::All,
        (Some(amount), None) => RefundWhat::Amount(amount),
        (None, Some(tickets)) => RefundWhat::Tickets(tickets),
        (Some(_), Some(_)) => return Err(Problem::invalid("amount", "Give an amount, or tickets, or neither.")),
    };
    if body.request.is_nil() {
        return Err(Problem::invalid("request", "The request's id is made by whoever asks, and is not nil."));
    }
    if body.reason.as_deref().is_some_and(|reason| !records::is_note(reason)) {
        return Err(Problem::invalid("reason", "A reason is one line of 500 characters at most."));
    }
    let note = body.reason.filter(|reason| !reason.is_empty());
    Ok(RefundRequest { request: body.request, order, what, note, restock: body.restock, by })
}

fn refusal(refused: &RefundAsked) -> Problem {
    match refused {
        RefundAsked::New { .. } | RefundAsked::Replay { .. } | RefundAsked::Unknown => Problem::not_found(),
        RefundAsked::Conflict => {
            Problem::conflict("refund_conflict", "This request was made before, for something else.")
        }
        RefundAsked::NotPaid(order) => {
            Problem::conflict("not_paid", format!("This order is {}; there is nothing to give back.", order.state))
        }
        RefundAsked::NotPositive => Problem::invalid("amount", "A refund is of one minor unit at least."),
        RefundAsked::TooMuch { left } => Problem::conflict(
            "refund_too_large",
            format!("Of what was paid, {left} (in minor units) can be given back."),
        ),
        RefundAsked::UnknownTicket(id) => Problem::invalid("tickets", format!("The order has no ticket {id}.")),
        RefundAsked::VoidTicket(id) => {
            Problem::conflict("ticket_void", format!("The ticket {id} was refunded before."))
        }
    }
}
