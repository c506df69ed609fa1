//! Why a card was declined, in the few words that a shopper can act upon.
//!
//! Stripe names about sixty reasons. A shopper needs to know which of eight things to do next, and must never learn
//! that a card was reported lost or stolen, or that the payment looked like fraud: Stripe asks merchants to present
//! those as a plain decline, because the person reading may be the thief
//! (<https://docs.stripe.com/declines/codes>). The exact codes are kept in [`Decline::raw`] for the audit trail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a shopper is told about a declined card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineClass {
    /// The bank said no and gave no reason that may be shown.
    CardDeclined,
    /// The account or its limit does not cover the amount.
    InsufficientFunds,
    /// The card has expired, or its expiry date was typed wrongly.
    ExpiredCard,
    /// The security code is wrong.
    IncorrectCvc,
    /// The card number is wrong.
    IncorrectNumber,
    /// The bank or the network could not handle the payment just now.
    ProcessingError,
    /// The bank wants the cardholder to confirm the payment, and that did not happen.
    AuthenticationRequired,
    /// This card cannot make this purchase (its kind, its currency, or its details were used up); another one may.
    TryAnotherCard,
}

/// A decline, as the ledger keeps it and the shopper hears of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// What the shopper is told.
    pub class: DeclineClass,
    /// False when the bank forbids trying the same card again (`advice_code` `do_not_try_again`). Another card may
    /// still be tried. (<https://docs.stripe.com/declines/card#retrying-issuer-declines>)
    pub may_retry: bool,
    /// Stripe's own codes, `code/decline_code/advice_code`: for the audit trail only, never shown.
    pub raw: Option<String>,
}

/// A text that is none of the decline classes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decline class: {0:?}")]
pub struct UnknownDeclineClass(pub String);

impl DeclineClass {
    /// Every class, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::CardDeclined,
        Self::InsufficientFunds,
        Self::ExpiredCard,
        Self::IncorrectCvc,
        Self::IncorrectNumber,
        Self::ProcessingError,
        Self::AuthenticationRequired,
        Self::TryAnotherCard,
    ];

    /// The stable machine word, in the API and in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CardDeclined => "card_declined",
            Self::InsufficientFunds => "insufficient_funds",
            Self::ExpiredCard => "expired_card",
            Self::IncorrectCvc => "incorrect_cvc",
            Self::IncorrectNumber => "incorrect_number",
            Self::ProcessingError => "processing_error",
            Self::AuthenticationRequired => "authentication_required",
            Self::TryAnotherCard => "try_another_card",
        }
    }

    /// What the shopper reads: what happened, and what to do now.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match self {
            Self::CardDeclined => "Your bank declined this card. Please try another card, or ask your bank.",
            Self::InsufficientFunds => {
                "There is not enough money available on this card. Please try another card, or top it up."
            }
            Self::ExpiredCard => "This card has expired, or its expiry date is not right. Please check it.",
            Self::IncorrectCvc => "The security code does not match this card. Please check it and try again.",
            Self::IncorrectNumber => "This card number is not right. Please check it and try again.",
            Self::ProcessingError => "The bank could not handle the payment just now. Please try again in a moment.",
            Self::AuthenticationRequired => {
                "Your bank wants you to confirm this payment, and that did not work. Please try again or use another card."
            }
            Self::TryAnotherCard => "This card cannot be used for this purchase. Please try another card.",
        }
    }

    /// The class of one of Stripe's `code` or `decline_code` words; `None` when the word says nothing of its own.
    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "insufficient_funds" | "card_velocity_exceeded" | "withdrawal_count_limit_exceeded" => {
                Self::InsufficientFunds
            }
            "expired_card" | "invalid_expiry_month" | "invalid_expiry_year" => Self::ExpiredCard,
            "incorrect_cvc" | "invalid_cvc" => Self::IncorrectCvc,
            "incorrect_number" | "invalid_number" => Self::IncorrectNumber,
            "processing_error"
            | "issuer_not_available"
            | "try_again_later"
            | "reenter_transaction"
            | "approve_with_id"
            | "duplicate_transaction" => Self::ProcessingError,
            "authentication_required"
            | "authentication_not_handled"
            | "mobile_device_authentication_required"
            | "payment_intent_authentication_failure" => Self::AuthenticationRequired,
            "card_not_supported"
            | "currency_not_supported"
            | "invalid_amount"
            | "not_permitted"
            | "service_not_allowed"
            | "testmode_decline"
            | "transaction_not_allowed"
            | "resource_missing"
            | "token_already_used" => Self::TryAnotherCard,
            _ => return None,
        })
    }

    /// The class of what Stripe said. The `decline_code` is the more precise word, so it is asked first; a reason
    /// that is not listed (lost, stolen, fraud, or one that Stripe adds tomorrow) is a plain decline.
    #[must_use]
    pub fn of_stripe(code: Option<&str>, decline_code: Option<&str>, advice_code: Option<&str>) -> Decline {
        let class = match decline_code {
            Some("generic_decline") | None => code.and_then(Self::of_word),
            Some(reason) => Self::of_word(reason),
        };
        let words = [code, decline_code, advice_code];
        let raw = words.iter().any(Option::is_some).then(|| words.map(|word| word.unwrap_or("-")).join("/"));
        Decline { class: class.unwrap_or(Self::CardDeclined), may_retry: advice_code != Some("do_not_try_again"), raw }
    }
}

impl fmt::Display for DeclineClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeclineClass {
    type Err = UnknownDeclineClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or_else(|| UnknownDeclineClass(text.to_owned()))
    }
}

impl Decline {
    /// What became of a payment that was canceled while the cardholder was asked to authenticate.
    #[must_use]
    pub fn canceled() -> Self {
        Self { class: DeclineClass::AuthenticationRequired, may_retry: true, raw: None }
    }

    /// The words for the audit trail: the class, and Stripe's own codes.
    #[must_use]
    pub fn audit_note(&self) -> String {
        match &self.raw {
            Some(raw) => format!("{} ({raw})", self.class.as_str()),
            None => self.class.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty word is one that Stripe left out.
    fn class(code: &str, decline_code: &str) -> DeclineClass {
        let [code, decline_code] = [code, decline_code].map(|word| (!word.is_empty()).then_some(word));
        DeclineClass::of_stripe(code, decline_code, None).class
    }

    #[test]
    fn a_thief_never_learns_that_the_card_was_reported() {
        for reason in
            ["lost_card", "stolen_card", "fraudulent", "pickup_card", "merchant_blacklist", "highest_risk_level"]
        {
            assert_eq!(class("card_declined", reason), DeclineClass::CardDeclined, "{reason}");
        }
        for class in DeclineClass::ALL {
            let message = class.message().to_lowercase();
            for word in ["lost", "stolen", "fraud", "risk", "block"] {
                assert!(!message.contains(word), "{class}: {message}");
            }
        }
    }

    #[test]
    fn the_precise_reason_decides_and_an_unknown_one_is_a_plain_decline() {
        assert_eq!(class("card_declined", "insufficient_funds"), DeclineClass::InsufficientFunds);
        assert_eq!(class("expired_card", ""), DeclineClass::ExpiredCard);
        assert_eq!(class("incorrect_cvc", "incorrect_cvc"), DeclineClass::IncorrectCvc);
        assert_eq!(class("incorrect_number", ""), DeclineClass::IncorrectNumber);
        assert_eq!(class("processing_error", ""), DeclineClass::ProcessingError);
        assert_eq!(class("authentication_required", ""), DeclineClass::AuthenticationRequired);
        assert_eq!(class("card_declined", "currency_not_supported"), DeclineClass::TryAnotherCard);
        assert_eq!(class("authentication_required", "generic_decline"), DeclineClass::AuthenticationRequired);
        assert_eq!(class("card_declined", "a_reason_of_next_year"), DeclineClass::CardDeclined);
        assert_eq!(class("processing_error", "lost_card"), DeclineClass::CardDeclined);
        assert_eq!(class("", ""), DeclineClass::CardDeclined);
    }

    #[test]
    fn a_card_that_must_not_be_tried_again_is_marked() {
        let decline = DeclineClass::of_stripe(Some("card_declined"), Some("stolen_card"), Some("do_not_try_again"));
        assert!(!decline.may_retry);
        assert_eq!(decline.raw.as_deref(), Some("card_declined/stolen_card/do_not_try_again"));
        assert!(DeclineClass::of_stripe(Some("card_declined"), None, Some("try_again_later")).may_retry);
        assert_eq!(DeclineClass::of_stripe(None, None, None).raw, None);
    }

    #[test]
    fn every_class_reads_back_from_its_word() {
        for class in DeclineClass::ALL {
            assert_eq!(class.as_str().parse::<DeclineClass>(), Ok(class));
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("\"{class}\""));
        }
        assert!("lost_card".parse::<DeclineClass>().is_err());
    }
}
