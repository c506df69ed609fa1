//! What the stand-in remembers: answers by their key, charges by order, counts.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};

use super::answers::{Asked, Effect, make};
use super::form::Form;
use super::ids::Ids;

const SHARDS: usize = 64;
/// Keys that the counts name, most repeated first.
const NAMED: usize = 10;

struct Entry {
    parameters: u64,
    seen: u64,
    /// `None` while the first call is under way.
    answer: Option<(u16, Bytes)>,
}

#[derive(Default)]
struct Shard {
    keys: HashMap<Box<[u8]>, Entry>,
    /// Charges by order (or shopper), to find those that bear different keys.
    charged: HashMap<Box<str>, u64>,
    /// PaymentIntents by their id, as they were told last.
    intents: HashMap<Box<str>, Bytes>,
}

/// What a key was found to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    New,
    UnderWay,
    OtherParameters,
    Replay(u16, Bytes),
}

/// Counts, all from the last reset.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) charges: AtomicU64,
    pub(super) declined: AtomicU64,
    pub(super) replayed: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) mismatched: AtomicU64,
    pub(super) without_key: AtomicU64,
    pub(super) unauthorized: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) in_flight: AtomicU64,
    pub(super) most_in_flight: AtomicU64,
}

/// Everything.
pub(super) struct State {
    pub(super) ids: Ids,
    pub(super) counts: Counts,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl State {
    pub(super) fn new() -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { ids: Ids::new(), counts: Counts::default(), hasher: RandomState::new(), shards }
    }

    fn shard(&self, name: &[u8]) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(name) % SHARDS as u64;
        self.shards[at as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What two requests must share to be the same.
    pub(super) fn fingerprint(&self, path: &str, body: &[u8]) -> u64 {
        self.hasher.hash_one((path, body))
    }

    /// Takes a key for a request with these parameters.
    pub(super) fn claim(&self, key: &[u8], parameters: u64) -> Found {
        let mut shard = self.shard(key);
        let Some(entry) = shard.keys.get_mut(key) else {
            shard.keys.insert(key.into(), Entry { parameters, seen: 1, answer: None });
            return Found::New;
        };
        entry.seen += 1;
        let (found, counter) = match &entry.answer {
            _ if entry.parameters != parameters => (Found::OtherParameters, &self.counts.mismatched),
            None => (Found::UnderWay, &self.counts.conflicts),
            Some((status, body)) => (Found::Replay(*status, body.clone()), &self.counts.replayed),
        };
        count(counter);
        found
    }

    /// Carries a request out, and remembers its answer under its key.
    pub(super) fn carry_out(&self, asked: &Asked, key: Option<&[u8]>, body: &[u8]) -> (u16, Bytes) {
        let made = make(&self.ids, asked, &Form::parse(body));
        match made.effect {
            Effect::Nothing => {}
            Effect::Declined => count(&self.counts.declined),
            Effect::Charged(of) => {
                count(&self.counts.charges);
                if let Some(of) = of {
                    *self.shard(of.as_bytes()).charged.entry(of.into()).or_default() += 1;
                }
            }
        }
        if let Some((id, body)) = made.intent {
            self.shard(id.as_bytes()).intents.insert(id.into(), body);
        }
        if let Some(key) = key {
            let mut shard = self.shard(key);
            if made.status == 400 {
                // Stripe keeps no answer to a request that it could not understand.
                shard.keys.remove(key);
            } else if let Some(entry) = shard.keys.get_mut(key) {
                entry.answer = Some((made.status, made.body.clone()));
            }
        }
        (made.status, made.body)
    }

    /// A PaymentIntent, as it was told last.
    pub(super) fn intent(&self, id: &str) -> Option<Bytes> {
        self.shard(id.as_bytes()).intents.get(id).cloned()
    }

    /// Forgets everything but its connections.
    pub(super) fn reset(&self) {
        for shard in &self.shards {
            *shard.lock().unwrap_or_else(PoisonError::into_inner) = Shard::default();
        }
        let counts = &self.counts;
        for counter in [
            &counts.requests,
            &counts.charges,
            &counts.declined,
            &counts.replayed,
            &counts.conflicts,
            &counts.mismatched,
            &counts.without_key,
            &counts.unauthorized,
            &counts.most_in_flight,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// The counts.
    pub(super) fn stats(&self) -> Value {
        let (mut keys, mut repeated, mut orders, mut twice) = (0, Vec::new(), 0, 0);
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            keys += shard.keys.len();
            orders += shard.charged.len();
            twice += shard.charged.values().filter(|charges| **charges > 1).count();
            let more_than_once = shard.keys.iter().filter(|(_, entry)| entry.seen > 1);
            repeated.extend(more_than_once.map(|(key, entry)| (entry.seen, String::from_utf8_lossy(key).into_owned())));
        }
        repeated.sort_unstable_by(|a, b| b.cmp(a));
        let repeated_keys = repeated.len();
        repeated.truncate(NAMED);
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        json!({
            "charges_created": get(&counts.charges),
            "declined": get(&counts.declined),
            "requests": get(&counts.requests),
            "idempotency_keys": keys,
            "idempotency_keys_seen_more_than_once": repeated_keys,
            "replayed": get(&counts.replayed),
            "conflicts_409": get(&counts.conflicts),
            "key_reused_other_params_400": get(&counts.mismatched),
            "requests_without_key": get(&counts.without_key),
            "shoppers_charged": orders,
            "shoppers_charged_more_than_once": twice,
            "unauthorized": get(&counts.unauthorized),
            "connections": get(&counts.connections),
            "max_in_flight": get(&counts.most_in_flight),
            "most_repeated_keys": repeated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"amount=5&currency=usd&source=tok_visa&metadata[uuid]=u";

    #[test]
    fn the_same_key_and_parameters_replay_and_charge_once() {
        let state = State::new();
        let parameters = state.fingerprint("/v1/charges", FORM);
        assert_eq!(state.claim(b"k", parameters), Found::New);
        assert_eq!(state.claim(b"k", parameters), Found::UnderWay);
        let (status, body) = state.carry_out(&Asked::Charge, Some(b"k"), FORM);
        assert_eq!(state.claim(b"k", parameters), Found::Replay(status, body));
        let stats = state.stats();
        assert_eq!((&stats["charges_created"], &stats["shoppers_charged_more_than_once"]), (&1.into(), &0.into()));
        assert_eq!(stats["idempotency_keys_seen_more_than_once"], 1);
    }

    #[test]
    fn a_key_is_not_for_other_parameters_and_not_kept_for_what_was_not_understood() {
        let state = State::new();
        assert_eq!(state.claim(b"k", state.fingerprint("/v1/charges", b"amount=")), Found::New);
        assert_eq!(state.claim(b"k", state.fingerprint("/v1/charges", FORM)), Found::OtherParameters);
        assert_eq!(state.carry_out(&Asked::Charge, Some(b"k"), b"amount=").0, 400);
        assert_eq!(state.claim(b"k", state.fingerprint("/v1/charges", FORM)), Found::New);
    }

    #[test]
    fn an_intent_is_found_by_its_id() {
        let state = State::new();
        let form = b"amount=1&currency=usd&confirm=true&payment_method=pm_card_visa";
        let (_, body) = state.carry_out(&Asked::Intent, None, form);
        let id = serde_json::from_slice::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned();
        assert_eq!((state.intent(&id), state.intent("pi_other")), (Some(body), None));
    }

    #[test]
    fn two_keys_for_one_order_are_seen_as_a_double_charge() {
        let state = State::new();
        for key in [b"a", b"b"] {
            assert_eq!(state.claim(key, state.fingerprint("/v1/charges", FORM)), Found::New);
            state.carry_out(&Asked::Charge, Some(key), FORM);
        }
        assert_eq!(state.stats()["shoppers_charged_more_than_once"], 1);
        state.reset();
        assert_eq!(state.stats()["charges_created"], 0);
        assert_eq!(state.stats()["shoppers_charged_more_than_once"], 0);
    }
}
