//! How fast purchases are served while some wait.

use std::time::Duration;

use shared::budget::MilliHertz;

use super::Comer;

/// The pace is measured over at least this long.
const WINDOW: Duration = Duration::from_millis(250);
/// Of a pace that is slower now than it was at best, one part in so many is believed with each window: half in 45 s.
const FORGETS: MilliHertz = 256;
/// A thousandth of a hertz is one in so many nanoseconds.
const NANOS_IN_MILLIHERTZ: u128 = 1_000_000_000_000;
/// What a purchase takes, until it was measured: on a small machine.
const FIRST_GUESS: Duration = Duration::from_millis(2);

/// How fast purchases are served: not how long each takes, but how much time goes by from one to the next. It is kept as
/// so many a second, in thousandths: a window in which everything stood still counts as one, and not for as long as it took.
#[derive(Default)]
pub(super) struct Pace {
    window: Option<Window>,
    /// All of them.
    any: Option<MilliHertz>,
    /// Those who came without a hold.
    without_hold: Option<MilliHertz>,
    /// The same, when it went best: to send a crowd away costs as well, and those who come when told come when that is over.
    at_best: Option<MilliHertz>,
}

struct Window {
    since: Duration,
    any: u32,
    without_hold: u32,
}

impl Pace {
    /// One more was served.
    pub(super) fn served(&mut self, now: Duration, comer: Comer, somebody_waits: bool) {
        // Without a line, it is the shoppers' pace and not ours.
        if !somebody_waits {
            self.window = None;
            return;
        }
        let window = self.window.get_or_insert(Window { since: now, any: 0, without_hold: 0 });
        window.any += 1;
        window.without_hold += u32::from(comer != Comer::WithHold);
        let took = now.saturating_sub(window.since);
        if took < WINDOW {
            return;
        }
        let smooth = |before: Option<MilliHertz>, served: u32| {
            let measured = divided(u128::from(served.max(1)) * NANOS_IN_MILLIHERTZ, took.as_nanos());
            Some(before.map_or(measured, |before| before.midpoint(measured)))
        };
        self.any = smooth(self.any, window.any);
        self.without_hold = smooth(self.without_hold, window.without_hold);
        self.at_best = match (self.at_best, self.without_hold) {
            (Some(best), Some(now)) if now < best => Some(best - (best - now) / FORGETS),
            (_, now) => now,
        };
        self.window = Some(Window { since: now, any: 0, without_hold: 0 });
    }

    /// How long so many take; nothing is known before it was measured.
    pub(super) fn time_for(&self, so_many: usize) -> Duration {
        self.any.map_or(Duration::ZERO, |pace| at_pace(so_many as u128, pace))
    }

    /// How much time goes by from one who comes without a hold to the next, when it goes well.
    pub(super) fn each(&self) -> Duration {
        self.at_best.map_or(FIRST_GUESS, |pace| at_pace(1, pace))
    }
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
                pace.served(now, Comer::For(Uuid::nil()), true);
            }
        };
        serve(&mut pace, 1, 2);
        assert!(pace.each() <= Duration::from_micros(1_100), "{:?}", pace.each());
        serve(&mut pace, 5, 10);
        assert!(pace.each() < Duration::from_millis(2), "ten seconds of a crowd: {:?}", pace.each());
        serve(&mut pace, 2_000, 4);
        assert!(pace.each() < Duration::from_millis(2), "two that took long: {:?}", pace.each());
        serve(&mut pace, 1, 2);
        assert!(pace.time_for(1_000) < Duration::from_millis(1_100), "{:?}", pace.time_for(1_000));
        serve(&mut pace, 5, 300);
        assert!(pace.each() > Duration::from_millis(4), "{:?}", pace.each());
        serve(&mut pace, 1, 2);
        assert!(pace.each() <= Duration::from_micros(1_100), "{:?}", pace.each());
    }

    #[test]
    fn who_pays_for_a_hold_takes_of_the_time_of_those_who_come_for_one() {
        let mut pace = Pace::default();
        for step in 0..=200 {
            let comer = if step % 2 == 0 { Comer::For(Uuid::nil()) } else { Comer::WithHold };
            pace.served(Duration::from_millis(step * 5), comer, true);
        }
        let within = |time: Duration, ms: u64| {
            (Duration::from_millis(ms * 9 / 10)..=Duration::from_millis(ms * 11 / 10)).contains(&time)
        };
        assert!(within(pace.time_for(100), 500), "{:?}", pace.time_for(100));
        assert!(within(pace.each(), 10), "{:?}", pace.each());
    }
}
