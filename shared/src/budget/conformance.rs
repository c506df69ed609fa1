//! What every implementation of the books has to do: one suite, run on each through [`budget_suite!`].
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test suite, kept where other crates can run it")]
#![allow(missing_docs, reason = "each name is the sentence that it tells")]

use std::time::Duration;

use async_trait::async_trait;

use super::{Ask, Endpoint, Limits, Reserved, Scope, Sharer, Slots, Standing};
use crate::env::{Env, Seeded};

/// Books, and how time passes for them.
#[async_trait]
pub trait Fixture: Sized + Send {
    /// New books, begun long ago.
    async fn fresh() -> Self;
    /// The books.
    fn slots(&self) -> &dyn Slots;
    /// The clock by which the test sees time pass.
    fn env(&self) -> Env;
    /// Lets time pass for the books.
    async fn pass(&self, time: Duration);
    /// The books are lost, and begun anew.
    async fn lose(&mut self);
    /// How exactly what they say can be compared with the clock.
    fn slack(&self) -> Duration;
}

/// The tests of the suite, for one implementation.
#[macro_export]
macro_rules! budget_suite {
    ($fixture:ty) => {
        $crate::budget::conformance::budget_suite!($fixture:
            slots_come_evenly_in_the_order_of_asking
            never_more_than_the_limit_in_any_window
            what_was_missed_is_made_up_for_a_moment_only
            each_endpoint_has_its_own_and_all_share_the_total
            who_is_no_charge_takes_nothing_ahead
            nobody_waits_beyond_their_patience_and_nothing_is_taken_then
            at_high_rates_slots_come_in_lots_and_at_low_ones_singly
            a_cut_leaves_seven_tenths_of_what_it_names_once_a_second
            what_was_cut_grows_back_evenly_to_the_limit_and_no_further
            without_a_limit_nothing_is_counted_until_stripe_names_one
            books_that_are_lost_begin_empty
            who_shares_is_counted_and_says_how_long_stripe_takes
        );
    };
    ($fixture:ty: $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::budget::conformance::$name(<$fixture as $crate::budget::conformance::Fixture>::fresh().await).await;
            }
        )*
    };
}
pub use budget_suite;

const HOUR: Duration = Duration::from_secs(3_600);
const DEFAULT: Limits = Limits { endpoint: Some(25), total: Some(100) };
const CHARGE: Endpoint = Endpoint::CreateIntent;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn ask(endpoint: Endpoint, limits: Limits) -> Ask {
    Ask { endpoint, limits, most: 1, ahead: true, patience: HOUR }
}

/// The time of one slot, by the test's clock.
async fn slot(books: &impl Fixture, ask: Ask) -> Duration {
    match books.slots().reserve(ask).await.unwrap() {
        Reserved::Slots { wait, count: 1, .. } => books.env().monotonic() + wait,
        other => panic!("{other:?}"),
    }
}

async fn slots(books: &impl Fixture, many: usize, ask: Ask) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..many {
        times.push(slot(books, ask).await);
    }
    times
}

async fn allowed(books: &impl Fixture, limits: Limits) -> Option<u64> {
    books.slots().standing(limits, None).await.unwrap().of(CHARGE).allowed
}

fn is_near(books: &impl Fixture, seen: Duration, right: Duration) -> bool {
    seen.abs_diff(right) <= books.slack()
}

/// How many of these times lie within a second, at most.
fn most_in_a_second(times: &[Duration]) -> usize {
    let within = |from: Duration| times.iter().filter(|time| **time >= from && **time < from + ms(1_000)).count();
    times.iter().map(|from| within(*from)).max().unwrap_or(0)
}

pub async fn slots_come_evenly_in_the_order_of_asking(books: impl Fixture) {
    let times = slots(&books, 60, ask(CHARGE, DEFAULT)).await;
    for (place, pair) in times.windows(2).enumerate().skip(3) {
        assert!(is_near(&books, pair[1].saturating_sub(pair[0]), ms(40)), "{place}: {pair:?}");
    }
}

pub async fn never_more_than_the_limit_in_any_window(books: impl Fixture) {
    let mut times = Vec::new();
    for round in 0..10 {
        times.extend(slots(&books, 20, ask(CHARGE, DEFAULT)).await);
        books.pass(ms(round * 100)).await;
    }
    // Time was made to pass for the books only: what they gave later lies further on for the test.
    let most = most_in_a_second(&times[..20]);
    assert!(most <= 25 + 3, "{most} in a second");
}

pub async fn what_was_missed_is_made_up_for_a_moment_only(books: impl Fixture) {
    slot(&books, ask(CHARGE, DEFAULT)).await;
    books.pass(ms(60_000)).await;
    let start = books.env().monotonic();
    let times = slots(&books, 10, ask(CHARGE, DEFAULT)).await;
    let at_once = times.iter().filter(|time| time.saturating_sub(start) <= books.slack()).count();
    assert!((2..=4).contains(&at_once), "{at_once} of {times:?}");
}

pub async fn each_endpoint_has_its_own_and_all_share_the_total(books: impl Fixture) {
    let limits = Limits { endpoint: Some(25), total: Some(50) };
    let start = books.env().monotonic();
    let mut last = Duration::ZERO;
    for _ in 0..25 {
        for endpoint in [CHARGE, Endpoint::ConfirmIntent, Endpoint::CreateSession, Endpoint::CancelIntent] {
            last = last.max(slot(&books, ask(endpoint, limits)).await);
        }
    }
    let took = last.saturating_sub(start);
    assert!(took >= ms(1_800) && took <= ms(2_200), "100 requests at 50 a second took {took:?}");
    let own = slots(&books, 1, ask(Endpoint::ListEvents, Limits { total: None, ..limits })).await[0];
    assert!(own < last, "its own line is empty");
}

pub async fn who_is_no_charge_takes_nothing_ahead(books: impl Fixture) {
    let limits = Limits { endpoint: Some(25), total: Some(25) };
    let charges = slots(&books, 20, ask(CHARGE, limits)).await;
    let modest = Ask { ahead: false, ..ask(Endpoint::ReadIntent, limits) };
    let Reserved::Later(wait) = books.slots().reserve(modest).await.unwrap() else { panic!("it was given a slot") };
    assert!(books.env().monotonic() + wait + books.slack() >= charges[19], "{wait:?}");
    let after = slot(&books, ask(CHARGE, limits)).await;
    assert!(is_near(&books, after.saturating_sub(charges[19]), ms(40)), "nothing was taken");
    books.pass(ms(1_000)).await;
    assert!(matches!(books.slots().reserve(modest).await.unwrap(), Reserved::Slots { wait: Duration::ZERO, .. }));
}

pub async fn nobody_waits_beyond_their_patience_and_nothing_is_taken_then(books: impl Fixture) {
    let times = slots(&books, 30, ask(CHARGE, DEFAULT)).await;
    let hasty = Ask { patience: ms(500), ..ask(CHARGE, DEFAULT) };
    for _ in 0..10 {
        let Reserved::Later(wait) = books.slots().reserve(hasty).await.unwrap() else { panic!("it was given a slot") };
        assert!(wait > ms(500));
    }
    let next = slot(&books, ask(CHARGE, DEFAULT)).await;
    assert!(is_near(&books, next.saturating_sub(times[29]), ms(40)));
}

pub async fn at_high_rates_slots_come_in_lots_and_at_low_ones_singly(books: impl Fixture) {
    for (rate, lot) in [(1, 1), (25, 1), (49, 1), (100, 2), (1_000, 20)] {
        let limits = Limits { endpoint: Some(rate), total: None };
        let many = Ask { most: 1_000, ..ask(CHARGE, limits) };
        let Reserved::Slots { count, gap, .. } = books.slots().reserve(many).await.unwrap() else { panic!("no slots") };
        assert_eq!((count, gap), (lot, Duration::from_micros(1_000_000_u64.div_ceil(u64::from(rate)))), "at {rate}");
        let one = Ask { most: 1, ..many };
        assert!(matches!(books.slots().reserve(one).await.unwrap(), Reserved::Slots { count: 1, .. }));
        books.pass(ms(10_000)).await;
    }
}

pub async fn a_cut_leaves_seven_tenths_of_what_it_names_once_a_second(books: impl Fixture) {
    let cut = async |scope| books.slots().cut(scope, DEFAULT, Some(9_000)).await.unwrap();
    assert!(cut(Scope::Endpoint(CHARGE)).await);
    assert!(!cut(Scope::Endpoint(CHARGE)).await, "a moment ago");
    let seen = books.slots().standing(DEFAULT, None).await.unwrap();
    assert!((17_500..17_600).contains(&seen.of(CHARGE).allowed.unwrap()), "{seen:?}");
    assert_eq!((seen.of(Endpoint::ReadIntent).allowed, seen.total.allowed), (Some(25_000), Some(100_000)));
    assert_eq!((seen.of(CHARGE).throttled, seen.is_cut(CHARGE), seen.is_cut(Endpoint::ReadIntent)), (2, true, false));
    books.pass(ms(1_000)).await;
    assert!(cut(Scope::Endpoint(CHARGE)).await);
    let seen = allowed(&books, DEFAULT).await.unwrap();
    assert!((12_600..12_750).contains(&seen), "seven tenths of 18 a second: {seen}");
    assert!(cut(Scope::Total).await);
    let seen = books.slots().standing(DEFAULT, None).await.unwrap();
    assert!((70_000..70_500).contains(&seen.total.allowed.unwrap()), "{seen:?}");
    for _ in 0..30 {
        books.pass(ms(1_000)).await;
        cut(Scope::Endpoint(CHARGE)).await;
    }
    assert!(allowed(&books, DEFAULT).await.unwrap() >= 1_000, "somebody has to find out that Stripe answers again");
}

pub async fn what_was_cut_grows_back_evenly_to_the_limit_and_no_further(books: impl Fixture) {
    assert!(books.slots().cut(Scope::Endpoint(CHARGE), DEFAULT, None).await.unwrap());
    let mut before = allowed(&books, DEFAULT).await.unwrap();
    for second in 1..=14 {
        books.pass(ms(1_000)).await;
        let now = allowed(&books, DEFAULT).await.unwrap();
        assert!(
            (450..=600).contains(&(now - before)),
            "a fiftieth of 25 a second: {before} to {now} in second {second}"
        );
        before = now;
    }
    books.pass(ms(2_000)).await;
    let gap = slots(&books, 6, ask(CHARGE, DEFAULT)).await;
    assert!(is_near(&books, gap[5].saturating_sub(gap[4]), ms(40)), "{gap:?}");
    books.pass(ms(60_000)).await;
    let seen = books.slots().standing(DEFAULT, None).await.unwrap();
    assert_eq!((seen.of(CHARGE).allowed, seen.is_cut(CHARGE)), (Some(25_000), false));
}

pub async fn without_a_limit_nothing_is_counted_until_stripe_names_one(books: impl Fixture) {
    let none = Limits::default();
    for _ in 0..100 {
        assert_eq!(books.slots().reserve(ask(CHARGE, none)).await.unwrap(), Reserved::Unlimited);
    }
    assert_eq!(allowed(&books, none).await, None);
    assert!(books.slots().cut(Scope::Endpoint(CHARGE), none, Some(100_000)).await.unwrap());
    let seen = allowed(&books, none).await.unwrap();
    assert!((70_000..70_500).contains(&seen), "seven tenths of what was asked: {seen}");
    assert!(matches!(books.slots().reserve(ask(CHARGE, none)).await.unwrap(), Reserved::Slots { .. }));
    assert_eq!(books.slots().reserve(ask(Endpoint::ReadIntent, none)).await.unwrap(), Reserved::Unlimited);
    books.pass(ms(50_000)).await;
    let seen = allowed(&books, none).await.unwrap();
    assert!((139_000..142_000).contains(&seen), "{seen}");
    books.pass(ms(101_000)).await;
    assert_eq!(allowed(&books, none).await, None, "it was not met again, and is forgotten");
}

pub async fn books_that_are_lost_begin_empty(mut books: impl Fixture) {
    slots(&books, 3, ask(CHARGE, DEFAULT)).await;
    books.slots().cut(Scope::Total, DEFAULT, None).await.unwrap();
    books.lose().await;
    let start = books.env().monotonic();
    let times = slots(&books, 4, ask(CHARGE, DEFAULT)).await;
    for (place, time) in times.iter().enumerate() {
        let right = ms(100 + 40 * u64::try_from(place).unwrap());
        assert!(is_near(&books, time.saturating_sub(start), right), "{place}: {:?}", time.saturating_sub(start));
    }
    assert!(
        !books.slots().standing(DEFAULT, None).await.unwrap().is_cut(CHARGE),
        "what was cut has to be learned again"
    );
}

pub async fn who_shares_is_counted_and_says_how_long_stripe_takes(books: impl Fixture) {
    slots(&books, 3, ask(CHARGE, DEFAULT)).await;
    let sharer = Sharer { name: "one", latency: Some(ms(600)) };
    let seen: Standing = books.slots().standing(DEFAULT, Some(sharer)).await.unwrap();
    assert_eq!((seen.sharers, seen.of(CHARGE).taken, seen.total.taken), (1, 3, 3));
    assert_eq!((seen.allowed(CHARGE), seen.unasked), (Some(25_000), Some(25_000)));
}

/// Books in memory, whose clock stands still.
pub struct InMemory {
    seeded: Seeded,
    slots: super::memory::MemorySlots,
}

#[async_trait]
impl Fixture for InMemory {
    async fn fresh() -> Self {
        let seeded = Seeded::new(1);
        let slots = super::memory::MemorySlots::new(seeded.env());
        seeded.advance(HOUR);
        Self { seeded, slots }
    }

    fn slots(&self) -> &dyn Slots {
        &self.slots
    }

    fn env(&self) -> Env {
        self.seeded.env()
    }

    async fn pass(&self, time: Duration) {
        self.seeded.advance(time);
    }

    async fn lose(&mut self) {
        self.slots = super::memory::MemorySlots::new(self.seeded.env());
    }

    fn slack(&self) -> Duration {
        Duration::from_micros(1)
    }
}
