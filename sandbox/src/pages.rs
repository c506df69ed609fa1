//! What a browser loads: the stand-in for Stripe.js, the frame with the card fields, and the 3-D Secure challenge.
//!
//! The files are in `static/`, compiled in. The card frame and the challenge may be framed by any page, which is what
//! they are for; the frame's own policy lets it load nothing from elsewhere.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use crate::{
    model::{PaymentIntent, Status},
    resources::{instrument::existing_method, payments},
    server::Sandbox,
    work::Work,
};

const SHIM: &str = include_str!("../static/stripe.js");
const CARD_PAGE: &str = include_str!("../static/card.html");
const CHALLENGE_PAGE: &str = include_str!("../static/challenge.html");
const DESK_PAGE: &str = include_str!("../static/desk.html");
const CHALLENGE_DONE_PAGE: &str = include_str!("../static/challenge-done.html");

/// Path, type and text of each file that a page loads.
const FILES: &[(&str, &str, &str)] = &[
    ("card.css", "text/css; charset=utf-8", include_str!("../static/card.css")),
    ("card.js", JAVASCRIPT, include_str!("../static/card.js")),
    ("desk.css", "text/css; charset=utf-8", include_str!("../static/desk.css")),
    ("desk.js", JAVASCRIPT, include_str!("../static/desk.js")),
    ("challenge.css", "text/css; charset=utf-8", include_str!("../static/challenge.css")),
    ("challenge.js", JAVASCRIPT, include_str!("../static/challenge.js")),
    ("hosted.css", "text/css; charset=utf-8", include_str!("../static/hosted.css")),
];

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing from elsewhere, nothing inline; any page may be the parent.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'";

pub(crate) fn router() -> Router<Arc<Sandbox>> {
    Router::new()
        .route("/v3", get(shim))
        .route("/v3/", get(shim))
        .route("/stripe.js", get(shim))
        .route("/_sandbox", get(|| async { page(DESK_PAGE.to_owned()) }))
        .route("/_sandbox/elements/card", get(|| async { page(CARD_PAGE.to_owned()) }))
        .route("/_sandbox/static/{file}", get(file))
        .route("/_sandbox/3ds/{intent}", get(challenge).post(answer_challenge))
        .route("/_sandbox/receipts/{charge}", get(receipt))
}

fn text(kind: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
        (HeaderName::from_static("access-control-allow-origin"), "*"),
    ];
    (headers, body).into_response()
}

pub(crate) fn page(html: String) -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::REFERRER_POLICY, "no-referrer")];
    (headers, text("text/html; charset=utf-8", html)).into_response()
}

async fn shim() -> Response {
    text(JAVASCRIPT, SHIM.to_owned())
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, body)) => text(kind, (*body).to_owned()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Deserialize)]
struct ChallengeQuery {
    client_secret: String,
    /// The PaymentMethod whose bank asks; left out, it is the one that was tried last.
    #[serde(default)]
    card: String,
    /// The page that shows the challenge in a frame and wants to hear that it was answered.
    #[serde(default)]
    origin: String,
}

#[derive(Deserialize)]
struct ChallengeAnswer {
    client_secret: String,
    #[serde(default)]
    card: String,
    #[serde(default)]
    origin: String,
    outcome: String,
}

/// The intent, for whoever knows its secret.
fn known(sandbox: &Sandbox, id: &str, secret: &str) -> Option<Arc<PaymentIntent>> {
    sandbox.store.payment_intents.get(id).filter(|intent| intent.client_secret == secret)
}

/// Whether the challenge about this card can still be answered: the bank waits, and no other card was tried since.
fn is_open(intent: &PaymentIntent, card: &str) -> bool {
    let is_its_card = card.is_empty() || intent.payment_method.as_deref() == Some(card);
    intent.status == Status::RequiresAction && is_its_card
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// An amount for people: minor units and a currency, with the decimal places that the currency has at Stripe.
///
/// ISK and UGX have no decimals in daily life, but two on the wire, which are always zero
/// (<https://docs.stripe.com/currencies#special-cases>).
pub(crate) fn shown(amount: i64, currency: &str) -> String {
    const WHOLE: &[&str] =
        &["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
    const THOUSANDTHS: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];
    const WHOLE_IN_HUNDREDTHS: &[&str] = &["isk", "ugx"];
    let name = currency.to_uppercase();
    if WHOLE.contains(&currency) {
        format!("{amount} {name}")
    } else if WHOLE_IN_HUNDREDTHS.contains(&currency) && amount % 100 == 0 {
        format!("{} {name}", amount / 100)
    } else if THOUSANDTHS.contains(&currency) {
        format!("{}.{:03} {name}", amount / 1_000, amount % 1_000)
    } else {
        format!("{}.{:02} {name}", amount / 100, amount % 100)
    }
}

async fn challenge(
    State(sandbox): State<Arc<Sandbox>>,
    Path(id): Path<String>,
    Query(query): Query<ChallengeQuery>,
) -> Response {
    let Some(intent) = known(&sandbox, &id, &query.client_secret) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !is_open(&intent, &query.card) {
        return done(&intent, &query.origin);
    }
    let card = intent.payment_method.as_deref().and_then(|id| sandbox.store.payment_methods.get(id));
    let last4 = card.map_or("", |card| card.card.test_card().last4());
    page(
        CHALLENGE_PAGE
            .replace("{{amount}}", &escape(&shown(intent.amount, &intent.currency)))
            .replace("{{last4}}", last4)
            .replace("{{card}}", &escape(intent.payment_method.as_deref().unwrap_or_default()))
            .replace("{{intent}}", &escape(&intent.id))
            .replace("{{secret}}", &escape(&intent.client_secret))
            .replace("{{origin}}", &escape(&query.origin)),
    )
}

async fn answer_challenge(
    State(sandbox): State<Arc<Sandbox>>,
    Path(id): Path<String>,
    Form(answer): Form<ChallengeAnswer>,
) -> Response {
    let Some(lock) = known(&sandbox, &id, &answer.client_secret).map(|intent| intent.lock()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(held) = sandbox.locks.hold(vec![lock]).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Some(intent) = known(&sandbox, &id, &answer.client_secret) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if is_open(&intent, &answer.card) {
        let mut work = Work::new(&sandbox.store, &sandbox.origin);
        settle(&mut work, &intent, answer.outcome == "complete");
        let Work { batch, events, .. } = work;
        if let Err(error) = sandbox.store.commit(batch).await {
            tracing::error!(%error, "the sandbox could not keep the outcome of a challenge");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        sandbox.webhooks.send(&sandbox, events);
    }
    drop(held);
    let Some(intent) = sandbox.store.payment_intents.get(&id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    done(&intent, &answer.origin)
}

/// The payment goes on, or is refused.
fn settle(work: &mut Work<'_>, intent: &PaymentIntent, passed: bool) {
    let Some(method) = intent.payment_method.as_deref().and_then(|id| existing_method(work, id).ok()) else {
        return;
    };
    if passed {
        let manner = payments::Manner { authenticated: true, no_challenge: false };
        // A decline is recorded in the intent, where the page finds it.
        let _declined = payments::confirm(work, intent.clone(), &method, manner);
    } else {
        payments::fail_challenge(work, intent.clone(), &method);
    }
}

/// Back to where the payer came from, or a page that says so to the one around it.
fn done(intent: &PaymentIntent, origin: &str) -> Response {
    let redirect = intent.return_url.as_deref().filter(|_| origin.is_empty());
    if let Some(Ok(mut url)) = redirect.map(url::Url::parse) {
        let status = if intent.status == Status::RequiresPaymentMethod { "failed" } else { intent.status.word() };
        url.query_pairs_mut()
            .append_pair("payment_intent", &intent.id)
            .append_pair("payment_intent_client_secret", &intent.client_secret)
            .append_pair("redirect_status", status);
        return Redirect::to(url.as_str()).into_response();
    }
    let sentence = match intent.status {
        Status::Succeeded | Status::RequiresCapture => "The payment went through.",
        Status::RequiresPaymentMethod => "The payment did not go through.",
        Status::RequiresAction => "This question is over: another card was tried.",
        _ => "The payment goes on.",
    };
    page(CHALLENGE_DONE_PAGE.replace("{{sentence}}", sentence).replace("{{origin}}", &escape(origin)))
}

/// What `receipt_url` leads to.
async fn receipt(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>) -> Response {
    match sandbox.store.charges.get(&id) {
        Some(charge) => text(
            "text/plain; charset=utf-8",
            format!("Receipt of the sandbox\n\n{}\n{}\n", charge.id, shown(charge.amount, &charge.currency)),
        ),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_that_the_currency_has_at_stripe() {
        assert_eq!(shown(2_500, "usd"), "25.00 USD");
        assert_eq!(shown(2_500, "jpy"), "2500 JPY");
        assert_eq!(shown(2_500, "kwd"), "2.500 KWD");
        assert_eq!(shown(250_000, "isk"), "2500 ISK");
        assert_eq!(shown(250_000, "ugx"), "2500 UGX");
    }
}
