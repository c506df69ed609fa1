//! `POST /api/holds`, `DELETE /api/holds/{hold}`: a claim on stock while the buyer thinks.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use shared::message::HoldView;
use shared::sale::{BasketError, Item, PricedItem, Sale};
use shared::stock::{Freed, Hold, Reserve, Reserved};
use uuid::Uuid;

use crate::admission::Comer;
use crate::app::App;
use crate::connection::Client;
use crate::input::Input;
use crate::problem::Problem;
use crate::session::Customer;

/// The body of `POST /api/holds`.
#[derive(Debug, Deserialize)]
pub struct Body {
    hold: Option<Uuid>,
    sale: String,
    items: Vec<Item>,
}

/// What somebody wants to hold.
pub struct Wish<'a> {
    /// The hold's id.
    pub hold: Uuid,
    /// The sale's slug.
    pub sale: &'a str,
    /// The basket.
    pub items: &'a [Item],
    /// Who.
    pub customer: Uuid,
    /// Pin it to this order at once.
    pub order: Option<Uuid>,
}

/// Takes a hold; safe to repeat with the same `hold`.
pub async fn create(
    State(app): State<App>,
    customer: Customer,
    client: Client,
    Input(body): Input<Body>,
) -> Result<impl IntoResponse, Problem> {
    app.limits.new_hold(client, customer.id).await?;
    let hold = body.hold.unwrap_or_else(|| app.env.uuid_v7());
    let wish = Wish { hold, sale: &body.sale, items: &body.items, customer: customer.id, order: None };
    let reserve = prepare(&app, wish).await?;
    if let Some(tier) = app.losers.refuses(&body.sale, &body.items, hold) {
        return Err(Problem::sold_out(tier));
    }
    let _place = app.admission.enter(Comer::For(hold)).await?;
    let (hold, _) = take(&app, reserve).await?;
    Ok((StatusCode::CREATED, Json(serde_json::json!(HoldView::new(&hold)))))
}

/// Gives a hold up; its stock is back at once.
pub async fn remove(State(app): State<App>, customer: Customer, Path(hold): Path<Uuid>) -> Result<StatusCode, Problem> {
    match app.stock.free(hold, customer.id).await? {
        Freed::Yes => {
            app.losers.doubt();
            Ok(StatusCode::NO_CONTENT)
        }
        Freed::Gone => Err(Problem::not_found()),
        Freed::Pinned => Err(Problem::conflict("order_in_progress", "These tickets are being paid for.")),
    }
}

/// Prices a basket.
///
/// # Errors
/// What the client hears.
pub async fn prepare(app: &App, wish: Wish<'_>) -> Result<Reserve, Problem> {
    let sale = app.catalogue.find(&*app.ledger, &app.env, wish.sale).await.ok_or_else(|| unknown_sale(wish.sale))?;
    let items = priced(app, &sale, wish.items)?;
    if sale.paused {
        return Err(Problem::paused());
    }
    Ok(Reserve {
        hold: wish.hold,
        sale: sale.slug.clone(),
        customer: wish.customer,
        items,
        currency: sale.currency,
        think: sale.hold_for(),
        order: wish.order,
    })
}

/// Takes units, all or none; and whether this call took them, or an earlier one.
///
/// # Errors
/// What the client hears.
pub async fn take(app: &App, reserve: Reserve) -> Result<(Hold, bool), Problem> {
    let sale = reserve.sale.clone();
    match app.stock.reserve(reserve).await? {
        Reserved::Yes { hold, new } => Ok((hold, new)),
        Reserved::SoldOut { tier } => {
            app.losers.refused(&sale);
            Err(Problem::sold_out(tier))
        }
        Reserved::LimitReached { tier } => Err(Problem::limit_reached(tier)),
        Reserved::TooManyHolds => Err(Problem::conflict(
            "limit_reached",
            "You hold other tickets already; pay for them or give them up first.",
        )),
        Reserved::Taken => Err(Problem::conflict("hold_conflict", "There is another hold of this id.")),
        Reserved::Unknown => Err(Problem::rebuilding()),
    }
}

fn priced(app: &App, sale: &Sale, items: &[Item]) -> Result<Vec<PricedItem>, Problem> {
    let place = |tier: &str| items.iter().rposition(|item| item.tier == tier).unwrap_or(0);
    sale.price(items, app.ledger.now()).map(|(items, _)| items).map_err(|error| match &error {
        BasketError::NotOpen(_) => Problem::not_open(),
        BasketError::Limit { tier, .. } => Problem::limit_reached(tier.clone()),
        BasketError::UnknownTier(tier) | BasketError::Twice(tier) => {
            Problem::invalid(format!("items[{}].tier", place(tier)), sentence(&error))
        }
        BasketError::Empty => match items.iter().position(|item| item.quantity == 0) {
            Some(place) => Problem::invalid(format!("items[{place}].quantity"), sentence(&error)),
            None => Problem::invalid("items", sentence(&error)),
        },
        BasketError::TooMany | BasketError::Money(_) => Problem::invalid("items", sentence(&error)),
    })
}

fn unknown_sale(slug: &str) -> Problem {
    if shared::sale::is_slug(slug) { Problem::not_found() } else { Problem::invalid("sale", "That is no sale's name.") }
}

fn sentence(error: &BasketError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}
