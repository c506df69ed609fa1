//! The exact request of an attempt, whichever way it pays: by a payment token, or on Stripe's own page.

use super::request::{ChargeRequest, prepare};
use super::{StoredRequest, session};
use crate::order::{Attempt, Order};
use crate::sale::Sale;

/// The exact request of an attempt; runs inside the transaction that claims it.
///
/// # Errors
/// Why there is none.
pub fn request_of(order: &Order, attempt: &Attempt, sale: Option<&Sale>) -> Result<StoredRequest, String> {
    if let Some(origin) = attempt.return_to() {
        let now = attempt.first_sent_at.unwrap_or(order.updated_at);
        return Ok(session::prepare(order, attempt.number, origin, sale, now));
    }
    prepare(&ChargeRequest {
        order: order.id,
        attempt: attempt.number,
        token: &attempt.token,
        amount: order.amount,
        currency: order.currency.as_str(),
        email: &order.email,
        description: &format!("Order {}", order.id),
        payment_intent: order.payment_intent.as_deref(),
        return_url: None,
    })
    .map_err(|error| error.to_string())
}
