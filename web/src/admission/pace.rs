//! How fast purchases are served while some wait.

use std::time::Duration;

use super::Comer;

/// The pace is measured over at least this long.
const WINDOW: Duration = Duration::from_millis(250);
/// Of what is slower now than it was at best, one part in so many is believed with each window: half of it in 45 s.
const FORGETS: u32 = 256;
/// What a purchase takes, until it was measured: on a small machine.
const FIRST_GUESS: Duration = Duration::from_millis(2);

/// How fast purchases are served: not how long each takes, but how much time goes by from one to the next.
#[derive(Default)]
pub(super) struct Pace {
    window: Option<Window>,
    /// From any to the next.
    any: Option<Duration>,
    /// From one who came without a hold to the next such one.
    without_hold: Option<Duration>,
    /// The same, when it went best: to send a crowd away costs as well, and those who come when told come when that is over.
    at_best: Option<Duration>,
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
        let smooth = |before: Option<Duration>, served: u32| {
            let measured = took / served.max(1);
            Some(before.map_or(measured, |before| (before + measured) / 2))
        };
        self.any = smooth(self.any, window.any);
        self.without_hold = smooth(self.without_hold, window.without_hold);
        self.at_best = match (self.at_best, self.without_hold) {
            (Some(best), Some(now)) if now > best => Some(best + (now - best) / FORGETS),
            (_, now) => now,
        };
        self.window = Some(Window { since: now, any: 0, without_hold: 0 });
    }

    /// How long so many take; nothing is known before it was measured.
    pub(super) fn time_for(&self, so_many: usize) -> Duration {
        self.any.unwrap_or_default().saturating_mul(u32::try_from(so_many).unwrap_or(u32::MAX))
    }

    /// How much time goes by from one who comes without a hold to the next, when it goes well.
    pub(super) fn each(&self) -> Duration {
        self.at_best.unwrap_or(FIRST_GUESS)
    }
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
        serve(&mut pace, 5, 240);
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
