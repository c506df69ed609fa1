//! Ids as Stripe's look, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Where ids come from.
pub(super) struct Ids {
    next: AtomicU64,
    dice: AtomicU64,
}

/// Seconds since 1970.
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Ids {
    pub(super) fn new() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
        Self { next: AtomicU64::new(seconds_now()), dice: AtomicU64::new(seed.into()) }
    }

    /// `ch_` and 24 letters: a counter, so that none repeats, and dice, so that none is guessed by accident.
    pub(super) fn make(&self, prefix: &str) -> String {
        let mut id = String::with_capacity(prefix.len() + 24);
        id.push_str(prefix);
        for mut number in [self.next.fetch_add(1, Ordering::Relaxed), self.random()] {
            for _ in 0..12 {
                id.push(char::from(LETTERS[(number % 62) as usize]));
                number /= 62;
            }
        }
        id
    }

    /// splitmix64 over a counter.
    fn random(&self) -> u64 {
        let mut z = self.dice.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
