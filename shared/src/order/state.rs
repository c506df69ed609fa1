//! The order's states: one pure function applies an event to a state and says what must now happen.
//!
//! It knows no clock, no store and no network. Every pair of state and event has an answer, and every answer is
//! tested. Three rules shape the table:
//!
//! - **Unknown is not failed.** While a request is unanswered only its own answer, or a success, settles the
//!   order; what other attempts are seen to have come to is for the audit trail.
//! - **Success is never downgraded.** A success that comes when the order had ended is *paid late*; a second
//!   success is money to give back.
//! - **Closing before releasing.** Nothing that may still be paid becomes `Expired` or `Canceled`; it becomes
//!   `Closing`, and only Stripe's word that it cannot be paid leads on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::guards::Guard;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a worker.
    Accepted,
    /// A worker has it, or will in a moment, since nobody waits before it; or Stripe is thinking.
    Charging,
    /// The buyer must authenticate.
    RequiresAction,
    /// The bank said no; another card may be tried for a while.
    Declined,
    /// No new attempt can start; being canceled at Stripe.
    Closing,
    /// A person has to look.
    Review,
    /// Done.
    Paid,
    /// The buyer's time was over; nothing was paid.
    Expired,
    /// Called off; nothing was paid.
    Canceled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Charging,
        Self::RequiresAction,
        Self::Declined,
        Self::Closing,
        Self::Review,
        Self::Paid,
        Self::Expired,
        Self::Canceled,
    ];

    /// The word in the API and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Charging => "charging",
            Self::RequiresAction => "requires_action",
            Self::Declined => "declined",
            Self::Closing => "closing",
            Self::Review => "review",
            Self::Paid => "paid",
            Self::Expired => "expired",
            Self::Canceled => "canceled",
        }
    }

    /// Whether a charge is owed: what the queue counts.
    #[must_use]
    pub fn is_in_queue(self) -> bool {
        matches!(self, Self::Accepted | Self::Charging)
    }

    /// Whether nothing more is expected to happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Paid | Self::Expired | Self::Canceled)
    }

    /// What the stock must show for an order in this state.
    #[must_use]
    pub fn stock(self) -> StockEffect {
        match self {
            Self::Paid => StockEffect::Sold,
            Self::Expired | Self::Canceled => StockEffect::Released,
            _ => StockEffect::Pinned,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| format!("no state is called {word:?}"))
    }
}

/// What the stock must show for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockEffect {
    /// Its units are held, without a deadline.
    Pinned,
    /// Its units are sold.
    Sold,
    /// Its units are free again.
    Released,
}

/// What can happen to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A worker took the current attempt.
    Claimed,
    /// The buyer brought another token.
    NextAttempt,
    /// Stripe has the money, as much as the order says.
    Succeeded,
    /// Stripe has money, but another sum or currency than the order says.
    SucceededOtherwise,
    /// The buyer must authenticate.
    ActionRequired,
    /// Stripe is thinking.
    Processing,
    /// The bank said no to the current attempt.
    Declined,
    /// The current PaymentIntent can never be paid.
    CanceledAtStripe,
    /// A request was refused as wrong, or a job was dead-lettered.
    Stuck,
    /// The buyer's time is over.
    TimeOver,
    /// The event was called off.
    CalledOff,
    /// A person says: charge it.
    Approved,
    /// A person says: call it off (nothing is payable at Stripe any more).
    Rejected,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 13] = [
        Self::Claimed,
        Self::NextAttempt,
        Self::Succeeded,
        Self::SucceededOtherwise,
        Self::ActionRequired,
        Self::Processing,
        Self::Declined,
        Self::CanceledAtStripe,
        Self::Stuck,
        Self::TimeOver,
        Self::CalledOff,
        Self::Approved,
        Self::Rejected,
    ];
}

/// What is known of an order besides its state, as far as the rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Where it stands.
    pub state: State,
    /// While closing: where from, and where to.
    pub closing: Option<super::Closing>,
    /// The event speaks of the current attempt.
    pub current_attempt: bool,
    /// Another PaymentIntent than the one that is being observed has already paid for this order.
    pub paid_by_another: bool,
}

/// What an event does to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It changes the state, and this must happen in the same transaction.
    Moves(State, Duty),
    /// It closes: the target waits for Stripe's word.
    Closes(super::Closing),
    /// It has happened already, or changes nothing: a repeat is welcome.
    Stays,
    /// Money came for an order that had ended: fulfil if the ledger's guard allows, else give it back.
    PaidLate,
    /// Money came twice: give the second back, and count it.
    PaidTwice,
    /// It cannot happen now; the order is as it was.
    Refused,
}

/// What a change of state entails, in the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Nothing further.
    None,
    /// A charge job is owed.
    Charge,
    /// Tickets and their mail are owed.
    Issue,
    /// The units count no longer.
    Release,
    /// The buyer has a while to try again.
    GiveTime,
    /// Somebody must be told.
    Alarm,
}

/// Applies an event.
#[must_use]
pub fn apply(facts: Facts, event: Event) -> Verdict {
    use Event as E;
    use State as S;
    let state = facts.state;
    match event {
        E::Succeeded | E::SucceededOtherwise => on_success(facts, event),
        // A failure of another attempt than the current one settles nothing.
        E::Declined | E::CanceledAtStripe | E::ActionRequired | E::Processing | E::Stuck
            if Guard::OwnAttempt.refuses(!facts.current_attempt) =>
        {
            Verdict::Stays
        }
        E::Claimed => match state {
            S::Accepted if facts.current_attempt => Verdict::Moves(S::Charging, Duty::None),
            S::Charging if facts.current_attempt => Verdict::Stays,
            _ if !Guard::ClaimByState.is_on() => Verdict::Moves(S::Charging, Duty::None),
            _ => Verdict::Refused,
        },
        E::NextAttempt => match state {
            S::Declined => Verdict::Moves(S::Accepted, Duty::Charge),
            _ if !Guard::AttemptAfterDecline.is_on() => Verdict::Moves(S::Accepted, Duty::Charge),
            _ => Verdict::Refused,
        },
        E::ActionRequired => match state {
            S::Charging => Verdict::Moves(S::RequiresAction, Duty::GiveTime),
            _ => Verdict::Stays,
        },
        E::Processing => match state {
            S::RequiresAction => Verdict::Moves(S::Charging, Duty::None),
            // Under way after all: it cannot be canceled, so it is charging again.
            S::Closing => Verdict::Moves(S::Charging, Duty::None),
            _ => Verdict::Stays,
        },
        E::Declined => match state {
            S::Charging | S::RequiresAction => Verdict::Moves(S::Declined, Duty::GiveTime),
            S::Paid if !Guard::SuccessStays.is_on() => Verdict::Moves(S::Declined, Duty::GiveTime),
            // A declined PaymentIntent can be confirmed again: closing goes on until it is canceled.
            _ => Verdict::Stays,
        },
        E::CanceledAtStripe => match (state, facts.closing) {
            (S::Charging | S::RequiresAction, _) => Verdict::Moves(S::Declined, Duty::GiveTime),
            (S::Closing, Some(closing)) => Verdict::Moves(closing.to, Duty::Release),
            _ => Verdict::Stays,
        },
        E::Stuck => match state {
            S::Accepted | S::Charging => Verdict::Moves(S::Review, Duty::Alarm),
            _ => Verdict::Stays,
        },
        E::TimeOver => match state {
            S::Declined | S::RequiresAction if !Guard::ClosingFirst.is_on() => {
                Verdict::Moves(S::Expired, Duty::Release)
            }
            S::Declined | S::RequiresAction => Verdict::Closes(super::Closing { from: state, to: S::Expired }),
            S::Closing | S::Expired | S::Canceled => Verdict::Stays,
            _ => Verdict::Refused,
        },
        E::CalledOff => match state {
            S::Accepted | S::Declined | S::RequiresAction => {
                Verdict::Closes(super::Closing { from: state, to: S::Canceled })
            }
            S::Closing | S::Expired | S::Canceled => Verdict::Stays,
            _ => Verdict::Refused,
        },
        E::Approved => match state {
            S::Review => Verdict::Moves(S::Accepted, Duty::Charge),
            _ => Verdict::Refused,
        },
        E::Rejected => match state {
            S::Review => Verdict::Moves(S::Canceled, Duty::Release),
            S::Canceled => Verdict::Stays,
            _ => Verdict::Refused,
        },
    }
}

fn on_success(facts: Facts, event: Event) -> Verdict {
    if facts.paid_by_another {
        return Verdict::PaidTwice;
    }
    match (facts.state, event) {
        (State::Paid, _) => Verdict::Stays,
        (State::Review, Event::SucceededOtherwise) => Verdict::Stays,
        (State::Expired | State::Canceled, Event::SucceededOtherwise) => Verdict::PaidTwice,
        (_, Event::SucceededOtherwise) => Verdict::Moves(State::Review, Duty::Alarm),
        (State::Expired | State::Canceled, _) => Verdict::PaidLate,
        _ => Verdict::Moves(State::Paid, Duty::Issue),
    }
}

#[cfg(test)]
mod tests;
