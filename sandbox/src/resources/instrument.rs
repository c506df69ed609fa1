//! What a payment is made with: the ways in which a request can name a card.

use std::sync::Arc;

use crate::{
    cards::{self, TestCard},
    failure::Failure,
    form::Params,
    model::{Billing, Card, ConfirmationToken, Metadata, PaymentMethod, Token},
    work::{Work, new_id},
};

/// A card, or where to find one.
#[derive(Debug, Clone)]
pub(crate) enum CardSource {
    /// Typed in; already checked.
    Typed(Card),
    /// `tok_…`, with the parameter that named it.
    Token { id: String, param: String },
}

/// What a payment is made with.
#[derive(Debug, Clone)]
pub(crate) enum Instrument {
    /// `pm_…`
    Method(String),
    /// `payment_method_data`
    New { card: CardSource, billing: Billing },
    /// `ctoken_…`
    Confirmation(String),
}

impl Instrument {
    /// Takes `payment_method`, `payment_method_data` or `confirmation_token`, of which at most one may be given.
    pub(crate) fn take(params: &mut Params) -> Result<Option<Self>, Failure> {
        let method = params.text("payment_method")?.map(Self::Method);
        let confirmation = params.text("confirmation_token")?.map(Self::Confirmation);
        let data = match params.branch("payment_method_data")? {
            Some(data) => Some(new_method(data)?),
            None => None,
        };
        let mut given = [method, confirmation, data].into_iter().flatten();
        let instrument = given.next();
        if given.next().is_some() {
            return Err(Failure::invalid(
                "You may only specify one of these parameters: payment_method, payment_method_data, confirmation_token.",
            ));
        }
        Ok(instrument)
    }

    /// Ids of what is used up when this pays.
    pub(crate) fn locks(&self) -> Option<String> {
        match self {
            Self::Method(id) | Self::Confirmation(id) | Self::New { card: CardSource::Token { id, .. }, .. } => {
                Some(id.clone())
            }
            Self::New { card: CardSource::Typed(_), .. } => None,
        }
        // The shared test values are used up by nobody.
        .filter(|id| cards::by_payment_method(id).is_none() && cards::by_token(id).is_none())
    }

    /// The PaymentMethod to pay with, made now if there is none yet. `intent` is what a ConfirmationToken is bound to.
    pub(crate) fn resolve(self, work: &mut Work<'_>, intent: &str) -> Result<Arc<PaymentMethod>, Failure> {
        match self {
            Self::Method(id) => existing_method(work, &id),
            Self::New { card, billing } => {
                let card = card.resolve(work)?;
                Ok(make_method(work, card, billing, Metadata::new()))
            }
            Self::Confirmation(id) => {
                let token = work.find::<ConfirmationToken>("confirmation token", &id, "confirmation_token")?;
                if token.payment_intent.as_ref().is_some_and(|bound| bound != intent) {
                    return Err(Failure::refused(format!(
                        "The ConfirmationToken {id} has already been used to confirm another PaymentIntent."
                    ))
                    .param("confirmation_token"));
                }
                let (card, billing) = (token.card.clone(), token.billing.clone());
                work.put(ConfirmationToken { payment_intent: Some(intent.to_owned()), ..(*token).clone() });
                Ok(make_method(work, card, billing, Metadata::new()))
            }
        }
    }
}

/// `pm_…`, or a fresh PaymentMethod for `pm_card_…`.
pub(crate) fn existing_method(work: &mut Work<'_>, id: &str) -> Result<Arc<PaymentMethod>, Failure> {
    if let Some(test) = cards::by_payment_method(id) {
        return Ok(make_method(work, test_card(test), Billing::default(), Metadata::new()));
    }
    let method = work.find::<PaymentMethod>("PaymentMethod", id, "payment_method")?;
    if method.spent && method.customer.is_none() {
        return Err(Failure::refused(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a connected account without Customer attachment, or was detached from a Customer. It may not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
        ));
    }
    Ok(method)
}

pub(crate) fn make_method(work: &mut Work<'_>, card: Card, billing: Billing, metadata: Metadata) -> Arc<PaymentMethod> {
    let billing = Billing {
        name: billing.name.or_else(|| card.name.clone()),
        address: if billing.address.is_empty() {
            card.postal_code.iter().map(|code| ("postal_code".to_owned(), code.clone())).collect()
        } else {
            billing.address
        },
        ..billing
    };
    let (id, created) = (new_id("pm_"), work.now);
    work.put(PaymentMethod { id, created, card, billing, customer: None, metadata, legacy: false, spent: false })
}

impl CardSource {
    /// The card itself; a token is used up by this.
    pub(crate) fn resolve(self, work: &mut Work<'_>) -> Result<Card, Failure> {
        match self {
            Self::Typed(card) => Ok(card),
            Self::Token { id, param } => {
                if let Some(test) = cards::by_token(&id) {
                    return Ok(test_card(test));
                }
                let token = work.store.tokens.get(&id).ok_or_else(|| {
                    // Never a 404: the token is not what the path names.
                    Failure::no_such("token", &id, &param)
                })?;
                if token.used {
                    return Err(Failure::refused(format!("You cannot use a Stripe token more than once: {id}."))
                        .code("token_already_used")
                        .param(param));
                }
                let card = token.card.clone();
                work.put(Token { used: true, ..(*token).clone() });
                Ok(card)
            }
        }
    }

    /// Takes `card[token]`, or a card that is typed in.
    pub(crate) fn take(mut card: Params) -> Result<Self, Failure> {
        let param = card.name("token");
        if let Some(id) = card.text("token")? {
            card.finish()?;
            return Ok(Self::Token { id, param });
        }
        typed_card(card).map(Self::Typed)
    }
}

/// `payment_method_data`, or the parameters of a new PaymentMethod.
pub(crate) fn new_method(mut data: Params) -> Result<Instrument, Failure> {
    let (card, billing) = method_parts(&mut data)?;
    data.ignore(&["allow_redisplay", "radar_options", "metadata"]);
    data.finish()?;
    Ok(Instrument::New { card, billing })
}

/// Takes `type`, `card` and `billing_details`.
pub(crate) fn method_parts(data: &mut Params) -> Result<(CardSource, Billing), Failure> {
    let kind = data.name("type");
    match data.required("type")?.as_str() {
        "card" => {}
        other => {
            return Err(Failure::invalid(format!(
                "The payment method type \"{other}\" is invalid. The sandbox knows cards only."
            ))
            .param(kind));
        }
    }
    let missing = data.name("card");
    let card = data.branch("card")?.ok_or_else(|| Failure::missing(&missing))?;
    let card = CardSource::take(card)?;
    let billing = match data.branch("billing_details")? {
        Some(details) => billing(details)?,
        None => Billing::default(),
    };
    Ok((card, billing))
}

fn billing(mut details: Params) -> Result<Billing, Failure> {
    let billing = Billing {
        name: details.text("name")?,
        email: details.text("email")?,
        phone: details.text("phone")?,
        address: details.branch("address")?.map(address).transpose()?.unwrap_or_default(),
    };
    details.ignore(&["tax_id"]);
    details.finish()?;
    Ok(billing)
}

/// The parts of an address that were given.
pub(crate) fn address(mut params: Params) -> Result<Metadata, Failure> {
    let mut address = Metadata::new();
    for part in ["city", "country", "line1", "line2", "postal_code", "state"] {
        if let Some(text) = params.text(part)? {
            address.insert(part.to_owned(), text);
        }
    }
    params.finish()?;
    Ok(address)
}

/// A shared test value's card.
fn test_card(test: &TestCard) -> Card {
    let year = i64::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year());
    Card {
        id: new_id("card_"),
        test: test.name.to_owned(),
        exp_month: 12,
        exp_year: year + 1,
        cvc_given: false,
        name: None,
        postal_code: None,
    }
}

/// Checks a typed card as Stripe does: the number's digits, the expiry, the security code, and that it is a test card.
fn typed_card(mut params: Params) -> Result<Card, Failure> {
    let number: String = params.required("number")?.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let (month_name, year_name) = (params.name("exp_month"), params.name("exp_year"));
    let month = params.integer("exp_month")?.ok_or_else(|| Failure::missing(&month_name))?;
    let year = params.integer("exp_year")?.ok_or_else(|| Failure::missing(&year_name))?;
    let cvc = params.text("cvc")?;
    let (name, postal_code) = (params.text("name")?, params.text("address_zip")?);
    params.ignore(&[
        "address_city",
        "address_country",
        "address_line1",
        "address_line2",
        "address_state",
        "currency",
        "networks",
    ]);
    params.finish()?;
    let year = if year < 100 { year + 2000 } else { year };
    check_details(&number, month, year, cvc.as_deref())?;
    let test = cards::by_number(&number).ok_or_else(|| {
        Failure::card("card_declined", "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid test cards, visit: https://stripe.com/docs/testing.", "number")
            .with("decline_code", "test_mode_live_card".into())
    })?;
    let (id, cvc_given) = (new_id("card_"), cvc.is_some());
    Ok(Card { id, test: test.name.to_owned(), exp_month: month, exp_year: year, cvc_given, name, postal_code })
}

/// The digits of the number, the expiry, and the length of the security code.
fn check_details(number: &str, month: i64, year: i64, cvc: Option<&str>) -> Result<(), Failure> {
    if !cards::has_valid_check_digit(number) {
        return Err(Failure::card("incorrect_number", "Your card number is incorrect.", "number"));
    }
    if !(1..=12).contains(&month) {
        return Err(Failure::card("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month"));
    }
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let (this_year, this_month) = (i64::from(today.year()), i64::from(today.month()));
    if year > this_year + 50 || (year, month) < (this_year, this_month) {
        return Err(Failure::card("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year"));
    }
    if cvc.is_some_and(|cvc| !(3..=4).contains(&cvc.len()) || !cvc.bytes().all(|b| b.is_ascii_digit())) {
        return Err(Failure::card("invalid_cvc", "Your card's security code is invalid.", "cvc"));
    }
    Ok(())
}
