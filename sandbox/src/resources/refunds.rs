//! Refunds: never more than was paid.

use std::sync::{Arc, atomic::Ordering};

use super::{charges::lock_of, lists};
use crate::{
    cards::Behaviour,
    failure::Failure,
    model::{Charge, PaymentIntent, Refund, Snapshot},
    work::{Call, Request, Work, new_id},
};

/// What is refunded.
enum Target {
    Charge(String),
    Intent(String),
}

pub(super) fn create(mut request: Request<'_>) -> Result<Call, Failure> {
    let params = &mut request.params;
    let target = match (params.text("payment_intent")?, params.text("charge")?) {
        (Some(intent), None) => Target::Intent(intent),
        (None, Some(charge)) => Target::Charge(charge),
        (None, None) => {
            return Err(Failure::invalid(
                "One of the following params should be provided for this request: payment_intent or charge.",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(Failure::invalid("You may only specify one of these parameters: charge, payment_intent."));
        }
    };
    let amount = params.integer("amount")?;
    if amount.is_some_and(|amount| amount < 1) {
        return Err(Failure::invalid("Invalid positive integer").code("parameter_invalid_integer").param("amount"));
    }
    let reason = params.one_of("reason", &["duplicate", "fraudulent", "requested_by_customer"])?.map(str::to_owned);
    let metadata = params.metadata()?;
    params.ignore(&["refund_application_fee", "reverse_transfer", "instructions_email"]);
    let lock = match &target {
        Target::Intent(id) => Some(id.clone()),
        Target::Charge(id) => lock_of(request.store.charges.get(id).as_deref()),
    };
    let call = Call::new(request.params, move |work| {
        let charge = find_charge(work, &target)?;
        let left = charge.amount_captured - charge.amount_refunded;
        if !charge.succeeded() || !charge.captured {
            return Err(Failure::refused(format!(
                "Charge {} has not been captured and cannot be refunded.",
                charge.id
            ))
            .code("charge_not_refundable"));
        }
        if left <= 0 {
            return Err(Failure::refused(format!("Charge {} has already been refunded.", charge.id))
                .code("charge_already_refunded"));
        }
        let amount = amount.unwrap_or(left);
        if amount > left {
            return Err(Failure::refused(format!(
                "Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            ))
            .code("amount_too_large")
            .param("amount"));
        }
        let refund = refund(work, &charge, amount, reason, metadata.fresh());
        Ok(work.render(&*refund))
    })?;
    Ok(call.locking(lock).asking_the_bank(true))
}

fn find_charge(work: &Work<'_>, target: &Target) -> Result<Arc<Charge>, Failure> {
    match target {
        Target::Charge(id) => work.find::<Charge>("charge", id, "charge"),
        Target::Intent(id) => {
            let intent = work.find::<PaymentIntent>("payment_intent", id, "payment_intent")?;
            let charge = intent.latest_charge.as_deref().and_then(|id| work.store.charges.get(id));
            charge.filter(|charge| charge.succeeded()).ok_or_else(|| {
                Failure::unexpected_state(format!(
                    "This PaymentIntent ({id}) does not have a successful charge to refund."
                ))
            })
        }
    }
}

fn refund(
    work: &mut Work<'_>,
    charge: &Arc<Charge>,
    amount: i64,
    reason: Option<String>,
    metadata: crate::model::Metadata,
) -> Arc<Refund> {
    let (status, settles_to) = match charge.payment_method.card.test_card().behaviour {
        // https://docs.stripe.com/refunds#refunds-and-your-balance
        _ if work.store.empty_balance.load(Ordering::Relaxed) => ("pending", Some("succeeded".to_owned())),
        Behaviour::RefundPends => ("pending", Some("succeeded".to_owned())),
        Behaviour::RefundFails => ("succeeded", Some("failed".to_owned())),
        _ => ("succeeded", None),
    };
    let prefix = if charge.payment_intent.is_some() { "re_3" } else { "re_1" };
    let refund = work.put(Refund {
        id: new_id(prefix),
        created: work.now,
        amount,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        reason,
        metadata,
        status: status.to_owned(),
        failure_reason: None,
        settles_to,
    });
    let amount_refunded = charge.amount_refunded + amount;
    let charge = work.put(Charge { amount_refunded, ..(**charge).clone() });
    work.event("charge.refunded", Snapshot::Charge(charge));
    work.event("refund.created", Snapshot::Refund(Arc::clone(&refund)));
    refund
}

/// The bank's last word on a refund that was pending, or that only looked as if it had succeeded.
pub(crate) fn settle(work: &mut Work<'_>, id: &str, fail: bool) {
    let Some(refund) = work.store.refunds.get(id) else {
        return;
    };
    let mut refund = (*refund).clone();
    let Some(status) = refund.settles_to.take() else {
        return;
    };
    let failed = fail || status == "failed";
    refund.status = if failed { "failed".to_owned() } else { status };
    if failed {
        refund.failure_reason = Some("expired_or_canceled_card".to_owned());
        if let Some(charge) = work.store.charges.get(&refund.charge) {
            let amount_refunded = charge.amount_refunded - refund.amount;
            work.put(Charge { amount_refunded, ..(*charge).clone() });
        }
    }
    let refund = work.put(refund);
    work.event("refund.updated", Snapshot::Refund(Arc::clone(&refund)));
    if failed {
        work.event("refund.failed", Snapshot::Refund(refund));
    }
}

/// What is locked to work on a refund.
pub(crate) fn lock_for(refund: &Refund) -> String {
    refund.payment_intent.as_ref().unwrap_or(&refund.charge).clone()
}

pub(super) fn retrieve(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let refund = work.find::<Refund>("refund", &request.id, "id")?;
        Ok(work.render(&*refund))
    })
}

pub(super) fn list(mut request: Request<'_>) -> Result<Call, Failure> {
    let charge = request.params.text("charge")?;
    let intent = request.params.text("payment_intent")?;
    lists::call(
        request.params,
        "/v1/refunds",
        "refund",
        |refund: &Refund| refund.created,
        move |refund| {
            charge.as_ref().is_none_or(|id| *id == refund.charge)
                && (intent.is_none() || refund.payment_intent == intent)
        },
    )
}
