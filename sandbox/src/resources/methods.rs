//! Tokens, PaymentMethods and ConfirmationTokens: what a page makes of a card before anything is paid.

use super::instrument::{CardSource, existing_method, make_method, method_parts};
use crate::{
    cards,
    failure::Failure,
    model::{Billing, Card, ConfirmationToken, Customer, PaymentMethod, Token},
    work::{Call, Request, new_id},
};

pub(super) fn create_token(mut request: Request<'_>) -> Result<Call, Failure> {
    let card = request.params.branch("card")?.ok_or_else(|| Failure::missing("card"))?;
    let CardSource::Typed(card) = CardSource::take(card)? else {
        return Err(Failure::invalid("A token cannot be made from a token.").param("card[token]"));
    };
    request.params.ignore(&["payment_user_agent", "time_on_page", "guid", "muid", "sid", "referrer"]);
    Call::new(request.params, move |work| {
        let token = work.put(Token { id: new_id("tok_1"), created: work.now, card, used: false });
        Ok(work.render(&*token))
    })
}

pub(super) fn retrieve_token(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let token = work.find::<Token>("token", &request.id, "id")?;
        Ok(work.render(&*token))
    })
}

pub(super) fn create_payment_method(mut request: Request<'_>) -> Result<Call, Failure> {
    let (card, billing) = method_parts(&mut request.params)?;
    let metadata = request.params.metadata()?;
    request.params.ignore(&[
        "allow_redisplay",
        "payment_user_agent",
        "time_on_page",
        "guid",
        "muid",
        "sid",
        "referrer",
        "radar_options",
    ]);
    let lock = match &card {
        CardSource::Token { id, .. } if cards::by_token(id).is_none() => Some(id.clone()),
        _ => None,
    };
    let call = Call::new(request.params, move |work| {
        let card = card.resolve(work)?;
        let method = make_method(work, card, billing, metadata.fresh());
        Ok(work.render(&*method))
    })?;
    Ok(call.locking(lock))
}

pub(super) fn retrieve_payment_method(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let method = match cards::by_payment_method(&request.id) {
            Some(_) => existing_method(work, &request.id)?,
            None => work.find::<PaymentMethod>("PaymentMethod", &request.id, "id")?,
        };
        Ok(work.render(&*method))
    })
}

pub(super) fn attach(mut request: Request<'_>) -> Result<Call, Failure> {
    let customer = request.params.required("customer")?;
    let id = request.id.clone();
    let call = Call::new(request.params, move |work| {
        let customer = work.find::<Customer>("customer", &customer, "customer")?;
        let method = existing_method(work, &request.id)?;
        let method = work.put(PaymentMethod { customer: Some(customer.id.clone()), ..(*method).clone() });
        Ok(work.render(&*method))
    })?;
    Ok(call.locking([id]))
}

/// What a ConfirmationToken is made of.
enum Origin {
    Card(CardSource, Billing),
    /// `payment_method=pm_…`, which only the test helper takes.
    Method(String),
}

pub(super) fn create_confirmation_token(mut request: Request<'_>) -> Result<Call, Failure> {
    let params = &mut request.params;
    let origin = match params.branch("payment_method_data")? {
        Some(mut data) => {
            let (card, billing) = method_parts(&mut data)?;
            data.ignore(&[
                "allow_redisplay",
                "metadata",
                "radar_options",
                "payment_user_agent",
                "referrer",
                "time_on_page",
            ]);
            data.finish()?;
            Origin::Card(card, billing)
        }
        None => Origin::Method(params.required("payment_method")?),
    };
    let return_url = params.text("return_url")?;
    let setup_future_usage = params.one_of("setup_future_usage", &["off_session", "on_session"])?.map(str::to_owned);
    params.ignore(&["shipping", "client_context", "payment_method_options", "set_as_default_payment_method"]);
    Call::new(request.params, move |work| {
        let (card, billing): (Card, Billing) = match origin {
            Origin::Card(card, billing) => (card.resolve(work)?, billing),
            Origin::Method(id) => {
                let method = existing_method(work, &id)?;
                (method.card.clone(), method.billing.clone())
            }
        };
        let (id, created) = (new_id("ctoken_1"), work.now);
        let token =
            ConfirmationToken { id, created, card, billing, return_url, setup_future_usage, payment_intent: None };
        let token = work.put(token);
        Ok(work.render(&*token))
    })
}

pub(super) fn retrieve_confirmation_token(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let token = work.find::<ConfirmationToken>("confirmation token", &request.id, "id")?;
        Ok(work.render(&*token))
    })
}
