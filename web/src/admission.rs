//! The line in front of what sells: so many purchases are worked on at the same time, so many more wait, and nobody waits
//! for long. Whoever cannot be served soon hears so at once, and when to come again; nothing was taken from the stock then,
//! and nothing was written.
//!
//! A crowd that is larger than what can be served makes every queue behind this one longer until all answers come too
//! late. Here the line ends before that: what was let in keeps its latency, whatever the crowd. (Little's law: with `L` at
//! work and `λ` served a second, each takes `L / λ`.)
//!
//! Those who are sent away are given a virtual place: each is told to come when, at the pace of the last moments, those who
//! were sent away before will have been served. So they do not come back all at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use shared::env::Env;
use shared::guards::Guard;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::Problem;

/// The pace is measured over at least this long.
const WINDOW: Duration = Duration::from_millis(250);
/// What a purchase takes, until it was measured: on a small machine.
const FIRST_GUESS: Duration = Duration::from_millis(2);
/// Nobody is told to come sooner than this, or (but for what is added so that they do not come together) later than that.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(60);

/// How much a web process takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Purchases that are worked on at the same time.
    pub at_once: usize,
    /// Purchases that wait for that at most.
    pub waiting: usize,
    /// How long one waits at most. Shorter than an accept may take, so that the two together are an answer in time.
    pub patience: Duration,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { at_once: 1_024, waiting: 16_384, patience: Duration::from_secs(3) }
    }
}

/// Lets purchases in.
pub struct Admission {
    env: Env,
    capacity: Capacity,
    /// Given to those who wait in the order in which they came.
    places: Semaphore,
    waiting: AtomicUsize,
    pace: Mutex<Pace>,
}

/// A purchase that was let in; its place is free when this is dropped.
pub struct Place<'a> {
    admission: &'a Admission,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let somebody_waits = self.admission.waiting.load(Ordering::Relaxed) > 0;
        self.admission.pace.lock().served(self.admission.env.monotonic(), somebody_waits);
    }
}

/// One who waits, for as long as they do.
struct InLine<'a>(&'a AtomicUsize);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// Lets in as many as this.
    #[must_use]
    pub fn new(env: Env, capacity: Capacity) -> Self {
        let places = Semaphore::new(capacity.at_once.clamp(1, Semaphore::MAX_PERMITS));
        Self { env, capacity, places, waiting: AtomicUsize::new(0), pace: Mutex::default() }
    }

    /// Waits for a place, as long as that makes sense.
    ///
    /// # Errors
    /// 503, with the time at which to come again.
    pub async fn enter(&self) -> Result<Place<'_>, Problem> {
        // A place that is free now is nobody's in the line: those get theirs as soon as one is given back.
        if let Ok(permit) = self.places.try_acquire() {
            return Ok(Place { admission: self, _permit: permit });
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _in_line = InLine(&self.waiting);
        let is_full = Guard::LineBounded.refuses(before >= self.capacity.waiting);
        if is_full || self.pace.lock().time_for(before) > self.capacity.patience {
            return Err(self.send_away());
        }
        match self.env.timeout(self.capacity.patience, self.places.acquire()).await {
            Some(Ok(permit)) => Ok(Place { admission: self, _permit: permit }),
            _ => Err(self.send_away()),
        }
    }

    fn send_away(&self) -> Problem {
        metrics::counter!("purchases_shed_total").increment(1);
        let wait = self.pace.lock().next_turn(self.env.monotonic());
        let together = self.env.jitter(wait / 4);
        Problem::crowded(u64::try_from((wait + together).as_millis()).unwrap_or(u64::MAX))
    }
}

/// How fast purchases are served while some wait, and who was promised what.
#[derive(Default)]
struct Pace {
    /// Since when it is measured, and how many were served since.
    window: Option<(Duration, u32)>,
    /// Of the time, what each took: not how long, but how much of it went by from one to the next.
    each: Option<Duration>,
    /// When whoever was sent away last may come again.
    next: Duration,
}

impl Pace {
    fn served(&mut self, now: Duration, somebody_waits: bool) {
        // Without a line, it is the shoppers' pace and not ours.
        if !somebody_waits {
            self.window = None;
            return;
        }
        let (since, served) = self.window.get_or_insert((now, 0));
        *served += 1;
        let took = now.saturating_sub(*since);
        if took >= WINDOW {
            let measured = took / *served;
            self.each = Some(self.each.map_or(measured, |before| (before + measured) / 2));
            self.window = Some((now, 0));
        }
    }

    /// How long so many take; nothing is known before it was measured.
    fn time_for(&self, so_many: usize) -> Duration {
        self.each.unwrap_or_default().saturating_mul(u32::try_from(so_many).unwrap_or(u32::MAX))
    }

    /// In how long one more who is sent away should come again.
    fn next_turn(&mut self, now: Duration) -> Duration {
        let each = self.each.unwrap_or(FIRST_GUESS);
        self.next = (self.next + each).clamp(now + SOONEST, now + LATEST);
        self.next - now
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn admission(at_once: usize, waiting: usize, patience_ms: u64) -> Arc<Admission> {
        let patience = Duration::from_millis(patience_ms);
        Arc::new(Admission::new(Env::system(), Capacity { at_once, waiting, patience }))
    }

    fn retry_in_ms(problem: &Problem) -> u64 {
        serde_json::to_value(problem).unwrap()["retry_in_ms"].as_u64().unwrap()
    }

    #[tokio::test]
    async fn so_many_are_let_in_others_wait_in_turn_and_the_rest_are_sent_away_at_once() {
        let admission = admission(2, 2, 10_000);
        let mut inside = vec![admission.enter().await.unwrap(), admission.enter().await.unwrap()];
        let (told, mut served) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..2 {
            let (admission, told) = (admission.clone(), told.clone());
            tokio::spawn(async move {
                let place = admission.enter().await;
                told.send((n, place.is_ok())).unwrap();
            });
            tokio::task::yield_now().await;
        }
        let at_once = tokio::time::timeout(Duration::from_secs(5), admission.enter()).await;
        let refused = at_once.expect("the line is full, and nobody stands in it to hear so").err().unwrap();
        assert_eq!(refused.code(), "unavailable");
        assert!(retry_in_ms(&refused) >= 1_000, "{refused:?}");
        inside.pop();
        assert_eq!(served.recv().await, Some((0, true)), "first come, first served");
        assert_eq!(served.recv().await, Some((1, true)));
    }

    #[tokio::test]
    async fn who_waited_too_long_is_sent_away_and_leaves_no_trace_in_the_line() {
        let admission = admission(1, 8, 100);
        let inside = admission.enter().await.unwrap();
        assert!(admission.enter().await.is_err());
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
        drop(inside);
        assert!(admission.enter().await.is_ok());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_the_line() {
        let admission = admission(1, 8, 100);
        let _inside = admission.enter().await.unwrap();
        let gave_up = tokio::time::timeout(Duration::from_millis(10), admission.enter()).await;
        assert!(gave_up.is_err());
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn whose_turn_would_come_too_late_is_known_from_the_pace() {
        let mut pace = Pace::default();
        assert_eq!(pace.time_for(1_000_000), Duration::ZERO, "nothing is known yet");
        for ms in (0..=1_000).step_by(10) {
            pace.served(Duration::from_millis(ms), true);
        }
        let told = pace.time_for(200);
        assert!((Duration::from_millis(1_900)..Duration::from_millis(2_100)).contains(&told), "100 a second: {told:?}");
        pace.served(Duration::from_secs(60), false);
        pace.served(Duration::from_secs(90), true);
        assert_eq!(pace.time_for(200), told, "a minute without a line says nothing of the pace");
    }

    #[test]
    fn those_who_are_sent_away_come_back_one_after_another_at_the_pace() {
        let mut pace = Pace { each: Some(Duration::from_millis(10)), ..Pace::default() };
        let now = Duration::from_secs(1_000);
        let turns: Vec<Duration> = (0..2_900).map(|_| pace.next_turn(now)).collect();
        assert!(turns.is_sorted() && turns[0] >= SOONEST);
        let within = |from: u64, to: u64| {
            turns.iter().filter(|turn| (Duration::from_secs(from)..Duration::from_secs(to)).contains(*turn)).count()
        };
        assert!((95..=105).contains(&within(10, 11)), "{}", within(10, 11));
        for _ in 0..10_000 {
            pace.next_turn(now);
        }
        assert_eq!(pace.next_turn(now), LATEST);
        assert_eq!(pace.next_turn(now + Duration::from_secs(100)), SOONEST, "it is over");
    }
}
