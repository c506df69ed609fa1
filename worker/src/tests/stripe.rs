//! A small Stripe: payment intents, keys that replay what was stored under them, and moods.
//!
//! The word after `tok_` says what the card does: `visa` pays, `declined`, `action`, `processing`, `used` (a token
//! that Stripe refuses), `cheap` (another amount is taken), `blank` (no card is tried).

mod calls;
mod elsewhere;
mod lists;
mod pages;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use shared::decline::{Decline, DeclineClass};
use shared::env::{Env, Timestamp};
use shared::stripe::{Answer, ClientSecret, Payment, Refunded, Refusal, StoredRequest};
use uuid::Uuid;

use self::lists::Told;
use super::faults::Faults;
use super::till::Till;

pub(super) use pages::Page;

/// Stripe forgets keys after this long.
const KEYS_LAST: Duration = Duration::from_secs(24 * 3600);

/// Which call a mood is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Send,
    Retrieve,
    Cancel,
    Find,
    RetrieveSession,
    Expire,
    FindSession,
    Refund,
    RetrieveRefund,
    Refunds,
    Events,
    Payments,
}

/// How Stripe, or the way there, behaves at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Fine,
    /// The request never arrives.
    LostBefore,
    /// It is done, and the answer never arrives.
    LostAfter,
    /// A 500 that is stored under the key, and nothing was done.
    BrokenBefore,
    /// A 500 that is stored under the key, though it was done.
    BrokenAfter,
    /// 429 or 409, with its word and its `Retry-After`.
    Throttled(&'static str, Option<Duration>),
    /// 401.
    Unconfigured,
    /// 400.
    Wrong,
}

/// Where a payment intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Blank,
    Declined(DeclineClass),
    Action,
    Processing,
    Succeeded,
    Canceled,
}

/// A bank's question, as one tab shows it.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    payment_intent: String,
    number: u32,
}

/// A payment intent.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) order: Uuid,
    pub(super) status: Status,
    pub(super) received: i64,
    pub(super) refunded: i64,
    /// Paid outside of our worker's doing.
    pub(super) foreign: bool,
    created: Timestamp,
    attempt: u32,
    /// How often the bank was asked to ask; only the last challenge can still be answered.
    challenge: u32,
    amount: i64,
    currency: String,
}

#[derive(Clone)]
enum Reply {
    Intent(Answer),
    Refund(Refunded),
}

enum Heard {
    Reply(Reply),
    Nothing { reason: &'static str, replayed: bool },
    Throttled(&'static str, Option<Duration>),
    Refused(Refusal),
}

#[derive(Default)]
pub(super) struct Books {
    pub(super) intents: BTreeMap<String, Intent>,
    sessions: BTreeMap<String, pages::Session>,
    pub(super) till: Till,
    /// Under each key: the parameters, when, and the answer; `None` is a 500.
    keys: HashMap<String, (String, Timestamp, Option<Reply>)>,
    moods: VecDeque<(Call, Mood)>,
    /// Calls in a thousand that go wrong.
    trouble: u64,
    sent: Vec<(String, StoredRequest)>,
    calls: Vec<(Call, String)>,
    executed: u32,
    /// What happened, the oldest first.
    events: Vec<Told>,
}

/// The small Stripe.
pub(super) struct SmallStripe {
    env: Env,
    faults: Arc<Faults>,
    pub(super) books: Mutex<Books>,
}

impl SmallStripe {
    pub(super) fn new(env: Env, faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { env, faults, books: Mutex::default() })
    }

    /// The next call of this kind finds Stripe in this mood.
    pub(super) fn next(&self, call: Call, mood: Mood) {
        self.books.lock().moods.push_back((call, mood));
    }

    /// So many calls in a thousand go wrong.
    pub(super) fn by_chance(&self, trouble: u64) {
        self.books.lock().trouble = trouble;
    }

    /// The payment intents of an order, the oldest first.
    pub(super) fn intents(&self, order: Uuid) -> Vec<Intent> {
        self.books.lock().intents.values().filter(|intent| intent.order == order).cloned().collect()
    }

    /// Every payment intent.
    pub(super) fn all(&self) -> Vec<Intent> {
        self.books.lock().intents.values().cloned().collect()
    }

    /// Payments of an order that were not given back.
    pub(super) fn paid(&self, order: Uuid) -> usize {
        self.intents(order).iter().filter(|intent| intent.has_money()).count()
    }

    /// Every charge request that was sent, with its key.
    pub(super) fn sent(&self) -> Vec<(String, StoredRequest)> {
        self.books.lock().sent.clone()
    }

    /// How often a kind of call was made.
    pub(super) fn count(&self, call: Call) -> usize {
        self.books.lock().calls.iter().filter(|(made, _)| *made == call).count()
    }

    /// The keys that a kind of call was made with.
    pub(super) fn keys(&self, call: Call) -> Vec<String> {
        self.books.lock().calls.iter().filter(|(made, _)| *made == call).map(|(_, key)| key.clone()).collect()
    }

    fn mood(&self, call: Call) -> Mood {
        let mut books = self.books.lock();
        if let Some(place) = books.moods.iter().position(|(for_call, _)| *for_call == call) {
            return books.moods.remove(place).map_or(Mood::Fine, |(_, mood)| mood);
        }
        if books.trouble == 0 || self.env.random_u64() % 1_000 >= books.trouble {
            return Mood::Fine;
        }
        match self.env.random_u64() % 20 {
            0..=3 => Mood::LostBefore,
            4..=8 => Mood::LostAfter,
            9..=11 => Mood::BrokenBefore,
            12..=14 => Mood::BrokenAfter,
            15 => Mood::Throttled("endpoint-rate", None),
            16 => Mood::Throttled("lock_timeout", None),
            17 => Mood::Throttled("global-concurrency", Some(Duration::from_secs(2))),
            18 => Mood::Unconfigured,
            _ if call == Call::Send => Mood::Wrong,
            _ => Mood::LostAfter,
        }
    }

    fn keyed(&self, call: Call, key: &str, parameters: String, act: impl FnOnce(&mut Books) -> Reply) -> Heard {
        let mood = self.mood(call);
        let now = self.env.now();
        let mut books = self.books.lock();
        books.calls.push((call, key.to_owned()));
        match mood {
            Mood::LostBefore => return Heard::Nothing { reason: "connection reset", replayed: false },
            Mood::Throttled(reason, after) => return Heard::Throttled(reason, after),
            Mood::Unconfigured => return Heard::Refused(Refusal::Configuration),
            Mood::Wrong => return Heard::Refused(Refusal::Request),
            Mood::Fine | Mood::LostAfter | Mood::BrokenBefore | Mood::BrokenAfter => {}
        }
        let known = books.keys.get(key).filter(|(_, at, _)| now.since(*at) < KEYS_LAST).cloned();
        let (reply, replayed) = match known {
            Some((before, ..)) if before != parameters => return Heard::Refused(Refusal::Idempotency),
            Some((_, _, reply)) => (reply, true),
            None => {
                books.executed += 1;
                let reply = (mood != Mood::BrokenBefore).then(|| act(&mut books));
                let stored = reply.filter(|_| mood != Mood::BrokenAfter);
                books.keys.insert(key.to_owned(), (parameters, now, stored.clone()));
                (stored, false)
            }
        };
        match reply {
            _ if mood == Mood::LostAfter => Heard::Nothing { reason: "timed out", replayed: false },
            None => Heard::Nothing { reason: "500", replayed },
            Some(reply) => Heard::Reply(reply),
        }
    }

    /// A reading call: no key, and nothing to be done.
    fn read(&self, call: Call, of: &str) -> Result<(), Answer> {
        let mood = self.mood(call);
        self.books.lock().calls.push((call, of.to_owned()));
        match mood {
            Mood::Fine => Ok(()),
            Mood::Throttled(reason, after) => Err(throttled(reason, after)),
            Mood::Unconfigured => Err(refused(Refusal::Configuration)),
            Mood::Wrong => Err(refused(Refusal::Request)),
            _ => Err(Answer::Unknown { reason: "500".into(), replayed: false }),
        }
    }

    /// A call that its caller may stop at; for failing, a call to Stripe has moods.
    async fn travel<T: Send>(&self, call: &'static str, work: impl FnOnce() -> T + Send) -> T {
        self.faults.stopping(call, async { work() }).await
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
            Self::Reply(Reply::Refund(_)) => panic!("a refund under a charge's key"),
            Self::Nothing { reason, replayed } => Answer::Unknown { reason: reason.into(), replayed },
            Self::Throttled(reason, after) => throttled(reason, after),
            Self::Refused(kind) => refused(kind),
        }
    }

    fn refunded(self) -> Refunded {
        match self {
            Self::Reply(Reply::Refund(refunded)) => refunded,
            Self::Reply(Reply::Intent(_)) => panic!("a charge under a refund's key"),
            Self::Nothing { reason, replayed } => Refunded::Unknown { reason: reason.into(), replayed },
            Self::Throttled(reason, after) => Refunded::Throttled { reason: reason.into(), after, in_flight: false },
            Self::Refused(kind) => Refunded::Refused { reason: format!("{kind:?}"), kind },
        }
    }
}

impl Intent {
    /// Whether it has been paid and not given back.
    pub(super) fn has_money(&self) -> bool {
        self.status == Status::Succeeded && self.refunded < self.received
    }

    fn become_(&mut self, status: Status) {
        self.status = status;
        if status == Status::Succeeded && self.received == 0 {
            self.received = self.amount;
        }
    }

    fn answer(&self) -> Answer {
        let payment_intent = self.id.clone();
        match self.status {
            Status::Blank => Answer::NotStarted { payment_intent },
            Status::Declined(class) => Answer::Declined {
                payment_intent: Some(payment_intent),
                decline: Decline { class, may_retry: true, raw: Some("card_declined/-/-".into()) },
            },
            Status::Action => {
                let client_secret = ClientSecret::new(format!("{payment_intent}_secret"));
                Answer::RequiresAction { payment_intent, client_secret }
            }
            Status::Processing => Answer::Processing { payment_intent },
            Status::Canceled => Answer::Canceled { payment_intent },
            Status::Succeeded => Answer::Succeeded(Payment {
                charge: payment_intent.replace("pi_", "ch_"),
                payment_intent,
                amount: self.received,
                currency: self.currency.clone(),
                order: Some(self.order),
                made_by_attempt: Some(self.attempt),
            }),
        }
    }
}

impl Books {
    fn create(&mut self, order: Uuid, attempt: u32, amount: i64, currency: &str, created: Timestamp) -> String {
        let id = format!("pi_{:04}", self.intents.len() + 1);
        let intent = Intent {
            id: id.clone(),
            order,
            status: Status::Blank,
            received: 0,
            refunded: 0,
            foreign: false,
            created,
            attempt,
            challenge: 0,
            amount,
            currency: currency.to_owned(),
        };
        self.intents.insert(id.clone(), intent);
        id
    }

    /// Creates or confirms, and does what the card does.
    fn charge(&mut self, request: &StoredRequest, now: Timestamp) -> Answer {
        if request.path == "/v1/checkout/sessions" {
            return self.open(request, now);
        }
        let field = |name: &str| {
            let pairs = request.body.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        let token = field("payment_method_data[card][token]").unwrap();
        let card = token.split('_').nth(1).unwrap().to_owned();
        let confirmed =
            request.path.strip_prefix("/v1/payment_intents/").and_then(|rest| rest.strip_suffix("/confirm"));
        if card == "used" {
            let decline = Decline { class: DeclineClass::TryAnotherCard, may_retry: true, raw: None };
            return Answer::Declined { payment_intent: None, decline };
        }
        let id = match confirmed {
            Some(id) => id.to_owned(),
            None => {
                let order = field("metadata[order]").unwrap().parse().unwrap();
                let attempt = field("metadata[attempt]").unwrap().parse().unwrap();
                let amount = field("amount").unwrap().parse().unwrap();
                self.create(order, attempt, amount, &field("currency").unwrap(), now)
            }
        };
        self.no_page_is_open(self.intents[&id].order);
        let intent = self.intents.get_mut(&id).unwrap();
        if matches!(intent.status, Status::Blank | Status::Declined(_) | Status::Action) {
            match card.as_str() {
                "visa" => intent.become_(Status::Succeeded),
                "declined" => intent.become_(Status::Declined(DeclineClass::InsufficientFunds)),
                "action" => {
                    intent.challenge += 1;
                    intent.become_(Status::Action);
                }
                "processing" => intent.become_(Status::Processing),
                "blank" => intent.become_(Status::Blank),
                "cheap" => {
                    intent.received = 1;
                    intent.become_(Status::Succeeded);
                }
                other => panic!("no such card: {other}"),
            }
        }
        let answer = intent.answer();
        self.tell(&id, now);
        answer
    }

    fn cancel(&mut self, id: &str, now: Timestamp) -> Answer {
        let Some(intent) = self.intents.get_mut(id) else { return refused(Refusal::Request) };
        if matches!(intent.status, Status::Blank | Status::Declined(_) | Status::Action) {
            intent.status = Status::Canceled;
        }
        let answer = intent.answer();
        self.tell(id, now);
        answer
    }
}
