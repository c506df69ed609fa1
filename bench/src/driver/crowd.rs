//! What all shoppers of a driver share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::Semaphore;

use super::connections::{Connections, Sources};
use super::options::Options;
use super::shopper::Shopper;
use crate::adapter::{Adapter, Words, all};
use crate::measure::again::Again;
use crate::measure::clock;

/// Longest error text that is kept, in characters.
const ERROR_CHARS: usize = 160;

/// One purchase. Times are the machine's clock; 0 is "not yet".
#[derive(Debug, Default)]
pub(super) struct Purchase {
    pub(super) made: AtomicU64,
    /// The last request; the same, unless the shopper was sent away before.
    pub(super) tried: AtomicU64,
    /// How often they were.
    pub(super) turned: AtomicU32,
    /// Whether they were told to come again after everybody has left.
    pub(super) left: AtomicBool,
    pub(super) accepted: AtomicU64,
    pub(super) ended: AtomicU64,
    /// Final messages on the socket.
    pub(super) messages: AtomicU64,
    pub(super) succeeded: AtomicBool,
    /// The place of a refusal's word in the adapter, counted from 1.
    pub(super) refused: AtomicU64,
    finished: AtomicBool,
}

/// The crowd.
pub(super) struct Crowd {
    pub(super) adapter: Adapter,
    pub(super) options: Options,
    /// Who may open a socket now.
    pub(super) arrivals: Semaphore,
    /// Where all connections come from.
    pub(super) sources: Arc<Sources>,
    pub(super) sessions: Connections,
    pub(super) tills: Connections,
    final_words: Words,
    broadcast_words: Words,
    purchases: Vec<Purchase>,
    /// When each shopper got the broadcast.
    pub(super) heard: Vec<AtomicU64>,
    pub(super) hearers: AtomicU64,
    /// Purchases with a final answer.
    pub(super) finished: AtomicU64,
    /// Purchases that were made.
    pub(super) made: AtomicU64,
    /// Requests that were answered with a time to come again.
    pub(super) sent_away: AtomicU64,
    /// When the first purchase was due.
    pub(super) go: AtomicU64,
    /// What can be counted of those who come again while they do.
    pub(super) again: Mutex<Again>,
    pub(super) misdelivered: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) sockets_lost: AtomicU64,
    pub(super) errors: Mutex<BTreeMap<String, u64>>,
}

impl Crowd {
    pub(super) fn new(adapter: Adapter, options: Options) -> Self {
        let slots = options.shoppers as usize * options.purchases as usize;
        let sources = Arc::new(Sources::new(&options.from));
        let broadcast = adapter.broadcast.as_ref().map_or(&[][..], |broadcast| &broadcast.matches);
        Self {
            final_words: Words::of(&adapter.result.is_final),
            broadcast_words: Words::of(broadcast),
            arrivals: Semaphore::new(usize::from(options.connect.max(1))),
            sessions: Connections::keeping(options.connect.max(1), sources.clone()),
            tills: Connections::keeping(options.pool, sources.clone()),
            sources,
            purchases: std::iter::repeat_with(Purchase::default).take(slots).collect(),
            heard: std::iter::repeat_with(AtomicU64::default).take(options.shoppers as usize).collect(),
            adapter,
            options,
            hearers: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            made: AtomicU64::new(0),
            sent_away: AtomicU64::new(0),
            go: AtomicU64::new(0),
            again: Mutex::default(),
            misdelivered: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            sockets_lost: AtomicU64::new(0),
            errors: Mutex::default(),
        }
    }

    /// Forgets the wave before: its counts and purchases.
    pub(super) fn forget(&self) {
        for count in [
            &self.hearers,
            &self.finished,
            &self.made,
            &self.sent_away,
            &self.go,
            &self.misdelivered,
            &self.unreadable,
            &self.sockets_lost,
        ] {
            count.store(0, Ordering::Relaxed);
        }
        self.sources.forget();
        self.heard.iter().for_each(|at| at.store(0, Ordering::Relaxed));
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.again.lock().unwrap_or_else(PoisonError::into_inner) = Again::default();
        for purchase in &self.purchases {
            for number in [
                &purchase.made,
                &purchase.tried,
                &purchase.accepted,
                &purchase.ended,
                &purchase.messages,
                &purchase.refused,
            ] {
                number.store(0, Ordering::Relaxed);
            }
            purchase.turned.store(0, Ordering::Relaxed);
            for flag in [&purchase.left, &purchase.succeeded, &purchase.finished] {
                flag.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Counts what went wrong.
    pub(super) fn error(&self, what: &str) {
        let what: String = what.chars().take(ERROR_CHARS).collect();
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    /// Counts what belongs to those who come again.
    pub(super) fn count_again(&self, count: impl FnOnce(&mut Again)) {
        count(&mut self.again.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Nanoseconds since the first purchase.
    pub(super) fn since_go(&self, at: u64) -> u64 {
        at.saturating_sub(self.go.load(Ordering::Relaxed))
    }

    /// A purchase of a shopper.
    pub(super) fn purchase(&self, shopper: &Shopper, number: u32) -> &Purchase {
        &self.purchases[shopper.index as usize * self.options.purchases as usize + number as usize]
    }

    /// Notes that a purchase has its final answer.
    pub(super) fn finish(&self, purchase: &Purchase) {
        if !purchase.finished.swap(true, Ordering::AcqRel) {
            self.finished.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether a frame could be of interest, by a look that parses nothing.
    pub(super) fn may_matter(&self, frame: &str) -> bool {
        self.final_words.may_match(frame) || self.listens_for_broadcast() && self.broadcast_words.may_match(frame)
    }

    fn listens_for_broadcast(&self) -> bool {
        self.options.connect_only && self.adapter.broadcast.is_some()
    }

    /// Takes a message of a shopper's socket for what it is.
    pub(super) fn hear(&self, shopper: &Shopper, message: &Value) {
        if self.listens_for_broadcast()
            && self.adapter.broadcast.as_ref().is_some_and(|broadcast| all(&broadcast.matches, message))
        {
            // Every one counts until the trigger, which clears what came before it.
            if self.heard[shopper.index as usize].swap(clock::now(), Ordering::AcqRel) == 0 {
                self.hearers.fetch_add(1, Ordering::AcqRel);
            }
        }
        let rules = &self.adapter.result;
        if !all(&rules.is_final, message) {
            return;
        }
        let number = match &rules.order {
            None => Some(0),
            Some(pointer) => message.pointer(pointer).and_then(Value::as_str).and_then(|name| shopper.number_of(name)),
        };
        let Some(number) = number.filter(|number| *number < self.options.purchases) else {
            self.misdelivered.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let purchase = self.purchase(shopper, number);
        if purchase.messages.fetch_add(1, Ordering::AcqRel) == 0 {
            purchase.succeeded.store(all(&rules.success, message), Ordering::Relaxed);
            purchase.ended.store(clock::now(), Ordering::Release);
            self.finish(purchase);
        }
    }
}
