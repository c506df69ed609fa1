//! `GET /api/sales`, `GET /api/sales/{sale}`: what is sold, and how much of it is free.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use shared::env::Timestamp;
pub use shared::message::status;
use shared::sale::Sale;
use shared::stock::Levels;

use crate::app::App;
use crate::problem::Problem;

/// All sales, the newest first.
pub async fn list(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let mut sales = Vec::new();
    for sale in app.catalogue.sales() {
        let levels = app.levels.of(sale.slug.clone()).await?;
        sales.push(view(&sale, levels, app.ledger.now()));
    }
    Ok(fresh(json!({ "sales": sales })))
}

/// One sale.
pub async fn show(State(app): State<App>, Path(slug): Path<String>) -> Result<impl IntoResponse, Problem> {
    let sale = app.catalogue.find(&*app.ledger, &app.env, &slug).await.ok_or_else(Problem::not_found)?;
    let levels = app.levels.of(slug).await?;
    Ok(fresh(view(&sale, levels, app.ledger.now())))
}

fn fresh(body: Value) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body))
}

/// A sale as anyone may see it.
fn view(sale: &Sale, levels: Option<Levels>, now: Timestamp) -> Value {
    let status = status(sale, levels.as_ref(), now);
    let levels = levels.unwrap_or_default();
    let until = |at: Timestamp| (at > now).then(|| at.ms_from(now));
    let tiers: Vec<Value> = sale
        .tiers
        .iter()
        .map(|tier| {
            let free = levels.tiers.iter().find(|level| level.id == tier.id).map_or(0, |level| level.free);
            let (opens_at, closes_at) = (sale.tier_opens_at(tier), sale.tier_closes_at(tier));
            json!({
                "id": tier.id,
                "name": tier.name,
                "amount": tier.amount,
                "currency": sale.currency,
                "capacity": tier.capacity,
                "free": free,
                "max_per_customer": tier.max_per_customer,
                "opens_at": opens_at.to_rfc3339(),
                "closes_at": closes_at.map(Timestamp::to_rfc3339),
                "opens_in_ms": until(opens_at),
                "closes_in_ms": closes_at.map(|at| at.ms_from(now)),
            })
        })
        .collect();
    json!({
        "sale": sale.slug,
        "name": sale.name,
        "currency": sale.currency,
        "status": status,
        "opens_at": sale.opens_at.to_rfc3339(),
        "closes_at": sale.closes_at.map(Timestamp::to_rfc3339),
        "opens_in_ms": until(sale.opens_at),
        "closes_in_ms": sale.closes_at.map(|at| at.ms_from(now)),
        "hold_ms": sale.hold_ms,
        "epoch": levels.epoch,
        "tiers": tiers,
    })
}
