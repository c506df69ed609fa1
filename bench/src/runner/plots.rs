//! What is drawn of each scenario.

use super::median::{Cells, Key, of};
use super::scenario::Scenario;
use super::svg::{Series, bars, lines, spoken};
use super::svg_time::{Panel, over_time};
use super::system::System;
use crate::measure::again::Second;
use crate::measure::clock;
use crate::measure::figures::Figures;
use crate::measure::seen::Part;

/// A plot: the name of its file, what it shows in words, and the picture.
pub(super) struct Plot {
    pub(super) file: String,
    pub(super) title: String,
    pub(super) svg: String,
}

type What = fn(&Figures) -> Option<f64>;

/// The plots of a scenario. The system with nothing behind it is left out: it would make the others small.
pub(super) fn plots(scenario: Scenario, cells: &Cells) -> Vec<Plot> {
    match scenario {
        Scenario::Compare => compare(cells),
        Scenario::Latency => percentiles(cells),
        Scenario::Growth => {
            let growing = |name: &str, title: &str, what: What| growth(cells, name, title, what);
            [
                growing("growth-cpu", "CPU milliseconds per purchase", |f| Some(f.cpu_ms_per_charge)),
                growing("growth-memory", "Peak of resident memory, MiB", |f| Some(f.peak_rss_mib)),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
        Scenario::Idle => {
            // The number of sockets that every system can hold.
            let Some(shoppers) = cells.of.keys().map(|key| key.shoppers).min() else { return Vec::new() };
            let title = format!("KiB per open socket, of {}", spoken(f64::from(shoppers)));
            let keep = |key: &Key| key.shoppers == shoppers;
            bar(cells, "idle-memory", title, keep, |f| Some(f.pss_kib_per_socket)).into_iter().collect()
        }
        Scenario::Overload => courses(cells),
        Scenario::Minute | Scenario::Soldout => Vec::new(),
    }
}

fn counts(key: &Key) -> bool {
    key.system != System::Null
}

fn compare(cells: &Cells) -> Vec<Plot> {
    let Some(shoppers) = cells.of.keys().map(|key| key.shoppers).max() else { return Vec::new() };
    let mut latencies: Vec<u64> = cells.of.keys().map(|key| key.latency_ms).collect();
    latencies.sort_unstable();
    latencies.dedup();
    let of_latency = |latency: u64| {
        let crowd = format!("{} shoppers at once, Stripe {latency} ms", spoken(f64::from(shoppers)));
        let keep = move |key: &Key| (key.shoppers, key.latency_ms) == (shoppers, latency);
        let draw = |name: &str, what: &str, of: What| {
            bar(cells, &format!("{name}-{latency}ms"), format!("{what}: {crowd}"), keep, of)
        };
        [
            draw("throughput", "Charges per second", |f| Some(f.completed_per_s)),
            draw("p99", "99 of 100 know within … ms", |f| f.result_ms.map(|ms| ms.p99)),
            draw("cpu", "CPU ms per charge", |f| Some(f.cpu_ms_per_charge)),
            draw("memory", "Peak memory, MiB", |f| Some(f.peak_rss_mib)),
        ]
    };
    latencies.into_iter().flat_map(of_latency).flatten().collect()
}

fn bar(cells: &Cells, name: &str, title: String, keep: impl Fn(&Key) -> bool, what: What) -> Option<Plot> {
    let kept = cells.of.iter().filter(|(key, _)| counts(key) && keep(key));
    let values = kept.filter_map(|(key, runs)| Some((key.system.name(), of(runs, |run| what(run.figures()?))?)));
    let values: Vec<(String, f64)> = values.collect();
    (!values.is_empty()).then(|| Plot { file: format!("bench-{name}.svg"), svg: bars(&title, &values), title })
}

fn systems(cells: &Cells) -> Vec<System> {
    let mut systems: Vec<System> = cells.of.keys().filter(|key| counts(key)).map(|key| key.system).collect();
    systems.sort_unstable();
    systems.dedup();
    systems
}

fn growth(cells: &Cells, name: &str, title: &str, what: What) -> Option<Plot> {
    let line = |system: System| {
        let mine = cells.of.iter().filter(|(key, _)| key.system == system);
        let points =
            mine.filter_map(|(key, runs)| Some((f64::from(key.shoppers), of(runs, |run| what(run.figures()?))?)));
        Series { name: system.name(), points: points.collect() }
    };
    let series: Vec<Series> = systems(cells).into_iter().map(line).collect();
    let svg = lines(title, "shoppers", &series);
    (!series.is_empty()).then(|| Plot { file: format!("bench-{name}.svg"), title: title.to_owned(), svg })
}

/// One run of each system, second by second.
fn courses(cells: &Cells) -> Vec<Plot> {
    let plot = |run: &super::record::Record| {
        let report = run.report.as_ref()?;
        let (course, name) = (&report.seen.again.course, run.system.name());
        let line = |name: &str, of: &dyn Fn(&Second) -> Option<f64>| Series {
            name: name.to_owned(),
            points: (0..).zip(course).filter_map(|(at, second)| Some((f64::from(at), of(second)?))).collect(),
        };
        let requests = Panel {
            title: "requests a second",
            lines: vec![
                line("accepted", &|second| Some(second.accepted as f64)),
                line("sent away", &|second| Some(second.sent_away as f64)),
                line("came again", &|second| Some(second.again as f64)),
                line("new", &|second| Some(second.new as f64)),
            ],
        };
        let latency = Panel {
            title: "of those accepted, 99 of 100 within … ms",
            lines: vec![
                line("answer", &|second| second.answer_ms.map(|ms| ms.p99)),
                line("outcome", &|second| second.result_ms.map(|ms| ms.p99)),
            ],
        };
        let resident = |part: &Part| Series {
            name: part.name.clone(),
            points: part.looks.iter().filter_map(|look| seconds_and_mib(*look, report.seen.go)).collect(),
        };
        let counted = report.seen.parts.iter().filter(|part| !part.name.starts_with('~'));
        let memory = Panel { title: "resident memory, MiB", lines: counted.map(resident).collect() };
        let title = format!("More than can be served, {name}, by seconds");
        let svg = over_time(&title, &[requests, latency, memory]);
        (!course.is_empty()).then(|| Plot { file: format!("bench-overload-{name}.svg"), title, svg })
    };
    cells.of.values().filter_map(|runs| plot(runs.last()?)).collect()
}

fn seconds_and_mib((at, bytes): (u64, u64), go: u64) -> Option<(f64, f64)> {
    Some((clock::seconds(at.checked_sub(go)?), bytes as f64 / 1024.0 / 1024.0))
}

/// Latencies by percentile: one of `1 - 1/x`, over x from 2 to 1,000.
fn percentiles(cells: &Cells) -> Vec<Plot> {
    let line = |(key, runs): (&Key, &Vec<super::record::Record>)| {
        let at = |x: f64, which: fn(crate::measure::spectrum::Percentiles) -> f64| {
            Some((x, of(runs, |run| run.figures()?.result_ms.map(which))?))
        };
        let points = [
            at(2.0, |ms| ms.p50),
            at(10.0, |ms| ms.p90),
            at(20.0, |ms| ms.p95),
            at(100.0, |ms| ms.p99),
            at(1_000.0, |ms| ms.p999),
        ];
        // A system may have been asked at several rates.
        let name = match of(runs, |run| run.rate) {
            Some(rate) => format!("{}, {}/s", key.system.name(), spoken(rate.round())),
            None => key.system.name(),
        };
        Series { name, points: points.into_iter().flatten().collect() }
    };
    let series: Vec<Series> = cells.of.iter().filter(|(key, _)| counts(key)).map(line).collect();
    if series.is_empty() {
        return Vec::new();
    }
    let title = "Milliseconds until a shopper knows, at steady rates".to_owned();
    let svg = lines(&title, "all but one in … shoppers", &series);
    vec![Plot { file: "bench-latency.svg".to_owned(), title, svg }]
}
