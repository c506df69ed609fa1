//! An order: a purchase that was accepted, stock committed in the ledger, a charge owed.
//!
//! [`state`] says which event leads from which state to which, and what must then happen; the rest of this module
//! is the data those rules speak of. Nothing here does I/O or reads a clock.

pub mod hosted;
pub mod state;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decline::{Decline, DeclineClass};
use crate::env::Timestamp;
use crate::money::Currency;
use crate::sale::PricedItem;

pub use state::State;

/// Tries at paying that one order has.
pub const MOST_ATTEMPTS: u32 = 6;

/// An order as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Made by the client before it sends.
    pub id: Uuid,
    /// Whose it is; also the name of the room.
    pub customer: Uuid,
    /// The sale's slug.
    pub sale: String,
    /// The hold whose stock it uses; one order per hold.
    pub hold: Uuid,
    /// What is bought, at the prices of the hold.
    pub items: Vec<PricedItem>,
    /// The total, in minor units.
    pub amount: i64,
    /// The currency of `amount`.
    pub currency: Currency,
    /// Where the tickets go.
    pub email: String,
    /// `email` in the form that the limit per customer counts by.
    pub email_key: String,
    /// The buyer's name.
    pub name: String,
    /// Where the order stands.
    pub state: State,
    /// Grows by one per change of the order.
    pub version: i64,
    /// The current attempt; the first is 1.
    pub attempt: u32,
    /// Place among everything that was accepted for charging in its sale; a next attempt queues again.
    pub queue_number: i64,
    /// The one PaymentIntent of this order, once Stripe has told its id and while it can be paid.
    pub payment_intent: Option<String>,
    /// Stripe's id of the successful charge (`ch_…`); of an order that has ended unpaid, the one that came too late and
    /// went back.
    pub charge: Option<String>,
    /// What the page needs for `handleNextAction`, while strong authentication is asked for.
    pub client_secret: Option<ClientSecret>,
    /// The Checkout Session (`cs_…`) on whose page it can be paid, until Stripe has said that it cannot.
    pub session: Option<String>,
    /// Where that page is, while the buyer is to go there.
    pub session_url: Option<String>,
    /// Why the current attempt was declined.
    pub decline: Option<Decline>,
    /// While closing: where from, and what it becomes when Stripe says that it cannot be paid any more.
    pub closing: Option<Closing>,
    /// Why a person has to look.
    pub review: Option<String>,
    /// By the ledger's clock: when an order that waits for its buyer is closed.
    pub expires_at: Option<Timestamp>,
    /// Thinking time that was left of the hold when it was pinned, in milliseconds.
    pub think_ms: i64,
    /// When it was accepted, by the ledger's clock.
    pub accepted_at: Timestamp,
    /// When it last changed, by the ledger's clock.
    pub updated_at: Timestamp,
    /// Issued when paid; a voided one stays, with what voided it.
    pub tickets: Vec<Ticket>,
    /// What has gone back on request, in minor units.
    pub refunded: i64,
    /// What is on its way back on request: owed, or pending at Stripe.
    pub refunding: i64,
}

/// Where an order that is being closed comes from and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The state before.
    pub from: State,
    /// `Expired` or `Canceled`.
    pub to: State,
}

/// One admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The ticket's id.
    pub id: Uuid,
    /// The tier it admits to.
    pub tier: String,
    /// What stands on it: unguessable, and short enough to be read out.
    pub code: String,
    /// The refund for which it lost its validity.
    pub voided_by: Option<Uuid>,
}

/// One try at charging one order with one payment token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The order.
    pub order: Uuid,
    /// Counts from 1; the idempotency key follows from order and number.
    pub number: u32,
    /// What Stripe.js gave the page: `tok_…`, `pm_…` or `ctoken_…`; or that the buyer pays on Stripe's page
    /// ([`hosted`]).
    pub token: String,
    /// Where the attempt stands.
    pub state: AttemptState,
    /// The exact request, from before its first sending on.
    pub request: Option<StoredRequest>,
    /// When it was first sent, by the ledger's clock.
    pub first_sent_at: Option<Timestamp>,
    /// The PaymentIntent that answered.
    pub payment_intent: Option<String>,
    /// What came of it, in words for the audit trail.
    pub note: Option<String>,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attempt({} #{}, {:?}, token and request not shown)", self.order, self.number, self.state)
    }
}

impl Attempt {
    /// The shop's origin that Stripe's page leads back to; `None` when a payment token is charged.
    #[must_use]
    pub fn return_to(&self) -> Option<&str> {
        hosted::origin(&self.token)
    }
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Accepted; nothing was sent.
    Owed,
    /// Its request is stored and may have been sent: unanswered, and unknown is not failed.
    Sent,
    /// Stripe waits for the buyer, or for the bank.
    Waiting,
    /// Paid.
    Succeeded,
    /// Stripe said no, or it was canceled there.
    Failed,
    /// A person has to look: refused as wrong, or its job was dead-lettered.
    Stuck,
}

/// A request to Stripe as the attempt's row keeps it: everything that Stripe compares when a key is used again, byte
/// for byte as it is sent, however often.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRequest {
    /// Below Stripe's host, with the leading `/v1`.
    pub path: String,
    /// The form-encoded body.
    pub body: String,
    /// The `Stripe-Version` that it was written for.
    pub version: String,
}

impl fmt::Debug for StoredRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredRequest({} at {}, {} bytes)", self.path, self.version, self.body.len())
    }
}

/// Lets its holder finish one payment (3-D Secure); for the shopper's own page and nobody else, hence not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// Takes the secret out of Stripe's answer.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself; not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// What Stripe was seen to say about an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Paid.
    Succeeded {
        /// The PaymentIntent; `None` for an order that costs nothing.
        payment_intent: Option<String>,
        /// The charge.
        charge: Option<String>,
        /// What was taken, in minor units.
        amount: i64,
        /// Its currency.
        currency: Currency,
    },
    /// The buyer must authenticate.
    RequiresAction {
        /// The PaymentIntent.
        payment_intent: String,
        /// For the page's `handleNextAction`.
        client_secret: ClientSecret,
    },
    /// The buyer can pay on Stripe's page.
    Hosted {
        /// The Checkout Session.
        session: String,
        /// Where its page is.
        url: String,
    },
    /// The bank takes its time; a webhook will tell.
    Processing {
        /// The PaymentIntent.
        payment_intent: String,
    },
    /// The bank said no.
    Declined {
        /// The PaymentIntent, which the next attempt confirms again; `None` when it is gone and a new one is due.
        payment_intent: Option<String>,
        /// The reason.
        decline: Decline,
    },
    /// The PaymentIntent was canceled: it can never be paid.
    Canceled {
        /// The PaymentIntent; `None` when there never was one.
        payment_intent: Option<String>,
    },
    /// Stripe refused the request as wrong, or nobody can say what became of it: a person has to look.
    Stuck {
        /// Why.
        reason: String,
    },
}

/// What has become of an order, for display: the state, and what refunds and disputes make of it.
#[must_use]
pub fn displayed_state(order: &Order) -> &'static str {
    match order.state {
        State::Paid if order.refunded > 0 && order.refunded >= order.amount => "refunded",
        State::Paid if order.refunded > 0 => "partially_refunded",
        state => state.as_str(),
    }
}

impl Order {
    /// What can still be given back, in minor units: nothing of an order that is not paid.
    #[must_use]
    pub fn refundable(&self) -> i64 {
        if self.state == State::Paid { self.amount - self.refunded - self.refunding } else { 0 }
    }

    /// Tickets that admit.
    pub fn valid_tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.iter().filter(|ticket| ticket.voided_by.is_none())
    }

    /// Units of all items together.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.items.iter().map(|item| item.quantity).sum()
    }

    /// The class and the question whether another card may be tried, as the page is told.
    #[must_use]
    pub fn decline_class(&self) -> Option<DeclineClass> {
        self.decline.as_ref().map(|decline| decline.class)
    }
}

/// A mail address in the form that limits count by: lower case, without `+tag`, and without the dots that
/// Gmail ignores.
#[must_use]
pub fn email_key(email: &str) -> String {
    let lower = email.trim().to_lowercase();
    let Some((local, domain)) = lower.rsplit_once('@') else { return lower };
    let local = local.split('+').next().unwrap_or(local);
    match domain {
        "gmail.com" | "googlemail.com" => format!("{}@gmail.com", local.replace('.', "")),
        _ => format!("{local}@{domain}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_with_many_spellings_of_a_mail_address_has_one_key() {
        for same in ["a.shopper@gmail.com", "A.Shopper+x@GMail.com", " ashopper@googlemail.com "] {
            assert_eq!(email_key(same), "ashopper@gmail.com");
        }
        assert_eq!(email_key("a.b+c@example.com"), "a.b@example.com");
        assert_ne!(email_key("a.b@example.com"), email_key("ab@example.com"));
    }

    #[test]
    fn debug_output_shows_neither_token_nor_request() {
        let request = StoredRequest { path: "/v1/x".into(), body: "card=tok_secret".into(), version: "v".into() };
        let attempt = Attempt {
            order: Uuid::nil(),
            number: 1,
            token: "tok_secret".into(),
            state: AttemptState::Owed,
            request: Some(request.clone()),
            first_sent_at: None,
            payment_intent: None,
            note: None,
        };
        assert!(!format!("{attempt:?} {request:?}").contains("secret"));
    }

    #[test]
    fn a_client_secret_goes_with_its_job_and_is_not_shown() {
        let client_secret = ClientSecret::new("pi_1_secret_x");
        let outcome = Outcome::RequiresAction { payment_intent: "pi_1".into(), client_secret };
        assert!(!format!("{outcome:?}").contains("secret_x"));
        let job = serde_json::to_string(&outcome).unwrap();
        assert!(job.contains(r#""client_secret":"pi_1_secret_x""#), "{job}");
        assert_eq!(serde_json::from_str::<Outcome>(&job).unwrap(), outcome);
    }
}
