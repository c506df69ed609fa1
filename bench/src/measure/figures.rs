//! What is derived from a measurement: rates, percentiles, costs per purchase.

use serde::{Deserialize, Serialize};

use super::clock::seconds;
use super::seen::{Part, Seen};
use super::spectrum::Percentiles;

const MIB: f64 = 1024.0 * 1024.0;

/// What tables and plots show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Whether every purchase has a final answer.
    pub whole: bool,
    /// Purchases with an outcome on the socket.
    pub completed: u64,
    /// Accepted per second, until the last acceptance.
    pub accepted_per_s: f64,
    /// Completed per second, until the last outcome.
    pub completed_per_s: f64,
    /// Until everybody had joined.
    pub connecting_s: f64,
    /// Until the last acceptance.
    pub accepting_s: f64,
    /// Until the last outcome on a socket.
    pub finishing_s: f64,
    /// Until the last final answer of either kind.
    pub answering_s: f64,
    /// From purchase to outcome.
    pub result_ms: Option<Percentiles>,
    /// From purchase to acceptance.
    pub answer_ms: Option<Percentiles>,
    /// From purchase to refusal.
    pub refusal_ms: Option<Percentiles>,
    /// From the trigger of a broadcast to a socket.
    pub broadcast_ms: Option<Percentiles>,
    /// From the first socket that got a broadcast to the last one.
    pub broadcast_spread_ms: f64,
    /// CPU seconds from the first purchase to the last outcome, over all groups that count.
    pub cpu_s: f64,
    /// The same per completed purchase.
    pub cpu_ms_per_charge: f64,
    /// Peak of resident memory, over all groups that count.
    pub peak_rss_mib: f64,
    /// Proportional memory at the end, over all groups that count.
    pub end_pss_mib: f64,
    /// Growth of proportional memory while sockets were opened, over all groups that count, per socket.
    pub pss_kib_per_socket: f64,
    /// The same of resident memory.
    pub rss_kib_per_socket: f64,
    /// CPU of all groups that count while sockets were opened, per socket; sessions are made on the way.
    #[serde(default)]
    pub connecting_cpu_ms_per_socket: f64,
    /// CPU of the driver per purchase.
    pub driver_cpu_ms_per_charge: f64,
    /// Each group.
    pub parts: Vec<PartFigures>,
}

/// One group of processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartFigures {
    /// As it was named.
    pub name: String,
    /// Live processes.
    pub processes: u64,
    /// CPU seconds while sockets were opened.
    pub connecting_cpu_s: f64,
    /// CPU seconds from the first purchase to the last outcome.
    pub cpu_s: f64,
    /// Of those, in the kernel.
    pub system_s: f64,
    /// CPU seconds after the last outcome.
    pub tail_cpu_s: f64,
    /// Peak of resident memory.
    pub peak_rss_mib: f64,
    /// Proportional memory before the first socket.
    pub before_pss_mib: f64,
    /// Proportional memory with all sockets open.
    pub joined_pss_mib: f64,
    /// Proportional memory at the end.
    pub end_pss_mib: f64,
}

impl Figures {
    /// The figures of a measurement.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        let per_s = |count: u64, time: u64| if time > 0 { round(count as f64 / seconds(time), 1) } else { 0.0 };
        let each = |sum: f64, count: u64| if count > 0 { sum / count as f64 } else { 0.0 };
        let counted = || seen.parts.iter().filter(|part| !part.name.starts_with('~'));
        let sum = |of: fn(&Part) -> f64| counted().map(of).sum::<f64>();
        let cpu: f64 = sum(|part| part.charging.used());
        let grown = |of: fn(&Part) -> (u64, u64)| counted().map(|p| of(p).1 as f64 - of(p).0 as f64).sum::<f64>();
        Self {
            whole: seen.whole(),
            completed: seen.completed(),
            accepted_per_s: per_s(seen.accepted, seen.accepting_ns),
            completed_per_s: per_s(seen.completed(), seen.finishing_ns),
            connecting_s: round(seconds(seen.connecting_ns), 3),
            accepting_s: round(seconds(seen.accepting_ns), 3),
            finishing_s: round(seconds(seen.finishing_ns), 3),
            answering_s: round(seconds(seen.answering_ns), 3),
            result_ms: seen.result.percentiles(),
            answer_ms: seen.answer.percentiles(),
            refusal_ms: seen.refusal.percentiles(),
            broadcast_ms: seen.broadcast.percentiles(),
            broadcast_spread_ms: round(seconds(seen.broadcast_ns.1 - seen.broadcast_ns.0) * 1e3, 2),
            cpu_s: round(cpu, 3),
            cpu_ms_per_charge: round(each(cpu * 1e3, seen.completed()), 4),
            peak_rss_mib: round(sum(|part| part.peak as f64) / MIB, 1),
            end_pss_mib: round(sum(|part| part.end.0 as f64) / MIB, 1),
            pss_kib_per_socket: round(each(grown(|part| (part.before.0, part.joined.0)) / 1024.0, seen.joined), 2),
            rss_kib_per_socket: round(each(grown(|part| (part.before.1, part.joined.1)) / 1024.0, seen.joined), 2),
            connecting_cpu_ms_per_socket: round(each(sum(|part| part.connecting.used()) * 1e3, seen.joined), 4),
            driver_cpu_ms_per_charge: round(each(seen.driver_cpu_s * 1e3, seen.purchases), 4),
            parts: seen.parts.iter().map(PartFigures::of).collect(),
        }
    }

    /// The group of this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&PartFigures> {
        self.parts.iter().find(|part| part.name == name)
    }
}

impl PartFigures {
    fn of(part: &Part) -> Self {
        let mib = |bytes: u64| round(bytes as f64 / MIB, 1);
        Self {
            name: part.name.clone(),
            processes: part.processes,
            connecting_cpu_s: round(part.connecting.used(), 3),
            cpu_s: round(part.charging.used(), 3),
            system_s: round(part.charging.to.system - part.charging.from.system, 3),
            tail_cpu_s: round(part.tail.used(), 3),
            peak_rss_mib: mib(part.peak),
            before_pss_mib: mib(part.before.0),
            joined_pss_mib: mib(part.joined.0),
            end_pss_mib: mib(part.end.0),
        }
    }
}

/// A number with so many digits behind its point.
#[must_use]
pub fn round(number: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (number * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::processes::Cpu;
    use crate::measure::seen::Span;

    fn part(name: &str, user: f64, before: u64, joined: u64) -> Part {
        let charging = Span { from: Cpu::default(), to: Cpu { user, system: 0.5 } };
        Part { name: name.to_owned(), charging, before: (before, 0), joined: (joined, 0), ..Part::default() }
    }

    #[test]
    fn a_tilde_is_shown_and_not_summed() {
        let parts = vec![part("web", 1.5, 1024, 11 * 1024), part("~stub", 9.5, 0, 1_000_000)];
        let seen = Seen {
            shoppers: 4,
            joined: 4,
            purchases: 4,
            succeeded: 4,
            accepted: 4,
            finishing_ns: 2_000_000_000,
            accepting_ns: 500_000_000,
            parts,
            ..Seen::default()
        };
        let figures = Figures::of(&seen);
        assert_eq!((figures.cpu_s, figures.cpu_ms_per_charge, figures.pss_kib_per_socket), (2.0, 500.0, 2.5));
        assert_eq!((figures.completed_per_s, figures.accepted_per_s, figures.whole), (2.0, 8.0, true));
        assert_eq!(figures.part("~stub").unwrap().cpu_s, 10.0);
    }

    #[test]
    fn nothing_seen_is_no_rate_and_no_cost() {
        let figures = Figures::of(&Seen::default());
        assert_eq!((figures.completed_per_s, figures.cpu_ms_per_charge), (0.0, 0.0));
        assert!(figures.result_ms.is_none());
    }
}
