//! What follows from what is known: every decision of the handlers that needs nothing but what they have in hand.
//!
//! Nothing here asks anybody, waits or knows a clock, so that whoever wants to know whether the decisions are right can
//! make them without a worker around: the handlers call these functions, and so does the model checker.

use std::time::Duration;

use shared::decline::{Decline, DeclineClass};
use shared::guards::Guard;
use shared::order::{Attempt, AttemptState, Order, Outcome, State};
use shared::stripe::{Answer, Found, Payment, Refusal};

/// A wrong key makes every charge fail: try again this much later, loudly.
pub const CONFIGURATION_PAUSE: Duration = Duration::from_secs(30);
/// The answer to the request that caused an event is likely on its way: to ask about each would double the traffic.
pub const GRACE: Duration = Duration::from_secs(1);
/// An unanswered request is looked up by whoever owes it; after this long nothing is added by waiting for it.
pub const UNANSWERED_AFTER: Duration = Duration::from_secs(10 * 60);

/// What an answer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Settle this.
    Settle(Outcome),
    /// Send the same again.
    Again {
        /// After this long; `None` leaves it to the back-off.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// It may be paid and should not be: it has to be canceled, and is then told as this decline.
    CallOff {
        /// What has to be canceled.
        payment_intent: String,
        /// What the buyer is told.
        decline: Decline,
    },
    /// Sending again would tell nothing new: look the payment up.
    LookUp,
}

/// What a buyer can pay by, as Stripe names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payable<'a> {
    /// A PaymentIntent (`pi_…`), paid on our page.
    Intent(&'a str),
    /// A Checkout Session (`cs_…`), paid on Stripe's.
    Session(&'a str),
}

impl<'a> Payable<'a> {
    /// What an order can be paid by now.
    #[must_use]
    pub fn of(order: &'a Order) -> Option<Self> {
        let session = order.session.as_deref().map(Payable::Session);
        session.or(order.payment_intent.as_deref().map(Payable::Intent))
    }
}

/// What Stripe's answer asks for (the table "What an answer means" of the API reference for errors,
/// <https://docs.stripe.com/error-low-level>).
#[must_use]
pub fn step(order: &Order, answer: Answer) -> Step {
    match answer {
        Answer::Succeeded(payment) => Step::Settle(succeeded(order, payment)),
        Answer::RequiresAction { payment_intent, client_secret } => {
            Step::Settle(Outcome::RequiresAction { payment_intent, client_secret })
        }
        Answer::NotStarted { payment_intent } => Step::CallOff { payment_intent, decline: not_charged() },
        Answer::Hosted { session, url } => Step::Settle(Outcome::Hosted { session, url }),
        Answer::SessionExpired { .. } => Step::Settle(Outcome::Canceled { payment_intent: None }),
        Answer::Processing { payment_intent } => Step::Settle(Outcome::Processing { payment_intent }),
        // Refused before a card was tried: the PaymentIntent of an earlier attempt is still the order's.
        Answer::Declined { payment_intent, decline } => {
            let payment_intent = payment_intent.or_else(|| order.payment_intent.clone());
            Step::Settle(Outcome::Declined { payment_intent, decline })
        }
        Answer::Canceled { payment_intent } => Step::Settle(Outcome::Canceled { payment_intent: Some(payment_intent) }),
        Answer::Throttled { reason, after, .. } => Step::Again { after, reason },
        Answer::Unknown { .. } if !Guard::UnknownIsNoDecline.is_on() => {
            Step::Settle(Outcome::Declined { payment_intent: order.payment_intent.clone(), decline: not_charged() })
        }
        Answer::Unknown { replayed: true, .. } => Step::LookUp,
        Answer::Unknown { reason, replayed: false } => {
            metrics::counter!("stripe_unknown_outcomes_total").increment(1);
            Step::Again { after: None, reason }
        }
        Answer::Refused { reason, kind: Refusal::Configuration } => {
            tracing::error!(reason, "Stripe refuses our key: no charge can work until it is mended");
            Step::Again { after: Some(CONFIGURATION_PAUSE), reason }
        }
        Answer::Refused { reason, kind: Refusal::Idempotency } => {
            tracing::error!(order = %order.id, reason, "a key was used with other parameters");
            metrics::counter!("stripe_idempotency_errors_total").increment(1);
            Step::LookUp
        }
        Answer::Refused { reason, kind: Refusal::Request } => Step::Settle(Outcome::Stuck { reason }),
    }
}

/// What a payment that Stripe has means for its order.
#[must_use]
pub fn succeeded(order: &Order, payment: Payment) -> Outcome {
    match payment.currency.parse() {
        Ok(currency) => Outcome::Succeeded {
            payment_intent: Some(payment.payment_intent),
            charge: Some(payment.charge),
            amount: payment.amount,
            currency,
        },
        Err(_) => Outcome::Stuck { reason: format!("Stripe took money in a currency unknown to order {}", order.id) },
    }
}

/// Stripe has said that nothing was charged and nothing can be: the buyer may try again.
#[must_use]
pub fn not_charged() -> Decline {
    Decline { class: DeclineClass::ProcessingError, may_retry: true, raw: None }
}

/// What the answer to [`Step::CallOff`] settles.
///
/// # Errors
/// Why it settles nothing yet; come again.
pub fn called_off(order: &Order, canceled: Answer, decline: Decline) -> Result<Outcome, String> {
    match step(order, canceled) {
        Step::Settle(Outcome::Canceled { .. }) => Ok(Outcome::Declined { payment_intent: None, decline }),
        Step::Settle(outcome) => Ok(outcome),
        Step::Again { reason, .. } => Err(reason),
        Step::CallOff { .. } | Step::LookUp => Err("not canceled yet".into()),
    }
}

/// What the payments of an order ask for, when it is not known which of them answers an attempt.
#[must_use]
pub fn found(order: &Order, found: Found) -> Step {
    match found {
        Found::Unknown { reason } => Step::Again { after: None, reason },
        Found::None => Step::Settle(Outcome::Declined { payment_intent: None, decline: not_charged() }),
        Found::Intents(intents) => match intents.into_iter().map(|(_, answer)| answer).min_by_key(weight) {
            Some(answer) => step(order, answer),
            None => Step::Again { after: None, reason: "an empty list of payments".into() },
        },
    }
}

/// Of several payments of one order, the one that decides: money first, then what may become money.
fn weight(answer: &Answer) -> u8 {
    match answer {
        Answer::Succeeded(_) => 0,
        Answer::Processing { .. } => 1,
        Answer::Unknown { .. } | Answer::Throttled { .. } | Answer::Refused { .. } => 2,
        Answer::RequiresAction { .. } | Answer::NotStarted { .. } | Answer::Hosted { .. } => 3,
        Answer::Declined { .. } => 4,
        Answer::Canceled { .. } | Answer::SessionExpired { .. } => 5,
    }
}

/// What has become of a payable that was ended at Stripe; `None` when it has not said yet: then the stock stays pinned,
/// and whoever asked comes again.
#[must_use]
pub fn ended(order: &Order, payable: Payable<'_>, answer: Answer) -> Option<Outcome> {
    match (payable, answer) {
        (Payable::Intent(_), _) if !Guard::StripesWord.is_on() => Some(Outcome::Canceled { payment_intent: None }),
        (Payable::Session(_), _) if !Guard::PagesEnd.is_on() => Some(Outcome::Canceled { payment_intent: None }),
        (_, Answer::Succeeded(payment)) => match (payable, succeeded(order, payment)) {
            // A PaymentIntent of ours has the order's currency.
            (Payable::Intent(_), Outcome::Stuck { .. }) => None,
            (_, outcome) => Some(outcome),
        },
        (_, Answer::Processing { payment_intent }) => Some(Outcome::Processing { payment_intent }),
        (Payable::Intent(_), Answer::Canceled { payment_intent }) => {
            Some(Outcome::Canceled { payment_intent: Some(payment_intent) })
        }
        (Payable::Session(_), Answer::SessionExpired { .. }) => Some(Outcome::Canceled { payment_intent: None }),
        (_, other) => {
            tracing::warn!(order = %order.id, answer = other.as_str(), "not ended yet");
            None
        }
    }
}

/// What a payment that an event spoke of means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This.
    Step(Step),
    /// Nothing for the order as it stands.
    Nothing,
    /// It is another order's payment.
    AnothersPayment,
    /// Ask again later.
    Wait {
        /// After this long; `None` leaves it to the back-off.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
}

/// What is made of Stripe's answer about a payment that an event spoke of, so long ago.
///
/// **While an attempt's request is unanswered, only its own answer, or a success, settles the order.**
#[must_use]
pub fn heard(order: &Order, attempt: &Attempt, payable: Payable<'_>, answer: Answer, age: Duration) -> Heard {
    let unanswered = is_unanswered(order, attempt);
    match answer {
        Answer::Succeeded(payment) if Guard::PaymentOfOrder.refuses(payment.order != Some(order.id)) => {
            Heard::AnothersPayment
        }
        Answer::Succeeded(payment) => {
            Heard::Step(Step::Settle(succeeded(order, Payment { order: Some(order.id), ..payment })))
        }
        Answer::Refused { reason, kind: Refusal::Configuration } => {
            tracing::error!(reason, "Stripe refuses our key: no event can be used until it is mended");
            Heard::Wait { after: Some(CONFIGURATION_PAUSE), reason }
        }
        Answer::Throttled { reason, after, .. } => Heard::Wait { after, reason },
        Answer::Unknown { reason, .. } | Answer::Refused { reason, .. } => Heard::Wait { after: None, reason },
        _ if unanswered && age < UNANSWERED_AFTER => {
            Heard::Wait { after: None, reason: "an unanswered request is settled by its own answer".into() }
        }
        answer if speaks_of(order, attempt, payable) => Heard::Step(step(order, answer)),
        _ => Heard::Nothing,
    }
}

/// Whether an attempt's own answer is still to come.
#[must_use]
pub fn is_unanswered(order: &Order, attempt: &Attempt) -> bool {
    let is_sent = matches!(attempt.state, AttemptState::Owed | AttemptState::Sent);
    Guard::Unanswered.refuses(order.state.is_in_queue() && is_sent)
}

/// Whether what a PaymentIntent or a Checkout Session is, short of paid, can be what an order waits for.
fn speaks_of(order: &Order, attempt: &Attempt, payable: Payable<'_>) -> bool {
    // While Stripe is thinking only the attempt has it. What is tried on Stripe's page is told there, and ends with it.
    let its_own = Payable::of(order).or(attempt.payment_intent.as_deref().map(Payable::Intent));
    let waits = match order.state {
        State::Charging | State::RequiresAction => attempt.state == AttemptState::Waiting,
        State::Closing => true,
        _ => false,
    };
    its_own == Some(payable) && waits
}

/// Whether an order's current attempt waits for its buyer, and by what it can be paid.
#[must_use]
pub fn waits(order: &Order, attempt: u32) -> Option<Payable<'_>> {
    let is_current = order.state == State::RequiresAction && order.attempt == attempt;
    Payable::of(order).filter(|_| is_current)
}

/// Whether Stripe is still thinking about an attempt that nobody has to send: then it is asked now and then.
#[must_use]
pub fn is_seen_after(order: &Order, attempt: u32) -> bool {
    order.state == State::Charging && order.attempt == attempt
}
