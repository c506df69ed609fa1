//! Settling: one ledger transaction, then the stock effect and the publish, both derived from where the order now
//! stands. Whatever is learned of a payment, from an answer, a look-up or a deadline, goes through here.

use shared::guards::Guard;
use shared::ledger::{Applied, Change};
use shared::message::Message;
use shared::order::state::StockEffect;
use shared::order::{Order, State};
use shared::rooms::Envelope;
use shared::stock::Settlement;
use shared::telemetry::traces;
use uuid::Uuid;

use crate::Context;

/// Applies a change and shows its result.
///
/// # Errors
/// A reason, when something could not be reached; do the whole again.
pub async fn settle(ctx: &Context, order: Uuid, change: Change) -> Result<Applied, String> {
    if !Guard::PublishAfterCommit.is_on() {
        Box::pin(publish_before(ctx, order)).await?;
    }
    let began = ctx.env.monotonic();
    let applied = ctx.ledger.apply(order, change).await.map_err(|error| error.to_string())?;
    shared::crash::point("after_settle");
    if let Applied::Order { order, changed, .. } = &applied {
        if *changed {
            tracing::info!(order = %order.id, state = %order.state, version = order.version, "settled");
            metrics::counter!("orders_settled_total", "state" => order.state.as_str()).increment(1);
            if let (State::Declined, Some(class)) = (order.state, order.decline_class()) {
                metrics::counter!("orders_declined_total", "class" => class.as_str()).increment(1);
            }
        }
        if *changed || Guard::ShownAgain.is_on() {
            show(ctx, order).await?;
        }
        let took = ctx.env.monotonic().saturating_sub(began);
        metrics::histogram!("settle_seconds").record(took.as_secs_f64());
    }
    Ok(applied)
}

/// Makes the stock and the room show an order as it is. Safe to repeat: both go by the order's version.
///
/// # Errors
/// A reason, when something could not be reached.
pub async fn show(ctx: &Context, order: &Order) -> Result<(), String> {
    let settled = async { ctx.stock.settle(settlement(order)).await.map_err(|error| error.to_string()) };
    let told = async {
        shared::crash::point("before_publish");
        publish(ctx, order).await
    };
    if order.state.stock() == StockEffect::Released {
        // Whoever hears that their units went back may come for them at once.
        settled.await?;
        told.await?;
    } else {
        futures::try_join!(settled, told)?;
    }
    shared::crash::point("after_publish");
    Ok(())
}

/// What an order's state means for the stock.
#[must_use]
pub fn settlement(order: &Order) -> Settlement {
    Settlement {
        sale: order.sale.clone(),
        hold: order.hold,
        order: order.id,
        version: order.version,
        effect: order.state.stock(),
    }
}

/// Tells a room of a version that is not there yet.
async fn publish_before(ctx: &Context, order: Uuid) -> Result<(), String> {
    let Ok(Some(order)) = ctx.ledger.order(order).await else { return Ok(()) };
    publish(ctx, &Order { version: order.version + 1, ..order }).await
}

async fn publish(ctx: &Context, order: &Order) -> Result<(), String> {
    let frame = Message::order(order, ctx.ledger.now(), None).to_json().into();
    let envelopes = traces::announced(Envelope { room: order.customer, frame });
    ctx.rooms.publish(envelopes).await.map_err(|error| error.to_string())
}
