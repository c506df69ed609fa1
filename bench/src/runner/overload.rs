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
/// A second is calm when its 99th percentile is not above so many milliseconds: less than a shopper notices. While turns go
/// by, a machine is busy and not idle.
const CALM_MS: f64 = 250.0;
/// It is calm again when so many seconds in a row are.
const CALM_FOR: usize = 10;

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
        let after = course.get(self.much().end..).unwrap_or_default();
        Judged {
            asked_at_most: course.iter().map(Second::asked).max().map(|most| most as f64),
            accepted_per_s: mean(|second| second.accepted),
            completed_per_s: mean(|second| second.completed),
            calm_answer_ms: worst(calm, ANSWER),
            calm_result_ms: worst(calm, RESULT),
            answer_recovery_s: recovery(after, ANSWER).map(|second| second as f64),
            result_recovery_s: recovery(after, RESULT).map(|second| second as f64),
            answer_unease: unease(after, ANSWER),
            result_unease: unease(after, RESULT),
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
    /// From the end of the crowd to the first of some calm seconds in a row.
    pub(super) answer_recovery_s: Option<f64>,
    /// The same.
    pub(super) result_recovery_s: Option<f64>,
    /// The part of the seconds since then that were not calm.
    pub(super) answer_unease: Option<f64>,
    /// The same.
    pub(super) result_unease: Option<f64>,
}

type Which = fn(&Second) -> Option<Percentiles>;
const ANSWER: Which = |second| second.answer_ms;
const RESULT: Which = |second| second.result_ms;

fn worst(seconds: &[Second], which: Which) -> Option<f64> {
    seconds.iter().filter_map(|second| Some(which(second)?.p99)).max_by(f64::total_cmp)
}

/// Somebody has to have asked for it to be seen.
fn is_calm(second: &Second, which: Which) -> bool {
    which(second).is_some_and(|ms| ms.p99 <= CALM_MS)
}

/// The first of some calm seconds in a row.
fn recovery(after: &[Second], which: Which) -> Option<usize> {
    after.windows(CALM_FOR).position(|seconds| seconds.iter().all(|second| is_calm(second, which)))
}

/// The part of the seconds since then that were not calm.
fn unease(after: &[Second], which: Which) -> Option<f64> {
    let since = after.get(recovery(after, which)?..)?;
    let asked = since.iter().filter(|second| which(second).is_some()).count();
    let calm = since.iter().filter(|second| is_calm(second, which)).count();
    Some((asked - calm) as f64 / asked.max(1) as f64)
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

    fn stretch(seconds: usize, asked: u64, p99: f64) -> impl Iterator<Item = Second> {
        std::iter::repeat_n(second(asked, p99), seconds)
    }

    /// Ten calm seconds, a minute of too much, so many uneasy seconds, and calm ones.
    fn course(uneasy: usize) -> Again {
        let course = stretch(10, 400, 30.0).chain(stretch(60, 10_000, 3_000.0)).chain(stretch(uneasy, 400, 900.0));
        Again { course: course.chain(stretch(15, 400, 200.0)).collect(), ..Again::default() }
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
        assert_eq!(judged(4).answer_unease, Some(0.0));
        let mut twice = course(4);
        twice.course.extend(stretch(5, 400, 900.0).chain(stretch(5, 400, 200.0)));
        let judged = MUCH.judge(&twice);
        assert_eq!((judged.answer_recovery_s, judged.answer_unease), (Some(4.0), Some(0.2)), "not all stay calm");
        let mut never = course(4);
        never.course.truncate(83);
        assert_eq!(MUCH.judge(&never).answer_recovery_s, None, "the run ended before it was calm");
        assert_eq!(MUCH.judge(&Again::default()).answer_recovery_s, None);
    }
}
