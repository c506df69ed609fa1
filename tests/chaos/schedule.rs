//! What goes wrong, and when: all of it by the seed.
//!
//! A seed names its schedule to the millisecond. What the processes are doing at that moment it does not name: they are
//! real ones, on a real machine, and do not replay exactly. A seed that has found something finds it again often, not
//! always.

use std::fmt;
use std::time::Duration;

use super::dice::Dice;

/// Faults of one sale.
pub(super) const PER_SALE: usize = 10;
/// From the first shopper to the last, in milliseconds.
pub(super) const WINDOW: u64 = 20_000;
/// Faults begin in this part of the window, in milliseconds.
const BEGINS: (u64, u64) = (800, 16_000);

/// The kinds of faults, as the report names them, and how long each lasts, in milliseconds.
///
/// A process that is stopped is so for longer than the queue's lease (10 s), and than the sweep's (3 s).
pub(super) const KINDS: [(&str, (u64, u64)); 36] = [
    ("web_killed", (200, 3_000)),
    ("worker_killed", (200, 3_000)),
    ("web_killed_at_a_point", (0, 0)),
    ("worker_killed_at_a_point", (0, 0)),
    ("web_stopped", (4_000, 12_000)),
    ("worker_stopped", (11_000, 13_000)),
    ("redis_restarted_with_its_data", (200, 2_000)),
    ("redis_restarted_with_old_data", (200, 2_000)),
    ("redis_restarted_empty", (200, 2_000)),
    ("redis_flushed", (0, 0)),
    ("redis_failed_over_to_a_lagging_replica", (1_000, 3_000)),
    ("redis_cut", (0, 0)),
    ("redis_refused", (500, 3_000)),
    ("redis_slowed", (1_000, 4_000)),
    ("redis_silent", (1_000, 7_000)),
    ("redis_full", (1_000, 4_000)),
    ("postgres_cut", (0, 0)),
    ("postgres_refused", (500, 3_000)),
    ("postgres_slowed", (1_000, 4_000)),
    ("postgres_silent", (1_000, 7_000)),
    ("postgres_crashed", (100, 3_000)),
    ("postgres_disk_full", (1_500, 4_000)),
    ("stripe_slow", (1_500, 4_000)),
    ("stripe_gone", (500, 3_000)),
    ("stripe_429", (1_000, 2_500)),
    ("stripe_500_before", (1_000, 2_500)),
    ("stripe_500_after", (1_000, 2_500)),
    ("stripe_503_html", (1_000, 2_500)),
    ("stripe_cut_before", (1_000, 2_500)),
    ("stripe_cut_after", (1_000, 2_500)),
    ("stripe_lock_timeout", (1_000, 2_500)),
    ("stripe_key_in_use", (1_000, 2_500)),
    ("stripe_hangs", (1_500, 4_000)),
    ("webhooks_lost", (2_000, 5_000)),
    ("webhooks_doubled", (2_000, 5_000)),
    ("webhooks_out_of_order", (2_000, 6_000)),
];

/// Between two faults of the same thing.
const PAUSE: Duration = Duration::from_millis(200);

/// Points at which a web process, or a worker, can be killed ([`shared::crash::POINTS`]).
pub(super) const WEB_POINTS: [&str; 3] = ["after_pin", "after_commit", "after_push"];
pub(super) const WORKER_POINTS: [&str; 6] =
    ["after_claim", "after_stripe_answer", "after_settle", "before_publish", "after_publish", "after_refund_answer"];

/// One fault of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its place in [`KINDS`].
    pub(super) kind: &'static str,
    /// When it begins, after the first shopper.
    pub(super) at: Duration,
    /// When it is over.
    pub(super) until: Duration,
    /// Which of two processes.
    pub(super) place: usize,
    /// Whatever else is left to chance.
    pub(super) pick: u64,
}

impl Fault {
    /// The crash point, where the kind has one.
    pub(super) fn point(&self) -> Option<&'static str> {
        let of = |points: &[&'static str]| Some(points[usize::try_from(self.pick).unwrap() % points.len()]);
        match self.kind {
            "web_killed_at_a_point" => of(&WEB_POINTS),
            "worker_killed_at_a_point" => of(&WORKER_POINTS),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} ms  {}", self.at.as_millis(), self.kind)?;
        if self.kind.starts_with("web_") || self.kind.starts_with("worker_") {
            write!(f, " #{}", self.place)?;
        }
        if let Some(point) = self.point() {
            write!(f, " {point}")?;
        }
        let lasts = self.until.saturating_sub(self.at);
        if lasts.is_zero() { Ok(()) } else { write!(f, " for {} ms", lasts.as_millis()) }
    }
}

/// The faults of a sale, in the order in which they begin: all of different kinds, some at the same time.
pub(super) fn of(seed: u64) -> Vec<Fault> {
    let mut dice = Dice::new(seed, 0);
    let mut left: Vec<(&'static str, (u64, u64))> = KINDS.to_vec();
    let mut faults: Vec<Fault> = Vec::new();
    while faults.len() < PER_SALE {
        let place = usize::try_from(dice.between(0, left.len() as u64 - 1)).unwrap();
        let (kind, (shortest, longest)) = left.swap_remove(place);
        let at = dice.between(BEGINS.0, BEGINS.1);
        let until = Duration::from_millis(at + dice.between(shortest, longest));
        let place = usize::try_from(dice.between(0, 1)).unwrap();
        faults.push(Fault { kind, at: Duration::from_millis(at), until, place, pick: dice.between(0, 1_000) });
    }
    faults.sort_by_key(|fault| fault.at);
    one_at_a_time(&mut faults);
    faults
}

/// Faults of the same thing come one after the other: a server that is down cannot be flushed.
fn one_at_a_time(faults: &mut [Fault]) {
    for later in 1..faults.len() {
        let (before, rest) = faults.split_at_mut(later);
        let Some(fault) = rest.first_mut() else { continue };
        let free = before.iter().filter(|other| of_the_same(other.kind, fault.kind)).map(|other| other.until).max();
        if let Some(free) = free.filter(|free| *free + PAUSE > fault.at) {
            let lasts = fault.until.saturating_sub(fault.at);
            fault.at = free + PAUSE;
            fault.until = fault.at + lasts;
        }
    }
    faults.sort_by_key(|fault| fault.at);
}

fn of_the_same(one: &str, other: &str) -> bool {
    let thing = |kind: &str| match kind.split_once('_') {
        Some((server, "cut")) => format!("{server} connections"),
        Some((server @ ("redis" | "postgres"), "refused" | "slowed" | "silent")) => format!("wire to {server}"),
        Some((process @ ("web" | "worker"), _)) => format!("{process} by itself: {kind}"),
        Some((server, _)) => server.to_owned(),
        None => kind.to_owned(),
    };
    thing(one) == thing(other)
}

/// The seeds of the list, in its order.
pub(super) fn seeds() -> Vec<u64> {
    let lines = include_str!("seeds.txt").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| line.parse().unwrap()).collect()
}
