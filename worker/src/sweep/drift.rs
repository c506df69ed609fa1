//! `drift`: notices when the stock shows something else than the ledger has, and mends it.
//!
//! The two move one after the other, so that a difference by itself means nothing while a crowd buys. Two things do:
//!
//! - **Both stand still, and differ.** Nothing was accepted, finished, pinned or freed for longer than any step
//!   between ledger and stock may take; a purchase that was under way would have moved one of them.
//! - **The stock shows less taken than the ledger, again and again.** A purchase is in the stock before it is in the
//!   ledger, and leaves it after; so in motion the stock shows more. It is read before and after the ledger, and the
//!   larger reading counts.
//!
//! It is mended in two steps, each followed by looking again: the capacities are set, and the orders of the ledger are
//! shown to the stock once more, which costs nobody anything. If that does not help, the sale begins anew under a new
//! epoch, which costs its unpaid holds.

use std::collections::HashMap;
use std::time::Duration;

use shared::env::Timestamp;
use shared::ledger::{Committed, SaleCounters};
use shared::stock::{Levels, Settlement, keeper};
use uuid::Uuid;

use crate::{Context, settle};

/// Sales that are looked at in one look; the others get their turn in the next.
const SALES: usize = 50;
/// Orders that are shown once more.
const ORDERS: u32 = 10_000;
/// Orders that were paid within this time are shown once more.
const LATELY: Duration = Duration::from_secs(3600);
/// Looks in a row that have to find the stock short.
const LOOKS: u32 = 5;

/// What the looks have seen so far.
#[derive(Debug, Default)]
pub struct Looks {
    sales: HashMap<String, Seen>,
    /// Where the next look begins, when there are more sales than one look takes.
    next: usize,
}

#[derive(Debug)]
struct Seen {
    /// What both showed.
    still: Shown,
    /// Since when exactly that.
    since: Duration,
    /// Since when the stock has been short, and how often it was seen to be.
    short: Option<(Duration, u32)>,
    /// The orders were shown once more, and it did not help.
    was_shown: bool,
}

/// What stock and ledger show of a sale.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    counters: SaleCounters,
    epoch: u64,
    /// Per tier.
    tiers: Vec<Tier>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tier {
    id: String,
    /// Units that the ledger has given away.
    committed: u32,
    /// Units that the stock shows as pinned or sold.
    taken: u32,
    /// The capacity of the ledger and the stock.
    capacities: (u32, u32),
}

impl Looks {
    /// Looks at the sales, and mends what has drifted; how many sales had.
    ///
    /// # Errors
    /// A reason, when something could not be reached, or of a sale no sense be made; the others were looked at.
    pub async fn look(&mut self, ctx: &Context) -> Result<u64, String> {
        let sales = ctx.ledger.sales().await.map_err(|error| error.to_string())?;
        self.sales.retain(|slug, _| sales.iter().any(|sale| sale.slug == *slug));
        let start = self.next.checked_rem(sales.len()).unwrap_or(0);
        self.next = start + SALES;
        let (mut mended, mut failed) = (0, None);
        for sale in sales.iter().cycle().skip(start).take(SALES.min(sales.len())) {
            match self.look_at(ctx, &sale.slug).await {
                Ok(one) => mended += u64::from(one),
                Err(reason) => failed = failed.or(Some(format!("{}: {reason}", sale.slug))),
            }
        }
        failed.map_or(Ok(mended), Err)
    }

    /// Looks at one sale; whether something was done about it.
    async fn look_at(&mut self, ctx: &Context, sale: &str) -> Result<bool, String> {
        let Some(shown) = show(ctx, sale).await? else {
            // One that the stock does not know is rebuilt by others.
            self.sales.remove(sale);
            return Ok(false);
        };
        if self.has_drifted(ctx, sale, shown) { self.mend(ctx, sale).await } else { Ok(false) }
    }

    /// Takes a look into account.
    fn has_drifted(&mut self, ctx: &Context, sale: &str, shown: Shown) -> bool {
        let (now, patience) = (ctx.env.monotonic(), ctx.patience.drift);
        let new = || Seen { still: shown.clone(), since: now, short: None, was_shown: false };
        let seen = self.sales.entry(sale.to_owned()).or_insert_with(new);
        if seen.still != shown {
            (seen.still, seen.since) = (shown, now);
        }
        let differs = |tier: &Tier| tier.taken != tier.committed || tier.capacities.0 != tier.capacities.1;
        if !seen.still.tiers.iter().any(differs) {
            (seen.short, seen.was_shown) = (None, false);
            return false;
        }
        let is_short = seen.still.tiers.iter().any(|tier| tier.taken < tier.committed);
        seen.short = is_short.then(|| seen.short.map_or((now, 1), |(since, looks)| (since, looks + 1)));
        let long_short = |(since, looks): (Duration, u32)| looks >= LOOKS && now.saturating_sub(since) >= patience;
        now.saturating_sub(seen.since) >= patience || seen.short.is_some_and(long_short)
    }

    /// Whether something was done about it.
    async fn mend(&mut self, ctx: &Context, sale: &str) -> Result<bool, String> {
        let Some(seen) = self.sales.get_mut(sale) else { return Ok(false) };
        let tiers = seen.still.tiers.iter().filter(|tier| tier.taken != tier.committed);
        let differences: Vec<String> =
            tiers.map(|tier| format!("{}: {} of {}", tier.id, tier.taken, tier.committed)).collect();
        let differences = differences.join(", ");
        let again = seen.was_shown;
        let step = if again { "rebuilt" } else { "shown_again" };
        tracing::error!(sale, differences, step, "the stock shows something else than the ledger has");
        if again {
            let begun = keeper::begin_anew(&*ctx.ledger, &*ctx.stock, sale).await.map_err(|error| error.to_string())?;
            if !begun {
                return Ok(false);
            }
        } else {
            show_again(ctx, sale).await?;
        }
        metrics::counter!("stock_drift_total", "mended_by" => step).increment(1);
        // What is seen from now on counts anew.
        (seen.since, seen.short, seen.was_shown) = (ctx.env.monotonic(), None, !again);
        Ok(true)
    }
}

/// What both show of a sale; none while the stock does not know it as the ledger does.
async fn show(ctx: &Context, sale: &str) -> Result<Option<Shown>, String> {
    let Some(before) = ctx.stock.levels(sale).await.map_err(|error| error.to_string())? else { return Ok(None) };
    let Some(ledger) = ctx.ledger.committed(sale).await.map_err(|error| error.to_string())? else { return Ok(None) };
    let Some(after) = ctx.stock.levels(sale).await.map_err(|error| error.to_string())? else { return Ok(None) };
    Ok((before.epoch == ledger.epoch && after.epoch == ledger.epoch).then(|| compared(&before, &ledger, &after)))
}

fn compared(before: &Levels, ledger: &Committed, after: &Levels) -> Shown {
    let level = |levels: &Levels, id: &str| {
        let tier = levels.tiers.iter().find(|tier| tier.id == id);
        tier.map_or((0, 0), |tier| (tier.pinned + tier.sold, tier.capacity))
    };
    let tier = |(id, capacity, committed): &(String, u32, u32)| {
        let ((before, _), (after, shown)) = (level(before, id), level(after, id));
        Tier { id: id.clone(), committed: *committed, taken: before.max(after), capacities: (*capacity, shown) }
    };
    Shown { counters: ledger.counters, epoch: ledger.epoch, tiers: ledger.tiers.iter().map(tier).collect() }
}

/// Makes the stock show once more what the ledger has: the capacities, the open orders, and those that were paid lately.
async fn show_again(ctx: &Context, sale: &str) -> Result<(), String> {
    let Some(image) = ctx.ledger.image(sale).await.map_err(|error| error.to_string())? else { return Ok(()) };
    for tier in &image.tiers {
        let set = ctx.stock.set_capacity(sale, &tier.id, tier.capacity);
        set.await.map_err(|error| error.to_string())?;
    }
    let ids: Vec<Uuid> = image.pins.iter().take(ORDERS as usize).map(|pin| pin.order).collect();
    let open = ctx.ledger.orders(&ids).await.map_err(|error| error.to_string())?;
    let now = ctx.ledger.now();
    let after: (Timestamp, Uuid) = (now.minus(LATELY), Uuid::nil());
    let paid = ctx.ledger.paid(after, now, ORDERS).await.map_err(|error| error.to_string())?;
    for order in open.iter().chain(&paid).filter(|order| order.sale == sale) {
        let settlement: Settlement = settle::settlement(order);
        ctx.stock.settle(settlement).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
