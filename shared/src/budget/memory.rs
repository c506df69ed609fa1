//! The books of a process that is alone.

use async_trait::async_trait;
use parking_lot::Mutex;

use super::book::Book;
use super::{Ask, Limits, MilliHertz, Reserved, Scope, Sharer, Slots, SlotsError, Standing};
use crate::env::Env;

/// Books in memory.
pub struct MemorySlots {
    env: Env,
    /// Locked for a moment, never across an await.
    book: Mutex<Book>,
}

impl MemorySlots {
    /// Books that begin now.
    #[must_use]
    pub fn new(env: Env) -> Self {
        let book = Mutex::new(Book::begun(now(&env)));
        Self { env, book }
    }
}

fn now(env: &Env) -> i64 {
    i64::try_from(env.monotonic().as_micros()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Slots for MemorySlots {
    async fn reserve(&self, ask: Ask) -> Result<Reserved, SlotsError> {
        Ok(self.book.lock().reserve(ask, now(&self.env)))
    }

    async fn cut(&self, scope: Scope, limits: Limits, observed: Option<MilliHertz>) -> Result<bool, SlotsError> {
        Ok(self.book.lock().cut(scope, limits, observed, now(&self.env)))
    }

    async fn standing(&self, limits: Limits, _sharer: Option<Sharer<'_>>) -> Result<Standing, SlotsError> {
        Ok(self.book.lock().standing(limits, now(&self.env)))
    }
}

#[cfg(test)]
mod tests {
    crate::budget::conformance::budget_suite!(crate::budget::conformance::InMemory);
}
