//! Puts the overview together, from where each thing is known: sales and counters from the ledger, units from the stock,
//! jobs from the queue, rates from what the processes have counted since the last look.
//!
//! Somebody has to ask for each look; one within `FRESH` of the last is that one again. So many who look cost no more
//! than one. What cannot be read in time is left out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, join3};
use serde_json::{Value, json};
use shared::budget::forecast::{AT_ONCE, Forecast as Length};
use shared::budget::{Endpoint, SharedBudget, Standing};
use shared::env::{Env, Timestamp};
use shared::fleet::{Outlook, Process};
use shared::ledger::{Left, SaleCounters, SharedLedger};
use shared::queue::Queue;
use shared::sale::{Sale, Status};
use shared::steer::SaleRow;
use shared::stock::{Levels, SharedStock};
use shared::telemetry::standing;
use tokio::sync::Mutex;

use super::conservation::Checks;
use super::overview::{Budget, Forecast, Overview, Point, QueueRow, Rates, Thousandths, whole_ms};
use super::tally::{Growth, Tally};
use crate::sales;

/// A look within this time of the last one is the last one.
const FRESH: Duration = Duration::from_millis(800);
/// What is not read within this time is not known.
const WITHIN: Duration = Duration::from_secs(2);
/// Rates are those of about this time.
const OVER: Duration = Duration::from_secs(5);
/// A pace that was measured for a shorter time is none.
const LONG_ENOUGH: Duration = Duration::from_secs(4);
/// Orders in review are counted this often, and so many at most.
const REVIEWS_EVERY: Duration = Duration::from_secs(3);
const MOST_REVIEWS: u32 = 500;
/// How far back the plots go.
pub const HISTORY: Duration = Duration::from_secs(15 * 60);
/// Points of the plots at most, whoever looks how often.
const POINTS: usize = 900;
/// How long Stripe takes for a charge, as long as no worker has seen one.
const GUESS: Duration = Duration::from_millis(600);

/// Where things are known.
#[derive(Clone)]
pub struct Sources {
    /// Time.
    pub env: Env,
    /// Sales, and what was accepted and finished.
    pub ledger: SharedLedger,
    /// Units.
    pub stock: SharedStock,
    /// Jobs.
    pub queue: Arc<dyn Queue>,
    /// How often Stripe may be asked.
    pub budget: SharedBudget,
    /// The processes, and what they count.
    pub outlook: Outlook,
}

/// Composes overviews.
pub struct Composer {
    sources: Sources,
    /// Locked for a whole look: who comes meanwhile waits for it, and gets the same.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    checks: Checks,
    /// Counters as last read, the oldest first: of about [`OVER`].
    counts: VecDeque<Counts>,
    growth: Growth,
    history: VecDeque<Point>,
    /// Orders that wait for a person, and when they were counted, by the monotonic clock.
    reviews: Option<(Duration, Option<u64>)>,
    last: Option<(Duration, Arc<Overview>)>,
}

/// Counters at a moment.
#[derive(Clone, Debug, Default)]
struct Counts {
    at: Duration,
    accepted: Option<u64>,
    settled: Option<u64>,
    /// Slots of the budget that were taken for charges.
    taken: u64,
}

impl Counts {
    /// Orders that wait for their charge.
    fn waiting(&self) -> Option<u64> {
        self.accepted.zip(self.settled).map(|(accepted, settled)| accepted.saturating_sub(settled))
    }
}

/// What was read of a sale.
struct Shown {
    sale: Sale,
    levels: Option<Levels>,
    counters: Option<SaleCounters>,
}

impl Composer {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self { sources, state: Mutex::default() }
    }

    /// How it is now.
    pub async fn look(&self) -> Arc<Overview> {
        let mut state = self.state.lock().await;
        let now = self.sources.env.monotonic();
        if let Some((at, overview)) = &state.last
            && now.saturating_sub(*at) < FRESH
        {
            return overview.clone();
        }
        let overview = Arc::new(self.compose(&mut state, now).await);
        state.last = Some((now, overview.clone()));
        overview
    }

    /// The points of the plots so far, the oldest first.
    pub async fn history(&self) -> Vec<Point> {
        self.state.lock().await.history.iter().copied().collect()
    }

    async fn compose(&self, state: &mut State, now: Duration) -> Overview {
        let Sources { env, ledger, queue, budget, outlook, .. } = &self.sources;
        let sales = env.timeout(WITHIN, self.read_sales(&mut state.checks, now));
        let queues = env.timeout(WITHIN, standing::read_queues(&**queue));
        // It looks at the budget, too.
        let seen = env.timeout(WITHIN, outlook.read(&**queue));
        let (sales, queues, seen) = join3(sales, queues, seen).await;
        let (sales, at, standing) = (sales.flatten(), ledger.now(), budget.standing());
        let seen = seen.and_then(|seen| {
            seen.inspect_err(|error| tracing::debug!(error, "nobody knows which processes there are")).ok()
        });
        let processes = seen.as_ref().map(|(processes, _)| processes.as_slice());
        state.growth.note(processes.unwrap_or_default());
        let tally = processes.map(Tally::of);
        let sum = |of: fn(&SaleCounters) -> i64| {
            let each = sales.as_ref()?.iter().map(|shown| shown.counters.as_ref().map(of));
            each.map(|count| count.and_then(|count| u64::try_from(count).ok())).sum()
        };
        let counts = Counts {
            at: now,
            accepted: sum(|counters| counters.accepted),
            settled: sum(|counters| counters.finished),
            taken: standing.of(Endpoint::CreateIntent).taken,
        };
        self.count_reviews(&mut state.reviews, now).await;
        let before = state.counts.back().cloned();
        state.counts.push_back(counts.clone());
        while state.counts.get(1).is_some_and(|second| now.saturating_sub(second.at) >= OVER) {
            state.counts.pop_front();
        }
        let from = state.counts.front().filter(|from| from.at < now);
        let rates = rates(from, &counts, &state.growth);
        let budget = budget_row(&standing, from, &counts, tally.as_ref());
        let reviews = state.reviews.as_ref().and_then(|(_, reviews)| *reviews);
        let overview = Overview {
            kind: "overview",
            at: at.to_rfc3339(),
            rates,
            queues: queues.map(|read| read.into_iter().map(|(name, gauges)| QueueRow::new(name, gauges)).collect()),
            sockets: tally.as_ref().map(|tally| tally.sockets),
            rooms: tally.as_ref().map(|tally| tally.rooms),
            processes: processes.map(|processes| processes.iter().map(Process::to_json).collect()),
            recommended_workers: seen.as_ref().map(|(_, recommended)| recommended.to_json()),
            forecast: forecast(sales.as_deref(), &standing, from, &counts, at),
            reviews,
            latency: tally.as_ref().map(|tally| tally.latency).unwrap_or_default(),
            declines: tally.map(|tally| tally.declines).unwrap_or_default(),
            sales: sales.map(|sales| sales.iter().map(|shown| row(shown, &state.checks, at)).collect()),
            budget,
        };
        remember(&mut state.history, point(&overview, before.as_ref(), &counts, at));
        overview
    }

    /// Counts the orders that wait for a person, now and then.
    async fn count_reviews(&self, known: &mut Option<(Duration, Option<u64>)>, now: Duration) {
        let Sources { env, ledger, .. } = &self.sources;
        if known.is_some_and(|(at, _)| now.saturating_sub(at) < REVIEWS_EVERY) {
            return;
        }
        let read = env.timeout(WITHIN, ledger.left(Left::Review, MOST_REVIEWS)).await;
        let many = read.and_then(Result::ok).and_then(|orders| u64::try_from(orders.len()).ok());
        *known = Some((now, many));
    }

    async fn read_sales(&self, checks: &mut Checks, now: Duration) -> Option<Vec<Shown>> {
        let Sources { ledger, stock, .. } = &self.sources;
        let sales =
            ledger.sales().await.inspect_err(|error| tracing::debug!(%error, "nobody knows which sales there are"));
        let current: Vec<Sale> = standing::current(sales.ok()?, ledger.now()).collect();
        checks.keep(|slug| current.iter().any(|sale| sale.slug == slug));
        let read = join_all(current.into_iter().map(|sale| {
            let due = checks.is_due(&sale.slug, now);
            async move {
                // First the ledger: a unit is in the stock before it is there.
                let committed = if due { ledger.committed(&sale.slug).await.ok().flatten() } else { None };
                let counters = match &committed {
                    Some(committed) => Some(committed.counters),
                    None => ledger.counters(&sale.slug).await.ok().flatten(),
                };
                let levels = stock.levels(&sale.slug).await.ok().flatten();
                (Shown { sale, levels, counters }, committed)
            }
        }));
        let mut shown = Vec::new();
        for (one, committed) in read.await {
            if let (Some(committed), Some(levels)) = (committed, one.levels.clone()) {
                checks.compare(&one.sale.slug, committed, levels, now, ledger.now());
            }
            shown.push(one);
        }
        Some(shown)
    }
}

fn remember(history: &mut VecDeque<Point>, point: Point) {
    history.push_back(point);
    let from = point.at.saturating_sub(i64::try_from(HISTORY.as_millis()).unwrap_or(i64::MAX));
    while history.len() > POINTS || history.front().is_some_and(|first| first.at < from) {
        history.pop_front();
    }
}

/// How much a counter has grown a second between two looks; one that was begun anew has grown by what it shows.
fn rate(from: Option<&Counts>, to: &Counts, of: impl Fn(&Counts) -> Option<u64>) -> Option<Thousandths> {
    let from = from?;
    let (before, after) = (of(from)?, of(to)?);
    let grown = after.checked_sub(before).unwrap_or(after);
    Some(Thousandths::per_second(grown, to.at.saturating_sub(from.at)))
}

fn rates(from: Option<&Counts>, to: &Counts, growth: &Growth) -> Rates {
    Rates {
        accepted_per_second: rate(from, to, |counts| counts.accepted),
        settled_per_second: rate(from, to, |counts| counts.settled),
        paid_per_second: growth.paid(),
        declined_per_second: growth.declined(),
    }
}

fn budget_row(standing: &Standing, from: Option<&Counts>, to: &Counts, tally: Option<&Tally>) -> Budget {
    let allowed = standing.allowed(Endpoint::CreateIntent);
    // Where nothing is limited no slot is taken: then about as many are sent as are finished.
    let sent = |counts: &Counts| if allowed.is_some() { Some(counts.taken) } else { counts.settled };
    Budget {
        used_per_second: rate(from, to, sent),
        allowed_per_second: allowed.map(Thousandths),
        is_cut: standing.is_cut(Endpoint::CreateIntent),
        throttled: tally.map(|tally| tally.throttled.clone()).unwrap_or_default(),
        concurrency: tally.map(|tally| tally.in_hand),
        sharers: standing.sharers,
    }
}

fn forecast(
    sales: Option<&[Shown]>,
    standing: &Standing,
    from: Option<&Counts>,
    to: &Counts,
    at: Timestamp,
) -> Forecast {
    let waiting = to.waiting();
    // What was finished while nobody waited says nothing of how fast it could be; nor does the first moment of a crowd.
    let all_the_time = from.filter(|from| from.waiting() > Some(0) && to.at.saturating_sub(from.at) >= LONG_ENOUGH);
    let measured = rate(all_the_time, to, |counts| counts.settled);
    let measured = measured.filter(|rate| rate.0 > 0 && waiting > Some(0));
    let allowed = standing.allowed(Endpoint::CreateIntent).map(Thousandths);
    let pace = match (measured, allowed) {
        (Some(measured), Some(allowed)) => Some(measured.min(allowed)),
        (measured, allowed) => allowed.or(measured),
    };
    let latency = standing.latency.unwrap_or(GUESS);
    let length = |orders: u64, pace: Thousandths| whole_ms(Length::of(orders, pace.0, latency, AT_ONCE).length);
    let is_over = |shown: &&Shown| status(shown, at) == Status::Closed;
    let units = |shown: &Shown| {
        let tiers = shown.levels.iter().flat_map(|levels| &levels.tiers);
        tiers.map(|tier| u64::from(tier.free) + u64::from(tier.held - tier.pinned.min(tier.held))).sum::<u64>()
    };
    let unsold = sales.map(|sales| sales.iter().filter(|shown| !is_over(shown)).map(units).sum());
    Forecast {
        waiting,
        at_per_second: pace,
        ends_in_ms: waiting.zip(pace).map(|(waiting, pace)| if waiting == 0 { 0 } else { length(waiting, pace) }),
        unsold,
        all_sold_in_ms: unsold.zip(pace).map(|(units, pace)| length(waiting.unwrap_or(0) + units, pace)),
    }
}

fn point(overview: &Overview, before: Option<&Counts>, counts: &Counts, at: Timestamp) -> Point {
    let Overview { latency, rates, .. } = overview;
    Point {
        at: at.0,
        accepted: rate(before, counts, |counts| counts.accepted),
        settled: rate(before, counts, |counts| counts.settled),
        paid: rates.paid_per_second,
        declined: rates.declined_per_second,
        waiting: overview.forecast.waiting,
        used: overview.budget.used_per_second,
        allowed: overview.budget.allowed_per_second,
        accept_ms: latency.accept.map(|times| times.p99_ms),
        stripe_ms: latency.stripe.map(|times| times.p99_ms),
        wait_ms: latency.queue_wait.map(|times| times.p99_ms),
        sockets: overview.sockets,
    }
}

fn status(shown: &Shown, at: Timestamp) -> Status {
    sales::status(&shown.sale, shown.levels.as_ref(), at)
}

fn row(shown: &Shown, checks: &Checks, at: Timestamp) -> Value {
    let Shown { sale, levels, counters } = shown;
    let known = levels.clone().unwrap_or_default();
    let Ok(mut row) = serde_json::to_value(SaleRow::new(sale, &known, at)) else { return Value::Null };
    if levels.is_none() {
        row["status"] = json!(status(shown, at));
        for tier in row["tiers"].as_array_mut().into_iter().flatten() {
            for shelf in ["free", "held", "sold", "blocked"] {
                tier[shelf] = Value::Null;
            }
        }
    }
    row["waiting"] = json!(counters.map(|counters| counters.accepted.saturating_sub(counters.finished).max(0)));
    row["conservation"] = checks.told(&sale.slug, levels.as_ref(), at);
    row
}

#[cfg(test)]
mod tests;
