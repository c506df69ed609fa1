//! Stripe, as far as one sale sees it: PaymentIntents, and the answers that are kept by idempotency key.

use std::collections::BTreeMap;

use shared::decline::DeclineClass;
use shared::order::ClientSecret;
use shared::stripe::{Answer, Found, Payment, Refusal};

use crate::rules::Bank;
use crate::world::{AMOUNT, id_of};

/// What a PaymentIntent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// No card has paid; whether one was tried.
    Open {
        /// One was tried, and declined.
        declined: bool,
    },
    /// The buyer must confirm, and can until it is canceled.
    Challenge,
    /// The bank takes its time.
    Thinking,
    /// Paid.
    Succeeded,
    /// Never to be paid.
    Canceled,
}

/// A PaymentIntent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// Whose it is.
    pub order: u8,
    /// What it is.
    pub status: Status,
    /// The money went back.
    pub refunded: bool,
    /// An event about it is on its way. Several are as good as one: each only says that it is time to ask.
    pub told: bool,
}

/// Stripe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stripe {
    /// In the order in which they were made.
    pub intents: Vec<Intent>,
    /// By key: digest of the request, and what was answered.
    pub keys: BTreeMap<String, (u64, Said)>,
}

/// A stored answer: what the PaymentIntent was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// This PaymentIntent was this.
    Intent(usize, Status),
    /// The request was refused.
    Refused,
}

/// The name of a PaymentIntent.
#[must_use]
pub fn name(intent: usize) -> String {
    format!("pi_{intent}")
}

/// The PaymentIntent of a name.
#[must_use]
pub fn number(name: &str) -> Option<usize> {
    name.strip_prefix("pi_")?.parse().ok()
}

impl Stripe {
    /// Whether a charge would ask a bank: then the bank's word decides, else all words come to the same.
    #[must_use]
    pub fn asks_a_bank(&self, key: &str, path: &str) -> bool {
        !self.keys.contains_key(key)
            && confirmed(path).is_none_or(|intent| matches!(self.intents[intent].status, Status::Open { .. }))
    }

    /// Executes a stored charge of an order. `path` and `digest` are of the bytes that the product prepared.
    pub fn charge(&mut self, order: u8, key: &str, path: &str, digest: u64, bank: Bank) -> Answer {
        if let Some((stored, said)) = self.keys.get(key) {
            if *stored != digest {
                return Answer::Refused { reason: "idempotency_error".into(), kind: Refusal::Idempotency };
            }
            return self.spell(*said);
        }
        let status = match bank {
            Bank::Pays => Status::Succeeded,
            Bank::Declines => Status::Open { declined: true },
            Bank::Challenges => Status::Challenge,
            Bank::Thinks => Status::Thinking,
        };
        let said = match confirmed(path) {
            None => {
                self.intents.push(Intent { order, status, refunded: false, told: true });
                Said::Intent(self.intents.len() - 1, status)
            }
            Some(intent) if matches!(self.intents[intent].status, Status::Open { .. }) => {
                self.set(intent, status);
                Said::Intent(intent, status)
            }
            Some(_) => Said::Refused,
        };
        self.keys.insert(key.to_owned(), (digest, said));
        match (said, confirmed(path)) {
            // As the client does: what it is past, is read.
            (Said::Refused, Some(intent)) => match self.intents[intent].status {
                Status::Challenge | Status::Open { .. } => self.spell(Said::Refused),
                _ => self.read(intent),
            },
            _ => self.spell(said),
        }
    }

    /// Cancels a PaymentIntent, or says what it is.
    pub fn cancel(&mut self, intent: usize) -> Answer {
        if matches!(self.intents[intent].status, Status::Open { .. } | Status::Challenge) {
            self.set(intent, Status::Canceled);
        }
        self.read(intent)
    }

    /// Something happened to a PaymentIntent, and an event tells.
    pub fn set(&mut self, intent: usize, status: Status) {
        self.intents[intent].status = status;
        self.intents[intent].told = true;
    }

    /// Reads a PaymentIntent.
    #[must_use]
    pub fn read(&self, intent: usize) -> Answer {
        self.spell(Said::Intent(intent, self.intents[intent].status))
    }

    /// The PaymentIntents of an order, the newest first.
    #[must_use]
    pub fn find(&self, order: u8) -> Found {
        let of_it = (0..self.intents.len()).rev().filter(|at| self.intents[*at].order == order);
        let found: Vec<(String, Answer)> = of_it.map(|at| (name(at), self.read(at))).collect();
        if found.is_empty() { Found::None } else { Found::Intents(found) }
    }

    fn spell(&self, said: Said) -> Answer {
        let Said::Intent(intent, status) = said else {
            return Answer::Refused { reason: "payment_intent_unexpected_state".into(), kind: Refusal::Request };
        };
        let payment_intent = name(intent);
        match status {
            Status::Open { declined: false } => Answer::NotStarted { payment_intent },
            Status::Open { declined: true } => Answer::Declined {
                payment_intent: Some(payment_intent),
                decline: DeclineClass::of_stripe(Some("card_declined"), None, None),
            },
            Status::Challenge => {
                Answer::RequiresAction { payment_intent, client_secret: ClientSecret::new("pi_secret") }
            }
            Status::Thinking => Answer::Processing { payment_intent },
            Status::Canceled => Answer::Canceled { payment_intent },
            Status::Succeeded => Answer::Succeeded(Payment {
                charge: format!("ch_{intent}"),
                payment_intent,
                amount: AMOUNT,
                currency: "usd".into(),
                order: Some(id_of(self.intents[intent].order)),
                made_by_attempt: None,
            }),
        }
    }
}

/// The PaymentIntent that a request confirms; none when it makes one.
#[must_use]
pub fn confirmed(path: &str) -> Option<usize> {
    number(path.strip_prefix("/v1/payment_intents/")?.strip_suffix("/confirm")?)
}
