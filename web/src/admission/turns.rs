//! Virtual places: who was sent away, and when their turn is.
//!
//! Turns are given one after the other, at the pace of those who are served, and kept by the id that repeats of a request
//! have too. Who asks again before their turn hears of the same turn: asking often gains nothing and takes nothing.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::Comer;

/// Nobody is told to come sooner than this.
pub(super) const SOONEST: Duration = Duration::from_secs(1);
/// Nor later, but for the jitter. Who comes then and is not served is told anew.
pub(super) const LATEST: Duration = Duration::from_secs(1_200);
/// Turns are this much further apart than the pace would allow. A quarter of the time is left for newcomers, for those who
/// pay, and for what the pace did not know of: a machine that turns fill is calm for nobody until the last has come.
const KEPT_FREE: (u32, u32) = (4, 3);
/// A turn is kept for this long after it came: a page adds some seconds of its own.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// So many turns are known at the same time (some 60 bytes each); who comes when there are more is told a time, and has no
/// right to it.
const MOST: usize = 1 << 20;

/// Whether it is somebody's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// No turn is to come.
    NobodyWaits,
    /// It is theirs.
    Now,
    /// They have none, or it is to come.
    Not,
}

/// The turns that were given.
#[derive(Default)]
pub(super) struct Turns {
    of: HashMap<Uuid, u64>,
    /// The soonest first, with turns among them that were taken since.
    given: VecDeque<(u64, Uuid)>,
    /// The last one.
    last: Duration,
}

impl Turns {
    /// Whether it is somebody's turn.
    pub(super) fn due(&self, now: Duration, comer: Comer) -> Due {
        if self.last <= now {
            return Due::NobodyWaits;
        }
        let turn = match comer {
            Comer::For(id) => self.of.get(&id),
            Comer::WithHold => None,
        };
        if turn.is_some_and(|turn| *turn <= millis(now + SOONEST)) { Due::Now } else { Due::Not }
    }

    /// In how long it is this one's turn: the one that was given before, or if that has come already, one behind all
    /// others.
    pub(super) fn give(&mut self, now: Duration, id: Uuid, each: Duration) -> Duration {
        self.forget(now);
        if let Some(turn) = self.of.get(&id)
            && *turn > millis(now + SOONEST)
        {
            return Duration::from_millis(*turn).saturating_sub(now);
        }
        let each = each * KEPT_FREE.0 / KEPT_FREE.1;
        self.last = (self.last + each).clamp(now + SOONEST, now + LATEST);
        if self.given.len() < MOST {
            let turn = millis(self.last);
            self.of.insert(id, turn);
            self.given.push_back((turn, id));
        } else {
            self.of.remove(&id);
        }
        self.last - now
    }

    /// This one was let in.
    pub(super) fn came(&mut self, comer: Comer) {
        if let Comer::For(id) = comer
            && !self.of.is_empty()
        {
            self.of.remove(&id);
        }
    }

    /// Forgets turns that came long ago.
    fn forget(&mut self, now: Duration) {
        let before = millis(now.saturating_sub(KEPT_FOR));
        while let Some((turn, id)) = self.given.front().copied().filter(|(turn, _)| *turn < before) {
            self.given.pop_front();
            if self.of.get(&id) == Some(&turn) {
                self.of.remove(&id);
            }
        }
        // What a crowd took is given back when it has gone.
        if self.given.is_empty() && self.given.capacity() > 0 {
            *self = Self { last: self.last, ..Self::default() };
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: Duration = Duration::from_millis(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn those_who_are_sent_away_come_back_one_after_another_at_the_pace() {
        let mut turns = Turns::default();
        let now = at(1_000);
        let told: Vec<Duration> = (0..2_900).map(|n| turns.give(now, id(n), EACH)).collect();
        assert!(told.is_sorted() && told[0] >= SOONEST);
        let within = |from: u64, to: u64| told.iter().filter(|turn| (at(from)..at(to)).contains(*turn)).count();
        assert!((73..=77).contains(&within(10, 11)), "a quarter less than the pace: {}", within(10, 11));
        for n in 10_000..100_000 {
            turns.give(now, id(n), EACH);
        }
        assert_eq!(turns.give(now, id(1 << 64), EACH), LATEST);
        assert_eq!(turns.give(now + LATEST * 2, id(1 << 65), EACH), SOONEST, "it is over");
    }

    #[test]
    fn a_turn_is_kept_until_it_comes_and_asking_early_neither_gains_nor_takes_one() {
        let mut turns = Turns::default();
        let now = at(1_000);
        assert_eq!(turns.due(now, Comer::For(id(1))), Due::NobodyWaits);
        for n in 0..1_000 {
            turns.give(now, id(n), EACH);
        }
        let told = turns.give(now, id(999), EACH);
        for _ in 0..1_000 {
            let again = turns.give(now, id(999), EACH);
            assert!(told.abs_diff(again) <= Duration::from_millis(1), "{told:?} {again:?}");
        }
        assert!(turns.give(now, id(5_000), EACH) < told + EACH * 3, "nobody was put behind those who asked often");
        assert_eq!(turns.due(now + at(2), Comer::For(id(999))), Due::Not);
        assert_eq!(turns.due(now + at(2), Comer::For(id(7_000))), Due::Not);
        assert_eq!(turns.due(now + at(2), Comer::For(id(3))), Due::Now);
        turns.came(Comer::For(id(3)));
        assert_eq!(turns.due(now + at(2), Comer::For(id(3))), Due::Not, "it is taken once");
    }

    #[test]
    fn whoever_came_in_turn_and_found_no_room_goes_behind_the_others() {
        let mut turns = Turns::default();
        for n in 0..1_000 {
            turns.give(at(1_000), id(n), EACH);
        }
        assert_eq!(turns.due(at(1_005), Comer::For(id(1))), Due::Now);
        let told = turns.give(at(1_005), id(1), EACH);
        assert!(told > at(8) && told < at(10), "{told:?}");
        assert_eq!(turns.due(at(1_005), Comer::For(id(1))), Due::Not);
    }

    #[test]
    fn turns_are_bounded_and_given_back() {
        let mut turns = Turns::default();
        for n in 0..u128::try_from(MOST).unwrap() + 500 {
            turns.give(at(0), id(n), Duration::from_micros(1));
        }
        assert_eq!((turns.of.len(), turns.given.len()), (MOST, MOST));
        turns.give(at(30), id(1), EACH);
        turns.give(at(90), id(2), EACH);
        assert!(turns.of.len() <= 3 && turns.given.capacity() < 16, "{} {}", turns.of.len(), turns.given.capacity());
    }
}
