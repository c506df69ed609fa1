//! The page on which a Checkout Session is paid, at an address of its own. It needs no script.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use crate::{
    cards,
    failure::Failure,
    form::Params,
    model::{Card, CheckoutSession, SessionStatus, Status},
    pages::{escape, page, shown},
    resources::{
        instrument::CardSource,
        sessions::{self, Payer},
    },
    server::Sandbox,
    work::Work,
};

const PAGE: &str = include_str!("../static/hosted.html");
const OVER_PAGE: &str = include_str!("../static/hosted-over.html");

pub(crate) fn router() -> Router<Arc<Sandbox>> {
    Router::new().route("/c/pay/{session}", get(show).post(pay))
}

/// What the page's form sends.
#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    email: String,
    #[serde(default)]
    number: String,
    /// `12 / 34`
    #[serde(default)]
    expiry: String,
    #[serde(default)]
    cvc: String,
    #[serde(default)]
    name: String,
}

async fn show(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>) -> Response {
    let Some(session) = sandbox.store.checkout_sessions.get(&id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // A payer who comes back from a challenge that they failed reads why.
    let intent = session.payment_intent.as_deref().and_then(|id| sandbox.store.payment_intents.get(id));
    let error = intent.and_then(|intent| intent.last_error.as_ref().map(|error| error.message.clone()));
    answer(&sandbox, &session, error.as_deref())
}

async fn pay(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>, Form(typed): Form<Typed>) -> Response {
    let Ok(held) = sandbox.locks.hold(vec![id.clone()]).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Some(session) = sandbox.store.checkout_sessions.get(&id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !session.is_open(sandbox.store.now()) {
        return answer(&sandbox, &session, None);
    }
    let card = match card(&typed) {
        Ok(card) => card,
        Err(failure) => return answer(&sandbox, &session, Some(&message(&failure))),
    };
    let latency = sandbox.latency.read().draw();
    tokio::time::sleep(latency).await;
    let text = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let payer = Payer { card, name: text(typed.name), email: text(typed.email) };
    let mut work = Work::new(&sandbox.store, &sandbox.origin);
    let paid = sessions::pay(&mut work, &session, payer);
    let Work { batch, events, .. } = work;
    if let Err(error) = sandbox.store.commit(batch).await {
        tracing::error!(%error, "the sandbox could not keep a payment");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    drop(held);
    sandbox.webhooks.send(&sandbox, events);
    match paid {
        Ok(intent) if intent.status == Status::RequiresAction => {
            Redirect::to(&intent.challenge_url("")).into_response()
        }
        Ok(_) => Redirect::to(&session.success()).into_response(),
        Err(failure) => answer(&sandbox, &session, Some(&message(&failure))),
    }
}

fn message(failure: &Failure) -> String {
    failure.body("")["error"]["message"].as_str().unwrap_or("Your card was declined.").to_owned()
}

fn card(typed: &Typed) -> Result<Card, Failure> {
    let (month, year) = typed.expiry.split_once('/').unwrap_or((&typed.expiry, ""));
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("number", typed.number.trim())
        .append_pair("exp_month", month.trim())
        .append_pair("exp_year", year.trim())
        .append_pair("cvc", typed.cvc.trim())
        .append_pair("name", typed.name.trim())
        .finish();
    match CardSource::take(Params::parse("", &form)?)? {
        CardSource::Typed(card) => Ok(card),
        // There is no such field in the form.
        CardSource::Token { .. } => Err(Failure::missing("number")),
    }
}

/// The page as it is for a Session: to be paid, or on to where it leads.
fn answer(sandbox: &Sandbox, session: &CheckoutSession, error: Option<&str>) -> Response {
    if session.status == SessionStatus::Complete {
        return Redirect::to(&session.success()).into_response();
    }
    let back = match &session.cancel_url {
        Some(url) => format!("<a class=\"back\" href=\"{}\">← Back to the shop</a>", escape(url)),
        None => String::new(),
    };
    if !session.is_open(sandbox.store.now()) {
        return page(OVER_PAGE.replace("{{back}}", &back));
    }
    let items: String = session
        .line_items
        .iter()
        .map(|item| {
            let total = shown(item.unit_amount.saturating_mul(item.quantity), &session.currency);
            format!("<li><span>{} × {}</span> <span>{total}</span></li>", item.quantity, escape(&item.name))
        })
        .collect();
    let error = error.map_or(String::new(), |error| format!("<p class=\"error\" role=\"alert\">{}</p>", escape(error)));
    let card = |name: &str| cards::by_name(name).map_or("", |card| card.number);
    page(
        PAGE.replace("{{amount}}", &escape(&shown(session.amount(), &session.currency)))
            .replace("{{items}}", &items)
            .replace("{{back}}", &back)
            .replace("{{error}}", &error)
            .replace("{{session}}", &escape(&session.id))
            .replace("{{email}}", &escape(session.customer_email.as_deref().unwrap_or_default()))
            .replace("{{fixed}}", if session.customer_email.is_some() { " readonly" } else { "" })
            .replace("{{pays}}", card("visa"))
            .replace("{{declines}}", card("chargeDeclined"))
            .replace("{{challenges}}", card("threeDSecure2Required")),
    )
}
