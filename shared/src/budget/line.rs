//! Those of one process who wait for one endpoint. The first of them asks for a slot; the others wait for it to go.
//!
//! How many may be under way at the same time follows from Little's law (J. D. C. Little, 1961): the rate, times how long
//! Stripe takes, with as much again for when it takes longer. So a Stripe that becomes slow is not buried in requests,
//! and one that is merely far away is used to the full.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::channel::oneshot;
use parking_lot::Mutex;

use super::turns::Ticket;

/// So long Stripe takes, as long as nobody knows better.
const GUESS: Duration = Duration::from_secs(1);
/// A longer time is not allowed for: who waits for a slow Stripe need not be joined by more.
const SLOWEST: Duration = Duration::from_secs(3);
/// So many may always be under way.
const LEAST: usize = 4;
/// The bound is that of the law, so many times.
const HEADROOM: u32 = 2;
/// A cut of what may be under way leaves seven tenths, once in so long; each so long a tenth of that is added again.
const CUT_EVERY: Duration = Duration::from_secs(1);
/// A cut leaves so many, and gives so many back each time, at least.
const CUT_LEAST: usize = 10;
const GROWTH_LEAST: usize = 2;

/// After so many requests in a row that nobody answered, one at a time is sent, so long after the last: Stripe is down,
/// and whoever waits keeps a place.
const SILENT: u32 = 5;
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A line.
#[derive(Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: BTreeMap<Ticket, oneshot::Sender<()>>,
    /// The first of the line has stepped out of it and is after a slot.
    has_head: bool,
    under_way: usize,
    /// How many may be, by the rate; `None` is any number.
    bound: Option<usize>,
    /// Stripe has refused for there being too many: when, and how many were left then.
    cut: Option<(Duration, usize)>,
    /// How long an answer takes, the last ones weighing most.
    latency: Option<Duration>,
    lot: Option<Lot>,
    /// Requests in a row that nobody answered, and when the last one was given up.
    silent: (u32, Duration),
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Stripe has answered after so long.
    Answered(Duration),
    /// Stripe has refused for there being too much at once.
    Refused,
    /// Nobody has answered.
    Unheard,
    /// It was given up, or nobody said.
    Unknown,
}

/// Slots that were taken together.
struct Lot {
    next: Duration,
    gap: Duration,
    left: u32,
}

impl State {
    fn most(&self, now: Duration) -> usize {
        if self.silent.0 >= SILENT {
            return 1;
        }
        let cut = self.cut.map(|(at, left)| {
            let times = usize::try_from(now.saturating_sub(at).as_secs() / CUT_EVERY.as_secs()).unwrap_or(usize::MAX);
            left.saturating_add(times.saturating_mul((left / 10).max(GROWTH_LEAST)))
        });
        self.bound.unwrap_or(usize::MAX).min(cut.unwrap_or(usize::MAX))
    }

    /// The next one becomes the head, if there is room for it.
    fn advance(&mut self, now: Duration) {
        while !self.has_head && self.under_way < self.most(now) {
            let Some((_, wake)) = self.waiting.pop_first() else { return };
            // One that was dropped meanwhile is passed over.
            self.has_head = wake.send(()).is_ok();
        }
    }
}

/// Somebody's place in a line, given up when it is dropped.
pub(super) struct Place<'a> {
    line: &'a Line,
    ticket: Ticket,
    now: &'a (dyn Fn() -> Duration + Send + Sync),
    left: bool,
}

impl Place<'_> {
    /// The head leaves the line, and its request is under way.
    pub(super) fn leave(mut self) {
        self.left = true;
        let mut state = self.line.0.lock();
        state.has_head = false;
        state.under_way += 1;
        state.advance((self.now)());
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let mut state = self.line.0.lock();
        // Who is not in line any more is its head.
        if state.waiting.remove(&self.ticket).is_none() {
            state.has_head = false;
        }
        state.advance((self.now)());
    }
}

impl Line {
    /// Stands in line; the future ends when it is this ticket's turn to ask for a slot.
    pub(super) fn join<'a>(
        &'a self,
        ticket: Ticket,
        now: &'a (dyn Fn() -> Duration + Send + Sync),
    ) -> (Place<'a>, oneshot::Receiver<()>) {
        let (wake, woken) = oneshot::channel();
        let mut state = self.0.lock();
        state.waiting.insert(ticket, wake);
        state.advance(now());
        (Place { line: self, ticket, now, left: false }, woken)
    }

    /// A request goes out that had not to wait.
    pub(super) fn pass(&self) {
        self.0.lock().under_way += 1;
    }

    /// A request is over. Who was refused for coming too early says nothing of how long Stripe takes.
    pub(super) fn end(&self, end: End, now: Duration) {
        let mut state = self.0.lock();
        state.under_way = state.under_way.saturating_sub(1);
        match end {
            End::Answered(took) => {
                state.latency = Some(state.latency.map_or(took, |before| (before * 15 + took) / 16));
                state.silent.0 = 0;
            }
            End::Refused => state.silent.0 = 0,
            End::Unheard => state.silent = (state.silent.0.saturating_add(1), now),
            End::Unknown => {}
        }
        state.advance(now);
    }

    /// Whether nobody has answered lately.
    pub(super) fn is_silent(&self) -> bool {
        self.0.lock().silent.0 >= SILENT
    }

    /// How long the next one waits because of that.
    pub(super) fn probe_in(&self, now: Duration) -> Duration {
        let (silent, last) = self.0.lock().silent;
        if silent < SILENT { Duration::ZERO } else { (last + PROBE_EVERY).saturating_sub(now) }
    }

    /// Takes the next slot of those that were taken together; one that lies too far back is of no use any more.
    pub(super) fn slot(&self, now: Duration) -> Option<Duration> {
        let mut state = self.0.lock();
        let lot = state.lot.as_mut().filter(|lot| lot.left > 0)?;
        while lot.left > 1 && lot.next + lot.gap * 2 < now {
            lot.next += lot.gap;
            lot.left -= 1;
        }
        let slot = lot.next;
        lot.next += lot.gap;
        lot.left -= 1;
        (slot + lot.gap * 2 >= now || lot.gap.is_zero()).then_some(slot)
    }

    /// Keeps slots for those who come next.
    pub(super) fn keep(&self, next: Duration, gap: Duration, left: u32) {
        self.0.lock().lot = Some(Lot { next, gap, left });
    }

    /// How many stand in line.
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.0.lock().under_way
    }

    /// How many may be under way, by the rate; `None` is any number.
    pub(super) fn bound(&self) -> Option<usize> {
        self.0.lock().bound
    }

    /// How long Stripe takes.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.0.lock().latency
    }

    /// How many may be under way at this rate, in thousandths a second; `None` is any number.
    pub(super) fn set_rate(&self, rate: Option<u64>, now: Duration) {
        let mut state = self.0.lock();
        let latency = state.latency.unwrap_or(GUESS).min(SLOWEST);
        state.bound = rate.map(|rate| law(rate, latency * HEADROOM).max(LEAST));
        state.advance(now);
    }

    /// Too many were under way; whether fewer may be now.
    pub(super) fn cut(&self, now: Duration) -> bool {
        let mut state = self.0.lock();
        if state.cut.is_some_and(|(at, _)| now.saturating_sub(at) < CUT_EVERY) {
            return false;
        }
        let left = (state.under_way.min(state.most(now)) * 7 / 10).max(CUT_LEAST);
        state.cut = Some((now, left));
        true
    }

    /// Whether anything bounds those under way.
    pub(super) fn is_cut(&self) -> bool {
        self.0.lock().cut.is_some()
    }
}

/// So many are under way at this rate, in thousandths a second, if each takes so long.
pub(super) fn law(rate: u64, time: Duration) -> usize {
    let many = u128::from(rate) * time.as_millis() / 1_000_000;
    usize::try_from(many).unwrap_or(usize::MAX).saturating_add(1)
}
