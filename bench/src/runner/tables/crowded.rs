//! What is said of more shoppers than can be served: one figure below the other.

use super::super::median::of;
use super::super::overload::Judged;
use super::super::record::Record;
use super::{Column, ERRORS, LOST, RUNS, SYSTEM, figure, number};
use crate::measure::again::Again;
use crate::measure::spectrum::{Percentiles, Spectrum};

pub(super) fn columns() -> Vec<Column> {
    let asked: Column = ("capacity: completed/s", |runs| number(of(runs, |run| Some(run.overload?.capacity)), 0));
    let rate: Column = ("new purchases/s, for how many s", |runs| {
        let seconds = of(runs, |run| Some(f64::from(run.overload?.seconds)));
        format!("{}, {}", number(of(runs, |run| run.rate), 0), number(seconds, 0))
    });
    let most: Column = ("requests/s at most, with those who came again", |runs| judged(runs, 0, |j| j.asked_at_most));
    let accepted: Column = ("meanwhile accepted/s, completed/s", |runs| {
        format!("{}, {}", judged(runs, 0, |j| j.accepted_per_s), judged(runs, 0, |j| j.completed_per_s))
    });
    let calm: Column = ("calm before: accepted, outcome: p99 ms", |runs| {
        format!("{}, {}", judged(runs, 0, |j| j.calm_answer_ms), judged(runs, 0, |j| j.calm_result_ms))
    });
    let answer: Column = ("accepted within: p50 / p99 / max ms", |runs| three(runs, 0, 1.0, |again| &again.answer));
    let result: Column =
        ("of those, outcome within: p50 / p99 / max ms", |runs| three(runs, 0, 1.0, |again| &again.result));
    let turned: Column = ("sent away within: p50 / p99 / max ms", |runs| three(runs, 0, 1.0, |again| &again.turned));
    let told: Column = ("told to come again in: p50 / p99 / max s", |runs| three(runs, 0, 1e3, |again| &again.told));
    let share: Column = ("purchases that were sent away", |runs| {
        let share = of(runs, |run| {
            let seen = &run.report.as_ref()?.seen;
            Some(seen.again.ever_sent_away() as f64 * 100.0 / seen.purchases.max(1) as f64)
        });
        format!("{} %", number(share, 0))
    });
    let times: Column = ("how often: median / p99 / most", |runs| {
        let at = |share: f64| number(of(runs, |run| again(run)?.times_at(share).map(f64::from)), 0);
        format!("{} / {} / {}", at(0.5), at(0.99), at(1.0))
    });
    let through: Column =
        ("accepted after, with all waits: p50 / p99 / max s", |runs| three(runs, 0, 1e3, |again| &again.through));
    let left: Column = ("who had to wait was through, after the start s", |runs| {
        let left = of(runs, |run| Some(again(run)?.left as f64)).unwrap_or_default();
        let last = |run: &Record| run.report.as_ref()?.seen.again.course.iter().rposition(|second| second.again > 0);
        let after = number(of(runs, |run| Some(last(run)? as f64 + 1.0)), 0);
        if left > 0.0 { format!("{after}, but for {left:.0} who were left") } else { after }
    });
    let recovery: Column = ("calm again after the crowd: accepted, outcome: s", |runs| {
        format!("{}, {}", judged(runs, 0, |j| j.answer_recovery_s), judged(runs, 0, |j| j.result_recovery_s))
    });
    let unease: Column = ("of the seconds since, not calm: accepted, outcome", |runs| {
        let part = |what: fn(Judged) -> Option<f64>| {
            number(of(runs, |run| Some(what(run.overload?.judge(again(run)?))? * 100.0)), 0)
        };
        format!("{} %, {} %", part(|j| j.answer_unease), part(|j| j.result_unease))
    });
    let behind: Column = ("the driver was late by: p50 / p99 / max ms", |runs| three(runs, 1, 1.0, |a| &a.behind));
    let before = vec![SYSTEM, RUNS, asked, rate, most, accepted, calm, answer, result, turned, told, share, times];
    [before, vec![through, left, LOST, ERRORS, recovery, unease, WEB, WORKER, REDIS, behind]].concat()
}

const WEB: Column = ("web: RSS MiB before / peak / after", |runs| memory(runs, "web"));
const WORKER: Column = ("worker: RSS MiB before / peak / after", |runs| memory(runs, "worker"));
const REDIS: Column = ("Redis: RSS MiB before / peak / after", |runs| memory(runs, "redis"));

fn again(run: &Record) -> Option<&Again> {
    Some(&run.report.as_ref()?.seen.again)
}

fn judged(runs: &[Record], digits: usize, what: fn(Judged) -> Option<f64>) -> String {
    number(of(runs, |run| what(run.overload?.judge(again(run)?))), digits)
}

/// Of a distribution, in units of so many milliseconds.
fn three(runs: &[Record], digits: usize, unit: f64, which: fn(&Again) -> &Spectrum) -> String {
    let at = |of_it: fn(Percentiles) -> f64| {
        number(of(runs, |run| Some(of_it(which(again(run)?).percentiles()?) / unit)), digits)
    };
    format!("{} / {} / {}", at(|ms| ms.p50), at(|ms| ms.p99), at(|ms| ms.max))
}

fn memory(runs: &[Record], name: &str) -> String {
    let resident = |bytes: fn(&crate::measure::seen::Part) -> u64| {
        let part = |run: &Record| {
            run.report.as_ref()?.seen.parts.iter().find(|part| part.name == name).map(|part| bytes(part) as f64)
        };
        number(of(runs, |run| Some(part(run)? / 1024.0 / 1024.0)), 0)
    };
    let peak = figure(runs, 0, |figures| figures.part(name).map(|part| part.peak_rss_mib));
    format!("{} / {peak} / {}", resident(|part| part.joined.1), resident(|part| part.end.1))
}
