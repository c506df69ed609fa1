//! Money: integers in a currency's minor unit, with checked arithmetic and no floats.
//!
//! How many decimals a currency has, and in which steps Stripe takes it, follows Stripe's page "Supported
//! currencies": zero-decimal currencies (100 JPY is `100`), three-decimal ones (their last digit must be 0), and
//! ISK and UGX, which have no decimals but are sent with two.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The largest amount Stripe takes: eight digits.
pub const MOST_MINOR_UNITS: i64 = 99_999_999;

const ZERO_DECIMAL: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];
/// No decimals in life, two on the wire.
const ZERO_DECIMAL_SENT_WITH_TWO: [&str; 2] = ["isk", "ugx"];

const MINIMUM_CHARGES: [(&str, i64); 24] = [
    ("usd", 50),
    ("aed", 200),
    ("aud", 50),
    ("bgn", 100),
    ("brl", 50),
    ("cad", 50),
    ("chf", 50),
    ("czk", 1_500),
    ("dkk", 250),
    ("eur", 50),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17_500),
    ("inr", 50),
    ("jpy", 50),
    ("mxn", 1_000),
    ("myr", 200),
    ("nok", 300),
    ("nzd", 50),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("sgd", 50),
    ("thb", 1_000),
];

/// An ISO 4217 code in lower case, as Stripe writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The code, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many digits of an amount stand behind the decimal point on the wire.
    #[must_use]
    pub fn exponent(self) -> u32 {
        match self.as_str() {
            code if ZERO_DECIMAL.contains(&code) => 0,
            code if THREE_DECIMAL.contains(&code) => 3,
            _ => 2,
        }
    }

    /// The least that a card can be charged, in minor units, for the currencies of Stripe's table
    /// (<https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>); `None` of others, where it depends on the
    /// currency that the account is settled in.
    #[must_use]
    pub fn minimum_charge(self) -> Option<i64> {
        MINIMUM_CHARGES.iter().find(|(code, _)| *code == self.as_str()).map(|(_, least)| *least)
    }

    /// Amounts must be multiples of this many minor units.
    #[must_use]
    pub fn step(self) -> i64 {
        match self.as_str() {
            code if ZERO_DECIMAL_SENT_WITH_TWO.contains(&code) => 100,
            code if THREE_DECIMAL.contains(&code) => 10,
            _ => 1,
        }
    }
}

impl Default for Currency {
    /// Stripe's own default, for values that have no amount yet.
    fn default() -> Self {
        Self(*b"usd")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let lower = text.trim().to_ascii_lowercase();
        match <[u8; 3]>::try_from(lower.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_lowercase) => Ok(Self(code)),
            _ => Err(MoneyError::Currency),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount of one currency, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; never negative.
    pub amount: i64,
    /// The currency of `amount`.
    pub currency: Currency,
}

/// Why a sum of money cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three letters.
    #[error("a currency is a three-letter code such as usd")]
    Currency,
    /// Below zero or above [`MOST_MINOR_UNITS`].
    #[error("an amount lies between 0 and {MOST_MINOR_UNITS} minor units")]
    Range,
    /// Not a multiple of the currency's step.
    #[error("amounts in this currency are multiples of its step: 100 for ISK and UGX, 10 for three-decimal currencies")]
    Step,
    /// Two currencies in one sum.
    #[error("amounts of two currencies cannot be added")]
    Mixed,
}

impl Money {
    /// An amount that Stripe would take.
    ///
    /// # Errors
    /// [`MoneyError::Range`] or [`MoneyError::Step`].
    pub fn new(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        if !(0..=MOST_MINOR_UNITS).contains(&amount) {
            return Err(MoneyError::Range);
        }
        if amount % currency.step() != 0 {
            return Err(MoneyError::Step);
        }
        Ok(Self { amount, currency })
    }

    /// Nothing, in a currency.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] or [`MoneyError::Range`].
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed);
        }
        Self::new(self.amount.checked_add(other.amount).ok_or(MoneyError::Range)?, self.currency)
    }

    /// This amount so many times.
    ///
    /// # Errors
    /// [`MoneyError::Range`].
    pub fn times(self, quantity: u32) -> Result<Self, MoneyError> {
        Self::new(self.amount.checked_mul(i64::from(quantity)).ok_or(MoneyError::Range)?, self.currency)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.currency.as_str().to_ascii_uppercase();
        let exponent = self.currency.exponent();
        if exponent == 0 {
            return write!(f, "{} {code}", self.amount);
        }
        let unit = 10_i64.pow(exponent);
        let width = exponent as usize;
        write!(f, "{}.{:0width$} {code}", self.amount / unit, self.amount % unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn zero_decimal_three_decimal_and_isk_currencies_use_integer_minor_units() {
        assert_eq!(Money::new(2500, currency("usd")).unwrap().to_string(), "25.00 USD");
        assert_eq!(Money::new(2500, currency("JPY")).unwrap().to_string(), "2500 JPY");
        assert_eq!(Money::new(2500, currency("kwd")).unwrap().to_string(), "2.500 KWD");
        assert_eq!(Money::new(2501, currency("kwd")), Err(MoneyError::Step));
        assert_eq!(Money::new(2500, currency("isk")).unwrap().to_string(), "25.00 ISK");
        assert_eq!(Money::new(2550, currency("isk")), Err(MoneyError::Step));
    }

    #[test]
    fn what_is_not_a_currency_or_an_amount_is_refused() {
        for bad in ["", "us", "usdd", "u5d", "€€€"] {
            assert_eq!(bad.parse::<Currency>(), Err(MoneyError::Currency), "{bad}");
        }
        assert_eq!(Money::new(-1, currency("usd")), Err(MoneyError::Range));
        assert_eq!(Money::new(100_000_000, currency("usd")), Err(MoneyError::Range));
        assert_eq!(Money::zero(currency("usd")).plus(Money::zero(currency("eur"))), Err(MoneyError::Mixed));
    }

    proptest! {
        #[test]
        fn sums_never_wrap_and_keep_their_step(
            a in any::<i64>(), b in any::<i64>(), quantity in any::<u32>(),
            code in prop::sample::select(vec!["usd", "jpy", "kwd", "isk", "eur", "ugx", "xof"]),
        ) {
            let currency = currency(code);
            if let (Ok(a), Ok(b)) = (Money::new(a, currency), Money::new(b, currency)) {
                for result in [a.plus(b), a.times(quantity)].into_iter().flatten() {
                    prop_assert!((0..=MOST_MINOR_UNITS).contains(&result.amount));
                    prop_assert_eq!(result.amount % currency.step(), 0);
                }
                prop_assert_eq!(a.plus(b), b.plus(a));
            }
        }

        #[test]
        fn within_the_bounds_arithmetic_is_exact(a in 0..1_000_000_i64, quantity in 0..99_u32) {
            let unit = Money::new(a, currency("usd")).unwrap();
            let summed = (0..quantity).try_fold(Money::zero(currency("usd")), |sum, _| sum.plus(unit)).unwrap();
            prop_assert_eq!(summed, unit.times(quantity).unwrap());
        }
    }
}
