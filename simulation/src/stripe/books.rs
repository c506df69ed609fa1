//! What Stripe has written down: payments, refunds, keys and events.

use std::collections::{BTreeMap, HashMap};

use shared::decline::{Decline, DeclineClass};
use shared::env::Timestamp;
use shared::stripe::{Answer, ClientSecret, ListedRefund, Payment, Refunded, Refusal, StoredRequest};
use uuid::Uuid;

use super::pages::Session;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Blank,
    Declined(DeclineClass),
    Action,
    Processing,
    Succeeded,
    Canceled,
}

/// A PaymentIntent.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) order: Uuid,
    pub(crate) status: Status,
    pub(crate) received: i64,
    pub(crate) refunded: i64,
    /// How often the bank was asked to ask; only the last challenge can still be answered.
    pub(crate) challenge: u32,
    pub(super) created: Timestamp,
    attempt: u32,
    amount: i64,
    currency: String,
}

#[derive(Clone)]
pub(super) enum Reply {
    Intent(Answer),
    Refund(Refunded),
}

#[derive(Default)]
pub(super) struct Books {
    pub(super) intents: BTreeMap<String, Intent>,
    pub(super) sessions: BTreeMap<String, Session>,
    /// Every refund, the oldest first, and of which payment.
    refunds: Vec<(String, ListedRefund)>,
    /// Under each key: the parameters, when, and the answer; `None` is a 500.
    pub(super) keys: HashMap<String, (String, Timestamp, Option<Reply>)>,
    /// Events with their time and id, the oldest first.
    pub(super) events: Vec<(Timestamp, String, String)>,
    pub(super) no_balance: bool,
}

impl Intent {
    /// Whether it has money that was not given back.
    pub(crate) fn has_money(&self) -> bool {
        self.status == Status::Succeeded && self.refunded < self.received
    }

    pub(super) fn become_(&mut self, status: Status) {
        self.status = status;
        if status == Status::Succeeded && self.received == 0 {
            self.received = self.amount;
        }
    }

    pub(super) fn answer(&self) -> Answer {
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
    /// Creates or confirms, and does what the card does; also whose payment it is.
    pub(super) fn charge(&mut self, request: &StoredRequest, now: Timestamp) -> (Answer, Option<String>) {
        let pairs = super::pages::pairs(request);
        let field = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let wrong = || (super::refused(Refusal::Request), None);
        let token = field("payment_method_data[card][token]").unwrap_or_default();
        let card = token.split('_').nth(1).unwrap_or_default();
        if card == "used" {
            let decline = Decline { class: DeclineClass::TryAnotherCard, may_retry: true, raw: None };
            return (Answer::Declined { payment_intent: None, decline }, None);
        }
        let confirmed =
            request.path.strip_prefix("/v1/payment_intents/").and_then(|rest| rest.strip_suffix("/confirm"));
        let id = match confirmed {
            Some(id) => id.to_owned(),
            None => {
                let number = |name| field(name).and_then(|text| text.parse::<i64>().ok());
                let order = field("metadata[order]").and_then(|text| text.parse().ok());
                let (Some(order), Some(amount), Some(attempt)) = (order, number("amount"), number("metadata[attempt]"))
                else {
                    return wrong();
                };
                let attempt = u32::try_from(attempt).unwrap_or(0);
                self.create(order, attempt, amount, field("currency").unwrap_or_default(), now)
            }
        };
        let Some(intent) = self.intents.get_mut(&id) else { return wrong() };
        if matches!(intent.status, Status::Blank | Status::Declined(_) | Status::Action) {
            match card {
                "declined" => intent.become_(Status::Declined(DeclineClass::InsufficientFunds)),
                "action" => {
                    intent.challenge += 1;
                    intent.become_(Status::Action);
                }
                "processing" => intent.become_(Status::Processing),
                "blank" => intent.become_(Status::Blank),
                _ => intent.become_(Status::Succeeded),
            }
        }
        (intent.answer(), Some(id))
    }

    pub(super) fn create(
        &mut self,
        order: Uuid,
        attempt: u32,
        amount: i64,
        currency: &str,
        created: Timestamp,
    ) -> String {
        let id = format!("pi_{:04}", self.intents.len() + 1);
        let intent = Intent {
            id: id.clone(),
            order,
            status: Status::Blank,
            received: 0,
            refunded: 0,
            challenge: 0,
            created,
            attempt,
            amount,
            currency: currency.to_owned(),
        };
        self.intents.insert(id.clone(), intent);
        id
    }

    pub(super) fn cancel(&mut self, id: &str) -> Answer {
        let Some(intent) = self.intents.get_mut(id) else { return super::refused(Refusal::Request) };
        if matches!(intent.status, Status::Blank | Status::Declined(_) | Status::Action) {
            intent.status = Status::Canceled;
        }
        intent.answer()
    }

    /// Gives back a part of a payment.
    pub(super) fn refund(&mut self, id: &str, amount: i64, name: Option<Uuid>) -> Refunded {
        let Some(intent) = self.intents.get_mut(id).filter(|intent| intent.status == Status::Succeeded) else {
            return super::refund_refused(Refusal::Request);
        };
        let left = intent.received - intent.refunded;
        if left == 0 {
            return Refunded::Already;
        }
        if amount > left {
            return Refunded::Refused { reason: "amount_too_large".into(), kind: Refusal::Request };
        }
        let refund = format!("re_{:04}", self.refunds.len() + 1);
        // Without balance half of them wait, and half are refused (https://docs.stripe.com/refunds).
        let stands = match (self.no_balance, self.refunds.len() % 2) {
            (false, _) => Refunded::Succeeded { refund: refund.clone(), amount },
            (true, 0) => Refunded::Pending { refund: refund.clone(), amount },
            (true, _) => return Refunded::NoBalance { reason: "balance_insufficient".into() },
        };
        intent.refunded += amount;
        let currency = intent.currency.clone();
        self.refunds.push((id.to_owned(), ListedRefund { stands: stands.clone(), id: refund, name, amount, currency }));
        stands
    }

    /// Refunds that wait are done, or fail; which.
    pub(super) fn settle_refunds(&mut self, good: bool) -> Vec<String> {
        let mut settled = Vec::new();
        for (intent, made) in &mut self.refunds {
            if !matches!(made.stands, Refunded::Pending { .. }) {
                continue;
            }
            settled.push(made.id.clone());
            if good {
                made.stands = Refunded::Succeeded { refund: made.id.clone(), amount: made.amount };
            } else {
                made.stands = Refunded::Failed { refund: made.id.clone(), reason: "expired_or_canceled_card".into() };
                if let Some(intent) = self.intents.get_mut(intent.as_str()) {
                    intent.refunded -= made.amount;
                }
            }
        }
        settled
    }

    /// Of which payment a refund is, and its name.
    pub(super) fn refund_of(&self, id: &str) -> Option<(String, Option<Uuid>)> {
        let (intent, made) = self.refunds.iter().find(|(_, made)| made.id == id)?;
        Some((intent.clone(), made.name))
    }

    pub(super) fn refund_stands(&self, id: &str) -> Option<Refunded> {
        self.refunds.iter().find(|(_, made)| made.id == id).map(|(_, made)| made.stands.clone())
    }

    /// The refunds of a payment, the newest first.
    pub(super) fn refunds_of(&self, intent: &str) -> Vec<ListedRefund> {
        self.refunds.iter().rev().filter(|(of, _)| of == intent).map(|(_, made)| made.clone()).collect()
    }
}
