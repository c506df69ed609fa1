//! The rule of the books (pure), in whole microseconds and thousandths of a request a second. `redis/budget.lua` is the
//! same rule in the server's language, and the suite holds both to it.
//!
//! Slots are given by the generic cell rate algorithm (ITU-T I.371, annex A.1): a meter remembers when its next slot is,
//! and each slot moves that on by a gap. A slot that nobody took in time is lost, but for those of the last moment
//! ([`BURST_GAPS`]): without them a process that wakes up late would waste what it waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Ask, Endpoint, Meter, Reserved, Scope, Standing};

/// Thousandths of a request a second.
pub type MilliHertz = u64;

/// What the settings allow, in requests a second; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// To each endpoint.
    pub endpoint: Option<u32>,
    /// To all endpoints together.
    pub total: Option<u32>,
}

/// Slots that may be late, in gaps, and the least time for that, in µs.
const BURST_GAPS: i64 = 2;
const BURST_LEAST: i64 = 20_000;
/// Slots that are given at once fit into this, in µs.
const LOT: i64 = 20_000;
/// Books that were lost may have promised slots that nobody knows of now: none are given for so long, in µs.
const EMPTY: i64 = 100_000;
/// A next slot that is further away than this, in µs, was set by a clock that went wrong.
const TOO_FAR: i64 = 60_000_000;
/// A cut leaves seven tenths, and comes once in so long, in µs.
const CUT_EVERY: i64 = 1_000_000;
/// Less is never allowed: somebody has to find out that Stripe answers again.
const FLOOR: i64 = 1_000;
/// What Stripe allows everybody: where no limit was set, and one is met, it is not less at first.
const EVERYBODYS: i64 = 25_000;
/// What was cut grows by this part of the limit a second.
const GROWTH: i64 = 50;
/// A limit that nobody has set is forgotten when it has grown so many times.
const FORGOTTEN: i64 = 4;

#[derive(Clone, Copy, Debug)]
struct Cut {
    at: i64,
    rate: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// When the next slot is; `None` when none was taken yet.
    next: Option<i64>,
    cut: Option<Cut>,
    taken: u64,
    throttled: u64,
}

/// A limit of the settings, in thousandths a second.
fn limit(per_second: Option<u32>) -> Option<i64> {
    per_second.filter(|rate| *rate > 0).map(|rate| i64::from(rate) * 1_000)
}

fn gap(rate: i64) -> i64 {
    (1_000_000_000 + rate - 1) / rate
}

impl Entry {
    fn allowed(&self, limit: Option<i64>, now: i64) -> Option<i64> {
        let Some(cut) = self.cut else { return limit };
        let grown = cut.rate + limit.unwrap_or(cut.rate) * (now - cut.at).max(0) / GROWTH / 1_000_000;
        match limit {
            Some(limit) => Some(grown.min(limit)),
            None => (grown < cut.rate * FORGOTTEN).then_some(grown),
        }
    }

    /// The first slot that can be had, of books that were begun at `born`.
    fn first(&self, gap: i64, born: i64, now: i64) -> i64 {
        let burst = (gap * BURST_GAPS).max(BURST_LEAST);
        let next = self.next.filter(|next| next - now <= TOO_FAR);
        next.unwrap_or(born).max(now - burst).max(born)
    }

    fn meter(&self, limit: Option<i64>, now: i64) -> Meter {
        let allowed = self.allowed(limit, now);
        Meter {
            allowed: allowed.and_then(|rate| u64::try_from(rate).ok()),
            is_cut: allowed != limit,
            taken: self.taken,
            throttled: self.throttled,
        }
    }
}

/// The books of one shop.
#[derive(Debug)]
pub(super) struct Book {
    born: i64,
    endpoints: BTreeMap<Endpoint, Entry>,
    total: Entry,
}

impl Book {
    pub(super) fn begun(now: i64) -> Self {
        Self { born: now + EMPTY, endpoints: BTreeMap::new(), total: Entry::default() }
    }

    pub(super) fn reserve(&mut self, ask: Ask, now: i64) -> Reserved {
        let entry = self.endpoints.entry(ask.endpoint).or_default();
        let own = entry.allowed(limit(ask.limits.endpoint), now).map(gap);
        let all = self.total.allowed(limit(ask.limits.total), now).map(gap);
        let Some(widest) = own.max(all) else { return Reserved::Unlimited };
        let total = all.map(|gap| self.total.first(gap, self.born, now));
        // Who takes nothing ahead leaves one for those who do.
        let spare = total.map(|total| total + all.unwrap_or(0));
        if let Some(spare) = spare.filter(|spare| *spare > now && !ask.ahead) {
            return Reserved::Later(micros(spare - now));
        }
        // What the total has missed is nothing that an endpoint could make up for.
        let own_first = own.map(|gap| entry.first(gap, self.born, now));
        let first = own_first.max(total.filter(|total| own.is_none() || *total > now)).unwrap_or(now);
        let wait = micros(first - now);
        if wait > ask.patience {
            return Reserved::Later(wait);
        }
        let count = i64::from(ask.most.max(1)).min((LOT / widest).max(1));
        if let Some(gap) = own {
            entry.next = Some(first + count * gap);
        }
        // Of the total a slot is used up when it is taken, for others go through it meanwhile.
        if let (Some(gap), Some(total)) = (all, total) {
            self.total.next = Some(total + count * gap);
        }
        let count = u32::try_from(count).unwrap_or(1);
        entry.taken += u64::from(count);
        self.total.taken += u64::from(count);
        Reserved::Slots { wait, gap: micros(widest), count }
    }

    pub(super) fn cut(&mut self, scope: Scope, limits: Limits, observed: Option<MilliHertz>, now: i64) -> bool {
        let (entry, limit) = match scope {
            Scope::Endpoint(endpoint) => (self.endpoints.entry(endpoint).or_default(), limit(limits.endpoint)),
            Scope::Total => (&mut self.total, limit(limits.total)),
        };
        entry.throttled += 1;
        if entry.cut.is_some_and(|cut| now - cut.at < CUT_EVERY && now >= cut.at) {
            return false;
        }
        let observed = observed.and_then(|rate| i64::try_from(rate).ok()).unwrap_or(0);
        let rate = match entry.allowed(limit, now) {
            Some(rate) => (rate * 7 / 10).max(FLOOR.min(limit.unwrap_or(FLOOR))),
            None => (observed * 7 / 10).max(EVERYBODYS),
        };
        entry.cut = Some(Cut { at: now, rate });
        entry.next = Some(entry.next.unwrap_or(now).max(now + gap(rate)));
        true
    }

    pub(super) fn standing(&self, limits: Limits, now: i64) -> Standing {
        let (own, all) = (limit(limits.endpoint), limit(limits.total));
        Standing {
            endpoints: self.endpoints.iter().map(|(endpoint, entry)| (*endpoint, entry.meter(own, now))).collect(),
            total: self.total.meter(all, now),
            unasked: own.and_then(|rate| u64::try_from(rate).ok()),
            sharers: 1,
            latency: None,
        }
    }
}

/// A time that lies ahead; zero when it has passed.
fn micros(time: i64) -> Duration {
    Duration::from_micros(u64::try_from(time).unwrap_or(0))
}
