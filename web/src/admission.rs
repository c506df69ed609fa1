//! The line in front of what sells: so many purchases are worked on at the same time, so many more wait, and nobody waits
//! for long. Whoever cannot be served soon hears so at once, and when to come again; nothing was taken from the stock then,
//! and nothing was written.
//!
//! A crowd that is larger than what can be served makes every queue behind this one longer until all answers come too
//! late. Here the line ends before that: what was let in keeps its latency, whatever the crowd. (Little's law: with `L` at
//! work and `λ` served a second, each takes `L / λ`.)
//!
//! Those who are sent away are given a virtual place (`turns`): each is told to come when, at the pace of the last
//! moments, those who were sent away before will have been served. Who then comes finds room: while places are promised,
//! newcomers are let in when next to nobody stands in line, and those whose turn has come fill two thirds of it; the rest
//! is for those who hold tickets already, which are no more than were let in.

mod pace;
mod turns;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use shared::env::Env;
use shared::guards::Guard;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use uuid::Uuid;

use self::pace::Pace;
use self::turns::{Due, Turns};
use crate::problem::Problem;

/// Who holds tickets is never told to come later than this (but for the jitter): their hold ends.
const LATEST_WITH_A_HOLD: Duration = Duration::from_secs(5);
/// A line that is shorter than this is about to be none.
const ALMOST_NOBODY: Duration = Duration::from_millis(100);
/// Whoever comes in turn should not have to wait for longer than this.
const SHORT_LINE: Duration = Duration::from_millis(250);
/// What is added to the time that one is told, at most, where each has a time of their own.
const JITTER: Duration = Duration::from_secs(1);

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
        Self { at_once: 512, waiting: 16_384, patience: Duration::from_secs(3) }
    }
}

/// Who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comer {
    /// Somebody who wants tickets, by the id that their repeats have too: the hold's, or the order's.
    For(Uuid),
    /// Somebody who has tickets set aside, and pays.
    WithHold,
}

/// Lets purchases in.
pub struct Admission {
    env: Env,
    capacity: Capacity,
    /// Given to those who wait in the order in which they came.
    places: Semaphore,
    waiting: AtomicUsize,
    /// Whether what was accepted is more than can be charged soon.
    behind: watch::Sender<bool>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    pace: Pace,
    turns: Turns,
}

/// A purchase that was let in; its place is free when this is dropped.
pub struct Place<'a> {
    admission: &'a Admission,
    comer: Comer,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let somebody_waits = self.admission.waiting.load(Ordering::Relaxed) > 0;
        let mut book = self.admission.book.lock();
        book.pace.served(self.admission.env.monotonic(), self.comer, somebody_waits);
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
        Self {
            env,
            capacity,
            places,
            waiting: AtomicUsize::new(0),
            behind: watch::Sender::new(false),
            book: Mutex::default(),
        }
    }

    /// Waits for a place, as long as that makes sense.
    ///
    /// # Errors
    /// 503, with the time at which to come again.
    pub async fn enter(&self, comer: Comer) -> Result<Place<'_>, Problem> {
        // A place that is free now is nobody's in the line: those get theirs as soon as one is given back.
        if !self.is_behind()
            && let Ok(permit) = self.places.try_acquire()
        {
            return Ok(Place { admission: self, comer, _permit: permit });
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _in_line = InLine(&self.waiting);
        let is_full = Guard::LineBounded.refuses(before >= self.capacity.waiting);
        if is_full || !self.has_room_for(comer, before) {
            return Err(self.send_away(comer));
        }
        match self.env.timeout(self.capacity.patience, self.turn_comes()).await {
            Some(Some(permit)) => {
                self.book.lock().turns.came(comer);
                Ok(Place { admission: self, comer, _permit: permit })
            }
            _ => Err(self.send_away(comer)),
        }
    }

    /// A place, when it is free and there is time for what is done in it.
    async fn turn_comes(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.places.acquire().await.ok()?;
        if self.is_behind() {
            self.behind.subscribe().wait_for(|behind| !behind).await.ok()?;
        }
        Some(permit)
    }

    fn is_behind(&self) -> bool {
        *self.behind.borrow()
    }

    /// Hears whether what was accepted is more than can be charged soon. As long as it is, nobody is let in: who accepts
    /// faster than others charge takes the time that they need for it, and makes all wait who were accepted.
    pub fn hear(&self, behind: bool) {
        self.behind.send_if_modified(|before| std::mem::replace(before, behind) != behind);
    }

    /// Whether so many before them will be served in the time that this one may wait.
    fn has_room_for(&self, comer: Comer, before: usize) -> bool {
        let now = self.env.monotonic();
        let mut book = self.book.lock();
        let due = book.turns.due(now, comer);
        let wait = book.pace.time_for(before);
        let patience = match (comer, due) {
            (Comer::WithHold, _) | (_, Due::NobodyWaits) => self.capacity.patience,
            (Comer::For(_), Due::Now) => self.capacity.patience * 2 / 3,
            (Comer::For(_), Due::Not) => ALMOST_NOBODY,
        };
        let has_room = Guard::TurnKept.holds(wait <= patience);
        if has_room && due == Due::Now && wait > SHORT_LINE {
            book.pace.turn_missed();
        }
        has_room
    }

    fn send_away(&self, comer: Comer) -> Problem {
        metrics::counter!("purchases_shed_total").increment(1);
        let now = self.env.monotonic();
        let mut book = self.book.lock();
        let Book { pace, turns } = &mut *book;
        pace.sent_away(now);
        if turns.due(now, comer) == Due::Now {
            pace.turn_missed();
        }
        let wait = match comer {
            Comer::WithHold => {
                pace.time_for(self.waiting.load(Ordering::Relaxed)).clamp(turns::SOONEST, LATEST_WITH_A_HOLD)
            }
            Comer::For(id) => turns.give(now, id, pace.each()),
        };
        // Whoever has a time of their own need not be spread; those at the bound were all told the same.
        let spread = if wait < turns::LATEST { (wait / 4).min(JITTER) } else { wait / 4 };
        drop(book);
        let wait = wait + self.env.jitter(spread);
        Problem::crowded(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn admission(at_once: usize, waiting: usize, patience_ms: u64) -> Arc<Admission> {
        let patience = Duration::from_millis(patience_ms);
        Arc::new(Admission::new(Env::system(), Capacity { at_once, waiting, patience }))
    }

    fn anybody() -> Comer {
        Comer::For(Env::system().uuid_v4())
    }

    /// So many come one after the other, and leave as soon as they are in; tells who came in, and who did not.
    async fn come(admission: &Arc<Admission>, how_many: u32) -> UnboundedReceiver<(u32, bool)> {
        let (told, served) = unbounded_channel();
        for n in 0..how_many {
            let (admission, told) = (admission.clone(), told.clone());
            tokio::spawn(async move {
                let place = admission.enter(anybody()).await;
                told.send((n, place.is_ok())).unwrap();
            });
            tokio::task::yield_now().await;
        }
        served
    }

    fn retry_in_ms(problem: &Problem) -> u64 {
        serde_json::to_value(problem).unwrap()["retry_in_ms"].as_u64().unwrap()
    }

    #[tokio::test]
    async fn so_many_are_let_in_others_wait_in_turn_and_the_rest_are_sent_away_at_once() {
        let admission = admission(2, 2, 10_000);
        let mut inside = vec![admission.enter(anybody()).await.unwrap(), admission.enter(anybody()).await.unwrap()];
        let mut served = come(&admission, 2).await;
        let at_once = tokio::time::timeout(Duration::from_secs(5), admission.enter(anybody())).await;
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
        let inside = admission.enter(anybody()).await.unwrap();
        assert!(admission.enter(anybody()).await.is_err());
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
        drop(inside);
        assert!(admission.enter(anybody()).await.is_ok());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_the_line() {
        let admission = admission(1, 8, 100);
        let _inside = admission.enter(anybody()).await.unwrap();
        let gave_up = tokio::time::timeout(Duration::from_millis(10), admission.enter(anybody())).await;
        assert!(gave_up.is_err());
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    /// A hundred a second are served, and three thousand were sent away and told to come again.
    fn crowded() -> (Arc<Admission>, Vec<Uuid>) {
        let admission = admission(1, 1_000, 3_000);
        let sent_away: Vec<Uuid> = (1..=3_000).map(Uuid::from_u128).collect();
        {
            let now = admission.env.monotonic();
            let mut book = admission.book.lock();
            for step in 0..300 {
                let then = now + Duration::from_millis(step * 10);
                book.pace.sent_away(then);
                book.pace.served(then, Comer::For(Uuid::nil()), true);
            }
            let each = book.pace.each();
            for id in &sent_away {
                book.turns.give(now, *id, each);
            }
        }
        (admission, sent_away)
    }

    #[tokio::test]
    async fn who_comes_when_told_finds_room_where_newcomers_do_not() {
        let (admission, sent_away) = crowded();
        let room = |comer: Comer| [5, 50, 250, 350].map(|before| admission.has_room_for(comer, before));
        let [newcomer, due, early] = [anybody(), Comer::For(sent_away[0]), Comer::For(sent_away[2_999])];
        assert_eq!(room(newcomer), [true, false, false, false]);
        assert_eq!(room(early), room(newcomer), "it is not their turn");
        assert_eq!(room(due), [true, true, false, false]);
        assert_eq!(room(Comer::WithHold), [true, true, true, false]);
    }

    #[tokio::test]
    async fn who_has_tickets_set_aside_is_told_to_come_again_while_they_are() {
        let (admission, _) = crowded();
        for (comer, within) in [(Comer::WithHold, 1_000..=6_500), (anybody(), 39_000..=43_000)] {
            let told = retry_in_ms(&admission.send_away(comer));
            assert!(within.contains(&told), "{comer:?}: {told}");
        }
    }

    #[tokio::test]
    async fn who_comes_in_turn_and_has_to_wait_slows_the_turns_down_and_no_newcomer_does() {
        let (admission, sent_away) = crowded();
        let each = || admission.book.lock().pace.each();
        let slower = admission.env.monotonic() + Duration::from_secs(3);
        for step in 0..60 {
            let then = slower + Duration::from_millis(step * 50);
            admission.book.lock().pace.sent_away(then);
            admission.book.lock().pace.served(then, Comer::For(Uuid::nil()), true);
        }
        let before = each();
        drop(admission.send_away(anybody()));
        assert!(admission.has_room_for(Comer::For(sent_away[0]), 0));
        assert_eq!(each(), before);
        assert!(admission.has_room_for(Comer::For(sent_away[0]), 20), "a second");
        let waited = each();
        assert!(waited > before, "{before:?}");
        drop(admission.send_away(Comer::For(sent_away[0])));
        assert!(each() > waited, "{waited:?}");
    }

    #[tokio::test]
    async fn nobody_is_let_in_while_charges_lag_behind_and_all_are_when_they_do_not() {
        let admission = admission(2, 8, 10_000);
        admission.hear(true);
        let mut served = come(&admission, 4).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(served.try_recv().is_err(), "all wait");
        admission.hear(false);
        let mut all = vec![];
        for _ in 0..4 {
            all.push(served.recv().await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, [(0, true), (1, true), (2, true), (3, true)]);
        assert!(admission.enter(anybody()).await.is_ok());
    }

    #[tokio::test]
    async fn who_was_let_in_has_no_turn_left() {
        let (admission, sent_away) = crowded();
        let inside = admission.enter(anybody()).await.unwrap();
        let comer = Comer::For(sent_away[0]);
        let (entered, ()) = tokio::join!(admission.enter(comer), async { drop(inside) });
        assert!(entered.is_ok());
        assert_eq!(admission.book.lock().turns.due(admission.env.monotonic(), comer), Due::Not);
    }
}
