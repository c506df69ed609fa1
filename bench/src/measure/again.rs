//! What becomes of those who are sent away and come again, and of everybody second by second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::seen::Merge;
use super::spectrum::{Percentiles, Spectrum};

/// What lies behind this second is counted in it.
const SECONDS_MAX: usize = 86_400;

/// What a driver saw of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Again {
    /// How often purchases were sent away, and how many that often.
    pub times: BTreeMap<u32, u64>,
    /// How long they were told to wait.
    pub told: Spectrum,
    /// From a request until it was sent away.
    pub turned: Spectrum,
    /// From when a purchase was due to its acceptance, with all that was waited in between.
    pub through: Spectrum,
    /// How late the driver was with purchases: it shares a machine with what it measures.
    pub behind: Spectrum,
    /// Purchases that were told to come again at a time when the driver had stopped.
    pub left: u64,
    /// From request to acceptance, of what was asked for in seconds in which somebody was sent away.
    pub answer: Spectrum,
    /// From request to outcome, of the same.
    pub result: Spectrum,
    /// Each second since the first purchase.
    pub course: Vec<Second>,
}

/// One second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Requests of purchases that were made for the first time.
    pub new: u64,
    /// Requests of those who came again.
    pub again: u64,
    /// Requests that were accepted.
    pub accepted: u64,
    /// Requests that were sent away.
    pub sent_away: u64,
    /// Outcomes on sockets.
    pub completed: u64,
    /// From request to acceptance, of what was asked for in this second and accepted.
    pub answer_ms: Option<Percentiles>,
    /// From request to outcome, of the same.
    pub result_ms: Option<Percentiles>,
}

impl Second {
    /// All requests.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.new + self.again
    }

    fn merge(&mut self, other: &Self) {
        self.new += other.new;
        self.again += other.again;
        self.accepted += other.accepted;
        self.sent_away += other.sent_away;
        self.completed += other.completed;
        // Percentiles cannot be added: what the worse driver saw is never better than the whole.
        for (mine, theirs) in [(&mut self.answer_ms, other.answer_ms), (&mut self.result_ms, other.result_ms)] {
            let p99 = |ms: &Option<Percentiles>| ms.map_or(0.0, |ms| ms.p99);
            if p99(&theirs) > p99(mine) {
                *mine = theirs;
            }
        }
    }
}

impl Again {
    /// Adds what another driver, or a later wave, saw.
    pub(super) fn merge(&mut self, other: &Self, how: Merge) {
        other.times.iter().for_each(|(times, count)| *self.times.entry(*times).or_default() += count);
        self.told.merge(&other.told);
        self.turned.merge(&other.turned);
        self.through.merge(&other.through);
        self.behind.merge(&other.behind);
        self.answer.merge(&other.answer);
        self.result.merge(&other.result);
        self.left += other.left;
        match how {
            Merge::After => self.course.extend(&other.course),
            Merge::Beside => {
                self.course.resize(self.course.len().max(other.course.len()), Second::default());
                self.course.iter_mut().zip(&other.course).for_each(|(mine, theirs)| mine.merge(theirs));
            }
        }
    }

    /// The second in which so many nanoseconds had passed.
    pub fn at(&mut self, nanoseconds: u64) -> &mut Second {
        let at = usize::try_from(nanoseconds / 1_000_000_000).unwrap_or(0).min(SECONDS_MAX);
        if self.course.len() <= at {
            self.course.resize(at + 1, Second::default());
        }
        &mut self.course[at]
    }

    /// Purchases that were sent away at least once.
    #[must_use]
    pub fn ever_sent_away(&self) -> u64 {
        self.times.range(1..).map(|(_, count)| count).sum()
    }

    /// How often one in so many was sent away: `0.5` is the median over all purchases, `1.0` the most.
    #[must_use]
    pub fn times_at(&self, share: f64) -> Option<u32> {
        let all: u64 = self.times.values().sum();
        let mut left = (share * all as f64).ceil() as u64;
        for (times, count) in &self.times {
            if left <= *count {
                return Some(*times);
            }
            left -= count;
        }
        self.times.keys().next_back().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_often_purchases_were_sent_away_has_a_median_and_an_end() {
        let again = Again { times: [(0, 60), (1, 30), (4, 10)].into(), ..Again::default() };
        assert_eq!([0.5, 0.6, 0.9, 0.99, 1.0].map(|share| again.times_at(share).unwrap()), [0, 0, 1, 4, 4]);
        assert_eq!(again.ever_sent_away(), 40);
        assert_eq!(Again::default().times_at(0.5), None);
    }

    #[test]
    fn seconds_of_drivers_beside_each_other_are_added_and_those_of_waves_follow() {
        let again = |accepted: &[u64]| Again {
            course: accepted.iter().map(|&accepted| Second { accepted, ..Second::default() }).collect(),
            ..Again::default()
        };
        let merged = |how: Merge| {
            let mut both = again(&[1, 2]);
            both.merge(&again(&[10, 20, 30]), how);
            both.course.iter().map(|second| second.accepted).collect::<Vec<_>>()
        };
        assert_eq!(merged(Merge::Beside), [11, 22, 30]);
        assert_eq!(merged(Merge::After), [1, 2, 10, 20, 30]);
    }
}
