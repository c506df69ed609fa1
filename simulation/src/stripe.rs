//! Stripe, as far as the flow can see it: payments that are created and confirmed, keys that replay what was stored under
//! them, refunds, lists, and events that are sent to the shop.
//!
//! It is what the checker believes: what was charged and given back is counted here. Its clock is right, and it never
//! dies.
//!
//! The word after `tok_` says what the card does: `visa` pays, `declined`, `action`, `processing`, `used` (a token that
//! Stripe refuses), `blank` (no card is tried).

mod books;
mod calls;
mod pages;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use shared::decline::DeclineClass;
use shared::stripe::{Answer, Refunded, Refusal};
use uuid::Uuid;

use crate::chance::Fault;
use crate::scene::Scene;

use books::{Books, Reply};
pub(crate) use books::{Intent, Status};
pub(crate) use pages::Tries;

/// Stripe forgets keys after this long.
const KEYS_LAST: Duration = Duration::from_secs(24 * 3600);

/// How Stripe, or the way there, behaves at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fine,
    LostBefore,
    LostAfter,
    /// A 500 that is stored under the key; whether it was done.
    Broken(bool),
    Throttled(&'static str, Option<Duration>),
    Refused(Refusal),
}

/// What a keyed call came to.
enum Heard {
    Reply(Reply),
    Nothing { reason: &'static str, replayed: bool },
    Throttled(&'static str, Option<Duration>),
    Refused(Refusal),
}

/// An event on its way to the shop.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) about: Option<Uuid>,
}

/// The model.
pub(crate) struct Stripe {
    scene: Arc<Scene>,
    books: Mutex<Books>,
    /// Events that nobody has begun to deliver.
    pub(crate) outgoing: Mutex<Vec<Event>>,
}

impl Stripe {
    pub(crate) fn new(scene: &Arc<Scene>) -> Arc<Self> {
        Arc::new(Self { scene: scene.clone(), books: Mutex::default(), outgoing: Mutex::default() })
    }

    /// Every payment.
    pub(crate) fn intents(&self) -> Vec<Intent> {
        self.books.lock().intents.values().cloned().collect()
    }

    pub(crate) fn look<T>(&self, at: impl FnOnce(&std::collections::BTreeMap<String, Intent>) -> T) -> T {
        at(&self.books.lock().intents)
    }

    /// Whether an order can be paid in two ways at once.
    pub(crate) fn payable_twice(&self, order: Uuid) -> bool {
        self.books.lock().payable_twice(order)
    }

    /// A bank, or a buyer's answer to its challenge, decides about a payment; nothing if it is not there any more.
    pub(crate) fn decide(&self, id: &str, from: Status, challenge: Option<u32>, good: bool) -> bool {
        let mut books = self.books.lock();
        let Some(intent) = books.intents.get_mut(id) else { return false };
        if intent.status != from || challenge.is_some_and(|number| number != intent.challenge) {
            return false;
        }
        let class = if challenge.is_some() { DeclineClass::AuthenticationRequired } else { DeclineClass::CardDeclined };
        intent.become_(if good { Status::Succeeded } else { Status::Declined(class) });
        let about = intent.order;
        self.scene.tell_as(Some(about), || {
            let what = format!("{id}: {}", if good { "the money is there" } else { "the bank says no" });
            ("Stripe".into(), what)
        });
        self.tell_of(&mut books, id);
        self.scene.has_changed();
        true
    }

    /// Whether the account has money for refunds.
    pub(crate) fn balance(&self, there_is: bool) {
        self.books.lock().no_balance = !there_is;
    }

    /// Refunds that wait are done, or fail.
    pub(crate) fn settle_refunds(&self, good: bool) {
        let mut books = self.books.lock();
        for id in books.settle_refunds(good) {
            let kind = if good { "refund.updated" } else { "refund.failed" };
            self.tell_of_refund(&mut books, kind, &id);
        }
        self.scene.has_changed();
    }

    /// Somebody gives a part of a payment back in the dashboard.
    pub(crate) fn refund_by_hand(&self, intent: &str, amount: i64) {
        let mut books = self.books.lock();
        if let Refunded::Succeeded { refund, .. } | Refunded::Pending { refund, .. } =
            books.refund(intent, amount, None)
        {
            self.tell_of_refund(&mut books, "refund.created", &refund);
        }
        self.scene.has_changed();
    }

    fn now(&self) -> shared::env::Timestamp {
        self.scene.true_time()
    }

    /// Makes an event of what a payment has become.
    fn tell_of(&self, books: &mut Books, id: &str) {
        let Some(intent) = books.intents.get(id) else { return };
        let kind = match intent.status {
            Status::Succeeded => "payment_intent.succeeded",
            Status::Declined(_) => "payment_intent.payment_failed",
            Status::Action => "payment_intent.requires_action",
            Status::Processing => "payment_intent.processing",
            Status::Canceled => "payment_intent.canceled",
            Status::Blank => return,
        };
        let object = json!({"id": id, "object": "payment_intent", "metadata": {"order": intent.order}});
        let about = intent.order;
        self.send(books, kind, &object, Some(about));
    }

    fn tell_of_refund(&self, books: &mut Books, kind: &'static str, id: &str) {
        let Some((payment_intent, name)) = books.refund_of(id) else { return };
        let order = books.intents.get(&payment_intent).map(|intent| intent.order);
        // Who makes a refund in the dashboard does not write the order on it.
        let metadata = name.map_or_else(|| json!({}), |name| json!({"order": order, "refund": name}));
        let object = json!({"id": id, "object": "refund", "payment_intent": payment_intent, "metadata": metadata});
        self.send(books, kind, &object, order);
    }

    fn send(&self, books: &mut Books, kind: &'static str, object: &serde_json::Value, about: Option<Uuid>) {
        let created = self.now();
        let id = format!("evt_{:05}", books.events.len() + 1);
        let body = json!({"id": id, "type": kind, "livemode": false, "created": created.0 / 1_000,
            "data": {"object": object}});
        let body = body.to_string();
        books.events.push((created, id.clone(), body.clone()));
        self.outgoing.lock().push(Event { id, body, about });
    }

    fn mood(&self, reads: bool) -> Mood {
        let faults = [
            (Fault::StripeLost, 24),
            (Fault::StripeAnswerLost, 32),
            (Fault::StripeThrottled, 24),
            (Fault::StripeBroken, 12),
            (Fault::StripeBrokenDone, 12),
            (Fault::StripeRefused, 8),
        ];
        let fault = self.scene.faults.first(&faults);
        if let Some(fault) = fault {
            self.scene.tell_as(None, || ("Stripe".into(), format!("FAULT: {}", fault.words())));
        }
        let dice = self.scene.faults.dice();
        match fault {
            None => Mood::Fine,
            Some(Fault::StripeLost) => Mood::LostBefore,
            Some(Fault::StripeAnswerLost) => Mood::LostAfter,
            Some(Fault::StripeBroken) => Mood::Broken(false),
            Some(Fault::StripeBrokenDone) => Mood::Broken(true),
            Some(Fault::StripeThrottled) => {
                let words = ["endpoint-rate", "lock_timeout", "idempotency_key_in_use", "global-concurrency"];
                let after = (dice.below(2) == 0).then(|| dice.between(500, 5_000));
                Mood::Throttled(dice.pick(&words, "endpoint-rate"), after)
            }
            Some(_) if reads || dice.below(3) > 0 => Mood::Refused(Refusal::Configuration),
            Some(_) => Mood::Refused(Refusal::Request),
        }
    }

    fn keyed(&self, key: &str, parameters: String, act: impl FnOnce(&mut Books) -> Reply, may_be_wrong: bool) -> Heard {
        let mood = self.mood(!may_be_wrong);
        let now = self.now();
        let mut books = self.books.lock();
        match mood {
            Mood::LostBefore => return Heard::Nothing { reason: "connection reset", replayed: false },
            Mood::Throttled(reason, after) => return Heard::Throttled(reason, after),
            Mood::Refused(kind) => return Heard::Refused(kind),
            Mood::Fine | Mood::LostAfter | Mood::Broken(_) => {}
        }
        let known = books.keys.get(key).filter(|(_, at, _)| now.since(*at) < KEYS_LAST).cloned();
        let (reply, replayed) = match known {
            Some((before, ..)) if before != parameters => return Heard::Refused(Refusal::Idempotency),
            Some((_, _, reply)) => (reply, true),
            None => {
                let reply = (mood != Mood::Broken(false)).then(|| act(&mut books));
                let stored = reply.filter(|_| mood != Mood::Broken(true));
                books.keys.insert(key.to_owned(), (parameters, now, stored.clone()));
                (stored, false)
            }
        };
        self.scene.has_changed();
        match reply {
            _ if mood == Mood::LostAfter => Heard::Nothing { reason: "timed out", replayed: false },
            None => Heard::Nothing { reason: "500", replayed },
            Some(reply) => Heard::Reply(reply),
        }
    }

    /// A call that only reads: why it says nothing, if it does.
    fn read(&self) -> Result<(), Answer> {
        match self.mood(true) {
            Mood::Fine => Ok(()),
            Mood::Throttled(reason, after) => Err(throttled(reason, after)),
            Mood::Refused(kind) => Err(refused(kind)),
            _ => Err(Answer::Unknown { reason: "500".into(), replayed: false }),
        }
    }
}

fn throttled(reason: &str, after: Option<Duration>) -> Answer {
    let in_flight = matches!(reason, "lock_timeout" | "idempotency_key_in_use");
    Answer::Throttled { reason: reason.into(), after, in_flight }
}

fn refused(kind: Refusal) -> Answer {
    Answer::Refused { reason: format!("{kind:?}"), kind }
}

impl Heard {
    fn answer(self) -> Answer {
        match self {
            Self::Reply(Reply::Intent(answer)) => answer,
            Self::Reply(Reply::Refund(_)) => refused(Refusal::Idempotency),
            Self::Nothing { reason, replayed } => Answer::Unknown { reason: reason.into(), replayed },
            Self::Throttled(reason, after) => throttled(reason, after),
            Self::Refused(kind) => refused(kind),
        }
    }

    fn refunded(self) -> Refunded {
        match self {
            Self::Reply(Reply::Refund(refunded)) => refunded,
            Self::Reply(Reply::Intent(_)) => refund_refused(Refusal::Idempotency),
            Self::Nothing { reason, replayed } => Refunded::Unknown { reason: reason.into(), replayed },
            Self::Throttled(reason, after) => Refunded::Throttled { reason: reason.into(), after, in_flight: false },
            Self::Refused(kind) => refund_refused(kind),
        }
    }
}

fn refund_refused(kind: Refusal) -> Refunded {
    Refunded::Refused { reason: format!("{kind:?}"), kind }
}
