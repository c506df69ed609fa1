//! A rebuild: an image of the ledger takes the place of what the stock knew of a sale.
//!
//! An image may have tens of thousands of pins, and a script keeps everybody else waiting while it runs. So the image is
//! written in parts, beside what is there, and shown by the last call. Until then the sale is not known; if the process
//! dies in between it stays so, until somebody begins again.

use std::collections::HashSet;
use std::time::Duration;

use super::call::Call;
use super::{RedisStock, json, keys, millis, text, units_of};
use crate::ledger::{Image, ImagePin};
use crate::order::state::StockEffect;
use crate::stock::{StockError, remembered_for};

/// Pins that one call writes: a few milliseconds of the server's time.
const PINS_PER_CALL: usize = 500;
/// Customers' counts that one call writes.
const COUNTS_PER_CALL: usize = 1_000;
/// Customers that are noted in one round trip.
const NOTED_AT_ONCE: usize = 500;

impl RedisStock {
    /// Shows an image.
    ///
    /// # Errors
    /// Also when another rebuild of the sale has overtaken this one: then that one shows the sale.
    pub(super) async fn show(&self, image: Image) -> Result<(), StockError> {
        let token = text(self.env.uuid_v4());
        if !self.start(&image, &token).await? {
            return Ok(());
        }
        self.ask::<i64>(redis::cmd("SADD").arg(keys::SALES).arg(&image.sale)).await?;
        let customers: HashSet<_> = image.pins.iter().map(|pin| pin.customer).collect();
        let noted: Vec<_> =
            customers.into_iter().map(|customer| (customer, image.sale.as_str(), Duration::ZERO)).collect();
        for noted in noted.chunks(NOTED_AT_ONCE) {
            self.touch_all(noted).await?;
        }
        for pins in image.pins.chunks(PINS_PER_CALL) {
            let call = self.rebuild_call(&self.scripts.rebuild_pins, &image.sale).await?;
            let mut call = call.arg(&token).arg(image.currency.as_str());
            for pin in pins {
                call = with_pin(call, pin)?;
            }
            goes_on(call, "go_on", &image.sale).await?;
        }
        for sold in image.sold.chunks(PINS_PER_CALL) {
            let call = self.rebuild_call(&self.scripts.rebuild_sold, &image.sale).await?;
            let mut call = call.arg(&token).arg(image.currency.as_str()).arg(millis(remembered_for(StockEffect::Sold)));
            for one in sold {
                call = with_pin(call, one)?;
            }
            goes_on(call, "go_on", &image.sale).await?;
        }
        for bought in image.bought.chunks(COUNTS_PER_CALL) {
            let mut call = self.rebuild_call(&self.scripts.rebuild_bought, &image.sale).await?.arg(&token);
            for (customer, item) in bought {
                call = call.arg(text(*customer)).arg(&item.tier).arg(item.quantity);
            }
            goes_on(call, "go_on", &image.sale).await?;
        }
        let call = self.rebuild_call(&self.scripts.rebuild_finish, &image.sale).await?;
        goes_on(call.arg(&token).arg(image.epoch), "shown", &image.sale).await
    }

    /// Whether there is anything to write: an image that is not newer than what is shown is not.
    async fn start(&self, image: &Image, token: &str) -> Result<bool, StockError> {
        let call = self.rebuild_call(&self.scripts.rebuild_start, &image.sale).await?;
        let mut call = call.arg(token).arg(image.epoch);
        for tier in &image.tiers {
            let limit = tier.max_per_customer.map(|limit| limit.to_string()).unwrap_or_default();
            call = call.arg(&tier.id).arg(tier.capacity).arg(tier.sold).arg(tier.returned).arg(limit);
        }
        let reply = call.send().await?;
        match reply.word() {
            "go_on" => Ok(true),
            "old" => Ok(false),
            _ => Err(reply.nonsense()),
        }
    }
}

fn with_pin<'a>(call: Call<'a>, pin: &ImagePin) -> Result<Call<'a>, StockError> {
    let call = call.arg(text(pin.hold)).arg(text(pin.customer)).arg(text(pin.order)).arg(pin.version.max(0));
    Ok(call.arg(units_of(&pin.items)).arg(json(&pin.items)?))
}

async fn goes_on(call: Call<'_>, expected: &str, sale: &str) -> Result<(), StockError> {
    let reply = call.send().await?;
    match reply.word() {
        word if word == expected => Ok(()),
        "overtaken" => Err(StockError(format!("another rebuild of {sale} has begun, or this one was forgotten"))),
        _ => Err(reply.nonsense()),
    }
}
