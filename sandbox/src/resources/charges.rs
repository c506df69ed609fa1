//! Charges: made by PaymentIntents, or by the older call that takes a `source`.

use std::sync::Arc;

use super::{
    instrument::CardSource,
    intent_params::{amount, check_minimum, currency},
    lists,
    payments::{self, Order},
};
use crate::{
    cards,
    failure::Failure,
    model::{Billing, Charge, Customer, Metadata, PaymentIntent, PaymentMethod, Snapshot, Status},
    work::{Call, Request, Work, new_id},
};

pub(super) fn create(mut request: Request<'_>) -> Result<Call, Failure> {
    let params = &mut request.params;
    let amount = amount(params)?.ok_or_else(|| Failure::missing("amount"))?;
    let currency = currency(params)?.ok_or_else(|| Failure::missing("currency"))?;
    check_minimum(amount, &currency)?;
    let source = params.text("source")?.ok_or_else(|| Failure::missing("source"))?;
    let customer = params.text("customer")?;
    let order = Order {
        amount,
        currency,
        capture: params.boolean("capture")?.unwrap_or(true),
        customer: None,
        description: params.text("description")?,
        metadata: params.metadata()?.fresh(),
        receipt_email: params.text("receipt_email")?,
        statement_descriptor: params.text("statement_descriptor")?,
        statement_descriptor_suffix: params.text("statement_descriptor_suffix")?,
        transfer_group: params.text("transfer_group")?,
    };
    params.ignore(&["radar_options", "shipping"]);
    let lock = cards::by_token(&source).is_none().then(|| source.clone());
    let call = Call::new(request.params, move |work| {
        let customer = match customer {
            Some(id) => Some(work.find::<Customer>("customer", &id, "customer")?.id.clone()),
            None => None,
        };
        let card = CardSource::Token { id: source, param: "source".to_owned() }.resolve(work)?;
        let method = Arc::new(PaymentMethod {
            id: new_id("pm_"),
            created: work.now,
            billing: Billing { name: card.name.clone(), ..Billing::default() },
            card,
            customer: customer.clone(),
            metadata: Metadata::new(),
            legacy: true,
            spent: false,
        });
        let charge = payments::charge(work, Order { customer, ..order }, method)?;
        Ok(work.render(&*charge))
    })?;
    Ok(call.locking(lock).asking_the_bank(true))
}

pub(super) fn retrieve(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let charge = work.find::<Charge>("charge", &request.id, "id")?;
        Ok(work.render(&*charge))
    })
}

pub(super) fn update(mut request: Request<'_>) -> Result<Call, Failure> {
    let metadata = request.params.metadata()?;
    let description = request.params.text_or_empty("description")?;
    let receipt_email = request.params.text_or_empty("receipt_email")?;
    request.params.ignore(&["fraud_details", "shipping", "customer", "transfer_group"]);
    let lock = lock_of(request.store.charges.get(&request.id).as_deref());
    let call = Call::new(request.params, move |work| {
        let mut charge = (*work.find::<Charge>("charge", &request.id, "id")?).clone();
        metadata.apply(&mut charge.metadata);
        for (field, value) in [(&mut charge.description, description), (&mut charge.receipt_email, receipt_email)] {
            if let Some(value) = value {
                *field = Some(value).filter(|value| !value.is_empty());
            }
        }
        let charge = work.put(charge);
        work.event("charge.updated", Snapshot::Charge(Arc::clone(&charge)));
        Ok(work.render(&*charge))
    })?;
    Ok(call.locking(lock))
}

/// What is locked to work on a charge: its intent, or itself when it has none.
pub(super) fn lock_of(charge: Option<&Charge>) -> Option<String> {
    charge.map(|charge| charge.payment_intent.as_ref().unwrap_or(&charge.id).clone())
}

pub(super) fn list(mut request: Request<'_>) -> Result<Call, Failure> {
    let customer = request.params.text("customer")?;
    let intent = request.params.text("payment_intent")?;
    request.params.ignore(&["transfer_group"]);
    lists::call(
        request.params,
        "/v1/charges",
        "charge",
        |charge: &Charge| charge.created,
        move |charge| {
            (customer.is_none() || charge.customer == customer) && (intent.is_none() || charge.payment_intent == intent)
        },
    )
}

/// Captures what an intent has authorised; `find` answers the intent once its state allows it.
pub(super) fn capture_intent(
    mut request: Request<'_>,
    find: impl FnOnce(&mut Work<'_>, &str) -> Result<Arc<PaymentIntent>, Failure> + Send + 'static,
) -> Result<Call, Failure> {
    let params = &mut request.params;
    let wanted = params.integer("amount_to_capture")?;
    let metadata = params.metadata()?;
    params.ignore(&[
        "final_capture",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "amount_details",
        "payment_details",
    ]);
    let id = request.id;
    let lock = id.clone();
    let call = Call::new(request.params, move |work| {
        let mut intent = (*find(work, &id)?).clone();
        let wanted = wanted.unwrap_or(intent.amount_capturable);
        if !(1..=intent.amount_capturable).contains(&wanted) {
            return Err(Failure::refused(
                "The remaining amount on this PaymentIntent is less than the amount requested to capture.",
            )
            .code("amount_too_large")
            .param("amount_to_capture"));
        }
        let charge_id = intent.latest_charge.clone().unwrap_or_default();
        let mut charge = (*work.find::<Charge>("charge", &charge_id, "latest_charge")?).clone();
        charge.captured = true;
        charge.amount_captured = wanted;
        let charge = work.put(charge);
        metadata.apply(&mut intent.metadata);
        intent.status = Status::Succeeded;
        intent.amount_received = wanted;
        intent.amount_capturable = 0;
        let intent = work.put(intent);
        work.event("charge.captured", Snapshot::Charge(charge));
        work.event("payment_intent.succeeded", Snapshot::PaymentIntent(Arc::clone(&intent)));
        Ok(work.render(&*intent))
    })?;
    Ok(call.locking([lock]).asking_the_bank(true))
}

/// Gives an authorisation back.
pub(super) fn release(work: &mut Work<'_>, charge: Option<&str>) {
    if let Some(charge) = charge.and_then(|id| work.store.charges.get(id)) {
        let amount_refunded = charge.amount;
        let charge = work.put(Charge { amount_refunded, ..(*charge).clone() });
        work.event("charge.refunded", Snapshot::Charge(charge));
    }
}
