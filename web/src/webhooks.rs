//! `POST /webhooks/stripe`: what Stripe tells by itself. Believed by its signature, stored raw, answered; a worker does
//! the rest.
//!
//! An event is answered 2xx only once it is in the inbox, because Stripe does not send again what was answered so. A
//! push that fails is left to the sweep.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use shared::config::Secret;
use shared::guards::Guard;
use shared::jobs::Webhook;
use shared::ledger::InboxEvent;
use shared::queue::NewJob;
use shared::stripe::webhook::{Distrust, Event, verify};

use crate::app::{ACCEPT_TIMEOUT, App};
use crate::problem::Problem;

/// The largest event that is read, in bytes: several times Stripe's largest.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Whom to believe about payments.
pub struct Door {
    /// All of them are accepted: there are two while one is being rotated.
    secrets: Vec<Secret>,
    /// Whether events have to be about real money.
    live: bool,
    told_that_it_is_shut: AtomicBool,
}

impl Door {
    /// A door that opens to these secrets; without any it stays shut. `live` has to fit to the API keys.
    #[must_use]
    pub fn new(secrets: Vec<Secret>, live: bool) -> Self {
        Self { secrets, live, told_that_it_is_shut: AtomicBool::new(false) }
    }

    /// Says once that events come and none can be believed.
    fn tell_that_it_is_shut(&self) {
        if !self.told_that_it_is_shut.swap(true, Ordering::Relaxed) {
            tracing::error!("webhook events come, and STRIPE_WEBHOOK_SECRET is not set: all of them are refused");
        }
    }
}

/// Takes an event.
pub async fn receive(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let taken = take(&app, &headers, body).await;
    let result = taken.as_ref().map_or_else(Problem::code, |is_new| if *is_new { "stored" } else { "duplicate" });
    metrics::counter!("webhook_events_total", "result" => result).increment(1);
    taken.map(|_| Json(json!({"received": true})))
}

/// Whether the event was new.
async fn take(app: &App, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<bool, Problem> {
    if app.webhooks.secrets.is_empty() {
        app.webhooks.tell_that_it_is_shut();
        return Err(Problem::no_webhook_secret());
    }
    let body = body.map_err(|rejection| match rejection.status().as_u16() {
        413 => Problem::too_large(),
        _ => Problem::malformed("The body could not be read."),
    })?;
    let event = believed(app, headers, &body)?;
    let body = String::from_utf8(body.into()).map_err(|_| Problem::malformed("The body is not UTF-8."))?;
    let is_new = store(app, InboxEvent { id: event.id.clone(), received_at: app.ledger.now(), body }).await?;
    if is_new || !is_handled(app, &event.id).await? {
        push(app, &event.id).await;
    }
    Ok(is_new)
}

/// An event that was signed with one of our secrets, and is about our kind of money.
fn believed(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Event, Problem> {
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let secrets = app.webhooks.secrets.iter().map(Secret::expose);
    verify(secrets, header, body, app.ledger.now()).map_err(|distrust| match distrust {
        Distrust::Unsigned => Problem::bad_event("no_signature", "There is no Stripe-Signature to check."),
        Distrust::Forged => {
            tracing::warn!("a webhook event was not signed with any of our secrets");
            Problem::bad_event("bad_signature", "The signature was not made with a secret of this endpoint.")
        }
        Distrust::Stale => {
            tracing::warn!("a webhook event was signed more than five minutes from now: check the clocks");
            Problem::bad_event("stale_signature", "The signature is too old, or of the future.")
        }
    })?;
    let event = Event::read(body).ok_or_else(|| Problem::malformed("The body is not an event of Stripe's."))?;
    if Guard::Livemode.refuses(event.livemode != app.webhooks.live) {
        tracing::warn!(event = event.id, livemode = event.livemode, "a webhook event of the other mode was refused");
        return Err(Problem::bad_event("wrong_mode", "The event's livemode does not fit to the keys of this shop."));
    }
    Ok(event)
}

/// Whether it was new. Nothing is known of a write without an answer: Stripe sends again.
async fn store(app: &App, event: InboxEvent) -> Result<bool, Problem> {
    let stored = app.env.timeout(ACCEPT_TIMEOUT, app.ledger.store_events(vec![event])).await;
    let stored = stored.ok_or_else(|| Problem::unavailable(&"the ledger took too long to store an event"))??;
    Ok(stored == [true])
}

async fn is_handled(app: &App, event: &str) -> Result<bool, Problem> {
    Ok(app.ledger.event(event).await?.is_some_and(|stored| stored.handled))
}

async fn push(app: &App, event: &str) {
    let pushed = match NewJob::of(&Webhook::of(event)) {
        Ok(job) => app.queue.push(vec![job]).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = pushed {
        tracing::warn!(event, %error, "left to the sweep to queue");
    }
}
