//! PaymentIntents: <https://docs.stripe.com/payments/paymentintents/lifecycle>.

use std::sync::Arc;

use super::{
    instrument::{Instrument, existing_method},
    intent_params::{Confirmation, Fields, amount, automatic, blank, check_minimum, currency},
    lists, payments,
};
use crate::{
    failure::Failure,
    model::{PaymentIntent, Snapshot, Status},
    work::{Call, Request, Work},
};

pub(super) fn create(mut request: Request<'_>) -> Result<Call, Failure> {
    let params = &mut request.params;
    let amount = amount(params)?.ok_or_else(|| Failure::missing("amount"))?;
    let currency = currency(params)?.ok_or_else(|| Failure::missing("currency"))?;
    check_minimum(amount, &currency)?;
    let confirming = params.boolean("confirm")?.unwrap_or(false);
    let instrument = Instrument::take(params)?;
    let confirmation = Confirmation::take(params)?;
    let capture_method = params.one_of("capture_method", &["automatic", "automatic_async", "manual"])?;
    let confirmation_method = params.one_of("confirmation_method", &["automatic", "manual"])?;
    let automatic = automatic(params)?;
    let fields = Fields::take(params)?;
    if automatic.is_some() && !fields.types.is_empty() {
        return Err(Failure::invalid(
            "You may only specify one of these parameters: automatic_payment_methods, payment_method_types.",
        )
        .param("automatic_payment_methods"));
    }
    if confirming && instrument.is_none() {
        return Err(Failure::unexpected_state(MISSING_METHOD).param("payment_method"));
    }
    let locks = instrument.as_ref().and_then(Instrument::locks);
    let call = Call::new(request.params, move |work| {
        // Without a list of its own an intent takes what the account has switched on, and that is cards.
        let automatic = automatic.or_else(|| fields.types.is_empty().then(|| "always".to_owned()));
        let mut intent = blank(work.now, amount, currency, automatic);
        capture_method.unwrap_or("automatic").clone_into(&mut intent.capture_method);
        confirmation_method.unwrap_or("automatic").clone_into(&mut intent.confirmation_method);
        fields.apply(work, &mut intent)?;
        intent.return_url = confirmation.return_url;
        let method = instrument.map(|instrument| instrument.resolve(work, &intent.id)).transpose()?;
        if let Some(method) = &method {
            intent.payment_method = Some(method.id.clone());
            intent.status = Status::RequiresConfirmation;
        }
        let intent = work.put(intent);
        work.event("payment_intent.created", Snapshot::PaymentIntent(Arc::clone(&intent)));
        let intent = match method {
            Some(method) if confirming => payments::confirm(work, (*intent).clone(), &method, confirmation.manner)?,
            _ => intent,
        };
        Ok(work.render(&*intent))
    })?;
    Ok(call.locking(locks).asking_the_bank(confirming))
}

const MISSING_METHOD: &str = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method or ConfirmationToken.";

/// The intent of a request; one sent with a publishable key must know its client secret.
fn find(work: &Work<'_>, id: &str, publishable: bool, secret: Option<&str>) -> Result<Arc<PaymentIntent>, Failure> {
    let intent = work.find::<PaymentIntent>("payment_intent", id, "intent")?;
    match secret {
        None if publishable => Err(Failure::missing("client_secret")),
        Some(secret) if secret != intent.client_secret => Err(Failure::refused(
            "The client_secret provided does not match the client_secret associated with the PaymentIntent.",
        )
        .code("payment_intent_invalid_parameter")
        .param("client_secret")),
        _ => Ok(intent),
    }
}

/// Refuses to work on an intent that belongs to a Checkout Session's page.
fn require_own(intent: &PaymentIntent, verb: &str) -> Result<(), Failure> {
    match &intent.checkout_session {
        None => Ok(()),
        Some(session) => Err(Failure::refused(format!(
            "You cannot {verb} this PaymentIntent because it was created by a Checkout Session. Expire the Checkout Session instead ({session})."
        ))),
    }
}

/// Refuses an intent in another state, as Stripe words it, with the intent itself in the error.
fn require(work: &Work<'_>, intent: &PaymentIntent, verb: &str, states: &[Status]) -> Result<(), Failure> {
    if states.contains(&intent.status) {
        return Ok(());
    }
    let words: Vec<&str> = states.iter().map(|state| state.word()).collect();
    let message = if intent.status == Status::Succeeded && verb == "confirm" {
        "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed."
            .to_owned()
    } else {
        let past = match verb {
            "confirm" => "confirmed",
            "cancel" => "canceled",
            "capture" => "captured",
            _ => "updated",
        };
        format!(
            "You cannot {verb} this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the following statuses may be {past}: {}.",
            intent.status.word(),
            words.join(", ")
        )
    };
    Err(Failure::unexpected_state(message).with("payment_intent", work.render(intent)))
}

pub(super) fn confirm(mut request: Request<'_>) -> Result<Call, Failure> {
    let params = &mut request.params;
    let instrument = Instrument::take(params)?;
    let confirmation = Confirmation::take(params)?;
    let secret = params.text("client_secret")?;
    params.ignore(&["expected_payment_method_type", "key", "set_as_default_payment_method"]);
    let capture_method = params.one_of("capture_method", &["automatic", "automatic_async", "manual"])?;
    let fields = Fields::take(params)?;
    let (id, publishable) = (request.id, request.publishable);
    let locks: Vec<String> = instrument.as_ref().and_then(Instrument::locks).into_iter().chain([id.clone()]).collect();
    let call = Call::new(request.params, move |work| {
        let mut intent = (*find(work, &id, publishable, secret.as_deref())?).clone();
        require_own(&intent, "confirm")?;
        require(
            work,
            &intent,
            "confirm",
            &[Status::RequiresPaymentMethod, Status::RequiresConfirmation, Status::RequiresAction],
        )?;
        let method = match (instrument, &intent.payment_method) {
            (Some(instrument), _) => instrument.resolve(work, &id)?,
            (None, Some(method)) => existing_method(work, method)?,
            (None, None) => {
                return Err(Failure::unexpected_state(MISSING_METHOD).with("payment_intent", work.render(&intent)));
            }
        };
        fields.apply(work, &mut intent)?;
        if let Some(capture) = capture_method {
            capture.clone_into(&mut intent.capture_method);
        }
        intent.return_url = confirmation.return_url;
        let intent = payments::confirm(work, intent, &method, confirmation.manner)?;
        Ok(work.render(&*intent))
    })?;
    Ok(call.locking(locks).asking_the_bank(true))
}

pub(super) fn retrieve(mut request: Request<'_>) -> Result<Call, Failure> {
    let secret = request.params.text("client_secret")?;
    request.params.ignore(&["key", "is_stripe_sdk"]);
    Call::new(request.params, move |work| {
        let intent = find(work, &request.id, request.publishable, secret.as_deref())?;
        Ok(work.render(&*intent))
    })
}

pub(super) fn update(mut request: Request<'_>) -> Result<Call, Failure> {
    let params = &mut request.params;
    let (amount, currency) = (amount(params)?, currency(params)?);
    let instrument = Instrument::take(params)?;
    let fields = Fields::take(params)?;
    let id = request.id;
    let locks: Vec<String> = instrument.as_ref().and_then(Instrument::locks).into_iter().chain([id.clone()]).collect();
    let call = Call::new(request.params, move |work| {
        let mut intent = (*find(work, &id, false, None)?).clone();
        require_own(&intent, "update")?;
        if amount.is_some() || currency.is_some() || instrument.is_some() {
            let open = [Status::RequiresPaymentMethod, Status::RequiresConfirmation, Status::RequiresAction];
            require(work, &intent, "update", &open)?;
        }
        intent.amount = amount.unwrap_or(intent.amount);
        intent.currency = currency.unwrap_or(intent.currency);
        check_minimum(intent.amount, &intent.currency)?;
        fields.apply(work, &mut intent)?;
        if let Some(instrument) = instrument {
            intent.payment_method = Some(instrument.resolve(work, &id)?.id.clone());
            intent.status = Status::RequiresConfirmation;
        }
        let intent = work.put(intent);
        Ok(work.render(&*intent))
    })?;
    Ok(call.locking(locks))
}

pub(super) fn capture(request: Request<'_>) -> Result<Call, Failure> {
    super::charges::capture_intent(request, |work, id| {
        let intent = find(work, id, false, None)?;
        require(work, &intent, "capture", &[Status::RequiresCapture])?;
        Ok(intent)
    })
}

pub(super) fn cancel(mut request: Request<'_>) -> Result<Call, Failure> {
    let reasons = ["abandoned", "duplicate", "fraudulent", "requested_by_customer"];
    let reason = request.params.one_of("cancellation_reason", &reasons)?.map(str::to_owned);
    let id = request.id;
    let lock = id.clone();
    let call = Call::new(request.params, move |work| {
        let mut intent = (*find(work, &id, false, None)?).clone();
        let open = [
            Status::RequiresPaymentMethod,
            Status::RequiresCapture,
            Status::RequiresConfirmation,
            Status::RequiresAction,
        ];
        require(work, &intent, "cancel", &open)?;
        require_own(&intent, "cancel")?;
        if intent.status == Status::RequiresCapture {
            super::charges::release(work, intent.latest_charge.as_deref());
        }
        intent.status = Status::Canceled;
        intent.amount_capturable = 0;
        intent.canceled_at = Some(work.now);
        intent.cancellation_reason = reason;
        let intent = work.put(intent);
        work.event("payment_intent.canceled", Snapshot::PaymentIntent(Arc::clone(&intent)));
        Ok(work.render(&*intent))
    })?;
    Ok(call.locking([lock]))
}

pub(super) fn list(mut request: Request<'_>) -> Result<Call, Failure> {
    let customer = request.params.text("customer")?;
    let created = |intent: &PaymentIntent| intent.created;
    lists::call(request.params, "/v1/payment_intents", "payment_intent", created, move |intent| {
        customer.is_none() || intent.customer == customer
    })
}
