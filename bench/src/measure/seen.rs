//! What a driver saw of one run: everything that can be added up, and nothing that is derived from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::again::Again;
use super::processes::Cpu;
use super::spectrum::Spectrum;

/// One driver process, one wave; or several of them, merged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Shoppers that were to open a socket.
    pub shoppers: u64,
    /// Shoppers that joined their room.
    pub joined: u64,
    /// When connecting began, on the machine's clock, in nanoseconds.
    pub began: u64,
    /// How long until all had joined.
    pub connecting_ns: u64,
    /// When the purchases began, on the machine's clock, in nanoseconds.
    pub go: u64,
    /// From then until the last acceptance; 0 when there was none.
    pub accepting_ns: u64,
    /// From then until the last outcome on a socket; 0 when there was none.
    pub finishing_ns: u64,
    /// From then until the last final answer of either kind; 0 when there was none.
    pub answering_ns: u64,
    /// Purchases that were to be made.
    pub purchases: u64,
    /// Requests that were answered with a time to come again, which the driver did.
    #[serde(default)]
    pub sent_away: u64,
    /// Accepted by HTTP.
    pub accepted: u64,
    /// Paid, said the socket.
    pub succeeded: u64,
    /// Declined, said the socket.
    pub declined: u64,
    /// Refused by HTTP, by word.
    pub refused: BTreeMap<String, u64>,
    /// Neither outcome nor refusal in time.
    pub lost: u64,
    /// Of those, accepted before.
    pub lost_though_accepted: u64,
    /// Of those, with an outcome after their time.
    pub late: u64,
    /// Purchases with more than one final message.
    pub pushed_twice: u64,
    /// Paid with a card that is declined, or the other way round.
    pub wrong_outcome: u64,
    /// Final messages about somebody else's purchase.
    pub misdelivered: u64,
    /// Frames that nobody can read.
    pub unreadable: u64,
    /// Sockets that ended before their time.
    pub sockets_lost: u64,
    /// Connections that the driver tried once more, since the port of its own that it had chosen was in use.
    #[serde(default)]
    pub connects_repeated: u64,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u64>,
    /// From the purchase (when it was due, in rate mode) to its outcome on the socket; from the last request, where
    /// shoppers come again.
    pub result: Spectrum,
    /// From the purchase to its acceptance; from the last request, where shoppers come again.
    pub answer: Spectrum,
    /// From the purchase to its refusal.
    pub refusal: Spectrum,
    /// From the trigger of a broadcast to its frame on a socket.
    pub broadcast: Spectrum,
    /// From the trigger to the first and the last of these frames; 0 when there was none.
    pub broadcast_ns: (u64, u64),
    /// Those who came again, and everybody by the second.
    #[serde(default)]
    pub again: Again,
    /// The measured processes.
    pub parts: Vec<Part>,
    /// CPU seconds of the driver, from the first purchase to the last outcome.
    pub driver_cpu_s: f64,
    /// CPU seconds of the driver altogether.
    pub driver_cpu_total_s: f64,
}

/// A counter at the beginning and at the end of a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Before.
    pub from: Cpu,
    /// After.
    pub to: Cpu,
}

/// One group of processes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// As it was named.
    pub name: String,
    /// Live processes at the end.
    pub processes: u64,
    /// CPU while sockets were opened.
    pub connecting: Span,
    /// CPU from the first purchase to the last outcome.
    pub charging: Span,
    /// CPU after that, until the driver ended.
    pub tail: Span,
    /// Memory in bytes, proportional and resident, before the first socket.
    pub before: (u64, u64),
    /// With all sockets open, before the first purchase.
    pub joined: (u64, u64),
    /// At the last outcome.
    pub end: (u64, u64),
    /// Most resident memory seen.
    pub peak: u64,
    /// Resident memory in bytes about once a second, by nanoseconds on the machine's clock.
    #[serde(default)]
    pub looks: Vec<(u64, u64)>,
}

/// How two measurements lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Two driver processes at the same time, on the same system.
    Beside,
    /// Two waves, one after the other.
    After,
}

impl Span {
    /// CPU seconds of the phase.
    #[must_use]
    pub fn used(&self) -> f64 {
        self.to.sum() - self.from.sum()
    }

    fn merge(&mut self, other: &Self, how: Merge) {
        let each = |mine: (f64, f64), theirs: (f64, f64)| match how {
            Merge::Beside => (mine.0.min(theirs.0), mine.1.max(theirs.1)),
            Merge::After => (mine.0, mine.1 + theirs.1 - theirs.0),
        };
        (self.from.user, self.to.user) = each((self.from.user, self.to.user), (other.from.user, other.to.user));
        (self.from.system, self.to.system) =
            each((self.from.system, self.to.system), (other.from.system, other.to.system));
    }
}

impl Seen {
    /// Whether every purchase has a final answer.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.joined == self.shoppers && self.completed() + self.refused.values().sum::<u64>() == self.purchases
    }

    /// Purchases with an outcome on the socket, in time.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.succeeded + self.declined
    }

    /// Adds what another driver, or a later wave, saw.
    pub fn merge(&mut self, other: &Self, how: Merge) {
        self.merge_times(other, how);
        for (mine, theirs) in [
            (&mut self.shoppers, other.shoppers),
            (&mut self.joined, other.joined),
            (&mut self.purchases, other.purchases),
            (&mut self.sent_away, other.sent_away),
            (&mut self.accepted, other.accepted),
            (&mut self.succeeded, other.succeeded),
            (&mut self.declined, other.declined),
            (&mut self.lost, other.lost),
            (&mut self.lost_though_accepted, other.lost_though_accepted),
            (&mut self.late, other.late),
            (&mut self.pushed_twice, other.pushed_twice),
            (&mut self.wrong_outcome, other.wrong_outcome),
            (&mut self.misdelivered, other.misdelivered),
            (&mut self.unreadable, other.unreadable),
            (&mut self.sockets_lost, other.sockets_lost),
            (&mut self.connects_repeated, other.connects_repeated),
        ] {
            *mine += theirs;
        }
        for (mine, theirs) in [(&mut self.refused, &other.refused), (&mut self.errors, &other.errors)] {
            theirs.iter().for_each(|(word, count)| *mine.entry(word.clone()).or_default() += count);
        }
        self.result.merge(&other.result);
        self.answer.merge(&other.answer);
        self.refusal.merge(&other.refusal);
        self.broadcast.merge(&other.broadcast);
        self.again.merge(&other.again, how);
        self.driver_cpu_s += other.driver_cpu_s;
        self.driver_cpu_total_s += other.driver_cpu_total_s;
        for part in &other.parts {
            match self.parts.iter_mut().find(|mine| mine.name == part.name) {
                Some(mine) => mine.merge(part, how),
                None => self.parts.push(part.clone()),
            }
        }
    }

    fn merge_times(&mut self, other: &Self, how: Merge) {
        let (began, go) = (self.began.min(other.began), self.go.min(other.go));
        let join = |(mine, my_start): (u64, u64), (theirs, their_start): (u64, u64), start: u64| match how {
            Merge::After => mine + theirs,
            // An end that was never seen is none.
            Merge::Beside => {
                let end = |length: u64, from: u64| if length == 0 { start } else { from + length };
                end(mine, my_start).max(end(theirs, their_start)) - start
            }
        };
        self.connecting_ns = join((self.connecting_ns, self.began), (other.connecting_ns, other.began), began);
        self.accepting_ns = join((self.accepting_ns, self.go), (other.accepting_ns, other.go), go);
        self.finishing_ns = join((self.finishing_ns, self.go), (other.finishing_ns, other.go), go);
        self.answering_ns = join((self.answering_ns, self.go), (other.answering_ns, other.go), go);
        let first = [self.broadcast_ns.0, other.broadcast_ns.0].into_iter().filter(|first| *first > 0).min();
        self.broadcast_ns = (first.unwrap_or(0), self.broadcast_ns.1.max(other.broadcast_ns.1));
        (self.began, self.go) = (began, go);
    }
}

impl Part {
    fn merge(&mut self, other: &Self, how: Merge) {
        self.connecting.merge(&other.connecting, how);
        self.charging.merge(&other.charging, how);
        self.tail.merge(&other.tail, how);
        self.processes = self.processes.max(other.processes);
        self.peak = self.peak.max(other.peak);
        let least = |mine: (u64, u64), theirs: (u64, u64)| (mine.0.min(theirs.0), mine.1.min(theirs.1));
        let most = |mine: (u64, u64), theirs: (u64, u64)| (mine.0.max(theirs.0), mine.1.max(theirs.1));
        self.before = if how == Merge::Beside { least(self.before, other.before) } else { self.before };
        self.joined = most(self.joined, other.joined);
        self.end = if how == Merge::Beside { most(self.end, other.end) } else { other.end };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(go: u64, finishing: u64, count: u64, cpu: (f64, f64)) -> Seen {
        let at = |user: f64| Cpu { user, system: 0.0 };
        let charging = Span { from: at(cpu.0), to: at(cpu.1) };
        let part = Part { name: "web".to_owned(), charging, peak: count, end: (count, count), ..Part::default() };
        let mut result = Spectrum::default();
        (0..count).for_each(|_| result.record(1_000_000));
        let refused = [("sold_out".to_owned(), 1)].into();
        Seen {
            go,
            finishing_ns: finishing,
            shoppers: count + 1,
            joined: count + 1,
            purchases: count + 1,
            succeeded: count,
            refused,
            result,
            parts: vec![part],
            ..Seen::default()
        }
    }

    #[test]
    fn drivers_beside_each_other_share_the_clock_and_the_processes() {
        let mut both = seen(100, 50, 10, (1.0, 3.0));
        both.merge(&seen(120, 80, 20, (1.5, 4.0)), Merge::Beside);
        assert_eq!((both.go, both.finishing_ns, both.completed(), both.result.count()), (100, 100, 30, 30));
        assert_eq!(both.parts[0].charging.used(), 3.0, "from the first that began to the last that ended");
        assert_eq!((both.refused["sold_out"], both.parts[0].peak), (2, 20));
        assert!(both.whole());
    }

    #[test]
    fn waves_add_their_times_and_their_cpu() {
        let mut both = seen(100, 50, 10, (1.0, 3.0));
        both.merge(&seen(900, 80, 20, (7.0, 8.0)), Merge::After);
        assert_eq!((both.finishing_ns, both.completed()), (130, 30));
        assert_eq!((both.parts[0].charging.used(), both.parts[0].end), (3.0, (20, 20)));
    }

    #[test]
    fn a_driver_that_saw_no_end_moves_no_end() {
        let mut both = seen(100, 50, 10, (0.0, 0.0));
        both.merge(&seen(140, 0, 0, (0.0, 0.0)), Merge::Beside);
        assert_eq!(both.finishing_ns, 50);
    }

    #[test]
    fn a_run_is_whole_only_if_everybody_has_a_final_answer() {
        let mut one = seen(0, 1, 10, (0.0, 0.0));
        assert!(one.whole());
        one.succeeded -= 1;
        assert!(!one.whole());
    }
}
