//! `POST /ops/api/sales/{sale}/open|pause|resume|close`, `POST /ops/api/sales/{sale}/stock`, `GET /ops/api/sales`.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use shared::ledger::{Control, Controlled};
use shared::sale::is_slug;
use shared::steer::{Orders, SaleRow};
use uuid::Uuid;

use super::{Fresh, Why, fresh, orders};
use crate::app::App;
use crate::connection::Client;
use crate::input::Input;
use crate::operator::{May, See, Steer};
use crate::problem::Problem;

/// All sales.
#[derive(Debug, Serialize)]
pub struct Sales {
    /// The newest first.
    sales: Vec<SaleRow>,
}

/// Units to add.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    tier: String,
    quantity: u32,
    request: Uuid,
    reason: Option<String>,
}

/// All sales with their stock.
pub async fn list(State(app): State<App>, _: May<See>) -> Result<Fresh<Sales>, Problem> {
    Ok(fresh(Sales { sales: app.helm().rows().await? }))
}

/// Handlers that turn a switch of a sale, and differ in nothing but in which one.
macro_rules! switches {
    ($($(#[$says:meta])* $name:ident => $control:ident;)*) => {$(
        $(#[$says])*
        pub async fn $name(
            app: State<App>,
            may: May<Steer>,
            client: Client,
            sale: Path<String>,
            body: Input<Why>,
        ) -> Result<Fresh<SaleRow>, Problem> {
            steer(app, may, client, sale, body, Control::$control).await
        }
    )*};
}

switches! {
    /// Opens a sale now, and ends a pause.
    open => Open;
    /// Stops a sale for the moment.
    pause => Pause;
    /// Ends a pause.
    resume => Resume;
    /// Ends a sale: nothing new can be held.
    close => Close;
}

/// Adds units to a tier; safe to repeat.
pub async fn add_stock(
    State(app): State<App>,
    May { operator, .. }: May<Steer>,
    client: Client,
    Path(sale): Path<String>,
    Input(body): Input<Addition>,
) -> Result<Fresh<SaleRow>, Problem> {
    let Addition { tier, quantity, request, reason } = body;
    if quantity == 0 {
        return Err(Problem::invalid("quantity", "One unit at least."));
    }
    if request.is_nil() {
        return Err(Problem::invalid("request", "The request's id is made by whoever asks, and is not nil."));
    }
    let orders = orders(&app, &operator, client, reason)?;
    carry_out(&app, &sale, Control::AddStock { tier, quantity, request }, &orders).await
}

async fn steer(
    State(app): State<App>,
    May { operator, .. }: May<Steer>,
    client: Client,
    Path(sale): Path<String>,
    Input(body): Input<Why>,
    control: Control,
) -> Result<Fresh<SaleRow>, Problem> {
    let orders = orders(&app, &operator, client, body.reason)?;
    carry_out(&app, &sale, control, &orders).await
}

async fn carry_out(app: &App, slug: &str, control: Control, orders: &Orders) -> Result<Fresh<SaleRow>, Problem> {
    if !is_slug(slug) {
        return Err(Problem::not_found());
    }
    let helm = app.helm();
    match helm.sale(slug, control, orders).await? {
        Controlled::Yes | Controlled::Again => {}
        Controlled::UnknownSale => return Err(Problem::not_found()),
        Controlled::UnknownTier => return Err(Problem::invalid("tier", "The sale has no such tier.")),
        Controlled::TooMuch => {
            return Err(Problem::conflict("too_much", "That is more than a tier may have."));
        }
        Controlled::Conflict => {
            return Err(Problem::conflict("request_conflict", "This request was made before, for something else."));
        }
    }
    // Whoever asks here next sees it, whether the news has come round or not.
    app.catalogue.refresh(&*app.ledger).await?;
    app.losers.doubt();
    helm.row(slug).await?.map(fresh).ok_or_else(Problem::not_found)
}
