//! The books of a shop that is one process.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Ask, Fleet, FleetError, Kind, LAPSES_AFTER, Process, ProcessBeat, Wish, Wished};
use crate::env::Env;

/// Books in memory.
pub struct MemoryFleet {
    env: Env,
    /// Locked for a moment, never across an await.
    rows: Mutex<BTreeMap<String, Row>>,
}

struct Row {
    beat: ProcessBeat,
    wish: Wish,
    /// On the monotonic clock.
    until: Duration,
}

impl MemoryFleet {
    /// Empty books.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self { env, rows: Mutex::default() }
    }

    fn forget_the_lapsed(&self, rows: &mut BTreeMap<String, Row>) {
        let now = self.env.monotonic();
        rows.retain(|_, row| row.until > now);
    }
}

#[async_trait]
impl Fleet for MemoryFleet {
    async fn beat(&self, beat: &ProcessBeat) -> Result<Wish, FleetError> {
        let mut rows = self.rows.lock();
        self.forget_the_lapsed(&mut rows);
        let wish = rows.get(&beat.name).map_or(beat.wish, |row| row.wish);
        let until = self.env.monotonic() + LAPSES_AFTER;
        rows.insert(beat.name.clone(), Row { beat: beat.clone(), wish, until });
        Ok(wish)
    }

    async fn leave(&self, name: &str) -> Result<(), FleetError> {
        self.rows.lock().remove(name);
        Ok(())
    }

    async fn processes(&self) -> Result<Vec<Process>, FleetError> {
        let mut rows = self.rows.lock();
        self.forget_the_lapsed(&mut rows);
        Ok(rows.values().map(|row| Process { beat: row.beat.clone(), wish: row.wish }).collect())
    }

    async fn ask(&self, name: &str, ask: Ask) -> Result<Wished, FleetError> {
        let mut rows = self.rows.lock();
        self.forget_the_lapsed(&mut rows);
        Ok(match rows.get_mut(name) {
            None => Wished::Unknown,
            Some(row) if !row.beat.kind.works() => Wished::Unknown,
            Some(row) if row.beat.kind == Kind::Shop && ask == Ask::Drain => Wished::WholeShop,
            Some(row) => {
                row.wish = row.wish.with(ask);
                Wished::Yes
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Seeded;
    use crate::fleet::conformance::{World, stories};

    #[tokio::test]
    async fn books_in_memory_do_what_they_must() {
        for (name, story) in stories() {
            eprintln!("story: {name}");
            let clock = Seeded::new(21);
            let fleet = std::sync::Arc::new(MemoryFleet::new(clock.env()));
            let pass = move |time| -> futures::future::BoxFuture<'static, ()> {
                clock.advance(time);
                Box::pin(std::future::ready(()))
            };
            story(World { fleet, pass: Box::new(pass) }).await;
        }
    }
}
