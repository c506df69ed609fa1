//! The test cards, and what each of them does.
//!
//! One table, from <https://docs.stripe.com/testing>. A card can be named in four ways: by its number (through a
//! token), as `tok_X`, as `pm_card_X`, and with the brand in between, `pm_card_visa_X`, which Stripe's list uses for
//! some of them. Money comes only from this table: any other number is refused, as in Stripe's test mode.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Why a bank says no.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    pub(crate) decline_code: &'static str,
    pub(crate) message: &'static str,
    /// What Stripe advises: `try_again_later`, `do_not_try_again` or `confirm_card_data`.
    pub(crate) advice: &'static str,
    /// The network's own code (ISO 8583), when it was the network that declined.
    pub(crate) network_code: Option<&'static str>,
}

impl Decline {
    /// The decline's fields of an error object, besides type, code and message.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("decline_code".into(), json!(self.decline_code));
        fields.insert("advice_code".into(), json!(self.advice));
        if let Some(code) = self.network_code {
            fields.insert("network_decline_code".into(), json!(code));
        }
        fields
    }

    /// Stopped by Radar before any bank was asked.
    pub(crate) fn is_blocked(&self) -> bool {
        self.network_code.is_none() && self.decline_code == "fraudulent"
    }
}

const fn decline(
    code: &'static str,
    decline_code: &'static str,
    message: &'static str,
    advice: &'static str,
    network_code: Option<&'static str>,
) -> Decline {
    Decline { code, decline_code, message, advice, network_code }
}

const LATER: &str = "try_again_later";
const NEVER: &str = "do_not_try_again";
const CHECK: &str = "confirm_card_data";
const PLAIN: &str = "Your card was declined.";

static GENERIC: Decline = decline("card_declined", "generic_decline", PLAIN, LATER, Some("01"));
static FUNDS: Decline =
    decline("card_declined", "insufficient_funds", "Your card has insufficient funds.", LATER, Some("51"));
static LOST: Decline = decline("card_declined", "lost_card", PLAIN, NEVER, Some("41"));
static STOLEN: Decline = decline("card_declined", "stolen_card", PLAIN, NEVER, Some("43"));
static VELOCITY: Decline = decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    LATER,
    Some("65"),
);
static EXPIRED: Decline = decline("expired_card", "expired_card", "Your card has expired.", CHECK, Some("54"));
static CVC: Decline =
    decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", CHECK, Some("N7"));
static PROCESSING: Decline = decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
    LATER,
    Some("06"),
);
static FRAUDULENT: Decline = decline("card_declined", "fraudulent", PLAIN, NEVER, None);
/// A card that wants 3-D Secure where nobody is there to do it.
pub(crate) static AUTHENTICATION: Decline = decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    LATER,
    Some("1A"),
);

/// What a test card does when it is charged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    Succeeds,
    Declines(&'static Decline),
    /// Asks for 3-D Secure, and then succeeds or declines.
    Authenticates(Option<&'static Decline>),
    /// Succeeds; its refunds stay pending until they are settled.
    RefundPends,
    /// Succeeds; its refunds succeed at first and fail when they are settled.
    RefundFails,
    /// Succeeds, at a risk level that Radar reports.
    Risky(&'static str),
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct TestCard {
    /// The `X` of `pm_card_X` and `tok_X`.
    pub(crate) name: &'static str,
    pub(crate) number: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) funding: &'static str,
    pub(crate) behaviour: Behaviour,
}

impl TestCard {
    pub(crate) fn last4(&self) -> &'static str {
        self.number.get(self.number.len() - 4..).unwrap_or(self.number)
    }

    /// The same for each use of one number, as Stripe's is.
    pub(crate) fn fingerprint(&self) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrABCDEFGHJKLMNPQ2";
        Sha256::digest(self.number).iter().take(16).map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
    }

    /// The name as Stripe displays the brand in `display_brand` and `network`.
    pub(crate) fn network(&self) -> &'static str {
        self.brand
    }
}

const fn card(
    name: &'static str,
    number: &'static str,
    brand: &'static str,
    funding: &'static str,
    behaviour: Behaviour,
) -> TestCard {
    TestCard { name, number, brand, funding, behaviour }
}

const fn visa(name: &'static str, number: &'static str, behaviour: Behaviour) -> TestCard {
    card(name, number, "visa", "credit", behaviour)
}

use Behaviour::{Authenticates, Declines, RefundFails, RefundPends, Risky, Succeeds};

static CARDS: &[TestCard] = &[
    visa("visa", "4242424242424242", Succeeds),
    card("visa_debit", "4000056655665556", "visa", "debit", Succeeds),
    card("mastercard", "5555555555554444", "mastercard", "credit", Succeeds),
    card("mastercard_2series", "2223003122003222", "mastercard", "credit", Succeeds),
    card("mastercard_debit", "5200828282828210", "mastercard", "debit", Succeeds),
    card("mastercard_prepaid", "5105105105105100", "mastercard", "prepaid", Succeeds),
    card("amex", "378282246310005", "amex", "credit", Succeeds),
    card("amex_second", "371449635398431", "amex", "credit", Succeeds),
    card("discover", "6011111111111117", "discover", "credit", Succeeds),
    card("diners", "3056930009020004", "diners", "credit", Succeeds),
    card("jcb", "3566002020360505", "jcb", "credit", Succeeds),
    card("unionpay", "6200000000000005", "unionpay", "credit", Succeeds),
    visa("chargeDeclined", "4000000000000002", Declines(&GENERIC)),
    visa("chargeDeclinedInsufficientFunds", "4000000000009995", Declines(&FUNDS)),
    visa("chargeDeclinedLostCard", "4000000000009987", Declines(&LOST)),
    visa("chargeDeclinedStolenCard", "4000000000009979", Declines(&STOLEN)),
    visa("chargeDeclinedVelocityLimitExceeded", "4000000000006975", Declines(&VELOCITY)),
    visa("chargeDeclinedExpiredCard", "4000000000000069", Declines(&EXPIRED)),
    visa("chargeDeclinedIncorrectCvc", "4000000000000127", Declines(&CVC)),
    visa("chargeDeclinedProcessingError", "4000000000000119", Declines(&PROCESSING)),
    visa("chargeDeclinedFraudulent", "4100000000000019", Declines(&FRAUDULENT)),
    visa("chargeCustomerFail", "4000000000000341", Declines(&GENERIC)),
    visa("authenticationRequiredOnSetup", "4000002500003155", Authenticates(None)),
    visa("authenticationRequired", "4000002760003184", Authenticates(None)),
    visa("threeDSecure2Required", "4000000000003220", Authenticates(None)),
    visa("threeDSecureRequired", "4000000000003063", Authenticates(None)),
    visa("threeDSecureRequiredChargeDeclined", "4000008400001629", Authenticates(Some(&GENERIC))),
    visa("authenticationRequiredChargeDeclinedInsufficientFunds", "4000008260003178", Authenticates(Some(&FUNDS))),
    visa("threeDSecureOptional", "4000000000003055", Succeeds),
    visa("createDispute", "4000000000000259", Succeeds),
    visa("createDisputeProductNotReceived", "4000000000002685", Succeeds),
    visa("createDisputeInquiry", "4000000000001976", Succeeds),
    visa("riskLevelHighest", "4000000000004954", Declines(&FRAUDULENT)),
    visa("riskLevelElevated", "4000000000009235", Risky("elevated")),
    visa("pendingRefund", "4000000000007726", RefundPends),
    visa("refundFail", "4000000000005126", RefundFails),
    visa("cvcCheckFail", "4000000000000101", Succeeds),
    visa("visa_us", "4000000000000077", Succeeds),
];

/// Other names of rows of the table.
static ALIASES: &[(&str, &str)] = &[
    ("radarBlock", "chargeDeclinedFraudulent"),
    ("chargeDeclinedGenericDecline", "chargeDeclined"),
    ("refundPending", "pendingRefund"),
    ("bypassPending", "visa_us"),
    ("us", "visa"),
];

/// A card by its row's name.
pub(crate) fn by_name(name: &str) -> Option<&'static TestCard> {
    let exact = |name: &str| CARDS.iter().find(|card| card.name == name);
    let alias = |name: &str| ALIASES.iter().find(|(alias, _)| *alias == name).and_then(|(_, name)| exact(name));
    exact(name).or_else(|| alias(name)).or_else(|| {
        let short = name.strip_prefix("visa_")?;
        exact(short).or_else(|| alias(short))
    })
}

/// The card that simply works.
pub(crate) fn plain() -> &'static TestCard {
    &CARDS[0]
}

/// `pm_card_X`, `pm_card_visa_X`.
pub(crate) fn by_payment_method(id: &str) -> Option<&'static TestCard> {
    by_name(id.strip_prefix("pm_card_")?)
}

/// `tok_X`, `tok_visa_X`.
pub(crate) fn by_token(id: &str) -> Option<&'static TestCard> {
    by_name(id.strip_prefix("tok_")?)
}

/// A card by its digits.
pub(crate) fn by_number(number: &str) -> Option<&'static TestCard> {
    CARDS.iter().find(|card| card.number == number)
}

/// The check digit that every card number ends with (ISO/IEC 7812-1).
pub(crate) fn has_valid_check_digit(number: &str) -> bool {
    let sum: u32 = number
        .chars()
        .rev()
        .filter_map(|digit| digit.to_digit(10))
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    (12..=19).contains(&number.len()) && number.chars().all(|digit| digit.is_ascii_digit()) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_table_is_a_card_number_and_no_two_rows_share_one() {
        for (at, card) in CARDS.iter().enumerate() {
            assert!(has_valid_check_digit(card.number), "{}", card.name);
            assert!(CARDS[at + 1..].iter().all(|other| other.number != card.number && other.name != card.name));
        }
    }

    #[test]
    fn both_spellings_name_the_same_card() {
        for name in ["chargeDeclined", "chargeDeclinedInsufficientFunds", "threeDSecure2Required"] {
            let short = by_payment_method(&format!("pm_card_{name}")).unwrap();
            let long = by_payment_method(&format!("pm_card_visa_{name}")).unwrap();
            let token = by_token(&format!("tok_{name}")).unwrap();
            assert_eq!((short.number, short.number), (long.number, token.number));
        }
        assert_eq!(by_token("tok_visa").unwrap().last4(), "4242");
        assert!(by_token("tok_1Abc").is_none());
    }
}
