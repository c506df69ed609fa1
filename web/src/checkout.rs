//! `POST /checkout`: a purchase that is paid on Stripe's own page, and the address of that page.
//!
//! It is accepted as every purchase is, as one more kind of attempt; a worker makes the page. This call waits for the
//! page's address for a moment, by listening to the customer's room from before the job is pushed. Whoever waited in
//! vain asks again with the same order, and is answered with the same page.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use shared::order::{Order, State as OrderState, hosted};
use uuid::Uuid;

use crate::app::App;
use crate::charges::{Purchase, accept};
use crate::connection::Client;
use crate::hub::{Connection, Hub};
use crate::input::Input;
use crate::orders;
use crate::problem::Problem;
use crate::session::Customer;

/// How long the call waits for the page's address; an accept may have taken five seconds before, and a request is
/// answered within fifteen.
const WAIT: Duration = Duration::from_secs(8);

/// Makes a page for a purchase: 201 with its address; 200 without one, when there is nothing more to pay.
pub async fn create(
    State(app): State<App>,
    customer: Customer,
    client: Client,
    headers: HeaderMap,
    Input(purchase): Input<Purchase>,
) -> Result<Response, Problem> {
    let origin = app.policy.origin(&headers);
    let origin = origin.ok_or_else(|| Problem::malformed("The request does not say which host it is for."))?;
    // The room first: nothing that a worker tells from now on is missed.
    let room = Hub::join(&app, customer.id, Vec::new()).map_err(|_| Problem::slow_down(1_000))?;
    let order = accept(&app, &purchase, &hosted::wish(&origin), customer.id, client).await?;
    let order = match page_of(&app, room, order).await {
        Some(order) => order,
        // The message may have been lost on its way.
        None => app.ledger.order(purchase.order()).await?.ok_or_else(Problem::not_found)?,
    };
    answer(&app, &order)
}

/// The order as soon as it waits no longer for a worker; `None` when that takes too long.
async fn page_of(app: &App, mut room: Connection, order: Order) -> Option<Order> {
    if !order.state.is_in_queue() {
        return Some(order);
    }
    let moved = async {
        while let Some(frame) = room.frames.recv().await {
            if tells_of(&frame, order.id) {
                return true;
            }
        }
        false
    };
    if app.env.timeout(WAIT, moved).await != Some(true) {
        return None;
    }
    app.ledger.order(order.id).await.ok().flatten()
}

#[derive(Deserialize)]
struct Frame {
    order: Option<Told>,
}

#[derive(Deserialize)]
struct Told {
    id: Uuid,
    state: String,
}

/// Whether a frame says that an order is no worker's turn any more.
fn tells_of(frame: &str, order: Uuid) -> bool {
    let told = serde_json::from_str::<Frame>(frame).ok().and_then(|frame| frame.order);
    told.is_some_and(|told| told.id == order && !told.state.parse::<OrderState>().is_ok_and(OrderState::is_in_queue))
}

fn answer(app: &App, order: &Order) -> Result<Response, Problem> {
    let status = match (&order.session_url, order.state) {
        (Some(_), _) => StatusCode::CREATED,
        (None, OrderState::Paid) => StatusCode::OK,
        (None, OrderState::Expired | OrderState::Canceled | OrderState::Closing) => return Err(Problem::hold_expired()),
        (None, OrderState::Review) => {
            let detail = "Something about this order has to be looked at by a person; the tickets are kept for you.";
            return Err(Problem::conflict("order_in_review", detail));
        }
        // Stripe has not answered yet, or made no page: the same call again is the next try.
        (None, _) => return Err(Problem::unavailable(&format!("there is no payment page for order {}", order.id))),
    };
    let body = json!({ "order": orders::view(app, order), "url": order.session_url });
    Ok((status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_orders_own_frames_end_the_wait_and_only_when_a_worker_is_done() {
        let order = Uuid::from_u128(7);
        let frame = |id: Uuid, state: &str| json!({"type": "order", "order": {"id": id, "state": state}}).to_string();
        assert!(tells_of(&frame(order, "requires_action"), order));
        assert!(tells_of(&frame(order, "refunded"), order), "a word that is for display only");
        assert!(!tells_of(&frame(order, "charging"), order));
        assert!(!tells_of(&frame(Uuid::nil(), "requires_action"), order));
        assert!(!tells_of(r#"{"type":"welcome","orders":[]}"#, order) && !tells_of("{", order));
    }
}
