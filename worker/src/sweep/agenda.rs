//! The parts that need not come every round: which of them are due, and how far they are.

use std::time::Duration;

use super::{BATCH, drift, events, part, payments};
use crate::Context;

/// How often Stripe's list of events is read: what webhooks brought is on it once more, a few pages in a busy minute.
const EVERY_LISTING: Duration = Duration::from_secs(60);
/// How often payments are compared.
const EVERY_COMPARISON: Duration = Duration::from_secs(300);
/// How often stock and ledger are compared.
const EVERY_LOOK: Duration = Duration::from_secs(2);
/// How often the inbox is tidied.
const EVERY_PRUNING: Duration = Duration::from_secs(600);
/// A rarer part that failed comes again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Handled events are kept as long as Stripe keeps them.
const EVENTS_LAST: Duration = Duration::from_secs(30 * 24 * 3600);

/// How far a part came that takes more than one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// What it did.
    pub items: u64,
    /// Nothing is left to do for now.
    pub to_an_end: bool,
}

/// Which of the rarer parts are due, and what they remember. Lost with its process, which costs an early look.
#[derive(Debug, Default)]
pub struct Agenda {
    events: Due,
    payments: Due,
    comparison: Option<payments::Comparison>,
    drift: Due,
    shown: drift::Looks,
    prune: Due,
}

/// A time by the monotonic clock; at first, at once.
#[derive(Debug, Default)]
struct Due(Duration);

impl Due {
    fn is_now(&self, ctx: &Context) -> bool {
        self.0 <= ctx.env.monotonic()
    }

    /// Once more in `pause`, or in the next round when there is more to do.
    fn after(&mut self, ctx: &Context, came: &Result<Came, String>, pause: Duration) {
        let pause = match came {
            Ok(Came { to_an_end: false, .. }) => Duration::ZERO,
            Ok(_) => pause + ctx.env.jitter(pause / 8),
            Err(_) => AGAIN_AFTER + ctx.env.jitter(AGAIN_AFTER / 2),
        };
        self.0 = ctx.env.monotonic() + pause;
    }
}

impl Agenda {
    /// Does those of the rarer parts that are due and ask nothing of Stripe.
    pub async fn here(&mut self, ctx: &Context) {
        if self.drift.is_now(ctx) {
            let came = part(ctx, "drift", self.shown.look(ctx)).await.map(at_an_end);
            self.drift.after(ctx, &came, EVERY_LOOK);
        }
        if self.prune.is_now(ctx) {
            let came = part(ctx, "old_events", prune(ctx)).await;
            let came = came.map(|items| Came { items, to_an_end: items < u64::from(BATCH) });
            self.prune.after(ctx, &came, EVERY_PRUNING);
        }
    }

    /// Does those that are due and ask Stripe.
    pub async fn at_stripe(&mut self, ctx: &Context) {
        if self.events.is_now(ctx) {
            let came = part_of(ctx, "missed_events", events::read_missed(ctx)).await;
            self.events.after(ctx, &came, EVERY_LISTING);
        }
        if self.payments.is_now(ctx) {
            let came = part_of(ctx, "payments", compare(ctx, &mut self.comparison)).await;
            self.payments.after(ctx, &came, EVERY_COMPARISON);
        }
    }
}

fn at_an_end(items: u64) -> Came {
    Came { items, to_an_end: true }
}

async fn compare(ctx: &Context, under_way: &mut Option<payments::Comparison>) -> Result<Came, String> {
    let mut comparison = match under_way.take() {
        Some(comparison) => comparison,
        None => payments::Comparison::next(ctx).await?,
    };
    let came = comparison.go_on(ctx).await;
    if !came.as_ref().is_ok_and(|came| came.to_an_end) {
        *under_way = Some(comparison);
    }
    came
}

/// Forgets events that were handled long ago; Stripe has forgotten them by then, and sends none of them again.
async fn prune(ctx: &Context) -> Result<u64, String> {
    let before = ctx.ledger.now().minus(EVENTS_LAST);
    ctx.ledger.prune_events(before, BATCH).await.map_err(|error| error.to_string())
}

/// The same for a part that takes more than one round.
async fn part_of(
    ctx: &Context,
    name: &'static str,
    work: impl Future<Output = Result<Came, String>>,
) -> Result<Came, String> {
    let mut came = Came { items: 0, to_an_end: true };
    let items = async {
        came = work.await?;
        Ok(came.items)
    };
    part(ctx, name, items).await?;
    Ok(came)
}
