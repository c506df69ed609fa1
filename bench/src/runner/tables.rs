//! Tables of medians, in Markdown.

mod crowded;

use std::fmt::Write as _;

use super::median::{Cells, of};
use super::record::Record;
use super::scenario::Scenario;
use crate::measure::figures::{Figures, PartFigures};
use crate::measure::spectrum::Percentiles;

/// The parts whose CPU and memory are summed, in the order in which they are shown apart.
const PARTS: [&str; 4] = ["web", "worker", "redis", "postgres"];

type Column = (&'static str, fn(&[Record]) -> String);

const SYSTEM: Column = ("system", |runs| runs[0].system.name());
const RUNS: Column = ("runs", |runs| runs.len().to_string());
const SHOPPERS: Column = ("shoppers", |runs| runs[0].shoppers.to_string());
const WEBS: Column = ("web processes", |runs| runs[0].webs.to_string());
const COMPLETED: Column = ("completed/s", |runs| figure(runs, 0, |f| Some(f.completed_per_s)));
const LOST: Column = ("lost", |runs| number(of(runs, |run| Some(run.report.as_ref()?.seen.lost as f64)), 0));
const ERRORS: Column = ("errors", |runs| number(of(runs, |run| Some(errors(run) as f64)), 0));
const CPU: Column = ("CPU s (web/worker/redis/postgres)", |runs| {
    format!("{} ({})", figure(runs, 1, |f| Some(f.cpu_s)), apart(runs, 1, |part| part.cpu_s))
});
const CPU_EACH: Column = ("CPU ms/charge", |runs| figure(runs, 2, |f| Some(f.cpu_ms_per_charge)));
const PEAK: Column = ("peak RSS MiB (web/worker/redis/postgres)", |runs| {
    format!("{} ({})", figure(runs, 0, |f| Some(f.peak_rss_mib)), apart(runs, 0, |part| part.peak_rss_mib))
});
const DRIVER: Column = ("driver ms/charge", |runs| figure(runs, 3, |f| Some(f.driver_cpu_ms_per_charge)));
const P50: Column = ("p50 ms", |runs| result(runs, |ms| ms.p50));
const P90: Column = ("p90 ms", |runs| result(runs, |ms| ms.p90));
const P95: Column = ("p95 ms", |runs| result(runs, |ms| ms.p95));
const P99: Column = ("p99 ms", |runs| result(runs, |ms| ms.p99));
const P999: Column = ("p99.9 ms", |runs| result(runs, |ms| ms.p999));
const CONNECTING: Column =
    ("CPU ms to connect a socket", |runs| figure(runs, 3, |f| Some(f.connecting_cpu_ms_per_socket)));
const PORTS: Column = ("driver's ports tried again", |runs| {
    number(of(runs, |run| Some(run.report.as_ref()?.seen.connects_repeated as f64)), 0)
});
const MAX: Column = ("max ms", |runs| result(runs, |ms| ms.max));

fn columns(scenario: Scenario) -> Vec<Column> {
    let latency: Column = ("Stripe ms", |runs| runs[0].latency_ms.to_string());
    let rate: Column = ("asked/s", |runs| number(of(runs, |run| run.rate), 0));
    let all: Column = ("all answered s", |runs| {
        let whole = runs.iter().all(|run| run.figures().is_some_and(|figures| figures.whole));
        if whole { figure(runs, 2, |f| Some(f.answering_s)) } else { "never".to_owned() }
    });
    match scenario {
        Scenario::Overload => crowded::columns(),
        Scenario::Compare => {
            let accepted: Column = ("accepted/s", |runs| figure(runs, 0, |f| Some(f.accepted_per_s)));
            let end: Column = ("end PSS MiB", |runs| figure(runs, 0, |f| Some(f.end_pss_mib)));
            let speed = vec![latency, SHOPPERS, SYSTEM, RUNS, accepted, COMPLETED, P50, P95, P99, MAX];
            let again: Column =
                ("pushed again", |runs| number(of(runs, |r| Some(r.report.as_ref()?.seen.pushed_twice as f64)), 0));
            [speed, vec![LOST, ERRORS, again, all, CPU, CPU_EACH, PEAK, end, DRIVER]].concat()
        }
        Scenario::Minute | Scenario::Latency => {
            let stripe: Column = ("of that Stripe: mean ms", |runs| number(of(runs, |run| run.stripe_took_ms), 1));
            let stripe = (scenario == Scenario::Latency).then_some(stripe);
            let cores: Column = ("cores in use", |runs| figure(runs, 2, |f| Some(f.cpu_s / f.finishing_s.max(1e-9))));
            let speed = vec![latency, SHOPPERS, SYSTEM, RUNS, rate, COMPLETED, P50, P90, P95, P99, P999, MAX];
            [speed, stripe.into_iter().collect(), vec![LOST, ERRORS, cores, CPU_EACH, PEAK, DRIVER]].concat()
        }
        Scenario::Soldout => {
            let sold: Column = ("sold", |runs| figure(runs, 0, |f| Some(f.completed as f64)));
            let told: Column = ("told \"sold out\"", |runs| {
                number(of(runs, |run| Some(run.report.as_ref()?.seen.refused.values().sum::<u64>() as f64)), 0)
            });
            let refusal: Column = ("refusal p50 / p99 ms", |runs| {
                let at = |which: fn(Percentiles) -> f64| figure(runs, 0, |f| f.refusal_ms.map(which));
                format!("{} / {}", at(|ms| ms.p50), at(|ms| ms.p99))
            });
            let each: Column = ("CPU µs/answer", |runs| {
                number(
                    of(runs, |run| {
                        let (figures, seen) = (run.figures()?, &run.report.as_ref()?.seen);
                        let answers = figures.completed + seen.refused.values().sum::<u64>();
                        (answers > 0).then(|| figures.cpu_s * 1e6 / answers as f64)
                    }),
                    0,
                )
            });
            let told = vec![SHOPPERS, SYSTEM, WEBS, RUNS, sold, told, refusal, P50, P99, all, LOST, ERRORS, PORTS];
            [told, vec![each, CPU, PEAK]].concat()
        }
        Scenario::Idle => {
            let sockets: Column =
                ("sockets", |runs| number(of(runs, |r| Some(r.report.as_ref()?.seen.joined as f64)), 0));
            let connecting: Column = ("to connect all s", |runs| figure(runs, 1, |f| Some(f.connecting_s)));
            let pss: Column = ("PSS KiB/socket", |runs| figure(runs, 1, |f| Some(f.pss_kib_per_socket)));
            let rss: Column = ("RSS KiB/socket", |runs| figure(runs, 1, |f| Some(f.rss_kib_per_socket)));
            let told: Column = ("a broadcast: p50 / last ms", |runs| {
                let at = |which: fn(Percentiles) -> f64| figure(runs, 0, |f| f.broadcast_ms.map(which));
                format!("{} / {}", at(|ms| ms.p50), at(|ms| ms.max))
            });
            let spread: Column =
                ("first to last socket ms", |runs| figure(runs, 0, |f| f.broadcast_ms.map(|_| f.broadcast_spread_ms)));
            let joined = vec![sockets, SYSTEM, WEBS, RUNS, connecting, CONNECTING, pss, rss, PEAK];
            [joined, vec![told, spread, ERRORS, PORTS]].concat()
        }
        Scenario::Growth => {
            let pss: Column = ("PSS KiB/socket", |runs| figure(runs, 1, |f| Some(f.pss_kib_per_socket)));
            let waves: Column = ("waves", |runs| runs[0].waves.to_string());
            let speed = vec![SHOPPERS, waves, SYSTEM, WEBS, RUNS, COMPLETED, P50, P99, all, LOST, ERRORS];
            [speed, vec![CPU_EACH, CONNECTING, CPU, PEAK, pss]].concat()
        }
    }
}

/// The table of a scenario; `None` when nothing of it counts.
pub(super) fn table(scenario: Scenario, cells: &Cells) -> Option<String> {
    if cells.of.is_empty() {
        return None;
    }
    let columns = columns(scenario);
    let mut rows = vec![columns.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()];
    rows.extend(cells.of.values().map(|runs| columns.iter().map(|(_, value)| value(runs)).collect()));
    if scenario == Scenario::Overload {
        // Much is said of few.
        rows = (0..columns.len()).map(|at| rows.iter().map(|row| row[at].clone()).collect()).collect();
    }
    let line = |words: &[String]| format!("| {} |\n", words.join(" | "));
    rows.insert(1, vec!["---".to_owned(); rows[0].len()]);
    let mut text: String = rows.iter().map(|row| line(row)).collect();
    if !cells.left_out.is_empty() {
        text.push_str("\nLeft out, because others used the machine meanwhile: ");
        let names = cells.left_out.iter().map(|(name, share)| format!("{name} ({:.0} %)", share * 100.0));
        let _ = writeln!(text, "{}.", names.collect::<Vec<_>>().join(", "));
    }
    Some(text)
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn figure(runs: &[Record], digits: usize, what: impl Fn(&Figures) -> Option<f64>) -> String {
    number(of(runs, |run| what(run.figures()?)), digits)
}

fn result(runs: &[Record], which: fn(Percentiles) -> f64) -> String {
    figure(runs, 0, |figures| figures.result_ms.map(which))
}

fn apart(runs: &[Record], digits: usize, what: fn(&PartFigures) -> f64) -> String {
    PARTS.map(|name| figure(runs, digits, |figures| figures.part(name).map(what))).join("/")
}

/// Everything that should not have happened. A final message that comes twice is allowed: clients know what they have.
fn errors(run: &Record) -> u64 {
    let Some(seen) = run.report.as_ref().map(|report| &report.seen) else { return 0 };
    seen.errors.values().sum::<u64>() + seen.misdelivered + seen.wrong_outcome + seen.unreadable
}

#[cfg(test)]
mod tests {
    use super::super::system::System;
    use super::*;
    use crate::driver::Report;
    use crate::measure::seen::Seen;

    fn run(run: u32, finishing_s: u64, others: f64) -> Record {
        let seen = Seen {
            shoppers: 100,
            joined: 100,
            purchases: 100,
            succeeded: 100,
            finishing_ns: finishing_s * 1_000_000_000,
            answering_ns: finishing_s * 1_000_000_000,
            ..Seen::default()
        };
        let report = Report {
            system: "stampede".to_owned(),
            label: String::new(),
            mode: "stampede".to_owned(),
            figures: Figures::of(&seen),
            seen,
        };
        let (system, report) = (System::StampedeSqlite, Some(report));
        Record {
            system,
            shoppers: 100,
            run,
            wall_s: 10.0,
            cores: 2,
            cpu_s_of_others: others,
            report,
            ..Record::default()
        }
    }

    #[test]
    fn a_row_holds_medians_and_what_was_left_out_is_named() {
        let cells = Cells::sort([run(1, 1, 0.0), run(2, 2, 0.0), run(3, 4, 0.0), run(4, 100, 9.0)], 0.05);
        let text = table(Scenario::Compare, &cells).unwrap();
        let row = text.lines().nth(2).unwrap();
        assert!(row.starts_with("| 0 | 100 | stampede-sqlite | 3 | 0 | 50 | – |"), "{row}");
        assert!(row.contains("| 2.00 |") && text.contains("pushed again"), "{row}");
        assert!(text.contains("stampede-sqlite_n100_lat0_run4 (45 %)"), "{text}");
        assert!(table(Scenario::Compare, &Cells::sort([], 0.05)).is_none());
    }

    #[test]
    fn every_scenario_has_a_table_with_as_many_cells_as_columns() {
        for scenario in Scenario::ALL {
            let text = table(scenario, &Cells::sort([run(1, 1, 0.0)], 0.05)).unwrap();
            let cells: Vec<usize> = text.lines().map(|line| line.matches(" |").count()).collect();
            assert!(cells.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
        }
    }
}
