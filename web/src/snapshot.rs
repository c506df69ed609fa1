//! What a connection is told first: everything, as it is now.

use std::collections::BTreeMap;

use axum::extract::ws::Utf8Bytes;
use shared::message::{HoldView, Message};
use uuid::Uuid;

use crate::app::App;
use crate::problem::Problem;
use crate::{orders, sales};

/// Orders in a snapshot: the newest ones.
pub const ORDERS_MAX: u32 = 100;

/// The `welcome` frame, and a `stock` frame for each sale that is watched. The room must have been joined before.
///
/// # Errors
/// When the ledger or the stock cannot be reached.
pub async fn take(app: &App, customer: Uuid, watched: &[String]) -> Result<Vec<Utf8Bytes>, Problem> {
    let orders = app.orders.of(customer).await?.unwrap_or_default();
    for order in &orders {
        if !order.state.is_final() {
            app.progress.watch(&*app.ledger, &order.sale).await;
        }
        app.hub.expect(order, true);
    }
    let holds = app.stock.holds_of(customer).await?;
    let mut levels = BTreeMap::new();
    for sale in watched {
        if let Some(found) = app.levels.of(sale.clone()).await? {
            levels.insert(sale.as_str(), found);
        }
    }
    let welcome = Message::Welcome {
        customer,
        server_time: app.env.now().to_rfc3339(),
        epochs: levels.iter().map(|(sale, levels)| (*sale, levels.epoch)).collect(),
        orders: orders.iter().map(|order| orders::view(app, order)).collect(),
        holds: holds.iter().map(HoldView::new).collect(),
    };
    let mut frames = vec![Utf8Bytes::from(welcome.to_json())];
    for (slug, levels) in &levels {
        if let Some(sale) = app.catalogue.sale(slug) {
            let status = sales::status(&sale, Some(levels), app.ledger.now());
            frames.push(Message::stock(slug, levels, status).to_json().into());
        }
    }
    Ok(frames)
}
