//! The jobs that web and worker send one another: tagged with their version, and small.
//!
//! A job of the previous version must stay readable, since a deployment finds the queue full of them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ledger::Word;
use crate::order::{Order, Outcome};
use crate::queue::Job;

/// Every queue that web and worker use.
pub const QUEUES: [&str; 5] =
    [CreateCharge::QUEUE, ProcessResponse::QUEUE, Webhook::QUEUE, Authentication::QUEUE, Review::QUEUE];

/// Charge an attempt of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "v")]
pub enum CreateCharge {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// The order.
        order: Uuid,
        /// The attempt's number.
        attempt: u32,
    },
}

impl CreateCharge {
    /// The job for an order's current attempt.
    #[must_use]
    pub fn of(order: &Order) -> Self {
        Self::V1 { order: order.id, attempt: order.attempt }
    }
}

impl Job for CreateCharge {
    const QUEUE: &'static str = "create_charge";

    fn key(&self) -> String {
        let Self::V1 { order, attempt } = self;
        format!("{order}:{attempt}")
    }
}

/// Settle what came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "v")]
pub enum ProcessResponse {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// The order.
        order: Uuid,
        /// The attempt's number.
        attempt: u32,
        /// What Stripe said.
        outcome: Outcome,
    },
}

impl Job for ProcessResponse {
    const QUEUE: &'static str = "process_response";

    fn key(&self) -> String {
        let Self::V1 { order, attempt, .. } = self;
        format!("{order}:{attempt}")
    }
}

/// Ask Stripe how far the buyer has come with strong authentication (3-D Secure).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "v")]
pub enum Authentication {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// The order.
        order: Uuid,
        /// The attempt's number.
        attempt: u32,
        /// Why to ask.
        cause: Cause,
    },
}

/// Why Stripe is asked about a payment that waits for its buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The page says that the buyer is done: asked once.
    Asked,
    /// The buyer wants to pay with another card: what is still open is canceled.
    GivenUp,
    /// Nothing was heard for a while: asked now and then until the order has moved on.
    Silence,
}

impl Authentication {
    /// The job for an order's current attempt.
    #[must_use]
    pub fn of(order: &Order, cause: Cause) -> Self {
        Self::V1 { order: order.id, attempt: order.attempt, cause }
    }
}

impl Job for Authentication {
    const QUEUE: &'static str = "authentication";

    /// Each cause has its own: who gives up must not wait for the next look of the sweep.
    fn key(&self) -> String {
        let Self::V1 { order, attempt, cause } = self;
        let cause = match cause {
            Cause::Asked => "asked",
            Cause::GivenUp => "given_up",
            Cause::Silence => "silence",
        };
        format!("{order}:{attempt}:{cause}")
    }
}

/// See to a webhook event that is in the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "v")]
pub enum Webhook {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// Stripe's id of the event (`evt_…`).
        event: String,
    },
}

impl Webhook {
    /// The job for an event.
    #[must_use]
    pub fn of(event: &str) -> Self {
        Self::V1 { event: event.to_owned() }
    }
}

impl Job for Webhook {
    const QUEUE: &'static str = "webhook";

    fn key(&self) -> String {
        let Self::V1 { event } = self;
        event.clone()
    }
}

/// Do what a person has decided about an order in review, as far as Stripe agrees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "v")]
pub enum Review {
    /// The first form.
    #[serde(rename = "1")]
    V1 {
        /// The order.
        order: Uuid,
        /// The attempt's number.
        attempt: u32,
        /// What was decided.
        decision: Decision,
        /// By whom, and why.
        word: Word,
    },
}

/// What a person can decide about an order in review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Send the charge again, as it was.
    ChargeAgain,
    /// Ask Stripe what became of the payment.
    LookAgain,
    /// Call the order off, once nothing can be paid any more.
    Cancel,
    /// Give back another sum than the order's, and call the order off.
    Refund,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 4] = [Self::ChargeAgain, Self::LookAgain, Self::Cancel, Self::Refund];

    /// The stable machine word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChargeAgain => "charge_again",
            Self::LookAgain => "look_again",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
        }
    }
}

impl FromStr for Decision {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|decision| decision.as_str() == word);
        found.ok_or_else(|| format!("a decision is one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

impl Job for Review {
    const QUEUE: &'static str = "review";

    /// Each decision has its own: who wants to call an order off does not wait for a look.
    fn key(&self) -> String {
        let Self::V1 { order, attempt, decision, .. } = self;
        format!("{order}:{attempt}:{}", decision.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_written_as_the_version_says_and_read_back() {
        let charge = CreateCharge::V1 { order: Uuid::nil(), attempt: 2 };
        let text = serde_json::to_string(&charge).unwrap();
        assert_eq!(text, r#"{"v":"1","order":"00000000-0000-0000-0000-000000000000","attempt":2}"#);
        assert_eq!(serde_json::from_str::<CreateCharge>(&text).unwrap(), charge);
        let event = Webhook::of("evt_1");
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!((text.as_str(), event.key().as_str()), (r#"{"v":"1","event":"evt_1"}"#, "evt_1"));
        assert_eq!(serde_json::from_str::<Webhook>(&text).unwrap(), event);
        let job = Authentication::V1 { order: Uuid::nil(), attempt: 1, cause: Cause::GivenUp };
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(text, r#"{"v":"1","order":"00000000-0000-0000-0000-000000000000","attempt":1,"cause":"given_up"}"#);
        assert_eq!(job.key(), "00000000-0000-0000-0000-000000000000:1:given_up");
        let word = Word { by: "operator:ann".into(), why: None };
        let job = Review::V1 { order: Uuid::nil(), attempt: 1, decision: Decision::LookAgain, word };
        let text = concat!(
            r#"{"v":"1","order":"00000000-0000-0000-0000-000000000000","attempt":1,"decision":"look_again","#,
            r#""word":{"by":"operator:ann","why":null}}"#
        );
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        assert_eq!(serde_json::from_str::<Review>(text).unwrap(), job);
        assert!(Decision::ALL.iter().all(|decision| decision.as_str().parse() == Ok(*decision)));
        let text = concat!(
            r#"{"v":"1","order":"00000000-0000-0000-0000-000000000000","attempt":1,"#,
            r#""outcome":{"outcome":"processing","payment_intent":"pi_1"}}"#
        );
        let read: ProcessResponse = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
