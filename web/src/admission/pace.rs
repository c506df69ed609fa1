//! How fast purchases are served while some wait.

use std::time::Duration;

use shared::budget::MilliHertz;

use super::Comer;

/// The pace is measured over at least this long.
const WINDOW: Duration = Duration::from_millis(250);
/// And that of turns over this: who is let in by fits and starts is served faster for a moment than for a minute.
const LONG_WINDOW: Duration = Duration::from_secs(2);
/// Of a pace that is slower now than it was at best, one part in so many is believed with each long window: half in 45 s.
const FORGETS: MilliHertz = 32;
/// And with each of those who come in turn and have to wait: half after 700 of them.
const BELIEVES: MilliHertz = 1_024;
/// After this long without anybody who is sent away there is no crowd any more.
const A_CROWD_IS_OVER: Duration = Duration::from_secs(1);
/// A thousandth of a hertz is one in so many nanoseconds.
const NANOS_IN_MILLIHERTZ: u128 = 1_000_000_000_000;
/// What a purchase takes at most, until it was measured: on a small machine.
const FIRST_GUESS: Duration = Duration::from_millis(2);

/// How fast purchases are served: not how long each takes, but how much time goes by from one to the next. It is kept as
/// so many a second, in thousandths: a window in which everything stood still counts as one, and not for as long as it took.
#[derive(Default)]
pub(super) struct Pace {
    window: Option<Window>,
    long_window: Option<Window>,
    /// When somebody was sent away, the last time.
    crowd: Option<Duration>,
    /// All of them.
    any: Option<MilliHertz>,
    /// Those who came without a hold.
    without_hold: Option<MilliHertz>,
    /// The same, when it went best: to send a crowd away costs as well, and those who come when told come when that is over.
    at_best: Option<MilliHertz>,
    /// The same, when it was measured last.
    lately: Option<MilliHertz>,
    /// Until that was measured: the first two seconds of a crowd are many turns.
    first_moments: Option<MilliHertz>,
}

struct Window {
    since: Duration,
    any: u32,
    without_hold: u32,
}

impl Window {
    /// One more was served; how many a second were, of all and of those without a hold, when the window has been open for
    /// so long. Then the next one begins.
    fn served(
        open: &mut Option<Self>,
        now: Duration,
        comer: Comer,
        long: Duration,
    ) -> Option<(MilliHertz, MilliHertz)> {
        let window = open.get_or_insert(Self { since: now, any: 0, without_hold: 0 });
        window.any += 1;
        window.without_hold += u32::from(comer != Comer::WithHold);
        let took = now.saturating_sub(window.since);
        if took < long {
            return None;
        }
        let pace = |served: u32| divided(u128::from(served.max(1)) * NANOS_IN_MILLIHERTZ, took.as_nanos());
        let measured = (pace(window.any), pace(window.without_hold));
        *open = Some(Self { since: now, any: 0, without_hold: 0 });
        Some(measured)
    }
}

impl Pace {
    /// One more was served.
    pub(super) fn served(&mut self, now: Duration, comer: Comer, somebody_waits: bool) {
        // Without a line, or a crowd, it is the shoppers' pace and not ours.
        if !somebody_waits {
            self.window = None;
        } else if let Some((any, without_hold)) = Window::served(&mut self.window, now, comer, WINDOW) {
            let smooth = |before: Option<MilliHertz>, now| Some(before.map_or(now, |before| before.midpoint(now)));
            self.any = smooth(self.any, any);
            self.without_hold = smooth(self.without_hold, without_hold);
            if self.is_crowded(now) {
                // A bad moment must not tell them minutes.
                self.first_moments = Some(without_hold.max(at_least()));
            }
        }
        if !self.is_crowded(now) {
            self.long_window = None;
        } else if let Some((_, now)) = Window::served(&mut self.long_window, now, comer, LONG_WINDOW) {
            self.lately = Some(now);
            self.at_best = match self.at_best {
                Some(best) if now < best => Some(best - (best - now) / FORGETS),
                _ => Some(now),
            };
        }
    }

    fn is_crowded(&self, now: Duration) -> bool {
        self.crowd.is_some_and(|crowd| crowd + A_CROWD_IS_OVER >= now)
    }

    /// Somebody is sent away.
    pub(super) fn sent_away(&mut self, now: Duration) {
        self.crowd = Some(now);
    }

    /// Somebody came in turn, and has to wait, or finds no room: turns are given faster than they can be kept.
    pub(super) fn turn_missed(&mut self) {
        if let (Some(best), Some(now)) = (self.at_best, self.lately)
            && now < best
        {
            self.at_best = Some(best - (best - now) / BELIEVES);
        }
    }

    /// How long so many take; nothing is known before it was measured.
    pub(super) fn time_for(&self, so_many: usize) -> Duration {
        self.any.map_or(Duration::ZERO, |pace| at_pace(so_many as u128, pace))
    }

    /// How much time goes by from one who comes without a hold to the next, when it goes well.
    pub(super) fn each(&self) -> Duration {
        self.at_best.or(self.first_moments).map_or(FIRST_GUESS, |pace| at_pace(1, pace))
    }
}

/// The pace of the first guess.
fn at_least() -> MilliHertz {
    divided(NANOS_IN_MILLIHERTZ, FIRST_GUESS.as_nanos())
}

fn at_pace(so_many: u128, pace: MilliHertz) -> Duration {
    Duration::from_nanos(divided(so_many * NANOS_IN_MILLIHERTZ, u128::from(pace)))
}

fn divided(what: u128, by: u128) -> u64 {
    u64::try_from(what / by.max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn whose_turn_would_come_too_late_is_known_from_the_pace() {
        let mut pace = Pace::default();
        assert_eq!(pace.time_for(1_000_000), Duration::ZERO, "nothing is known yet");
        for ms in (0..=1_000).step_by(10) {
            pace.served(Duration::from_millis(ms), Comer::For(Uuid::nil()), true);
        }
        let told = pace.time_for(200);
        assert!((Duration::from_millis(1_900)..Duration::from_millis(2_100)).contains(&told), "100 a second: {told:?}");
        pace.served(Duration::from_secs(60), Comer::WithHold, false);
        pace.served(Duration::from_secs(90), Comer::WithHold, true);
        assert_eq!(pace.time_for(200), told, "a minute without a line says nothing of the pace");
    }

    #[test]
    fn turns_go_by_the_best_pace_and_a_pace_that_stays_bad_is_believed_in_the_end() {
        let mut pace = Pace::default();
        let mut now = Duration::ZERO;
        let mut serve = |pace: &mut Pace, each_ms: u64, seconds: u64| {
            let until = now + Duration::from_secs(seconds);
            while now < until {
                now += Duration::from_millis(each_ms);
                pace.sent_away(now);
                pace.served(now, Comer::For(Uuid::nil()), true);
            }
        };
        serve(&mut pace, 1, 3);
        assert!(pace.each() <= Duration::from_micros(1_100), "{:?}", pace.each());
        serve(&mut pace, 5, 10);
        assert!(pace.each() < Duration::from_millis(2), "ten seconds of a crowd: {:?}", pace.each());
        serve(&mut pace, 2_000, 4);
        assert!(pace.each() < Duration::from_millis(2), "two that took long: {:?}", pace.each());
        serve(&mut pace, 1, 2);
        assert!(pace.time_for(1_000) < Duration::from_millis(1_100), "{:?}", pace.time_for(1_000));
        serve(&mut pace, 5, 300);
        assert!(pace.each() > Duration::from_millis(4), "{:?}", pace.each());
        serve(&mut pace, 1, 8);
        assert!(pace.each() <= Duration::from_micros(1_100), "{:?}", pace.each());
    }

    #[test]
    fn turns_do_not_go_by_the_fits_of_a_pace_that_comes_in_fits_and_starts() {
        let mut pace = Pace::default();
        let mut now = Duration::ZERO;
        for _ in 0..20 {
            for _ in 0..500 {
                now += Duration::from_micros(500);
                pace.sent_away(now);
                // What is served at once, since nobody waits at the moment, is served as well.
                pace.served(now, Comer::For(Uuid::nil()), now.as_millis().is_multiple_of(2));
            }
            now += Duration::from_millis(750);
        }
        let each = pace.each();
        assert!((Duration::from_micros(1_700)..Duration::from_micros(2_300)).contains(&each), "500 a second: {each:?}");
    }

    #[test]
    fn what_is_served_when_no_crowd_is_there_says_nothing_of_the_pace_of_turns() {
        let mut pace = Pace::default();
        for ms in 0..10_000 {
            pace.served(Duration::from_millis(ms), Comer::For(Uuid::nil()), true);
        }
        assert_eq!(pace.each(), FIRST_GUESS);
    }

    #[test]
    fn the_first_turns_of_a_crowd_go_by_its_first_moments_unless_those_are_bad() {
        let each_after = |each_us: u64| {
            let mut pace = Pace::default();
            let mut now = Duration::ZERO;
            while now < Duration::from_millis(600) {
                now += Duration::from_micros(each_us);
                pace.sent_away(now);
                pace.served(now, Comer::For(Uuid::nil()), true);
            }
            pace.each()
        };
        let fast = each_after(500);
        assert!((Duration::from_micros(490)..=Duration::from_micros(510)).contains(&fast), "{fast:?}");
        assert_eq!(each_after(300_000), FIRST_GUESS, "three a second, as it seems");
    }

    #[test]
    fn turns_that_cannot_be_kept_are_given_more_slowly_soon() {
        let mut pace = Pace::default();
        let mut now = Duration::ZERO;
        let mut serve = |pace: &mut Pace, each_ms: u64, seconds: u64, missed: u32| {
            let until = now + Duration::from_secs(seconds);
            while now < until {
                now += Duration::from_millis(each_ms);
                pace.sent_away(now);
                pace.served(now, Comer::For(Uuid::nil()), true);
                (0..missed).for_each(|_| pace.turn_missed());
            }
        };
        serve(&mut pace, 1, 8, 0);
        serve(&mut pace, 4, 4, 0);
        assert!(pace.each() < Duration::from_micros(1_200), "nobody was disappointed: {:?}", pace.each());
        serve(&mut pace, 4, 4, 3);
        assert!(pace.each() > Duration::from_millis(3), "250 a second, and 750 without room: {:?}", pace.each());
        assert!(pace.each() < Duration::from_micros(4_500), "no slower than it goes: {:?}", pace.each());
    }

    #[test]
    fn who_pays_for_a_hold_takes_of_the_time_of_those_who_come_for_one() {
        let mut pace = Pace::default();
        for step in 0..=1_000 {
            let comer = if step % 2 == 0 { Comer::For(Uuid::nil()) } else { Comer::WithHold };
            pace.sent_away(Duration::from_millis(step * 5));
            pace.served(Duration::from_millis(step * 5), comer, true);
        }
        let within = |time: Duration, ms: u64| {
            (Duration::from_millis(ms * 9 / 10)..=Duration::from_millis(ms * 11 / 10)).contains(&time)
        };
        assert!(within(pace.time_for(100), 500), "{:?}", pace.time_for(100));
        assert!(within(pace.each(), 10), "{:?}", pace.each());
    }
}
