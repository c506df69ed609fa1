//! More shoppers than can be served: what they are told to do, and what is made of it.
//!
//! The capacity is what the system completes per second when purchases follow each other over some hundred connections.
//! Then a fraction of it, several times as much for a while, and the fraction again are asked for, whatever the system
//! does; whoever is sent away comes again when they were told to, on top of that.

use serde::{Deserialize, Serialize};

use super::cli::Series;
use crate::measure::again::{Again, Second};
use crate::measure::figures::round;
use crate::measure::spectrum::Percentiles;

/// Before and after, this part of the capacity is asked for: enough to see how calm it is, and so little that those who
/// wait get through.
const CALM: f64 = 0.2;
/// How long before, in seconds.
const BEFORE_S: u32 = 10;
/// Of which so many are not looked at: connections are made in them.
const BEGINNING_S: usize = 3;
/// How long it goes on after nobody comes again, in seconds.
const AFTER_S: u32 = 15;
/// Those who wait have half as long again as it should take to serve them.
const PATIENCE: f64 = 1.5;
/// Connections that shoppers keep between them: at least as many requests are in line and at work at the same time.
const CONNECTIONS: u32 = 14_000;
/// Connections over which the capacity is found, and purchases that it takes.
const FINDING_CONNECTIONS: u32 = 256;
const FINDING: u32 = 32_000;
/// A second is calm again when its 99th percentile is not above so many times the worst of the calm seconds before, or
/// not above so many milliseconds.
const CALM_TIMES: f64 = 2.0;
const CALM_MS: f64 = 50.0;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Overload {
    /// Times the capacity.
    pub(super) factor: f64,
    /// For so many seconds.
    pub(super) seconds: u32,
    /// Nobody comes again later than so many seconds after the start.
    pub(super) leave_s: u32,
    /// Completed purchases per second; 0: to be found.
    pub(super) capacity: f64,
}

impl Overload {
    pub(super) fn of(series: &Series) -> Self {
        let (factor, seconds) = (series.factor.max(1.0), series.seconds.unwrap_or(60));
        let waiting_s = f64::from(seconds) * (factor - 1.0) / (1.0 - CALM) * PATIENCE;
        let leave_s = series.leave.unwrap_or(BEFORE_S + seconds + waiting_s.ceil() as u32);
        Self { factor, seconds, leave_s: leave_s.max(BEFORE_S + seconds), capacity: series.rate.unwrap_or(0.0) }
    }

    /// Purchases per second while it is too much.
    pub(super) fn rate(&self) -> f64 {
        self.capacity * self.factor
    }

    /// What the driver is told to find the capacity.
    pub(super) fn finding(shoppers: u32) -> Vec<String> {
        let each = FINDING.div_ceil(shoppers.max(1));
        words(&["--pool", &FINDING_CONNECTIONS.to_string(), "--purchases", &each.to_string(), "--timeout", "60"])
    }

    /// What the driver is told then.
    pub(super) fn arguments(&self) -> Vec<String> {
        let after_s = self.leave_s + AFTER_S - BEFORE_S - self.seconds;
        let calm = round(self.capacity * CALM, 0).max(1.0);
        let much = round(self.rate(), 0).max(1.0);
        let load = format!("{calm}x{BEFORE_S},{much}x{},{calm}x{after_s}", self.seconds);
        let (pool, leave) = (CONNECTIONS.to_string(), self.leave_s.to_string());
        words(&["--again", "--pool", &pool, "--load", &load, "--leave", &leave])
    }

    /// Tickets that it takes, and those of finding the capacity.
    pub(super) fn units(&self) -> u64 {
        // Where the capacity is not known yet, no machine sells more.
        let capacity = if self.capacity > 0.0 { self.capacity } else { 20_000.0 };
        let calm_s = f64::from(self.leave_s + AFTER_S);
        (capacity * (self.factor * f64::from(self.seconds) + CALM * calm_s)).ceil() as u64 + 2 * u64::from(FINDING)
    }

    /// The seconds in which it is too much.
    fn much(&self) -> std::ops::Range<usize> {
        BEFORE_S as usize..(BEFORE_S + self.seconds) as usize
    }

    /// What the seconds say.
    pub(super) fn judge(&self, again: &Again) -> Judged {
        let course = &again.course;
        let of = |range: std::ops::Range<usize>| course.get(range).unwrap_or_default();
        let (calm, much) = (of(BEGINNING_S..BEFORE_S as usize), of(self.much()));
        let mean = |what: fn(&Second) -> u64| {
            let sum: u64 = much.iter().map(what).sum();
            (!much.is_empty()).then(|| sum as f64 / much.len() as f64)
        };
        let recovery = |which: Which| recovery(course, calm, self.capacity / 2.0, which);
        Judged {
            asked_at_most: course.iter().map(Second::asked).max().map(|most| most as f64),
            accepted_per_s: mean(|second| second.accepted),
            completed_per_s: mean(|second| second.completed),
            calm_answer_ms: worst(calm, ANSWER),
            calm_result_ms: worst(calm, RESULT),
            answer_recovery_s: recovery(ANSWER),
            result_recovery_s: recovery(RESULT),
        }
    }
}

/// What the seconds of a run say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    /// Requests in the fullest second.
    pub(super) asked_at_most: Option<f64>,
    /// While it is too much, in the mean.
    pub(super) accepted_per_s: Option<f64>,
    /// The same.
    pub(super) completed_per_s: Option<f64>,
    /// The worst 99th percentile of a calm second before.
    pub(super) calm_answer_ms: Option<f64>,
    /// The same.
    pub(super) calm_result_ms: Option<f64>,
    /// From the end of the last second in which half of the capacity was asked for to the first one from which on all are
    /// calm.
    pub(super) answer_recovery_s: Option<f64>,
    /// The same.
    pub(super) result_recovery_s: Option<f64>,
}

type Which = fn(&Second) -> Option<Percentiles>;
const ANSWER: Which = |second| second.answer_ms;
const RESULT: Which = |second| second.result_ms;

fn worst(seconds: &[Second], which: Which) -> Option<f64> {
    seconds.iter().filter_map(|second| Some(which(second)?.p99)).max_by(f64::total_cmp)
}

fn recovery(course: &[Second], calm: &[Second], least: f64, which: Which) -> Option<f64> {
    let limit = (worst(calm, which)? * CALM_TIMES).max(CALM_MS);
    let over = course.iter().rposition(|second| second.asked() as f64 >= least)? + 1;
    let after = course.get(over..)?;
    let uneasy = after.iter().rposition(|second| which(second).is_some_and(|ms| ms.p99 > limit));
    let calm_from = uneasy.map_or(0, |last| last + 1);
    // Somebody has to have asked in calm for it to be seen.
    after.get(calm_from..)?.iter().find_map(which).map(|_| calm_from as f64)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUCH: Overload = Overload { factor: 5.0, seconds: 60, leave_s: 120, capacity: 2_000.0 };

    fn second(asked: u64, p99: f64) -> Second {
        let ms = Percentiles { p50: 1.0, p90: 1.0, p95: 1.0, p99, p999: p99, max: p99, mean: 1.0 };
        Second { new: asked, accepted: asked.min(2_000), answer_ms: Some(ms), result_ms: Some(ms), ..Second::default() }
    }

    /// Ten calm seconds, a minute of too much and what is left of it, and after it so many uneasy seconds.
    fn course(uneasy: usize) -> Again {
        let stretch = |seconds: usize, asked: u64, p99: f64| std::iter::repeat_n(second(asked, p99), seconds);
        let course = stretch(10, 400, 30.0).chain(stretch(90, 10_000, 3_000.0)).chain(stretch(uneasy, 400, 900.0));
        Again { course: course.chain(stretch(15, 400, 40.0)).collect(), ..Again::default() }
    }

    #[test]
    fn the_driver_is_told_of_calm_too_much_and_calm() {
        let told = MUCH.arguments().join(" ");
        assert_eq!(told, "--again --pool 14000 --load 400x10,10000x60,400x65 --leave 120");
        assert!(Overload::finding(4_000).join(" ").contains("--purchases 8 "));
        assert!(MUCH.units() > 600_000);
    }

    #[test]
    fn recovery_is_counted_from_when_the_crowd_is_over_to_when_it_stays_calm() {
        let judged = |uneasy: usize| MUCH.judge(&course(uneasy));
        assert_eq!((judged(0).answer_recovery_s, judged(4).answer_recovery_s), (Some(0.0), Some(4.0)));
        let calm = judged(0);
        assert_eq!(
            (calm.calm_answer_ms, calm.asked_at_most, calm.accepted_per_s),
            (Some(30.0), Some(10_000.0), Some(2_000.0))
        );
        let mut never = course(4);
        never.course.truncate(104);
        assert_eq!(MUCH.judge(&never).answer_recovery_s, None, "the run ended before it was calm");
        assert_eq!(MUCH.judge(&Again::default()).answer_recovery_s, None);
    }
}
