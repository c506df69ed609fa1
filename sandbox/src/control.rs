//! Calls that Stripe does not have: counters, the request log, and what a test wants to go wrong.
//!
//! They need no key. The sandbox takes test cards only, so that there is nothing behind them to protect but a test.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    faults::Fault,
    model::Charge,
    resources::{disputes, refunds, sessions},
    server::Sandbox,
    work::Work,
};

/// Lines of the log in one answer.
const LOG_LINES_MAX: usize = 10_000;

pub(crate) fn router() -> Router<Arc<Sandbox>> {
    Router::new()
        .route("/_sandbox/stats", get(stats))
        .route("/_sandbox/keys", get(key))
        .route("/_sandbox/log", get(log))
        .route("/_sandbox/control", get(settings).post(control))
        .route("/_sandbox/reset", post(reset))
        .route("/_sandbox/health", get(|| async { Json(json!({"status": "ok"})) }))
}

/// The counters, and how many orders (by `metadata[order]`) hold more than one charge that is not refunded.
async fn stats(State(sandbox): State<Arc<Sandbox>>) -> Json<Value> {
    let charges = sandbox.store.charges.all();
    let succeeded = charges.iter().filter(|charge| charge.succeeded()).count();
    let mut per_order: HashMap<&str, u32> = HashMap::new();
    for charge in charges.iter().filter(|charge| charge.succeeded() && !charge.refunded()) {
        if let Some(order) = charge.metadata.get("order") {
            *per_order.entry(order).or_default() += 1;
        }
    }
    Json(json!({
        "charges_succeeded": succeeded,
        "charges_declined": charges.len() - succeeded,
        "refunds": sandbox.store.refunds.len(),
        "amount_refunded": charges.iter().map(|charge| charge.amount_refunded).sum::<i64>(),
        "disputes": sandbox.store.disputes.len(),
        "payment_intents": sandbox.store.payment_intents.len(),
        "idempotent_replays": sandbox.keys.replays(),
        "throttled": sandbox.budget.throttled(),
        "orders_charged_more_than_once": per_order.values().filter(|count| **count > 1).count(),
        "orders_charged": per_order.len(),
        "requests": sandbox.log.requests(),
        "answers_held": sandbox.faults.held(),
        "at_the_bank": sandbox.at_bank.now(),
        "most_at_the_bank": sandbox.at_bank.most(),
        "webhooks_astray": sandbox.webhooks.astray.load(Ordering::Relaxed),
        "webhooks_delivered": sandbox.webhooks.delivered.load(Ordering::Relaxed),
        "webhook_tries_failed": sandbox.webhooks.failed_tries.load(Ordering::Relaxed),
    }))
}

#[derive(Deserialize)]
struct KeyQuery {
    key: String,
}

/// `?key=…`: what happened under one idempotency key.
async fn key(State(sandbox): State<Arc<Sandbox>>, Query(query): Query<KeyQuery>) -> Response {
    match sandbox.keys.counts(&query.key) {
        Some(counts) => Json(counts).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "no request with this idempotency key was seen"),
    }
}

#[derive(Deserialize)]
struct LogQuery {
    limit: Option<usize>,
}

/// `?limit=…`: the last requests, newest last.
async fn log(State(sandbox): State<Arc<Sandbox>>, Query(query): Query<LogQuery>) -> Json<Value> {
    let limit = query.limit.unwrap_or(100).min(LOG_LINES_MAX);
    Json(json!({"requests": sandbox.log.last(limit)}))
}

/// What can be set; whatever is absent stays as it is.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// As in `SANDBOX_LATENCY`.
    latency: Option<String>,
    /// Requests per endpoint and second; 0: any number.
    rate_limit: Option<u32>,
    /// Faults to add.
    faults: Vec<Fault>,
    /// Counts anew how many requests were at a bank at the same time.
    forget_most: bool,
    /// Removes the faults that wait, before others are added.
    clear_faults: bool,
    /// Lets held answers go.
    release: bool,
    webhooks: Option<WebhookSettings>,
    /// Gives refunds that are pending, or about to fail, their last state.
    settle_refunds: bool,
    /// `true`: new refunds are pending, for want of money. `false`: there is money, and those that wait are done.
    empty_balance: Option<bool>,
    /// Refunds that are pending fail.
    fail_refunds: bool,
    /// Moves the sandbox's own clock.
    forward_seconds: u32,
    /// A charge whose payer disputes it.
    open_dispute: Option<String>,
    close_dispute: Option<CloseDispute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseDispute {
    charge: String,
    /// The bank decides in the merchant's favour.
    won: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct WebhookSettings {
    /// The next events that are not delivered.
    drop: Option<u32>,
    /// The next events that are delivered twice.
    duplicate: Option<u32>,
    /// `true` holds events back; `false` releases them, newest first.
    hold: Option<bool>,
    /// Every delivery begins so much later.
    delay_ms: Option<u64>,
}

async fn settings(State(sandbox): State<Arc<Sandbox>>) -> Json<Value> {
    Json(json!({"faults": sandbox.faults.waiting(), "answers_held": sandbox.faults.held()}))
}

async fn control(State(sandbox): State<Arc<Sandbox>>, body: String) -> Response {
    let settings: Settings = match serde_json::from_str(&body) {
        Ok(settings) => settings,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match apply(&sandbox, settings).await {
        Ok(()) => Json(json!({"ok": true})).into_response(),
        Err(message) => refuse(StatusCode::BAD_REQUEST, &message),
    }
}

async fn apply(sandbox: &Arc<Sandbox>, settings: Settings) -> Result<(), String> {
    if let Some(text) = settings.latency {
        let latency = text.parse().map_err(|error: crate::LatencyError| error.to_string())?;
        *sandbox.latency.write() = latency;
    }
    if let Some(limit) = settings.rate_limit {
        sandbox.budget.set(Some(limit));
    }
    if settings.forget_most {
        sandbox.at_bank.forget();
    }
    if settings.clear_faults {
        sandbox.faults.clear();
    }
    for fault in settings.faults {
        if !sandbox.faults.add(fault) {
            return Err("too many faults wait already".to_owned());
        }
    }
    if settings.release {
        sandbox.faults.release();
    }
    if let Some(webhooks) = settings.webhooks {
        if let Some(count) = webhooks.drop {
            sandbox.webhooks.drop_next.store(count, Ordering::Relaxed);
        }
        if let Some(count) = webhooks.duplicate {
            sandbox.webhooks.duplicate_next.store(count, Ordering::Relaxed);
        }
        if let Some(delay) = webhooks.delay_ms {
            sandbox.webhooks.delay_ms.store(delay, Ordering::Relaxed);
        }
        if let Some(hold) = webhooks.hold {
            sandbox.webhooks.hold(sandbox, hold);
        }
    }
    if settings.forward_seconds > 0 {
        sandbox.store.forward(settings.forward_seconds);
        sessions::expire_due(sandbox).await.map_err(|error| error.to_string())?;
    }
    if let Some(empty) = settings.empty_balance {
        sandbox.store.empty_balance.store(empty, Ordering::Relaxed);
    }
    if settings.settle_refunds || settings.fail_refunds || settings.empty_balance == Some(false) {
        settle_refunds(sandbox, settings.fail_refunds).await.map_err(|error| error.to_string())?;
    }
    if let Some(charge) = settings.open_dispute {
        dispute(sandbox, &charge, disputes::open).await?;
    }
    if let Some(CloseDispute { charge, won }) = settings.close_dispute {
        dispute(sandbox, &charge, |work, charge| disputes::close(work, charge, won)).await?;
    }
    Ok(())
}

/// Does something about a charge's dispute, under the lock of its payment.
async fn dispute(
    sandbox: &Arc<Sandbox>,
    id: &str,
    act: impl FnOnce(&mut Work<'_>, &Charge) -> Result<(), String>,
) -> Result<(), String> {
    let charge = sandbox.store.charges.get(id).ok_or_else(|| format!("there is no charge '{id}'"))?;
    let lock = charge.payment_intent.clone().unwrap_or_else(|| charge.id.clone());
    let held = sandbox.locks.hold(vec![lock]).await;
    // As it is now that nobody else works on it.
    let charge = sandbox.store.charges.get(id).unwrap_or(charge);
    let mut work = Work::new(&sandbox.store, &sandbox.origin);
    act(&mut work, &charge)?;
    let Work { batch, events, .. } = work;
    sandbox.store.commit(batch).await.map_err(|error| error.to_string())?;
    drop(held);
    sandbox.webhooks.send(sandbox, events);
    Ok(())
}

async fn settle_refunds(sandbox: &Arc<Sandbox>, fail: bool) -> anyhow::Result<()> {
    let open = sandbox.store.refunds.all().into_iter().filter(|refund| refund.settles_to.is_some());
    for refund in open {
        let held = sandbox.locks.hold(vec![refunds::lock_for(&refund)]).await;
        let mut work = Work::new(&sandbox.store, &sandbox.origin);
        refunds::settle(&mut work, &refund.id, fail);
        let Work { batch, events, .. } = work;
        sandbox.store.commit(batch).await?;
        drop(held);
        sandbox.webhooks.send(sandbox, events);
    }
    Ok(())
}

/// Forgets every object, answer, fault and counter. The latency and the limit go back to what the sandbox began with.
async fn reset(State(sandbox): State<Arc<Sandbox>>) -> Response {
    sandbox.faults.clear();
    sandbox.webhooks.clear();
    if let Err(error) = sandbox.store.clear().await {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
    }
    sandbox.keys.clear();
    sandbox.at_bank.forget();
    sandbox.budget.clear();
    sandbox.budget.set(sandbox.config.rate_limit);
    *sandbox.latency.write() = sandbox.config.latency;
    sandbox.store.empty_balance.store(false, Ordering::Relaxed);
    sandbox.log.clear();
    Json(json!({"ok": true})).into_response()
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": message}))).into_response()
}
