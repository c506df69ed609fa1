//! The only place that knows Stripe's HTTP: a charge goes in, one of eleven answers comes out.
//!
//! The question that decides everything is not "did it work" but **"does anybody know whether it worked?"**
//! ([`Answer`]). A card that was declined, and a request that Stripe refused or throttled, did not take any money; that
//! is knowledge. A time-out, a broken connection, a 5xx or an answer that cannot be read is none: the card may have
//! been charged, and an order must not be told otherwise. So whatever is not clearly a "yes" or a "no" from Stripe
//! itself is [`Answer::Unknown`], and the caller asks again with the same key.
//!
//! - `request` (pure) decides the exact bytes of a charge, before the first of them is sent.
//! - `answer` and `intent` (pure) read a reply.
//! - `client` puts the two together into [`HttpStripe`].
//! - [`webhook`] (pure) believes or disbelieves an event, and reads it.
//! - `http` owns the pooled connections and nothing else: one request, one reply, no retry. Retrying belongs to
//!   the worker, which knows the order, the budget and the deadline.
//!
//! **Invariant:** neither keys, tokens, client secrets nor mail addresses reach a log line, a reason or a `Debug`
//! text. Stripe's own error messages quote them, so reasons are made of Stripe's machine words and its `Request-Id`.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decline::Decline;
use crate::env::Timestamp;

mod answer;
mod client;
#[cfg(test)]
mod fixtures;
mod http;
mod intent;
pub mod lists;
mod of_attempt;
#[cfg(feature = "conformance")]
pub mod readings;
mod request;
pub mod session;
pub mod webhook;

pub use crate::order::{ClientSecret, StoredRequest};
pub use client::HttpStripe;
pub use http::ClientError;
pub use lists::{ListedEvent, ListedPayment, NotRead, Page};
pub use of_attempt::request_of;
pub use request::{
    API_VERSION, ChargeRequest, TOKEN_BYTES_MAX, TokenKind, UnknownToken, idempotency_key, prepare, token_kind,
};

/// What Stripe said about a PaymentIntent, or that it said nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The card was charged. Final.
    Succeeded(Payment),
    /// The bank wants the shopper to confirm (3-D Secure): the page needs the client secret.
    RequiresAction {
        /// `pi_…`
        payment_intent: String,
        /// For `stripe.handleNextAction`, and for the shopper's own page only.
        client_secret: ClientSecret,
    },
    /// Neither paid nor failed yet; a webhook will tell.
    Processing {
        /// `pi_…`
        payment_intent: String,
    },
    /// The card was not charged. Final for the attempt; another card is another attempt.
    Declined {
        /// `pi_…`; `None` when Stripe refused before it made one.
        payment_intent: Option<String>,
        /// Why.
        decline: Decline,
    },
    /// It can never be paid any more. Final.
    Canceled {
        /// `pi_…`
        payment_intent: String,
    },
    /// It exists, and no card has been tried on it since it was made or last changed.
    NotStarted {
        /// `pi_…`
        payment_intent: String,
    },
    /// A Checkout Session is open: the shopper can pay on its page.
    Hosted {
        /// `cs_…`
        session: String,
        /// Where the page is; for the shopper.
        url: String,
    },
    /// A Checkout Session can never be paid any more. Final.
    SessionExpired {
        /// `cs_…`
        session: String,
    },
    /// Not executed, because there is too much at once. Wait, then send the same request with the same key.
    Throttled {
        /// Stripe's word: one of the `Stripe-Rate-Limited-Reason`s, `lock_timeout` or `idempotency_key_in_use`.
        reason: String,
        /// Stripe's `Retry-After`, when it gave one.
        after: Option<Duration>,
        /// True when another request holds the same object or key, and the budget is not to blame.
        in_flight: bool,
    },
    /// Nobody knows whether the card was charged. Send the same request with the same key.
    Unknown {
        /// What happened instead of an answer.
        reason: String,
        /// True when the answer is a stored one, which will be the same for ever: look the payment up instead.
        replayed: bool,
    },
    /// Stripe refuses the request itself; nothing was charged, and repeating it is of no use.
    Refused {
        /// Status, machine words and request id.
        reason: String,
        /// What that asks for.
        kind: Refusal,
    },
}

impl Answer {
    /// One machine word, for logs and metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::RequiresAction { .. } => "requires_action",
            Self::Processing { .. } => "processing",
            Self::Declined { .. } => "declined",
            Self::Canceled { .. } => "canceled",
            Self::NotStarted { .. } => "not_started",
            Self::Hosted { .. } => "hosted",
            Self::SessionExpired { .. } => "session_expired",
            Self::Throttled { .. } => "throttled",
            Self::Unknown { .. } => "unknown",
            Self::Refused { .. } => "refused",
        }
    }
}

/// Whose fault a refusal is, and so what must happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The key was used with other parameters (400 `idempotency_error`): a bug. Stop this order, alarm, look it up.
    Idempotency,
    /// The key or its permissions are wrong (401, 403): no charge can work, halt loudly.
    Configuration,
    /// Something about this one request (other 400, 404): a human must look.
    Request,
}

/// A payment that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// `pi_…`
    pub payment_intent: String,
    /// `ch_…`
    pub charge: String,
    /// What was received, in the currency's minor unit.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// The order that the PaymentIntent was made for, by its metadata.
    pub order: Option<Uuid>,
    /// The attempt that made the PaymentIntent, by its metadata; not the one that was paid, for confirming cannot
    /// change metadata.
    pub made_by_attempt: Option<u32>,
}

/// What a search for an order's payments gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The order's PaymentIntents, or an attempt's Checkout Sessions, each with its id and state, the newest first.
    Intents(Vec<(String, Answer)>),
    /// The whole window was read and holds none.
    None,
    /// The window could not be read to its end; absence is not proved.
    Unknown {
        /// What went wrong.
        reason: String,
    },
}

/// What became of a refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "refunded", rename_all = "snake_case")]
pub enum Refunded {
    /// The money is on its way back. Final, unless a bank returns it later.
    Succeeded {
        /// `re_…`
        refund: String,
        /// In the currency's minor unit.
        amount: i64,
    },
    /// Accepted, not done yet; a webhook will tell.
    Pending {
        /// `re_…`
        refund: String,
        /// In the currency's minor unit.
        amount: i64,
    },
    /// The bank did not take it.
    Failed {
        /// `re_…`
        refund: String,
        /// Stripe's `failure_reason`, or its status.
        reason: String,
    },
    /// Nothing is left to refund: an earlier refund did it.
    Already,
    /// Not executed, since the account's balance is too small; the answer is stored under the key. Send it again later,
    /// with a new key: <https://docs.stripe.com/refunds#refunds-and-your-balance>
    NoBalance {
        /// Stripe's words.
        reason: String,
    },
    /// Not executed: wait, then send the same with the same key.
    Throttled {
        /// As in [`Answer::Throttled`].
        reason: String,
        /// As in [`Answer::Throttled`].
        after: Option<Duration>,
        /// As in [`Answer::Throttled`].
        in_flight: bool,
    },
    /// Nobody knows: send the same with the same key.
    Unknown {
        /// What happened instead of an answer.
        reason: String,
        /// As in [`Answer::Unknown`].
        replayed: bool,
    },
    /// Stripe refuses it.
    Refused {
        /// Status, machine words and request id.
        reason: String,
        /// What that asks for.
        kind: Refusal,
    },
}

/// A refund that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRefund<'a> {
    /// Of which payment: `pi_…`
    pub payment_intent: &'a str,
    /// In the currency's minor unit.
    pub amount: i64,
    /// The order that the payment was for; an event about the refund names it.
    pub order: Uuid,
    /// Our name for it, by which it can be found again.
    pub name: Uuid,
}

/// A refund of a payment, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRefund {
    /// How it stands: succeeded, pending or failed.
    pub stands: Refunded,
    /// `re_…`
    pub id: String,
    /// Our name for it; `None` of one that was made elsewhere, as in Stripe's dashboard.
    pub name: Option<Uuid>,
    /// In the currency's minor unit.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
}

/// The refunds of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refunds {
    /// Every one of them, the newest first.
    All(Vec<ListedRefund>),
    /// They could not be read to the end; absence is not proved.
    Unknown {
        /// What went wrong.
        reason: String,
    },
}

/// Stripe, as the worker sees it: every call is one request (a list: one per page), none is retried here.
#[async_trait]
pub trait Stripe: Send + Sync + 'static {
    /// Sends a stored charge, byte for byte, with its attempt's key. The caller has waited for its turn
    /// ([`crate::budget`]); all other calls wait for theirs by themselves.
    ///
    /// When Stripe refuses to confirm because the PaymentIntent is past that (`payment_intent_unexpected_state`), the
    /// answer is what it became: paid, processing or canceled.
    async fn send(&self, request: &StoredRequest, key: &str) -> Answer;

    /// Reads a PaymentIntent (`pi_…`). `Declined` tells of the last card that was tried on it.
    async fn retrieve(&self, payment_intent: &str) -> Answer;

    /// Cancels a PaymentIntent: [`Answer::Canceled`], or, when Stripe refuses because of its state, what it is.
    async fn cancel(&self, payment_intent: &str, key: &str) -> Answer;

    /// Looks for an order's PaymentIntents among all that were created within a window (whole seconds, widened
    /// outwards). Stripe's search is not used: it lags, and so proves no absence.
    async fn find(&self, order: Uuid, created_from: Timestamp, created_to: Timestamp) -> Found;

    /// Reads a Checkout Session (`cs_…`).
    async fn retrieve_session(&self, session: &str) -> Answer;

    /// Ends a Checkout Session: [`Answer::SessionExpired`], or, when Stripe refuses, what it is.
    async fn expire_session(&self, session: &str, key: &str) -> Answer;

    /// Looks for the Checkout Sessions of an attempt among all that were created within a window, as [`Stripe::find`]
    /// does.
    async fn find_session(&self, order: Uuid, attempt: u32, created_from: Timestamp, created_to: Timestamp) -> Found;

    /// Gives money back.
    async fn refund(&self, refund: NewRefund<'_>, key: &str) -> Refunded;

    /// Reads a refund (`re_…`).
    async fn retrieve_refund(&self, stripe_id: &str) -> Refunded;

    /// Reads all refunds of a payment (`pi_…`).
    async fn refunds(&self, payment_intent: &str) -> Refunds;

    /// One page of the account's events of [`webhook::EVENT_TYPES`] since a time (whole seconds), the newest first;
    /// `after` is where the page before it ended. Stripe keeps them for 30 days.
    ///
    /// # Errors
    /// When the page could not be read; ask for the same again, later.
    async fn events(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedEvent>, NotRead>;

    /// One page of the account's PaymentIntents that were created since a time (whole seconds), the newest first.
    ///
    /// # Errors
    /// As with [`Self::events`].
    async fn payments(&self, created_from: Timestamp, after: Option<&str>) -> Result<Page<ListedPayment>, NotRead>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decline::DeclineClass;

    #[test]
    fn every_answer_survives_a_job_that_carries_it() {
        let payment_intent = || "pi_1".to_owned();
        let reason = || "endpoint-rate".to_owned();
        let decline = DeclineClass::of_stripe(Some("expired_card"), None, None);
        for answer in [
            Answer::Succeeded(Payment {
                payment_intent: payment_intent(),
                charge: "ch_1".to_owned(),
                amount: 2500,
                currency: "usd".to_owned(),
                order: Some(Uuid::from_u128(1)),
                made_by_attempt: Some(1),
            }),
            Answer::RequiresAction { payment_intent: payment_intent(), client_secret: ClientSecret::new("s") },
            Answer::Processing { payment_intent: payment_intent() },
            Answer::Declined { payment_intent: None, decline },
            Answer::Canceled { payment_intent: payment_intent() },
            Answer::NotStarted { payment_intent: payment_intent() },
            Answer::Hosted { session: "cs_1".to_owned(), url: "https://checkout.stripe.com/c/pay/cs_1".to_owned() },
            Answer::SessionExpired { session: "cs_1".to_owned() },
            Answer::Throttled { reason: reason(), after: Some(Duration::from_secs(2)), in_flight: false },
            Answer::Unknown { reason: reason(), replayed: true },
            Answer::Refused { reason: reason(), kind: Refusal::Idempotency },
        ] {
            let carried = serde_json::to_value(&answer).unwrap();
            assert_eq!(carried["answer"], answer.as_str());
            assert_eq!(serde_json::from_value::<Answer>(carried).unwrap(), answer);
        }
    }
}
