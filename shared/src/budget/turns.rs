//! The budget as a process sees it: lines in front of the books.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;

use super::line::{End, Line, Place, law};
use super::memory::MemorySlots;
use super::{Ask, Endpoint, Limits, MilliHertz, Reserved, Scope, Sharer, Slots, SlotsError, Standing, Throttle};
use crate::env::{Env, Timestamp};

/// The first of those who are no charge waits so long for the total to be free before it takes a slot ahead, as charges do.
const MODESTY: Duration = Duration::from_secs(1);
/// So much work a process takes on beyond what is under way, in time.
const AT_HAND: Duration = Duration::from_millis(1_500);
/// A worker has so many charges in hand at least.
const HANDS_LEAST: usize = 4;

/// A place among all who ask: the lower, the sooner. Whoever comes again with the same ticket goes before later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// When the job was queued, roughly: those of one moment may have been queued in any order.
    moment: i64,
    /// The number in a sale's queue.
    number: i64,
    /// Which came first, where the others are the same.
    asked: u64,
}

/// Jobs that are queued within so many ms of each other go by their numbers.
const MOMENT: i64 = 500;

/// The budget as a process sees it.
pub struct Budget {
    env: Env,
    slots: Arc<dyn Slots>,
    /// What is gone by while the books cannot be reached.
    spare: MemorySlots,
    limits: Limits,
    name: String,
    lines: [Line; Endpoint::ALL.len()],
    asked: [AtomicU64; Endpoint::ALL.len()],
    tickets: AtomicU64,
    /// Something bounds somebody: otherwise nobody waits, and nothing is asked of the books.
    is_limited: AtomicBool,
    /// As last seen.
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    standing: Standing,
    /// When `asked` was last looked at, what it was then, and what was asked a second (in thousandths).
    at: Duration,
    asked: [u64; Endpoint::ALL.len()],
    rates: [MilliHertz; Endpoint::ALL.len()],
}

/// The right to send one request now. Dropped when the request is over, with or without a word on what came of it.
pub struct Turn<'a> {
    budget: &'a Budget,
    endpoint: Endpoint,
    began: Duration,
    end: End,
}

impl Budget {
    /// A budget over these books, within these limits; `name` is this process's, which no other has.
    #[must_use]
    pub fn new(env: Env, slots: Arc<dyn Slots>, limits: Limits, name: String) -> Self {
        let limited = limits.endpoint.is_some() || limits.total.is_some();
        let budget = Self {
            spare: MemorySlots::new(env.clone()),
            slots,
            limits,
            name,
            lines: std::array::from_fn(|_| Line::default()),
            asked: std::array::from_fn(|_| AtomicU64::new(0)),
            tickets: AtomicU64::new(0),
            is_limited: AtomicBool::new(limited),
            seen: Mutex::default(),
            env,
        };
        let unasked = limits.endpoint.map(|rate| u64::from(rate) * 1_000);
        let total = super::Meter { allowed: limits.total.map(|rate| u64::from(rate) * 1_000), ..Default::default() };
        budget.learn(Standing { unasked, total, sharers: 1, ..Standing::default() });
        budget
    }

    /// The budget of a process that is alone.
    #[must_use]
    pub fn alone(env: Env, limits: Limits) -> Self {
        Self::new(env.clone(), Arc::new(MemorySlots::new(env)), limits, "alone".into())
    }

    /// The next place among all who ask.
    pub fn ticket(&self) -> Ticket {
        Ticket { moment: 0, number: 0, asked: self.tickets.fetch_add(1, Ordering::Relaxed) }
    }

    /// The place of an order's charge: by when its job was queued, and by its number in its sale's queue. So those who
    /// were accepted together go in the order in which they were, however their jobs overtook each other since.
    pub fn ticket_of(&self, queued_at: Timestamp, number: i64) -> Ticket {
        Ticket { moment: queued_at.0.div_euclid(MOMENT), number, ..self.ticket() }
    }

    /// Waits for this ticket's turn, in the order of tickets.
    ///
    /// # Errors
    /// How long it would still take, when it is not this ticket's turn within `patience`. Nothing was taken then.
    pub async fn turn(&self, endpoint: Endpoint, ticket: Ticket, patience: Duration) -> Result<Turn<'_>, Duration> {
        self.asked[endpoint.place()].fetch_add(1, Ordering::Relaxed);
        let line = &self.lines[endpoint.place()];
        if !self.is_limited.load(Ordering::Relaxed) {
            line.pass();
            return Ok(self.begin(endpoint));
        }
        let began = self.env.monotonic();
        let now = || self.env.monotonic();
        let (place, mut woken) = line.join(ticket, &now);
        // The head need not wait for a timer.
        if woken.try_recv().ok().flatten().is_none() && self.env.timeout(patience, woken).await.is_none() {
            return Err(self.until_free(endpoint));
        }
        let slot = self.slot(endpoint, line, began, patience).await?;
        let wait = slot.saturating_sub(now()).max(line.probe_in(now()));
        if !wait.is_zero() {
            self.env.sleep(wait).await;
        }
        Place::leave(place);
        histogram!("stripe_budget_wait_seconds", "endpoint" => endpoint.as_str())
            .record(now().saturating_sub(began).as_secs_f64());
        Ok(self.begin(endpoint))
    }

    fn begin(&self, endpoint: Endpoint) -> Turn<'_> {
        counter!("stripe_budget_used_total", "endpoint" => endpoint.as_str()).increment(1);
        Turn { budget: self, endpoint, began: self.env.monotonic(), end: End::Unknown }
    }

    /// The time of the head's slot.
    async fn slot(
        &self,
        endpoint: Endpoint,
        line: &Line,
        began: Duration,
        patience: Duration,
    ) -> Result<Duration, Duration> {
        let head_since = self.env.monotonic();
        loop {
            let now = self.env.monotonic();
            if let Some(slot) = line.slot(now) {
                return Ok(slot);
            }
            let waited = now.saturating_sub(began);
            let ask = Ask {
                endpoint,
                limits: self.limits,
                most: u32::try_from(line.waiting().saturating_add(1)).unwrap_or(u32::MAX),
                ahead: endpoint.is_charge() || now.saturating_sub(head_since) >= MODESTY,
                patience: patience.saturating_sub(waited),
            };
            match self.reserve(ask).await {
                Reserved::Unlimited => return Ok(now),
                Reserved::Slots { wait, gap, count } => {
                    let first = self.env.monotonic() + wait;
                    line.keep(first + gap, gap, count.saturating_sub(1));
                    return Ok(first);
                }
                Reserved::Later(wait) if wait > ask.patience => return Err(wait),
                Reserved::Later(wait) => self.env.sleep(wait.max(Duration::from_millis(1))).await,
            }
        }
    }

    async fn reserve(&self, ask: Ask) -> Reserved {
        let error = match self.slots.reserve(ask).await {
            Ok(reserved) => return reserved,
            Err(error) => error,
        };
        self.lost(&error);
        // Everybody else is in the same place: each takes its part.
        let ask = Ask { limits: ask.limits.shared_by(self.seen.lock().standing.sharers), ..ask };
        self.spare.reserve(ask).await.unwrap_or(Reserved::Unlimited)
    }

    fn lost(&self, error: &SlotsError) {
        counter!("stripe_budget_lost_total").increment(1);
        tracing::debug!(%error, "this process keeps to its part of the budget by itself");
    }

    /// How long those who stand in line will take.
    fn until_free(&self, endpoint: Endpoint) -> Duration {
        let waiting = u64::try_from(self.lines[endpoint.place()].waiting()).unwrap_or(u64::MAX).saturating_add(1);
        let rate = self.share(endpoint).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(waiting.saturating_mul(1_000_000) / rate).max(Duration::from_millis(1))
    }

    /// This process's part of what an endpoint may be asked, in thousandths a second.
    fn share(&self, endpoint: Endpoint) -> Option<MilliHertz> {
        let seen = self.seen.lock();
        let sharers = u64::from(seen.standing.sharers.max(1));
        seen.standing.allowed(endpoint).map(|rate| (rate / sharers).max(1))
    }

    /// Stripe has refused a request; less is asked from now on.
    pub async fn throttled(&self, endpoint: Endpoint, throttle: Throttle) {
        counter!("stripe_budget_throttled_total", "reason" => throttle.as_str()).increment(1);
        let scope = match throttle {
            Throttle::Resource => return,
            Throttle::EndpointConcurrency => {
                self.lines[endpoint.place()].cut(self.env.monotonic());
                return self.is_limited.store(true, Ordering::Relaxed);
            }
            Throttle::GlobalConcurrency => {
                let now = self.env.monotonic();
                for line in self.lines.iter().filter(|line| line.under_way() > 0) {
                    line.cut(now);
                }
                return self.is_limited.store(true, Ordering::Relaxed);
            }
            Throttle::EndpointRate => Scope::Endpoint(endpoint),
            Throttle::GlobalRate => Scope::Total,
        };
        self.is_limited.store(true, Ordering::Relaxed);
        let observed = self.observed(scope);
        match self.slots.cut(scope, self.limits, observed).await {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(?scope, "Stripe refuses so many requests: it is asked less often");
                self.look(false).await;
            }
            Err(error) => {
                self.lost(&error);
                let _ = self.spare.cut(scope, self.limits, observed).await;
            }
        }
    }

    /// How often Stripe was asked lately by all who share, as far as can be told from here.
    fn observed(&self, scope: Scope) -> Option<MilliHertz> {
        let mut seen = self.seen.lock();
        self.measure(&mut seen);
        let rate = match scope {
            Scope::Endpoint(endpoint) => seen.rates[endpoint.place()],
            Scope::Total => seen.rates.iter().sum(),
        };
        Some(rate * u64::from(seen.standing.sharers.max(1))).filter(|rate| *rate > 0)
    }

    fn measure(&self, seen: &mut Seen) {
        let now = self.env.monotonic();
        let passed = u64::try_from(now.saturating_sub(seen.at).as_millis()).unwrap_or(u64::MAX);
        if passed < 200 {
            return;
        }
        seen.at = now;
        for (place, asked) in self.asked.iter().enumerate() {
            let asked = asked.load(Ordering::Relaxed);
            let new = asked.saturating_sub(seen.asked[place]);
            seen.rates[place] = new.saturating_mul(1_000_000) / passed;
            seen.asked[place] = asked;
        }
    }

    /// Reads how the budget stands. A process that charges `shares` it, and says so; every second, or it is forgotten.
    pub async fn look(&self, shares: bool) {
        let latency = self.lines[Endpoint::CreateIntent.place()].latency();
        let sharer = shares.then_some(Sharer { name: &self.name, latency });
        match self.slots.standing(self.limits, sharer).await {
            Ok(standing) => self.learn(standing),
            Err(error) => self.lost(&error),
        }
    }

    fn learn(&self, standing: Standing) {
        let is_cut = standing.total.allowed.is_some() || standing.endpoints.values().any(|m| m.allowed.is_some());
        let limited =
            is_cut || self.limits.endpoint.is_some() || self.lines.iter().any(|line| line.is_cut() || line.is_silent());
        self.is_limited.store(limited, Ordering::Relaxed);
        let now = self.env.monotonic();
        for (endpoint, meter) in &standing.endpoints {
            tell(endpoint.as_str(), meter.allowed);
            gauge!("stripe_budget_under_way", "endpoint" => endpoint.as_str())
                .set(count(self.lines[endpoint.place()].under_way()));
        }
        tell("total", standing.total.allowed);
        {
            let mut seen = self.seen.lock();
            self.measure(&mut seen);
            seen.standing = standing;
        }
        for endpoint in Endpoint::ALL {
            self.lines[endpoint.place()].set_rate(self.share(endpoint), now);
        }
    }

    /// How the budget stands, as this process last saw it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let standing = self.seen.lock().standing.clone();
        Standing { latency: self.lines[Endpoint::CreateIntent.place()].latency().or(standing.latency), ..standing }
    }

    /// How often an endpoint may be asked now, in thousandths a second (`None`: any number), and how long Stripe takes for a
    /// charge.
    #[must_use]
    pub fn pace(&self, endpoint: Endpoint) -> (Option<MilliHertz>, Option<Duration>) {
        let own = self.lines[Endpoint::CreateIntent.place()].latency();
        let seen = self.seen.lock();
        (seen.standing.allowed(endpoint), own.or(seen.standing.latency))
    }

    /// How many charges a process should have in hand: those under way, and those that go out within a second and a half.
    /// More would only wait here instead of in the queue, where their order is kept. `None` is any number.
    #[must_use]
    pub fn hands(&self) -> Option<usize> {
        let latency = self.lines[Endpoint::CreateIntent.place()].latency().unwrap_or(Duration::from_secs(1));
        let share = self.share(Endpoint::CreateIntent)?;
        Some(law(share, latency.min(Duration::from_secs(3)) + AT_HAND).max(HANDS_LEAST))
    }

    /// How many charges may be under way in this process, by its part of the budget and by how long Stripe takes (Little's
    /// law). `None` is any number.
    #[must_use]
    pub fn most_charges(&self) -> Option<usize> {
        self.lines[Endpoint::CreateIntent.place()].bound()
    }

    /// Whether Stripe has not answered at this endpoint, several times in a row.
    #[must_use]
    pub fn is_silent(&self, endpoint: Endpoint) -> bool {
        self.lines[endpoint.place()].is_silent()
    }

    /// Whether anybody may have to wait.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }
}

fn tell(of: &'static str, allowed: Option<MilliHertz>) {
    // A thousandth of a request a second, as a thousandth of a second is of one.
    let allowed = allowed.map_or(f64::INFINITY, |rate| Duration::from_millis(rate).as_secs_f64());
    gauge!("stripe_budget_allowed_per_second", "endpoint" => of).set(allowed);
}

fn count(many: usize) -> f64 {
    f64::from(u32::try_from(many).unwrap_or(u32::MAX))
}

impl Limits {
    /// One part of so many equal ones; at least one request a second.
    #[must_use]
    fn shared_by(self, sharers: u32) -> Self {
        let part = |rate: Option<u32>| rate.map(|rate| (rate / sharers.max(1)).max(1));
        Self { endpoint: part(self.endpoint), total: part(self.total) }
    }
}

impl Turn<'_> {
    /// Stripe has answered, whatever it said: so long it takes.
    pub fn answered(mut self) {
        self.end = End::Answered(self.budget.env.monotonic().saturating_sub(self.began));
    }

    /// Nobody has answered. When that was so several times in a row, Stripe is asked once a second until it is not.
    pub fn unheard(mut self) {
        self.end = End::Unheard;
    }

    /// Stripe has refused, for there being too much at once.
    pub async fn throttled(mut self, throttle: Throttle) {
        self.end = End::Refused;
        let (budget, endpoint) = (self.budget, self.endpoint);
        drop(self);
        budget.throttled(endpoint, throttle).await;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let now = self.budget.env.monotonic();
        let line = &self.budget.lines[self.endpoint.place()];
        line.end(self.end, now);
        if line.is_silent() {
            self.budget.is_limited.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
