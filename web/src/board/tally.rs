//! What the processes of the shop say of themselves, put together: each beat tells what a process has counted so far.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use shared::env::Timestamp;
use shared::fleet::{Process, Quantiles};

use super::overview::Thousandths;

/// Growth is measured over about this time: a few beats, each of which may be late.
const OVER: Duration = Duration::from_secs(6);

/// How long the steps of a purchase take, where it takes longest; none where nothing was measured in the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// From a purchase's head to its 202.
    pub accept: Option<Quantiles>,
    /// From the push of a charge to its first delivery.
    pub queue_wait: Option<Quantiles>,
    /// Stripe's answer to a charge.
    pub stripe: Option<Quantiles>,
    /// From what Stripe said until the room was told.
    pub settle: Option<Quantiles>,
    /// Until a socket has taken news of an order.
    pub push: Option<Quantiles>,
}

/// What all processes together have at the moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Open sockets and event streams.
    pub sockets: u64,
    /// Customers who have one; one with sockets at two processes is counted there and there.
    pub rooms: u64,
    /// Charges under way.
    pub in_hand: u64,
    /// Declined charges since the workers began, by class.
    pub declines: BTreeMap<String, u64>,
    /// Requests that Stripe refused for their number since the workers began, by its reason.
    pub throttled: BTreeMap<String, u64>,
    /// How long things take.
    pub latency: Latency,
}

impl Tally {
    /// Of these processes.
    #[must_use]
    pub fn of(processes: &[Process]) -> Self {
        let mut tally = Self::default();
        for process in processes {
            let load = &process.beat.load;
            let latency = &mut tally.latency;
            if let Some(web) = &load.web {
                (tally.sockets, tally.rooms) = (tally.sockets + web.sockets, tally.rooms + web.rooms);
                slowest(&mut latency.accept, web.accept);
                slowest(&mut latency.push, web.push);
            }
            if let Some(worker) = &load.worker {
                tally.in_hand += u64::from(worker.in_hand);
                add(&mut tally.declines, &worker.declines);
                add(&mut tally.throttled, &worker.throttled);
                slowest(&mut latency.queue_wait, worker.queue_wait);
                slowest(&mut latency.stripe, worker.stripe);
                slowest(&mut latency.settle, worker.settle);
            }
        }
        tally
    }
}

fn add(sums: &mut BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) {
    for (word, count) in counted {
        *sums.entry(word.clone()).or_default() += count;
    }
}

fn slowest(known: &mut Option<Quantiles>, other: Option<Quantiles>) {
    if let Some(other) = other
        && known.is_none_or(|known| known.p99_ms < other.p99_ms)
    {
        *known = Some(other);
    }
}

/// How fast counters grow. A process beats when it likes, so that each is measured between beats of its own.
#[derive(Debug, Default)]
pub struct Growth(HashMap<String, VecDeque<Counted>>);

/// What a process had counted when it beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    at: Timestamp,
    paid: u64,
    declined: u64,
}

impl Growth {
    /// Takes beats into account; who is gone is forgotten.
    pub fn note(&mut self, processes: &[Process]) {
        self.0.retain(|name, _| processes.iter().any(|process| process.beat.name == *name));
        for process in processes {
            let beat = &process.beat;
            let Some(worker) = &beat.load.worker else { continue };
            let counted =
                Counted { at: beat.beat_at, paid: worker.charged_total, declined: worker.declines.values().sum() };
            let known = self.0.entry(beat.name.clone()).or_default();
            if known.back().is_none_or(|last| last.at < counted.at) {
                known.push_back(counted);
            }
            while known.get(1).is_some_and(|second| counted.at.since(second.at) >= OVER) {
                known.pop_front();
            }
        }
    }

    /// Orders paid a second.
    #[must_use]
    pub fn paid(&self) -> Option<Thousandths> {
        self.rate(|counted| counted.paid)
    }

    /// Charges declined a second.
    #[must_use]
    pub fn declined(&self) -> Option<Thousandths> {
        self.rate(|counted| counted.declined)
    }

    /// None before any process has beaten twice.
    fn rate(&self, of: impl Fn(&Counted) -> u64) -> Option<Thousandths> {
        let each = self.0.values().filter_map(|known| {
            let (first, last) = (known.front()?, known.back()?);
            let grown = of(last).saturating_sub(of(first));
            (last.at > first.at).then(|| Thousandths::per_second(grown, last.at.since(first.at)).0)
        });
        each.reduce(u64::saturating_add).map(Thousandths)
    }
}

#[cfg(test)]
mod tests {
    use shared::fleet::{Kind, Load, ProcessBeat, State, WebLoad, Wish, WorkerLoad};

    use super::*;

    fn process(name: &str, at: i64, load: Load) -> Process {
        let beat = ProcessBeat {
            name: name.into(),
            kind: Kind::Worker,
            version: "1".into(),
            host: "here".into(),
            pid: 1,
            started_at: Timestamp(0),
            beat_at: Timestamp(at),
            state: State::Running,
            wish: Wish::default(),
            load,
        };
        Process { beat, wish: Wish::default() }
    }

    fn worker(name: &str, at: i64, paid: u64, declined: u64) -> Process {
        let declines = BTreeMap::from([("card_declined".to_owned(), declined)]);
        let stripe = Some(Quantiles { p50_ms: 500.0, p99_ms: 900.0 });
        let worker = WorkerLoad { charged_total: paid, in_hand: 3, declines, stripe, ..WorkerLoad::default() };
        process(name, at, Load { worker: Some(worker), ..Load::default() })
    }

    #[test]
    fn processes_are_added_up_and_times_are_those_of_the_slowest() {
        let slow = Some(Quantiles { p50_ms: 2.0, p99_ms: 80.0 });
        let web = WebLoad { sockets: 10, rooms: 8, accept: slow, ..WebLoad::default() };
        let quick = WebLoad { sockets: 5, accept: Some(Quantiles { p50_ms: 3.0, p99_ms: 9.0 }), ..WebLoad::default() };
        let serves = |name: &str, web| process(name, 0, Load { web: Some(web), ..Load::default() });
        let all = [serves("a", web), serves("b", quick), worker("c", 0, 1, 2), worker("d", 0, 1, 3)];
        let tally = Tally::of(&all);
        assert_eq!((tally.sockets, tally.rooms, tally.in_hand), (15, 8, 6));
        assert_eq!((tally.declines["card_declined"], tally.latency.accept, tally.latency.push), (5, slow, None));
    }

    #[test]
    fn each_process_grows_between_its_own_beats_and_who_is_gone_does_not_count() {
        let mut growth = Growth::default();
        growth.note(&[worker("a", 1_000, 100, 0)]);
        assert_eq!(growth.paid(), None, "one beat is no growth");
        growth.note(&[worker("a", 3_000, 120, 1), worker("b", 3_100, 7, 0)]);
        assert_eq!((growth.paid(), growth.declined()), (Some(Thousandths(10_000)), Some(Thousandths(500))));
        growth.note(&[worker("a", 3_000, 120, 1), worker("b", 5_100, 27, 0)]);
        assert_eq!(growth.paid(), Some(Thousandths(20_000)), "ten of each");
        growth.note(&[worker("b", 7_100, 27, 0)]);
        assert_eq!(growth.paid(), Some(Thousandths(5_000)));
    }
}
