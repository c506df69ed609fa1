//! What happens when a card is charged: the part that the bank plays.

use std::sync::Arc;

use crate::{
    cards::{AUTHENTICATION, Behaviour, Decline},
    failure::Failure,
    model::{Charge, ChargeResult, Metadata, PaymentError, PaymentIntent, PaymentMethod, Snapshot, Status},
    work::{Work, new_id},
};

/// How a confirmation is to go.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Nobody is there to pass a challenge, or the caller does not want one.
    pub(crate) no_challenge: bool,
    /// The challenge has been passed.
    pub(crate) authenticated: bool,
}

/// What a bank says.
pub(crate) enum Verdict {
    Approved { risk_level: &'static str },
    Declined(&'static Decline),
    Challenge,
}

/// Asks the card's bank. `wants_challenge`: the merchant asks for 3-D Secure on every card.
pub(crate) fn ask_bank(behaviour: Behaviour, wants_challenge: bool, manner: Manner) -> Verdict {
    let approved = |risk_level| Verdict::Approved { risk_level };
    match behaviour {
        Behaviour::Declines(decline) => Verdict::Declined(decline),
        Behaviour::Authenticates(then) if manner.authenticated => then.map_or(approved("normal"), Verdict::Declined),
        Behaviour::Authenticates(_) if manner.no_challenge => Verdict::Declined(&AUTHENTICATION),
        Behaviour::Authenticates(_) => Verdict::Challenge,
        _ if wants_challenge && !manner.authenticated && !manner.no_challenge => Verdict::Challenge,
        Behaviour::Risky(level) => approved(level),
        Behaviour::Succeeds | Behaviour::RefundPends | Behaviour::RefundFails => approved("normal"),
    }
}

/// A failed charge's result.
pub(crate) fn failed(decline: &Decline) -> ChargeResult {
    ChargeResult::Failed {
        code: decline.code.to_owned(),
        message: decline.message.to_owned(),
        decline_code: decline.decline_code.to_owned(),
        advice: decline.advice.to_owned(),
        network_code: decline.network_code.map(str::to_owned),
        blocked: decline.is_blocked(),
    }
}

/// Confirms an intent with a PaymentMethod. A decline is an `Err`, and a change of the intent all the same.
pub(crate) fn confirm(
    work: &mut Work<'_>,
    mut intent: PaymentIntent,
    method: &Arc<PaymentMethod>,
    manner: Manner,
) -> Result<Arc<PaymentIntent>, Failure> {
    let wants_challenge = matches!(intent.request_three_d_secure.as_str(), "any" | "challenge");
    intent.last_error = None;
    match ask_bank(method.card.test_card().behaviour, wants_challenge, manner) {
        Verdict::Challenge => {
            intent.status = Status::RequiresAction;
            intent.payment_method = Some(method.id.clone());
            let intent = work.put(intent);
            work.event("payment_intent.requires_action", Snapshot::PaymentIntent(Arc::clone(&intent)));
            Ok(intent)
        }
        Verdict::Approved { risk_level } => {
            let result = ChargeResult::Succeeded { risk_level: risk_level.to_owned() };
            Ok(pay(work, intent, method, result, manner.authenticated))
        }
        Verdict::Declined(decline) => Err(refuse(work, intent, method, decline, manner.authenticated)),
    }
}

fn charge_of(
    work: &Work<'_>,
    intent: &PaymentIntent,
    method: &Arc<PaymentMethod>,
    result: ChargeResult,
    authenticated: bool,
) -> Charge {
    let captured = matches!(result, ChargeResult::Succeeded { .. }) && intent.capture_method != "manual";
    Charge {
        id: new_id("ch_3"),
        created: work.now,
        amount: intent.amount,
        amount_captured: if captured { intent.amount } else { 0 },
        amount_refunded: 0,
        captured,
        currency: intent.currency.clone(),
        result,
        payment_intent: Some(intent.id.clone()),
        payment_method: Arc::clone(method),
        customer: intent.customer.clone(),
        description: intent.description.clone(),
        metadata: intent.metadata.clone(),
        receipt_email: intent.receipt_email.clone(),
        shipping: intent.shipping.clone(),
        statement_descriptor: intent.statement_descriptor.clone(),
        statement_descriptor_suffix: intent.statement_descriptor_suffix.clone(),
        transfer_group: intent.transfer_group.clone(),
        authenticated,
        disputed: false,
    }
}

fn pay(
    work: &mut Work<'_>,
    mut intent: PaymentIntent,
    method: &Arc<PaymentMethod>,
    result: ChargeResult,
    authenticated: bool,
) -> Arc<PaymentIntent> {
    let charge = charge_of(work, &intent, method, result, authenticated);
    let charge = work.put(charge);
    if method.customer.is_none() {
        work.put(PaymentMethod { spent: true, customer: None, ..(**method).clone() });
    }
    intent.payment_method = Some(method.id.clone());
    intent.latest_charge = Some(charge.id.clone());
    if charge.captured {
        intent.status = Status::Succeeded;
        intent.amount_received = intent.amount;
    } else {
        intent.status = Status::RequiresCapture;
        intent.amount_capturable = intent.amount;
    }
    let kind = if charge.captured { "payment_intent.succeeded" } else { "payment_intent.amount_capturable_updated" };
    let intent = work.put(intent);
    work.event("charge.succeeded", Snapshot::Charge(charge));
    work.event(kind, Snapshot::PaymentIntent(Arc::clone(&intent)));
    super::sessions::paid(work, &intent, method);
    intent
}

fn refuse(
    work: &mut Work<'_>,
    mut intent: PaymentIntent,
    method: &Arc<PaymentMethod>,
    decline: &Decline,
    authenticated: bool,
) -> Failure {
    let charge = charge_of(work, &intent, method, failed(decline), authenticated);
    let charge = work.put(charge);
    intent.status = Status::RequiresPaymentMethod;
    intent.payment_method = None;
    intent.latest_charge = Some(charge.id.clone());
    intent.last_error = Some(PaymentError {
        kind: "card_error".to_owned(),
        code: decline.code.to_owned(),
        message: decline.message.to_owned(),
        decline_code: Some(decline.decline_code.to_owned()),
        advice_code: Some(decline.advice.to_owned()),
        network_decline_code: decline.network_code.map(str::to_owned),
        charge: Some(charge.id.clone()),
        payment_method: Arc::clone(method),
    });
    let intent = work.put(intent);
    work.event("charge.failed", Snapshot::Charge(Arc::clone(&charge)));
    work.event("payment_intent.payment_failed", Snapshot::PaymentIntent(Arc::clone(&intent)));
    Failure::declined(decline)
        .with("charge", charge.id.clone().into())
        .with("payment_intent", work.render(&*intent))
        .with("payment_method", work.render(&**method))
}

/// The payer failed the challenge, or gave it up.
pub(crate) fn fail_challenge(work: &mut Work<'_>, mut intent: PaymentIntent, method: &Arc<PaymentMethod>) {
    intent.status = Status::RequiresPaymentMethod;
    intent.payment_method = None;
    intent.last_error = Some(PaymentError {
        kind: "invalid_request_error".to_owned(),
        code: "payment_intent_authentication_failure".to_owned(),
        message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.".to_owned(),
        decline_code: None,
        advice_code: None,
        network_decline_code: None,
        charge: None,
        payment_method: Arc::clone(method),
    });
    let intent = work.put(intent);
    work.event("payment_intent.payment_failed", Snapshot::PaymentIntent(intent));
}

/// What a one-off charge starts from, for the older call that makes one without an intent.
pub(crate) struct Order {
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) capture: bool,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) receipt_email: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) transfer_group: Option<String>,
}

/// Charges a card without an intent. Where a challenge would be needed, the charge is declined.
pub(crate) fn charge(work: &mut Work<'_>, order: Order, method: Arc<PaymentMethod>) -> Result<Arc<Charge>, Failure> {
    let manner = Manner { no_challenge: true, authenticated: false };
    let (result, decline) = match ask_bank(method.card.test_card().behaviour, false, manner) {
        Verdict::Approved { risk_level } => (ChargeResult::Succeeded { risk_level: risk_level.to_owned() }, None),
        Verdict::Declined(decline) => (failed(decline), Some(decline)),
        Verdict::Challenge => (failed(&AUTHENTICATION), Some(&AUTHENTICATION)),
    };
    let captured = decline.is_none() && order.capture;
    let charge = work.put(Charge {
        id: new_id("ch_1"),
        created: work.now,
        amount: order.amount,
        amount_captured: if captured { order.amount } else { 0 },
        amount_refunded: 0,
        captured,
        currency: order.currency,
        result,
        payment_intent: None,
        payment_method: method,
        customer: order.customer,
        description: order.description,
        metadata: order.metadata,
        receipt_email: order.receipt_email,
        shipping: None,
        statement_descriptor: order.statement_descriptor,
        statement_descriptor_suffix: order.statement_descriptor_suffix,
        transfer_group: order.transfer_group,
        authenticated: false,
        disputed: false,
    });
    let kind = if decline.is_none() { "charge.succeeded" } else { "charge.failed" };
    work.event(kind, Snapshot::Charge(Arc::clone(&charge)));
    match decline {
        None => Ok(charge),
        Some(decline) => Err(Failure::declined(decline).with("charge", charge.id.clone().into())),
    }
}
