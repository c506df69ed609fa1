//! The exact bytes of a charge, decided once and stored before the first of them is sent.
//!
//! Stripe's idempotency holds only for the same key *with the same parameters*. So an attempt's request is encoded
//! here once, the ledger keeps it, and every retry sends it unchanged, whatever was deployed in between. Nothing
//! here looks at a clock, a setting or a hash map's order: the same input always gives the same bytes, and a test
//! pins them letter by letter.
//!
//! The typed client encodes what it has fields for. Two things are added to its bytes by hand: `metadata`, because
//! its map has no fixed order, and the pairs of a `tok_…`, for which it has no field.

use std::convert::Infallible;
use std::fmt;

use stripe_client_core::{RequestBuilder, StripeRequest};
use stripe_core::payment_intent::{ConfirmPaymentIntent, CreatePaymentIntent};
use stripe_shared::PaymentIntentAllowedPaymentMethodTypes;
use stripe_types::Currency;
use uuid::Uuid;

use crate::guards::Guard;
use crate::order::StoredRequest;

/// The longest payment token that is taken, in bytes; Stripe's own are about 30.
pub const TOKEN_BYTES_MAX: usize = 128;

/// The API version whose types this build knows, sent with every request that is not a stored one.
pub const API_VERSION: &str = "2026-09-30.endive";

/// One attempt at charging one order.
#[derive(Clone, Copy)]
pub struct ChargeRequest<'a> {
    /// The order; written into the PaymentIntent's metadata, by which it can be found again.
    pub order: Uuid,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// What Stripe.js gave the page.
    pub token: &'a str,
    /// In the currency's minor unit.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: &'a str,
    /// Where Stripe sends its receipt; empty sends none.
    pub email: &'a str,
    /// What the operator reads in Stripe's dashboard, and the shopper on Stripe's receipt.
    pub description: &'a str,
    /// The order's PaymentIntent, when an earlier attempt made it: it is confirmed again instead of making another,
    /// so that two attempts of one order can never both be paid.
    pub payment_intent: Option<&'a str>,
    /// Where a bank that redirects sends the shopper back to.
    pub return_url: Option<&'a str>,
}

impl fmt::Debug for ChargeRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChargeRequest")
            .field("order", &self.order)
            .field("attempt", &self.attempt)
            .field("amount", &self.amount)
            .field("currency", &self.currency)
            .field("payment_intent", &self.payment_intent)
            .finish_non_exhaustive()
    }
}

/// Which of Stripe's objects a payment token names; it decides the parameter that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `tok_…`, of `stripe.createToken`.
    Token,
    /// `pm_…`, of `stripe.createPaymentMethod`.
    PaymentMethod,
    /// `ctoken_…`, of `stripe.createConfirmationToken`.
    ConfirmationToken,
}

/// What was given is not a payment token. Its text is kept out of the error, for it may be a card number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a payment token: it must begin with tok_, pm_ or ctoken_ and go on with letters, digits and _")]
pub struct UnknownToken;

/// The kind of a payment token, by its prefix. The rest must be letters, digits and `_`, within
/// [`TOKEN_BYTES_MAX`].
///
/// # Errors
/// [`UnknownToken`] when it is not of a kind that can be charged.
pub fn token_kind(token: &str) -> Result<TokenKind, UnknownToken> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(UnknownToken);
    }
    let (kind, rest) = if let Some(rest) = token.strip_prefix("tok_") {
        (TokenKind::Token, rest)
    } else if let Some(rest) = token.strip_prefix("pm_") {
        (TokenKind::PaymentMethod, rest)
    } else if let Some(rest) = token.strip_prefix("ctoken_") {
        (TokenKind::ConfirmationToken, rest)
    } else {
        return Err(UnknownToken);
    };
    let well_formed = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if well_formed { Ok(kind) } else { Err(UnknownToken) }
}

/// The idempotency key of an attempt: a function of nothing but the order and the attempt's number.
#[must_use]
pub fn idempotency_key(order: Uuid, attempt: u32) -> String {
    Guard::KeyStays.key(format!("charge-{order}-{attempt}"))
}

/// Encodes an attempt's request.
///
/// Cards only: a payment in a flash sale is decided within seconds or not at all. That is said by
/// `allowed_payment_method_types`, because this API version refuses `payment_method_types`
/// (<https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents>).
/// `error_on_requires_action` is left
/// out, so that 3-D Secure can happen, and `use_stripe_sdk` lets `stripe.handleNextAction` show it on our page.
///
/// # Errors
/// [`UnknownToken`] when the token is not one that can be charged.
pub fn prepare(request: &ChargeRequest<'_>) -> Result<StoredRequest, UnknownToken> {
    let kind = token_kind(request.token)?;
    let (built, metadata) = match request.payment_intent {
        Some(intent) => (confirmation(request, kind, intent), None),
        None => (creation(request, kind), Some((request.order, request.attempt))),
    };
    let mut body = built.body.unwrap_or_default();
    if let Some((order, attempt)) = metadata {
        push_pair(&mut body, "metadata[order]", &order.to_string());
        push_pair(&mut body, "metadata[attempt]", &attempt.to_string());
    }
    if kind == TokenKind::Token {
        push_pair(&mut body, "payment_method_data[type]", "card");
        push_pair(&mut body, "payment_method_data[card][token]", request.token);
    }
    Ok(StoredRequest { path: format!("/v1{}", built.path), body, version: API_VERSION.to_owned() })
}

fn creation(request: &ChargeRequest<'_>, kind: TokenKind) -> RequestBuilder {
    let currency = request.currency.parse::<Currency>().unwrap_or_else(|never: Infallible| match never {});
    let mut create = CreatePaymentIntent::new(request.amount, currency)
        .confirm(true)
        .description(request.description)
        .allowed_payment_method_types(vec![PaymentIntentAllowedPaymentMethodTypes::Card])
        .use_stripe_sdk(true);
    if !request.email.is_empty() {
        create = create.receipt_email(request.email);
    }
    if let Some(url) = request.return_url {
        create = create.return_url(url);
    }
    match kind {
        TokenKind::Token => create,
        TokenKind::PaymentMethod => create.payment_method(request.token),
        TokenKind::ConfirmationToken => create.confirmation_token(request.token),
    }
    .build()
}

/// Confirming takes neither amount, description, metadata nor, again, the allowed types: the PaymentIntent has them.
fn confirmation(request: &ChargeRequest<'_>, kind: TokenKind, intent: &str) -> RequestBuilder {
    let mut confirm = ConfirmPaymentIntent::new(intent).use_stripe_sdk(true);
    if !request.email.is_empty() {
        confirm = confirm.receipt_email(request.email);
    }
    if let Some(url) = request.return_url {
        confirm = confirm.return_url(url);
    }
    match kind {
        TokenKind::Token => confirm,
        TokenKind::PaymentMethod => confirm.payment_method(request.token),
        TokenKind::ConfirmationToken => confirm.confirmation_token(request.token),
    }
    .build()
}

pub(super) fn push_pair(body: &mut String, key: &str, value: &str) {
    if !body.is_empty() {
        body.push('&');
    }
    body.push_str(key);
    body.push('=');
    body.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
}

#[cfg(test)]
mod tests;
