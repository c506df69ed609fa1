//! The sweep: finishes whatever a dead process, a silent Stripe or an absent buyer left behind.
//!
//! Each part has a name, a bound on how much it does at once, and its metrics. A part that fails is logged and counted,
//! and comes again; it never keeps the others from their work.
//!
//! | part | how often | does |
//! | --- | --- | --- |
//! | `lost_stock`, `lost_jobs`, `returned` | every round, every worker | [`keep_stock`] |
//! | `dead_holds`, `orphan_pins`, `owed`, `inbox`, `dead_letters`, `authentication` | every round | [`here`]: nothing is asked of Stripe |
//! | `due`, `closing`, `refunds` | every round | [`at_stripe`] |
//! | `missed_events` | every minute, at once when a sweep begins | [`events`] |
//! | `payments` | every five minutes | [`payments`] |
//! | `drift` | every two seconds | [`drift`] |
//! | `old_events` | every ten minutes | forgets handled events after 30 days |
//!
//! One worker at a time does all but the first line. That saves work and is no guard: every part may run twice at the
//! same moment, or stop anywhere, and another one takes over.

mod agenda;
pub mod drift;
pub mod events;
pub mod payments;

use std::collections::HashMap;
use std::time::Duration;

use shared::guards::Guard;
use shared::jobs::{CreateCharge, ProcessResponse, Webhook};
use shared::ledger::{Applied, Change, Left, Returned};
use shared::order::{Order, Outcome, State};
use shared::queue::{DeadJob, Job, NewJob, Pushed};
use shared::stock::{LonePin, keeper};

use crate::decide::{Payable, ended};
use crate::{Context, authentication, cancel_key, checkout, refunds, settle, webhook};

pub use agenda::{Agenda, Came};

/// Things that one part does in one round.
const BATCH: u32 = 500;
/// Charges that are queued again in one round after a loss: more than workers do in that time.
const BATCH_AGAIN: u32 = 10_000;
/// Calls to Stripe that one part makes in one round.
const BATCH_AT_STRIPE: u32 = 20;

/// How often the sweep comes round.
pub const ROUND: Duration = Duration::from_secs(1);

/// What a worker knows of the stock from one round to the next.
#[derive(Debug)]
pub struct Watch {
    /// The epochs of all sales, as last seen.
    epochs: HashMap<String, u64>,
    /// Jobs may have been lost, and are being queued again.
    queues_again: bool,
    /// Units that may be sold again, by sale and tier, as the stock was last told.
    returned: HashMap<(String, String), u32>,
}

impl Default for Watch {
    /// A worker that starts cannot know what was lost before.
    fn default() -> Self {
        Self { epochs: HashMap::new(), queues_again: true, returned: HashMap::new() }
    }
}

/// Looks whether the stock has lost a sale; before [`round`], which works with what the stock shows.
pub async fn keep_stock(ctx: &Context, watch: &mut Watch) {
    let _ = part(ctx, "lost_stock", restore(ctx, watch)).await;
    if watch.queues_again {
        let _ = part(ctx, "lost_jobs", queue_again(ctx, watch)).await;
    }
    let _ = part(ctx, "returned", show_returned(ctx, watch)).await;
}

/// Does every part of every round once.
pub async fn round(ctx: &Context) {
    here(ctx).await;
    at_stripe(ctx).await;
}

/// The parts of every round that ask nothing of Stripe.
pub async fn here(ctx: &Context) {
    let _ = part(ctx, "dead_holds", expire_holds(ctx)).await;
    let _ = part(ctx, "orphan_pins", free_orphan_pins(ctx)).await;
    let _ = part(ctx, "owed", queue_owed(ctx, ctx.patience.owed, BATCH)).await;
    let _ = part(ctx, "inbox", queue_events(ctx)).await;
    let _ = part(ctx, "dead_letters", raise_dead_letters(ctx)).await;
    let _ = part(ctx, "authentication", authentication::ask_after_silence(ctx)).await;
}

/// The parts of every round that ask Stripe, and may take as long as it does.
pub async fn at_stripe(ctx: &Context) {
    let _ = part(ctx, "due", close_due(ctx)).await;
    let _ = part(ctx, "closing", finish_closing(ctx)).await;
    let _ = part(ctx, "refunds", refunds::send_due(ctx, BATCH_AT_STRIPE)).await;
}

/// Does a part, and says what came of it: how much, how long it took, and when it last succeeded.
async fn part(
    ctx: &Context,
    part: &'static str,
    work: impl Future<Output = Result<u64, String>>,
) -> Result<u64, String> {
    if !Guard::sweeps(part) {
        return Ok(0);
    }
    let began = ctx.env.monotonic();
    let done = work.await;
    let took = ctx.env.monotonic().saturating_sub(began);
    metrics::histogram!("sweep_seconds", "part" => part).record(took.as_secs_f64());
    match &done {
        Ok(n) => {
            if *n > 0 {
                tracing::info!(part, n, "swept");
                metrics::counter!("sweep_items_total", "part" => part).increment(*n);
            }
            let now = Duration::from_millis(u64::try_from(ctx.env.now().0).unwrap_or(0));
            metrics::gauge!("sweep_last_success_timestamp_seconds", "part" => part).set(now.as_secs_f64());
        }
        Err(reason) => {
            tracing::warn!(part, reason, "the sweep could not do its part");
            metrics::counter!("sweep_failures_total", "part" => part).increment(1);
        }
    }
    done
}

/// Rebuilds what the stock has lost. A new epoch, whoever began it, says that the server forgot, or that another one
/// took its place: then it may have forgotten jobs, too.
async fn restore(ctx: &Context, watch: &mut Watch) -> Result<u64, String> {
    let sales = ctx.ledger.sales().await.map_err(|error| error.to_string())?;
    let sales: Vec<(String, u64)> = sales.into_iter().map(|sale| (sale.slug, sale.epoch)).collect();
    let restored = keeper::restore(&*ctx.ledger, &*ctx.stock, &sales).await;
    let restored = restored.map_err(|error| error.to_string())?.len() as u64;
    let sales = ctx.ledger.sales().await.map_err(|error| error.to_string())?;
    let now: HashMap<String, u64> = sales.into_iter().map(|sale| (sale.slug, sale.epoch)).collect();
    // The first epoch of a new sale follows no loss.
    watch.queues_again |= watch.epochs.iter().any(|(sale, epoch)| *epoch > 0 && now.get(sale) != Some(epoch));
    // Whoever rebuilt it may have read the ledger before the stock was told.
    watch.returned.retain(|(sale, _), _| now.get(sale) == watch.epochs.get(sale));
    watch.epochs = now;
    Ok(restored)
}

/// Queues what is owed, the oldest first, a batch a round: those behind them get their turn when these are done.
async fn queue_again(ctx: &Context, watch: &mut Watch) -> Result<u64, String> {
    // This millisecond included.
    let owed = Left::Owed { since: ctx.ledger.now().plus(Duration::from_millis(1)) };
    let orders = ctx.ledger.left(owed, BATCH_AGAIN).await.map_err(|error| error.to_string())?;
    let queued = push_charges(ctx, &orders).await?;
    watch.queues_again = orders.len() == BATCH_AGAIN as usize;
    Ok(queued)
}

/// Tells the stock of units that may be sold again. By their number in the ledger and not by what happened, so that
/// nothing is lost with a process that dies between the two, and nothing comes back twice.
async fn show_returned(ctx: &Context, watch: &mut Watch) -> Result<u64, String> {
    let mut shown = 0;
    for Returned { sale, tier, units } in ctx.ledger.returned().await.map_err(|error| error.to_string())? {
        let key = (sale, tier);
        if watch.returned.get(&key) != Some(&units) {
            ctx.stock.set_returned(&key.0, &key.1, units).await.map_err(|error| error.to_string())?;
            watch.returned.insert(key, units);
            shown += 1;
        }
    }
    Ok(shown)
}

async fn expire_holds(ctx: &Context) -> Result<u64, String> {
    ctx.stock.expire().await.map_err(|error| error.to_string())
}

/// Frees pins whose order never reached the ledger. An accept that comes later refuses itself.
async fn free_orphan_pins(ctx: &Context) -> Result<u64, String> {
    let pins = ctx.stock.pins_older_than(ctx.patience.orphan, BATCH as usize).await.map_err(|e| e.to_string())?;
    if pins.is_empty() {
        return Ok(0);
    }
    let ids: Vec<uuid::Uuid> = pins.iter().map(|pin| pin.order).collect();
    let orders = ctx.ledger.orders(&ids).await.map_err(|error| error.to_string())?;
    let mut freed = 0;
    for LonePin { sale, hold, order: id } in pins {
        match orders.iter().find(|order| order.id == id) {
            // The order is there: let the stock know, so that it asks no more.
            Some(order) if Guard::OrphanHasNoOrder.refuses(order.hold == hold && order.sale == sale) => {
                ctx.stock.settle(settle::settlement(order)).await.map_err(|error| error.to_string())?;
            }
            _ => {
                let freeing = ctx.stock.free_orphan(&sale, hold, id, ctx.patience.orphan);
                freed += u64::from(freeing.await.map_err(|error| error.to_string())?);
            }
        }
    }
    Ok(freed)
}

/// Queues charges that are owed and unchanged for a while. One that merely waits its turn is still queued, and
/// pushing it again changes nothing.
///
/// # Errors
/// A reason, when something could not be reached.
pub async fn queue_owed(ctx: &Context, unchanged_for: Duration, most: u32) -> Result<u64, String> {
    let since = ctx.ledger.now().minus(unchanged_for);
    let orders = ctx.ledger.left(Left::Owed { since }, most).await.map_err(|error| error.to_string())?;
    push_charges(ctx, &orders).await
}

/// Queues webhook events whose job was lost, or never pushed. Those that wait in the queue are in it still.
async fn queue_events(ctx: &Context) -> Result<u64, String> {
    let since = ctx.ledger.now().minus(ctx.patience.inbox);
    let mut events = ctx.ledger.unhandled_events(BATCH).await.map_err(|error| error.to_string())?;
    events.retain(|event| event.received_at <= since);
    if events.is_empty() {
        return Ok(0);
    }
    let jobs: Result<Vec<NewJob>, _> = events.iter().map(|event| NewJob::of(&Webhook::of(&event.id))).collect();
    let pushed = ctx.queue.push(jobs.map_err(|e| e.to_string())?).await.map_err(|error| error.to_string())?;
    Ok(pushed.iter().filter(|pushed| matches!(pushed, Pushed::New)).count() as u64)
}

async fn push_charges(ctx: &Context, orders: &[Order]) -> Result<u64, String> {
    let mut queued = 0;
    for orders in orders.chunks(BATCH as usize) {
        let jobs: Result<Vec<NewJob>, _> = orders.iter().map(|order| NewJob::of(&CreateCharge::of(order))).collect();
        let pushed = ctx.queue.push(jobs.map_err(|e| e.to_string())?).await.map_err(|error| error.to_string())?;
        queued += pushed.iter().filter(|pushed| matches!(pushed, Pushed::New)).count() as u64;
    }
    Ok(queued)
}

/// A dead letter marks its order for a person; the job stays where it is until somebody decides.
async fn raise_dead_letters(ctx: &Context) -> Result<u64, String> {
    let mut raised = 0;
    for queue in [CreateCharge::QUEUE, ProcessResponse::QUEUE] {
        for dead in ctx.queue.dead(queue, BATCH as usize).await.map_err(|error| error.to_string())? {
            raised += u64::from(raise(ctx, queue, &dead).await?);
        }
    }
    for dead in ctx.queue.dead(Webhook::QUEUE, BATCH as usize).await.map_err(|error| error.to_string())? {
        raised += u64::from(raise_event(ctx, &dead).await?);
    }
    Ok(raised)
}

/// An event whose job is dead stays in the inbox, and is not asked for again.
async fn raise_event(ctx: &Context, dead: &DeadJob) -> Result<bool, String> {
    let stored = ctx.ledger.event(&dead.key).await.map_err(|error| error.to_string())?;
    if stored.is_none_or(|stored| stored.handled) {
        return Ok(false);
    }
    tracing::error!(event = dead.key, reason = dead.reason, "the job of a webhook event is a dead letter");
    webhook::raised(&dead.key, "dead_letter");
    ctx.ledger.event_handled(&dead.key).await.map_err(|error| error.to_string())?;
    Ok(true)
}

async fn raise(ctx: &Context, queue: &str, dead: &DeadJob) -> Result<bool, String> {
    let Some((id, attempt)) = dead.key.split_once(':').and_then(|(id, n)| Some((id.parse().ok()?, n.parse().ok()?)))
    else {
        return Ok(false);
    };
    let order = ctx.ledger.order(id).await.map_err(|error| error.to_string())?;
    if !order.is_some_and(|order| order.state.is_in_queue() && order.attempt == attempt) {
        return Ok(false);
    }
    let reason = format!("{queue}: {}", dead.reason);
    let outcome = Outcome::Stuck { reason };
    settle::settle(ctx, id, Change::Observed { attempt, outcome }).await?;
    Ok(true)
}

/// Begins to close orders whose buyer's time is over.
async fn close_due(ctx: &Context) -> Result<u64, String> {
    let due = ctx.ledger.left(Left::Due, BATCH_AT_STRIPE).await.map_err(|error| error.to_string())?;
    for order in &due {
        // One that was paid, or tried again, in this very moment is not closing.
        if let Applied::Order { order, .. } = settle::settle(ctx, order.id, Change::TimeOver).await?
            && order.state == State::Closing
        {
            close(ctx, &order).await?;
        }
    }
    Ok(due.len() as u64)
}

async fn finish_closing(ctx: &Context) -> Result<u64, String> {
    let since = ctx.ledger.now().minus(ctx.patience.closing);
    let closing = ctx.ledger.left(Left::Closing { since }, BATCH_AT_STRIPE).await.map_err(|e| e.to_string())?;
    for order in &closing {
        close(ctx, order).await?;
    }
    Ok(closing.len() as u64)
}

/// Cancels an order's payment at Stripe, or ends its page there; only its word that nothing can be paid any more frees the stock.
async fn close(ctx: &Context, order: &Order) -> Result<(), String> {
    let ended = match Payable::of(order) {
        None => Some(Outcome::Canceled { payment_intent: None }),
        Some(Payable::Session(session)) => checkout::end(ctx, order, session).await,
        Some(Payable::Intent(payment_intent)) => cancel(ctx, order, payment_intent).await,
    };
    let Some(outcome) = ended else { return Ok(()) };
    // As a job, so that stock and room hear of it even if this process dies between the ledger and them.
    let job = ProcessResponse::V1 { order: order.id, attempt: order.attempt, outcome: outcome.clone() };
    let job = NewJob::of(&job).map_err(|error| error.to_string())?;
    let key = job.key.clone();
    let pushed = ctx.queue.push(vec![job]).await.map_err(|error| error.to_string())?;
    // Another outcome of this attempt may be under way: it ends soon, and this comes again.
    if pushed == [Pushed::New] || (pushed == [Pushed::Duplicate] && !is_dead(ctx, &key).await?) {
        return Ok(());
    }
    // The queue is full, or a dead letter has the job's place for good.
    settle::settle(ctx, order.id, Change::Observed { attempt: order.attempt, outcome }).await.map(drop)
}

async fn is_dead(ctx: &Context, key: &str) -> Result<bool, String> {
    let dead = ctx.queue.dead(ProcessResponse::QUEUE, BATCH as usize).await.map_err(|error| error.to_string())?;
    Ok(dead.iter().any(|job| job.key == key))
}

async fn cancel(ctx: &Context, order: &Order, payment_intent: &str) -> Option<Outcome> {
    let answer = ctx.stripe.cancel(payment_intent, &cancel_key(ctx, payment_intent)).await;
    ended(order, Payable::Intent(payment_intent), answer)
}
