//! How fast purchases are served while some wait.

use std::time::Duration;

use super::Comer;

/// The pace is measured over at least this long.
const WINDOW: Duration = Duration::from_millis(250);
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
        self.window = Some(Window { since: now, any: 0, without_hold: 0 });
    }

    /// How long so many take; nothing is known before it was measured.
    pub(super) fn time_for(&self, so_many: usize) -> Duration {
        self.any.unwrap_or_default().saturating_mul(u32::try_from(so_many).unwrap_or(u32::MAX))
    }

    /// How much time goes by from one who comes without a hold to the next.
    pub(super) fn each(&self) -> Duration {
        self.without_hold.unwrap_or(FIRST_GUESS)
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
