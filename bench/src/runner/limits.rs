//! Where the next limit is: what was measured of one shopper, times many. Nothing here was measured at such a size.

use std::fmt::Write as _;

use super::median::{Cells, of};
use super::record::Record;
use super::scenario::SOCKETS_PER_PROCESS;
use super::system::System;
use crate::measure::figures::PartFigures;

/// The crowds that are reckoned.
const CROWDS: [u32; 3] = [10_000, 100_000, 1_000_000];
/// All of them open their sockets within this time, in seconds.
const ARRIVE_WITHIN: f64 = 60.0;
/// All who are too late are told so within this time, in seconds.
const REFUSED_WITHIN: f64 = 10.0;

/// What one shopper costs.
struct Each {
    /// Milliseconds of web and of Redis for a session and a socket.
    joining: [f64; 2],
    /// KiB of an open socket.
    socket_kib: f64,
    /// Milliseconds of web and of Redis for a refusal.
    refusal: [f64; 2],
}

/// The tables; `None` until growth, sold-out sale and open sockets were measured.
pub(super) fn limits(growth: &Cells, soldout: &Cells, idle: &Cells) -> Option<String> {
    let sockets = largest(idle, System::StampedeSqlite)?;
    let refused = largest(soldout, System::StampedeSqlite)?;
    let joining =
        |name: &str| of(sockets, |run| Some(per(part(run, name)?.connecting_cpu_s, run.report.as_ref()?.seen.joined)));
    let refusal = |name: &str| {
        of(refused, |run| {
            let seen = &run.report.as_ref()?.seen;
            Some(per(part(run, name)?.cpu_s, seen.completed() + seen.refused.values().sum::<u64>()))
        })
    };
    let each = Each {
        joining: [joining("web")?, joining("redis")?],
        socket_kib: of(sockets, |run| Some(run.figures()?.pss_kib_per_socket))?,
        refusal: [refusal("web")?, refusal("redis")?],
    };
    let mut text = crowds(&each);
    text.push('\n');
    text += &purchases(growth)?;
    Some(text)
}

fn crowds(each: &Each) -> String {
    let mut text = format!(
        "| shoppers | web processes of {SOCKETS_PER_PROCESS} sockets | GiB for sockets | to join within {ARRIVE_WITHIN:.0} s: \
         cores for web / Redis | to be refused within {REFUSED_WITHIN:.0} s: cores for web / Redis |\n\
         | --- | --- | --- | --- | --- |\n"
    );
    for crowd in CROWDS {
        let shoppers = f64::from(crowd);
        let cores = |ms: f64, seconds: f64| shoppers * ms / 1e3 / seconds;
        let _ = writeln!(
            text,
            "| {crowd} | {} | {:.1} | {:.2} / {:.2} | {:.2} / {:.2} |",
            crowd.div_ceil(SOCKETS_PER_PROCESS),
            shoppers * each.socket_kib / 1024.0 / 1024.0,
            cores(each.joining[0], ARRIVE_WITHIN),
            cores(each.joining[1], ARRIVE_WITHIN),
            cores(each.refusal[0], REFUSED_WITHIN),
            cores(each.refusal[1], REFUSED_WITHIN),
        );
    }
    text
}

/// Purchases per second that one core of each part carries, by the largest crowd in which everybody bought.
fn purchases(growth: &Cells) -> Option<String> {
    let mut text =
        "| system | one core of | CPU ms/purchase | purchases/s at most |\n| --- | --- | --- | --- |\n".to_owned();
    let mut any = false;
    for system in [System::StampedeSqlite, System::StampedePostgres] {
        let Some(runs) = largest(growth, system) else { continue };
        for name in ["web", "worker", "redis", "postgres"] {
            let ms = of(runs, |run| Some(per(part(run, name)?.cpu_s, run.figures()?.completed)));
            let Some(ms) = ms.filter(|ms| *ms > 0.0) else { continue };
            let _ = writeln!(text, "| {} | {name} | {ms:.3} | {:.0} |", system.name(), 1e3 / ms);
            any = true;
        }
    }
    any.then_some(text)
}

fn largest(cells: &Cells, system: System) -> Option<&[Record]> {
    let mine = cells.of.iter().filter(|(key, _)| key.system == system);
    mine.max_by_key(|(key, _)| key.shoppers).map(|(_, runs)| runs.as_slice())
}

fn part<'a>(run: &'a Record, name: &str) -> Option<&'a PartFigures> {
    run.figures()?.part(name)
}

/// Milliseconds for each.
fn per(seconds: f64, count: u64) -> f64 {
    if count > 0 { seconds * 1e3 / count as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Report;
    use crate::measure::figures::Figures;
    use crate::measure::processes::Cpu;
    use crate::measure::seen::{Part, Seen, Span};

    /// A run in which web and Redis used so many seconds to let all in, and the same for their purchases.
    fn run(shoppers: u32, web: f64, redis: f64) -> Cells {
        let span = |user: f64| Span { from: Cpu::default(), to: Cpu { user, system: 0.0 } };
        let part = |name: &str, used: f64| {
            let name = name.to_owned();
            Part { name, connecting: span(used), charging: span(used), joined: (100 << 20, 0), ..Part::default() }
        };
        let count = u64::from(shoppers);
        let parts = vec![part("web", web), part("redis", redis)];
        let seen =
            Seen { shoppers: count, joined: count, purchases: count, succeeded: count, parts, ..Seen::default() };
        let figures = Figures::of(&seen);
        let report = Report { system: String::new(), label: String::new(), mode: String::new(), seen, figures };
        let system = System::StampedeSqlite;
        Cells::sort([Record { system, shoppers, report: Some(report), ..Record::default() }], 0.05)
    }

    #[test]
    fn what_one_shopper_costs_is_multiplied() {
        let text = limits(&run(10_000, 5.0, 2.0), &run(10_000, 0.5, 0.1), &run(10_000, 1.2, 0.3)).unwrap();
        // 0.12 ms of web for each of a million, in a minute; 0.05 ms for each refusal, in ten seconds.
        assert!(text.contains("| 1000000 | 67 | 19.5 | 2.00 / 0.50 | 5.00 / 1.00 |"), "{text}");
        assert!(text.contains("| stampede-sqlite | redis | 0.200 | 5000 |"), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_not_reckoned() {
        let none = Cells::sort([], 0.05);
        assert!(limits(&run(10, 1.0, 1.0), &none, &run(10, 1.0, 1.0)).is_none());
    }
}
