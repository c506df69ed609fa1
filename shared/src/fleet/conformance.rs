//! What all books of a shop's processes must do: one suite, run on each.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test suite, though compiled for other crates too")]

mod tales;

use std::time::Duration;

use futures::future::BoxFuture;

use super::{Ask, Kind, Load, ProcessBeat, SharedFleet, State, Wish, Wished};
use crate::env::Timestamp;
use crate::ledger::conformance::named_stories;

/// Lets time pass for the books.
pub type Pass = Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// Empty books and their clock.
pub struct World {
    /// Nobody is in them.
    pub fleet: SharedFleet,
    /// Moves their time on.
    pub pass: Pass,
}

/// A story and its name.
pub type Story = (&'static str, fn(World) -> BoxFuture<'static, ()>);

/// Every story.
#[must_use]
pub fn stories() -> Vec<Story> {
    named_stories![
        tales::who_beats_is_listed_as_it_last_said_until_it_leaves,
        tales::a_beat_lapses_by_itself_and_the_next_one_brings_the_process_back,
        tales::a_wish_comes_back_with_the_next_beat_and_with_each_after,
        tales::only_workers_are_wished_anything_and_a_whole_shop_is_not_drained,
        tales::what_was_wished_goes_with_the_process,
        tales::books_that_forgot_a_wish_take_it_from_who_has_heard_it,
        tales::a_wish_that_was_taken_back_stays_so,
    ]
}

/// What a process of this name says.
fn beat(name: &str, kind: Kind) -> ProcessBeat {
    ProcessBeat {
        name: name.into(),
        kind,
        version: "1.2.3".into(),
        host: "here \"and\" there".into(),
        pid: 42,
        started_at: Timestamp(1_000),
        beat_at: Timestamp(2_000),
        state: State::Running,
        wish: Wish::default(),
        load: Load { cpu_ms: 7, resident_bytes: 1 << 20, ..Load::default() },
    }
}

impl World {
    async fn beats(&self, beat: &ProcessBeat) -> Wish {
        self.fleet.beat(beat).await.unwrap()
    }

    async fn names(&self) -> Vec<String> {
        self.fleet.processes().await.unwrap().into_iter().map(|process| process.beat.name).collect()
    }

    async fn ask(&self, name: &str, ask: Ask) -> Wished {
        self.fleet.ask(name, ask).await.unwrap()
    }
}
